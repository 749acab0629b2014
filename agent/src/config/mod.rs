//! `agent.toml`, the ceiling that no order can raise, and `trust.toml`, whom the host obeys.
//!
//! What is parsed here is valid by construction: nothing that holds a [`Config`] or a [`Trust`]
//! checks it again.
#![forbid(unsafe_code)]

/// Where everything lies on a host.
pub mod layout;

/// `agent.toml` as written, and its bounds.
mod agent_toml;
/// The host's key for fingerprints of secrets.
mod fingerprint_key;
/// The user of the network half, from the host's own passwd(5).
mod link_user;
/// Files that only the administrator may have written; atomic replacement.
mod own_file;
/// A control plane's address: host and port.
mod server;
/// What `agent.toml` comes to.
mod settings;
/// What the host says of itself: its name, its os-release(5).
mod this_host;
/// `trust.toml`: whom the host obeys.
mod trust_toml;

pub use agent_toml::ConfigError;
pub use fingerprint_key::{FingerprintKeyError, load_or_create_fingerprint_key};
pub use link_user::{LINK_USER, LinkUser, LinkUserError};
pub(crate) use own_file::{Exposure, create, read};
pub use own_file::{FileError, Owner, make_dir, read_own, replace};
pub use server::{BadServer, DEFAULT_PORT, ServerAddress};
pub use settings::{
    ActionKind, Ceiling, Config, Guards, Hold, LinkSettings, LogLevel, LogSettings, Protected,
};
pub use this_host::{host_name, os_name};
pub use trust_toml::{SERVERS_MAX, Trust, TrustError};
