//! One host's own files: read without trusting what lies on the way, edited without losing what
//! was not meant to change, written so that a file is the old one or the new one and never between.
#![forbid(unsafe_code)]

/// Where a host's files are: `/`, or the directory of one that is not booted.
pub mod root;
/// How a path is walked from there, and which links are followed.
mod walk;

/// Files of lines, kept byte for byte.
pub mod lines;
/// A directory with what is in it.
pub mod listing;
/// Where uids and gids stand in them.
mod numbers;
/// A field that holds a password hash: what it says, locking it, and undoing just that.
pub mod password;

/// Capabilities of programs.
pub mod capabilities;
/// The field with the day on which an account expires: setting it, and undoing just that.
pub mod expiry;
/// group(5).
pub mod group;
/// gshadow(5).
pub mod gshadow;
/// What was learnt of large files, kept while they stay the same.
pub mod learnt;
/// login.defs(5), as far as it says who is a person.
pub mod login_defs;
/// The lists of names in both: taking one out, and undoing just that.
pub mod membership;
/// What could not be read, and why.
pub mod not_read;
/// nsswitch.conf(5): who else serves accounts and groups.
pub mod nsswitch;

/// passwd(5).
pub mod passwd;
/// shadow(5).
pub mod shadow;
/// subuid(5).
pub mod subuid;

/// What an account is.
pub mod account;
/// All accounts of a host, from its files together.
pub mod accounts;
/// Who may do what with a file.
pub mod acl;

/// A file that was not there, and one that goes.
pub mod create;
/// The second of them, a hard link beside each file.
mod link_lock;
/// The locks that shadow-utils and glibc take before they change account files.
pub mod lock;
/// One file for another, whole, durable, with everything but the content kept.
pub mod replace;
/// Places in a sequence from which several take.
pub mod slots;
/// The steps of that.
mod staged;
