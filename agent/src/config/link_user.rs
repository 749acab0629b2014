//! The user of the network half, from the host's own passwd(5).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::layout;

/// The name of the user that the network half runs as.
pub const LINK_USER: &str = "rescind-link";

/// The ids of [`LINK_USER`] on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkUser {
    /// Its user id, never 0.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// Why the network half has no user.
#[derive(Debug, thiserror::Error)]
pub enum LinkUserError {
    /// passwd(5) cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No such user, or one that is root in disguise.
    #[error(
        "{} has no user {LINK_USER} of its own: install the package, or make it with `useradd --system --no-create-home --shell /usr/sbin/nologin {LINK_USER}`",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
}

impl LinkUser {
    /// Looks the user up in the passwd(5) of a root directory.
    pub fn look_up(root: &Path) -> Result<Self, LinkUserError> {
        let path = layout::passwd(root);
        match fs::read(&path) {
            Ok(text) => Self::find(&text).ok_or(LinkUserError::Missing { path }),
            Err(source) => Err(LinkUserError::Io { path, source }),
        }
    }

    fn find(passwd: &[u8]) -> Option<Self> {
        // As getpwnam(3) takes it, the first line of that name decides. One that cannot be read is
        // no user, and then the network half does not start.
        let line = passwd
            .split(|&byte| byte == b'\n')
            .find_map(|line| line.strip_prefix(LINK_USER.as_bytes())?.strip_prefix(b":"))?;
        let mut fields = line.split(|&byte| byte == b':').skip(1);
        let mut id = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let user = Self {
            uid: id()?,
            gid: id()?,
        };
        (user.uid != 0 && user.gid != 0).then_some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_found_and_is_never_root() {
        for (passwd, found) in [
            (
                "root:x:0:0::/:/bin/sh\nrescind-link:x:990:980::/:/x\n",
                true,
            ),
            ("rescind-link2:x:990:980::/:/x\n", false),
            ("rescind-link:x:0:0::/:/x\n", false),
            ("rescind-link:x:990\n", false),
            ("rescind-link:x:a:b:::\n", false),
            ("", false),
        ] {
            let user = LinkUser { uid: 990, gid: 980 };
            assert_eq!(LinkUser::find(passwd.as_bytes()), found.then_some(user));
        }
        // A comment in another encoding hides nobody.
        let latin = b"rescind-link:x:990:980:r\xe9seau:/:/x\n";
        assert!(LinkUser::find(latin).is_some());
    }
}
