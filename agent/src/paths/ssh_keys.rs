//! Keys in key files (auth2-pubkey.c, auth2-pubkeyfile.c).

use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism, Source};

use super::evaluate::{Situation, View};
use super::facts::{KeyFiles, ReadAs};
use super::key_files;
use super::methods;
use super::ssh_certificates;
use super::ssh_gate::{self, Means};
use super::ssh_key_options;
use super::ssh_presented;
use super::strict_modes;
use super::verdict::{Checks, Verdict, limits, merge};
use crate::sshd::algorithms;
use crate::sshd::authorized_keys::KeyFile;
use crate::sshd::effective::RootLogin;
use crate::sshd::include::ReadProblem;
use crate::sshd::key_line::{Entry, KeyLine, LineKey};
use crate::sshd::key_options::KeyOptions;
use crate::sshd::printable::{printable, printable_path};

/// Adds a path for every line of every key file.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    let mut passed = Vec::new();
    for file in in_force(view, paths) {
        let read = add_file(view, file, &passed, files, paths);
        passed.extend(read);
    }
}

/// A key file and the worlds in which sshd reads it.
struct FileInForce {
    path: PathBuf,
    source: Source,
    /// Its place among the key files of each world, where it is one.
    in_world: Vec<Option<usize>>,
}

/// A key file that was read.
struct ReadFile {
    file: FileInForce,
    /// What StrictModes has against it.
    insecure: Option<Verdict>,
    keys: KeyFile,
}

fn in_force(view: &View<'_>, paths: &mut Vec<AccessPath>) -> Vec<FileInForce> {
    let mut found: Vec<FileInForce> = Vec::new();
    for (index, situation) in view.worlds.iter().enumerate() {
        let templates = &situation.settings.authorized_keys_files;
        for (place, template) in templates.iter().enumerate() {
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
                    let in_world = vec![None; view.worlds.len()];
                    found.push(FileInForce {
                        path: file.path,
                        source,
                        in_world,
                    });
                    let last = found.len() - 1;
                    &mut found[last]
                }
            };
            known.in_world[index].get_or_insert(place);
        }
    }
    found
}

fn add_file(
    view: &View<'_>,
    file: FileInForce,
    earlier: &[ReadFile],
    files: &mut dyn KeyFiles,
    paths: &mut Vec<AccessPath>,
) -> Option<ReadFile> {
    let shown = printable_path(&file.path);
    let source = |line| Source {
        file: shown.clone(),
        line,
    };
    let facts = match files.read(view.account, &file.path, ReadAs::Account) {
        Ok(facts) => facts,
        Err(ReadProblem::Missing) => return None,
        Err(problem) => {
            let verdict = unread(&problem);
            paths.push(view.path(Mechanism::SshPublicKey, verdict, source(None), None));
            return None;
        }
    };
    let read = ReadFile {
        file,
        insecure: strict_modes::refuses(&facts, view.account.uid, view.release),
        keys: KeyFile::parse(facts.bytes.as_slice()),
    };
    let mut unparsed_told = 0;
    for entry in read.keys.entries() {
        match entry {
            Entry::Blank | Entry::Comment => {}
            Entry::Unparsed(_) if unparsed_told == UNPARSED_TOLD_MAX => {}
            Entry::Unparsed(unparsed) => {
                unparsed_told += 1;
                let verdict =
                    Verdict::closed(format!("sshd finds no key in this line: {}", unparsed.why));
                let source = source(Some(unparsed.line));
                paths.push(view.path(Mechanism::SshPublicKey, verdict, source, None));
            }
            Entry::Key(key) => {
                let options = key.options.as_ref();
                let mechanism = match options.is_ok_and(|options| options.cert_authority) {
                    true => Mechanism::SshCertificate,
                    false => Mechanism::SshPublicKey,
                };
                let verdict = judge_line(view, &read, key, earlier);
                let source = source(Some(key.line));
                paths.push(view.path(mechanism, verdict, source, Some(key.fingerprint)));
            }
        }
    }
    let mut add_rest = |verdict| {
        paths.push(view.path(Mechanism::SshPublicKey, verdict, source(None), None));
    };
    let entries = read.keys.entries();
    let unparsed = entries.filter(|entry| matches!(entry, Entry::Unparsed(_)));
    let left_out = read.keys.left_out();
    let untold = unparsed.count() - unparsed_told + left_out.unparsed;
    if untold > 0 {
        let why = format!("sshd finds no key in {untold} more lines");
        add_rest(Verdict::closed(why));
    }
    if left_out.foreign > 0 {
        let why = format!("{} more keys are of unknown types", left_out.foreign);
        add_rest(Verdict::unknown(why));
    }
    Some(read)
}

