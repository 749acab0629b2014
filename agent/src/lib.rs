//! Rescind's agent: it takes signed orders, changes local accounts and keys, reads the host again
//! to see what is really true, keeps the proof, and holds revoked access closed.
//!
//! Imports go one way: `cli`, `daemon`, `orders` and `link` (which never know each other, they meet
//! in `daemon`), `escalation`, `paths` and `logins`, `rights`, `sshd` and `sudoers`, `pam` and `deferred`, `home`, `processes` and `store`,
//! `host`, `config`, `stamps`, `sys`.

/// The command line.
pub mod cli;
/// `agent.toml`, the ceiling that no order can raise, and `trust.toml`, whom the host obeys.
pub mod config;
/// The root half: sockets, the one worker, watches.
pub mod daemon;
/// Work that runs later as an account: what cron, at and systemd read, pure.
pub mod deferred;
/// Who can become whom, step by step.
pub mod escalation;
/// Files of users, read and written in a child that has become their owner.
pub mod home;
/// One host's own files: a root directory, account files kept losslessly, their locks.
pub mod host;
/// The network half: TLS to the control plane, enrolment, its sandbox.
pub mod link;
/// Who came in, when, from where and with which key.
pub mod logins;
/// An order's life: accept, plan, guard, apply, verify, confirm, hold, release.
pub mod orders;
/// What PAM asks before it lets an account do something: pam.conf(5), pure.
pub mod pam;
/// The path evaluator: every way to act as an account, and whether it is open.
pub mod paths;
/// Processes and login sessions: seen, frozen, ended.
pub mod processes;
/// For tests: numbers that are the same for the same seed.
#[cfg(test)]
mod random;
/// What rules of the host let an account do as another: sudo, doas, polkit, groups, su; pure.
pub mod rights;
/// What is held on the host rather than accepted: private keys, tokens, passwords in files.
pub mod secrets;
/// What a survey found, as sections with digests.
pub mod sections;
/// What sshd(8) reads: sshd_config(5) and authorized_keys, pure.
pub mod sshd;
/// What a survey has looked at and in which state it was, so that the next one need not read it.
pub mod stamps;
/// The journal, which is the evidence chain, and its index.
pub mod store;
/// What sudo(8) reads: sudoers(5), pure.
pub mod sudoers;
/// System calls: the only room that names `nix` and the only one with `unsafe`.
pub mod sys;
