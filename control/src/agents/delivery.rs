//! Orders out: what the host has not said it has, in sequence, and what is new as it is given.

use rescind_protocol::message::OrderBytes;
use rescind_protocol::name::OrderId;

use super::connection::{End, Session};
use crate::clock;
use crate::db::{DbError, delivery};

/// Orders read from the database and sent at once.
const ORDERS_AT_ONCE: u32 = 32;

impl Session {
    /// Sends what the host has not said it has, in sequence, from where this connection is.
    pub(super) async fn send_orders(&mut self) -> Result<(), End> {
        loop {
            let (host, after, cursor) = (self.host, self.sent_through, self.cursor);
            let pending = self
                .plane
                .db
                .read(move |conn| delivery::pending(conn, host, after, cursor, ORDERS_AT_ONCE))
                .await?;
            let Some(last) = pending.last() else {
                return Ok(());
            };
            self.sent_through = last.seq;
            let mut ids = Vec::with_capacity(pending.len());
            for order in pending {
                self.send(OrderBytes {
                    signed: order.signed,
                })
                .await?;
                ids.push(order.id);
            }
            self.note_delivered(ids).await?;
        }
    }

    /// Puts the delivery on the timeline. Not waited for: the host is faster than our disk.
    pub(super) async fn note_delivered(&self, ids: Vec<OrderId>) -> Result<(), DbError> {
        let at = clock::now_us();
        let told = ids.clone();
        let plane = self.plane.clone();
        let noted = self
            .plane
            .db
            .submit(move |conn| {
                ids.iter()
                    .try_for_each(|id| delivery::mark_delivered(conn, *id, at))
            })
            .await?;
        tokio::spawn(async move {
            if let Ok(Ok(())) = noted.await {
                told.into_iter().for_each(|id| plane.changed(id));
            }
        });
        Ok(())
    }
}
