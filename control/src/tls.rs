//! The only module that names rustls: TLS 1.3 for agents, operators and the command line.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rescind_protocol::name::Digest;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::ca::{Ca, ServerIdentity};

pub use tokio_rustls::client::TlsStream as ClientStream;
pub use tokio_rustls::server::TlsStream as ServerStream;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// rustls will not work with what it was given.
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    /// The CA's certificate cannot verify clients.
    #[error("TLS: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    /// Not PEM, or not of what was expected.
    #[error("TLS: {what}: {source}")]
    Pem {
        /// What was read.
        what: &'static str,
        /// What is wrong.
        source: rustls_pki_types::pem::Error,
    },
    /// Not a name that a certificate can be for.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    Name(String),
    /// The connection could not be made.
    #[error("cannot connect to {to}: {source}")]
    Connect {
        /// To where.
        to: String,
        /// How it failed.
        source: io::Error,
    },
}

/// The server's certificate, which can be replaced while it serves.
#[derive(Debug)]
pub struct ServerCertificate(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Begins with this one.
    pub fn new(identity: ServerIdentity) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(RwLock::new(certified(identity)?))))
    }
    /// Connections from now on get this one.
    pub fn replace(&self, identity: ServerIdentity) -> Result<(), TlsError> {
        let new = certified(identity)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

fn certified(identity: ServerIdentity) -> Result<Arc<CertifiedKey>, TlsError> {
    let provider = aws_lc_rs::default_provider();
    Ok(Arc::new(CertifiedKey::from_der(
        identity.chain,
        identity.key,
        &provider,
    )?))
}

/// Whether a client may come without a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// It may: to enrol.
    Welcome,
    /// It may not.
    Refused,
}

/// The accepting side. A certificate must be by our CA and in its time; whose it is, is looked up
/// by [`peer`].
pub fn acceptor(
    ca: &Ca,
    certificate: Arc<ServerCertificate>,
    anonymous: Anonymous,
) -> Result<TlsAcceptor, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = match anonymous {
        Anonymous::Welcome => verifier.allow_unauthenticated(),
        Anonymous::Refused => verifier,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier.build()?)
        .with_cert_resolver(certificate);
    // Sealed tickets instead of a session cache: resumption costs no memory here, also for a
    // reconnect storm. A resumed session shows the same client certificate, which is looked up
    // like any other, so that a host that was cut off stays out.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// By what a peer is known: SHA-256 of its certificate; `None` when it came without.
pub fn peer(stream: &ServerStream<TcpStream>) -> Option<Digest> {
    let (_, connection) = stream.get_ref();
    let leaf = connection.peer_certificates()?.first()?;
    Some(Digest::of(leaf))
}

/// What an operator's command line needs to reach a server.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The CA's certificates, PEM.
    pub ca: Vec<u8>,
    /// The operator's certificate, PEM.
    pub certificate: Vec<u8>,
    /// Its key, PEM.
    pub key: zeroize::Zeroizing<Vec<u8>>,
}

/// Connects as an operator.
pub async fn connect(
    host: &str,
    port: u16,
    identity: &ClientIdentity,
) -> Result<ClientStream<TcpStream>, TlsError> {
    let pem = |what| move |source| TlsError::Pem { what, source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&identity.ca) {
        roots.add(certificate.map_err(pem("the CA's certificate"))?)?;
    }
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&identity.certificate)
        .collect::<Result<_, _>>()
        .map_err(pem("the client certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(pem("the client key"))?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.into()))?;
    let connect = async {
        let tcp = TcpStream::connect((host, port)).await?;
        // Without it, every first request waits for a delayed acknowledgement.
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    };
    connect.await.map_err(|source| TlsError::Connect {
        to: format!("{host}:{port}"),
        source,
    })
}
