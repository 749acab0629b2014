//! What a step is.

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

/// One account becomes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whom it becomes; root's own name for root.
    pub to: AccountName,
    /// By what means.
    pub means: Means,
    /// In a sentence that goes on after the account's name: `may run any command as root, …`.
    pub reason: String,
    /// Where that is configured.
    pub source: Option<Source>,
    /// Whether it can be taken with nothing else than being the account.
    pub sure: Sure,
}

/// By what means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// The same uid under another name.
    SharedUid,
    /// A rule of sudoers(5).
    Sudo,
    /// Membership in a group.
    Group,
    /// su(1).
    Su,
}

impl Means {
    /// The stable word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SharedUid => "shared_uid",
            Self::Sudo => "sudo",
            Self::Group => "group",
            Self::Su => "su",
        }
    }
}

/// Whether a step can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// It can.
    Yes,
    /// By those who know how: the command allowed is not everything, but leads to it.
    Likely,
    /// By those who know a password.
    WithPassword,
    /// It depends on what is not known.
    Unknown,
}

impl Sure {
    /// The stable word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Likely => "likely",
            Self::WithPassword => "with_password",
            Self::Unknown => "unknown",
        }
    }
}
