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

/// How long an answer may take before it is asked for again.
const ANSWER_MAX: Duration = Duration::from_secs(600);

/// Whether it is time for a new certificate, and what has been done about it.
pub struct Renewal {
    root: PathBuf,
    identity: rescind_protocol::name::Digest,
    due: UnixMillis,
    pending: Option<(NewKey, Instant)>,
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
    /// Renewal of an identity; `random` spreads a fleet that was enrolled at once.
    pub fn new(root: PathBuf, identity: &Identity, random: u32) -> Self {
        Self {
            root,
            identity: identity.digest,
            due: due(identity.validity, random),
            pending: None,
            done: false,
        }
    }

    #[cfg(test)]
    pub(super) fn never(root: &std::path::Path) -> Self {
        Self {
            root: root.to_owned(),
            identity: rescind_protocol::name::Digest::default(),
            due: UnixMillis(u64::MAX),
            pending: None,
            done: false,
        }
    }

    /// The request to send, if it is time for one. `now` is the control plane's clock where it
    /// is known.
    pub fn request(&mut self, now: UnixMillis, at: Instant) -> Option<Message> {
        let waiting = matches!(&self.pending, Some((_, asked)) if at - *asked < ANSWER_MAX);
        if self.done || waiting || now < self.due {
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
        self.pending = Some((key, at));
        Some(Renew { csr }.into())
    }

    /// Takes the certificate that came. It is used from the next connection on.
    ///
    /// Writes two small files, synced; that blocks this thread for as long as the disk takes.
    pub fn take(&mut self, renewed: &Renewed) -> Result<Validity, RenewalError> {
        let (key, _) = self.pending.take().ok_or(RenewalError::NotAsked)?;
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

    #[test]
    fn it_falls_due_between_a_half_and_three_quarters() {
        let validity = Validity {
            not_before: UnixMillis(1_000_000),
            not_after: UnixMillis(1_086_400),
        };
        assert_eq!(due(validity, 0), UnixMillis(1_043_200));
        assert_eq!(due(validity, u32::MAX), UnixMillis(1_064_799));
    }
}
