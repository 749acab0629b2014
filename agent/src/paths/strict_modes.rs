//! Owners and modes of key files, as StrictModes wants them (`safe_path` and `secure_permissions` of misc.c).

use super::facts::{KeyFileFacts, Ownership};
use super::verdict::Verdict;
use crate::sshd::printable::printable_path;
use crate::sshd::release::Release;

/// Why sshd would not use a key file of an account, or may not; `None` where it would.
pub fn refuses(facts: &KeyFileFacts, uid: u32, release: &Release) -> Option<Verdict> {
    let file = std::iter::once((None, &facts.file));
    let above = facts.directories.iter();
    let all = file.chain(above.map(|(path, owner)| (Some(path), owner)));
    let refused = |wanted: Secure| {
        let found = all
            .clone()
            .find(|(_, owner)| is_secure(owner, uid, release.trusts_private_groups()) == wanted);
        found.map(|(path, _)| match path {
            None => "StrictModes: owner or mode of the file".to_owned(),
            Some(path) => format!(
                "StrictModes: owner or mode of the directory {}",
                printable_path(path)
            ),
        })
    };
    if let Some(why) = refused(Secure::No) {
        return Some(Verdict::closed(why));
    }
    if let Some(why) = refused(Secure::Unknown) {
        return Some(Verdict::unknown(format!(
            "{why}: whose group it is cannot be told"
        )));
    }
    let why = refused(Secure::AtASecondTry)?;
    Some(Verdict::unknown(format!(
        "{why}: others have its group, but at a client's second try Debian's sshd forgets to count \
         those that it met at the first"
    )))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secure {
    Yes,
    No,
    AtASecondTry,
    Unknown,
}

fn is_secure(owner: &Ownership, uid: u32, private_groups: bool) -> Secure {
    if (owner.uid != 0 && owner.uid != uid) || owner.mode & 0o002 != 0 {
        return Secure::No;
    }
    if owner.mode & 0o020 == 0 {
        return Secure::Yes;
    }
    match owner.group {
        GroupIs::Private if private_groups => Secure::Yes,
        GroupIs::PrivateAtASecondTry if private_groups => Secure::AtASecondTry,
        GroupIs::Unknown if private_groups => Secure::Unknown,
        _ => Secure::No,
    }
}

/// One account, as the rule about groups looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its uid.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
}

/// Whose a group is, as Debian's and Ubuntu's `user-group-modes.patch` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupIs {
    /// Nobody else has it as primary group, nobody but the file's owner is named in it, and it has one member at least.
    Private,
    /// That is not so.
    Shared,
    /// That is not so, but sshd stops counting in the middle of passwd(5) and goes on from there the next time.
    PrivateAtASecondTry,
    /// group(5) is there and cannot be read.
    Unknown,
}

/// Whose a group is. `named` are the members that group(5) gives it, and `owner` is who owns the file; both are `None`
/// where there is no such line.
pub fn group_is(
    gid: u32,
    named: Option<&[&[u8]]>,
    owner: Option<&[u8]>,
    account_uid: u32,
    accounts: impl Iterator<Item = Member>,
) -> GroupIs {
    let (Some(named), Some(owner)) = (named, owner) else {
        return GroupIs::Shared;
    };
    let (mut others, mut own) = (false, false);
    for member in accounts.filter(|member| member.gid == gid) {
        // After the last of the others the count begins anew.
        (others, own) = match member.uid == account_uid {
            true => (others, true),
            false => (true, false),
        };
    }
    let is_private = match named {
        [] => own,
        [only] => *only == owner,
        _ => false,
    };
    match (is_private, others) {
        (true, false) => GroupIs::Private,
        (true, true) => GroupIs::PrivateAtASecondTry,
        (false, _) => GroupIs::Shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rescind_protocol::path::PathState;

    #[test]
    fn owners_and_modes() {
        let own = |uid, mode| Ownership {
            uid,
            mode,
            group: GroupIs::Private,
        };
        let (debian, other) = (
            "OpenSSH_9.2p1 Debian-2".parse().unwrap(),
            "OpenSSH_9.2p1".parse().unwrap(),
        );
        let forgotten = Ownership {
            group: GroupIs::PrivateAtASecondTry,
            ..own(1000, 0o664)
        };
        let not_known = Ownership {
            group: GroupIs::Unknown,
            ..own(1000, 0o664)
        };
        let (open, closed) = (None, Some(PathState::Closed));
        for (file, dir, on_debian, elsewhere) in [
            (own(1000, 0o600), own(1000, 0o700), open, open),
            (own(0, 0o644), own(0, 0o755), open, open),
            (own(1000, 0o664), own(1000, 0o700), open, closed),
            (own(1000, 0o666), own(1000, 0o700), closed, closed),
            (own(1001, 0o600), own(1000, 0o700), closed, closed),
            (own(1000, 0o600), own(1000, 0o777), closed, closed),
            (own(1000, 0o600), own(1001, 0o755), closed, closed),
            (
                forgotten,
                own(1000, 0o700),
                Some(PathState::Unknown),
                closed,
            ),
            (forgotten, own(1000, 0o777), closed, closed),
            (
                not_known,
                own(1000, 0o700),
                Some(PathState::Unknown),
                closed,
            ),
            (not_known, own(1000, 0o777), closed, closed),
        ] {
            let facts = KeyFileFacts {
                bytes: Vec::new(),
                file,
                directories: vec![("/home/alice".into(), dir)],
            };
            let told = |release| refuses(&facts, 1000, release).map(|verdict| verdict.state);
            assert_eq!(told(&debian), on_debian, "{facts:?}");
            assert_eq!(told(&other), elsewhere, "{facts:?}");
        }
    }

    #[test]
    fn private_groups() {
        let accounts = [
            (1000, 1000),
            (1001, 100),
            (1002, 100),
            (1003, 1000),
            (1004, 7),
        ];
        let told = |gid, uid, owner: &str, named: Option<&[&[u8]]>| {
            let accounts = accounts.map(|(uid, gid)| Member { uid, gid });
            let owner = (!owner.is_empty()).then_some(owner.as_bytes());
            group_is(gid, named, owner, uid, accounts.into_iter())
        };
        let nobody: &[&[u8]] = &[];
        let alice: &[&[u8]] = &[b"alice"];
        assert_eq!(told(7, 1004, "eve", Some(nobody)), GroupIs::Private);
        assert_eq!(told(7, 1004, "eve", None), GroupIs::Shared, "no such group");
        assert_eq!(told(7, 1004, "", Some(nobody)), GroupIs::Shared, "no owner");
        assert_eq!(told(7, 1004, "eve", Some(alice)), GroupIs::Shared);
        assert_eq!(told(50, 1000, "alice", Some(nobody)), GroupIs::Shared);
        assert_eq!(told(50, 1000, "alice", Some(alice)), GroupIs::Private);
        assert_eq!(
            told(1000, 1000, "alice", Some(nobody)),
            GroupIs::Shared,
            "dave comes after alice"
        );
        assert_eq!(
            told(1000, 1003, "dave", Some(nobody)),
            GroupIs::PrivateAtASecondTry,
            "alice comes before dave"
        );
        assert_eq!(
            told(1000, 1000, "alice", Some(alice)),
            GroupIs::PrivateAtASecondTry
        );
    }
}
