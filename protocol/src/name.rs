//! Names that are valid by construction: whoever holds one need not check it again.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::cbor::{bytes_codec, serde_as_text, text_codec};

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct BadName {
    what: &'static str,
    why: &'static str,
}

impl BadName {
    const fn new(what: &'static str, why: &'static str) -> Self {
        Self { what, why }
    }
}

macro_rules! uuid_name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Uuid);

        impl $type {
            /// The 16 bytes of the UUID (RFC 9562), as they go on the wire.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
            /// From the 16 bytes of a UUID; any bytes will do.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
            /// Wraps a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl FromStr for $type {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| BadName::new($what, "not a UUID"))
            }
        }
        bytes_codec!($type, 16);
        serde_as_text!($type);
    };
}

uuid_name!(
    /// A host, as the control plane named it at enrolment (UUID version 4).
    HostId,
    "host id"
);
uuid_name!(
    /// An order (UUID version 7: sorts by the time it was issued).
    OrderId,
    "order id"
);

/// The longest name accepted: LOGIN_NAME_MAX of Linux without its NUL.
const NAME_BYTES_MAX: usize = 255;

/// A name that can be field 1 of an account file.
macro_rules! account_file_name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                match why_no_name(text) {
                    Some(why) => Err(BadName::new($what, why)),
                    None => Ok(Self(text.into())),
                }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        text_codec!($type);
        serde_as_text!($type);
    };
}

account_file_name!(
    /// The name of an account: field 1 of passwd(5).
    ///
    /// Wider than what useradd(8) recommends, because hosts hold such names: it excludes only what
    /// cannot stand in passwd(5) (`:` and control characters), what begins a NIS line (`+`, `-`), and
    /// blanks at the ends. It may contain `/` or `..`: never build a path from it.
    AccountName,
    "account name"
);
account_file_name!(
    /// The name of a group: field 1 of group(5). As wide as an [`AccountName`], for the same reasons.
    GroupName,
    "group name"
);

fn why_no_name(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("empty");
    }
    if text.len() > NAME_BYTES_MAX {
        return Some("longer than 255 bytes");
    }
    if text.starts_with(['+', '-']) {
        return Some("begins with '+' or '-', which marks a NIS line");
    }
    if text.contains([':', ',']) || text.chars().any(char::is_control) {
        return Some("contains ':', ',' or a control character");
    }
    (text.trim() != text).then_some("begins or ends with a blank")
}

/// A host's name as people say it: the letters of a DNS name (RFC 1123), 1 to 253 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl FromStr for HostName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| Err(BadName::new("host name", why));
        if text.is_empty() || text.len() > 253 {
            return bad("want 1 to 253 bytes");
        }
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !text.chars().all(letter) || text.starts_with(['-', '.']) {
            return bad("want letters, digits, '-', '_' and '.'");
        }
        Ok(Self(text.into()))
    }
}
impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_codec!(HostName);
serde_as_text!(HostName);

/// The name of a section of a survey: 1 to 32 of `a-z` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SectionName(Box<str>);

impl SectionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl FromStr for SectionName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if text.is_empty() || text.len() > 32 || !text.bytes().all(letter) {
            return Err(BadName::new(
                "section",
                "want 1 to 32 of 'a' to 'z' and '_'",
            ));
        }
        Ok(Self(text.into()))
    }
}
impl fmt::Display for SectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
text_codec!(SectionName);
serde_as_text!(SectionName);

/// The SHA-256 of an SSH public key blob, written as ssh-keygen(1) does: `SHA256:` and base64
/// without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// From a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The fingerprint of a public key blob (the base64 part of a key line, decoded).
    pub fn of_blob(blob: &[u8]) -> Self {
        Self(crate::sign::sha256(&[blob]))
    }
}
impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}
impl FromStr for KeyFingerprint {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::new(
            "key fingerprint",
            "want SHA256:… as printed by ssh-keygen -lf",
        );
        let base64 = text.strip_prefix("SHA256:").ok_or(bad.clone())?;
        let bytes = STANDARD_NO_PAD
            .decode(base64.trim_end_matches('='))
            .map_err(|_| bad.clone())?;
        Ok(Self(bytes.try_into().map_err(|_| bad)?))
    }
}
bytes_codec!(KeyFingerprint, 32);
serde_as_text!(KeyFingerprint);

/// A SHA-256 digest, written in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// From a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crate::sign::sha256(&[bytes]))
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl FromStr for Digest {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = BadName::new("digest", "want 64 hexadecimal digits");
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad);
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad.clone())?;
        }
        Ok(Self(bytes))
    }
}
bytes_codec!(Digest, 32);
serde_as_text!(Digest);

/// A wall-clock instant: milliseconds since 1970-01-01T00:00:00Z, no leap seconds.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct UnixMillis(#[n(0)] pub u64);

impl UnixMillis {
    /// This instant plus some milliseconds, saturating.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}
impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds, proleptic Gregorian calendar.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Days to civil date: Howard Hinnant's algorithm, with years counted from March.
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
            ms % 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_hosts_really_hold_are_names() {
        for name in [
            "alice", "svc-db", "../x", "$(id)", "a;b", "ünï", "1234", "a b", "john.doe", "WIN\\bob",
        ] {
            assert_eq!(name.parse::<AccountName>().unwrap().as_str(), name);
        }
        for name in [
            "", ":", "a:b", "a\nb", "a\rb", "a\0", "+nis", "-x", " a", "a ", "a,b",
        ] {
            assert!(name.parse::<AccountName>().is_err(), "{name:?}");
        }
        assert!("x".repeat(256).parse::<AccountName>().is_err());
    }

    #[test]
    fn a_fingerprint_is_the_one_ssh_keygen_prints() {
        // ssh-keygen -lf of this very line printed the fingerprint below.
        let blob = base64::engine::general_purpose::STANDARD
            .decode("AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f")
            .unwrap();
        let text = KeyFingerprint::of_blob(&blob).to_string();
        assert_eq!(text, "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA");
        assert_eq!(text.parse::<KeyFingerprint>().unwrap().to_string(), text);
        assert!("MD5:aa".parse::<KeyFingerprint>().is_err());
    }

    #[test]
    fn instants_read_as_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_423_384_123, "2026-11-23T08:43:04.123Z"),
        ] {
            assert_eq!(UnixMillis(ms).to_string(), text);
        }
    }
}
