//! The store against what happens to it: reopening, damage, SIGKILL, compaction, and the index.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod crash;
mod damage;
mod index;
mod life;
mod reopening;
mod surveys;
