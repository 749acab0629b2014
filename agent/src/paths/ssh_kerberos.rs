//! Kerberos principals that sshd lets in by GSSAPI, as krb5_kuserok of MIT Kerberos decides: those of
//! `.k5login` where there is one, else those whose names map to the account's.
//!
//! Whether the host accepts Kerberos at all depends on its keytab and realm, so that nothing here is
//! ever surely open.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

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

/// A principal that is let in as an account.
#[derive(Debug)]
pub struct Principal {
    /// As `.k5login` names it.
    pub name: Vec<u8>,
    /// That file.
    pub file: PathBuf,
    /// The line in it.
    pub line: u32,
    /// Whether it gets in.
    pub verdict: Verdict,
}

/// Whom the `.k5login` of an account lets in.
#[derive(Debug)]
pub enum Admitted {
    /// These, at least one.
    Named(Vec<Principal>),
    /// The file is there and names none.
    Nobody,
    /// There is no such file, and so the principal of the account's own name.
    Namesake,
    /// That is not known.
    Unread(ReadProblem),
}

/// The first kind of connection in which sshd takes Kerberos' word.
pub(super) fn enabled<'v>(view: &'v View<'_>) -> Option<&'v Situation> {
    let enabled = |situation: &&Situation| situation.settings.gssapi_authentication.value;
    view.worlds.iter().find(enabled)
}

/// Whom the `.k5login` of the account lets in, and where that is.
pub(super) fn admitted(view: &View<'_>, files: &mut dyn KeyFiles) -> (PathBuf, Admitted) {
    let home = Path::new(std::ffi::OsStr::from_bytes(&view.account.home));
    let path = home.join(".k5login");
    let facts = match files.read(view.account, &path, ReadAs::Account) {
        Ok(facts) => facts,
        Err(ReadProblem::Missing) => return (path, Admitted::Namesake),
        Err(problem) => return (path, Admitted::Unread(problem)),
    };
    let owned = facts.file.uid == 0 || facts.file.uid == view.account.uid;
    let refused = (!owned).then_some("Kerberos takes no .k5login of another's");
    let file = Principals::parse(facts.bytes);
    let named = file.of_k5login().map(|(line, principal)| Principal {
        verdict: verdict(view, refused, &is_let_in(&printable(principal))),
        name: principal.to_vec(),
        file: path.clone(),
        line,
    });
    let named: Vec<Principal> = named.collect();
    let admitted = match named.is_empty() {
        true => Admitted::Nobody,
        false => Admitted::Named(named),
    };
    (path, admitted)
}

/// Adds who is let in.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    let Some(situation) = enabled(view) else {
        return;
    };
    let mut rows = Rows::new(view.account, Mechanism::SshGssapi);
    match admitted(view, files) {
        (_, Admitted::Named(named)) => {
            for one in named {
                rows.add(one.verdict, &one.file, Some(one.line));
            }
        }
        (path, Admitted::Nobody) => {
            rows.add(Verdict::closed(".k5login names nobody"), &path, None);
        }
        (_, Admitted::Namesake) => {
            let source = view.source_of(&situation.settings.gssapi_authentication.origin);
            let who = format!("{} of the host's realm", view.account.name);
            rows.add(
                verdict(view, None, &is_let_in(&who)),
                Path::new(&source.file),
                source.line,
            );
        }
        (path, Admitted::Unread(problem)) => {
            let unknown = format!("whom .k5login lets in is not known: {problem}");
            rows.add(verdict(view, None, &unknown), &path, None);
        }
    }
    rows.finish(paths);
}

fn is_let_in(who: &str) -> String {
    format!("{who} is let in, where the host accepts Kerberos")
}

/// What is not known, unless something closes the way.
fn verdict(view: &View<'_>, closed: Option<&str>, unknown: &str) -> Verdict {
    let verdicts = view.worlds.iter().map(|situation| {
        let mut checks = common(view, situation);
        if let Some(why) = closed {
            checks.closed(why);
        }
        checks.unknown(unknown);
        (&situation.world, checks.verdict(""))
    });
    merge(verdicts.collect())
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
