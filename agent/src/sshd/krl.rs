//! Key revocation lists (PROTOCOL.krl; `ssh_krl_from_blob` of krl.c).

use std::collections::{HashMap, HashSet};

use rescind_protocol::name::KeyFingerprint;

use super::algorithms;
use super::certificate::Certificate;
use super::key_blob::BlobKey;
use super::key_line::KeyLine;
use super::release::Release;
use super::wire::Reader;

/// `KRL_MAGIC`
pub const MAGIC: &[u8] = b"SSHKRL\n\0";
/// `KRL_FORMAT_VERSION`
const FORMAT_VERSION: u32 = 1;

/// What a KRL revokes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Krl {
    sha256: HashSet<[u8; 32]>,
    sha1: HashSet<[u8; 20]>,
    /// Certificates, by the CA that signed them; `None` for those of every CA.
    certificates: HashMap<Option<KeyFingerprint>, Certificates>,
}

/// The certificates of one CA that a KRL revokes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Certificates {
    /// First and last of a run of serials.
    serials: Vec<(u64, u64)>,
    key_ids: HashSet<Vec<u8>>,
}

/// Why a KRL was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KrlProblem {
    /// sshd cannot read it either, and then takes every key for revoked.
    Refused,
    /// It says something that this reader does not know, and sshd may.
    NotUnderstood,
}

type Read<T> = Result<T, KrlProblem>;

/// Nothing reads what is cut short.
fn whole<T>(value: Option<T>) -> Read<T> {
    value.ok_or(KrlProblem::Refused)
}

impl Krl {
    /// Reads a KRL as a release does.
    pub fn parse(bytes: &[u8], release: &Release) -> Read<Self> {
        let mut reader = Reader(whole(bytes.strip_prefix(MAGIC))?);
        if whole(reader.u32())? != FORMAT_VERSION {
            return Err(unknown(release));
        }
        // krl_version, generated_date, flags
        whole(reader.array::<24>())?;
        let (_reserved, _comment) = (whole(reader.string())?, whole(reader.text())?);
        let mut krl = Self::default();
        while !reader.is_empty() {
            let [kind] = whole(reader.array())?;
            let data = Reader(whole(reader.string())?);
            krl.section(kind, data, &mut reader, release)?;
        }
        Ok(krl)
    }

    fn section(
        &mut self,
        kind: u8,
        mut data: Reader<'_>,
        rest: &mut Reader<'_>,
        release: &Release,
    ) -> Read<()> {
        match kind {
            // KRL_SECTION_CERTIFICATES
            1 => self.certificates(data, release)?,
            // KRL_SECTION_EXPLICIT_KEY
            2 => {
                while !data.is_empty() {
                    let key = KeyFingerprint::of_blob(whole(data.string())?);
                    self.sha256.insert(*key.as_bytes());
                }
            }
            // KRL_SECTION_FINGERPRINT_SHA1
            3 => {
                while !data.is_empty() {
                    let sum = whole(data.string())?.try_into().ok();
                    self.sha1.insert(whole(sum)?);
                }
            }
            // KRL_SECTION_SIGNATURE has a second string. It is no longer verified since 9.4.
            4 if release.at_least(9, 4) => {
                whole(rest.string())?;
            }
            4 => return Err(KrlProblem::NotUnderstood),
            // KRL_SECTION_FINGERPRINT_SHA256
            5 => {
                while !data.is_empty() {
                    let sum = whole(data.string())?.try_into().ok();
                    self.sha256.insert(whole(sum)?);
                }
            }
            // KRL_SECTION_EXTENSION
            255 if release.at_least(9, 4) => extension(data)?,
            _ => return Err(unknown(release)),
        }
        Ok(())
    }

    /// `parse_revoked_certs`
    fn certificates(&mut self, mut data: Reader<'_>, release: &Release) -> Read<()> {
        let (authority, _reserved) = (whole(data.string())?, whole(data.string())?);
        let authority = match authority {
            b"" => None,
            blob => {
                let key = BlobKey::parse(blob).map_err(|_| unknown(release))?;
                let is_short = key.short_name && !algorithms::takes_short_names(release);
                if is_short || !algorithms::is_known(key.key_type, release) {
                    return Err(unknown(release));
                }
                Some(key)
            }
        };
        let mut revoked = Certificates::default();
        while !data.is_empty() {
            let [kind] = whole(data.array())?;
            revoked.section(kind, Reader(whole(data.string())?), release)?;
        }
        let says_nothing = revoked == Certificates::default();
        // A certificate where the CA's key should be is never the CA of anything.
        if !says_nothing && authority.is_none_or(|key| !key.certificate) {
            let authority = authority.map(|key| key.fingerprint);
            let known = self.certificates.entry(authority).or_default();
            known.serials.extend(revoked.serials);
            known.key_ids.extend(revoked.key_ids);
        }
        Ok(())
    }

