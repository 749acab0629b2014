//! Account files on a directory that looks like a host: the walk, the locks, the replacement.
//! Runs as anybody; what only root can set up is left to the tests crate.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod crash;
mod host;
mod locks;
mod replacing;
mod walking;
