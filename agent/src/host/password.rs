//! A field that holds a password hash: what it says, locking it, and undoing just that.

use std::collections::HashSet;

use minicbor::{Decode, Encode};
use rescind_protocol::name::AccountName;

use super::account::{HashShape, PasswordState};
use super::lines::{Edit, Lines, field_range, number};

impl PasswordState {
    /// What field 2 of passwd(5) or shadow(5) says.
    pub fn of_field(field: &[u8]) -> Self {
        match field.first() {
            None => Self::Empty,
            Some(b'!') => Self::Locked,
            // crypt(5): hashes begin with `$`, `_` or are 13 letters of the traditional scheme or
            // more of bigcrypt; `*` begins none, and nothing shorter than 13 can be one.
            Some(b'*') => Self::Unusable,
            Some(b'$' | b'_') => Self::Usable,
            Some(_) if field.len() < 13 => Self::Unusable,
            Some(_) => Self::Usable,
        }
    }
}

/// What the hashes of crypt(5) begin with, and how many letters stand behind the last `$`; `None`
/// where that is not looked at.
const KINDS: [(&[u8], Option<usize>); 15] = [
    (b"$y$", Some(43)),
    (b"$gy$", Some(43)),
    (b"$7$", Some(43)),
    (b"$2a$", Some(53)),
    (b"$2b$", Some(53)),
    (b"$2x$", Some(53)),
    (b"$2y$", Some(53)),
    (b"$6$", Some(86)),
    (b"$5$", Some(43)),
    (b"$1$", Some(22)),
    (b"$3$", Some(32)),
    (b"$md5$", Some(22)),
    (b"$md5,", Some(22)),
    (b"$sha1$", None),
    (b"$2$", None),
];

impl HashShape {
    /// The shape of a field that is no lock. In doubt it is possible.
    pub(super) fn of(field: &[u8]) -> Self {
        let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
        let is_possible = match field {
            [b'$', ..] => {
                let kind = KINDS.iter().find(|(prefix, _)| field.starts_with(prefix));
                let Some((prefix, letters)) = kind else {
                    return Self::OfUnknownKind;
                };
                let end = field
                    .rsplit(|byte| *byte == b'$')
                    .next()
                    .unwrap_or_default();
                field.len() >= prefix.len() + letters.unwrap_or(0)
                    && letters.is_none_or(|letters| end.len() == letters)
                    && end.iter().all(is_letter)
            }
            // Extended DES.
            [b'_', rest @ ..] => rest.len() == 19 && rest.iter().all(is_letter),
            // DES, of 16 pieces of a password at most, and what pam_unix cuts off behind it; in the
            // beginning the salt, of which old C libraries are not particular.
            _ => {
                let hash = field.get(2..).unwrap_or_default();
                let letters = hash.iter().take_while(|byte| is_letter(byte)).count();
                (11..=16 * 11).contains(&letters)
            }
        };
        match is_possible {
            true => Self::Possible,
            false => Self::Impossible,
        }
    }
}

/// What locking did to one line of an account; it holds no secret and undoes the change.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct PasswordLock {
    /// Which of the account's lines, from 0, in the order of the file.
    #[n(0)]
    pub nth: u32,
    /// The line when it was locked, from 1: for people, others may have added lines since.
    #[n(1)]
    pub line: u32,
    /// Whether a `!` was put before the field; it stays as it is where it had one.
    #[n(2)]
    pub added: bool,
    /// Whether the field was empty: only then may undoing leave it empty again.
    #[n(3)]
    pub was_empty: bool,
}

/// What undoing one change came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Restored {
    /// The field is again what it was.
    Yes,
    /// The change had left the field alone, and so does undoing it.
    NothingToDo,
    /// Somebody changed the field since; it stays as they left it.
    ChangedSince,
    /// The account has no such line any more.
    Gone,
}

/// Whether [`locks`] would leave a line alone.
pub(super) fn is_locked(line: &[u8]) -> bool {
    field_range(line, PASSWORD).is_some_and(|field| line[field].first() == Some(&b'!'))
}

/// What locking field 2 of every line of an account comes to, except where `elsewhere` says that
/// the field only points to another file. Nothing is changed.
pub(super) fn locks(
    lines: &Lines,
    name: &AccountName,
    elsewhere: impl Fn(&[u8]) -> bool,
) -> Vec<PasswordLock> {
    let lock = |(nth, index): (u32, usize)| {
        // `named` found a colon, so there is a second field.
        let field = field_range(lines.line(index), PASSWORD)?;
        let before = &lines.line(index)[field];
        Some(PasswordLock {
            nth,
            line: number(index),
            added: before.first() != Some(&b'!') && !elsewhere(before),
            was_empty: before.is_empty(),
        })
    };
    let named = lines.named(name.as_str().as_bytes());
    (0..).zip(named).filter_map(lock).collect()
}

