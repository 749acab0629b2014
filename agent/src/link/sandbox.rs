//! What the link may still do once it runs.
//!
//! Three walls, from the inside out: a list of system calls (seccomp), a list of files and ports
//! (Landlock, on kernels that have it), and the unit's own. Of files it sees those a resolver reads
//! and its own; it writes to its own directory only. Nothing can be executed.
//!
//! The resolver's files are allowed by directory: a rule holds for the file that is there now, and
//! DHCP puts new ones in its place.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::config::{ServerAddress, layout};
use crate::sys::sandbox::{self, FilterError};

/// Where a resolver's configuration, its state and the shared objects of NSS lie.
const RESOLVER_DIRS: [&str; 7] = [
    "/etc",
    "/run",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
];
/// DNS over TCP, for answers that are too large for a datagram.
const DNS_PORT: u16 = 53;

/// Which walls stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileWall {
    /// Files and ports are limited as far as we ask.
    Full,
    /// Some limits are newer than this kernel.
    Partial,
    /// This kernel has no Landlock, or it is switched off.
    None,
}

/// Why the link is not confined.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The process could not be sealed.
    #[error("cannot give up privileges: {0}")]
    Seal(#[from] std::io::Error),
    /// The Landlock rules are wrong.
    #[error("cannot limit the files: {0}")]
    Files(#[from] RulesetError),
    /// The system call filter is not in force.
    #[error(transparent)]
    Calls(#[from] FilterError),
}

/// Confines this thread, and those it makes, to a link of the host beneath `root` that talks to
/// these servers. Call it before there are other threads.
pub fn enter(root: &Path, servers: &[ServerAddress]) -> Result<FileWall, SandboxError> {
    sandbox::seal_process()?;
    let wall = limit_files(root, servers)?;
    sandbox::restrict_to_network_client()?;
    Ok(wall)
}

fn limit_files(root: &Path, servers: &[ServerAddress]) -> Result<FileWall, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write =
        read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V5))?
        .handle_access(AccessNet::from_all(ABI::V4))?
        .scope(Scope::Signal)?
        .create()?;
    let own_etc = layout::etc_dir(root);
    let readable = RESOLVER_DIRS
        .iter()
        .map(Path::new)
        .chain([own_etc.as_path()]);
    for dir in readable {
        // A directory that this host does not have needs no rule.
        if let Ok(fd) = PathFd::new(dir) {
            rules = rules.add_rule(PathBeneath::new(fd, read))?;
        }
    }
    if let Ok(fd) = PathFd::new(layout::link_dir(root)) {
        rules = rules.add_rule(PathBeneath::new(fd, write))?;
    }
    for port in servers.iter().map(ServerAddress::port).chain([DNS_PORT]) {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => FileWall::Full,
        RulesetStatus::PartiallyEnforced => FileWall::Partial,
        RulesetStatus::NotEnforced => FileWall::None,
    })
}
