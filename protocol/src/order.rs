//! What a host can be told to do, by whose authority.
//!
//! The actions are a closed list with typed arguments: no paths, no commands, no patterns. Whoever
//! takes the control plane can order what stands here, to the extent that the host's own
//! `agent.toml` allows, and nothing else.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cbor::{self, Malformed};
use crate::name::{AccountName, GroupName, HostId, KeyFingerprint, OrderId, UnixMillis};
use crate::sign::{BadSignature, Envelope, KeyId, PayloadType, SigningKey, VerifyingKey};

/// The longest text of an [`Authority`] field, in bytes.
pub const AUTHORITY_TEXT_BYTES_MAX: usize = 1024;
/// The largest signed order, in bytes.
pub const ORDER_BYTES_MAX: usize = 64 * 1024;

/// One instruction for one host.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct Order {
    /// Names the order everywhere.
    #[n(0)]
    pub id: OrderId,
    /// The only host that may carry it out.
    #[n(1)]
    pub host: HostId,
    /// Its place in that host's sequence, from 1; never used twice for a host.
    #[n(2)]
    pub seq: u64,
    /// When it was signed, by the control plane's clock.
    #[n(3)]
    pub issued_at: UnixMillis,
    /// A host that first sees it after this instant refuses it. It does not end an order in force.
    #[n(4)]
    pub expires_at: UnixMillis,
    /// What to do.
    #[n(5)]
    pub action: Action,
    /// By whose authority.
    #[n(6)]
    pub authority: Authority,
}

/// The closed list of what can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Nobody gets in as this account, by any way, and its sessions end.
    #[n(0)]
    DisableAccount {
        /// The account.
        #[n(0)]
        account: AccountName,
    },
    /// This key opens nothing: in every authorized_keys file in force for the account, or for
    /// every account of the host when none is named.
    #[n(1)]
    RevokeKey {
        /// The key.
        #[n(0)]
        fingerprint: KeyFingerprint,
        /// One account, or the whole host.
        #[n(1)]
        account: Option<AccountName>,
    },
    /// End the account's sessions and processes once; it may come back.
    #[n(2)]
    EndSessions {
        /// The account.
        #[n(0)]
        account: AccountName,
    },
    /// End a standing order and bring back what it took, except what other orders forbid.
    #[n(3)]
    Release {
        /// The standing order to end.
        #[n(0)]
        order: OrderId,
    },
    /// End once what was opened over ssh with this key, of one account or of all of the host; what
    /// was opened by other means goes on.
    #[n(4)]
    EndKeySessions {
        /// The key.
        #[n(0)]
        fingerprint: KeyFingerprint,
        /// One account, or the whole host.
        #[n(1)]
        account: Option<AccountName>,
    },
    /// The account is no member and no administrator of the group.
    #[n(5)]
    RevokeGroup {
        /// The account.
        #[n(0)]
        account: AccountName,
        /// The group.
        #[n(1)]
        group: GroupName,
        /// Whether its processes end when some still have the group, which the kernel leaves them.
        #[n(2)]
        #[serde(default)]
        end_sessions: bool,
    },
    /// sudo(8) lets the account do nothing, whatever other rules there are.
    #[n(6)]
    RevokeSudo {
        /// The account.
        #[n(0)]
        account: AccountName,
    },
}

impl Action {
    /// Whether the order stays in force until it is released.
    pub const fn is_standing(&self) -> bool {
        match self {
            Self::DisableAccount { .. }
            | Self::RevokeKey { .. }
            | Self::RevokeGroup { .. }
            | Self::RevokeSudo { .. } => true,
            Self::EndSessions { .. } | Self::EndKeySessions { .. } | Self::Release { .. } => false,
        }
    }

    /// The one account it is about, where there is one.
    pub const fn account(&self) -> Option<&AccountName> {
        match self {
            Self::DisableAccount { account }
            | Self::EndSessions { account }
            | Self::RevokeGroup { account, .. }
            | Self::RevokeSudo { account } => Some(account),
            Self::RevokeKey { account, .. } | Self::EndKeySessions { account, .. } => {
                account.as_ref()
            }
            Self::Release { .. } => None,
        }
    }

    /// The key it is about, where there is one.
    pub const fn key(&self) -> Option<KeyFingerprint> {
        match self {
            Self::RevokeKey { fingerprint, .. } | Self::EndKeySessions { fingerprint, .. } => {
                Some(*fingerprint)
            }
            _ => None,
        }
    }

    /// The action's name as operators write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DisableAccount { .. } => "disable-account",
            Self::RevokeKey { .. } => "revoke-key",
            Self::EndSessions { .. } => "end-sessions",
            Self::Release { .. } => "release",
            Self::EndKeySessions { .. } => "end-key-sessions",
            Self::RevokeGroup { .. } => "revoke-group",
            Self::RevokeSudo { .. } => "revoke-sudo",
        }
    }
}

/// Who wanted it and why. Signed into the order, and from there into the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Authority {
    /// Who asked: a person or a machine identity.
    #[n(0)]
    pub asked_by: String,
    /// Who approved; empty where the policy asks for nobody.
    #[n(1)]
    #[cbor(default)]
    #[serde(default)]
    pub approved_by: Vec<String>,
    /// The ticket or case number.
    #[n(2)]
    pub ticket: String,
    /// Why, in words.
    #[n(3)]
    pub reason: String,
    /// Where it came from: `cli`, `api`, `scim`, ….
    #[n(4)]
    pub source: String,
}

