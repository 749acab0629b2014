//! What Rescind's agent and control plane say to each other.
//!
//! Nothing here opens anything or reads a clock: bytes in, values out. `PROTOCOL.md` beside this crate
//! describes the same wire in prose; where the two differ, one of them has a bug.
//!
//! Reading order:
#![forbid(unsafe_code)]

/// CBOR helpers shared by the modules above.
pub mod cbor;
/// What was added, removed and changed between two states of a section.
pub mod difference;
/// Joining a fleet: the one-time token and the exchange it opens.
pub mod enrol;
/// The chained, signed record of what was ordered, changed and seen.
pub mod evidence;
/// Why an account can become root, as a tree.
pub mod explanation;
/// Length-limited frames over a byte stream.
pub mod frame;
/// The messages that travel in frames.
pub mod message;
/// Names that are valid by construction: hosts, accounts, orders, keys, instants.
pub mod name;
/// What a host can be told to do, by whose authority.
pub mod order;
/// How an order ended.
pub mod outcome;
/// One way to act on a host, and whether it is open.
pub mod path;
/// A section of what a host's survey found, as JSON.
pub mod section;
/// Rows of sections as people read them.
pub mod section_words;
/// Ed25519 signatures over exact bytes (DSSE pre-authentication encoding).
pub mod sign;

/// The protocol version this build speaks, sent in `Hello` and `Welcome`.
pub const PROTOCOL_VERSION: u16 = 1;
