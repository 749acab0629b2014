//! Base64, into a buffer that is erased.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Decodes text in the standard alphabet, blanks and line ends passed over, padded or not.
pub fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut dense = Zeroizing::new(Vec::with_capacity(text.len()));
    dense.extend(text.iter().filter(|b| !b.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(dense.len())]);
    let len = STANDARD.decode_slice(&*dense, &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn blanks_and_padding_do_not_matter() {
        for text in ["YWJjZA==", "YWJjZA", " YW\r\nJj\tZA ==\n"] {
            assert_eq!(
                decode(text.as_bytes()).as_deref().map(|b| &b[..]),
                Some(&b"abcd"[..])
            );
        }
        assert!(decode(b"YW*j").is_none());
        assert!(decode(b"Y").is_none());
        assert_eq!(decode(b"").map(|b| b.len()), Some(0));
    }
}
