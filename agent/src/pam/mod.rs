//! What PAM asks before it lets an account do something: pam.conf(5), the `account` lines and the
//! `auth` lines.
//!
//! Whether an expired account's cron job runs is decided by the stack of the service `cron`, not by
//! cron. Modules are not run here: what pam_unix(8) says is given, what others say is not known,
//! and every answer they could give is tried.
#![forbid(unsafe_code)]

/// Who proves what, as the `auth` lines want it.
mod auth;
/// Files of /etc/pam.d, with what they include.
mod lines;
/// What a stack comes to.
mod stack;

pub use auth::{Caller, Proof, Proved};
pub use lines::{PamFiles, Stack, account_stack, auth_stack};
pub use stack::{Answer, Unix};

/// A service that people are at: it asks who they are, and whether the account may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Vec<u8>,
    /// Its `account` lines, or why they are not known.
    pub account: Result<Stack, String>,
    /// Its `auth` lines, likewise.
    pub auth: Result<Stack, String>,
}

impl Service {
    /// Its name, fit to be printed.
    pub fn told(&self) -> String {
        told(&self.name)
    }

    /// Reads a service.
    pub fn read(name: &[u8], files: &mut dyn PamFiles) -> Self {
        Self {
            name: name.to_vec(),
            account: account_stack(name, files),
            auth: auth_stack(name, files),
        }
    }
}

/// The longest name of a service or module that is told.
const TOLD_BYTES_MAX: usize = 128;

/// A name, fit to be printed; of a longer one the beginning.
fn told(name: &[u8]) -> String {
    match name.get(..TOLD_BYTES_MAX) {
        Some(beginning) if name.len() > TOLD_BYTES_MAX => {
            format!("{}…", beginning.escape_ascii())
        }
        _ => name.escape_ascii().to_string(),
    }
}
