//! Who can become whom: the steps that lead from an account to another, and from there to root.
//!
//! A step is what an account that got in can take next: a right, a uid it shares, su(1) with a
//! password. [`explain`](explain::explain) follows them. Pure over facts that others read.
#![forbid(unsafe_code)]

/// From an account to root, step by step.
pub mod explain;
/// Steps by what rules let an account do.
mod of_rights;
/// What a step is.
pub mod steps;
/// Explanations for programs and for people.
pub mod tree;
