//! What a recogniser says of a file. The only place in which a value is in anybody's hands, and
//! only as long as the file's buffer lives: nothing here can be printed, kept or sent.

use super::hollow::{self, Hollow};
use super::kind::Kind;
use super::mark::PublicMark;
use super::recognise::Recogniser;

/// A file to be recognised.
#[derive(Clone, Copy)]
pub struct File<'f> {
    /// Absolute, as the host names it.
    pub path: &'f [u8],
    /// All of it.
    pub bytes: &'f [u8],
}

impl<'f> File<'f> {
    /// The path's last component.
    pub fn name(&self) -> &'f [u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or(b"")
    }
}

/// One thing a recogniser says.
pub enum Note<'v> {
    /// The file holds a credential.
    Held(Sighting<'v>),
    /// Where a credential could stand there is none.
    PassedOver {
        /// What would have stood there.
        kind: Kind,
        /// Which of several.
        label: &'v [u8],
        /// What stands there instead.
        why: Hollow,
    },
    /// It looks like a credential of a form that is not understood, so there may be one.
    Unclear {
        /// What it looks like.
        kind: Kind,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It names another file that is to be looked at: absolute, below `~/`, or relative to the
    /// directory of this file.
    Refers {
        /// The other file.
        path: &'v [u8],
        /// What is to be looked for in it.
        to: Recogniser,
    },
}

/// A credential, seen.
pub struct Sighting<'v> {
    /// What it is.
    pub kind: Kind,
    /// Which of several in the file: a profile, a host, a principal, a variable. Not secret, or so
    /// the file's format says; [`super::label`] does not take its word for it.
    pub label: &'v [u8],
    /// A password is needed to use it.
    pub encrypted: bool,
    /// Of a key, its type and length in bits; `""` and 0 where that is not known or means nothing.
    pub key_type: (&'static str, u32),
    /// By what it can be known again.
    pub mark: Mark<'v>,
}

/// By what a credential can be known again.
pub enum Mark<'v> {
    /// It has a public half.
    Public(PublicMark),
    /// It has none, so the value itself is put through a keyed hash.
    Value(&'v [u8]),
}

/// Who takes the notes.
pub type Notes<'n> = dyn FnMut(Note<'_>) + 'n;

/// Says that a value stands in a file, unless what stands there is hollow.
pub fn value(notes: &mut Notes<'_>, kind: Kind, label: &[u8], value: &[u8]) {
    notes(match hollow::judge(value) {
        Some(why) => Note::PassedOver { kind, label, why },
        None => held(kind, label, value),
    });
}

/// A value that is taken for a credential as it stands.
pub fn held<'v>(kind: Kind, label: &'v [u8], value: &'v [u8]) -> Note<'v> {
    Note::Held(Sighting {
        kind,
        label,
        encrypted: false,
        key_type: ("", 0),
        mark: Mark::Value(value),
    })
}

/// A value that can only be used with a password.
pub fn sealed<'v>(kind: Kind, label: &'v [u8], value: &'v [u8]) -> Note<'v> {
    Note::Held(Sighting {
        kind,
        label,
        encrypted: true,
        key_type: ("", 0),
        mark: Mark::Value(value),
    })
}
