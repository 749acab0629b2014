//! Speaking to the server: HTTP over its Unix socket, or over TLS with a client certificate.

use std::env;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use super::{Failure, Global};
use crate::tls::{self, ClientIdentity};

const DEFAULT_SOCKET: &str = "/run/rescind/operator.sock";
const DEFAULT_PORT: u16 = 7444;
/// The largest answer that is read at once.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest line of a stream.
const LINE_BYTES_MAX: usize = 4 << 20;

/// How to reach the server. Every request has its own connection.
pub struct Client {
    target: Target,
}

enum Target {
    Socket(PathBuf),
    Tls {
        host: String,
        port: u16,
        identity: Box<ClientIdentity>,
    },
}

impl Client {
    /// As the arguments, then the environment say.
    pub fn new(global: Global) -> Result<Self, Failure> {
        let path = |given: Option<PathBuf>, name: &str| {
            given.or_else(|| env::var_os(name).map(PathBuf::from))
        };
        let socket = global.socket.clone();
        let server = global.server.or_else(|| env::var("RESCIND_SERVER").ok());
        let Some(server) = server.filter(|_| socket.is_none()) else {
            let socket = path(socket, "RESCIND_SOCKET").unwrap_or_else(|| DEFAULT_SOCKET.into());
            return Ok(Self {
                target: Target::Socket(socket),
            });
        };
        let uri: Uri = server
            .parse()
            .map_err(|_| Failure::Usage(format!("--server {server}: not a URL")))?;
        let (Some("https"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(Failure::Usage(format!(
                "--server {server}: want https://NAME[:PORT]"
            )));
        };
        let need = |given, flag: &str, name: &str| {
            path(given, name).ok_or_else(|| {
                Failure::Usage(format!(
                    "--server needs {flag} FILE, or {name} in the environment"
                ))
            })
        };
        let identity = ClientIdentity {
            certificate: read(&need(global.cert, "--cert", "RESCIND_CERT")?)?,
            key: read(&need(global.key, "--key", "RESCIND_KEY")?)?.into(),
            ca: read(&need(global.ca, "--ca", "RESCIND_CA")?)?,
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(DEFAULT_PORT);
        Ok(Self {
            target: Target::Tls {
                host,
                port,
                identity: Box::new(identity),
            },
        })
    }

    /// Gets a value.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(self.send(Method::GET, path, None).await?).await
    }

    /// Sends a value and gets one.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::Failed(error.to_string()))?;
        parse(self.send(Method::POST, path, Some(body)).await?).await
    }

    /// Removes something.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        parse(self.send(Method::DELETE, path, None).await?).await
    }

    /// Gets bytes.
    pub async fn bytes(&self, path: &str) -> Result<Bytes, Failure> {
        collect(self.send(Method::GET, path, None).await?).await
    }

    /// Gets lines as they come.
    pub async fn lines(&self, path: &str) -> Result<Lines, Failure> {
        let body = self.send(Method::GET, path, None).await?.into_body();
        Ok(Lines {
            body,
            held: Vec::new(),
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "rescind")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| Failure::Failed(format!("{path}: {error}")))?;
        let response = match &self.target {
            Target::Socket(path) => {
                let stream = UnixStream::connect(path).await.map_err(|error| {
                    let hint =
                        "is `rescind serve` running here, and are you root? elsewhere use --server";
                    Failure::Failed(format!("{}: {error}; {hint}", path.display()))
                })?;
                exchange(stream, request).await
            }
            Target::Tls {
                host,
                port,
                identity,
            } => {
                let stream = tls::connect(host, *port, identity)
                    .await
                    .map_err(|error| Failure::Failed(error.to_string()))?;
                exchange(stream, request).await
            }
        };
        let response = response.map_err(|error| {
            let hint =
                "a server on the network closes connections of certificates it does not know";
            Failure::Failed(format!("the server did not answer: {error} ({hint})"))
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        #[derive(serde::Deserialize)]
        struct Refusal {
            error: String,
        }
        let body = collect(response).await?;
        let words = match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) => refusal.error,
            Err(_) => format!("{status}: {}", String::from_utf8_lossy(&body)),
        };
        Err(match status {
            StatusCode::GATEWAY_TIMEOUT => Failure::NoAnswer(words),
            _ => Failure::Failed(words),
        })
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Its error, if any, is the request's error too.
    tokio::spawn(async move { connection.await.ok() });
    sender.send_request(request).await
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    body.map(|body| body.to_bytes())
        .map_err(|error| Failure::Failed(format!("the server's answer: {error}")))
}

async fn parse<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, Failure> {
    let body = collect(response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Failed(format!("the server's answer cannot be read: {error}")))
}

/// Lines of an answer that goes on.
pub struct Lines {
    body: Incoming,
    held: Vec<u8>,
}

impl Lines {
    /// The next line that is not empty, without its end; `None` when there are no more.
    pub async fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if line.is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.held.len() > LINE_BYTES_MAX {
                return Err(Failure::Failed(
                    "the server sends a line without an end".into(),
                ));
            }
            match self.body.frame().await {
                None if self.held.is_empty() => return Ok(None),
                None => return Err(Failure::Failed("the server's answer was cut off".into())),
                Some(Err(error)) => {
                    return Err(Failure::Failed(format!("the server's answer: {error}")));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

/// A text as one segment of a path, RFC 3986 section 2.1.
pub fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))
}
