//! The control plane's own certificate authority: who may talk.
//!
//! Certificates are made here and never read: a peer is known by the SHA-256 of the certificate it
//! presents, looked up in the database, so that deleting a row cuts it off at once.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rescind_protocol::name::{Digest, HostId, UnixMillis};
use rescind_protocol::sign::fill_random;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::data_dir::{DataDir, DirError};
use crate::keys::FirstStart;

const KEY_FILE: &str = "ca.key";
const CERTIFICATE_FILE: &str = "ca.pem";
const SERVER_FILE: &str = "server.pem";
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;
/// The largest certificate signing request that is looked at.
const CSR_BYTES_MAX: usize = 4096;

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The data directory.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// A file of the CA is damaged.
    #[error("{file}: {why}; restore it from a backup")]
    Damaged {
        /// The file in the data directory.
        file: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The CA was used before and a part of it is gone.
    #[error("{0} is missing although the CA was used before; restore it from a backup")]
    Lost(&'static str),
    /// The request was not one that can be certified.
    #[error("the certificate signing request: {0}")]
    Request(String),
    /// The certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate that was just made.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate, PEM.
    pub pem: String,
    /// SHA-256 of its DER: the name by which its holder is known.
    pub digest: Digest,
    /// When it ends.
    pub not_after: UnixMillis,
}

/// The server's own certificate, with the CA's behind it (a host that joins pins that one), and
/// its key.
pub struct ServerIdentity {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// The certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    trust_domain: String,
}

impl Ca {
    /// Reads the CA from the data directory, or makes it at the first start.
    pub fn open(
        dir: &DataDir,
        trust_domain: &str,
        first_start: FirstStart,
        now: UnixMillis,
    ) -> Result<Self, CaError> {
        let damaged = |file, error: &dyn std::fmt::Display| CaError::Damaged {
            file,
            why: error.to_string(),
        };
        let certificate = dir.read(CERTIFICATE_FILE)?;
        let key = match dir.read(KEY_FILE)? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(|e| damaged(KEY_FILE, &e))?,
            None if certificate.is_some() || first_start == FirstStart::No => {
                return Err(CaError::Lost(KEY_FILE));
            }
            None => {
                let key = KeyPair::generate()?;
                dir.write(KEY_FILE, &Zeroizing::new(key.serialize_pem()))?;
                key
            }
        };
        let pem = match certificate {
            Some(pem) => pem.to_string(),
            // Also after a crash between the two files.
            None => {
                let pem = ca_params(now)?.self_signed(&key)?.pem();
                dir.write(CERTIFICATE_FILE, &pem)?;
                pem
            }
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| damaged(CERTIFICATE_FILE, &e))?;
        let issuer =
            Issuer::from_ca_cert_der(&der, key).map_err(|e| damaged(CERTIFICATE_FILE, &e))?;
        Ok(Self {
            issuer,
            pem,
            der,
            trust_domain: trust_domain.into(),
        })
    }

    /// The CA's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The CA's certificate, DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// What a join token pins.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }

    /// The server's certificate: the one in the data directory, or a new one when there is none,
    /// when less than a third of its time is left, or when the names are others.
    pub fn server_identity(
        &self,
        dir: &DataDir,
        names: &[String],
        now: UnixMillis,
    ) -> Result<ServerIdentity, CaError> {
        let heading = |not_after: u64| {
            format!(
                "names: {}\nnot-after-ms: {not_after}\nca: {}\n",
                names.join(","),
                self.fingerprint()
            )
        };
        if let Some(text) = dir.read(SERVER_FILE)? {
            let not_after = text
                .lines()
                .find_map(|line| line.strip_prefix("not-after-ms: "))
                .and_then(|ms| ms.parse::<u64>().ok());
            let fresh_until = now.plus_ms(SERVER_DAYS as u64 * 86_400_000 / 3).0;
            if let Some(end) = not_after
                && end > fresh_until
                && text.starts_with(&heading(end))
            {
                return self.read_server(&text);
            }
        }
        let key = KeyPair::generate()?;
        let mut params = params(
            names.first().map_or("rescind", String::as_str),
            now,
            SERVER_DAYS * 24,
        )?;
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(name.as_str().try_into()?)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let not_after = end_of(&params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        // One file, so that a crash cannot leave a certificate beside another one's key.
        let text = Zeroizing::new(format!(
            "{}{}{}",
            heading(not_after.0),
            certificate.pem(),
            *Zeroizing::new(key.serialize_pem())
        ));
        dir.write(SERVER_FILE, &text)?;
        self.read_server(&text)
    }

    fn read_server(&self, text: &str) -> Result<ServerIdentity, CaError> {
        let damaged = |error: rustls_pki_types::pem::Error| CaError::Damaged {
            file: SERVER_FILE,
            why: error.to_string(),
        };
        let leaf = CertificateDer::from_pem_slice(text.as_bytes()).map_err(damaged)?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(damaged)?;
        Ok(ServerIdentity {
            chain: vec![leaf, self.der.clone()],
            key,
        })
    }

    /// Certifies the key of a host. Of the request only the key is taken, and the proof that its
    /// sender holds it.
    pub fn certify_host(
        &self,
        csr: &[u8],
        host: HostId,
        hours: u64,
        now: UnixMillis,
    ) -> Result<Issued, CaError> {
        let uri = format!("spiffe://{}/host/{host}", self.trust_domain);
        self.certify(csr, &format!("host {host}"), &uri, hours, now)
    }

    /// Certifies the key of an operator.
    pub fn certify_operator(
        &self,
        csr: &[u8],
        name: &str,
        hours: u64,
        now: UnixMillis,
    ) -> Result<Issued, CaError> {
        let uri = format!(
            "spiffe://{}/operator/{}",
            self.trust_domain,
            uri_escape(name)
        );
        self.certify(csr, &format!("operator {name}"), &uri, hours, now)
    }

    fn certify(
        &self,
        csr: &[u8],
        common_name: &str,
        uri: &str,
        hours: u64,
        now: UnixMillis,
    ) -> Result<Issued, CaError> {
        if csr.len() > CSR_BYTES_MAX {
            return Err(CaError::Request(format!(
                "larger than {CSR_BYTES_MAX} bytes"
            )));
        }
        // Also checks the request's own signature.
        let request =
            CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr))
                .map_err(|error| CaError::Request(error.to_string()))?;
        let mut params = params(common_name, now, hours as i64)?;
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let not_after = end_of(&params);
        let certificate = params.signed_by(&request.public_key, &self.issuer)?;
        Ok(Issued {
            pem: certificate.pem(),
            digest: Digest::of(certificate.der()),
            not_after,
        })
    }
}

fn ca_params(now: UnixMillis) -> Result<CertificateParams, CaError> {
    let mut params = params("Rescind control plane CA", now, CA_DAYS * 24)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// What all certificates have in common. They begin a day early: a host's clock may be behind.
fn params(common_name: &str, now: UnixMillis, hours: i64) -> Result<CertificateParams, CaError> {
    let at = OffsetDateTime::from_unix_timestamp((now.0 / 1000) as i64)
        .map_err(|_| CaError::Request("the clock is outside the years of X.509".into()))?;
    let mut params = CertificateParams::default();
    params.not_before = at - Duration::days(1);
    params.not_after = at + Duration::hours(hours);
    params.distinguished_name = DistinguishedName::new();
    // RFC 5280 upper bound of a common name: 64 characters.
    let common_name: String = common_name.chars().take(64).collect();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let mut serial = [0; 16];
    fill_random(&mut serial);
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn end_of(params: &CertificateParams) -> UnixMillis {
    UnixMillis(params.not_after.unix_timestamp().max(0) as u64 * 1000)
}

/// RFC 3986 percent-encoding of what is not an unreserved character.
fn uri_escape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
