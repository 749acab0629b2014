//! Hello: what a host says of itself, and what follows from it.

use std::net::SocketAddr;
use std::sync::Arc;

use rescind_protocol::evidence::ChainHead;
use rescind_protocol::message::Hello;
use rescind_protocol::name::{Digest, UnixMillis};
use rescind_protocol::sign::{SigningKey, VerifyingKey};
use rusqlite::Connection;

use super::presence::Slot;
use crate::clock::UnixMicros;
use crate::db::evidence::{self, ChainId};
use crate::db::exceptions::{self, Kind, NewException};
use crate::db::{DbError, certificates, hosts, issuing, orders};

/// Chains a host may begin before somebody must enrol it again: each is a whole copy.
pub const CHAINS_MAX: u32 = 16;

/// What is known of the one who says hello.
#[derive(Debug, Clone)]
pub struct Caller {
    /// From where.
    pub peer: SocketAddr,
    /// The certificate it came with.
    pub certificate: Digest,
    /// The connection it has already, when it has one.
    pub other: Option<Arc<Slot>>,
}

/// What came of a hello.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The chain its evidence belongs to.
    pub chain: ChainId,
    /// The key that signs it.
    pub key: VerifyingKey,
    /// Where our copy stands; the host sends what follows.
    pub head: ChainHead,
    /// Whether its evidence is taken; not when it has begun too many chains.
    pub evidence_taken: bool,
}

/// How a host's chain stands to our copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is our copy, or goes on from there as far as can be told.
    Continues,
    /// It is shorter: a store that was lost, or set back to an earlier state.
    Behind,
    /// As long, and different.
    Forked,
}

fn compare(theirs: ChainHead, ours: ChainHead) -> Standing {
    match theirs.next.cmp(&ours.next) {
        std::cmp::Ordering::Less => Standing::Behind,
        std::cmp::Ordering::Equal if theirs.prev != ours.prev => Standing::Forked,
        _ => Standing::Continues,
    }
}

/// Notes who called and sees how its chain stands to our copy, in one transaction. `None` when
/// the host is not enrolled any more.
pub fn greet(
    conn: &Connection,
    hello: &Hello,
    caller: &Caller,
    order: &Reissue,
    now: UnixMicros,
) -> Result<Option<Greeting>, DbError> {
    let Some(chain) = hosts::current_chain(conn, hello.host)? else {
        return Ok(None);
    };
    let at = now.millis();
    certificates::mark_used(conn, hello.host, caller.certificate, at)?;
    if hosts::greeted(conn, hello, at)? {
        let detail = format!(
            "it has seen order {} and this database never gave that many: was it restored from a backup? if the host then cannot send evidence it no longer has, run `rescind evidence accept-gap --host`",
            hello.order_cursor
        );
        raise(conn, hello, Kind::DatabaseBehind, detail, at)?;
    }
    let ours = ChainId {
        host: hello.host,
        number: chain.number,
    };
    let going_on = Greeting {
        chain: ours,
        key: chain.evidence_key,
        head: chain.head,
        evidence_taken: true,
    };
    let start = match compare(hello.chain, chain.head) {
        Standing::Continues => match hosts::take_accepted_gap(conn, hello.host)? {
            Some(by) => {
                let why = format!("{by} accepted a gap after record {}", chain.head.next);
                let number = hosts::begin_chain(
                    conn,
                    hello.host,
                    chain.evidence_key,
                    hello.chain,
                    &why,
                    at,
                )?;
                let chain = ChainId { number, ..ours };
                return Ok(Some(Greeting {
                    chain,
                    head: hello.chain,
                    ..going_on
                }));
            }
            None => return Ok(Some(going_on)),
        },
        Standing::Behind => {
            let set_back = hello.chain.next > 0
                && evidence::digest_at(conn, ours, hello.chain.next - 1)? == Some(hello.chain.prev);
            let how = if set_back {
                "was set back"
            } else {
                "was lost or replaced"
            };
            let detail = format!(
                "its store {how}: its chain has {} records, our copy {}; standing orders are issued again",
                hello.chain.next, chain.head.next
            );
            raise(conn, hello, Kind::StoreLost, detail, at)?;
            if let Some(other) = &caller.other {
                raise(
                    conn,
                    hello,
                    Kind::Clone,
                    two_machines(hello, caller, other),
                    at,
                )?;
            }
            // What it has is in our copy already.
            if set_back {
                hello.chain
            } else {
                ChainHead::default()
            }
        }
        Standing::Forked => {
            let detail = format!(
                "its chain differs from our copy at record {}: two machines speak as one host, or its store was tampered with; seen from {}",
                chain.head.next, caller.peer
            );
            raise(conn, hello, Kind::Clone, detail, at)?;
            ChainHead::default()
        }
    };
    let why = "the host's chain did not continue our copy";
    another_chain(conn, &going_on, start, why, order, now).map(Some)
}

