//! Which of several credentials in a file: a profile, a host, a principal, the name of a variable.
//!
//! A label comes out of the same file as the secret, and files are not always written as their
//! format wants: `https://TOKEN@host`, a token as a section's name. What could be a value is not
//! told.

use crate::sshd::printable::printable;

/// Longer labels are cut.
const LABEL_BYTES_MAX: usize = 120;
/// A value this short may stand in a label by chance.
const VALUE_BYTES_MIN: usize = 4;

/// A label that may be told, given the value it stands beside; `None` where there is none, or
/// where telling it could tell the value.
pub fn tellable(label: &[u8], value: Option<&[u8]>) -> Option<String> {
    let label = label.trim_ascii();
    let label = match user_of_url(label) {
        Some(_) => host_of_url(label),
        None => label,
    };
    if label.is_empty() || looks_like_a_token(label) {
        return None;
    }
    if let Some(value) = value {
        let contains =
            |a: &[u8], b: &[u8]| b.len() >= VALUE_BYTES_MIN && memchr::memmem::find(a, b).is_some();
        if contains(label, value) || contains(value, label) && label.len() >= 8 {
            return None;
        }
    }
    let mut text = printable(label);
    if text.len() > LABEL_BYTES_MAX {
        let end = (0..=LABEL_BYTES_MAX)
            .rev()
            .find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    Some(text)
}

/// The beginnings of tokens that carry their issuer's name.
const TOKEN_PREFIXES: &str = "\
    ghp_|gho_|ghu_|ghs_|ghr_|github_pat_|glpat-|glrt-|gldt-|xoxb-|xoxp-|xoxa-|xapp-|\
    sk_live_|rk_live_|sk-ant-|sk-proj-|hvs.|hvb.|npm_|pypi-|dop_v1_|AGE-SECRET-KEY-|SG.|\
    AIza|ya29.|eyJ|shpat_|dckr_pat_|lin_api_|ATATT|fo1_|FlyV1 |rubygems_";

/// Whether a text is one of the tokens that carry their issuer's name: its beginning, and enough
/// behind it.
pub fn has_token_prefix(text: &[u8]) -> bool {
    TOKEN_PREFIXES
        .split('|')
        .any(|prefix| text.starts_with(prefix.as_bytes()) && text.len() >= prefix.len() + 16)
}

/// Letters and digits without any order, as long as secrets are.
pub fn looks_random(text: &[u8]) -> bool {
    if text.len() < 16
        || !text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(b))
    {
        return false;
    }
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let upper = text.iter().filter(|b| b.is_ascii_uppercase()).count();
    let lower = text.iter().filter(|b| b.is_ascii_lowercase()).count();
    let hex = text.iter().all(u8::is_ascii_hexdigit);
    // Words and numbers change seldom from letter to digit; random texts do so all the time.
    let changes = text
        .windows(2)
        .filter(|w| class(w[0]) != class(w[1]))
        .count();
    (hex && digits >= 4 && changes >= 4 && text.len() >= 20)
        || (upper > 1 && lower > 1 && changes * 4 >= text.len())
        || (digits >= 4 && changes * 4 >= text.len())
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        _ => 3,
    }
}

fn looks_like_a_token(label: &[u8]) -> bool {
    has_token_prefix(label) || (label.len() >= 24 && looks_random(label))
}

/// The part of a URL that names the host and may be told: no user, no password, no path. Empty
/// where that is not certainly a host, because then it may be a part of a password.
pub fn host_of_url(url: &[u8]) -> &[u8] {
    let (user, rest) = split_url(url);
    let rest = match user {
        Some(_) => rest,
        None => rest.strip_prefix(b"//").unwrap_or(rest),
    };
    let end = rest.iter().position(|b| b"/?#".contains(b));
    let host = &rest[..end.unwrap_or(rest.len())];
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b".-_[]:*".contains(b);
    let port = host
        .iter()
        .rposition(|b| *b == b':')
        .map_or(&b""[..], |at| &host[at + 1..]);
    let port = port.iter().all(|b| b.is_ascii_digit() || *b == b']');
    match port && host.iter().all(plain) && host.len() <= 253 {
        true => host,
        false => b"",
    }
}

