//! Who can become whom: the steps that lead from an account to another, and from there to root.
//!
//! A step is what an account that got in can take next: a rule of sudo, a group that is as good as
//! root, a uid it shares, su(1) with a password. [`explain`](explain::explain) follows them.

/// From an account to root, step by step.
pub mod explain;
/// Groups whose members are root by other means.
pub mod groups;
/// What a step is.
pub mod steps;
/// su(1): who may use it, and what it asks.
pub mod su;
/// The policy of the host's sudo(8).
pub mod sudo;
