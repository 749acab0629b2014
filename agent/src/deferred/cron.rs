//! Which files cron(8) reads, and which it refuses for their owner, mode or name.
//!
//! Debian's cron and cronie differ; what is said of others is said of neither.

/// A cron daemon, told apart by what it is known to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Vixie's cron as Debian and its descendants have it.
    Debian,
    /// cronie: Red Hat, SUSE, Arch and others.
    Cronie,
    /// busybox's: it knows no PAM.
    Busybox,
    /// Another one.
    Other,
}

impl Kind {
    /// Tells by the texts in a daemon's program.
    pub fn of_program(program: &[u8]) -> Self {
        let has = |text: &[u8]| memchr::memmem::find(program, text).is_some();
        if has(b"INSECURE MODE (mode 0600 expected)") {
            Self::Debian
        } else if has(b"BAD FILE MODE") {
            Self::Cronie
        } else if has(b"BusyBox v") {
            Self::Busybox
        } else {
            Self::Other
        }
    }
}

/// What is looked at of a table before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFacts {
    /// Its owner.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
    /// Its names.
    pub links: u64,
}

/// Why a daemon does not read an account's own table, if that is known of it.
pub fn refuses_user_table(kind: Kind, table: TableFacts, owner: u32) -> Option<&'static str> {
    let own = table.uid == owner || table.uid == 0;
    match kind {
        Kind::Debian if !own => Some("it belongs neither to the account nor to root"),
        Kind::Debian if table.mode & 0o7777 != 0o600 => Some("its mode is not 0600"),
        Kind::Debian if table.links != 1 => Some("it has several names"),
        _ => None,
    }
}

/// Why a daemon does not read a table that names its users, if that is known of it.
pub fn refuses_system_table(kind: Kind, table: TableFacts) -> Option<&'static str> {
    match kind {
        Kind::Debian if table.uid != 0 => Some("it does not belong to root"),
        Kind::Debian if table.mode & 0o022 != 0 => Some("others than root may write to it"),
        _ => None,
    }
}

/// What a daemon makes of a name in `/etc/cron.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    /// It reads the file.
    Read,
    /// It reads it only when it was started for that (Debian's `cron -l`).
    OnlyWithLsbNames,
    /// It passes the file over.
    PassedOver,
}

/// What a daemon makes of a name in `/etc/cron.d`.
///
/// Debian: letters, digits, `_` and `-` alone, so neither `job.bak` nor `john.doe`; with `-l` also
/// the names of the LSB, in which dots may stand. Others: all but hidden files, backups and what
/// rpm(8) leaves.
pub fn table_name(kind: Kind, name: &[u8]) -> TableName {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_read = match kind {
        Kind::Debian => name.iter().all(plain),
        _ => {
            let leftovers: [&[u8]; 4] = [b"~", b".rpmsave", b".rpmorig", b".rpmnew"];
            !name.starts_with(b".") && !leftovers.iter().any(|end| name.ends_with(end))
        }
    };
    match kind {
        _ if is_read => TableName::Read,
        Kind::Debian if is_lsb_name(name) => TableName::OnlyWithLsbNames,
        _ => TableName::PassedOver,
    }
}

/// Whether run-parts(8), as it comes with this cron, runs a file of this name. Debian's runs those
/// of plain names only: no `backup.sh`.
pub fn run_parts_takes(kind: Kind, name: &[u8]) -> bool {
    table_name(kind, name) == TableName::Read && !name.is_empty()
}

/// cron(8) of Debian: `^_?([a-z0-9_.]+-)+[a-z0-9]+$`, but for what dpkg(1) leaves.
fn is_lsb_name(name: &[u8]) -> bool {
    let leftovers: [&[u8]; 5] = [
        b".dpkg-new",
        b".dpkg-old",
        b".dpkg-tmp",
        b".dpkg-dist",
        b".dpkg-orig",
    ];
    let low = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut parts = name.split(|byte| *byte == b'-').rev();
    // There is always a last part.
    let last = parts.next().unwrap_or_default();
    let mut others = parts.peekable();
    others.peek().is_some()
        && !last.is_empty()
        && last.iter().all(low)
        && others
            .all(|part| !part.is_empty() && part.iter().all(|b| low(b) || matches!(b, b'_' | b'.')))
        && !leftovers.iter().any(|end| name.ends_with(end))
}

