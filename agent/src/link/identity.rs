//! The link's private key, its certificate, and the CA it believes.
//!
//! Key and certificate lie in one file, because a crash between the replacement of two would leave
//! a host that nobody lets in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rescind_protocol::name::{Digest, UnixMillis};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error as TlsError};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use zeroize::Zeroizing;

use super::tls::provider;
use super::words::printable;
use crate::config::{FileError, layout, make_dir, replace};

/// The most certificates a chain or a list of CAs may have.
const CERTIFICATES_MAX: usize = 8;
/// The largest file or answer that is parsed, in bytes.
const PEM_BYTES_MAX: usize = 128 * 1024;

/// When a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From this second on, since 1970.
    pub not_before: UnixMillis,
    /// To this second, since 1970.
    pub not_after: UnixMillis,
}

impl Validity {
    /// Whether it holds at an instant.
    pub fn contains(&self, now: UnixMillis) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Who the link is, and whose certificates it believes.
pub struct Identity {
    /// The chain and its private key, ready to be shown.
    pub(super) certified: CertifiedKey,
    /// The control plane's CAs.
    pub(super) roots: RootCertStore,
    /// When the certificate holds.
    pub validity: Validity,
    /// Tells this identity from another one.
    pub digest: Digest,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; if this host is not enrolled, run `rescind-agent enrol`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What the files say does not make an identity.
    #[error("{}: {why}; enrol this host again", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: BadCertificate,
    },
}

/// Why certificates and a key do not make an identity.
#[derive(Debug, thiserror::Error)]
pub enum BadCertificate {
    /// Not PEM, or not the expected PEM.
    #[error("not the PEM it should be: {}", printable(&.0.to_string()))]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// No certificate, or too many.
    #[error("{0} certificates: want 1 to {CERTIFICATES_MAX}")]
    Count(usize),
    /// Larger than any such text.
    #[error("larger than {PEM_BYTES_MAX} bytes")]
    TooLarge,
    /// The certificate is not for this key, not by this CA, or broken.
    #[error("the certificate does not fit: {}", printable(&.0.to_string()))]
    Tls(#[from] TlsError),
    /// The CAs that were sent do not include the pinned one.
    #[error("the CA of the join token is not among those that were sent")]
    OtherCa,
}

impl Identity {
    /// Reads the identity beneath a root directory.
    pub fn load(root: &Path) -> Result<Self, IdentityError> {
        let identity_path = layout::identity_pem(root);
        let ca_path = layout::ca_pem(root);
        let read = |path: &Path| {
            fs::read(path)
                .map(Zeroizing::new)
                .map_err(|source| IdentityError::Read {
                    path: path.to_owned(),
                    source,
                })
        };
        let (pem, ca) = (read(&identity_path)?, read(&ca_path)?);
        let bad = |path: &Path| {
            let path = path.to_owned();
            |why| IdentityError::Bad { path, why }
        };
        let cas = certificates(&ca).map_err(bad(&ca_path))?;
        Self::assemble(&pem, &cas).map_err(bad(&identity_path))
    }

