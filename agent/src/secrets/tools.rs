//! Tokens of other command lines, and logins of programs that move files.

use super::cloud::in_json;
use super::containers::whole;
use super::format::ini::{self, Trailing, lines};
use super::format::xml::{self, Event};
use super::format::{base64, yaml};
use super::kind::Kind;
use super::network::quoted_words;
use super::note::{File, Notes, value};

/// Keys under which tools keep their tokens. Of these files everything else is settings.
const TOKEN_KEYS: &str = "token accessToken access_token refresh_token refreshToken oauth_token id_token api_key apiKey \
    key OPENAI_API_KEY auth_token test_mode_api_key live_mode_api_key private_key_passphrase password secret";

fn is_token_key(key: &[u8]) -> bool {
    TOKEN_KEYS.split(' ').any(|name| name.as_bytes() == key)
}

/// A JSON file of a tool that holds tokens under the usual keys.
pub fn json(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| {
        if let [around @ .., last] = keys
            && is_token_key(last)
        {
            let label = around
                .iter()
                .rev()
                .find(|key| !key.is_empty())
                .unwrap_or(last);
            value(notes, Kind::ApiToken, label, text);
        }
    });
}

/// The same in YAML.
pub fn yaml(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if let [around @ .., last] = entry.keys
            && is_token_key(last)
        {
            let label = around
                .iter()
                .rev()
                .find(|key| !key.is_empty())
                .unwrap_or(last);
            value(notes, Kind::ApiToken, label, entry.value);
        }
    });
}

/// The same in sections.
pub fn ini(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if is_token_key(setting.key) {
            let label = if setting.section.is_empty() {
                setting.key
            } else {
                setting.section
            };
            value(notes, Kind::ApiToken, label, setting.value);
        }
    }
}

/// A file that is a token and nothing else.
pub fn token(file: &File<'_>, notes: &mut Notes<'_>) {
    whole(file, Kind::ApiToken, notes);
}

/// Keys of age and of what uses it: `AGE-SECRET-KEY-1…` on lines of their own.
pub fn age(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut public: &[u8] = b"";
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if let Some(told) = line.strip_prefix(b"# public key: ") {
            public = told;
        } else if line.starts_with(b"AGE-SECRET-KEY-1") || line.starts_with(b"AGE-PLUGIN-") {
            value(notes, Kind::AgeKey, public, line);
        }
    }
}

/// FileZilla's sites: passwords in base64 or as they are.
pub fn filezilla(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut host: &[u8] = b"";
    let mut encoded = false;
    xml::events(file.bytes, |event| match event {
        Event::Open { path, attributes } if path.last() == Some(&&b"Pass"[..]) => {
            encoded = attributes.get("encoding") == Some(b"base64");
        }
        Event::Text { path, text } => match path.last() {
            Some(&b"Host") => host = text,
            Some(&b"Pass") => match base64::decode(text).filter(|_| encoded) {
                Some(plain) => value(notes, Kind::FtpPassword, host, &plain),
                None => value(notes, Kind::FtpPassword, host, text),
            },
            _ => {}
        },
        Event::Open { .. } => {}
    });
}

/// Editors' settings for uploads: `sftp.json`, `.ftpconfig`, `.remote-sync.json`.
pub fn upload(file: &File<'_>, notes: &mut Notes<'_>) {
    in_json(file, notes, |keys, text, notes| {
        if let [.., last @ (b"password" | b"passphrase" | b"pass")] = keys {
            value(notes, Kind::FtpPassword, last, text);
        }
    });
}

/// davfs2's `secrets`: a place, a user, a password.
pub fn davfs(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        if line.starts_with(b"#") {
            continue;
        }
        let mut words = quoted_words(line);
        if let (Some(place), Some(_user), Some(password)) =
            (words.next(), words.next(), words.next())
        {
            value(notes, Kind::DavPassword, place, password);
        }
    }
}

/// mutt's `set imap_pass = "…"`.
pub fn mutt(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        let Some(rest) = line.strip_prefix(b"set ") else {
            continue;
        };
        for setting in ini::settings(rest, Trailing::Comment) {
            if setting.is(&["imap_pass", "smtp_pass", "pop_pass", "nntp_pass"]) {
                value(notes, Kind::MailPassword, setting.key, setting.value);
            }
        }
    }
}

/// helm's `repositories.yaml`.
pub fn helm(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut name: Vec<u8> = Vec::new();
    yaml::scalars(file.bytes, |entry| match entry.keys {
        [b"repositories", b"", b"name"] => name = entry.value.to_vec(),
        // The keys of an element are sorted, so its name stands before its password.
        [b"repositories", b"", b"password"] => {
            value(notes, Kind::DockerRegistryAuth, &name, entry.value);
        }
        _ => {}
    });
}

/// `terraform.tfvars`: variables with a secret's name.
pub fn tfvars(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if let Some(secret) = super::secret_names::secret_in(setting.key, setting.value) {
            value(notes, Kind::EnvSecret, setting.key, secret);
        }
    }
}
