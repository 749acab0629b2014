//! How an order ended.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::name::OrderId;
use crate::path::AccessPath;

/// The most paths an outcome carries; the rest are counted in [`Outcome::paths_left_out`].
pub const OUTCOME_PATHS_MAX: usize = 512;

/// The kinds of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Verdict {
    /// Changed, and read again: it is as ordered.
    #[n(0)]
    Verified,
    /// There was nothing to change; read, and it is as ordered.
    #[n(1)]
    Already,
    /// Some ways in are still open; they are listed.
    #[n(2)]
    Partial,
    /// A guard would not let it happen; nothing was changed.
    #[n(3)]
    Refused,
    /// This host cannot do it; nothing was changed.
    #[n(4)]
    Impossible,
    /// Applied, but not everything could be read; the gaps are listed.
    #[n(5)]
    Unverified,
}

/// The rules that keep an order from harming the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum Guard {
    /// It would close the last way in for root.
    #[n(0)]
    LastRootWayIn,
    /// The account is on the host's protected list.
    #[n(1)]
    ProtectedAccount,
    /// The account is the agent's own user.
    #[n(2)]
    AgentUser,
    /// More accounts at once than the host's blast radius allows.
    #[n(3)]
    BlastRadius,
    /// The host's `agent.toml` does not allow this kind of action.
    #[n(4)]
    Ceiling,
}

/// The typed result of an order, from a fresh read of the host.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Outcome {
    /// The order.
    #[n(0)]
    pub order: OrderId,
    /// How it ended.
    #[n(1)]
    pub verdict: Verdict,
    /// The guard, when it was refused.
    #[n(2)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(default)]
    pub guard: Option<Guard>,
    /// One sentence for a person.
    #[n(3)]
    pub reason: String,
    /// The paths that were looked at, as they are now.
    #[n(4)]
    #[cbor(default)]
    #[serde(default)]
    pub paths: Vec<AccessPath>,
    /// How many paths did not fit into `paths`.
    #[n(5)]
    #[cbor(default)]
    #[serde(default)]
    pub paths_left_out: u32,
    /// What could not be read, and why.
    #[n(6)]
    #[cbor(default)]
    #[serde(default)]
    pub gaps: Vec<String>,
    /// From acceptance to this outcome, in microseconds of the host's monotonic clock.
    #[n(7)]
    #[cbor(default)]
    #[serde(default)]
    pub took_us: u64,
}
