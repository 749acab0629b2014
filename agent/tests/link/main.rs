//! The network half against a control plane that is played byte by byte, over real TLS on
//! loopback, with a root half that is played on a real Unix socket. Needs neither root nor a host;
//! as root, the link gives up root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// What the link may still do once it runs.
mod confinement;
/// Frames both ways, reconnects, renewal, clocks.
mod connection;
/// The control plane that is played.
mod control;
/// Joining a fleet, and every way in which that fails.
mod enrolment;
/// The host that is played: a root directory, the root half's socket, the link's process.
mod host;
/// Peers that mean harm or are broken.
mod hostile;
