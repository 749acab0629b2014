//! One login.

use rescind_protocol::name::{AccountName, KeyFingerprint, UnixMillis};

/// The most of where somebody came from that is kept, in bytes.
const FROM_BYTES_MAX: usize = 64;

/// Somebody was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// When, by the host's clock.
    pub at: UnixMillis,
    /// As whom.
    pub account: AccountName,
    /// From where: an address, or what the source has for one; printable. `None` for a console.
    pub from: Option<Box<str>>,
    /// By which proof.
    pub how: How,
    /// The key that was shown, or the key of the certificate.
    pub key: Option<KeyFingerprint>,
    /// The key of the CA that signed the certificate.
    pub authority: Option<KeyFingerprint>,
    /// Who says so.
    pub source: Source,
}

/// What somebody showed to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// A key of an AuthorizedKeysFile, or of AuthorizedKeysCommand.
    PublicKey,
    /// A certificate.
    Certificate,
    /// A password that sshd asked for itself.
    Password,
    /// What PAM asked for.
    KeyboardInteractive,
    /// The word of another host.
    Hostbased,
    /// A Kerberos ticket.
    Gssapi,
    /// Nothing: the password is empty.
    Nothing,
    /// login(1) at a console.
    Console,
    /// A session was opened; the source does not say how.
    Session,
}

impl How {
    /// The word for it; stable.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::Certificate => "certificate",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Hostbased => "hostbased",
            Self::Gssapi => "gssapi",
            Self::Nothing => "none",
            Self::Console => "console",
            Self::Session => "session",
        }
    }
}

/// Who says that somebody was let in, the most reliable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The journal: the kernel vouches that the line came from a process of root's.
    Journal,
    /// A text file of syslogd, into which every user of the host can have a line written.
    AuthLog,
    /// wtmp(5); group utmp, and through utempter(8) a user about itself, can add to it.
    Wtmp,
    /// utmp(5), as wtmp.
    Utmp,
    /// lastlog(8).
    Lastlog,
}

impl Source {
    /// The word for it; stable.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::AuthLog => "auth_log",
            Self::Wtmp => "wtmp",
            Self::Utmp => "utmp",
            Self::Lastlog => "lastlog",
        }
    }

    /// Whether no user of the host could have written it.
    pub const fn is_attested(self) -> bool {
        matches!(self, Self::Journal)
    }
}

/// Where somebody came from, as text that can be shown; `None` for an empty one.
pub fn from(bytes: &[u8]) -> Option<Box<str>> {
    let mut text = crate::sshd::printable::printable(bytes);
    while text.len() > FROM_BYTES_MAX {
        text.pop();
    }
    (!text.is_empty()).then(|| text.into())
}
