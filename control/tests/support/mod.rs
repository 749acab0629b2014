//! A control plane on loopback, an operator at its socket, and agents that speak the real
//! protocol over real TLS.
#![allow(dead_code, reason = "each test binary uses a part of it")]

/// An agent without a host: it keeps a real chain and answers as it is told.
pub mod agent;
/// An operator: HTTP over the Unix socket.
pub mod operator;
/// A control plane in a temporary directory.
pub mod plane;
/// A control plane that is a process of its own.
pub mod process;