/// Why an authority cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    /// A required field is empty.
    #[error("{0} is required: say it")]
    Missing(&'static str),
    /// A field is too long.
    #[error("{0} is longer than {AUTHORITY_TEXT_BYTES_MAX} bytes")]
    TooLong(&'static str),
    /// A field would break a log line or a terminal.
    #[error("{0} contains a control character")]
    Control(&'static str),
    /// Too many approvers.
    #[error("more than 8 approvers")]
    TooManyApprovers,
}

impl Authority {
    /// Checks that who, ticket and reason are there and that every text is printable and bounded.
    pub fn check(&self) -> Result<(), BadAuthority> {
        let required = [
            ("who asked", &self.asked_by),
            ("the ticket", &self.ticket),
            ("the reason", &self.reason),
            ("the source", &self.source),
        ];
        if self.approved_by.len() > 8 {
            return Err(BadAuthority::TooManyApprovers);
        }
        if let Some((what, _)) = required.iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(BadAuthority::Missing(what));
        }
        let approvers = self.approved_by.iter().map(|name| ("an approver", name));
        for (what, text) in required.into_iter().chain(approvers) {
            if text.len() > AUTHORITY_TEXT_BYTES_MAX {
                return Err(BadAuthority::TooLong(what));
            }
            if text.chars().any(char::is_control) {
                return Err(BadAuthority::Control(what));
            }
        }
        Ok(())
    }
}

/// An order with its signatures, as it is stored and sent: the exact bytes that were signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedOrder {
    envelope: Envelope,
    order: Order,
}

/// Why bytes are not a signed order.
#[derive(Debug, thiserror::Error)]
pub enum BadOrder {
    /// Larger than [`ORDER_BYTES_MAX`].
    #[error("larger than {ORDER_BYTES_MAX} bytes")]
    TooLarge,
    /// Not the CBOR of a signed order, or an action this version does not know.
    #[error("not an order this version can read: {0}")]
    Malformed(#[from] Malformed),
    /// The authority in it is missing or unprintable.
    #[error("the order's authority: {0}")]
    Authority(#[from] BadAuthority),
}

impl SignedOrder {
    /// Signs an order.
    pub fn seal(order: Order, key: &SigningKey) -> Self {
        let envelope = Envelope::seal(key, PayloadType::Order, cbor::to_vec(&order));
        Self { envelope, order }
    }

    /// Reads a signed order. The signatures are *not* checked: [`SignedOrder::verify`] does.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadOrder> {
        if bytes.len() > ORDER_BYTES_MAX {
            return Err(BadOrder::TooLarge);
        }
        let envelope: Envelope = cbor::from_slice(bytes)?;
        let order: Order = cbor::from_slice(&envelope.body)?;
        order.authority.check()?;
        Ok(Self { envelope, order })
    }

    /// The bytes to store and send.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::to_vec(&self.envelope)
    }

    /// The order as its signer claims it to be.
    pub const fn order(&self) -> &Order {
        &self.order
    }

    /// Which of the trusted keys signed it; an error when none did, or one is forged.
    pub fn verify(&self, trusted: &[VerifyingKey]) -> Result<Vec<KeyId>, BadSignature> {
        self.envelope.verify(PayloadType::Order, trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            id: OrderId::from_bytes([1; 16]),
            host: HostId::from_bytes([2; 16]),
            seq: 7,
            issued_at: UnixMillis(1000),
            expires_at: UnixMillis(2000),
            action: Action::DisableAccount {
                account: "alice".parse().unwrap(),
            },
            authority: Authority {
                asked_by: "dana@example.com".into(),
                approved_by: vec![],
                ticket: "OFF-1".into(),
                reason: "left the company".into(),
                source: "cli".into(),
            },
        }
    }

    #[test]
    fn a_signed_order_survives_the_wire_and_only_unchanged() {
        let (key, _) = SigningKey::generate();
        let trusted = [key.verifying_key()];
        let bytes = SignedOrder::seal(order(), &key).to_bytes();
        let read = SignedOrder::from_bytes(&bytes).unwrap();
        assert_eq!(read.order(), &order());
        read.verify(&trusted).unwrap();
        for i in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[i] ^= 0x10;
            let passes = SignedOrder::from_bytes(&bent).is_ok_and(|o| o.verify(&trusted).is_ok());
            assert!(!passes, "byte {i} changed and the order still verifies");
        }
    }

    #[test]
    fn an_action_of_a_later_version_is_refused_not_misread() {
        let (key, _) = SigningKey::generate();
        let mut body = cbor::to_vec(&order());
        // Action is [variant, {…}] under key 5: make the variant 23.
        let at = body
            .windows(3)
            .position(|w| w == [0x05, 0x82, 0x00])
            .unwrap();
        body[at + 2] = 23;
        let bytes = cbor::to_vec(&Envelope::seal(&key, PayloadType::Order, body));
        assert!(matches!(
            SignedOrder::from_bytes(&bytes),
            Err(BadOrder::Malformed(_))
        ));
    }

    #[test]
    fn who_why_and_ticket_are_required() {
        for blank in 0..3 {
            let mut authority = order().authority;
            *[
                &mut authority.asked_by,
                &mut authority.ticket,
                &mut authority.reason,
            ][blank] = " ".into();
            assert!(matches!(authority.check(), Err(BadAuthority::Missing(_))));
        }
        let mut authority = order().authority;
        authority.reason = "x\x1b[2J".into();
        assert_eq!(authority.check(), Err(BadAuthority::Control("the reason")));
    }
}