    fn assemble(pem: &[u8], cas: &[CertificateDer<'static>]) -> Result<Self, BadCertificate> {
        let chain = certificates(pem)?;
        let key = PrivateKeyDer::from_pem_slice(pem)?;
        let mut digest = pem.to_vec();
        cas.iter().for_each(|ca| digest.extend_from_slice(ca));
        let digest = Digest::of(&Zeroizing::new(digest));
        Self::check(chain, key, cas, digest)
    }

    /// Puts an identity together; it must hold at some time.
    fn check(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        cas: &[CertificateDer<'static>],
        digest: Digest,
    ) -> Result<Self, BadCertificate> {
        let mut roots = RootCertStore::empty();
        for ca in cas {
            roots.add(ca.clone())?;
        }
        let certified = CertifiedKey::from_der(chain, key, &provider())?;
        let validity = validity(&certified.cert, &roots)?;
        Ok(Self {
            certified,
            roots,
            validity,
            digest,
        })
    }
}

/// When a chain holds.
///
/// The verifier is asked at the beginning and at the end of time, and says what is wrong with
/// them; then whether everything else is right. This reads the dates without an X.509 parser of
/// our own.
fn validity(
    chain: &[CertificateDer<'static>],
    roots: &RootCertStore,
) -> Result<Validity, BadCertificate> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone().into(), provider())
        .build()
        .map_err(|error| TlsError::General(error.to_string()))?;
    let at = |seconds: u64| {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        verifier.verify_client_cert(&chain[0], &chain[1..], now)
    };
    let seconds = |time: UnixTime| UnixMillis(time.as_secs().saturating_mul(1000));
    let not_before = match at(0) {
        Err(TlsError::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) => not_before,
        Err(error) => return Err(error.into()),
        Ok(_) => UnixTime::since_unix_epoch(std::time::Duration::ZERO),
    };
    // 9999-12-31T23:59:59Z, the end of time of RFC 5280 section 4.1.2.5.
    let not_after = match at(253_402_300_799) {
        Err(TlsError::InvalidCertificate(CertificateError::ExpiredContext {
            not_after, ..
        })) => not_after,
        Err(error) => return Err(error.into()),
        Ok(_) => UnixTime::since_unix_epoch(std::time::Duration::from_secs(253_402_300_799)),
    };
    match at(not_before.as_secs()) {
        // The CA may have been renewed after the certificate was made.
        Ok(_)
        | Err(TlsError::InvalidCertificate(
            CertificateError::NotValidYetContext { .. } | CertificateError::ExpiredContext { .. },
        )) => Ok(Validity {
            not_before: seconds(not_before),
            not_after: seconds(not_after),
        }),
        Err(error) => Err(error.into()),
    }
}

/// A key that waits for its certificate.
pub struct NewKey {
    key: KeyPair,
    /// The certificate signing request (RFC 2986), DER.
    pub csr: Vec<u8>,
}

impl NewKey {
    /// Makes an ECDSA P-256 key and a request for it. The request names nobody: whose certificate
    /// it becomes is for the control plane to say.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&key)?.der().to_vec();
        Ok(Self { key, csr })
    }

    /// Takes the certificate that came for this key, and the CAs that came with it, of which one
    /// must be the pinned one where there is one.
    pub fn certified(
        &self,
        certificate: &str,
        ca: &str,
        pinned: Option<Digest>,
    ) -> Result<Certified, BadCertificate> {
        let chain = certificates(certificate.as_bytes())?;
        let cas = certificates(ca.as_bytes())?;
        if let Some(pinned) = pinned
            && !cas.iter().any(|ca| Digest::of(ca) == pinned)
        {
            return Err(BadCertificate::OtherCa);
        }
        let key = Zeroizing::new(self.key.serialize_der());
        let mut pem = Zeroizing::new(String::with_capacity(PEM_BYTES_MAX));
        push_pem(&mut pem, "PRIVATE KEY", &key);
        for certificate in &chain {
            push_pem(&mut pem, "CERTIFICATE", certificate);
        }
        let mut ca_pem = String::new();
        for ca in &cas {
            push_pem(&mut ca_pem, "CERTIFICATE", ca);
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.to_vec()));
        let validity = Identity::check(chain, key, &cas, Digest::default())?.validity;
        Ok(Certified {
            pem,
            ca_pem,
            validity,
        })
    }
}

/// A key with its certificate, ready to be kept.
pub struct Certified {
    pem: Zeroizing<String>,
    ca_pem: String,
    /// When the certificate holds.
    pub validity: Validity,
}

impl Certified {
    /// Writes the identity beneath a root directory, 0600, for a user where one is given (uid,
    /// gid). The CAs come first: an identity without them would be of no use.
    pub fn store(&self, root: &Path, owner: Option<(u32, u32)>) -> Result<(), FileError> {
        make_dir(&layout::link_dir(root), 0o700)?;
        replace(&layout::ca_pem(root), self.ca_pem.as_bytes(), 0o600, owner)?;
        replace(
            &layout::identity_pem(root),
            self.pem.as_bytes(),
            0o600,
            owner,
        )
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadCertificate> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(BadCertificate::TooLarge);
    }
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, rustls_pki_types::pem::Error>>()?;
    match found.len() {
        1..=CERTIFICATES_MAX => Ok(found),
        count => Err(BadCertificate::Count(count)),
    }
}

/// Appends a PEM block (RFC 7468).
fn push_pem(out: &mut String, label: &str, der: &[u8]) {
    let body = Zeroizing::new(STANDARD.encode(der));
    *out += &format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        *out += line;
        *out += "\n";
        rest = tail;
    }
    *out += &format!("-----END {label}-----\n");
}
