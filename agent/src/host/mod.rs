//! One host's own files.

/// Accounts as the files of the host say them.
pub mod account;
