//! Keys in key files (auth2-pubkey.c, auth2-pubkeyfile.c).

use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism, Source};

use super::evaluate::{Situation, View};
use super::facts::{KeyFileFacts, KeyFiles, ReadAs};
use super::key_files;
use super::methods;
use super::ssh_gate::{self, Means};
use super::strict_modes;
use super::verdict::{Checks, Verdict, merge};
use crate::sshd::algorithms;
use crate::sshd::authorized_keys::KeyFile;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::{Entry, KeyLine, LineKey};
use crate::sshd::key_options::{Expiry, KeyOptions};
use crate::sshd::matching::{ConnectionCriterion, Decide};
use crate::sshd::printable::{printable, printable_path};

/// Adds a path for every line of every key file.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    for file in in_force(view, paths) {
        add_file(view, &file, files, paths);
    }
}

/// A key file and the worlds in which sshd reads it.
struct FileInForce {
    path: PathBuf,
    source: Source,
    in_world: Vec<bool>,
}

fn in_force(view: &View<'_>, paths: &mut Vec<AccessPath>) -> Vec<FileInForce> {
    let mut found: Vec<FileInForce> = Vec::new();
    for (index, situation) in view.worlds.iter().enumerate() {
        for template in &situation.settings.authorized_keys_files {
            let source = view.source_of(&template.origin);
            let file = match key_files::expand(view.account, &template.value, &template.origin) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(bad) => {
                    let verdict = Verdict::closed(format!("{bad}: {}", printable(&template.value)));
                    paths.push(view.path(Mechanism::SshPublicKey, verdict, source, None));
                    continue;
                }
            };
            let known = match found.iter().position(|known| known.path == file.path) {
                Some(at) => &mut found[at],
                None => {
                    let in_world = vec![false; view.worlds.len()];
                    found.push(FileInForce {
                        path: file.path,
                        source,
                        in_world,
                    });
                    let last = found.len() - 1;
                    &mut found[last]
                }
            };
            known.in_world[index] = true;
        }
    }
    found
}

fn add_file(
    view: &View<'_>,
    file: &FileInForce,
    files: &mut dyn KeyFiles,
    paths: &mut Vec<AccessPath>,
) {
    let shown = printable_path(&file.path);
    let whole = || Source {
        file: shown.clone(),
        line: None,
    };
    let facts = match files.read(view.account, &file.path, ReadAs::Account) {
        Ok(facts) => facts,
        Err(ReadProblem::Missing) => return,
        Err(
            problem @ (ReadProblem::Denied
            | ReadProblem::Directory
            | ReadProblem::NotRegular
            | ReadProblem::TooManyLinks),
        ) => {
            let verdict = Verdict::closed(format!(
                "sshd, reading as the account, takes no keys from it: {problem}"
            ));
            paths.push(view.path(Mechanism::SshPublicKey, verdict, whole(), None));
            return;
        }
        Err(problem) => {
            let verdict = Verdict::unknown(format!("the key file could not be read: {problem}"));
            paths.push(view.path(Mechanism::SshPublicKey, verdict, whole(), None));
            return;
        }
    };
    let keys = KeyFile::parse(facts.bytes.as_slice());
    let mut earlier: Vec<&KeyLine> = Vec::new();
    for entry in keys.entries() {
        match entry {
            Entry::Blank | Entry::Comment => {}
            Entry::Unparsed(unparsed) => {
                let verdict =
                    Verdict::closed(format!("sshd finds no key in this line: {}", unparsed.why));
                let source = Source {
                    file: shown.clone(),
                    line: Some(unparsed.line),
                };
                paths.push(view.path(Mechanism::SshPublicKey, verdict, source, None));
            }
            Entry::Key(key) => {
                let source = Source {
                    file: shown.clone(),
                    line: Some(key.line),
                };
                let authority = key
                    .options
                    .as_ref()
                    .is_ok_and(|options| options.cert_authority);
                let mechanism = if authority {
                    Mechanism::SshCertificate
                } else {
                    Mechanism::SshPublicKey
                };
                let worlds = view.worlds.iter().zip(&file.in_world);
                let verdicts = worlds.map(|(situation, in_force)| {
                    let mut checks = situation.gate.clone();
                    if !in_force {
                        checks.closed(format!(
                            "AuthorizedKeysFile does not name this file ({})",
                            file.source.file
                        ));
                    }
                    check_line(view, situation, key, &facts, &mut checks);
                    situation.revoked.check(key, &mut checks);
                    check_first(situation, view, key, &earlier, &mut checks);
                    (&situation.world, checks.verdict(&how(key, view)))
                });
                let verdict = merge(verdicts.collect());
                paths.push(view.path(mechanism, verdict, source, Some(key.fingerprint)));
                earlier.push(key);
            }
        }
    }
}

fn how(key: &KeyLine, view: &View<'_>) -> String {
    let Ok(options) = &key.options else {
        return "the key is accepted".into();
    };
    let mut how = if options.cert_authority {
        let principals = match &options.principals {
            Some(list) => printable(list),
            None => printable(view.account.name.as_str().as_bytes()),
        };
        format!("certificates of this CA for {principals} are accepted")
    } else {
        "the key is accepted".to_owned()
    };
    if options.command {
        how.push_str(", for one command");
    }
    if let Some(from) = &options.from {
        how.push_str(&format!(", from {}", printable(from)));
    }
    how
}

