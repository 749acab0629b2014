//! The journal of systemd-journald(8), read from its files.
//!
//! journalctl(1) is not asked: it is not there on a host that is not booted, or is older than the
//! journal of an image; a filter on the text needs a library that not every build has; and how
//! long it takes cannot be bounded without throwing away what it found. The form of the files is
//! documented (JOURNAL_FILE_FORMAT), appended to in an order that lets others read along, and has
//! an index by which the lines of one program are found without reading the rest.

/// What is in a file: objects, hash tables, entries.
pub mod file;
/// The two hash functions of the data hash table.
mod hash;
/// Lines of sshd and login, and whether they are theirs.
pub mod lines;
/// The files of this host's journal, and how far each was read.
pub mod set;
/// Writes small journals, for tests.
#[cfg(test)]
pub(in crate::logins) mod testing;
