//! A new certificate for a host whose old one still holds.

use std::time::Duration;

use rescind_protocol::message::{Renew, Renewed};
use tokio::time::Instant;

use super::connection::{End, Session};
use crate::clock;
use crate::db::DbError;
use crate::db::certificates::{self, Holder};

/// The shortest time between two certificates on one connection.
const INTERVAL_MIN: Duration = Duration::from_secs(60);

impl Session {
    pub(super) async fn renew(&mut self, renew: Renew) -> Result<(), End> {
        let soon = |at: Instant| at.elapsed() < INTERVAL_MIN;
        if self.last_renewed.is_some_and(soon) {
            return Err(End::Refuse(
                "a certificate was made less than a minute ago".into(),
            ));
        }
        self.last_renewed = Some(Instant::now());
        let (host, now) = (self.host, clock::now());
        let hours = self.plane.config.certificate_hours;
        let issued = self
            .plane
            .ca
            .certify_host(&renew.csr, host, hours, now)
            .map_err(|error| End::Refuse(error.to_string()))?;
        let (digest, not_after) = (issued.digest, issued.not_after);
        let kept = self
            .plane
            .db
            .write(move |conn| {
                let room = certificates::room_for(conn, host, now)?;
                if room {
                    certificates::insert(conn, digest, &Holder::Host(host), not_after, now)?;
                }
                Ok::<_, DbError>(room)
            })
            .await?;
        if !kept {
            return Err(End::Refuse(
                "this host holds too many certificates; use one".into(),
            ));
        }
        tracing::info!(%host, %not_after, "the host's certificate was renewed");
        let ca = self.plane.ca.pem().to_owned();
        self.send(Renewed {
            certificate: issued.pem,
            ca,
            not_after,
        })
        .await
    }
}
