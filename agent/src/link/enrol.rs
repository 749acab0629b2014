//! Joining a fleet with a one-time token.
//!
//! The token carries the digest of the CA that may see its secret. Everything that could go wrong
//! on this host is tried before the secret is sent; what comes back is checked before anything is
//! written; `trust.toml` is written last, so that a host is enrolled or it is not.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rescind_protocol::cbor::Malformed;
use rescind_protocol::enrol::{EnrolRequest, Enrolled, JoinToken};
use rescind_protocol::message::Message;
use rescind_protocol::name::{HostId, HostName, UnixMillis};
use rescind_protocol::sign::{PayloadType, SigningKey};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use zeroize::Zeroize;

use super::connect::{ConnectError, connect};
use super::frames::{FrameError, FrameReader};
use super::identity::{BadCertificate, Certified, NewKey};
use super::tls;
use super::verify::NotThePinnedCa;
use super::words::printable;
use crate::config::{
    FileError, LinkUser, LinkUserError, ServerAddress, Trust, TrustError, layout, make_dir, os_name,
};
use crate::sys::ids::effective_uid;

/// How long the control plane may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The most order keys a control plane may name.
const ORDER_KEYS_MAX: usize = 16;

/// What an enrolment needs.
#[derive(Debug)]
pub struct Enrolment {
    /// Where the control plane is; the first that answers is asked, all are remembered.
    pub servers: Vec<ServerAddress>,
    /// The one-time token.
    pub token: JoinToken,
    /// The host's root directory.
    pub root: PathBuf,
    /// What the host calls itself.
    pub name: HostName,
    /// The key that signs the host's evidence, which the control plane is to know it by.
    pub evidence_key: SigningKey,
}

/// What an enrolment came to.
#[derive(Debug)]
pub struct Summary {
    /// What the control plane calls this host from now on.
    pub host: HostId,
    /// What the host was called before, if it was enrolled already.
    pub formerly: Option<HostId>,
    /// Why the trust that was there could not be read: then the host joins as a new one.
    pub unread: Option<TrustError>,
    /// The server that answered.
    pub server: ServerAddress,
    /// When the link's certificate ends; it is renewed long before.
    pub not_after: UnixMillis,
}

/// Why a host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The link has no user of its own on this host.
    #[error(transparent)]
    User(#[from] LinkUserError),
    /// A directory or a file could not be made; the token was not sent.
    #[error(transparent)]
    File(#[from] FileError),
    /// The link's key could not be made; the token was not sent.
    #[error("cannot make the link's key: {0}")]
    Key(#[from] rcgen::Error),
    /// No event loop.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// Nobody was reached; the token was not sent.
    #[error("{0}; the token was not sent and is still good")]
    Unreachable(#[source] ConnectError),
    /// The peer is not the control plane that made the token; it was not sent.
    #[error(
        "{server} is not the control plane that made this token: {NotThePinnedCa}. Look at the address and the token; if both are right, somebody is in between. The token was not sent"
    )]
    WrongCa {
        /// Who answered.
        server: ServerAddress,
    },
    /// The control plane said no.
    #[error("the control plane refused: {0}")]
    Refused(String),
    /// The control plane is busy.
    #[error("the control plane is busy ({why}): try again in {} s with the same token", wait.as_secs().max(1))]
    Busy {
        /// When to try again.
        wait: Duration,
        /// Why.
        why: String,
    },
    /// The token was sent, and no answer came.
    #[error(
        "the token was sent but the answer was lost ({why}). It may be spent: make another with `rescind token new` and enrol again. Nothing was changed on this host"
    )]
    AnswerLost {
        /// How.
        why: String,
    },
    /// The answer makes no sense; nothing was changed.
    #[error(
        "the control plane's answer cannot be used: {0}. The token is spent; nothing was changed on this host"
    )]
    BadAnswer(BadAnswer),
    /// The answer could not be kept.
    #[error(
        "the control plane enrolled this host, but that could not be kept: {0}. Put that right, make another token with `rescind token new` and enrol again"
    )]
    Unkept(TrustError),
}

/// Why an answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// Not a message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The certificate or the CAs do not fit.
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    /// No order keys, or too many.
    #[error("it names {0} order keys, want 1 to {ORDER_KEYS_MAX}")]
    OrderKeys(usize),
    /// The name in the control plane's certificate is none.
    #[error("its server name is not the name of a host")]
    ServerName,
}

