//! passwd(5): accounts, kept line by line.

use std::fmt;

use rescind_protocol::name::AccountName;

use super::account::PasswordState;
use super::lines::{LineKind, Lines, Unparsed, fields, kind_of, number, number_field, text_of};
use super::password::{self, PasswordLock, Restored};

/// `/etc/passwd`.
#[derive(Debug)]
pub struct Passwd {
    lines: Lines,
}

/// A line as glibc's getpwent(3) understands it: that is what lets people in, so it is taken as
/// generously. Fields after the gid may be missing; a shell may hold colons.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PasswdEntry<'a> {
    /// The line, from 1.
    pub line: u32,
    /// Field 1, without blanks before it; never empty.
    pub name: &'a [u8],
    /// Field 2: `x` where shadow(5) has the password, else a hash.
    pub password: &'a [u8],
    /// Field 3.
    pub uid: u32,
    /// Field 4.
    pub gid: u32,
    /// Field 5.
    pub gecos: &'a [u8],
    /// Field 6.
    pub home: &'a [u8],
    /// Field 7.
    pub shell: &'a [u8],
}

impl Passwd {
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

    /// The accounts, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = PasswdEntry<'_>> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(index, line)| entry(index, line))
    }

    /// The accounts of one name: glibc takes the first, but lines can change places.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = PasswdEntry<'_>> {
        let entry_at = |index| entry(index, self.lines.line(index));
        self.lines.named(name).filter_map(entry_at)
    }

    /// The account of a line, from 1.
    pub fn entry_at(&self, line: u32) -> Option<PasswdEntry<'_>> {
        let index = self.lines.index_of(line)?;
        entry(index, self.lines.line(index))
    }

    /// The accounts of one uid: a search, for those who ask once.
    pub fn of_uid(&self, uid: u32) -> impl Iterator<Item = PasswdEntry<'_>> {
        // However it is written, with blanks, a `+` or zeros before it, these bytes are in it.
        let candidates = self.lines.containing(format!("{uid}:").as_bytes());
        candidates
            .filter_map(|index| entry(index, self.lines.line(index)))
            .filter(move |entry| entry.uid == uid)
    }

    /// Lines that should be accounts and are not.
    pub fn unparsed(&self) -> impl Iterator<Item = Unparsed> {
        self.lines
            .unparsed(|index, line| entry(index, line).is_some())
    }

    /// The numbers of lines that begin with `+` or `-`.
    pub fn nis(&self) -> impl Iterator<Item = u32> {
        self.lines.nis()
    }

    /// What [`Passwd::lock_password`] would do.
    pub fn password_locks(&self, name: &AccountName) -> Vec<PasswordLock> {
        password::locks(&self.lines, name, |field| is_shadowed(name.as_str(), field))
    }

    /// Locks the hash of every line of an account; `x` stays, because there shadow(5) decides.
    pub fn lock_password(&mut self, name: &AccountName) -> Vec<PasswordLock> {
        password::lock(&mut self.lines, name, |field| {
            is_shadowed(name.as_str(), field)
        })
    }

    /// Undoes [`Passwd::lock_password`], change by change.
    pub fn unlock_password(&mut self, name: &AccountName, locks: &[PasswordLock]) -> Vec<Restored> {
        password::unlock(&mut self.lines, name, locks)
    }
}

impl PasswdEntry<'_> {
    /// Whether field 2 only says that shadow(5) has the password.
    pub fn is_shadowed(&self) -> bool {
        std::str::from_utf8(self.name).is_ok_and(|name| is_shadowed(name, self.password))
    }
}

/// Shows no password field, which may be a hash.
impl fmt::Debug for PasswdEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswdEntry")
            .field("line", &self.line)
            .field("name", &self.name.escape_ascii().to_string())
            .field("password", &PasswordState::of_field(self.password))
            .field("uid", &self.uid)
            .field("gid", &self.gid)
            .finish_non_exhaustive()
    }
}

/// `x`, `##` and the name, or `*NP*`: what pam_unix(8) takes for "look in shadow(5)".
fn is_shadowed(name: &str, field: &[u8]) -> bool {
    field == b"x" || field == b"*NP*" || field.strip_prefix(b"##") == Some(name.as_bytes())
}

