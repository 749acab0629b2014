//! OpenPGP private keys: GnuPG's store (its `agent/keyformat.txt`), and packets as they are in
//! keyrings and exported keys (RFC 9580 section 5.5.3).

use aws_lc_rs::digest;

use super::kind::Kind;
use super::mark::PublicMark;
use super::note::{File, Mark, Note, Notes, Sighting};

/// Packets beyond these are not looked at.
const PACKETS_MAX: usize = 10_000;

/// A file of `~/.gnupg/private-keys-v1.d`.
pub fn store_file(file: &File<'_>, notes: &mut Notes<'_>) {
    let Some(grip) = keygrip(file.name()) else {
        return;
    };
    // The first of these words; both the canonical form and the one for people have it in the
    // clear, and what follows it is binary or hexadecimal.
    let head = &file.bytes[..file.bytes.len().min(4096)];
    let at = |word: &str| memchr::memmem::find(head, word.as_bytes());
    let forms = [
        ("shadowed-private-key", None),
        ("protected-private-key", Some(true)),
        (
            "openpgp-private-key",
            Some(at("(10:protection4:none").is_none()),
        ),
        ("private-key", Some(false)),
    ];
    let Some((word, encrypted)) = forms.iter().find(|(word, _)| at(word).is_some()) else {
        notes(Note::Unclear {
            kind: Kind::PgpPrivateKey,
            why: "a key of GnuPG in an unknown form",
        });
        return;
    };
    // The key itself is on a smart card.
    let Some(encrypted) = *encrypted else { return };
    let body = &head[at(word).unwrap_or(0)..];
    let types = ["rsa", "ecc", "dsa", "elg", "ecdsa", "ecdh"];
    let key_type = types.into_iter().find(|name| {
        let word = [&b"("[..], name.as_bytes()].concat();
        let counted = format!("({}:{name}", name.len());
        [word, counted.into_bytes()]
            .iter()
            .any(|word| memchr::memmem::find(&body[..body.len().min(64)], word).is_some())
    });
    notes(Note::Held(Sighting {
        kind: Kind::PgpPrivateKey,
        label: b"",
        encrypted,
        key_type: (key_type.unwrap_or(""), 0),
        mark: Mark::Public(PublicMark::Keygrip(grip)),
    }));
}

/// A keyring, or an exported key with or without its armour.
pub fn key_file(file: &File<'_>, notes: &mut Notes<'_>) {
    match file.bytes.first() {
        Some(byte) if byte & 0x80 != 0 => packets(file.bytes, notes),
        _ => super::keys::in_pem(file.bytes, Kind::PgpPrivateKey, notes),
    }
}

/// The secret keys and subkeys among OpenPGP packets.
pub fn packets(bytes: &[u8], notes: &mut Notes<'_>) {
    let mut rest = bytes;
    for _ in 0..PACKETS_MAX {
        let Some((tag, body, after)) = packet(rest) else {
            return;
        };
        rest = after;
        if !matches!(tag, 5 | 7) {
            continue;
        }
        match secret_key(body) {
            Some(Secret::Held(sighting)) => notes(Note::Held(sighting)),
            Some(Secret::Elsewhere) => {}
            None => notes(Note::Unclear {
                kind: Kind::PgpPrivateKey,
                why: "an OpenPGP private key of an unknown form",
            }),
        }
    }
}

/// The first packet: its type, its body, and what follows it.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&head, rest) = bytes.split_first()?;
    if head & 0x80 == 0 {
        return None;
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, b| sum << 8 | usize::from(*b));
    let (tag, len, rest) = if head & 0x40 != 0 {
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..192 => (usize::from(first), rest),
            192..224 => {
                let (&second, rest) = rest.split_first()?;
                (
                    ((usize::from(first) - 192) << 8) + usize::from(second) + 192,
                    rest,
                )
            }
            255 => {
                let (len, rest) = rest.split_first_chunk::<4>()?;
                (number(len), rest)
            }
            // Parts are for data, never for keys.
            _ => return None,
        };
        (head & 0x3f, len, rest)
    } else {
        let size = match head & 3 {
            3 => return None,
            code => 1 << code,
        };
        let (len, rest) = rest.split_at_checked(size)?;
        (head >> 2 & 0x0f, number(len), rest)
    };
    let (body, rest) = rest.split_at_checked(len)?;
    Some((tag, body, rest))
}

