//! shadow(5): passwords and expiry, kept line by line and never shown.

use std::fmt;

use rescind_protocol::name::AccountName;

use super::account::{Aging, PasswordState};
use super::expiry::{self, ExpiryChange};
use super::lines::{LineKind, Lines, Unparsed, fields, kind_of, number, strtoul, text_of};
use super::password::{self, PasswordLock, Restored};

/// `/etc/shadow`. Its buffer is wiped when it is dropped.
#[derive(Debug)]
pub struct Shadow {
    lines: Lines,
}

/// A line as glibc's getspent(3) understands it; of the fields at the end some may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShadowEntry<'a> {
    /// The line, from 1.
    pub line: u32,
    /// Field 1, without blanks before it; never empty.
    pub name: &'a [u8],
    /// Field 2: a hash, or what stands for none.
    pub password: &'a [u8],
    /// Fields 3, 5 and 7.
    pub aging: Aging,
    /// Field 8, where it holds a day at which the account really expires.
    pub expire_day: Option<i64>,
    /// A number is below zero or too large, see [`Oddities::number`](super::account::Oddities).
    pub odd_number: bool,
}

impl Shadow {
    /// Takes the file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands, edits included.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = ShadowEntry<'_>> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| entry(index, line))
    }

    /// The entries of one account: glibc takes the first, but lines can change places.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = ShadowEntry<'_>> {
        let entry_at = |index| entry(index, self.lines.line(index));
        self.lines.named(name).filter_map(entry_at)
    }

    /// The first line that begins with a name, from 1, whether or not it is an entry.
    pub fn line_of(&self, name: &[u8]) -> Option<u32> {
        self.lines.named(name).next().map(number)
    }

    /// Lines that should be entries and are not.
    pub fn unparsed(&self) -> impl Iterator<Item = Unparsed> {
        self.lines
            .unparsed(|index, line| entry(index, line).is_some())
    }

    /// What [`Shadow::lock_password`] would do.
    pub fn password_locks(&self, name: &AccountName) -> Vec<PasswordLock> {
        password::locks(&self.lines, name, |_| false)
    }

    /// What [`Shadow::set_expiry`] would do.
    pub fn expiry_changes(&self, name: &AccountName, day: Option<i64>) -> Vec<ExpiryChange> {
        expiry::changes(&self.lines, name, day)
    }

    /// The names, of those that are wanted, with a line that is not locked or not expired on a day:
    /// one pass over the file, for many accounts.
    pub fn not_closed<'a>(
        &'a self,
        day: i64,
        wanted: impl Fn(&[u8]) -> bool + 'a,
    ) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter_map(move |line| {
            let start = line.trim_ascii_start();
            let name = &start[..memchr::memchr(b':', start)?];
            let open = wanted(name) && !(password::is_locked(line) && expiry::is_set(line, day));
            open.then_some(name)
        })
    }

    /// Puts a `!` before the password of every line of an account that does not begin with one.
    ///
    /// Malformed lines of that name are locked too. An empty answer says that there is no line.
    pub fn lock_password(&mut self, name: &AccountName) -> Vec<PasswordLock> {
        password::lock(&mut self.lines, name, |_| false)
    }

    /// Undoes [`Shadow::lock_password`], change by change.
    pub fn unlock_password(&mut self, name: &AccountName, locks: &[PasswordLock]) -> Vec<Restored> {
        password::unlock(&mut self.lines, name, locks)
    }

    /// Sets field 8 of every line of an account to a day counted from 1970-01-01, or to nothing.
    ///
    /// A line with fewer than 9 fields is filled up, as usermod(8) does. An empty answer says
    /// that there is no line.
    pub fn set_expiry(&mut self, name: &AccountName, day: Option<i64>) -> Vec<ExpiryChange> {
        expiry::set(&mut self.lines, name, day)
    }

    /// Undoes [`Shadow::set_expiry`], change by change, where field 8 still is what that wrote.
    pub fn restore_expiry(
        &mut self,
        name: &AccountName,
        changes: &[ExpiryChange],
    ) -> Vec<Restored> {
        expiry::restore(&mut self.lines, name, changes)
    }
}

