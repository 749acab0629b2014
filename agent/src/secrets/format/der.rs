//! ASN.1 in DER (X.690), as far as keys need it: elements one after the other, nothing copied.

/// Universal tags (X.680).
pub const INTEGER: u8 = 0x02;
/// See [`INTEGER`].
pub const BIT_STRING: u8 = 0x03;
/// See [`INTEGER`].
pub const OCTET_STRING: u8 = 0x04;
/// See [`INTEGER`].
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// See [`INTEGER`].
pub const SEQUENCE: u8 = 0x30;
/// Context tags, constructed: `[0]`, `[1]`.
pub const CONTEXT_0: u8 = 0xa0;
/// See [`CONTEXT_0`].
pub const CONTEXT_1: u8 = 0xa1;
/// `[1]` primitive, as PKCS #8 version 2 has the public key.
pub const CONTEXT_1_PRIMITIVE: u8 = 0x81;

/// Elements still to be read.
#[derive(Clone, Copy)]
pub struct Der<'d>(pub &'d [u8]);

impl<'d> Der<'d> {
    /// The next element's tag and content; `None` at the end, or where there is no whole element.
    pub fn any(&mut self) -> Option<(u8, &'d [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let len = bytes
                    .iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte));
                (len, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next element's content, if it has this tag; otherwise nothing is taken.
    pub fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        let mut ahead = *self;
        let (found, content) = ahead.any()?;
        if found != tag {
            return None;
        }
        *self = ahead;
        Some(content)
    }

    /// The elements of the next sequence.
    pub fn sequence(&mut self) -> Option<Self> {
        self.take(SEQUENCE).map(Der)
    }

    /// A bit string without unused bits.
    pub fn bits(&mut self) -> Option<&'d [u8]> {
        self.take(BIT_STRING)?.strip_prefix(&[0])
    }

    /// Whether there is nothing left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_whole_or_not_at_all() {
        let mut der = Der(&[0x02, 0x01, 0x05, 0x04, 0x81, 0x02, 0xaa, 0xbb, 0x30, 0x00]);
        assert_eq!(der.take(OCTET_STRING), None);
        assert_eq!(der.take(INTEGER), Some(&[5][..]));
        assert_eq!(der.take(OCTET_STRING), Some(&[0xaa, 0xbb][..]));
        assert!(der.sequence().is_some_and(|inner| inner.is_empty()));
        assert!(der.is_empty());
        for cut in [
            &[0x02][..],
            &[0x02, 0x02, 0x01],
            &[0x02, 0x80, 0x00],
            &[0x02, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Der(cut).any(), None, "{cut:?}");
        }
    }
}
