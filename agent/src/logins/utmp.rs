//! utmp(5), wtmp(5): records of fixed size, one for each login, logout and boot.
//!
//! glibc has two forms of them. Where 32-bit programs are run, too (x86-64), times have 32 bits
//! and a record 384 bytes; elsewhere (aarch64), 64 and 400. btmp has the same form and is not
//! read: people type passwords where a name is asked for.

use rescind_protocol::name::UnixMillis;

/// A form of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Times of 32 bits: glibc on x86-64.
    Narrow,
    /// Times of 64 bits.
    Wide,
}

/// Something that happened. Texts are as they stand there, up to the first NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'b> {
    /// `ut_type`; [`USER_PROCESS`] is a login.
    pub kind: i16,
    /// The process that logged in.
    pub pid: i32,
    /// The terminal.
    pub line: &'b [u8],
    /// The account.
    pub user: &'b [u8],
    /// Where it came from.
    pub host: &'b [u8],
    /// When; `None` for a time before 1970.
    pub at: Option<UnixMillis>,
}

/// The kind of record that is a login.
pub const USER_PROCESS: i16 = 7;
/// The last kind there is, `ACCOUNTING`.
const KIND_MAX: i16 = 9;

impl Form {
    /// Bytes of a record.
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Narrow => 384,
            Self::Wide => 400,
        }
    }

    /// The form of a file, from the first bytes of it. It begins with a record; what would be the
    /// kinds of the next ones tells the forms apart. `None` for what is neither.
    pub fn of(head: &[u8]) -> Option<Self> {
        // How many of what would be its records are of some kind; none if one cannot be a record.
        let fits = |form: Self| {
            let mut kinds = 0;
            for record in head.chunks_exact(form.record_bytes()) {
                let kind = i16::from_le_bytes([record[0], record[1]]);
                // The two bytes between kind and pid are padding, and nobody writes to them.
                if !(0..=KIND_MAX).contains(&kind) || record[2..4] != [0, 0] {
                    return None;
                }
                kinds += usize::from(kind > 0);
            }
            (head.len() >= form.record_bytes()).then_some(kinds)
        };
        match (fits(Self::Narrow), fits(Self::Wide)) {
            (Some(narrow), Some(wide)) if wide > narrow => Some(Self::Wide),
            (Some(_), _) => Some(Self::Narrow),
            (None, Some(_)) => Some(Self::Wide),
            (None, None) => None,
        }
    }
}

/// The whole records in some bytes, which begin with one; what is left at the end is not one yet.
pub fn records(form: Form, bytes: &[u8]) -> impl DoubleEndedIterator<Item = Record<'_>> {
    bytes
        .chunks_exact(form.record_bytes())
        .map(move |record| parse(form, record))
}

fn parse(form: Form, record: &[u8]) -> Record<'_> {
    let text = |at: usize, len: usize| {
        let field = &record[at..at + len];
        let end = field.iter().position(|byte| *byte == 0);
        &field[..end.unwrap_or(len)]
    };
    let word = |at: usize| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&record[at..at + 4]);
        bytes
    };
    let long = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&record[at..at + 8]);
        i64::from_le_bytes(bytes)
    };
    let (seconds, micros) = match form {
        // Without a sign it lasts until 2106; nobody logged in before 1970.
        Form::Narrow => (
            i64::from(u32::from_le_bytes(word(340))),
            i64::from(u32::from_le_bytes(word(344))),
        ),
        Form::Wide => (long(344), long(352)),
    };
    Record {
        kind: i16::from_le_bytes([record[0], record[1]]),
        pid: i32::from_le_bytes(word(4)),
        line: text(8, 32),
        user: text(44, 32),
        host: text(76, 256),
        at: instant(seconds, micros),
    }
}

/// An instant from seconds and microseconds; `None` before 1970 or far beyond any clock.
fn instant(seconds: i64, micros: i64) -> Option<UnixMillis> {
    let millis = u64::try_from(micros.clamp(0, 999_999) / 1000).ok()?;
    let seconds = u64::try_from(seconds).ok()?;
    Some(UnixMillis(seconds.checked_mul(1000)?.checked_add(millis)?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record as a program would write it.
    pub fn record(
        form: Form,
        kind: i16,
        user: &[u8],
        line: &[u8],
        host: &[u8],
        at: i64,
    ) -> Vec<u8> {
        let mut bytes = vec![0; form.record_bytes()];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&4711_i32.to_le_bytes());
        for (start, text) in [(8, line), (44, user), (76, host)] {
            bytes[start..start + text.len()].copy_from_slice(text);
        }
        match form {
            Form::Narrow => bytes[340..344].copy_from_slice(&(at as u32).to_le_bytes()),
            Form::Wide => bytes[344..352].copy_from_slice(&at.to_le_bytes()),
        }
        bytes
    }

    #[test]
    fn both_forms_are_read_and_told_apart() {
        for form in [Form::Narrow, Form::Wide] {
            let file = [
                record(form, 2, b"reboot", b"~", b"6.1.0", 1_700_000_000),
                record(form, 7, b"alice", b"pts/0", b"192.0.2.7", 1_700_000_100),
                record(form, 8, b"", b"pts/0", b"", 1_700_000_200),
            ]
            .concat();
            assert_eq!(Form::of(&file), Some(form));
            let seen: Vec<Record<'_>> = records(form, &file).collect();
            assert_eq!(seen.len(), 3);
            assert_eq!(
                seen[1],
                Record {
                    kind: USER_PROCESS,
                    pid: 4711,
                    line: b"pts/0",
                    user: b"alice",
                    host: b"192.0.2.7",
                    at: Some(UnixMillis(1_700_000_100_000)),
                }
            );
            // A record that is being written.
            assert_eq!(records(form, &file[..file.len() - 1]).count(), 2);
        }
    }

    #[test]
    fn texts_may_fill_their_fields_and_times_may_be_odd() {
        let (user, host) = ([b'u'; 32], [b'h'; 256]);
        let full = record(
            Form::Narrow,
            7,
            &user,
            &[b'l'; 32],
            &host,
            i64::from(u32::MAX),
        );
        let seen = parse(Form::Narrow, &full);
        assert_eq!((seen.user, seen.host), (&user[..], &host[..]));
        assert_eq!(seen.at, Some(UnixMillis(4_294_967_295_000)));
        let before = record(Form::Wide, 7, b"a", b"b", b"", -1);
        assert_eq!(parse(Form::Wide, &before).at, None);
        let beyond = record(Form::Wide, 7, b"a", b"b", b"", i64::MAX);
        assert_eq!(parse(Form::Wide, &beyond).at, None);
    }

    #[test]
    fn what_is_no_such_file_is_said_to_be_none() {
        assert_eq!(Form::of(b""), None);
        assert_eq!(Form::of(&[0; 383]), None);
        assert_eq!(
            Form::of("a text that is long enough ".repeat(40).as_bytes()),
            None
        );
        // Zeroes are records of no kind, in any form.
        assert_eq!(Form::of(&[0; 800]), Some(Form::Narrow));
    }
}