/// Everything about one line in one world but the gate and the revocations.
fn check_line(
    view: &View<'_>,
    situation: &Situation,
    key: &KeyLine,
    facts: &KeyFileFacts,
    checks: &mut Checks,
) {
    let settings = &situation.settings;
    check_public_key_login(view, situation, checks);
    if settings.strict_modes.value
        && let Some(why) = strict_modes::refuses(facts, view.account.uid, view.release)
    {
        checks.closed(why);
    }
    let options = match &key.options {
        Ok(options) => options,
        Err(bad) => {
            checks.closed(format!(
                "sshd does not understand the options of this line: {bad}"
            ));
            return;
        }
    };
    check_options(view, options, checks);
    let means = Means::Key {
        forced_command: options.command,
    };
    // The forced command of a certificate may be in the certificate.
    let means = if options.cert_authority {
        Means::Key {
            forced_command: true,
        }
    } else {
        means
    };
    ssh_gate::check_root(view.account, settings, means, checks);
    let accepted = &settings.pubkey_accepted_algorithms;
    match key.kind {
        LineKey::Foreign => {
            checks.closed(format!("{} does not know this type of key", view.release))
        }
        LineKey::Certificate => checks.closed("a certificate where a key should be"),
        LineKey::Plain { key_type, .. } if !algorithms::is_known(key_type, view.release) => {
            checks.closed(format!(
                "{} does not know {} any more",
                view.release,
                key_type.name()
            ));
        }
        LineKey::Plain { .. } if options.cert_authority => {
            if !algorithms::accepts_certificates(&accepted.value) {
                checks.closed(format!(
                    "PubkeyAcceptedAlgorithms takes no certificates ({})",
                    accepted.origin
                ));
            }
        }
        LineKey::Plain { key_type, bits } => {
            if !algorithms::accepts_key(&accepted.value, key_type) {
                let name = key_type.name();
                checks.closed(format!(
                    "PubkeyAcceptedAlgorithms does not take {name} ({})",
                    accepted.origin
                ));
            }
            let least = settings.required_rsa_size.value;
            if key_type == algorithms::KeyType::Rsa && bits < least as usize {
                checks.closed(format!(
                    "RequiredRSASize {least} ({})",
                    settings.required_rsa_size.origin
                ));
            }
        }
    }
}

/// Whether sshd takes public keys at all, and whether one is enough.
pub fn check_public_key_login(view: &View<'_>, situation: &Situation, checks: &mut Checks) {
    let settings = &situation.settings;
    if !settings.pubkey_authentication.value {
        checks.closed(format!(
            "PubkeyAuthentication no ({})",
            settings.pubkey_authentication.origin
        ));
    }
    methods::check(
        settings,
        "publickey",
        |other| super::ssh_others::usable(view, situation, other),
        checks,
    );
}

fn check_options(view: &View<'_>, options: &KeyOptions, checks: &mut Checks) {
    if options.principals.is_some() && !options.cert_authority {
        checks.closed("principals= on a key that is no CA");
    }
    if !options.from_can_match() {
        checks.closed("from= matches no client");
    } else if let (Some(list), Some(connection)) = (&options.from, &view.facts.connection)
        && !connection
            .clone()
            .decide(&ConnectionCriterion::From(list.clone()))
    {
        checks.closed(format!(
            "from={} does not match this client",
            printable(list)
        ));
    }
    if let Some(expiry) = options.expiry {
        if expiry.utc && !view.release.at_least(9, 1) {
            checks.closed(format!(
                "{} does not understand an expiry-time in UTC",
                view.release
            ));
        }
        check_expiry(view, expiry, checks);
    }
}

/// The widest that any time zone is off UTC, in seconds: behind and ahead.
const ZONE_BEHIND: i64 = 12 * 3600;
const ZONE_AHEAD: i64 = 14 * 3600;

fn check_expiry(view: &View<'_>, expiry: Expiry, checks: &mut Checks) {
    let now = view.facts.now;
    let (earliest, latest) = match (expiry.utc, view.facts.utc_offset) {
        (true, _) => (expiry.seconds, expiry.seconds),
        // The offset of that day may differ by an hour of daylight saving.
        (false, Some(offset)) => (
            expiry.seconds - offset - 3600,
            expiry.seconds - offset + 3600,
        ),
        (false, None) => (expiry.seconds - ZONE_AHEAD, expiry.seconds + ZONE_BEHIND),
    };
    if latest < now {
        checks.closed("expiry-time is over");
    } else if earliest < now {
        checks.unknown("expiry-time is about now, and in the host's own time zone");
    }
}

/// With `PermitRootLogin forced-commands-only` the first line that fits decides, and one without a command shuts out
/// those after it.
fn check_first(
    situation: &Situation,
    view: &View<'_>,
    key: &KeyLine,
    earlier: &[&KeyLine],
    checks: &mut Checks,
) {
    use crate::sshd::effective::RootLogin;
    let setting = &situation.settings.permit_root_login;
    if view.account.uid != 0 || setting.value != RootLogin::ForcedCommandsOnly {
        return;
    }
    let shadowed = earlier.iter().find(|line| {
        line.fingerprint == key.fingerprint
            && line.options.as_ref().is_ok_and(|o| {
                !o.command
                    && !o.cert_authority
                    && o.from.is_none()
                    && o.expiry.is_none()
                    && o.principals.is_none()
            })
    });
    if let Some(line) = shadowed {
        checks.closed(format!(
            "line {} has the same key without a command and is used instead",
            line.line
        ));
    }
}
