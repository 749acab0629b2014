//! What a survey has looked at, and in which state it was: so that the next one can tell from
//! metadata alone that nothing is another way.
//!
//! A survey notes every path that it looks at. When it has read everything, each component of these
//! paths is looked at once more, links being followed by hand, and its state becomes a stamp. Only
//! a state that is older than the survey counts, by its change time (ctime), which no user can set
//! back: then it is the state that was read, and every later change shows. Whatever is younger, or
//! lies where change times cannot be trusted, is a doubt, and with a doubt there are no stamps.

#![forbid(unsafe_code)]

/// What is looked at, as a tree of names.
mod tree;

/// The child's side: looks at the names of a tree, one directory after the other.
mod look;

/// The stamps of a survey in a file beside it.
mod file;

pub use file::{Kept, KeptError, confirm, forget, keep, read};
pub use look::{Settled, look};
pub use tree::{Ask, Seen, Sight, Stamp, Tree};
