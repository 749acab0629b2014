//! lastlog(8): one record for each uid, at its place in a file that is mostly a hole.
//!
//! A host with the uid 4294967294 has a file of 1.2 TB. Only the places of uids that an account
//! has are read.

use std::io;

use rescind_protocol::name::UnixMillis;

use super::tail::Bytes;

/// A form of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Times of 32 bits, 292 bytes: glibc on x86-64.
    Narrow,
    /// Times of 64 bits, 296 bytes.
    Wide,
}

/// The last login of a uid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// When.
    pub at: UnixMillis,
    /// Where it came from, up to the first NUL.
    pub host: Vec<u8>,
}

impl Form {
    const fn record_bytes(self) -> usize {
        match self {
            Self::Narrow => 292,
            Self::Wide => 296,
        }
    }

    /// The form of a file of that size. The file ends with a whole record; where both forms would
    /// fit it is this machine's. `None` for a file that is neither.
    pub fn of(size: u64) -> Option<Self> {
        [Self::Narrow, Self::Wide]
            .into_iter()
            .find(|form| size.is_multiple_of(form.record_bytes() as u64))
    }
}

/// The last login of a uid; `None` where the file has none of it.
pub fn last(file: &mut dyn Bytes, form: Form, uid: u32) -> io::Result<Option<Last>> {
    let bytes = form.record_bytes();
    let at = u64::from(uid) * bytes as u64;
    let mut record = [0; 296];
    let record = &mut record[..bytes];
    if file.read_at(at, record)? < bytes {
        return Ok(None);
    }
    let (seconds, host) = match form {
        Form::Narrow => {
            let seconds = [record[0], record[1], record[2], record[3]];
            (u64::from(u32::from_le_bytes(seconds)), &record[36..])
        }
        Form::Wide => {
            let mut seconds = [0; 8];
            seconds.copy_from_slice(&record[..8]);
            (u64::from_le_bytes(seconds), &record[40..])
        }
    };
    let Some(millis) = seconds.checked_mul(1000).filter(|millis| *millis > 0) else {
        return Ok(None);
    };
    let end = host.iter().position(|byte| *byte == 0);
    Ok(Some(Last {
        at: UnixMillis(millis),
        host: host[..end.unwrap_or(host.len())].to_vec(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(form: Form, seconds: u32, host: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; form.record_bytes()];
        bytes[..4].copy_from_slice(&seconds.to_le_bytes());
        let start = bytes.len() - 256;
        bytes[start..start + host.len()].copy_from_slice(host);
        bytes
    }

    #[test]
    fn each_uid_has_its_place() {
        for form in [Form::Narrow, Form::Wide] {
            let whole = [
                record(form, 0, b""),
                record(form, 1_700_000_000, b"192.0.2.7"),
                record(form, 1, &[b'h'; 256]),
            ]
            .concat();
            let mut file = &whole[..];
            assert_eq!(Form::of(file.len() as u64), Some(form));
            let mut last = |uid| last(&mut file, form, uid).unwrap();
            assert_eq!(last(0), None, "no login");
            let one = last(1).unwrap();
            assert_eq!(
                (one.at, &*one.host),
                (UnixMillis(1_700_000_000_000), &b"192.0.2.7"[..])
            );
            assert_eq!(last(2).unwrap().host, [b'h'; 256]);
            assert_eq!(last(3), None, "beyond the end");
            assert_eq!(last(u32::MAX), None);
        }
    }

    #[test]
    fn a_file_of_another_size_is_no_lastlog() {
        assert_eq!(Form::of(0), Some(Form::Narrow));
        assert_eq!(Form::of(291), None);
        assert_eq!(Form::of(292 * 4_294_967_295), Some(Form::Narrow));
        assert_eq!(Form::of(296), Some(Form::Wide));
        // Two forms fit: 73 records of one, 72 of the other... of this machine's.
        assert_eq!(Form::of(292 * 74), Some(Form::Narrow));
    }
}
