//! Who came in, when, from where and with which key: what the host has on record of it.
//!
//! Nothing here decides whether a way in is open, and no order waits for it: records are read when
//! somebody asks for the inventory or the paths, by a thread of its own, for a bounded time.
//! That nothing is on record is never "never used": it goes with the time since when it would be.

#![forbid(unsafe_code)]

/// What sshd(8) and login(1) write when they let somebody in, pure.
pub mod accepted;
/// What the sources have told so far.
pub mod history;
/// The journal of systemd-journald(8).
pub mod journal;
/// The last login of each uid: lastlog(8), pure.
pub mod lastlog;
/// One login.
pub mod login;
/// Whether the sshds of the host write their logins down at all.
pub mod quiet;
/// What the inventory and the command line are told, as JSON.
pub mod report;
/// A line of auth.log: RFC 3164 or ISO 8601, pure.
pub mod syslog_line;
/// Files that are read from where the last reading ended.
mod tail;
/// What the files of terminals tell: utmp(5), wtmp(5), lastlog(8).
mod terminals;
/// The text files of syslogd: `auth.log`, `secure`, and what they were rotated to.
mod text_log;
/// utmp(5) and wtmp(5), pure.
pub mod utmp;
/// The thread-safe reader of all sources, with what it remembers.
mod watcher;

pub use history::{History, Opened};
pub use login::How;
pub use watcher::{LoginLog, booted_at};
