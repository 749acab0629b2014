//! What rules of the host let an account do as another, each told once: `paths` judges whether it
//! is open, `escalation` follows where it leads.
//!
//! Pure over facts that others read.
#![forbid(unsafe_code)]

/// doas.conf(5).
pub mod doas;
/// The text of doas.conf(5).
pub mod doas_conf;
/// Groups that make root, and passwords of groups.
pub mod groups;
/// polkit(8).
pub mod polkit;
/// Files of polkit(8).
pub mod polkit_files;
/// Rules of polkit(8), which are programs, where their shape tells what they grant.
pub mod polkit_rules;
/// Tokens of these.
mod polkit_tokens;
/// What a right is.
pub mod right;
/// su(1).
pub mod su;
/// sudo(8).
pub mod sudo;
/// Whom a rule of sudo(8) lets somebody become.
pub mod sudo_targets;
/// When what sudo(8) allows changes by itself.
mod sudo_turns;

pub use right::{Asks, Reach, Right, Whom};