/// Whether crontab(1) or at(1) lets an account make jobs: `cron.allow` and `cron.deny`, `at.allow`
/// and `at.deny`. They say nothing about jobs that are there.
///
/// `allow` and `deny` are the files' contents where there are such files. Where there is an allow
/// file, deny is not looked at. `None` where there is neither: then it depends on the program.
pub fn may_make_jobs(name: &[u8], allow: Option<&[u8]>, deny: Option<&[u8]>) -> Option<bool> {
    let lists = |file: &[u8]| {
        let mut lines = file.split(|byte| *byte == b'\n');
        lines.any(|line| line.trim_ascii() == name)
    };
    match (allow, deny) {
        (Some(allow), _) => Some(lists(allow)),
        (None, Some(deny)) => Some(!lists(deny)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_told_apart_by_their_texts() {
        for (program, kind) in [
            (
                "\0x\0(%s) INSECURE MODE (mode 0600 expected)\0",
                Kind::Debian,
            ),
            ("\0BAD FILE MODE\0", Kind::Cronie),
            ("\0BusyBox v1.36.1\0", Kind::Busybox),
            ("\0", Kind::Other),
        ] {
            assert_eq!(Kind::of_program(program.as_bytes()), kind);
        }
    }

    #[test]
    fn names_in_cron_d() {
        use TableName::{OnlyWithLsbNames, PassedOver, Read};
        for (name, debian, cronie) in [
            ("job-1_x", Read, Read),
            ("john.doe", PassedOver, Read),
            ("example.com-job", OnlyWithLsbNames, Read),
            ("job.dpkg-dist", PassedOver, Read),
            ("job.bak", PassedOver, Read),
            ("job~", PassedOver, PassedOver),
            (".hidden", PassedOver, PassedOver),
            ("a.rpmsave", PassedOver, PassedOver),
            ("\u{fc}", PassedOver, Read),
        ] {
            assert_eq!(table_name(Kind::Debian, name.as_bytes()), debian, "{name}");
            assert_eq!(table_name(Kind::Cronie, name.as_bytes()), cronie, "{name}");
        }
    }

    #[test]
    fn tables_that_debians_cron_refuses() {
        let table = |uid, mode, links| TableFacts { uid, mode, links };
        let user = |table| refuses_user_table(Kind::Debian, table, 1000).is_none();
        assert!(user(table(1000, 0o600, 1)) && user(table(0, 0o600, 1)));
        assert!(!user(table(1001, 0o600, 1)) && !user(table(1000, 0o644, 1)));
        assert!(!user(table(1000, 0o600, 2)));
        let system = |table| refuses_system_table(Kind::Debian, table).is_none();
        assert!(system(table(0, 0o644, 1)) && system(table(0, 0o644, 9)));
        assert!(!system(table(1000, 0o644, 1)) && !system(table(0, 0o664, 1)));
        // Nothing is claimed of others.
        assert_eq!(
            refuses_user_table(Kind::Other, table(7, 0o666, 3), 1000),
            None
        );
    }

    #[test]
    fn who_may_make_jobs() {
        let may = |allow: Option<&str>, deny: Option<&str>| {
            may_make_jobs(b"al", allow.map(str::as_bytes), deny.map(str::as_bytes))
        };
        assert_eq!(may(None, None), None);
        assert_eq!(may(Some("bob\n al \n"), Some("al")), Some(true));
        assert_eq!(may(Some(""), None), Some(false));
        assert_eq!(may(None, Some("alice\n")), Some(true));
        assert_eq!(may(None, Some("al")), Some(false));
    }
}