/// Locks what [`locks`] says.
pub(super) fn lock(
    lines: &mut Lines,
    name: &AccountName,
    elsewhere: impl Fn(&[u8]) -> bool,
) -> Vec<PasswordLock> {
    let locks = locks(lines, name, elsewhere);
    let mut edits = Vec::new();
    for lock in locks.iter().filter(|lock| lock.added) {
        let index = lock.line as usize - 1;
        if let Some(field) = field_range(lines.line(index), PASSWORD) {
            let (at, new) = (field.start..field.start, b"!".to_vec().into());
            edits.push(Edit { index, at, new });
        }
    }
    lines.edit(edits);
    locks
}

/// Takes back what [`lock`] did: one `!` where it added one and the field still begins with it.
pub(super) fn unlock(
    lines: &mut Lines,
    name: &AccountName,
    locks: &[PasswordLock],
) -> Vec<Restored> {
    let indexes: Vec<usize> = lines.named(name.as_str().as_bytes()).collect();
    let mut edits: Vec<Edit> = Vec::new();
    let mut undone = HashSet::new();
    let mut undo = |lock: &PasswordLock| {
        if !lock.added {
            return Restored::NothingToDo;
        }
        let Some(index) = indexes.get(lock.nth as usize).copied() else {
            return Restored::Gone;
        };
        let Some(field) = field_range(lines.line(index), PASSWORD) else {
            return Restored::Gone;
        };
        match &lines.line(index)[field.clone()] {
            // Somebody took the hash away: without the `!` any password would do.
            b"!" if !lock.was_empty => Restored::ChangedSince,
            [b'!', ..] if undone.insert(index) => {
                let (at, new) = (field.start..field.start + 1, Vec::new().into());
                edits.push(Edit { index, at, new });
                Restored::Yes
            }
            _ => Restored::ChangedSince,
        }
    };
    let restored = locks.iter().map(&mut undo).collect();
    lines.edit(edits);
    restored
}

/// Field 2 of passwd(5) and shadow(5), from 0.
const PASSWORD: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_says_what_a_password_can_do() {
        use PasswordState::*;
        for (field, state) in [
            ("", Empty),
            ("!", Locked),
            ("!!", Locked),
            ("!*", Locked),
            ("!$6$salt$hash", Locked),
            ("*", Unusable),
            ("*LK*", Unusable),
            ("*$6$salt$hash", Unusable),
            ("x", Unusable),
            ("NP", Unusable),
            ("$6$salt$hash", Usable),
            ("$y$j9T$salt$hash", Usable),
            ("rEK1ecacw.7.c", Usable),
            ("_J9..rasmBYk8r9AiWNc", Usable),
        ] {
            assert_eq!(
                PasswordState::of_field(field.as_bytes()),
                state,
                "{field:?}"
            );
        }
    }

    #[test]
    fn a_hash_has_a_shape() {
        use HashShape::*;
        for (field, shape) in [
            ("$6$salt$hash", Impossible),
            ("$y$j9T$salt$hash", Impossible),
            ("$6$", Impossible),
            ("$1$saltsalt$9xy1btjgzLYfb7hivXtC/", Impossible),
            ("$1$saltsalt$9xy1btjgzLYfb7hivXtC//", Possible),
            ("$1$saltsalt$9xy1btjgzLYfb7hivXtC//!", Impossible),
            ("$1$$ysVNzQc4CTMkp5daOdZ.3/", Possible),
            (
                "$5$rounds=5000$s$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.",
                Possible,
            ),
            (
                "$7$CU..../....saltsaltsaltsalt$lZYtutyt4uMnbWCC4xrRb39kLX8lgRaAvZ6mAYi1/e1",
                Possible,
            ),
            (
                "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
                Possible,
            ),
            ("$sha1$1000$saltsalt$Afd9xS7u8w4h.ywETK2u0ha2i2TG", Possible),
            (
                "$md5,rounds=1000$saltsalt$$RyArBbzo5hNt3lP2QzjeP0",
                Possible,
            ),
            ("$md5$saltsalt$$htFYkfcXgVn6XJq7JYvMH/", Possible),
            ("$3$$878d8014606cda29677a44efa1353fc7", Possible),
            ("$argon2id$v=19$m=16,t=2,p=1$c2FsdA$x", OfUnknownKind),
            ("$9$", OfUnknownKind),
            ("rEK1ecacw.7.c", Possible),
            ("rEK1ecacw.7.c,M.zz", Possible),
            ("rEK1ecacw-7.c", Impossible),
            ("rEK1ecacw.7.", Impossible),
            ("NP-no password at all", Impossible),
            ("_J9..rasmBYk8r9AiWNc", Possible),
            ("_J9..rasmBYk8r9AiWN", Impossible),
        ] {
            assert_eq!(HashShape::of(field.as_bytes()), shape, "{field:?}");
        }
        assert_eq!(HashShape::of(&[b'x'; 178]), Possible);
        assert_eq!(HashShape::of(&[b'x'; 179]), Impossible);
    }
}
