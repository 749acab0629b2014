//! Reaching a control plane: names, addresses, TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::{InvalidDnsNameError, ServerName};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::ServerAddress;

/// How long the resolver may take.
const RESOLVE_MAX: Duration = Duration::from_secs(10);
/// How long all addresses of a server together may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long one address may take while there are others to try.
const ADDRESS_MAX: Duration = Duration::from_secs(4);
/// The most addresses of a server that are tried.
const ADDRESSES_MAX: usize = 8;
/// How long TLS may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Why a control plane was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The resolver does not know the name.
    #[error("cannot resolve {server}: {source}")]
    Resolve {
        /// Where to.
        server: ServerAddress,
        /// Why.
        source: io::Error,
    },
    /// No address answered.
    #[error("cannot connect to {server}: {source}")]
    Connect {
        /// Where to.
        server: ServerAddress,
        /// What the last address said.
        source: io::Error,
    },
    /// TLS did not come about: a wrong certificate on either side, or a peer that is none.
    #[error("no TLS with {server}: {source}")]
    Tls {
        /// Where to.
        server: ServerAddress,
        /// Why; the inner error is rustls's where it is about TLS.
        source: io::Error,
    },
    /// TLS took too long.
    #[error("no TLS with {server}: nothing came for {} s", HANDSHAKE_MAX.as_secs())]
    Slow {
        /// Where to.
        server: ServerAddress,
    },
    /// The name cannot be in a certificate.
    #[error("{name}: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
}

/// Connects to a control plane and speaks TLS with it, whose certificate must be for `name`.
pub async fn connect(
    server: &ServerAddress,
    name: &str,
    config: Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(name.to_owned()).map_err(|source| ConnectError::Name {
        name: name.to_owned(),
        source,
    })?;
    let tcp = dial(server).await?;
    match timeout(HANDSHAKE_MAX, TlsConnector::from(config).connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ConnectError::Tls {
            server: server.clone(),
            source,
        }),
        Err(_) => Err(ConnectError::Slow {
            server: server.clone(),
        }),
    }
}

/// The first of a server's addresses that accepts.
async fn dial(server: &ServerAddress) -> Result<TcpStream, ConnectError> {
    let late = || io::Error::from(io::ErrorKind::TimedOut);
    let found = timeout(RESOLVE_MAX, lookup_host((server.host(), server.port())))
        .await
        .unwrap_or_else(|_| Err(late()));
    let addresses: Vec<_> = match found {
        Ok(addresses) => addresses.take(ADDRESSES_MAX).collect(),
        Err(source) => {
            return Err(ConnectError::Resolve {
                server: server.clone(),
                source,
            });
        }
    };
    let end = Instant::now() + CONNECT_MAX;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (i, address) in addresses.iter().enumerate() {
        let others = i + 1 < addresses.len();
        let by = if others {
            end.min(Instant::now() + ADDRESS_MAX)
        } else {
            end
        };
        match timeout_at(by, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Heartbeats and orders are small: without this each would wait for the
                // acknowledgement of the one before it.
                stream
                    .set_nodelay(true)
                    .map_err(|source| ConnectError::Connect {
                        server: server.clone(),
                        source,
                    })?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = late(),
        }
    }
    Err(ConnectError::Connect {
        server: server.clone(),
        source: last,
    })
}
