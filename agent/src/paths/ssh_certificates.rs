//! Certificates of CAs that sshd trusts (`user_cert_trusted_ca` of auth2-pubkey.c).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source};

use super::evaluate::{Situation, View};
use super::facts::{KeyFiles, ReadAs};
use super::principals::{self, Principal};
use super::ssh_gate::{self, Means};
use super::ssh_keys::check_public_key_login;
use super::ssh_presented;
use super::strict_modes;
use super::verdict::{Checks, Verdict, merge};
use crate::sshd::algorithms::{self, KeyType};
use crate::sshd::certificate::{Certificate, CertificateOptions};
use crate::sshd::effective::Effective;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::{KeyLine, LineKey};
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
                for (line, key) in plain_keys(&facts.bytes, view.release) {
                    let Ok(key) = key else { break };
                    let LineKey::Plain { key_type, .. } = key.kind else {
                        continue;
                    };
                    let source = Source {
                        file: shown.clone(),
                        line: Some(line),
                    };
                    paths.push(ca_path(view, name, (&key, key_type), source, files));
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
    (key, key_type): (&KeyLine, KeyType),
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
        check_algorithms(settings, key_type, &mut checks);
        let options = match view.facts.certificate {
            Some(certificate) => {
                ssh_presented::check(view, situation, key, certificate, &mut checks)
            }
            None => {
                situation.revoked.note_certificates(key, &mut checks);
                None
            }
        };
        let listed = listed(view, situation, files);
        let (principals, is_forced) = principals(view, situation, listed, options, &mut checks);
        ssh_gate::check_root(
            view.account,
            settings,
            Means::Key {
                forced_command: is_forced,
            },
            &mut checks,
        );
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

/// Whether certificates by a CA with such a key are taken at all.
pub fn check_algorithms(settings: &Effective, authority: KeyType, checks: &mut Checks) {
    let accepted = &settings.pubkey_accepted_algorithms;
    if !algorithms::accepts_certificates(&accepted.value) {
        checks.closed(format!(
            "PubkeyAcceptedAlgorithms takes no certificates ({})",
            accepted.origin
        ));
    }
    let signed = &settings.ca_signature_algorithms;
    if !algorithms::accepts_key(&signed.value, authority) {
        checks.closed(format!(
            "CASignatureAlgorithms takes nothing that {} can sign ({})",
            authority.name(),
            signed.origin
        ));
    }
}

/// Whether a certificate is for the account by its name.
pub fn check_name(view: &View<'_>, certificate: &Certificate, checks: &mut Checks) {
    let name = view.account.name.as_str().as_bytes();
    if !certificate.principals.iter().any(|one| one == name) {
        checks.closed("the certificate is not for this account");
    }
}

/// The lines of the principals file; `None` where the setting names none.
fn listed(
    view: &View<'_>,
    situation: &Situation,
    files: &mut dyn KeyFiles,
) -> Option<Result<Vec<Principal>, Verdict>> {
    let template = situation
        .settings
        .authorized_principals_file
        .value
        .as_deref()?;
    Some(list_principals(view, situation, template, files))
}

/// For whom a certificate must be issued, in words, and whether it is bound to a command, or may be.
fn principals(
    view: &View<'_>,
    situation: &Situation,
    listed: Option<Result<Vec<Principal>, Verdict>>,
    options: Option<&CertificateOptions>,
    checks: &mut Checks,
) -> (String, bool) {
    let settings = &situation.settings;
    let command = &settings.authorized_principals_command;
    let is_asked = command
        .value
        .as_deref()
        .is_some_and(|c| !c.eq_ignore_ascii_case(b"none"));
    let mut own = Checks::default();
    let mut line = None;
    let mut told = printable(view.account.name.as_str().as_bytes());
    let is_by_name = listed.is_none() && !is_asked;
    match (listed, view.facts.certificate) {
        (None, Some(certificate)) if is_by_name => check_name(view, certificate, &mut own),
        (None, _) if is_by_name => {}
        (None, _) => own.closed("there is no principals file"),
        (Some(Ok(lines)), Some(certificate)) => {
            line = principals::check_one(view, &lines, certificate, &mut own).cloned();
        }
        (Some(Ok(lines)), None) => told = principals::check_any(view, &lines, &mut own),
        (Some(Err(verdict)), _) => match verdict.state {
            PathState::Closed => own.closed(verdict.reason),
            _ => own.unknown(verdict.reason),
        },
    }
    // The command is asked where no line names the certificate; a line that does decides, and may refuse it.
    if is_asked && line.is_none() && !own.is_sure_to_pass() {
        own = Checks::default();
        own.unknown(format!(
            "AuthorizedPrincipalsCommand decides ({})",
            command.origin
        ));
    }
    checks.add(&own);
    let is_forced = match view.facts.certificate {
        Some(certificate) => {
            if certificate.principals.is_empty() {
                checks.closed("the certificate is for nobody in particular");
            }
            ssh_presented::check_commands(line.as_ref(), options, checks)
        }
        // A certificate may bring its own forced command.
        None => true,
    };
    (told, is_forced)
}

fn list_principals(
    view: &View<'_>,
    situation: &Situation,
    template: &[u8],
    files: &mut dyn KeyFiles,
) -> Result<Vec<Principal>, Verdict> {
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
        return Err(Verdict {
            reason: format!("{shown}: {}", why.reason),
            ..why
        });
    }
    Ok(principals::parse(&facts.bytes))
}