/// The most lines without a key that are told one by one, of each file.
const UNPARSED_TOLD_MAX: usize = 64;

/// What it means that a key file which is there was not read.
fn unread(problem: &ReadProblem) -> Verdict {
    match problem {
        ReadProblem::Denied
        | ReadProblem::Directory
        | ReadProblem::NotRegular
        | ReadProblem::TooManyLinks => Verdict::closed(format!(
            "sshd, reading as the account, takes no keys from it: {problem}"
        )),
        _ => Verdict::unknown(format!("the key file could not be read: {problem}")),
    }
}

fn judge_line(view: &View<'_>, read: &ReadFile, key: &KeyLine, earlier: &[ReadFile]) -> Verdict {
    let worlds = view.worlds.iter().enumerate();
    let verdicts = worlds.map(|(world, situation)| {
        let mut checks = situation.gate.clone();
        if read.file.in_world[world].is_none() {
            checks.closed(format!(
                "AuthorizedKeysFile does not name this file ({})",
                read.file.source.file
            ));
        }
        check_line(view, situation, key, read, &mut checks);
        situation.revoked.check(key, &mut checks);
        check_first(view, world, key, read, earlier, &mut checks);
        (&situation.world, checks.verdict(&how(key, view)))
    });
    merge(verdicts.collect())
}

fn how(key: &KeyLine, view: &View<'_>) -> String {
    let Ok(options) = &key.options else {
        return "the key is accepted".into();
    };
    let mut how = if options.cert_authority {
        let principals = match &options.principals {
            Some(list) => printable(list),
            // Behind such a line sshd takes certificates without a principal, too.
            None => format!(
                "{}, or for nobody in particular,",
                printable(view.account.name.as_str().as_bytes())
            ),
        };
        format!("certificates of this CA for {principals} are accepted")
    } else {
        "the key is accepted".to_owned()
    };
    if options.command.is_some() {
        how.push_str(limits::ONE_COMMAND);
    }
    if let Some(from) = &options.from {
        how.push_str(limits::FROM);
        how.push_str(&printable(from));
    }
    how
}

