//! Certificates of CAs that sshd trusts (`user_cert_trusted_ca` of auth2-pubkey.c).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism, Source};

use super::evaluate::{Situation, View};
use super::facts::{KeyFiles, ReadAs};
use super::ssh_gate::{self, Means};
use super::ssh_keys::check_public_key_login;
use super::strict_modes;
use super::verdict::{Checks, Verdict, merge};
use crate::sshd::algorithms;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::KeyLine;
use crate::sshd::printable::{printable, printable_path};
use crate::sshd::revoked_keys::plain_keys;
use crate::sshd::tokens;

/// Adds a path for every CA key that `TrustedUserCAKeys` names in some world.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    let mut seen: Vec<&[u8]> = Vec::new();
    for situation in &view.worlds {
        let setting = &situation.settings.trusted_user_ca_keys;
        let Some(name) = setting.value.as_deref() else {
            continue;
        };
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let path = rooted(name);
        let shown = printable_path(&path);
        match files.read(view.account, &path, ReadAs::Root) {
            Ok(facts) => {
                for (line, key) in plain_keys(&facts.bytes) {
                    let Ok(key) = key else { break };
                    let source = Source {
                        file: shown.clone(),
                        line: Some(line),
                    };
                    paths.push(ca_path(view, name, &key, source, files));
                }
            }
            // Without the file no certificate is trusted.
            Err(ReadProblem::Missing | ReadProblem::Directory) => {}
            Err(problem) => {
                let verdict = Verdict::unknown(format!(
                    "the CA keys in {shown} could not be read: {problem}"
                ));
                paths.push(view.path(
                    Mechanism::SshCertificate,
                    verdict,
                    view.source_of(&setting.origin),
                    None,
                ));
            }
        }
    }
}

/// A file name as sshd opens it from its working directory, `/`.
pub fn rooted(name: &[u8]) -> PathBuf {
    let bytes = if name.starts_with(b"/") {
        name.to_vec()
    } else {
        [b"/", name].concat()
    };
    PathBuf::from(OsString::from_vec(bytes))
}

fn ca_path(
    view: &View<'_>,
    name: &[u8],
    key: &KeyLine,
    source: Source,
    files: &mut dyn KeyFiles,
) -> AccessPath {
    let mut verdicts = Vec::new();
    for situation in &view.worlds {
        let settings = &situation.settings;
        let mut checks = situation.gate.clone();
        if settings.trusted_user_ca_keys.value.as_deref() != Some(name) {
            checks.closed("TrustedUserCAKeys does not name this file");
        }
        check_public_key_login(view, situation, &mut checks);
        situation.revoked.check(key, &mut checks);
        let accepted = &settings.pubkey_accepted_algorithms;
        if !algorithms::accepts_certificates(&accepted.value) {
            checks.closed(format!(
                "PubkeyAcceptedAlgorithms takes no certificates ({})",
                accepted.origin
            ));
        }
        // A certificate may bring its own forced command.
        ssh_gate::check_root(
            view.account,
            settings,
            Means::Key {
                forced_command: true,
            },
            &mut checks,
        );
        let principals = principals(view, situation, files, &mut checks);
        let open = format!("certificates of this CA for {principals} are accepted");
        verdicts.push((&situation.world, checks.verdict(&open)));
    }
    view.path(
        Mechanism::SshCertificate,
        merge(verdicts),
        source,
        Some(key.fingerprint),
    )
}

/// For whom a certificate must be issued, in words.
fn principals(
    view: &View<'_>,
    situation: &Situation,
    files: &mut dyn KeyFiles,
    checks: &mut Checks,
) -> String {
    let settings = &situation.settings;
    let command = settings.authorized_principals_command.value.as_deref();
    let command = command.filter(|c| !c.eq_ignore_ascii_case(b"none"));
    let account = view.account;
    let Some(template) = settings.authorized_principals_file.value.as_deref() else {
        if command.is_some() {
            let origin = &settings.authorized_principals_command.origin;
            checks.unknown(format!("AuthorizedPrincipalsCommand decides ({origin})"));
        }
        return printable(account.name.as_str().as_bytes());
    };
    let listed = list_principals(view, situation, template, files);
    match (listed, command) {
        (Ok(names), _) if !names.is_empty() => return names.join(", "),
        (_, Some(_)) => {
            let origin = &settings.authorized_principals_command.origin;
            checks.unknown(format!("AuthorizedPrincipalsCommand decides ({origin})"));
        }
        (Ok(_), None) => checks.closed("the principals file names nobody"),
        (Err(Verdict { reason, state }), None) => match state {
            rescind_protocol::path::PathState::Closed => checks.closed(reason),
            _ => checks.unknown(reason),
        },
    }
    "nobody".into()
}

fn list_principals(
    view: &View<'_>,
    situation: &Situation,
    template: &[u8],
    files: &mut dyn KeyFiles,
) -> Result<Vec<String>, Verdict> {
    let account = view.account;
    let expanded = tokens::expand(
        template,
        account.name.as_str().as_bytes(),
        account.uid,
        &account.home,
    )
    .map_err(|bad| Verdict::closed(bad.to_string()))?;
    let path = rooted(&expanded);
    let shown = printable_path(&path);
    let facts = files
        .read(account, &path, ReadAs::Account)
        .map_err(|problem| match problem {
            ReadProblem::Other(_) => Verdict::unknown(format!(
                "the principals in {shown} could not be read: {problem}"
            )),
            _ => Verdict::closed(format!("sshd takes no principals from {shown}: {problem}")),
        })?;
    if situation.settings.strict_modes.value
        && let Some(why) = strict_modes::refuses(&facts, account.uid, view.release)
    {
        return Err(Verdict::closed(format!("{shown}: {why}")));
    }
    Ok(principal_names(&facts.bytes))
}

/// `auth_process_principals`: one name at the end of each line, options before it.
fn principal_names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for raw in bytes.split(|b| *b == b'\n') {
        let text = raw
            .split(|b| matches!(b, b'#' | 0))
            .next()
            .unwrap_or_default();
        let name = text
            .trim_ascii_end()
            .rsplit(|b| matches!(b, b' ' | b'\t'))
            .next()
            .unwrap_or_default();
        if !name.is_empty() {
            names.push(printable(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals_stand_at_the_end_of_their_lines() {
        let file = b"# who\nalice\n  bob # temp\nfrom=\"10.*\" carol\n\n";
        assert_eq!(principal_names(file), ["alice", "bob", "carol"]);
    }
}
