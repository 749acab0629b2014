//! Verifying evidence on arrival. Only this module can make a [`VerifiedRecord`], and the database
//! takes nothing else.

use rescind_protocol::evidence::{BrokenChain, ChainHead, ChainVerifier, RecordBody, SealedRecord};
use rescind_protocol::name::Digest;
use rescind_protocol::sign::VerifyingKey;

/// A record whose signature and place in the chain were checked.
#[derive(Debug, Clone)]
pub struct VerifiedRecord {
    sealed: SealedRecord,
    body: RecordBody,
    digest: Digest,
}

impl VerifiedRecord {
    /// The record as it came.
    pub const fn sealed(&self) -> &SealedRecord {
        &self.sealed
    }
    /// What it says.
    pub const fn body(&self) -> &RecordBody {
        &self.body
    }
    /// What the next record names as its predecessor.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// The records that continue a chain, and why the one after them does not.
#[derive(Debug)]
pub struct Verified {
    /// The records, in order.
    pub records: Vec<VerifiedRecord>,
    /// The record that broke the chain, and how; nothing after it was looked at.
    pub broken: Option<(SealedRecord, BrokenChain)>,
}

/// Checks records one after the other, from `head` on.
pub fn verify(key: VerifyingKey, head: ChainHead, sealed: Vec<SealedRecord>) -> Verified {
    let mut verifier = ChainVerifier::new(key, head);
    let mut records = Vec::with_capacity(sealed.len());
    for record in sealed {
        match verifier.check(&record) {
            Ok(body) => records.push(VerifiedRecord {
                digest: verifier.head().prev,
                sealed: record,
                body,
            }),
            Err(error) => {
                return Verified {
                    records,
                    broken: Some((record, error)),
                };
            }
        }
    }
    Verified {
        records,
        broken: None,
    }
}
