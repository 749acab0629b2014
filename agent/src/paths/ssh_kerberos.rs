//! Kerberos principals that sshd lets in by GSSAPI, as krb5_kuserok of MIT Kerberos decides: those of
//! `.k5login` where there is one, else those whose names map to the account's.
//!
//! Whether the host accepts Kerberos at all depends on its keytab and realm, so that nothing here is
//! ever surely open.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::evaluate::{Situation, View};
use super::facts::{KeyFiles, ReadAs};
use super::methods;
use super::rows::Rows;
use super::ssh_gate::{self, Means};
use super::ssh_others::usable;
use super::verdict::{Checks, Verdict, merge};
use crate::sshd::include::ReadProblem;
use crate::sshd::k5login::Principals;
use crate::sshd::printable::printable;

/// Adds who is let in.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    let enabled = |situation: &&Situation| situation.settings.gssapi_authentication.value;
    let Some(situation) = view.worlds.iter().find(enabled) else {
        return;
    };
    let mut rows = Rows::new(view.account, Mechanism::SshGssapi);
    let verdict = |closed: Option<&str>, unknown: &str| {
        let verdicts = view.worlds.iter().map(|situation| {
            let mut checks = common(view, situation);
            if let Some(why) = closed {
                checks.closed(why);
            }
            checks.unknown(unknown);
            (&situation.world, checks.verdict(""))
        });
        merge(verdicts.collect())
    };
    let home = Path::new(std::ffi::OsStr::from_bytes(&view.account.home));
    let path = home.join(".k5login");
    match files.read(view.account, &path, ReadAs::Account) {
        Ok(facts) => {
            let owned = facts.file.uid == 0 || facts.file.uid == view.account.uid;
            let refused = (!owned).then_some("Kerberos takes no .k5login of another's");
            let file = Principals::parse(facts.bytes);
            let mut any = false;
            for (line, principal) in file.of_k5login() {
                any = true;
                let unknown = format!(
                    "{} is let in, where the host accepts Kerberos",
                    printable(principal)
                );
                rows.add(verdict(refused, &unknown), &path, Some(line));
            }
            if !any {
                rows.add(Verdict::closed(".k5login names nobody"), &path, None);
            }
        }
        Err(ReadProblem::Missing) => {
            let source = view.source_of(&situation.settings.gssapi_authentication.origin);
            let unknown = format!(
                "{} of the host's realm is let in, where the host accepts Kerberos",
                view.account.name
            );
            rows.add(
                verdict(None, &unknown),
                Path::new(&source.file),
                source.line,
            );
        }
        Err(problem) => {
            let unknown = format!("whom .k5login lets in is not known: {problem}");
            rows.add(verdict(None, &unknown), &path, None);
        }
    }
    rows.finish(paths);
}

/// What stands before every login by Kerberos, in one world.
fn common(view: &View<'_>, situation: &Situation) -> Checks {
    let settings = &situation.settings;
    let mut checks = situation.gate.clone();
    if !settings.gssapi_authentication.value {
        let origin = &settings.gssapi_authentication.origin;
        checks.closed(format!("GSSAPIAuthentication no ({origin})"));
    }
    let usable = |other: &str| usable(view, situation, other);
    methods::check(settings, "gssapi-with-mic", usable, &mut checks);
    ssh_gate::check_root(view.account, settings, Means::Trust, &mut checks);
    checks
}
