//! Evidence: verified, kept, acknowledged.

use rescind_protocol::evidence::{BrokenChain, ChainHead, SealedRecord};
use rescind_protocol::message::{Evidence, EvidenceAck};
use rescind_protocol::name::Digest;

use super::connection::{End, Session};
use super::greeting;
use crate::clock;
use crate::db::DbError;
use crate::db::evidence::{self, Appended};
use crate::db::exceptions::{self, Kind, NewException};
use crate::verify::{Verified, verify};

/// Signatures checked on the runtime's own threads; more go to a thread of their own.
const CHECKED_IN_PLACE_MAX: usize = 16;
/// How often our copy may move under one frame: by the host's other, older connection.
const MOVES_MAX: usize = 4;

impl Session {
    /// Takes a frame of evidence.
    pub(super) async fn take_evidence(&mut self, message: Evidence) -> Result<(), End> {
        if !self.greeting.evidence_taken {
            return Ok(());
        }
        let at = clock::now_us();
        let sealed = message.records;
        for _ in 0..MOVES_MAX {
            let rest = self.without_known(sealed.clone()).await?;
            let (key, head) = (self.greeting.key, self.greeting.head);
            let Verified { records, broken } = if rest.len() <= CHECKED_IN_PLACE_MAX {
                verify(key, head, rest)
            } else {
                tokio::task::spawn_blocking(move || verify(key, head, rest))
                    .await
                    .map_err(|_| End::Stopping)?
            };
            let chain = self.greeting.chain;
            let last = records
                .last()
                .map(|record| (record.body().index + 1, record.digest()));
            let appended = if records.is_empty() {
                Appended::Kept(Vec::new())
            } else {
                self.plane
                    .db
                    .write(move |conn| evidence::append(conn, chain, head, &records, at))
                    .await?
            };
            match appended {
                Appended::Moved(head) => {
                    self.greeting.head = head;
                    continue;
                }
                Appended::Kept(changed) => {
                    if let Some((next, prev)) = last {
                        self.greeting.head.next = next;
                        self.greeting.head.prev = prev;
                    }
                    changed
                        .into_iter()
                        .for_each(|order| self.plane.changed(order));
                }
            }
            if let Some((record, error)) = broken {
                return Err(self.refuse_evidence(record, error).await?);
            }
            self.send(EvidenceAck {
                next: self.greeting.head.next,
            })
            .await?;
            return self.compare_standing().await;
        }
        Err(End::Refuse(
            "the host's evidence also arrives over another connection".into(),
        ))
    }

    /// Drops records from the front that we hold already, byte for byte. They come when the
    /// connection before this one was still busy with them.
    async fn without_known(&self, sealed: Vec<SealedRecord>) -> Result<Vec<SealedRecord>, DbError> {
        let next = self.greeting.head.next;
        let old = move |record: &SealedRecord| match record.body() {
            Ok(body) if body.index < next => Some(body.index),
            _ => None,
        };
        if sealed.first().is_none_or(|first| old(first).is_none()) {
            return Ok(sealed);
        }
        let chain = self.greeting.chain;
        self.plane
            .db
            .read(move |conn| {
                let mut known = 0;
                for record in &sealed {
                    let Some(index) = old(record) else { break };
                    if evidence::digest_at(conn, chain, index)? != Some(record.digest()) {
                        break;
                    }
                    known += 1;
                }
                let mut sealed = sealed;
                Ok(sealed.split_off(known))
            })
            .await
    }

    /// Records the refusal. A record that the host signed and that does not continue our copy
    /// means that its chain has forked: from here on it is kept as another chain.
    async fn refuse_evidence(
        &self,
        record: SealedRecord,
        error: BrokenChain,
    ) -> Result<End, DbError> {
        let host = self.host;
        let digest = Digest::of(&record.body);
        let words = format!(
            "{error}; refused from {}, body SHA-256 {digest}",
            self.slot.peer
        );
        tracing::warn!(%host, error = words, "evidence refused");
        let forked = matches!(error, BrokenChain::Link { .. });
        let (greeting, order) = (self.greeting.clone(), self.reissue());
        let mut detail = words.clone();
        if matches!(error, BrokenChain::Index { want, found } if found > want) {
            detail.push_str("; if the host has lost the records between, run `rescind evidence accept-gap --host`");
        }
        self.plane
            .db
            .write(move |conn| {
                let now = clock::now_us();
                let kind = if forked {
                    Kind::Clone
                } else {
                    Kind::EvidenceRefused
                };
                let new = NewException {
                    kind,
                    host,
                    order: None,
                    detail,
                };
                exceptions::raise(conn, &new, now.millis())?;
                if forked {
                    let why = "the host's chain had forked from our copy";
                    greeting::another_chain(
                        conn,
                        &greeting,
                        ChainHead::default(),
                        why,
                        &order,
                        now,
                    )?;
                }
                Ok::<_, DbError>(())
            })
            .await?;
        Ok(End::Refuse(format!("evidence: {words}")))
    }
}
