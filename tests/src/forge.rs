//! Orders as they should not be: by an unknown key, expired, for somebody else.

use crate::control::ControlPlane;
use rescind_protocol::order::{Order, SignedOrder};
use rescind_protocol::sign::SigningKey;

/// Somebody who holds a signing key and makes orders with it.
pub struct Forger {
    key: SigningKey,
}

impl Forger {
    /// With a key no host has ever heard of.
    pub fn with_unknown_key() -> Self {
        Self {
            key: SigningKey::generate().0,
        }
    }

    /// With the control plane's own order key: what it would never sign, signed rightly.
    #[track_caller]
    pub fn with_key_of(control: &ControlPlane) -> Self {
        let file = control.data_dir().join("order.key");
        let pem = match std::fs::read_to_string(&file) {
            Ok(pem) => pem,
            Err(error) => panic!("could not read {}: {error}", file.display()),
        };
        match SigningKey::from_pem(&pem) {
            Ok(key) => Self { key },
            Err(error) => panic!("{}: {error}", file.display()),
        }
    }

    /// A copy of an exported order with something changed, signed by this forger.
    #[track_caller]
    pub fn resign(&self, exported: &[u8], change: impl FnOnce(&mut Order)) -> Vec<u8> {
        let mut order = match SignedOrder::from_bytes(exported) {
            Ok(signed) => signed.order().clone(),
            Err(error) => panic!("not an exported order: {error}"),
        };
        change(&mut order);
        SignedOrder::seal(order, &self.key).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rescind_protocol::name::{HostId, OrderId, UnixMillis};
    use rescind_protocol::order::{Action, Authority};

    #[test]
    fn a_forged_order_is_whole_but_not_by_the_first_signer() {
        let (key, _) = SigningKey::generate();
        let order = Order {
            id: OrderId::from_bytes([1; 16]),
            host: HostId::from_bytes([2; 16]),
            seq: 1,
            issued_at: UnixMillis(1000),
            expires_at: UnixMillis(2000),
            action: Action::EndSessions {
                account: "alice".parse().unwrap(),
            },
            authority: Authority {
                asked_by: "carol@example.com".into(),
                approved_by: Vec::new(),
                ticket: "HR-1042".into(),
                reason: "left the company".into(),
                source: "cli".into(),
            },
        };
        let exported = SignedOrder::seal(order, &key).to_bytes();
        let forged = Forger::with_unknown_key().resign(&exported, |order| order.seq = 9);
        let forged = SignedOrder::from_bytes(&forged).unwrap();
        assert_eq!(forged.order().seq, 9);
        assert!(forged.verify(&[key.verifying_key()]).is_err());
    }
}
