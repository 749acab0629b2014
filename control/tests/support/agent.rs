//! An agent without a host: it keeps a real chain, speaks the real protocol over real TLS, and
//! answers as the test tells it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rescind_protocol::cbor;
use rescind_protocol::enrol::{EnrolRequest, Enrolled, JoinToken};
use rescind_protocol::evidence::{
    ChainHead, Channel, Event, RecordBody, SealedRecord, Step, StepKind,
};
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::message::{
    Disposition, Evidence, Hello, Message, OrderAck, Welcome, standing_digest,
};
use rescind_protocol::name::{Digest, HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Order, SignedOrder};
use rescind_protocol::outcome::{Outcome, Verdict};
use rescind_protocol::sign::{PayloadType, SigningKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a host keeps.
pub struct FakeAgent {
    pub key: SigningKey,
    pub link_key: KeyPair,
    pub identity: Enrolled,
    pub boot_id: String,
    /// The chain, whole.
    pub chain: Vec<SealedRecord>,
    pub order_cursor: u64,
    pub standing: Vec<OrderId>,
    /// Every order that came, in the order in which it came.
    pub received: Vec<Order>,
}

/// A connection.
pub struct Connection {
    pub stream: TlsStream<TcpStream>,
    buffer: FrameBuffer,
    /// What came while something else was waited for.
    stash: VecDeque<Message>,
}

impl FakeAgent {
    /// Makes keys, enrols, and begins a chain.
    pub async fn enrol(server: SocketAddr, token: &str, name: &str) -> Result<Self, String> {
        let (key, _) = SigningKey::generate();
        Self::enrol_with(server, token, name, key, None).await
    }

    pub async fn enrol_with(
        server: SocketAddr,
        token: &str,
        name: &str,
        key: SigningKey,
        formerly: Option<HostId>,
    ) -> Result<Self, String> {
        let token: JoinToken = token.parse().unwrap();
        let link_key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&link_key)
            .unwrap()
            .der()
            .to_vec();
        let request = EnrolRequest {
            secret: token.secret.clone(),
            name: name.parse().unwrap(),
            possession: key.sign(PayloadType::Possession, &csr),
            csr,
            evidence_key: key.verifying_key(),
            agent_version: "0.1.0-test".into(),
            os: "Testian 1".into(),
            formerly,
        };
        let mut connection = Connection::open(server, pinning(token.ca)).await?;
        connection.send(request).await;
        let identity = match connection.next().await {
            Some(Message::Enrolled(identity)) => identity,
            Some(Message::Refused(refused)) => return Err(refused.why),
            other => panic!("{other:?}"),
        };
        let mut agent = Self {
            key,
            link_key,
            identity,
            boot_id: format!("boot-{name}"),
            chain: Vec::new(),
            order_cursor: 0,
            standing: Vec::new(),
            received: Vec::new(),
        };
        agent.record(&Event::Genesis {
            evidence_key: agent.key.verifying_key(),
            agent_version: "0.1.0-test".into(),
        });
        agent.record(&Event::Enrolled {
            host: agent.identity.host,
            order_keys: agent.identity.order_keys.clone(),
        });
        Ok(agent)
    }

    pub fn head(&self) -> ChainHead {
        head_of(&self.chain)
    }

    /// Adds an event to the chain.
    pub fn record(&mut self, event: &Event) -> SealedRecord {
        let head = self.head();
        let body = RecordBody {
            index: head.next,
            prev: head.prev,
            at: UnixMillis(1_000_000 + head.next),
            boot_us: 5_000_000 + head.next * 100,
            private: None,
            event: cbor::to_vec(event),
        };
        let record = SealedRecord::seal(&body, &self.key);
        self.chain.push(record.clone());
        record
    }

    pub fn hello(&self) -> Hello {
        Hello {
            protocol: 1,
            agent_version: "0.1.0-test".into(),
            host: self.identity.host,
            chain: self.head(),
            order_cursor: self.order_cursor,
            standing: standing_digest(self.standing.iter().copied()),
            boot_id: self.boot_id.clone(),
            os: "Testian 1".into(),
            now: UnixMillis(1),
        }
    }

    /// TLS with the host's certificate.
    pub async fn dial(&self, server: SocketAddr) -> Result<Connection, String> {
        Connection::open(server, self.client_config()).await
    }

    pub fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.identity.ca.as_bytes()).unwrap())
            .unwrap();
        let chain =
            vec![CertificateDer::from_pem_slice(self.identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.link_key.serialize_pem().as_bytes()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap()
    }

    /// Dials, says hello, and sends what the control plane's copy of the chain lacks.
    pub async fn connect(&mut self, server: SocketAddr) -> Connection {
        let mut connection = self.dial(server).await.unwrap();
        connection.send(self.hello()).await;
        let welcome = connection.welcome().await;
        let rest = self.chain[welcome.chain.next as usize..].to_vec();
        if !rest.is_empty() {
            let next = self.head().next;
            connection.send(Evidence { records: rest }).await;
            connection.until_evidence_ack(next).await;
        }
        connection
    }

    /// Takes an order as a host does: once. Gives back the answer to send.
    pub fn accept(&mut self, signed: &[u8]) -> (Order, OrderAck) {
        let order = SignedOrder::from_bytes(signed).unwrap();
        order.verify(&self.identity.order_keys).unwrap();
        let order = order.order().clone();
        let known = self.received.iter().any(|seen| seen.id == order.id);
        self.received.push(order.clone());
        self.order_cursor = self.order_cursor.max(order.seq);
        let disposition = if known {
            Disposition::Duplicate
        } else {
            self.record(&Event::OrderAccepted {
                signed: signed.to_vec(),
                order: order.id,
                signers: vec![self.identity.order_keys[0].id()],
                via: Channel::Link,
            });
            if order.action.is_standing() {
                self.standing.push(order.id);
            }
            Disposition::Accepted
        };
        let ack = OrderAck {
            order: Some(order.id),
            digest: Digest::of(signed),
            disposition,
            order_cursor: self.order_cursor,
        };
        (order, ack)
    }

    /// Writes the records of an order that is carried out and ends in `verdict`.
    pub fn carry_out(&mut self, order: OrderId, verdict: Verdict) {
        let step = |kind, target: &str| Step {
            kind,
            target: target.into(),
            detail: "-".into(),
        };
        let steps = vec![
            step(StepKind::LockPassword, "/etc/shadow"),
            step(StepKind::EndSessions, "alice"),
        ];
        self.record(&Event::Planned { order, steps });
        for step in 0..2 {
            self.record(&Event::StepBegun { order, step });
            self.record(&Event::StepEnded {
                order,
                step,
                changed: true,
                error: None,
            });
        }
        self.record(&Event::Concluded {
            outcome: Outcome {
                order,
                verdict,
                guard: None,
                reason: "every path is closed".into(),
                paths: vec![],
                paths_left_out: 0,
                gaps: vec![],
                took_us: 4200,
            },
        });
        self.record(&Event::Confirmed {
            order,
            answers: vec![],
        });
    }

    /// Sends the records after `from`, and waits until they are acknowledged.
    pub async fn send_evidence(&mut self, connection: &mut Connection, from: usize) {
        let next = self.head().next;
        connection
            .send(Evidence {
                records: self.chain[from..].to_vec(),
            })
            .await;
        connection.until_evidence_ack(next).await;
    }

    /// Waits for the next order, takes it, acknowledges it, carries it out and reports.
    pub async fn serve_one(&mut self, connection: &mut Connection, verdict: Verdict) -> Order {
        let signed = connection.order().await;
        let from = self.chain.len();
        let (order, ack) = self.accept(&signed);
        connection.send(ack).await;
        self.carry_out(order.id, verdict);
        self.send_evidence(connection, from).await;
        order
    }
}

