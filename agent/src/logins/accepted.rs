//! What sshd(8) and login(1) write when they let somebody in.
//!
//! sshd's line is that of `auth_log` in auth.c, the same since OpenSSH 6.3:
//!
//! ```text
//! Accepted publickey for alice from 192.0.2.7 port 40000 ssh2: ED25519 SHA256:…
//! Accepted publickey for alice from 192.0.2.7 port 40000 ssh2: ED25519-CERT SHA256:… ID x (serial 7) CA RSA SHA256:…
//! Accepted password for alice from 192.0.2.7 port 40000 ssh2
//! ```

use std::net::IpAddr;

use rescind_protocol::name::KeyFingerprint;

use super::login::How;

/// The longest line that is looked at, in bytes. Account names and key ids are limited by sshd.
pub const LINE_BYTES_MAX: usize = 8 << 10;
/// How every line about somebody who was let in by sshd begins.
pub const ACCEPTED: &[u8] = b"Accepted ";

/// What such a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<'m> {
    /// As whom; sshd cuts it off after 100 bytes.
    pub account: &'m [u8],
    /// From where, without the zone of a link-local address; `None` for what is no address.
    pub from: Option<IpAddr>,
    /// By which proof.
    pub how: How,
    /// The key, where the line has its SHA-256.
    pub key: Option<KeyFingerprint>,
    /// The key of the CA that signed the certificate.
    pub authority: Option<KeyFingerprint>,
}

/// A line of sshd's that says that somebody was let in.
///
/// Account names can hold blanks, and whoever made a certificate chose its id: the line is taken
/// apart so that neither can pass for another part of it. An account name holds no colon.
pub fn sshd(message: &[u8]) -> Option<Accepted<'_>> {
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    if message.len() > LINE_BYTES_MAX {
        return None;
    }
    let rest = message.strip_prefix(ACCEPTED)?;
    let blank = find(rest, b" ")?;
    let (method, rest) = (&rest[..blank], rest[blank..].strip_prefix(b" for ")?);
    let mut searched = 0;
    loop {
        let at = searched + find(&rest[searched..], b" from ")?;
        if let Some((from, info)) = peer(&rest[at + 6..]) {
            let (how, key, authority) = proof(method, info);
            return Some(Accepted {
                account: &rest[..at],
                from,
                how,
                key,
                authority,
            });
        }
        searched = at + 1;
    }
}

/// `ADDRESS port N ssh2`, alone or before `: ` and more.
fn peer(text: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    let mut words = text.splitn(4, |byte| *byte == b' ');
    let (address, port, number, rest) = (words.next()?, words.next()?, words.next()?, words.next());
    let digits = (1..=5).contains(&number.len()) && number.iter().all(u8::is_ascii_digit);
    if port != b"port" || !digits {
        return None;
    }
    let info = match rest?.strip_prefix(b"ssh2")? {
        b"" => b"",
        info => info.strip_prefix(b": ")?,
    };
    let address = address.split(|byte| *byte == b'%').next()?;
    let from: Option<IpAddr> = std::str::from_utf8(address).ok()?.parse().ok();
    if from.is_none() && address != b"UNKNOWN" {
        return None;
    }
    Some((from, info))
}

type Proof = (How, Option<KeyFingerprint>, Option<KeyFingerprint>);

fn proof(method: &[u8], info: &[u8]) -> Proof {
    let method = method.split(|byte| *byte == b'/').next().unwrap_or(method);
    let how = match method {
        b"publickey" => return public_key(info),
        b"password" => How::Password,
        b"keyboard-interactive" => How::KeyboardInteractive,
        b"hostbased" => How::Hostbased,
        b"none" => How::Nothing,
        method if method.starts_with(b"gssapi") => How::Gssapi,
        _ => How::Session,
    };
    // The key of `hostbased` is the other host's, not one of the account's.
    (how, None, None)
}

/// `TYPE SHA256:…`, of a certificate with ` ID id (serial N) CA TYPE SHA256:…` behind it.
fn public_key(info: &[u8]) -> Proof {
    let mut words = info.splitn(3, |byte| *byte == b' ');
    let kind = words.next().unwrap_or_default();
    let key = words.next().and_then(fingerprint);
    if !kind.ends_with(b"-CERT") {
        return (How::PublicKey, key, None);
    }
    // The id can hold anything, so the CA is read from the end.
    let tail = words.next().unwrap_or_default();
    let mut tail = tail.rsplitn(4, |byte| *byte == b' ');
    let (digest, _, ca) = (tail.next(), tail.next(), tail.next());
    let authority = digest.filter(|_| ca == Some(b"CA")).and_then(fingerprint);
    (How::Certificate, key, authority)
}

