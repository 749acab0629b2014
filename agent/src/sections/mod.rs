//! The survey of a host as sections with names: what was found, and what could not be read.
//!
//! Each section is a JSON text, told from its other states by its SHA-256; its form is that of
//! [`rescind_protocol::section`]. The same host gives the same bytes: rows stand in an order that
//! their contents decide, and nothing that changes by itself is in them. Login sessions, processes
//! with their ids, the time of the survey, how long it took and when a key was last used are
//! therefore left out; `rescind-agent paths` and `inventory` tell them when they are asked.
//!
//! No section holds a secret: keys and tokens are there by fingerprint only.
//!
//! One account cannot push another's rows out of a section that is full: accounts with the most
//! rows lose some first, and how many is said.
#![forbid(unsafe_code)]

/// Which sections there are, and what belongs into which.
mod name;
/// Puts a section together.
mod section;

/// Rows of the section `accounts`.
pub mod accounts;
/// What could not be read, as a section says it.
pub mod coverage;
/// Rows of the section `host`.
pub mod host;

pub use name::Section;
pub use section::{Builder, Finished};
