//! Who may do what with a file: its owner, group and mode, and its access control list (acl(5)).

use super::account::Account;

/// Reading a file, or the names in a directory.
pub const READ: u32 = 4;
/// Writing to a file, or changing the names in a directory.
pub const WRITE: u32 = 2;
/// Running a file, or passing through a directory.
pub const EXECUTE: u32 = 1;

/// A file as the kernel sees it when somebody wants something of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded<'a> {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// The value of `system.posix_acl_access`; empty without one.
    pub acl: &'a [u8],
}

impl Guarded<'_> {
    /// Whether an account may, in the kernel's order: owner, named users, groups, others.
    pub fn lets(&self, account: &Account, want: u32) -> bool {
        if account.uid == 0 {
            return true;
        }
        match Entries::of(self.acl) {
            Some(entries) => entries.lets(self, account, want),
            None => {
                let bits = if account.uid == self.uid {
                    self.mode >> 6
                } else if is_in(account, self.gid) {
                    self.mode >> 3
                } else {
                    self.mode
                };
                bits & want == want
            }
        }
    }
}

fn is_in(account: &Account, gid: u32) -> bool {
    account.gid == gid || account.groups.iter().any(|group| group.gid == gid)
}

/// The entries of a list as the kernel keeps them (linux/posix_acl_xattr.h).
struct Entries<'a>(&'a [u8]);

/// Tags of entries.
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

impl<'a> Entries<'a> {
    /// Version 2, then entries of eight bytes.
    fn of(acl: &'a [u8]) -> Option<Self> {
        let (version, entries) = acl.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*version) == 2 && entries.len().is_multiple_of(8))
            .then_some(Self(entries))
    }

    /// Tag, permissions, uid or gid.
    fn all(&self) -> impl Iterator<Item = (u16, u32, u32)> + use<'a> {
        self.0.chunks_exact(8).map(|entry| {
            let short = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            (short(0), u32::from(short(2)), id)
        })
    }

    fn lets(&self, file: &Guarded<'_>, account: &Account, want: u32) -> bool {
        let mask = self.all().find(|(tag, _, _)| *tag == MASK);
        let mask = mask.map_or(0o7, |(_, permissions, _)| permissions);
        let mut in_a_group = false;
        for (tag, permissions, id) in self.all() {
            match tag {
                USER_OBJ if file.uid == account.uid => return permissions & want == want,
                USER if id == account.uid => return permissions & mask & want == want,
                GROUP_OBJ if is_in(account, file.gid) => {
                    in_a_group = true;
                    if permissions & mask & want == want {
                        return true;
                    }
                }
                GROUP if is_in(account, id) => {
                    in_a_group = true;
                    if permissions & mask & want == want {
                        return true;
                    }
                }
                OTHER => return !in_a_group && permissions & want == want,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    /// alice has the uid 1000 and is in 1000 and 50.
    fn lets(uid: u32, gid: u32, mode: u32, acl: &[(u16, u16, u32)], want: u32) -> bool {
        let mut bytes = Vec::new();
        if !acl.is_empty() {
            bytes.extend_from_slice(&2u32.to_le_bytes());
        }
        for (tag, permissions, id) in acl {
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(&permissions.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
        }
        let file = Guarded {
            uid,
            gid,
            mode,
            acl: &bytes,
        };
        file.lets(&alice(), want)
    }

    #[test]
    fn modes() {
        for (uid, gid, mode, may) in [
            (1000, 0, 0o600, true),
            (1000, 0, 0o066, false),
            (0, 50, 0o620, true),
            // The group decides, not the others.
            (0, 50, 0o602, false),
            (0, 0, 0o602, true),
            (0, 0, 0o664, false),
        ] {
            assert_eq!(
                lets(uid, gid, mode, &[], WRITE),
                may,
                "{uid} {gid} {mode:o}"
            );
        }
    }

    #[test]
    fn lists() {
        let base = [(USER_OBJ, 6, 0), (GROUP_OBJ, 4, 0), (OTHER, 0, 0)];
        let with = |named: (u16, u16, u32), mask: u16| {
            let mut list = vec![base[0], named, base[1]];
            if named.0 == GROUP {
                list.swap(1, 2);
            }
            list.extend([(MASK, mask, 0), base[2]]);
            lets(0, 0, 0o660, &list, WRITE)
        };
        assert!(!lets(0, 0, 0o640, &base, WRITE));
        assert!(with((USER, 6, 1000), 6));
        assert!(!with((USER, 6, 1000), 4));
        assert!(!with((USER, 6, 1001), 6));
        assert!(with((GROUP, 6, 50), 6));
        assert!(!with((GROUP, 4, 50), 6));
        // Nothing that is understood: the mode decides.
        let odd = Guarded {
            uid: 0,
            gid: 0,
            mode: 0o602,
            acl: b"\x03\0\0\0",
        };
        assert!(odd.lets(&alice(), WRITE));
    }
}