/// Shows no password.
impl fmt::Debug for ShadowEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShadowEntry")
            .field("line", &self.line)
            .field("name", &self.name.escape_ascii().to_string())
            .field("password", &PasswordState::of_field(self.password))
            .field("aging", &self.aging)
            .field("expire_day", &self.expire_day)
            .finish_non_exhaustive()
    }
}

fn entry(index: usize, line: &[u8]) -> Option<ShadowEntry<'_>> {
    let LineKind::Entry(line) = kind_of(line) else {
        return None;
    };
    let text = text_of(line);
    let (
        [
            name,
            password,
            last_change,
            min,
            max,
            warn,
            inactive,
            expire,
            flag,
        ],
        count,
    ) = fields(text);
    // A line that ends before a field is none, but the line of old, which ends with the third number.
    let is_whole = match count {
        9 => true,
        8 => !expire.is_empty(),
        6 => warn.trim_ascii().is_empty(),
        5 => !max.is_empty(),
        _ => false,
    };
    if name.is_empty() || !is_whole {
        return None;
    }
    let of_old = count < 8;
    let rest = |field| {
        if of_old {
            Some(Days::None)
        } else {
            days(field)
        }
    };
    let all = [
        days(last_change)?,
        days(min)?,
        days(max)?,
        // Blanks before the fourth number are passed over even where there is none.
        rest(warn.trim_ascii_start())?,
        rest(inactive)?,
        rest(expire)?,
        rest(flag)?,
    ];
    let day = |nth: usize| match all[nth] {
        Days::Some(day) => Some(day),
        Days::None | Days::Odd => None,
    };
    Some(ShadowEntry {
        line: number(index),
        name,
        password,
        aging: Aging {
            last_change: day(0),
            max: day(2),
            inactive: day(4),
        },
        expire_day: day(5),
        odd_number: all.iter().any(|days| matches!(days, Days::Odd)),
    })
}

/// A field of days.
enum Days {
    /// It says nothing.
    None,
    Some(i64),
    /// Below zero, or too large for days that are counted in 32 bits.
    Odd,
}

