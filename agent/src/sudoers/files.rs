//! Files as the caller hands them over, sudo's versions, and the limits of reading.

use std::ffi::OsString;
use std::path::Path;

/// Where the policy of a host lies unless sudo.conf(5) says otherwise.
pub const SUDOERS: &str = "/etc/sudoers";

/// Included files may nest this deep before sudo gives up on the include (its stack grows by 16
/// and is checked against 128 only when it grows, so the last good level is 144).
pub(super) const DEPTH_MAX: usize = 144;
/// Files opened for one policy; a pair of files that include each other twice would never end.
pub(super) const FILES_MAX: usize = 2_000;
/// Bytes read for one policy, all files together.
pub(super) const BYTES_MAX: usize = 8 << 20;
/// Bytes held of one policy once it is read: a rule of two bytes takes half a kilobyte.
pub(super) const HELD_BYTES_MAX: usize = 32 << 20;
/// Findings kept; a file of garbage has one per line.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// The caller's eyes: it opens, checks owner and mode as sudo does, and limits sizes.
pub trait SudoersFiles {
    /// The bytes of a policy file.
    ///
    /// # Errors
    /// [`ReadProblem`], with `Refused` for a file that sudo itself would not use: not regular, not
    /// owned by root, writable by others, or by a group other than root's.
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem>;

    /// The names in a directory, in any order.
    ///
    /// # Errors
    /// [`ReadProblem`], with `Refused` for a directory that sudo would not use.
    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem>;
}

/// Why a policy file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadProblem {
    /// There is nothing at this path: sudo sees nothing either.
    #[error("does not exist")]
    Missing,
    /// sudo refuses it (owner, mode, type): its rules are not in force.
    #[error("sudo does not use it: {0}")]
    Refused(String),
    /// sudo may well read it, but we could not: its rules are unknown.
    #[error("could not be read: {0}")]
    Other(String),
}

/// The sudo that reads the policy. Order is age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// 1.9.3 to 1.9.5 (Debian 11): no regular expressions, no `list`; an include that fails costs the
    /// line after it.
    Sudo1_9_5,
    /// 1.9.6 to 1.9.13 (Debian 12).
    Sudo1_9_13,
    /// 1.9.14 and later (Debian 13): includes may be a `:`-separated search path, `(:group)` means
    /// oneself with that group.
    Sudo1_9_16,
}

impl Dialect {
    /// The dialect of a version as sudo or a package manager writes it (`1.9.13p3`,
    /// `1.9.5p2-3+deb11u1`); the newest when it says nothing we know.
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|part| part.parse::<u32>().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        match (next(), next(), next()) {
            (0, _, _) => Self::Sudo1_9_16,
            (1, 9, patch) if patch >= 14 => Self::Sudo1_9_16,
            (1, 9, patch) if patch >= 6 => Self::Sudo1_9_13,
            (1, minor, _) if minor <= 9 => Self::Sudo1_9_5,
            _ => Self::Sudo1_9_16,
        }
    }

    pub(super) fn has_regex(self) -> bool {
        self >= Self::Sudo1_9_13
    }

    /// Reads up to the first NUL of a line and no further.
    pub(super) fn cuts_lines_at_nul(self) -> bool {
        self >= Self::Sudo1_9_13
    }

    /// Times must have whole fields.
    pub(super) fn is_strict_with_times(self) -> bool {
        self >= Self::Sudo1_9_13
    }

    pub(super) fn has_intercept(self) -> bool {
        self >= Self::Sudo1_9_13
    }

    pub(super) fn has_list_command(self) -> bool {
        self >= Self::Sudo1_9_13
    }

    /// `PRIVS`, `LIMITPRIVS` and `APPARMOR_PROFILE` are words of the language on every platform.
    pub(super) fn has_platform_options(self) -> bool {
        self >= Self::Sudo1_9_16
    }

    pub(super) fn quotes_paths_in_options(self) -> bool {
        self >= Self::Sudo1_9_16
    }

    pub(super) fn includes_are_search_paths(self) -> bool {
        self >= Self::Sudo1_9_16
    }

    /// A failed include is an error inside the grammar, whose recovery skips one more line.
    pub(super) fn failed_include_costs_a_line(self) -> bool {
        self == Self::Sudo1_9_5
    }

    /// `(:group)` carries the invoking user in its user list.
    pub(super) fn group_only_runas_is_myself(self) -> bool {
        self >= Self::Sudo1_9_16
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn dialects_by_version() {
        for (version, dialect) in [
            ("1.9.5p2-3+deb11u1", Dialect::Sudo1_9_5),
            ("1.8.31", Dialect::Sudo1_9_5),
            ("1.9.13p3", Dialect::Sudo1_9_13),
            ("1.9.16p2-3+deb13u2", Dialect::Sudo1_9_16),
            ("1.9.17", Dialect::Sudo1_9_16),
            ("2.0", Dialect::Sudo1_9_16),
            ("", Dialect::Sudo1_9_16),
        ] {
            assert_eq!(Dialect::of_version(version), dialect, "{version}");
        }
    }
}
