//! What one more idle agent costs the control plane: many TLS connections of hosts that are not
//! there.

use rcgen::{CertificateParams, KeyPair};
use rescind_protocol::PROTOCOL_VERSION;
use rescind_protocol::enrol::{EnrolRequest, Enrolled, JoinToken};
use rescind_protocol::evidence::ChainHead;
use rescind_protocol::frame::FrameBuffer;
use rescind_protocol::message::{Hello, Message, standing_digest};
use rescind_protocol::name::UnixMillis;
use rescind_protocol::sign::{PayloadType, SigningKey};
use rescind_tests::ControlPlane;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connected when memory is first looked at, and when it is looked at again.
const CONNECTED: [usize; 2] = [100, 500];

/// Nobody is turned away, and nobody is heard of for as long as this takes.
const SETTINGS: &str = "accept_per_s = 100000\nenrol_per_s = 100000\n\
                        heartbeat_s = 600\nidle_timeout_s = 3600\n";

type Failed = Box<dyn Error + Send + Sync>;

/// Memory of `rescind serve` with few and with many agents, and what the difference is for each.
pub fn cost() -> Value {
    let control = ControlPlane::start_with(SETTINGS);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let measured = runtime
        .map_err(Failed::from)
        .and_then(|runtime| runtime.block_on(connect_all(&control)));
    match measured {
        Ok(report) => report,
        Err(error) => panic!("agents at the control plane: {error}"),
    }
}

async fn connect_all(control: &ControlPlane) -> Result<Value, Failed> {
    let uses = CONNECTED[1].to_string();
    let token = control
        .rescind(&["token", "new", "--uses", &uses])
        .ok()
        .text();
    let token: JoinToken = token.parse()?;
    let ca = CertificateDer::from_pem_file(control.data_dir().join("ca.pem"))?;
    let mut agents = Vec::new();
    for nth in 0..CONNECTED[1] {
        agents.push(Agent::enrol(control, &token, &ca, nth).await?);
    }
    // Enrolling has left its own traces in memory; all of them are there before the first look.
    let mut streams = Vec::new();
    let mut looks = Vec::new();
    for agent in &agents {
        streams.push(agent.connect(control, &ca).await?);
        if CONNECTED.contains(&streams.len()) {
            tokio::time::sleep(Duration::from_secs(2)).await;
            looks.push(memory(control)?);
        }
    }
    let per_agent = |at: fn(&(u64, u64)) -> u64| {
        let grown = at(&looks[1]).saturating_sub(at(&looks[0])) * 1024;
        grown / (CONNECTED[1] - CONNECTED[0]) as u64
    };
    Ok(json!({
        "agents": CONNECTED,
        "rss_kb": [looks[0].0, looks[1].0],
        "pss_kb": [looks[0].1, looks[1].1],
        "rss_bytes_per_agent": per_agent(|look| look.0),
        "pss_bytes_per_agent": per_agent(|look| look.1),
    }))
}

/// RSS and PSS in kilobytes (proc_pid_smaps(5)).
fn memory(control: &ControlPlane) -> Result<(u64, u64), Failed> {
    let pid = control.pid().ok_or("the control plane does not run")?;
    let rollup = std::fs::read_to_string(
        Path::new("/proc")
            .join(pid.to_string())
            .join("smaps_rollup"),
    )?;
    let field = |name: &str| {
        let mut lines = rollup.lines();
        let line = lines.find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    field("Rss:")
        .zip(field("Pss:"))
        .ok_or_else(|| "no Rss or Pss in smaps_rollup".into())
}

/// A host that is nothing but its keys.
struct Agent {
    link_key: KeyPair,
    identity: Enrolled,
}

impl Agent {
    async fn enrol(
        control: &ControlPlane,
        token: &JoinToken,
        ca: &CertificateDer<'static>,
        nth: usize,
    ) -> Result<Self, Failed> {
        let (evidence_key, _) = SigningKey::generate();
        let link_key = KeyPair::generate()?;
        let csr = CertificateParams::default()
            .serialize_request(&link_key)?
            .der()
            .to_vec();
        let request = EnrolRequest {
            secret: token.secret.clone(),
            name: format!("idle-{nth}").parse()?,
            possession: evidence_key.sign(PayloadType::Possession, &csr),
            csr,
            evidence_key: evidence_key.verifying_key(),
            agent_version: "0.1.0".into(),
            os: "none".into(),
            formerly: None,
        };
        let config = trusting(ca)?.with_no_client_auth();
        let mut stream = dial(control, config).await?;
        send(&mut stream, request).await?;
        match receive(&mut stream).await? {
            Message::Enrolled(identity) => Ok(Self { link_key, identity }),
            other => Err(format!("enrolment was answered by {other:?}").into()),
        }
    }

    /// Connects and says hello, as a host on which nothing has happened yet.
    async fn connect(
        &self,
        control: &ControlPlane,
        ca: &CertificateDer<'static>,
    ) -> Result<TlsStream<TcpStream>, Failed> {
        let chain = vec![CertificateDer::from_pem_slice(
            self.identity.certificate.as_bytes(),
        )?];
        let key = PrivateKeyDer::from_pem_slice(self.link_key.serialize_pem().as_bytes())?;
        let mut stream = dial(control, trusting(ca)?.with_client_auth_cert(chain, key)?).await?;
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            agent_version: "0.1.0".into(),
            host: self.identity.host,
            chain: ChainHead::default(),
            order_cursor: 0,
            standing: standing_digest(std::iter::empty()),
            boot_id: self.identity.host.to_string(),
            os: "none".into(),
            now: UnixMillis(1),
        };
        send(&mut stream, hello).await?;
        match receive(&mut stream).await? {
            Message::Welcome(_) => Ok(stream),
            other => Err(format!("a hello was answered by {other:?}").into()),
        }
    }
}

type Unauthenticated = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn trusting(ca: &CertificateDer<'static>) -> Result<Unauthenticated, Failed> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(config.with_root_certificates(roots))
}

async fn dial(
    control: &ControlPlane,
    config: ClientConfig,
) -> Result<TlsStream<TcpStream>, Failed> {
    let tcp = TcpStream::connect(("127.0.0.1", control.port())).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(control.name())?;
    Ok(TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?)
}

async fn send(
    stream: &mut TlsStream<TcpStream>,
    message: impl Into<Message>,
) -> Result<(), Failed> {
    stream
        .write_all(&message.into().to_frame().to_bytes())
        .await?;
    stream.flush().await?;
    Ok(())
}

/// The next message that is not a heartbeat.
async fn receive(stream: &mut TlsStream<TcpStream>) -> Result<Message, Failed> {
    let mut buffer = FrameBuffer::default();
    let mut bytes = [0; 4096];
    loop {
        while let Some(frame) = buffer.next_frame()? {
            match Message::from_frame(&frame)? {
                None | Some(Message::Heartbeat(_)) => {}
                Some(message) => return Ok(message),
            }
        }
        match stream.read(&mut bytes).await? {
            0 => return Err("the control plane closed the connection".into()),
            count => buffer.extend(&bytes[..count]),
        }
    }
}
