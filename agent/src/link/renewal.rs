//! A new key and certificate well before the end of the old one.
//!
//! Renewal falls due between one half and three quarters of the certificate's life, at a moment
//! each host draws for itself. Nothing that has expired is ever thrown away: whether an expired
//! certificate may still be renewed is for the control plane to say, and this host's clock may
//! just be wrong.

use std::path::PathBuf;
use std::time::Duration;

use rescind_protocol::message::{Message, Renew, Renewed};
use rescind_protocol::name::UnixMillis;
use tokio::time::Instant;

use super::backoff::fraction;
use super::identity::{BadCertificate, Identity, IdentityError, NewKey, Validity};
use crate::config::FileError;

/// How long after one request the next may follow, whatever became of the first. A control plane
/// that answers with nonsense, or whose clock is wrong, is not asked at every heartbeat.
const APART: Duration = Duration::from_secs(600);

/// Whether it is time for a new certificate, and what has been done about it.
pub struct Renewal {
    root: PathBuf,
    identity: rescind_protocol::name::Digest,
    validity: Validity,
    due: UnixMillis,
    /// When the last request was made, on this connection or one before it.
    asked: Option<Instant>,
    pending: Option<NewKey>,
    done: bool,
}

/// Why a new certificate was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// Nobody asked.
    #[error("a certificate came that was not asked for")]
    NotAsked,
    /// It does not fit.
    #[error("the new certificate: {0}")]
    Bad(#[from] BadCertificate),
    /// The host was enrolled again in the meantime.
    #[error("the identity on disk is another one by now, this connection's is not renewed")]
    Changed,
    /// The identity on disk cannot be read any more.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It could not be kept; the old one still holds.
    #[error(transparent)]
    Store(#[from] FileError),
}

impl Renewal {
    /// Renewal of an identity; `random` spreads a fleet that was enrolled at once. `asked` is what
    /// [`Renewal::asked`] said on the connection before.
    pub fn new(root: PathBuf, identity: &Identity, random: u32, asked: Option<Instant>) -> Self {
        Self {
            root,
            identity: identity.digest,
            validity: identity.validity,
            due: due(identity.validity, random),
            asked,
            pending: None,
            done: false,
        }
    }

    /// One that never falls due.
    #[cfg(test)]
    pub(super) fn never() -> Self {
        Self {
            root: PathBuf::from("/nonexistent"),
            identity: rescind_protocol::name::Digest::default(),
            validity: Validity {
                not_before: UnixMillis(0),
                not_after: UnixMillis(u64::MAX),
            },
            due: UnixMillis(u64::MAX),
            asked: None,
            pending: None,
            done: false,
        }
    }

    /// The request to send, if it is time for one.
    ///
    /// A clock of ours that is outside the certificate's life is no reason to renew before the
    /// control plane's is known: where it is wrong, the next certificate would look the same.
    pub fn request(
        &mut self,
        ours: UnixMillis,
        theirs: Option<UnixMillis>,
        at: Instant,
    ) -> Option<Message> {
        let now = theirs.or(self.validity.contains(ours).then_some(ours))?;
        let just_asked = self.asked.is_some_and(|asked| at - asked < APART);
        if self.done || just_asked || now < self.due {
            return None;
        }
        let key = match NewKey::generate() {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(%error, "cannot make a new key for the link");
                return None;
            }
        };
        let csr = key.csr.clone();
        self.pending = Some(key);
        self.asked = Some(at);
        Some(Renew { csr }.into())
    }

    /// When the last request was made.
    pub const fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// Takes the certificate that came. It is used from the next connection on.
    ///
    /// Writes two small files, synced; that blocks this thread for as long as the disk takes.
    pub fn take(&mut self, renewed: &Renewed) -> Result<Validity, RenewalError> {
        let key = self.pending.take().ok_or(RenewalError::NotAsked)?;
        let certified = key.certified(&renewed.certificate, &renewed.ca, None)?;
        if Identity::load(&self.root)?.digest != self.identity {
            return Err(RenewalError::Changed);
        }
        certified.store(&self.root, None)?;
        self.done = true;
        Ok(certified.validity)
    }

    /// Whether a new certificate waits to be used.
    pub const fn is_done(&self) -> bool {
        self.done
    }
}

fn due(validity: Validity, random: u32) -> UnixMillis {
    let life = Duration::from_millis(validity.not_after.0.saturating_sub(validity.not_before.0));
    let after = life / 2 + fraction(life / 4, random);
    validity.not_before.plus_ms(after.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALIDITY: Validity = Validity {
        not_before: UnixMillis(1_000_000),
        not_after: UnixMillis(1_086_400),
    };

    fn renewal(asked: Option<Instant>) -> Renewal {
        Renewal {
            validity: VALIDITY,
            due: due(VALIDITY, 0),
            asked,
            ..Renewal::never()
        }
    }

    #[test]
    fn it_falls_due_between_a_half_and_three_quarters() {
        assert_eq!(due(VALIDITY, 0), UnixMillis(1_043_200));
        assert_eq!(due(VALIDITY, u32::MAX), UnixMillis(1_064_799));
    }

    #[test]
    fn it_is_asked_for_when_it_is_due_by_a_clock_that_can_be_believed() {
        let at = Instant::now();
        for (ours, theirs, asks) in [
            (1_043_199, None, false),
            (1_043_200, None, true),
            // Our clock is outside the certificate's life, and there is no other yet.
            (2_000_000, None, false),
            (5, None, false),
            // The control plane's clock goes first.
            (2_000_000, Some(1_000_001), false),
            (5, Some(1_043_200), true),
            (1_000_001, Some(2_000_000), true),
        ] {
            let asked = renewal(None).request(UnixMillis(ours), theirs.map(UnixMillis), at);
            assert_eq!(asked.is_some(), asks, "{ours} {theirs:?}");
        }
    }

    #[test]
    fn it_is_not_asked_for_at_every_heartbeat() {
        let at = Instant::now();
        let now = VALIDITY.not_after;
        let mut first = renewal(None);
        assert!(first.request(now, None, at).is_some());
        assert!(first.request(now, None, at).is_none());
        let mut next = renewal(first.asked());
        assert!(next.request(now, None, at + APART / 2).is_none());
        assert!(next.request(now, None, at + APART).is_some());
    }
}
