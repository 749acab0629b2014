//! Joining a fleet: the one-time token and the exchange it opens.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::cbor::bytes_codec;
use crate::name::{Digest, HostId, HostName, UnixMillis};
use crate::sign::{Signature, VerifyingKey, fill_random, sha256};

/// The secret half of a join token. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(Zeroizing<[u8; 32]>);

impl TokenSecret {
    /// A new secret.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut bytes[..]);
        Self(bytes)
    }
    /// The secret's bytes, to be sent once, over TLS to the pinned CA.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// From bytes that came over the wire.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
    /// The form in which the control plane keeps it.
    pub fn digest(&self) -> Digest {
        Digest::from_bytes(sha256(&[b"rescind join token", &self.0[..]]))
    }
}
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(…)")
    }
}
bytes_codec!(TokenSecret, 32);

/// A one-time join token: a secret, and the fingerprint of the CA it may be shown to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// What proves that an operator let this host in.
    pub secret: TokenSecret,
    /// SHA-256 of the control plane's CA certificate (DER).
    pub ca: Digest,
}

/// Why a text is not a join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a join token: want rescind1.….…, as printed by `rescind token new`")]
pub struct BadToken;

impl JoinToken {
    /// The text to hand to `rescind-agent enrol`: `rescind1.` secret `.` CA fingerprint.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.secret.as_bytes()));
        let ca = URL_SAFE_NO_PAD.encode(self.ca.as_bytes());
        Zeroizing::new(format!("rescind1.{}.{ca}", *secret))
    }
}

impl FromStr for JoinToken {
    type Err = BadToken;
    fn from_str(text: &str) -> Result<Self, BadToken> {
        let rest = text.trim().strip_prefix("rescind1.").ok_or(BadToken)?;
        let (secret, ca) = rest.split_once('.').ok_or(BadToken)?;
        let bytes = |text: &str| -> Result<[u8; 32], BadToken> {
            let raw = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken)?);
            raw.as_slice().try_into().map_err(|_| BadToken)
        };
        Ok(Self {
            secret: TokenSecret::from_bytes(bytes(secret)?),
            ca: Digest::from_bytes(bytes(ca)?),
        })
    }
}

/// Let me join.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EnrolRequest {
    /// The token's secret.
    #[n(0)]
    pub secret: TokenSecret,
    /// What the host calls itself.
    #[n(1)]
    pub name: HostName,
    /// A certificate signing request (RFC 2986) for the link's key, DER.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub csr: Vec<u8>,
    /// The public half of the host's evidence key.
    #[n(3)]
    pub evidence_key: VerifyingKey,
    /// By the evidence key, over the CSR, as [`crate::sign::PayloadType::Possession`].
    #[n(4)]
    pub possession: Signature,
    /// The agent's version.
    #[n(5)]
    pub agent_version: String,
    /// `PRETTY_NAME` of os-release(5).
    #[n(6)]
    pub os: String,
    /// The id this host had before, when it joins again.
    #[n(7)]
    pub formerly: Option<HostId>,
}

/// You have joined.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Enrolled {
    /// The host's id from now on.
    #[n(0)]
    pub host: HostId,
    /// The link's certificate, PEM.
    #[n(1)]
    pub certificate: String,
    /// The control plane's CA certificates, PEM.
    #[n(2)]
    pub ca: String,
    /// When the certificate ends.
    #[n(3)]
    pub not_after: UnixMillis,
    /// The keys whose orders the host obeys.
    #[n(4)]
    pub order_keys: Vec<VerifyingKey>,
    /// The name in the control plane's own certificate.
    #[n(5)]
    pub server_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_hides_its_secret() {
        let token = JoinToken {
            secret: TokenSecret::generate(),
            ca: Digest::of(b"certificate"),
        };
        let text = token.to_text();
        assert_eq!(text.parse::<JoinToken>(), Ok(token.clone()));
        let secret = text.split('.').nth(1).unwrap();
        assert!(!format!("{token:?}").contains(secret));
        for bad in [
            "",
            "rescind1.",
            "rescind1.a.b",
            &text[..60],
            &text.replace('1', "2"),
        ] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }
}
