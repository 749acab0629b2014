//! What sshd(8) reads, read as sshd reads it.
//!
//! Written against the sources of OpenSSH 8.4, 9.2 and 10.0 with Debian's patches (servconf.c, match.c,
//! addrmatch.c, auth.c, auth2-pubkeyfile.c, auth-options.c, sshkey.c, misc.c). Everything here is pure: files come in
//! through [`include::ConfigFiles`] or as bytes.
#![forbid(unsafe_code)]

/// Signature algorithms: which exist, which are accepted, by which a key can sign.
pub mod algorithms;
/// What a configuration says for anybody, and what sshd checks when it starts.
mod at_start;
/// An authorized_keys file, kept byte for byte.
pub mod authorized_keys;
/// A certificate that somebody holds.
pub mod certificate;
/// The settings in force for one account in one world.
pub mod effective;
/// glob(3).
mod glob;
/// A configuration with everything it includes, lexed and checked.
pub mod include;
/// `.k5login` and `.k5users`.
pub mod k5login;
/// A public key blob: its type and its one true fingerprint.
pub mod key_blob;
/// One line of an authorized_keys file.
pub mod key_line;
/// The options before a key.
pub mod key_options;
/// The keywords of sshd_config(5).
pub mod keyword;
/// Keys of hosts that are known.
pub mod known_hosts;
/// Key revocation lists.
pub mod krl;
/// The words of a configuration line.
pub mod lexer;
/// `Match`: what is decided by the account and what by the connection.
pub mod matching;
/// Pattern lists, addresses and networks.
pub mod pattern;
/// Bytes of a host as text for people.
pub mod printable;
/// sshd's two readings of its configuration.
mod reading;
/// Which sshd: its version and the patches that change an answer.
pub mod release;
/// The file that `RevokedKeys` names.
pub mod revoked_keys;
/// `.rhosts`, `.shosts`, `hosts.equiv`, `shosts.equiv`.
pub mod rhosts;
/// The words of one setting.
mod setting;
/// `%h`, `%u`, `%U` in file names.
pub mod tokens;
/// Strings and numbers as SSH writes them.
mod wire;
/// The ways a connection can be.
pub mod worlds;