enum Secret<'b> {
    Held(Sighting<'b>),
    /// A stub: the key is on a card, or was taken out.
    Elsewhere,
}

fn secret_key(body: &[u8]) -> Option<Secret<'_>> {
    if *body.first()? != 4 {
        // Versions 3 and 6: what they hold is not told apart.
        let mark = Mark::Value(body);
        return Some(Secret::Held(sighting(("", 0), false, mark)));
    }
    let algorithm = *body.get(5)?;
    let mut fields = Fields { body, at: 6 };
    let (name, bits) = match algorithm {
        1..=3 => {
            let bits = fields.number()?;
            fields.number()?;
            ("rsa", bits)
        }
        16 => {
            let bits = fields.number()?;
            fields.number()?;
            fields.number()?;
            ("elg", bits)
        }
        17 => {
            let bits = fields.number()?;
            for _ in 0..3 {
                fields.number()?;
            }
            ("dsa", bits)
        }
        18 | 19 | 22 => {
            fields.counted()?;
            fields.number()?;
            if algorithm == 18 {
                fields.counted()?;
            }
            ("ecc", 0)
        }
        25..=28 => {
            fields.skip(match algorithm {
                26 => 56,
                28 => 57,
                _ => 32,
            })?;
            ("ecc", 0)
        }
        _ => return None,
    };
    let public = &body[..fields.at];
    let encrypted = match *body.get(fields.at)? {
        0 => false,
        253..=255 => {
            // GnuPG's own way of stretching: mode 1 is no secret, mode 2 is a card.
            if let Some([_, 101, _, b'G', b'N', b'U', 1 | 2]) =
                body.get(fields.at + 1..fields.at + 8)
            {
                return Some(Secret::Elsewhere);
            }
            true
        }
        _ => true, // a cipher, in the manner of PGP 2
    };
    let mark = Mark::Public(PublicMark::OpenPgp(fingerprint(public)));
    Some(Secret::Held(sighting((name, bits), encrypted, mark)))
}

fn sighting<'b>(key_type: (&'static str, u32), encrypted: bool, mark: Mark<'b>) -> Sighting<'b> {
    Sighting {
        kind: Kind::PgpPrivateKey,
        label: b"",
        encrypted,
        key_type,
        mark,
    }
}

/// The fields of a key packet.
struct Fields<'b> {
    body: &'b [u8],
    at: usize,
}

impl Fields<'_> {
    fn skip(&mut self, len: usize) -> Option<()> {
        self.at = self
            .at
            .checked_add(len)
            .filter(|at| *at <= self.body.len())?;
        Some(())
    }

    /// A number with its length in bits before it; the length.
    fn number(&mut self) -> Option<u32> {
        let bits = self.body.get(self.at..self.at + 2)?;
        let bits = u32::from(bits[0]) << 8 | u32::from(bits[1]);
        self.skip(2 + bits.div_ceil(8) as usize)?;
        Some(bits)
    }

    /// Something with its length in bytes before it.
    fn counted(&mut self) -> Option<()> {
        let len = *self.body.get(self.at)?;
        self.skip(1 + usize::from(len))
    }
}

/// Version 4 (RFC 9580 section 5.5.4.2).
fn fingerprint(public: &[u8]) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    let len = u16::try_from(public.len()).unwrap_or(u16::MAX);
    context.update(&[0x99]);
    context.update(&len.to_be_bytes());
    context.update(public);
    let mut sum = [0; 20];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}

/// 40 hexadecimal digits and `.key`.
fn keygrip(name: &[u8]) -> Option<[u8; 20]> {
    let hex = name.strip_suffix(b".key").filter(|hex| hex.len() == 40)?;
    let mut grip = [0; 20];
    for (byte, pair) in grip.iter_mut().zip(hex.chunks(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(grip)
}
