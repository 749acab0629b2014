//! The end of a connection from this side, above all when the same host has connected again: is it
//! the same machine that has come back, or another one with its identity?

use std::time::Duration;

use rescind_protocol::message::Refused;

use super::connection::{End, Session, raise};
use super::frames::StreamError;
use super::presence::Close;
use crate::db::exceptions::Kind;

/// How long a connection that was replaced may take to show that somebody is still there.
const REPLACED_WAIT: Duration = Duration::from_secs(3);

impl Session {
    pub(super) async fn close(&mut self, why: Close) -> Result<End, End> {
        match why {
            Close::Changed => Ok(End::Refuse(
                "this host was removed or enrolled again, or an operator decided about its chain"
                    .into(),
            )),
            Close::Shutdown => Ok(End::Stopping),
            Close::Replaced { peer, boot_id } => {
                self.send(Refused {
                    why: "the host has connected again".into(),
                })
                .await?;
                if self.somebody_else_is_there(&boot_id).await {
                    let detail = format!(
                        "two machines speak as this host: {} (boot {}) and {peer} (boot {boot_id}); find out which is the host, and enrol it again with `rescind token new --host`",
                        self.slot.peer, self.slot.boot_id
                    );
                    raise(&self.plane, self.host, Kind::Clone, detail).await?;
                }
                Ok(End::Refuse("the host has connected again".into()))
            }
        }
    }

    /// Whether another machine holds the connection that was replaced.
    ///
    /// A host that lost its network may still send on its old connection what was on its way when
    /// that broke, but it is in the same boot. A host that was started anew cannot: its kernel resets
    /// what it does not know. So somebody who answers in another boot is somebody else.
    async fn somebody_else_is_there(&mut self, new_boot: &str) -> bool {
        if *self.slot.boot_id == *new_boot {
            return false;
        }
        match tokio::time::timeout(REPLACED_WAIT, self.stream.next()).await {
            Ok(Ok(_) | Err(StreamError::Closed)) => true,
            // An end without TLS's goodbye is how a program that just drops its socket ends.
            Ok(Err(StreamError::Io(error))) => error.kind() == std::io::ErrorKind::UnexpectedEof,
            _ => false,
        }
    }
}
