//! Comparing the orders in force, so that a lost message cannot lose a revocation.

use std::collections::HashSet;

use rescind_protocol::evidence::NotAccepted;
use rescind_protocol::message::{
    Disposition, OrderAck, OrderBytes, STANDING_IDS_MAX, StandingList, StandingQuery,
};

use super::connection::{End, Session};
use crate::clock;
use crate::db::exceptions::{self, Kind, NewException};
use crate::db::{DbError, delivery, issuing, orders};

/// Unknown orders named in one exception.
const NAMED_MAX: usize = 20;

impl Session {
    /// Compares digests once our copy of the evidence has come as far as the host's hello: only
    /// then do both sides speak of the same moment.
    pub(super) async fn compare_standing(&mut self) -> Result<(), End> {
        let Some((next, theirs)) = self.to_compare else {
            return Ok(());
        };
        if self.greeting.evidence_taken && self.greeting.head.next < next {
            return Ok(());
        }
        self.to_compare = None;
        let host = self.host;
        let (_, ours) = self
            .plane
            .db
            .read(move |conn| delivery::standing(conn, host))
            .await?;
        if ours != theirs {
            tracing::info!(%host, "the orders in force differ; asking which they are");
            self.send(StandingQuery {}).await?;
        }
        Ok(())
    }

    /// Sends again what the host should hold and does not, as it was signed; raises an exception
    /// for what it holds and this database does not know.
    pub(super) async fn take_standing(&mut self, list: StandingList) -> Result<(), End> {
        if list.orders.len() > STANDING_IDS_MAX {
            return Err(End::Refuse(
                "a list of more standing orders than there can be".into(),
            ));
        }
        let host = self.host;
        let missing = self
            .plane
            .db
            .write(move |conn| {
                let theirs: HashSet<_> = list.orders.iter().copied().collect();
                let (ours, _) = delivery::standing(conn, host)?;
                let mut missing = Vec::new();
                for id in ours.into_iter().filter(|id| !theirs.contains(id)) {
                    if let Some(signed) = delivery::signed_bytes(conn, id)? {
                        missing.push((id, signed));
                    }
                }
                let mut unknown = Vec::new();
                for id in list.orders {
                    if orders::by_id(conn, id)?.is_none_or(|row| row.host != host) {
                        unknown.push(id.to_string());
                    }
                }
                if !unknown.is_empty() {
                    let detail = format!(
                        "it holds {} standing orders that this database does not know: {}",
                        unknown.len(),
                        unknown[..unknown.len().min(NAMED_MAX)].join(", ")
                    );
                    let new = NewException {
                        kind: Kind::UnknownOrder,
                        host,
                        order: None,
                        detail,
                    };
                    exceptions::raise(conn, &new, clock::now())?;
                }
                Ok::<_, DbError>(missing)
            })
            .await?;
        for (order, signed) in missing {
            tracing::info!(%host, %order, "a standing order is missing on the host; sent again");
            self.send(OrderBytes { signed }).await?;
            self.note_delivered(vec![order]).await?;
        }
        Ok(())
    }

    /// Takes the host's word on an order that it was sent. What became of the order itself is told
    /// by evidence; here only delivery is decided.
    pub(super) async fn take_ack(&mut self, ack: OrderAck) -> Result<(), End> {
        self.cursor = self.cursor.max(ack.order_cursor);
        let host = self.host;
        let Some(id) = ack
            .order
            .filter(|_| ack.disposition != Disposition::Accepted)
        else {
            return Ok(());
        };
        let order = self.reissue();
        let again = self
            .plane
            .db
            .write(move |conn| {
                let Some(row) = orders::by_id(conn, id)?.filter(|row| row.host == host) else {
                    return Ok::<_, DbError>(false);
                };
                if row.digest != ack.digest {
                    return Ok(false);
                }
                match ack.disposition {
                    Disposition::Accepted => Ok(false),
                    Disposition::Duplicate => {
                        delivery::mark_held(conn, id)?;
                        Ok(false)
                    }
                    // It was in force, the host has lost it, and its time to be taken is over.
                    Disposition::NotAccepted(NotAccepted::Expired) if row.in_force => {
                        let why = "the host had lost it, and it had expired";
                        issuing::reissue(
                            conn,
                            &order.key,
                            &row,
                            order.ttl_ms,
                            why,
                            clock::now_us(),
                        )?;
                        Ok(true)
                    }
                    Disposition::NotAccepted(why) => {
                        let detail = format!("the host answered that it did not take it: {why:?}");
                        let kind = Kind::NotAccepted;
                        let new = NewException {
                            kind,
                            host,
                            order: Some(id),
                            detail,
                        };
                        exceptions::raise(conn, &new, clock::now())?;
                        Ok(false)
                    }
                }
            })
            .await?;
        self.plane.changed(id);
        if again {
            self.send_orders().await
        } else {
            Ok(())
        }
    }
}
