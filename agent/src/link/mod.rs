//! The network half: TLS to the control plane, enrolment, its sandbox.
//!
//! It holds a connection and passes frames on, unread. Taken over, it can delay and drop, not
//! forge: orders are signed end to end, and the root half checks them itself. The only room that
//! names rustls.
#![forbid(unsafe_code)]

/// How long to wait before the next attempt.
pub mod backoff;
/// Reaching a control plane: names, addresses, TLS.
pub mod connect;
/// Joining a fleet with a one-time token.
pub mod enrol;
/// Whole frames from a byte stream, within bounds.
pub mod frames;
/// The link's private key, its certificate, and the CA it believes.
pub mod identity;
/// Frames both ways, until one side ends.
pub mod pump;
/// A new key and certificate well before the end.
pub mod renewal;
/// What the link may still do once it runs.
pub mod sandbox;
/// `rescind-agent link`, from start to SIGTERM.
pub mod session;
/// TLS 1.3 as the link speaks it.
pub mod tls;
/// Which control plane is believed.
pub mod verify;
/// Words that came over the wire, made fit for a log.
mod words;
