//! git and the forges it talks to.

use super::format::ini::{self, Trailing, lines};
use super::format::yaml;
use super::kind::Kind;
use super::label::{host_of_url, user_of_url};
use super::note::{File, Note, Notes, value};

/// git's store of credentials (git-credential-store(1)): a URL on each line.
pub fn credential_store(file: &File<'_>, notes: &mut Notes<'_>) {
    for line in lines(file.bytes).map(<[u8]>::trim_ascii) {
        in_url(line, notes);
    }
}

/// The password of a URL; without one, the user may be a token.
fn in_url(url: &[u8], notes: &mut Notes<'_>) {
    let Some((user, password)) = user_of_url(url) else {
        return;
    };
    let secret = match password {
        b"" | b"x-oauth-basic" => user,
        _ => password,
    };
    if password.is_empty() && !super::label::has_token_prefix(user) {
        return; // only a name, as in ssh://git@host
    }
    value(notes, Kind::GitCredential, host_of_url(url), secret);
}

/// A git configuration (git-config(1)): the user's, or that of a working copy.
pub fn git_config(file: &File<'_>, notes: &mut Notes<'_>) {
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.is(&["url", "pushurl", "proxy", "insteadof"]) {
            in_url(setting.value, notes);
        }
        // `[url "https://TOKEN@host/"]`
        if let Some(url) = setting.section.strip_prefix(b"url \"")
            && setting.is(&["insteadof", "pushinsteadof"])
        {
            in_url(url.strip_suffix(b"\"").unwrap_or(url), notes);
        }
        if setting.is(&["extraheader"]) {
            let words: Vec<&[u8]> = setting.value.split(|b| *b == b' ').collect();
            if let [name, _scheme, token] = words.as_slice()
                && name.to_ascii_lowercase().starts_with(b"authorization")
            {
                let url = setting.section.split(|b| *b == b'"').nth(1).unwrap_or(b"");
                value(notes, Kind::GitCredential, host_of_url(url), token);
            }
        }
        if setting.is(&["smtppass"]) {
            value(notes, Kind::MailPassword, setting.section, setting.value);
        }
        if setting.is(&["token", "oauth-token"]) {
            value(notes, Kind::GitCredential, setting.section, setting.value);
        }
        if setting.is(&["helper"]) && setting.value.starts_with(b"store") {
            let words = setting.value.split(|b| matches!(b, b' ' | b'='));
            if let Some(path) = words.skip_while(|word| *word != b"--file").nth(1) {
                notes(Note::Refers {
                    path,
                    to: credential_store,
                });
            }
        }
    }
}

/// `hosts.yml` of gh, and hub's configuration.
pub fn github(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if let [host, .., b"oauth_token"] = entry.keys {
            value(notes, Kind::GithubToken, host, entry.value);
        }
    });
}

/// glab's `config.yml`.
pub fn gitlab(file: &File<'_>, notes: &mut Notes<'_>) {
    yaml::scalars(file.bytes, |entry| {
        if let [b"hosts", host, b"token" | b"oauth2_refresh_token"] = entry.keys {
            value(notes, Kind::GitlabToken, host, entry.value);
        }
    });
}

/// `config.toml` of a GitLab runner.
pub fn gitlab_runner(file: &File<'_>, notes: &mut Notes<'_>) {
    let mut runner: &[u8] = b"";
    for setting in ini::settings(file.bytes, Trailing::Comment) {
        if setting.section == b"runners" && setting.is(&["name"]) {
            runner = setting.value;
        }
        if setting.section == b"runners" && setting.is(&["token"]) {
            value(notes, Kind::GitlabToken, runner, setting.value);
        }
    }
}
