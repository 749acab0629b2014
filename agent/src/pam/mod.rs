//! What PAM asks before it lets an account do something: pam.conf(5), the `account` lines.
//!
//! Whether an expired account's cron job runs is decided by the stack of the service `cron`, not by
//! cron. Modules are not run here: what pam_unix(8) says is given, what others say is not known,
//! and every answer they could give is tried.
#![forbid(unsafe_code)]

/// Files of /etc/pam.d, with what they include.
mod lines;
/// What a stack comes to.
mod stack;

pub use lines::{PamFiles, Stack, account_stack};
pub use stack::{Answer, Unix};
