//! The control plane and the operator's command line.
//!
//! Imports point one way: `cli` → `api` → (`agents`, `db`); `db` knows no sockets, `tls` alone
//! knows rustls.
#![forbid(unsafe_code)]

/// The agents' side.
pub mod agents;
/// The operators' HTTP API.
pub mod api;
/// Evidence as a file.
pub mod bundle;
/// Who may talk: the certificate authority.
pub mod ca;
/// The command line.
pub mod cli;
/// The wall clock.
pub mod clock;
/// `control.toml`.
pub mod config;
/// The data directory: durable, private files.
pub mod data_dir;
/// The database.
pub mod db;
/// Letting a host in.
pub mod enrol;
/// Who may command: the order key.
pub mod keys;
/// What the parts of a running control plane share.
pub mod plane;
/// Everything put together.
pub mod serve;
/// TLS.
pub mod tls;
/// Verifying evidence on arrival.
pub mod verify;
