#![forbid(unsafe_code)]
//! The last survey of the host, kept to say what is different now: of each section its last state
//! and the one before that.
//!
//! It lies in an index of its own (`survey/` beside `index/`), because it outlives a boot and is
//! of no use to the other. What sled loses in a power cut is noticed: every section is held to its
//! SHA-256 when it is read, and one that does not match was not kept. Losing all of it loses only
//! the word on what has changed.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use rescind_protocol::cbor;
use rescind_protocol::name::{Digest, SectionName, UnixMillis};

use super::index::{Index, IndexError};

/// Changes with what the keys and values below mean.
const FORMAT: u32 = 1;
/// `F`: the [`Front`]. `S` section NUL digest number (big-endian): a piece of that state.
const FRONT: &[u8] = b"F";
const PIECE: u8 = b'S';
/// Bytes of a piece: what sled keeps with other values, instead of in a file of its own.
const PIECE_BYTES: usize = 16 * 1024;

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct Front {
    #[n(0)]
    format: u32,
    /// When the last survey was taken.
    #[n(1)]
    pub taken_at: UnixMillis,
    /// Its sections.
    #[n(2)]
    pub sections: BTreeMap<SectionName, States>,
}

/// The last two states of a section.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct States {
    /// The state at the last survey.
    #[n(0)]
    pub now: State,
    /// The one before it.
    #[n(1)]
    pub before: Option<State>,
}

/// A state of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct State {
    /// The SHA-256 of its JSON.
    #[n(0)]
    pub digest: Digest,
    /// The first survey that found it so.
    #[n(1)]
    pub since: UnixMillis,
    /// The last survey that found it so.
    #[n(2)]
    pub until: UnixMillis,
}

/// A survey that comes in, piece by piece.
pub struct Keeping<'i> {
    index: &'i Index,
    new: Front,
    /// The section whose pieces come, and how many came.
    at: Option<(SectionName, Digest, u32)>,
    held: Vec<u8>,
}

/// What is kept; `None` before the first survey, or when it was of another form.
pub fn front(index: &Index) -> Result<Option<Front>, IndexError> {
    let Some(bytes) = index.value(FRONT)? else {
        return Ok(None);
    };
    let front: Front = cbor::from_slice(&bytes).map_err(|e| IndexError::Bad(e.to_string()))?;
    Ok((front.format == FORMAT).then_some(front))
}

/// Puts all that is kept into another, empty index; how many bytes that is.
pub fn copy(from: &Index, to: &Index) -> Result<u64, IndexError> {
    let mut bytes = 0;
    for key in from.keys(&[])? {
        let value = from.value(&key)?.unwrap_or_default();
        bytes += value.len() as u64;
        to.change(&[(key, value)], &[])?;
    }
    to.flush()?;
    Ok(bytes)
}

/// A state of a section, whole; `None` where any of it is missing or not what was kept.
pub fn read(
    index: &Index,
    section: &SectionName,
    digest: Digest,
) -> Result<Option<Vec<u8>>, IndexError> {
    let mut json = Vec::new();
    for key in index.keys(&prefix(section, digest))? {
        json.extend(index.value(&key)?.unwrap_or_default());
    }
    Ok((Digest::of(&json) == digest).then_some(json))
}

impl<'i> Keeping<'i> {
    /// Begins to take in the survey of a moment with these sections.
    pub fn begin(
        index: &'i Index,
        taken_at: UnixMillis,
        sections: &[(SectionName, Digest)],
    ) -> Result<Self, IndexError> {
        let front = front(index)?.unwrap_or_default();
        let mut new = Front {
            format: FORMAT,
            taken_at,
            sections: BTreeMap::new(),
        };
        for (section, digest) in sections {
            let fresh = State {
                digest: *digest,
                since: taken_at,
                until: taken_at,
            };
            let states = match front.sections.get(section) {
                Some(known) if known.now.digest == *digest => States {
                    now: State {
                        until: taken_at,
                        ..known.now
                    },
                    before: known.before,
                },
                Some(known) => States {
                    now: fresh,
                    before: Some(known.now),
                },
                None => States {
                    now: fresh,
                    before: None,
                },
            };
            new.sections.insert(section.clone(), states);
        }
        Ok(Self {
            index,
            new,
            at: None,
            held: Vec::new(),
        })
    }

    /// Takes in a piece of a section; those of one section come one after the other.
    pub fn take(
        &mut self,
        section: &SectionName,
        digest: Digest,
        json: &[u8],
    ) -> Result<(), IndexError> {
        let same = matches!(&self.at, Some((name, of, _)) if name == section && *of == digest);
        if !same {
            self.put(PIECE_BYTES)?;
            self.at = Some((section.clone(), digest, 0));
        }
        self.held.extend_from_slice(json);
        self.put(0)
    }

    /// Puts away whole pieces, and with `last` what is left.
    fn put(&mut self, last: usize) -> Result<(), IndexError> {
        let Some((section, digest, next)) = &mut self.at else {
            return Ok(());
        };
        let mut pieces = Vec::new();
        let mut used = 0;
        for piece in self.held.chunks(PIECE_BYTES) {
            if piece.len() < PIECE_BYTES && last == 0 {
                break;
            }
            used += piece.len();
            let key = [&prefix(section, *digest)[..], &next.to_be_bytes()].concat();
            pieces.push((key, piece.to_vec()));
            *next += 1;
        }
        self.held.drain(..used);
        match pieces.is_empty() {
            true => Ok(()),
            false => self.index.change(&pieces, &[]),
        }
    }

    /// All pieces came: from now on this is the last survey. What nothing refers to any more goes;
    /// how many bytes are left.
    pub fn finish(mut self) -> Result<u64, IndexError> {
        self.put(PIECE_BYTES)?;
        let front = vec![(FRONT.to_vec(), cbor::to_vec(&self.new))];
        self.index.change(&front, &[])?;
        let mut wanted: Vec<Vec<u8>> = Vec::new();
        for (section, states) in &self.new.sections {
            wanted.push(prefix(section, states.now.digest));
            wanted.extend(states.before.map(|state| prefix(section, state.digest)));
        }
        let is_wanted = |key: &Vec<u8>| wanted.iter().any(|wanted| key.starts_with(wanted));
        let (left, gone): (Vec<_>, Vec<_>) =
            self.index.keys(&[PIECE])?.into_iter().partition(is_wanted);
        self.index.change(&[], &gone)?;
        self.index.flush()?;
        Ok((left.len() * PIECE_BYTES) as u64)
    }

    /// Whether a state of a section is there already, and whole.
    pub fn has(&self, section: &SectionName, digest: Digest) -> Result<bool, IndexError> {
        Ok(read(self.index, section, digest)?.is_some())
    }
}

fn prefix(section: &SectionName, digest: Digest) -> Vec<u8> {
    // A name holds no NUL, so no section's pieces are among those of another.
    [
        &[PIECE],
        section.as_str().as_bytes(),
        &[0],
        digest.as_bytes(),
    ]
    .concat()
}
