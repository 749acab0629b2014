//! The path evaluator: every way to act as an account, and whether it is open.
//!
//! Pure over facts that others gather. It answers as sshd(8) and PAM's pam_unix would decide now. Where that cannot be
//! told it says *unknown*, never *closed*.
#![forbid(unsafe_code)]

/// Expiry, aging and locks of an account.
pub mod account_state;
/// Jobs of at(1).
pub mod at_jobs;
/// Where `ChrootDirectory` sends a login.
pub mod chroot;
/// Passwords at the console and to su(1).
pub mod console;
/// Jobs of cron(8).
pub mod cron_jobs;
/// All of it for one account.
pub mod evaluate;
/// What the evaluator is given.
pub mod facts;
/// Which key files sshd reads for an account.
pub mod key_files;
/// Which authentication methods suffice.
pub mod methods;
/// What PAM says to daemons that ask it.
pub mod pam_gate;
/// For whom a certificate must be issued.
pub mod principals;
/// Keys that sshd takes for revoked.
pub mod revocations;
/// What rules let the account do as another.
pub mod rights;
/// The paths of one mechanism, so many and no more.
pub mod rows;
/// Accounts with the same uid.
pub mod shared_uid;
/// Certificates, and CAs that are trusted.
pub mod ssh_certificates;
/// What stands before every ssh login: lists of users and groups, shell, expiry.
pub mod ssh_gate;
/// Hosts whose word is taken for their users.
pub mod ssh_hostbased;
/// Kerberos principals.
pub mod ssh_kerberos;
/// What the options before a key allow.
pub mod ssh_key_options;
/// Keys in key files.
pub mod ssh_keys;
/// Passwords over ssh, and keys that a program hands to sshd.
pub mod ssh_others;
/// What PAM says to sshd.
pub mod ssh_pam;
/// The one certificate that is asked about.
pub mod ssh_presented;
/// Owners and modes of key files, as StrictModes wants them.
pub mod strict_modes;
/// Who gets in by the word of another.
pub mod trust;
/// Units of systemd(1).
pub mod units;
/// A state with its reason, and how those of several worlds become one.
pub mod verdict;

/// The version of what is known here of sshd, PAM, sudo, cron and the like. It changes with
/// everything that can make another answer of the same host.
pub const RULE_SET: u32 = 1;

pub use evaluate::evaluate;
pub use key_files::key_files_in_force;
