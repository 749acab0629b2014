//! Strings and numbers as SSH writes them (RFC 4251 section 5; sshbuf-getput-basic.c), for keys, certificates and KRLs.

/// `SSHBUF_MAX_BIGNUM`, in bytes.
const BIGNUM_BYTES_MAX: usize = 16_384 / 8;

/// What is left to read.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next so many bytes as they stand.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (value, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*value)
    }

    /// `sshbuf_get_u32`
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// `sshbuf_get_u64`
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// `sshbuf_get_string`
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (value, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(value)
    }

    /// `sshbuf_get_cstring`: one NUL is allowed, at the end.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let text = self.string()?;
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        (!text.contains(&0)).then_some(text)
    }

    /// `sshbuf_get_bignum2_bytes_direct`: not negative, not too long; without the zeros before it.
    pub fn number(&mut self) -> Option<&'a [u8]> {
        let number = self.string()?;
        let first = number.first().copied().unwrap_or(0);
        let too_long = number.len() > BIGNUM_BYTES_MAX + usize::from(first == 0);
        if first & 0x80 != 0 || too_long {
            return None;
        }
        Some(&number[number.iter().position(|b| *b != 0).unwrap_or(number.len())..])
    }
}

/// A blob as it is written.
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn string(&mut self, value: &[u8]) {
        self.0
            .extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
    }

    pub fn number(&mut self, number: &[u8]) {
        let sign = number.first().is_some_and(|first| first & 0x80 != 0);
        self.0
            .extend_from_slice(&((number.len() + usize::from(sign)) as u32).to_be_bytes());
        if sign {
            self.0.push(0);
        }
        self.0.extend_from_slice(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_short_is_not_read() {
        let mut reader = Reader(b"\0\0\0\x02ab\0\0\0\x03c\0d");
        assert_eq!(reader.string(), Some(b"ab".as_slice()));
        assert_eq!(reader.text(), None, "a NUL in the middle");
        assert_eq!(Reader(b"\0\0\0\x02a").string(), None);
        assert_eq!(
            Reader(b"\0\0\0\x02a\0").text(),
            Some(b"a".as_slice()),
            "a NUL at the end"
        );
        assert_eq!(
            Reader(b"\0\0\0\x01\x80").number(),
            None,
            "a negative number"
        );
        assert_eq!(
            Reader(b"\0\0\0\x03\0\0\x07").number(),
            Some(b"\x07".as_slice())
        );
    }
}