/// User and password of a URL as they stand, percent signs and all; `None` without a `@`.
pub fn user_of_url(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let user = split_url(url).0?;
    match user.iter().position(|b| *b == b':') {
        Some(colon) => Some((&user[..colon], &user[colon + 1..])),
        None => Some((user, b"")),
    }
}

/// What stands before the `@` of a URL, and what follows it, or follows the scheme.
///
/// Only a slash ends the part with the user: people forget to encode `#`, `?` and `@`. Where they
/// forget it of a slash, too, a colon before it gives that away that is not followed by a port.
fn split_url(url: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(scheme) = url.windows(3).position(|w| w == b"://") else {
        return (None, url);
    };
    let rest = &url[scheme + 3..];
    let slash = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let authority = &rest[..slash];
    let at = authority.iter().rposition(|b| *b == b'@').or_else(|| {
        let colon = authority.iter().position(|b| *b == b':')?;
        let port = authority[colon + 1..].iter().all(u8::is_ascii_digit);
        let at = rest.iter().rposition(|b| *b == b'@')?;
        (!port).then_some(at)
    });
    match at {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_could_be_values_are_not_told() {
        let told = |label: &str, value: &str| tellable(label.as_bytes(), Some(value.as_bytes()));
        assert_eq!(told("default", "s3cr3t"), Some("default".into()));
        assert_eq!(told("prod\x1b[2J", "s3cr3t"), Some("prod\\u{1b}[2J".into()));
        assert_eq!(told("", "s3cr3t"), None);
        assert_eq!(told("https://u:p@r.test/v1/", "x"), Some("r.test".into()));
        assert_eq!(told("s3cr3t@host", "s3cr3t"), None);
        assert_eq!(told("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "x"), None);
        assert_eq!(told("4fQz81LkW0pX7sBv93TnYc55", "x"), None);
        for kept in [
            "host/web-01.example.org@EXAMPLE.ORG",
            "https://index.docker.io/v1/",
            "gke_my-project_europe-west1_cluster",
            "deploy@build.internal",
            "AWS_SECRET_ACCESS_KEY",
            "SECRET_KEY_BASE_FOR_PRODUCTION_2",
        ] {
            assert_eq!(told(kept, "another value"), Some(kept.into()), "{kept}");
        }
        assert_eq!(tellable(&[b'a'; 500], None).map(|l| l.len()), Some(123));
    }

    #[test]
    fn urls_give_away_their_host_only() {
        for (url, host, user) in [
            (
                "https://alice:tok@git.test/x",
                "git.test",
                Some(("alice", "tok")),
            ),
            (
                "https://tok@git.test:8443",
                "git.test:8443",
                Some(("tok", "")),
            ),
            ("https://git.test/a@b", "git.test", None),
            ("//registry.test/npm/", "registry.test", None),
            (
                "postgres://u:p@@w@db:5432/x?y=1",
                "db:5432",
                Some(("u", "p@@w")),
            ),
            ("https://index.docker.io/v1/", "index.docker.io", None),
            ("registry.test:5000", "registry.test:5000", None),
            // What ought to be encoded and is not.
            (
                "https://u@x.test:pass!#@4@git.test",
                "git.test",
                Some(("u@x.test", "pass!#@4")),
            ),
            ("https://u:p/w@git.test/x", "git.test", Some(("u", "p/w"))),
            ("u:pa$$", "", None),
            ("https://u:pa$$", "", None),
            ("https://git.test:8443/a@b", "git.test:8443", None),
        ] {
            assert_eq!(host_of_url(url.as_bytes()), host.as_bytes(), "{url}");
            let want = user.map(|(u, p)| (u.as_bytes(), p.as_bytes()));
            assert_eq!(user_of_url(url.as_bytes()), want, "{url}");
        }
    }

    #[test]
    fn random_and_not() {
        for random in [
            "9f86d081884c7d659a2feaa0c55ad015",
            "kT9vQ2mZ7xW4pL8sD3fG",
            "a1b2c3d4e5f6g7h8",
        ] {
            assert!(looks_random(random.as_bytes()), "{random}");
        }
        for not in [
            "production-database",
            "my_application_name",
            "short1",
            "EuropeWestOne",
            "20240101000000000",
            "us-east-1-primary-key",
        ] {
            assert!(!looks_random(not.as_bytes()), "{not}");
        }
    }
}
