//! What is *held* on the host rather than accepted: private keys, tokens, passwords in files.
//!
//! A value never leaves the function that recognises it: it becomes a fingerprint there, of the
//! public half where there is one, else under a key that only this host's root knows. Nothing that
//! holds a value can be printed, compared or sent, and the buffers that held it are erased.

#![forbid(unsafe_code)]

/// What a survey found, and what it could not look at.
pub mod finding;
/// What of a directory fits the patterns of places.
mod fitting;
/// What kinds there are.
pub mod kind;
/// One file's bytes.
mod look;
/// Fingerprints.
pub mod mark;
/// Where credentials are looked for.
pub mod places;
/// The survey.
mod survey;
/// From places to files.
mod walk;

/// What a recogniser says of a file.
pub mod note;
/// From a file to what it holds.
pub mod recognise;

/// What stands where a secret could stand and is none.
pub mod hollow;
/// Which of several credentials in a file.
pub mod label;
/// Names of variables that hold secrets.
mod secret_names;

/// Readers of the formats that credentials are kept in.
mod format;

/// Clouds.
mod cloud;
/// Registries, clusters, vaults.
mod containers;
/// Databases.
mod databases;
/// Services' and shells' environments.
mod environment;
/// git and its forges.
mod forges;
/// Keytabs.
mod kerberos;
/// Private keys in every form.
mod keys;
/// Tunnels, dial-up, wireless.
mod network;
/// OpenPGP.
mod pgp;
/// Registries of packages.
mod registries;
/// Services of the host.
mod services;
/// Other tools.
mod tools;

pub use finding::{Coverage, Finding};
pub use kind::Kind;
pub use mark::{Fingerprint, Marker, PublicMark};
pub use places::RULE_SET;
pub use survey::{Limits, survey, survey_but};

#[cfg(test)]
mod tests;
