//! Registries of packages, and what else stands in a home to log in to servers with.

use super::cloud::in_json;
use super::format::ini::{self, Trailing, lines};
use super::format::xml::{self, Event};
use super::format::yaml;
use super::kind::Kind;
use super::label::{host_of_url, user_of_url};
use super::note::{File, Note, Notes, value};
use super::secret_names::{Says, judge_name};

/// `.netrc` (netrc(5)).
pub fn netrc(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut machine: &[u8] = b"";
    let mut in_macro = false;
    for line in lines(file.bytes) {
        // A macro ends with an empty line.
        if in_macro && !line.trim_ascii().is_empty() {
            continue;
        }
        in_macro = false;
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match word {
                _ if word.starts_with(b"#") => break,
                b"machine" => machine = words.next().unwrap_or(b""),
                b"default" => machine = b"default",
                b"login" | b"account" => {
                    words.next();
                }
                b"password" | b"passwd" => {
                    let text = words.next().unwrap_or(b"");
                    let text = ini::unquoted(text, Trailing::Nothing);
                    value(notes, Kind::NetrcPassword, machine, text);
                }
                b"macdef" => {
                    in_macro = true;
                    break;
                }
                _ => {}
            }
        }
    }
}

/// `.npmrc`: `//registry/:_authToken=…`.
pub fn npm(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        let Some(equals) = line.iter().position(|b| *b == b'=') else {
            continue;
        };
        let (key, text) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
        let (registry, name) = match key.iter().rposition(|b| *b == b':') {
            Some(colon) => (&key[..colon], &key[colon + 1..]),
            None => (&b""[..], key),
        };
        if matches!(name, b"_authToken" | b"_auth" | b"_password") {
            value(
                notes,
                Kind::NpmToken,
                host_of_url(registry),
                ini::unquoted(text, Trailing::Nothing),
            );
        }
    }
}

/// `.yarnrc.yml`.
pub fn yarn(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if let [around @ .., b"npmAuthToken" | b"npmAuthIdent"] = entry.keys {
            let registry = around.last().copied().unwrap_or_default();
            value(notes, Kind::YarnToken, host_of_url(registry), entry.value);
        }
    });
}

/// `.pypirc`, and poetry's `auth.toml`.
pub fn pypi(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if setting.is(&["password"]) {
            value(notes, Kind::PypiPassword, setting.section, setting.value);
        }
        if let Some(name) = setting
            .section
            .strip_prefix(b"pypi-token")
            .filter(|_| !setting.value.is_empty())
        {
            let label = name.strip_prefix(b".").unwrap_or(setting.key);
            value(notes, Kind::PypiPassword, label, setting.value);
        }
    }
}

/// `pip.conf`: passwords in the URLs of indexes.
pub fn pip(file: &File<'_>, notes: &mut Notes<'_>) {
    // `extra-index-url` goes on over lines, so every line is looked at.
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if matches!(line.first(), None | Some(b'#' | b';')) {
            continue;
        }
        for word in line.split(|b| matches!(b, b' ' | b'\t' | b'=')) {
            if let Some((user, password)) = user_of_url(word) {
                let secret = if password.is_empty() { user } else { password };
                value(notes, Kind::PipIndexPassword, host_of_url(word), secret);
            }
        }
    }
}

/// `credentials` and `credentials.toml` of cargo.
pub fn cargo(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.section.starts_with(b"registr") && setting.is(&["token", "secret-key"]) {
            let name = setting
                .section
                .strip_prefix(b"registries.")
                .unwrap_or(b"crates-io");
            value(notes, Kind::CargoToken, name, setting.value);
        }
    }
}

/// `~/.gem/credentials`.
pub fn gem(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if let [name] = entry.keys {
            value(notes, Kind::GemKey, name, entry.value);
        }
    });
}

/// Composer's `auth.json`.
pub fn composer(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| match keys {
        [b"http-basic", host, b"password"]
        | [b"gitlab-oauth", host, b"token"]
        | [b"bitbucket-oauth", host, b"consumer-secret"]
        | [b"github-oauth" | b"gitlab-token" | b"bearer", host] => {
            value(notes, Kind::ComposerAuth, host, text);
        }
        _ => {}
    });
}

/// Maven's `settings.xml`.
pub fn maven(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut server: &[u8] = b"";
    xml::events(file.bytes, |event| match event {
        Event::Open { path, .. } if path.last() == Some(&&b"server"[..]) => server = b"",
        Event::Text { path, text } => match path {
            [.., b"server", b"id"] => server = text,
            [.., b"server" | b"proxy", b"password" | b"passphrase"] => {
                // `{…}` is encrypted with the password of settings-security.xml.
                match text.starts_with(b"{") && text.ends_with(b"}") {
                    true => notes(super::note::sealed(Kind::MavenPassword, server, text)),
                    false => value(notes, Kind::MavenPassword, server, text),
                }
            }
            _ => {}
        },
        Event::Open { .. } => {}
    });
}

/// Gradle's `gradle.properties`.
pub fn gradle(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Nothing) {
        if judge_name(setting.key) == Says::Secret {
            value(notes, Kind::GradleSecret, setting.key, setting.value);
        }
    }
}

/// `NuGet.Config`.
pub fn nuget(file: &File<'_>, notes: &mut Notes<'_>) {
    xml::events(file.bytes, |event| {
        let Event::Open {
            path: [.., b"packageSourceCredentials", source, b"add"],
            attributes,
        } = event
        else {
            return;
        };
        let text = attributes.get("value").unwrap_or(b"");
        match attributes.get("key") {
            Some(b"ClearTextPassword") => value(notes, Kind::NugetPassword, source, text),
            Some(b"Password") => notes(super::note::sealed(Kind::NugetPassword, source, text)),
            _ => {}
        }
    });
}

/// `.bundle/config`: `BUNDLE_HOST: "user:password"`.
pub fn bundle(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        let [name] = entry.keys else { return };
        let Some(host) = name
            .strip_prefix(b"BUNDLE_")
            .filter(|host| memchr::memmem::find(host, b"__").is_some())
        else {
            return;
        };
        let colon = entry.value.iter().position(|b| *b == b':');
        if let Some(colon) = colon.filter(|_| !entry.value.starts_with(b"http")) {
            value(notes, Kind::GemKey, host, &entry.value[colon + 1..]);
        } else if super::label::looks_random(entry.value) {
            notes(Note::Held(super::note::Sighting {
                kind: Kind::GemKey,
                label: host,
                encrypted: false,
                key_type: ("", 0),
                mark: super::note::Mark::Value(entry.value),
            }));
        }
    });
}
