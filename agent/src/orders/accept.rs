//! Whether an order that arrived is one to carry out.
//!
//! Pure: the bytes, the clock, whom the host trusts and what it has seen go in; a judgement comes
//! out. Nothing is accepted that is not signed by a pinned key, for this host, in time, and new.

use rescind_protocol::evidence::NotAccepted;
use rescind_protocol::name::{HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Order, SignedOrder};
use rescind_protocol::sign::{KeyId, VerifyingKey};

/// Whom the host obeys, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a> {
    /// The host's id.
    pub host: HostId,
    /// The pinned order keys.
    pub order_keys: &'a [VerifyingKey],
}

/// What the host has seen of an order's id and place in the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Neither the id nor the sequence number.
    Never,
    /// The same id at the same place.
    Same,
    /// The sequence number, used by another order; or the id, at another place.
    Conflicting,
}

/// What to do with an order that arrived.
#[derive(Debug)]
#[must_use]
pub enum Judgement {
    /// New and good: journal it, acknowledge it, carry it out.
    Accept {
        /// The order with its exact bytes.
        signed: Box<SignedOrder>,
        /// The pinned keys that signed it.
        signers: Vec<KeyId>,
    },
    /// Good, and here before: acknowledge it again, do nothing.
    Duplicate(OrderId),
    /// Not to be carried out; to be recorded.
    Reject(Rejection),
}

/// Why an order is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The id it claims, where it can be read.
    pub order: Option<OrderId>,
    /// The place in the host's sequence that it uses up, when it is truly an order for this host.
    pub seq: Option<u64>,
    /// Why, for programs.
    pub why: NotAccepted,
    /// Why, for people.
    pub detail: String,
}

/// Judges an order.
///
/// `seen` answers for the id and sequence number; it is asked only after the signature was found
/// good, so that nobody without a key learns what the host has seen.
pub fn judge(
    bytes: &[u8],
    now: UnixMillis,
    trusted: Trusted<'_>,
    seen: impl FnOnce(&Order) -> Seen,
) -> Judgement {
    let signed = match SignedOrder::from_bytes(bytes) {
        Ok(signed) => signed,
        Err(error) => return reject(None, NotAccepted::Malformed, error.to_string()),
    };
    let order = signed.order();
    let id = order.id;
    let signers = match signed.verify(trusted.order_keys) {
        Ok(signers) => signers,
        Err(error) => return reject(Some(id), NotAccepted::Signature, error.to_string()),
    };
    if order.host != trusted.host {
        let detail = format!("for host {}, this is {}", order.host, trusted.host);
        return reject(Some(id), NotAccepted::OtherHost, detail);
    }
    match seen(order) {
        // A repeated order is known whatever the clock says now: it was in time when it came.
        Seen::Same => return Judgement::Duplicate(id),
        Seen::Conflicting => {
            let detail = format!("sequence number {} or its id was used before", order.seq);
            return reject(Some(id), NotAccepted::Replayed, detail);
        }
        Seen::Never => {}
    }
    if now > order.expires_at {
        let detail = format!(
            "expired at {}, this host's clock says {now}",
            order.expires_at
        );
        // It had its place in the sequence: the next order is not behind a hole.
        return Judgement::Reject(Rejection {
            order: Some(id),
            seq: Some(order.seq),
            why: NotAccepted::Expired,
            detail,
        });
    }
    Judgement::Accept {
        signed: Box::new(signed),
        signers,
    }
}

fn reject(order: Option<OrderId>, why: NotAccepted, detail: String) -> Judgement {
    Judgement::Reject(Rejection {
        order,
        seq: None,
        why,
        detail,
    })
}

#[cfg(test)]
mod tests {
    use rescind_protocol::order::{Action, Authority};
    use rescind_protocol::sign::SigningKey;

    use super::*;

    const HOST: HostId = HostId::from_bytes([2; 16]);

    fn order(seq: u64) -> Order {
        Order {
            id: OrderId::from_bytes([1; 16]),
            host: HOST,
            seq,
            issued_at: UnixMillis(1_000),
            expires_at: UnixMillis(2_000),
            action: Action::EndSessions {
                account: "alice".parse().unwrap(),
            },
            authority: Authority {
                asked_by: "dana".into(),
                approved_by: vec![],
                ticket: "T-1".into(),
                reason: "left".into(),
                source: "cli".into(),
            },
        }
    }

    /// `accept`, `duplicate` or the reason for which it is rejected.
    fn verdict(bytes: &[u8], keys: &[VerifyingKey], now: u64, seen: Seen) -> String {
        let trusted = Trusted {
            host: HOST,
            order_keys: keys,
        };
        match judge(bytes, UnixMillis(now), trusted, |_| seen) {
            Judgement::Accept { .. } => "accept".into(),
            Judgement::Duplicate(_) => "duplicate".into(),
            Judgement::Reject(rejection) => format!("{:?}", rejection.why),
        }
    }

    #[test]
    fn only_a_new_order_for_this_host_by_a_pinned_key_in_time_is_accepted() {
        let (key, _) = SigningKey::generate();
        let (other, _) = SigningKey::generate();
        let pinned = [key.verifying_key()];
        let good = SignedOrder::seal(order(1), &key).to_bytes();
        let stranger = SignedOrder::seal(order(1), &other).to_bytes();
        let elsewhere = Order {
            host: HostId::from_bytes([9; 16]),
            ..order(1)
        };
        let elsewhere = SignedOrder::seal(elsewhere, &key).to_bytes();

        for (bytes, now, seen, want) in [
            (&good, 1_500, Seen::Never, "accept"),
            (&good, 2_000, Seen::Never, "accept"),
            (&good, 2_001, Seen::Never, "Expired"),
            // A clock before the order was issued is a wrong clock, not a reason to leave access.
            (&good, 0, Seen::Never, "accept"),
            (&good, 1_500, Seen::Same, "duplicate"),
            (&good, 9_999, Seen::Same, "duplicate"),
            (&good, 1_500, Seen::Conflicting, "Replayed"),
            (&stranger, 1_500, Seen::Same, "Signature"),
            (&elsewhere, 1_500, Seen::Never, "OtherHost"),
            (&b"junk".to_vec(), 1_500, Seen::Never, "Malformed"),
        ] {
            assert_eq!(verdict(bytes, &pinned, now, seen), want);
        }
        assert_eq!(verdict(&good, &[], 1_500, Seen::Never), "Signature");
    }
}