fn entry(index: usize, line: &[u8]) -> Option<PasswdEntry<'_>> {
    let LineKind::Entry(line) = kind_of(line) else {
        return None;
    };
    let ([name, password, uid, gid, gecos, home, shell], _) = fields(text_of(line));
    if name.is_empty() {
        return None;
    }
    Some(PasswdEntry {
        line: number(index),
        name,
        password,
        uid: number_field(uid)?,
        gid: number_field(gid)?,
        gecos,
        home,
        shell,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UGLY: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # alice:x:1:1::/:/bin/sh\n\
        \n\
        \t alice:$6$s$h:1000:1000:A,,,:/home/alice:/bin/bash\r\n\
        alice:x:1001:1001::/home/alice2:/bin/sh\n\
        bob:x:ten:10::/:/bin/sh\n\
        nocolon\n\
        nul:x:5:5::/\0:/bin/sh\n\
        short:x:1002:1002\n\
        plus:: +7:7:::/a:b\n\
        \xff\xfe:*:1003:1003:::\n\
        +@admins::::::\n\
        -mallory::::::\n\
        last:x:1004:1004::/home/last:/bin/false";

    #[test]
    fn entries_are_what_getpwent_gives() {
        let passwd = Passwd::parse(UGLY.to_vec());
        let seen: Vec<_> = passwd
            .entries()
            .map(|e| {
                (
                    e.line,
                    e.name.escape_ascii().to_string(),
                    e.uid,
                    e.shell.to_vec(),
                )
            })
            .collect();
        let want = |line, name: &str, uid, shell: &[u8]| (line, name.into(), uid, shell.to_vec());
        assert_eq!(
            seen,
            [
                want(1, "root", 0, b"/bin/bash"),
                want(4, "alice", 1000, b"/bin/bash\r"),
                want(5, "alice", 1001, b"/bin/sh"),
                want(8, "nul", 5, b""),
                want(9, "short", 1002, b""),
                want(10, "plus", 7, b"/a:b"),
                want(11, r"\xff\xfe", 1003, b""),
                want(14, "last", 1004, b"/bin/false"),
            ]
        );
        let unparsed: Vec<_> = passwd.unparsed().map(|u| u.line).collect();
        assert_eq!(unparsed, [6, 7]);
        assert_eq!(passwd.nis().collect::<Vec<_>>(), [12, 13]);
        assert_eq!(passwd.to_bytes(), UGLY);
    }

    #[test]
    fn a_hash_in_passwd_is_locked_and_unlocked_on_every_line() {
        let before = b"a:$6$s$h:1:1:::\nb:x:2:2:::\n a::3:3:::\na:x:4:4:::\na:##a:5:5:::\na:*NP*:6:6:::\na:*";
        let locked = b"a:!$6$s$h:1:1:::\nb:x:2:2:::\n a:!:3:3:::\na:x:4:4:::\na:##a:5:5:::\na:*NP*:6:6:::\na:!*";
        let alice: AccountName = "a".parse().unwrap();
        let mut passwd = Passwd::parse(before.to_vec());
        let locks = passwd.lock_password(&alice);
        assert_eq!(passwd.to_bytes(), locked);
        let added: Vec<_> = locks
            .iter()
            .map(|l| (l.line, l.added, l.was_empty))
            .collect();
        assert_eq!(
            added,
            [
                (1, true, false),
                (3, true, true),
                (4, false, false),
                (5, false, false),
                (6, false, false),
                (7, true, false)
            ]
        );
        assert!(
            passwd.lock_password(&alice).iter().all(|l| !l.added),
            "locking twice is once"
        );
        use Restored::*;
        assert_eq!(
            passwd.unlock_password(&alice, &locks),
            [Yes, Yes, NothingToDo, NothingToDo, NothingToDo, Yes]
        );
        assert_eq!(passwd.to_bytes(), before);
    }

    #[test]
    fn debug_shows_no_hash() {
        let passwd = Passwd::parse(b"a:$6$secret:1:1:::".to_vec());
        let shown = format!("{passwd:?} {:?}", passwd.entries().collect::<Vec<_>>());
        assert!(
            !shown.contains("secret") && shown.contains("Usable"),
            "{shown}"
        );
    }
}
