//! Files of users are hostile: a child that has become their owner reads and writes them.
//!
//! The parent never opens them. It asks [`HomeChild`], which keeps one child warm, gives every
//! request a deadline, and leaves a child behind that does not meet it.

#![forbid(unsafe_code)]

/// Children that did not answer.
mod left_behind;
/// What a path leads to, as it is asked and answered.
mod looked;
/// What is asked of the child and what it answers, with their encoding.
mod message;
/// The parent's side: one warm child, deadlines.
mod parent;
/// Messages to a running child and from it.
mod running;
/// Why something was not done.
mod why;

/// Why a file was not read, in one word.
mod cause;
/// The child's side: takes on the owner's ids, serves one request after the other.
mod child;
/// A directory's names.
mod list;
/// A file's bytes, with the facts of it and of the way to it.
mod read;
/// A file replaced by a new one in one step.
mod replace;
/// The state of many names.
mod stamp;
/// All that decides what a path leads to.
mod trace;
/// The way to a file, from the root, component by component.
mod walk;

use std::ffi::OsString;
use std::process::ExitCode;

pub use looked::{Looked, Part, Trace};
pub use message::{Answer, Ask, Reply, Request, Sending};
pub use message::{Content, DirFacts, Entry, FileBytes, FileFacts, FileKind, Ids, Listing};
pub use message::{List, Look, Read, Replace, Seen};
pub use parent::{HomeChild, HomeError, PATIENCE, READ_BYTES_MAX};
pub use why::{LinkTrouble, NotOwners, Step, Why};

/// The hidden argument that makes this program the child of a [`HomeChild`].
pub const CHILD_ARGUMENT: &str = "__home";

/// Runs one of the hidden subcommands, with which this program starts itself, if `args` (without
/// the program's name) names one. To be called first of all in `main`.
pub fn hidden_entry(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let first = args.next()?;
    match first.to_str()? {
        CHILD_ARGUMENT => Some(child::main()),
        crate::processes::SIGNAL_ARGUMENT => Some(crate::processes::signal_main(args)),
        _ => None,
    }
}
