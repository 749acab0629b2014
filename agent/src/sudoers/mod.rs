//! What sudo(8) reads: sudoers(5), pure.
//!
//! The reader follows the scanner and the grammar of sudo 1.9 token for token, because an
//! approximation errs on the wrong lines: `#1000` is a user and not a comment, a stray word after
//! an alias leaves the alias defined, a backslash on the last line throws the whole policy away.
//! Where sudo's versions read the same bytes differently, [`Dialect`] says which one is meant.
//! The judge is sudo itself: `tests/tests/sudo_agreement.rs` compares generated policies with
//! `cvtsudoers -f json -e` and `sudo -l -U` of three versions.

#![forbid(unsafe_code)]

/// Network addresses as sudo's scanner recognises them.
mod addresses;
/// Files as the caller hands them over, sudo's versions, and the limits of reading.
pub mod files;
/// What `@include` and `@includedir` name.
mod include;
/// Tokens of a policy, file after file.
mod lexer;
/// Statements, and sudo's way of going on after a bad line.
mod parser;
/// The regular expressions of sudo's scanner, each as a function.
mod patterns;
/// The right half of a user specification: hosts, runas, options, tags, commands.
mod privileges;
/// The scanner's tables: which patterns hold in which state, and which of them wins.
mod scan;
/// The files of a policy, open on top of each other, and where in them the scanner is.
mod source;
/// `NOTBEFORE`, `NOTAFTER` and `TIMEOUT` values.
mod times;
/// What the grammar sees.
mod tokens;
/// The policy as a tree, with the place of every part.
pub mod tree;
/// Words with their escapes undone.
mod words;

/// Commands of a rule against a command line.
mod command;
/// Rules by which sudo lets accounts do nothing: a file of our own.
pub mod denial;
/// Commands that give away root without being called `ALL`.
pub mod escalation;
/// fnmatch(3), as far as sudo uses it.
mod glob;
/// The rules for one account, one by one: what `sudo -l -U` lists.
mod grants;
/// Members of user, host and runas lists against an account and a host.
mod matching;
/// Where else sudo looks for rules: the `sudoers:` line of nsswitch.conf(5).
pub mod nsswitch;
/// What an account may do, and whether that makes it root.
pub mod policy;
/// Which rule sudo takes: the last one that says something about account, host, target and command.
mod ruling;
/// `Defaults` that decide who gets in, as they stand for one account.
pub mod settings;
/// Accounts and hosts as sudo compares them with a policy, and what remains in doubt.
pub mod subject;
/// Which policy sudo asks at all: the `Plugin` lines of sudo.conf(5).
pub mod sudo_conf;
/// Sets of possible answers, for evaluation with gaps.
mod verdict;

/// A file tree in memory.
#[cfg(test)]
mod testing;

pub use files::{Dialect, ReadProblem, SudoersFiles};
pub use parser::parse;
pub use policy::Policy;
pub use subject::{HostNames, Subject};
pub use tree::Sudoers;