/// Everything about one line in one world but the gate and the revocations.
fn check_line(
    view: &View<'_>,
    situation: &Situation,
    key: &KeyLine,
    read: &ReadFile,
    checks: &mut Checks,
) {
    let settings = &situation.settings;
    check_public_key_login(view, situation, checks);
    if settings.strict_modes.value
        && let Some(why) = &read.insecure
    {
        checks.add_verdict(why);
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
    ssh_key_options::check(view, options, checks);
    let forced_command = match options.cert_authority {
        true => check_authority(view, situation, key, options, checks),
        false => options.command.is_some(),
    };
    ssh_gate::check_root(
        view.account,
        settings,
        Means::Key { forced_command },
        checks,
    );
    let accepted = &settings.pubkey_accepted_algorithms;
    match key.kind {
        LineKey::Foreign => {
            checks.closed(format!("{} does not know this type of key", view.release))
        }
        LineKey::Certificate => checks.closed("a certificate where a key should be"),
        LineKey::Plain { .. } if key.short_name && !algorithms::takes_short_names(view.release) => {
            checks.closed(format!(
                "{} does not take a short name for the type inside of a key",
                view.release
            ));
        }
        LineKey::Plain { key_type, .. } if !algorithms::is_known(key_type, view.release) => {
            checks.closed(format!(
                "{} does not know {} any more",
                view.release,
                key_type.name()
            ));
        }
        LineKey::Plain { key_type, .. } if options.cert_authority => {
            ssh_certificates::check_algorithms(settings, key_type, checks);
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

/// What a line of a CA says of whom its certificates are for; whether they are bound to a command, or may be.
fn check_authority(
    view: &View<'_>,
    situation: &Situation,
    key: &KeyLine,
    line: &KeyOptions,
    checks: &mut Checks,
) -> bool {
    let Some(certificate) = view.facts.certificate else {
        situation.revoked.note_certificates(key, checks);
        // The forced command may be in the certificate.
        return true;
    };
    let options = ssh_presented::check(view, situation, key, certificate, checks);
    match &line.principals {
        Some(list) => ssh_presented::check_principals_option(list, certificate, checks),
        None if certificate.principals.is_empty() => {}
        None => ssh_certificates::check_name(view, certificate, checks),
    }
    ssh_presented::check_commands(Some(line), options, checks)
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

/// With `PermitRootLogin forced-commands-only` the first line that fits decides, and one without a command shuts out
/// those after it, in its own file and in those that sshd reads later.
fn check_first(
    view: &View<'_>,
    world: usize,
    key: &KeyLine,
    read: &ReadFile,
    earlier: &[ReadFile],
    checks: &mut Checks,
) {
    let situation = &view.worlds[world];
    let settings = &situation.settings;
    if view.account.uid != 0 || settings.permit_root_login.value != RootLogin::ForcedCommandsOnly {
        return;
    }
    let is_authority = |line: &KeyLine| line.options.as_ref().is_ok_and(|o| o.cert_authority);
    // Of all certificates of a CA some may come with a command.
    if is_authority(key) && view.facts.certificate.is_none() {
        return;
    }
    let is_used_instead = |line: &&KeyLine| {
        line.fingerprint == key.fingerprint
            && is_authority(line) == is_authority(key)
            && fits_without_command(view, situation, line)
    };
    let in_this = read.keys.keys().take_while(|line| line.line < key.line);
    let in_this = in_this.map(|line| (read, line));
    let is_before = |other: &&ReadFile| {
        let (theirs, ours) = (other.file.in_world[world], read.file.in_world[world]);
        theirs.is_some_and(|theirs| ours.is_some_and(|ours| theirs < ours))
            && !(settings.strict_modes.value && other.insecure.is_some())
    };
    let before = earlier.iter().filter(is_before);
    let before = before.flat_map(|other| other.keys.keys().map(move |line| (other, line)));
    if let Some((other, line)) = in_this
        .chain(before)
        .find(|(_, line)| is_used_instead(line))
    {
        checks.closed(format!(
            "{}:{} has the same key without a command and is used instead",
            printable_path(&other.file.path),
            line.line
        ));
    }
}

/// Whether sshd surely takes a line before it looks at later ones, and no command is forced.
fn fits_without_command(view: &View<'_>, situation: &Situation, line: &KeyLine) -> bool {
    let Ok(options) = &line.options else {
        return false;
    };
    let mut checks = Checks::default();
    ssh_key_options::check(view, options, &mut checks);
    if options.from.is_some() && view.facts.connection.is_none() {
        return false;
    }
    let is_forced = match (options.cert_authority, view.facts.certificate) {
        (true, Some(_)) => check_authority(view, situation, line, options, &mut checks),
        (true, None) => true,
        (false, _) => options.command.is_some(),
    };
    !is_forced && checks.is_sure_to_pass()
}
