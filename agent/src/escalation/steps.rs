//! What a step is.

use rescind_protocol::name::AccountName;
use rescind_protocol::path::Source;

/// One account becomes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whom it becomes; root's own name for root, its own where it only enters a group.
    pub to: AccountName,
    /// The group it enters by it.
    pub enters: Option<Vec<u8>>,
    /// By what means.
    pub means: Means,
    /// What it is that can be done, for people.
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
    /// A rule of doas.conf(5).
    Doas,
    /// A rule of polkit(8).
    Polkit,
    /// Membership in a group.
    Group,
    /// The password of a group, or being its administrator.
    GroupPassword,
    /// su(1).
    Su,
    /// Changing what another runs or reads.
    Writes,
    /// A private key that lies on the host.
    SshKey,
    /// A key file that can be changed.
    KeyFile,
    /// A host that is trusted, and this is it.
    HostBased,
    /// Kerberos.
    Kerberos,
    /// A program that acts as its owner, or has capabilities.
    Setuid,
}

impl Means {
    /// The stable word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::SharedUid => "shared_uid",
            Self::Sudo => "sudo",
            Self::Doas => "doas",
            Self::Polkit => "polkit",
            Self::Group => "group",
            Self::GroupPassword => "group_password",
            Self::Su => "su",
            Self::Writes => "writes",
            Self::SshKey => "ssh_key",
            Self::KeyFile => "key_file",
            Self::HostBased => "host_based",
            Self::Kerberos => "kerberos",
            Self::Setuid => "setuid",
        }
    }
}

/// Whether a step can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sure {
    /// It can.
    Yes,
    /// By those who know how: what is allowed is not everything, but leads to it.
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
