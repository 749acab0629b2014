//! Owners and modes of key files, as StrictModes wants them (`safe_path` and `secure_permissions` of misc.c).

use super::facts::{KeyFileFacts, Ownership};
use crate::sshd::printable::printable_path;
use crate::sshd::release::Release;

/// Why sshd would not use a key file of an account; `None` where it would.
pub fn refuses(facts: &KeyFileFacts, uid: u32, release: &Release) -> Option<String> {
    let secure = |owner: &Ownership| is_secure(owner, uid, release.trusts_private_groups());
    if !secure(&facts.file) {
        return Some("StrictModes: owner or mode of the file".into());
    }
    let (path, _) = facts.directories.iter().find(|(_, owner)| !secure(owner))?;
    Some(format!(
        "StrictModes: owner or mode of the directory {}",
        printable_path(path)
    ))
}

fn is_secure(owner: &Ownership, uid: u32, private_groups: bool) -> bool {
    (owner.uid == 0 || owner.uid == uid)
        && owner.mode & 0o002 == 0
        && (owner.mode & 0o020 == 0 || (private_groups && owner.private_group))
}

/// One account, as the rule about groups looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its uid.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// Whether the group of a file is private to an account, as Debian's sshd counts: nobody else has it as primary
/// group, nobody but the file's owner is named in it, and it has one member at least.
pub fn is_private_group<'a>(
    gid: u32,
    named: &[&[u8]],
    file_owner: &[u8],
    account_uid: u32,
    accounts: impl Iterator<Item = Member<'a>>,
) -> bool {
    let mut members = 0;
    for member in accounts.filter(|member| member.gid == gid) {
        if member.uid != account_uid {
            return false;
        }
        members += 1;
    }
    match named {
        [] => members > 0,
        [only] => *only == file_owner,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_modes() {
        let own = |uid, mode| Ownership {
            uid,
            mode,
            private_group: true,
        };
        let (debian, other) = (
            "OpenSSH_9.2p1 Debian-2".parse().unwrap(),
            "OpenSSH_9.2p1".parse().unwrap(),
        );
        for (file, dir, on_debian, elsewhere) in [
            (own(1000, 0o600), own(1000, 0o700), true, true),
            (own(0, 0o644), own(0, 0o755), true, true),
            (own(1000, 0o664), own(1000, 0o700), true, false),
            (own(1000, 0o666), own(1000, 0o700), false, false),
            (own(1001, 0o600), own(1000, 0o700), false, false),
            (own(1000, 0o600), own(1000, 0o777), false, false),
            (own(1000, 0o600), own(1001, 0o755), false, false),
        ] {
            let facts = KeyFileFacts {
                bytes: Vec::new(),
                file,
                directories: vec![("/home/alice".into(), dir)],
            };
            assert_eq!(
                refuses(&facts, 1000, &debian).is_none(),
                on_debian,
                "{facts:?}"
            );
            assert_eq!(
                refuses(&facts, 1000, &other).is_none(),
                elsewhere,
                "{facts:?}"
            );
        }
    }

    #[test]
    fn private_groups() {
        let accounts = [
            Member {
                name: b"alice",
                uid: 1000,
                gid: 1000,
            },
            Member {
                name: b"bob",
                uid: 1001,
                gid: 100,
            },
            Member {
                name: b"carol",
                uid: 1002,
                gid: 100,
            },
        ];
        let private = |gid, named: &[&[u8]]| {
            is_private_group(gid, named, b"alice", 1000, accounts.iter().copied())
        };
        assert!(private(1000, &[]));
        assert!(private(1000, &[b"alice"]));
        assert!(!private(1000, &[b"bob"]));
        assert!(!private(100, &[]));
        assert!(!private(50, &[]));
        assert!(private(50, &[b"alice"]));
    }
}