fn fingerprint(word: &[u8]) -> Option<KeyFingerprint> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The account of login(1)'s line, as pam_unix(8) writes it when its session begins:
/// `pam_unix(login:session): session opened for user alice(uid=1000) by LOGIN(uid=0)`; before
/// Linux-PAM 1.4 without the first uid.
pub fn console(message: &[u8]) -> Option<&[u8]> {
    let rest = message.strip_prefix(b"pam_unix(login:session): session opened for user ")?;
    let rest = rest.get(..LINE_BYTES_MAX.min(rest.len()))?;
    // The name can hold ` by `: the last one is ours, and what stands behind it has no blank.
    let by = rest.windows(4).rposition(|window| window == b" by ")?;
    let name = &rest[..by];
    let Some(open) = name.iter().rposition(|byte| *byte == b'(') else {
        return Some(name);
    };
    let uid = name[open..]
        .strip_prefix(b"(uid=")
        .and_then(|uid| uid.strip_suffix(b")"));
    match uid {
        Some(uid) if !uid.is_empty() && uid.iter().all(u8::is_ascii_digit) => Some(&name[..open]),
        _ => Some(name),
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "SHA256:Gd7Pz0CQsPHxsNfzIEYcFZKTGoi0ho3wbar8QvwLOKw";
    const B: &str = "SHA256:0DNbuv8AumXaoi3idW9FxCrYU9FwBBbMMID/9LrRO/A";

    /// `account | from | how | key | authority`, or nothing.
    fn read(message: &str) -> String {
        let Some(found) = sshd(message.as_bytes()) else {
            return String::new();
        };
        let key = |key: Option<KeyFingerprint>| key.map_or("-".into(), |key| key.to_string());
        format!(
            "{}|{}|{}|{}|{}",
            found.account.escape_ascii(),
            found.from.map_or("-".into(), |from| from.to_string()),
            found.how.word(),
            key(found.key),
            key(found.authority)
        )
    }

    #[test]
    fn lines_as_three_releases_write_them() {
        for (line, want) in [
            (
                format!("Accepted publickey for alice from 10.78.1.1 port 42442 ssh2: ED25519 {A}"),
                format!("alice|10.78.1.1|publickey|{A}|-"),
            ),
            (
                format!(
                    "Accepted publickey for alice from 10.78.1.1 port 42442 ssh2: ED25519-SK {A}\n"
                ),
                format!("alice|10.78.1.1|publickey|{A}|-"),
            ),
            (
                format!(
                    "Accepted publickey for alice from 10.78.3.1 port 59570 ssh2: ED25519-CERT {A} \
                     ID alice id (serial 9) \"x\" (serial 77) CA ED25519 {B}"
                ),
                format!("alice|10.78.3.1|certificate|{A}|{B}"),
            ),
            (
                "Accepted password for root from fe80::1%eth0 port 1 ssh2".into(),
                "root|fe80::1|password|-|-".into(),
            ),
            (
                "Accepted keyboard-interactive/pam for a b from ::1 port 22 ssh2".into(),
                "a b|::1|keyboard-interactive|-|-".into(),
            ),
            (
                "Accepted gssapi-with-mic for alice from 192.0.2.1 port 5 ssh2: alice@EXAMPLE.ORG"
                    .into(),
                "alice|192.0.2.1|gssapi|-|-".into(),
            ),
            (
                format!(
                    "Accepted hostbased for alice from 192.0.2.1 port 5 ssh2: RSA {A} client user \
                     \"alice\", client host \"build\""
                ),
                "alice|192.0.2.1|hostbased|-|-".into(),
            ),
            (
                "Accepted none for guest from UNKNOWN port 65535 ssh2".into(),
                "guest|-|none|-|-".into(),
            ),
            (
                "Accepted publickey for old from 192.0.2.1 port 5 ssh2: RSA MD5:16:27:ac".into(),
                "old|192.0.2.1|publickey|-|-".into(),
            ),
            (
                "Accepted publickey for older from 192.0.2.1 port 5 ssh2".into(),
                "older|192.0.2.1|publickey|-|-".into(),
            ),
        ] {
            assert_eq!(read(&line), want, "{line}");
        }
    }

    #[test]
    fn what_somebody_chose_is_not_taken_for_what_sshd_says() {
        // A certificate's id that looks like the rest of another line.
        let id = format!("x from 6.6.6.6 port 6 ssh2: ED25519 {B} (serial 1) CA RSA {B}");
        assert_eq!(
            read(&format!(
                "Accepted publickey for alice from 10.0.0.1 port 4 ssh2: RSA-CERT {A} ID {id} (serial 0) CA RSA {A}"
            )),
            format!("alice|10.0.0.1|certificate|{A}|{A}")
        );
        // An account's name that does.
        assert_eq!(
            read("Accepted password for x from 1.1.1.1 port 1 ssh2 from 2.2.2.2 port 2 ssh2"),
            "x from 1.1.1.1 port 1 ssh2|2.2.2.2|password|-|-"
        );
        for line in [
            "",
            "Accepted ",
            "Accepted publickey",
            "Accepted publickey for ",
            "Accepted publickey for alice",
            "Accepted publickey for alice from 10.0.0.1",
            "Accepted publickey for alice from 10.0.0.1 port x ssh2",
            "Accepted publickey for alice from 10.0.0.1 port 22 ssh1",
            "Accepted publickey for alice from nowhere port 22 ssh2",
            "accepted publickey for alice from 10.0.0.1 port 22 ssh2",
            "Failed password for alice from 10.0.0.1 port 22 ssh2",
            "Partial publickey for alice from 10.0.0.1 port 22 ssh2",
            " Accepted publickey for alice from 10.0.0.1 port 22 ssh2",
        ] {
            assert_eq!(read(line), "", "{line}");
        }
        let long = format!(
            "Accepted password for {} from 1.1.1.1 port 1 ssh2",
            "a".repeat(9000)
        );
        assert_eq!(read(&long), "");
    }

    #[test]
    fn a_login_at_the_console() {
        for (line, want) in [
            (
                "pam_unix(login:session): session opened for user alice(uid=1000) by LOGIN(uid=0)",
                Some("alice"),
            ),
            (
                "pam_unix(login:session): session opened for user alice by LOGIN(uid=0)",
                Some("alice"),
            ),
            (
                "pam_unix(login:session): session opened for user a by b(uid=7) by (uid=0)",
                Some("a by b"),
            ),
            (
                "pam_unix(su:session): session opened for user root(uid=0) by alice(uid=1000)",
                None,
            ),
            (
                "pam_unix(login:session): session closed for user alice",
                None,
            ),
            ("pam_unix(login:session): session opened for user ", None),
        ] {
            assert_eq!(console(line.as_bytes()), want.map(str::as_bytes), "{line}");
        }
    }
}