    /// Whether a key is revoked.
    pub fn revokes(&self, key: &KeyLine) -> bool {
        self.revokes_sums(&key.fingerprint, key.sha1.as_ref())
    }

    /// Whether a certificate is revoked, be it by the key in it.
    pub fn revokes_certificate(&self, certificate: &Certificate) -> bool {
        let key = &certificate.key;
        let by_authority = [Some(certificate.authority.fingerprint), None];
        self.revokes_sums(&key.fingerprint, Some(&key.sha1))
            || by_authority
                .iter()
                .filter_map(|authority| self.certificates.get(authority))
                .any(|revoked| revoked.has(certificate))
    }

    /// Whether certificates of a CA are revoked, other than by the CA's key.
    pub fn revokes_some_of(&self, authority: &KeyFingerprint) -> bool {
        [Some(*authority), None]
            .iter()
            .any(|authority| self.certificates.contains_key(authority))
    }

    fn revokes_sums(&self, sha256: &KeyFingerprint, sha1: Option<&[u8; 20]>) -> bool {
        self.sha256.contains(sha256.as_bytes()) || sha1.is_some_and(|sum| self.sha1.contains(sum))
    }
}

impl Certificates {
    fn section(&mut self, kind: u8, mut data: Reader<'_>, release: &Release) -> Read<()> {
        match kind {
            // KRL_SECTION_CERT_SERIAL_LIST
            0x20 => {
                while !data.is_empty() {
                    let serial = whole(data.u64())?;
                    self.revoke(serial, serial)?;
                }
            }
            // KRL_SECTION_CERT_SERIAL_RANGE
            0x21 => {
                let (first, last) = (whole(data.u64())?, whole(data.u64())?);
                self.revoke(first, last)?;
            }
            // KRL_SECTION_CERT_SERIAL_BITMAP
            0x22 => {
                let (offset, bits) = (whole(data.u64())?, whole(data.number())?);
                self.revoke_bits(offset, bits)?;
            }
            // KRL_SECTION_CERT_KEY_ID
            0x23 => {
                while !data.is_empty() {
                    self.key_ids.insert(whole(data.text())?.to_vec());
                }
            }
            // KRL_SECTION_CERT_EXTENSION
            0x39 if release.at_least(9, 4) => return extension(data),
            _ => return Err(unknown(release)),
        }
        whole(data.is_empty().then_some(()))
    }

    /// `ssh_krl_revoke_cert_by_serial_range`
    fn revoke(&mut self, first: u64, last: u64) -> Read<()> {
        if first == 0 || first > last {
            return Err(KrlProblem::Refused);
        }
        match self.serials.last_mut() {
            // A run of single serials is one run.
            Some((_, end)) if end.checked_add(1) == Some(first) => *end = last,
            _ => self.serials.push((first, last)),
        }
        Ok(())
    }

    /// The lowest bit of a number stands for the serial at `offset`.
    fn revoke_bits(&mut self, offset: u64, bits: &[u8]) -> Read<()> {
        let mut serial = offset;
        let mut left = 8 * bits.len() - bits.first().map_or(0, |b| b.leading_zeros() as usize);
        for byte in bits.iter().rev() {
            for bit in 0..left.min(8) {
                if byte >> bit & 1 == 1 {
                    self.revoke(serial, serial)?;
                }
                left -= 1;
                if left > 0 {
                    serial = whole(serial.checked_add(1))?;
                }
            }
        }
        Ok(())
    }

    /// `is_cert_revoked`; a serial of 0 is that of a CA that counts none.
    fn has(&self, certificate: &Certificate) -> bool {
        let serial = certificate.serial;
        self.key_ids.contains(&certificate.key_id)
            || (serial != 0
                && self
                    .serials
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&serial)))
    }
}

/// `extension_section`: name, whether it is critical, contents. None is known.
fn extension(mut data: Reader<'_>) -> Read<()> {
    whole(data.text())?;
    let [critical] = whole(data.array())?;
    whole(data.string())?;
    whole((critical == 0 && data.is_empty()).then_some(()))
}

/// What no release up to 10.0 knows is refused by all of them; a later one may know it.
const fn unknown(release: &Release) -> KrlProblem {
    match release.at_least(10, 1) {
        true => KrlProblem::NotUnderstood,
        false => KrlProblem::Refused,
    }
}