/// Enrols this host.
///
/// Safe to repeat, also after it was killed half-way: a host that was not enrolled before is not
/// until the last step.
pub fn enrol(enrolment: Enrolment) -> Result<Summary, EnrolError> {
    let owner = if effective_uid() == 0 {
        let user = LinkUser::look_up(&enrolment.root)?;
        Some((user.uid, user.gid))
    } else {
        None
    };
    prepare(&enrolment, owner)?;
    let (formerly, unread) = match Trust::load(&enrolment.root) {
        Ok(trust) => (trust.map(|trust| trust.host_id), None),
        // To enrol again is what cures a broken file.
        Err(error) => (None, Some(error)),
    };
    let evidence_key = &enrolment.evidence_key;
    let link_key = NewKey::generate()?;
    let request = EnrolRequest {
        secret: enrolment.token.secret.clone(),
        name: enrolment.name.clone(),
        csr: link_key.csr.clone(),
        evidence_key: evidence_key.verifying_key(),
        possession: evidence_key.sign(PayloadType::Possession, &link_key.csr),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: os_name(&enrolment.root),
        formerly,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(EnrolError::Runtime)?;
    let (server, answer) = runtime.block_on(ask(&enrolment, request))?;
    let joined = read(answer, &link_key, &enrolment).map_err(EnrolError::BadAnswer)?;
    joined
        .certified
        .store(&enrolment.root, owner)
        .map_err(|error| EnrolError::Unkept(error.into()))?;
    joined
        .trust
        .store(&enrolment.root)
        .map_err(EnrolError::Unkept)?;
    Ok(Summary {
        host: joined.trust.host_id,
        formerly,
        unread,
        server,
        not_after: joined.certified.validity.not_after,
    })
}

/// Makes the directories, and finds out that they can be written to before the token is spent.
fn prepare(enrolment: &Enrolment, owner: Option<(u32, u32)>) -> Result<(), FileError> {
    let root = &enrolment.root;
    make_dir(&layout::etc_dir(root), 0o755)?;
    let link_dir = layout::link_dir(root);
    make_dir(&link_dir, 0o700)?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::lchown(&link_dir, Some(uid), Some(gid)).map_err(|source| {
            FileError::Io {
                doing: "give away",
                path: link_dir.clone(),
                source,
            }
        })?;
    }
    for dir in [layout::etc_dir(root), link_dir] {
        let probe = dir.join(".enrol");
        crate::config::replace(&probe, b"", 0o600, None)?;
        std::fs::remove_file(&probe).map_err(|source| FileError::Io {
            doing: "remove",
            path: probe,
            source,
        })?;
    }
    Ok(())
}

/// Asks the first server that can be reached. From the moment the secret is sent there is no
/// second attempt.
async fn ask(
    enrolment: &Enrolment,
    request: EnrolRequest,
) -> Result<(ServerAddress, Enrolled), EnrolError> {
    let config = tls::pinned_ca(enrolment.token.ca)
        .map_err(|error| EnrolError::Runtime(io::Error::other(error)))?;
    let mut unreachable = None;
    for server in &enrolment.servers {
        let mut stream = match connect(server, server.host(), config.clone()).await {
            Ok(stream) => stream,
            Err(error) if is_wrong_ca(&error) => {
                return Err(EnrolError::WrongCa {
                    server: server.clone(),
                });
            }
            Err(error) => {
                unreachable = Some(error);
                continue;
            }
        };
        let lost = |why: &dyn std::fmt::Display| EnrolError::AnswerLost {
            why: printable(&why.to_string()),
        };
        let mut frame = Message::from(request).to_frame();
        let mut bytes = frame.to_bytes();
        let sent = timeout(ANSWER_MAX, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        })
        .await;
        bytes.zeroize();
        frame.body.zeroize();
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(lost(&error)),
            Err(error) => return Err(lost(&error)),
        }
        let mut frames = FrameReader::new(&mut stream);
        let answer = match timeout(ANSWER_MAX, answer(&mut frames)).await {
            Ok(answer) => answer?,
            Err(error) => return Err(lost(&error)),
        };
        // The answer is here; how the connection ends does not matter.
        let _ = timeout(Duration::from_secs(1), stream.shutdown()).await;
        return Ok((server.clone(), answer));
    }
    Err(match unreachable {
        Some(error) => EnrolError::Unreachable(error),
        None => EnrolError::Runtime(io::Error::other("no server was named")),
    })
}

/// The first message that is an answer.
async fn answer<R: tokio::io::AsyncRead + Unpin>(
    frames: &mut FrameReader<R>,
) -> Result<Enrolled, EnrolError> {
    let lost = |why: String| EnrolError::AnswerLost {
        why: printable(&why),
    };
    loop {
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(lost("the connection was closed".into())),
            Err(FrameError::Bad(error)) => return Err(lost(error.to_string())),
            Err(error) => return Err(lost(error.to_string())),
        };
        match Message::from_parts(frame.kind(), frame.body()) {
            Ok(Some(Message::Enrolled(enrolled))) => return Ok(enrolled),
            Ok(Some(Message::Refused(refused))) => {
                return Err(EnrolError::Refused(printable(&refused.why)));
            }
            Ok(Some(Message::RetryAfter(after))) => {
                return Err(EnrolError::Busy {
                    wait: Duration::from_millis(after.ms),
                    why: printable(&after.why),
                });
            }
            // Heartbeats, and what a later version may add.
            Ok(_) => {}
            Err(error) => return Err(EnrolError::BadAnswer(error.into())),
        }
    }
}

struct Joined {
    certified: Certified,
    trust: Trust,
}

fn read(answer: Enrolled, key: &NewKey, enrolment: &Enrolment) -> Result<Joined, BadAnswer> {
    if !(1..=ORDER_KEYS_MAX).contains(&answer.order_keys.len()) {
        return Err(BadAnswer::OrderKeys(answer.order_keys.len()));
    }
    let server_name: HostName = answer
        .server_name
        .parse()
        .map_err(|_| BadAnswer::ServerName)?;
    rustls_pki_types::ServerName::try_from(server_name.as_str())
        .map_err(|_| BadAnswer::ServerName)?;
    let certified = key.certified(&answer.certificate, &answer.ca, Some(enrolment.token.ca))?;
    Ok(Joined {
        certified,
        trust: Trust {
            host_id: answer.host,
            servers: enrolment.servers.clone(),
            server_name,
            order_keys: answer.order_keys,
            ca_sha256: enrolment.token.ca,
            enrolled_at_ms: tls::now(),
        },
    })
}

fn is_wrong_ca(error: &ConnectError) -> bool {
    let ConnectError::Tls { source, .. } = error else {
        return false;
    };
    let tls = source
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    matches!(
        tls,
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::Other(_)
                | rustls::CertificateError::UnknownIssuer
                | rustls::CertificateError::BadSignature
        ))
    )
}