pub fn head_of(chain: &[SealedRecord]) -> ChainHead {
    ChainHead {
        next: chain.len() as u64,
        prev: chain.last().map(SealedRecord::digest).unwrap_or_default(),
    }
}

impl Connection {
    pub async fn open(server: SocketAddr, config: ClientConfig) -> Result<Self, String> {
        let tcp = TcpStream::connect(server)
            .await
            .map_err(|error| error.to_string())?;
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stream,
            buffer: FrameBuffer::default(),
            stash: VecDeque::new(),
        })
    }

    pub async fn send(&mut self, message: impl Into<Message>) {
        self.send_raw(&message.into().to_frame().to_bytes()).await;
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends to a server that may be gone; whether it was sent.
    pub async fn try_send(&mut self, message: impl Into<Message>) -> bool {
        let bytes = message.into().to_frame().to_bytes();
        self.stream.write_all(&bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next frame; `None` when the connection has ended.
    pub async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.buffer.next_frame().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut bytes))
                .await
                .expect("nothing came for 20 s");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend(&bytes[..count]),
            }
        }
    }

    /// The next message that is not a heartbeat; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Message> {
        match self.stash.pop_front() {
            Some(message) => Some(message),
            None => self.next_on_the_wire().await,
        }
    }

    async fn next_on_the_wire(&mut self) -> Option<Message> {
        loop {
            let frame = self.next_frame().await?;
            match Message::from_frame(&frame).unwrap().unwrap() {
                Message::Heartbeat(_) => (),
                message => return Some(message),
            }
        }
    }

    /// Whether nothing comes for a while.
    pub async fn is_quiet(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next()).await.is_err()
    }

    pub async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Some(Message::Welcome(welcome)) => welcome,
            other => panic!("want a welcome: {other:?}"),
        }
    }

    pub async fn order(&mut self) -> Vec<u8> {
        match self.next().await {
            Some(Message::Order(order)) => order.signed,
            other => panic!("want an order: {other:?}"),
        }
    }

    pub async fn refused(&mut self) -> String {
        match self.next().await {
            Some(Message::Refused(refused)) => refused.why,
            other => panic!("want a refusal: {other:?}"),
        }
    }

    async fn until_evidence_ack(&mut self, next: u64) {
        loop {
            match self.next_on_the_wire().await {
                Some(Message::EvidenceAck(ack)) if ack.next == next => return,
                Some(Message::EvidenceAck(_)) => (),
                Some(message @ (Message::Order(_) | Message::StandingQuery(_))) => {
                    self.stash.push_back(message);
                }
                other => panic!("want an acknowledgement of {next}: {other:?}"),
            }
        }
    }
}

/// A client that trusts a server whose chain holds a certificate of this digest, as an agent does
/// when it enrols.
pub fn pinning(ca: Digest) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(ca)))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Pinned(Digest);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = rest
            .iter()
            .find(|certificate| Digest::of(certificate) == self.0)
            .ok_or(rustls::CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        rustls::client::WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(default_provider()),
        )
        .build()
        .unwrap()
        .verify_server_cert(leaf, rest, name, ocsp, now)
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
