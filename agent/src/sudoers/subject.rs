//! Accounts and hosts as sudo compares them with a policy, and what remains in doubt.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::host::account::{Account, GroupRef};

/// An account, as far as sudo looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// passwd(5) field 1.
    pub name: Vec<u8>,
    /// passwd(5) field 3.
    pub uid: u32,
    /// passwd(5) field 4.
    pub gid: u32,
    /// All its groups, the primary one too; a name may be empty where none is known.
    pub groups: Vec<GroupRef>,
}

impl Subject {
    /// The superuser as every Linux has it.
    #[must_use]
    pub fn root() -> Self {
        let groups = vec![GroupRef {
            name: b"root".to_vec(),
            gid: 0,
        }];
        Self {
            name: b"root".to_vec(),
            uid: 0,
            gid: 0,
            groups,
        }
    }
}

impl From<&Account> for Subject {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.as_str().as_bytes().to_vec(),
            uid: account.uid,
            gid: account.gid,
            groups: account.groups.clone(),
        }
    }
}

/// The host's own names and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostNames {
    /// Up to the first dot.
    pub short: Vec<u8>,
    /// The fully qualified name that resolving the host name gives (Debian's sudo looks it up); `None`
    /// where that cannot be known, the short name where the resolver knows no other.
    pub long: Option<Vec<u8>>,
    /// Addresses of its interfaces with the length of their network prefix, loopback left out as
    /// sudo does; `None` where they cannot be known.
    pub addresses: Option<Vec<(IpAddr, u8)>>,
}

impl HostNames {
    /// From a host name, qualified or not, and the name the resolver gives for it.
    #[must_use]
    pub fn new(name: &[u8], qualified: Option<&[u8]>) -> Self {
        let short = |name: &[u8]| name.split(|c| *c == b'.').next().unwrap_or(name).to_vec();
        Self {
            short: short(qualified.unwrap_or(name)),
            long: qualified.map(<[u8]>::to_vec),
            addresses: None,
        }
    }
}

/// Why an answer is not certain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Doubt {
    /// Membership in a netgroup.
    #[error("membership in netgroup {} is not known", show(.0))]
    NetGroup(Vec<u8>),
    /// A group that a sudo plugin is asked for.
    #[error("membership in group {} is decided by a sudo plugin", show(.0))]
    GroupPlugin(Vec<u8>),
    /// Two groups share an id; sudo sees only one of the names.
    #[error("group {} shares its id with another group", show(.0))]
    SharedGroupId(Vec<u8>),
    /// A host name that may be this host's.
    #[error("whether this host is {} is not known", show(.0))]
    HostName(Vec<u8>),
    /// An address that may be this host's.
    #[error("whether this host has the address {} is not known", show(.0))]
    Address(Vec<u8>),
    /// A time without a zone near now.
    #[error("a time limit in local time is near")]
    LocalTime,
    /// A digest, a regular expression or a pattern that has to be held against a file.
    #[error("whether the command {} is meant is not known", show(.0))]
    Command(Vec<u8>),
    /// `CHROOT=` or `runchroot`.
    #[error("the command runs under another root directory")]
    Chroot,
    /// A policy file that could not be read.
    #[error("{path} could not be read: {reason}", path = show_path(.path))]
    Unread {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Rules outside of the files.
    #[error("sudo also takes rules from {0}")]
    OtherSource(String),
    /// Aliases nested too deeply to follow.
    #[error("the aliases are nested too deeply to follow")]
    TooComplex,
    /// More rules for the account than are listed.
    #[error("more rules are for the account than are listed")]
    TooMany,
}

/// A path of a host for people.
pub(super) fn show_path(path: &Path) -> String {
    show(path.as_os_str().as_bytes())
}

/// Bytes of a host for people: printable ASCII as it is, the rest escaped.
pub(super) fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
