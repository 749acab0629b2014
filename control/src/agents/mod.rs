//! The agents' side: the listener, each connection's life, and who is connected.

/// How many connections are taken per second.
pub mod admission;
/// A connection's life after its greeting.
pub mod connection;
/// Orders out.
mod delivery;
/// Evidence: verified, kept, acknowledged.
pub mod evidence;
/// Frames over TLS.
pub mod frames;
/// Hello: what a host says of itself, and what follows from it.
pub mod greeting;
/// Sections of hosts' surveys.
mod inventory;
/// Taking connections.
pub mod listener;
/// Who is connected, and their mailboxes.
pub mod presence;
/// Questions to hosts.
mod questions;
/// New certificates.
mod renewal;
/// A connection that another one takes over.
mod replaced;
/// Comparing the orders in force.
pub mod standing;
