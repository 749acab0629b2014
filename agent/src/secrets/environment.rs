//! The environments of services and shells.

use super::format::assign::{Dialect, assignments};
use super::format::{unit, yaml};
use super::hollow::Hollow;
use super::keys;
use super::kind::Kind;
use super::note::{File, Note, Notes, value};
use super::secret_names::{Says, judge_name, secret_in};

/// `.env` files and others that systemd and docker take as an environment.
pub fn env(file: &File<'_>, notes: &mut Notes<'_>) {
    for (name, text) in assignments(file.bytes, Dialect::Env) {
        assignment(Kind::EnvSecret, name, text, notes);
    }
}

/// A shell's start file.
pub fn shell(file: &File<'_>, notes: &mut Notes<'_>) {
    for (name, text) in assignments(file.bytes, Dialect::Shell) {
        // To a shell every `$` is a reference, whatever follows it.
        match text.starts_with(b"$") && judge_name(name) == Says::Secret {
            true => notes(Note::PassedOver {
                kind: Kind::ShellSecret,
                label: name,
                why: Hollow::Indirect,
            }),
            false => assignment(Kind::ShellSecret, name, text, notes),
        }
    }
}

fn assignment(kind: Kind, name: &[u8], text: &[u8], notes: &mut Notes<'_>) {
    match secret_in(name, text) {
        Some(secret) => value(notes, kind, name, secret),
        // A secret's name with nothing behind it is worth a note, a path is not.
        None if judge_name(name) == Says::Secret && text.is_empty() => {
            value(notes, kind, name, b"")
        }
        None => {}
    }
}

/// `compose.yaml`: the `environment` of its services.
pub fn compose(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| match entry.keys {
        [.., b"environment", b""] => {
            for (name, text) in assignments(entry.value, Dialect::Env) {
                assignment(Kind::EnvSecret, name, text, notes);
            }
        }
        [.., b"environment", name] => assignment(Kind::EnvSecret, name, entry.value, notes),
        _ => {}
    });
}

/// A systemd unit: its environment, its command lines, and the files it names.
pub fn systemd_unit(file: &File<'_>, notes: &mut Notes<'_>) {
    unit::settings(file.bytes, |_section, name, text| match name {
        b"Environment" => unit::words(text, |word| {
            if let Some(equals) = word.iter().position(|b| *b == b'=') {
                assignment(
                    Kind::UnitSecret,
                    &word[..equals],
                    &word[equals + 1..],
                    notes,
                );
            }
        }),
        b"EnvironmentFile" => refers(text.strip_prefix(b"-").unwrap_or(text), env, notes),
        b"WorkingDirectory" if text.starts_with(b"/") && text.len() > 1 => {
            let mut path = text.to_vec();
            path.extend_from_slice(b"/.env");
            refers(&path, env, notes);
        }
        b"SetCredential" => {
            if let Some(colon) = text.iter().position(|b| *b == b':') {
                value(
                    notes,
                    Kind::SystemdCredential,
                    &text[..colon],
                    &text[colon + 1..],
                );
            }
        }
        b"LoadCredential" => {
            if let Some(colon) = text.iter().position(|b| *b == b':') {
                refers(&text[colon + 1..], credential, notes);
            }
        }
        _ if name.starts_with(b"Exec") => command_line(text, notes),
        _ => {}
    });
}

/// Paths of a unit are absolute; what has a specifier or a wildcard in it is another file for each
/// instance and is not guessed at.
fn refers(path: &[u8], to: super::recognise::Recogniser, notes: &mut Notes<'_>) {
    if path.starts_with(b"/") && !path.iter().any(|b| b"%*?[".contains(b)) {
        notes(Note::Refers { path, to });
    }
}

/// A command line that everybody can see in ps(1): `--password=…`, `--token …`.
fn command_line(text: &[u8], notes: &mut Notes<'_>) {
    let mut asked: Option<Vec<u8>> = None;
    unit::words(text, |word| {
        if let Some(option) = asked.take()
            && !word.starts_with(b"-")
        {
            option_value(&option, word, notes);
        }
        let Some(option) = word.strip_prefix(b"--") else {
            return;
        };
        match option.iter().position(|b| *b == b'=') {
            Some(equals) => option_value(&option[..equals], &option[equals + 1..], notes),
            None if judge_name(option) == Says::Secret => asked = Some(option.to_vec()),
            None => {}
        }
    });
}

fn option_value(option: &[u8], text: &[u8], notes: &mut Notes<'_>) {
    if let Some(secret) = secret_in(option, text) {
        value(notes, Kind::UnitSecret, option, secret);
    }
}

/// A file of systemd's credential store (systemd-creds(1)), in the clear: its name says what it is.
pub fn credential(file: &File<'_>, notes: &mut Notes<'_>) {
    if file.bytes.starts_with(b"-----BEGIN ") {
        return keys::recognise(file.bytes, Kind::SystemdCredential, notes);
    }
    value(
        notes,
        Kind::SystemdCredential,
        file.name(),
        file.bytes.trim_ascii_end(),
    );
}

/// `~/.ssh/config`: the keys it names.
pub fn ssh_config(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in super::format::ini::lines(file.bytes).map(<[u8]>::trim_ascii) {
        let end = line
            .iter()
            .position(|b| b.is_ascii_whitespace() || *b == b'=');
        let Some((word, rest)) = end.map(|end| line.split_at(end)) else {
            continue;
        };
        if !word.eq_ignore_ascii_case(b"IdentityFile") {
            continue;
        }
        let rest = rest.trim_ascii_start();
        let path = rest.strip_prefix(b"=").unwrap_or(rest).trim_ascii();
        let path = path
            .strip_prefix(b"\"")
            .map_or(path, |p| p.strip_suffix(b"\"").unwrap_or(p));
        // `%d` is the home, the other tokens are another file for each host.
        let path = match path.strip_prefix(b"%d/") {
            Some(rest) => [b"~/", rest].concat(),
            None => path.to_vec(),
        };
        if !path.contains(&b'%') && path != b"none" {
            notes(Note::Refers {
                path: &path,
                to: keys::in_home,
            });
        }
    }
}
