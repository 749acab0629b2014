//! Who can become whom: the steps that lead from an account to another, and from there to root.
//!
//! A step is what an account that got in can take next: a right, a uid it shares, su(1) with a
//! password. [`explain`](explain::explain) follows them. Pure over facts that others read.
#![forbid(unsafe_code)]

/// From an account to root, step by step.
pub mod explain;
/// Who decides what a path leads to.
pub mod ground;
/// Logins from the host to itself.
pub mod logins;
/// Steps by what rules let an account do.
mod of_rights;
/// What root reads or runs on every host.
pub mod read_by_root;
/// What root and others run or read.
pub mod runs;
/// Programs that act as their owner.
pub mod setid;
/// What a step is.
pub mod steps;
/// Explanations as they are told.
mod tree;
