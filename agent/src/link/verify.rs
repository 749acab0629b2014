//! Which control plane is believed.

use std::sync::Arc;

use rescind_protocol::name::{Digest, UnixMillis};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::identity::Validity;
use super::tls::provider;

/// Every day: a certificate by a known CA, for the known name, in its time.
///
/// A host whose clock is wrong must still hear revocations: where the clock says that our own
/// certificate does not hold, the clock proves nothing, and the control plane's certificate is
/// judged at the last time that is known instead. What that gives away is little, an old
/// certificate of the control plane can delay orders but not sign them; an agent that turns deaf
/// with its battery gives away more.
#[derive(Debug)]
pub(super) struct KnownServer {
    inner: Arc<WebPkiServerVerifier>,
    own: Validity,
}

impl KnownServer {
    pub(super) fn new(roots: RootCertStore, own: Validity) -> Result<Self, Error> {
        let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { inner, own })
    }
}

impl ServerCertVerifier for KnownServer {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judge = |at| self.inner.verify_server_cert(leaf, chain, name, ocsp, at);
        let verdict = judge(now);
        let clock = UnixMillis(now.as_secs().saturating_mul(1000));
        match &verdict {
            Err(error) if is_about_time(error) && !self.own.contains(clock) => {}
            _ => return verdict,
        }
        let verdict = if clock < self.own.not_before {
            // It is at least as late as our certificate was made, and the control plane may have
            // got a new one since.
            match judge(unix_time(self.own.not_before)) {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before,
                    ..
                })) => judge(not_before),
                verdict => verdict,
            }
        } else {
            judge(unix_time(self.own.not_after))
        };
        if verdict.is_ok() {
            tracing::warn!(
                clock = %clock,
                certificate_from = %self.own.not_before,
                certificate_to = %self.own.not_after,
                "this host's clock is outside the life of its own certificate: the control plane is believed by the last known time; set the clock"
            );
        }
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}

fn unix_time(at: UnixMillis) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(at.0))
}

/// At enrolment: a certificate by exactly the CA whose digest the join token carries, in its time.
/// The name in it is not known yet, and any is right: that CA makes certificates for one control
/// plane and nobody else.
#[derive(Debug)]
pub(super) struct PinnedCa {
    pinned: Digest,
}

impl PinnedCa {
    pub(super) const fn new(pinned: Digest) -> Self {
        Self { pinned }
    }
}

/// The peer did not show the pinned CA.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the CA of the join token is not in the chain that was shown")]
pub(super) struct NotThePinnedCa;

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ca = chain
            .iter()
            .find(|ca| Digest::of(ca) == self.pinned)
            .ok_or_else(|| {
                let why = OtherError(Arc::new(NotThePinnedCa));
                Error::InvalidCertificate(CertificateError::Other(why))
            })?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(leaf)?,
            &roots,
            chain,
            now,
            provider().signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
