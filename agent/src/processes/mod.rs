//! Processes and login sessions: seen, frozen, ended.

#![forbid(unsafe_code)]

/// The hidden subcommand that becomes a user to signal all that is the user's.
mod becomes;
/// Freezing, ending and thawing what belongs to an account.
pub mod end;
/// What belongs to an account: its processes, sshd's for it, its sessions, what sudo made of them.
pub mod holdings;
/// The sessions that systemd-logind knows.
pub mod logind;
/// The host's processes, read once for many questions.
pub mod moment;
/// Which processes have which files open.
pub mod open_files;
/// What runs as an account without a login.
pub mod services;
/// The parent's side of that subcommand.
mod signaller;
/// Root's sshd processes and what their titles say.
mod sshd;
/// The processes of the host, in one pass over /proc.
pub mod table;

pub use becomes::{SIGNAL_ARGUMENT, main as signal_main};
pub use end::{EndError, EndReport, Ender, Frozen};
pub use holdings::{Holdings, Leader, Only, Scope, Session, Subject};
pub use moment::Moment;
