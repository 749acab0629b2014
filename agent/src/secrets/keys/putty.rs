//! PuTTY's form of private keys, versions 2 and 3. The public half stands in the clear.

use super::{Key, of_blob};
use crate::secrets::format::{base64, ini};

/// The key in a .ppk file.
pub(super) fn parse(text: &[u8]) -> Option<Key<'_>> {
    let mut lines = ini::lines(text);
    let (first, _type) = header(lines.next()?)?;
    if !matches!(first, b"PuTTY-User-Key-File-2" | b"PuTTY-User-Key-File-3") {
        return None;
    }
    let mut encrypted = None;
    let mut public = None;
    while let Some(line) = lines.next() {
        let (name, value) = header(line)?;
        match name {
            b"Encryption" => encrypted = Some(value != b"none"),
            b"Public-Lines" => {
                let mut blob = Vec::new();
                for _ in 0..count(value)? {
                    blob.extend_from_slice(lines.next()?);
                }
                public = Some(base64::decode(&blob)?);
            }
            b"Private-Lines" => {
                let raw = lines.next().filter(|_| count(value) > Some(0))?;
                let (key_type, public) = of_blob(&public?);
                return Some(Key {
                    key_type,
                    encrypted: encrypted?,
                    public: Some(public),
                    raw,
                });
            }
            _ => {}
        }
    }
    None
}

fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|b| *b == b':')?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// A number of lines; no key has a thousand.
fn count(text: &[u8]) -> Option<usize> {
    let number = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number < 1000).then_some(number)
}