/// What is needed to issue orders again.
#[derive(Debug, Clone)]
pub struct Reissue {
    /// The order key.
    pub key: Arc<SigningKey>,
    /// How long the host may take to take them.
    pub ttl_ms: u64,
}

/// Begins another chain for a host, and issues its standing orders again under new sequence
/// numbers: what was in force stays in force.
///
/// What a hello says is not signed, and the link could say it every minute: beyond
/// [`CHAINS_MAX`] nothing is issued. What a host then lacks is still seen when the standing
/// orders are compared.
pub fn another_chain(
    conn: &Connection,
    old: &Greeting,
    start: ChainHead,
    why: &str,
    order: &Reissue,
    now: UnixMicros,
) -> Result<Greeting, DbError> {
    let host = old.chain.host;
    if hosts::chains_since_enrolment(conn, host)? >= CHAINS_MAX {
        let detail = format!(
            "it began {CHAINS_MAX} chains; its evidence is not taken until it is enrolled again (`rescind token new --host`)"
        );
        let new = NewException {
            kind: Kind::EvidenceRefused,
            host,
            order: None,
            detail,
        };
        exceptions::raise(conn, &new, now.millis())?;
        return Ok(Greeting {
            evidence_taken: false,
            ..old.clone()
        });
    }
    for row in orders::in_force(conn, host)? {
        issuing::reissue(conn, &order.key, &row, order.ttl_ms, why, now)?;
    }
    let number = hosts::begin_chain(conn, host, old.key, start, why, now.millis())?;
    Ok(Greeting {
        chain: ChainId { host, number },
        head: start,
        ..old.clone()
    })
}

/// Words for two machines that speak as one host.
fn two_machines(hello: &Hello, caller: &Caller, other: &Slot) -> String {
    format!(
        "two machines speak as this host: {} (boot {}) and {} (boot {}); find out which is the host, and enrol it again with `rescind token new --host`",
        other.peer,
        other.boot_id,
        caller.peer,
        hosts::printable(&hello.boot_id)
    )
}

fn raise(
    conn: &Connection,
    hello: &Hello,
    kind: Kind,
    detail: String,
    at: UnixMillis,
) -> Result<(), DbError> {
    let new = NewException {
        kind,
        host: hello.host,
        order: None,
        detail,
    };
    exceptions::raise(conn, &new, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_continues_is_behind_or_has_forked() {
        let head = |next, byte| ChainHead {
            next,
            prev: Digest::from_bytes([byte; 32]),
        };
        for (theirs, ours, want) in [
            (head(0, 0), head(0, 0), Standing::Continues),
            (head(5, 1), head(5, 1), Standing::Continues),
            (head(9, 2), head(5, 1), Standing::Continues),
            (head(5, 2), head(5, 1), Standing::Forked),
            (head(4, 1), head(5, 1), Standing::Behind),
            (head(0, 0), head(5, 1), Standing::Behind),
        ] {
            assert_eq!(compare(theirs, ours), want, "{theirs:?} {ours:?}");
        }
    }
}