/// `None` where the field is no number, and the line is no entry.
fn days(field: &[u8]) -> Option<Days> {
    if field.is_empty() {
        return Some(Days::None);
    }
    let days = i32::try_from(strtoul(field)?);
    Some(days.map_or(Days::Odd, |days| Days::Some(days.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> AccountName {
        "u".parse().unwrap()
    }

    #[test]
    fn locking_and_unlocking_gives_the_same_bytes_for_every_shape_of_field() {
        for (field, locked) in [
            ("", "!"),
            ("!", "!"),
            ("!!", "!!"),
            ("*", "!*"),
            ("!*", "!*"),
            ("x", "!x"),
            ("$6$salt$hash", "!$6$salt$hash"),
            ("!$6$salt$hash", "!$6$salt$hash"),
            ("*LK*", "!*LK*"),
        ] {
            let before = format!("a:$1$a:1::::::\nu:{field}:19000:0:99999:7:::\n+::::::::\n");
            let mut shadow = Shadow::parse(before.clone().into_bytes());
            let locks = shadow.lock_password(&name());
            let want = format!("a:$1$a:1::::::\nu:{locked}:19000:0:99999:7:::\n+::::::::\n");
            assert_eq!(shadow.to_bytes(), want.as_bytes());
            let done = shadow.unlock_password(&name(), &locks);
            assert_eq!(
                done,
                [if field == locked {
                    Restored::NothingToDo
                } else {
                    Restored::Yes
                }]
            );
            assert_eq!(shadow.to_bytes(), before.as_bytes());
        }
    }

    #[test]
    fn undoing_a_lock_leaves_what_others_did_since() {
        let before = b"u:$6$a:1::::::\n".to_vec();
        let mut shadow = Shadow::parse(before);
        let locks = shadow.lock_password(&name());
        for (since, after, restored) in [
            (
                "u:$6$new:1::::::\n",
                "u:$6$new:1::::::\n",
                Restored::ChangedSince,
            ),
            ("u:!:1::::::\n", "u:!:1::::::\n", Restored::ChangedSince),
            ("v:!$6$a:1::::::\n", "v:!$6$a:1::::::\n", Restored::Gone),
            (
                "#\nu:!!$6$a:1::::::\n",
                "#\nu:!$6$a:1::::::\n",
                Restored::Yes,
            ),
        ] {
            let mut shadow = Shadow::parse(since.as_bytes().to_vec());
            assert_eq!(
                shadow.unlock_password(&name(), &locks),
                [restored],
                "{since}"
            );
            assert_eq!(shadow.to_bytes(), after.as_bytes());
        }
    }

    #[test]
    fn entries_are_what_getspent_gives() {
        let ugly = b"root:*:19000:0:99999:7:::\nu:$6$h:::::3:20000:\nold:x:1:0:99999\n\
            neg:x:-1:-1:-1:-1:-1:-1:-1\nbad:x:one:::::::\nmany:x::::::::::\nnul:x\0:::::::\nword\n";
        let shadow = Shadow::parse(ugly.to_vec());
        let seen: Vec<_> = shadow
            .entries()
            .map(|e| (e.line, e.expire_day, e.aging.max, e.odd_number))
            .collect();
        assert_eq!(
            seen,
            [
                (1, None, Some(99999), false),
                (2, Some(20000), None, false),
                (3, None, Some(99999), false),
                (4, None, None, true)
            ]
        );
        assert_eq!(
            shadow.unparsed().map(|u| u.line).collect::<Vec<_>>(),
            [5, 6, 7, 8]
        );
        // Each was given to getent(1) of glibc 2.31, 2.36 and 2.41.
        for (rest, is_entry) in [
            ("x:1:0:9:7:::", true),
            ("x:1:0:9:7::1", true),
            ("x:1:0:9:7::1:", true),
            ("x:1:0:9", true),
            ("x:1:0:9:", true),
            ("x:1:0:9: ", true),
            ("x:1:0:9: :::", true),
            ("x:1:0: :7:::", false),
            ("x:1:0:9:7:: 1:", true),
            ("x:1:0:9:7::+1:", true),
            ("x:1:0:9:7::1:0", true),
            ("x:1:0:9:7:::\0x", true),
            ("x:::", false),
            ("x:1:0:", false),
            ("x:1:0:9:7", false),
            ("x:1:0:9:7:", false),
            ("x:1:0:9:7::", false),
            ("x:1:0:9:7::1 :", false),
            ("x:1:0:9:7:: :", false),
            ("x:1:0:9:7::1x:", false),
            ("x:1:0:9:7::1::", false),
            ("x:1:0:9:7::1:x", false),
            ("x:1:0:9:7:::\r", false),
            ("x", false),
            ("x:", false),
            ("", false),
        ] {
            let shadow = Shadow::parse(format!("u:{rest}\n").into());
            assert_eq!(shadow.entries().count() == 1, is_entry, "{rest:?}");
        }
        let shown = format!("{shadow:?} {:?}", shadow.entries().collect::<Vec<_>>());
        assert!(!shown.contains("$6$"), "{shown}");
    }

    #[test]
    fn a_pass_for_many_finds_those_that_closing_would_change() {
        let file = "a:!x:1:0:9:7::1:\nb:!x:1:0:9:7::2:\nc:x:1:0:9:7::1:\nd:!x:1::::\n\
                    e:!:1:::::1:\n e:$6$x:1:::::1:\nf\n#a:x\ng:!:::::: 1:\nh::::::::\nother:x:\n";
        let shadow = Shadow::parse(file.into());
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "none"];
        let changed = |name: &&str| {
            let name: AccountName = name.parse().unwrap();
            let mut locks = shadow.password_locks(&name).into_iter();
            let mut expiry = shadow.expiry_changes(&name, Some(1)).into_iter();
            locks.any(|lock| lock.added)
                || expiry.any(|change| change.previous != change.written || change.fields < 9)
        };
        let want: Vec<&str> = names.into_iter().filter(changed).collect();
        let wanted = |name: &[u8]| names.iter().any(|n| n.as_bytes() == name);
        let found = shadow.not_closed(1, wanted);
        let found: Vec<_> = found
            .map(|name| std::str::from_utf8(name).unwrap())
            .collect();
        assert_eq!(found, want);
        assert_eq!(want, ["b", "c", "d", "e", "g", "h"]);
    }
}
