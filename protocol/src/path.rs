//! One way to act on a host, and whether it is open.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::name::{AccountName, KeyFingerprint};

/// How somebody gets in or acts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Mechanism {
    /// A key line of an AuthorizedKeysFile (sshd(8)).
    #[n(0)]
    SshPublicKey,
    /// A certificate signed by a CA that sshd trusts.
    #[n(1)]
    SshCertificate,
    /// A password over ssh, asked by sshd or by PAM (`keyboard-interactive`).
    #[n(2)]
    SshPassword,
    /// Trust in another host's word (`HostbasedAuthentication`).
    #[n(3)]
    SshHostbased,
    /// Kerberos through GSSAPI.
    #[n(4)]
    SshGssapi,
    /// Keys that a program hands to sshd (`AuthorizedKeysCommand`).
    #[n(5)]
    SshKeysCommand,
    /// A password at the console, or to su(1).
    #[n(6)]
    ConsolePassword,
    /// A login session that is open now.
    #[n(7)]
    Session,
    /// A process that runs now.
    #[n(8)]
    Process,
    /// A rule of sudoers(5).
    #[n(9)]
    Sudo,
    /// A job of crontab(5), or of anacrontab(5).
    #[n(10)]
    Crontab,
    /// A job of at(1) or batch(1).
    #[n(11)]
    AtJob,
    /// A unit of the system's systemd(1) that runs as the account (`User=`).
    #[n(12)]
    SystemdUnit,
    /// The account's own systemd(1), kept running by linger, and what it starts.
    #[n(13)]
    SystemdUserUnit,
    /// A group whose members can become root without any further rule (docker, disk …).
    #[n(14)]
    RootEquivalentGroup,
    /// Another account with the same uid: to the kernel they are one.
    #[n(15)]
    SharedUid,
    /// A group that can be entered with its password, or changed by its administrator
    /// (gshadow(5)).
    #[n(16)]
    GroupPassword,
    /// A rule of polkit(8).
    #[n(17)]
    Polkit,
    /// A rule of doas.conf(5).
    #[n(18)]
    Doas,
    /// Membership of a group, whatever it is good for: told of the group that an order is about.
    #[n(19)]
    GroupMembership,
}

/// Whether a path can be used now.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum PathState {
    /// It can be used.
    #[n(0)]
    Open,
    /// It cannot be used; the reason says what keeps it shut.
    #[n(1)]
    Closed,
    /// It could not be told; the reason says why. Never the same as closed.
    #[n(2)]
    Unknown,
}

/// Where a path is configured.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(map)]
pub struct Source {
    /// The file, as the host names it; bytes that are not printable UTF-8 are escaped (`\xff`).
    #[n(0)]
    pub file: String,
    /// The line in it, from 1, where there is one.
    #[n(1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub line: Option<u32>,
}

/// The longest reason of a path, in bytes.
///
/// Hundreds of them are told in one record of evidence, and what a reason quotes may come from a
/// file of the account that is to be shut out: a crontab, the `from=` of a key.
pub const REASON_BYTES_MAX: usize = 512;

/// A text cut to [`REASON_BYTES_MAX`] bytes, with `…` where something was cut off.
pub fn in_short(text: String) -> String {
    in_short_with(text, "")
}

/// The same, with an end that is kept.
pub fn in_short_with(mut text: String, end: &str) -> String {
    const CUT: char = '…';
    if text.len() + end.len() > REASON_BYTES_MAX {
        let room = REASON_BYTES_MAX.saturating_sub(CUT.len_utf8() + end.len());
        let at = (0..=room).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(at.unwrap_or(0));
        text.push(CUT);
    }
    text + end
}

/// One way to act on a host as an account.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct AccessPath {
    /// The account.
    #[n(0)]
    pub account: AccountName,
    /// Its uid.
    #[n(1)]
    pub uid: u32,
    /// How.
    #[n(2)]
    pub mechanism: Mechanism,
    /// Open, closed or unknown.
    #[n(3)]
    pub state: PathState,
    /// What decides the state, for a person to read; at most [`REASON_BYTES_MAX`].
    #[n(4)]
    pub reason: String,
    /// Where it is configured.
    #[n(5)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub source: Option<Source>,
    /// The key, for paths that need one.
    #[n(6)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub fingerprint: Option<KeyFingerprint>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let whole = "x".repeat(REASON_BYTES_MAX);
        assert_eq!(in_short(whole.clone()), whole);
        for text in [
            whole + "x",
            "ü".repeat(REASON_BYTES_MAX),
            "…".repeat(REASON_BYTES_MAX),
        ] {
            let short = in_short(text.clone());
            assert!(short.len() <= REASON_BYTES_MAX && short.len() > REASON_BYTES_MAX - 4);
            assert!(text.starts_with(short.strip_suffix('…').unwrap()));
            let ended = in_short_with(text, "; end");
            assert!(ended.ends_with("…; end") && ended.len() <= REASON_BYTES_MAX);
        }
    }
}
