use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use rescind_protocol::enrol::{EnrolRequest, Enrolled};
use rescind_protocol::frame::{Frame, FrameBuffer};
use rescind_protocol::message::Message;
use rescind_protocol::name::{Digest, HostId, UnixMillis};
use rescind_protocol::sign::{PayloadType, VerifyingKey};
use rustls::crypto::{aws_lc_rs::default_provider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

/// How long anything that should come is waited for.
pub const SOON: Duration = Duration::from_secs(10);
/// The name in the control plane's certificate.
pub const SERVER_NAME: &str = "rescind.test";

pub fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// A year's first instant, in seconds since 1970.
pub fn year(year: i32) -> u64 {
    let date = date_time_ymd(year, 1, 1);
    date.unix_timestamp() as u64
}

/// From an hour ago until tomorrow.
pub fn today() -> (u64, u64) {
    (now_s() - 3600, now_s() + 86_400)
}

pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// The public key that is found in a certificate signing request for a P-256 key.
pub struct P256Point(Vec<u8>);

impl P256Point {
    pub fn of_csr(csr: &[u8]) -> Self {
        // BIT STRING of 66 bytes, no unused bits, uncompressed point.
        let head = [0x03, 0x42, 0x00, 0x04];
        let at = csr.windows(4).position(|four| four == head).unwrap() + 3;
        Self(csr[at..at + 65].to_vec())
    }
}

impl PublicKeyData for P256Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Rescind CA");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.0.der())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn params(&self, (from, to): (u64, u64), usage: ExtendedKeyUsagePurpose) -> CertificateParams {
        let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from);
        params.not_after = epoch + Duration::from_secs(to);
        params.extended_key_usages = vec![usage];
        params
    }

    /// A certificate for a host's link.
    pub fn client(&self, key: &impl PublicKeyData, valid: (u64, u64)) -> String {
        self.params(valid, ExtendedKeyUsagePurpose::ClientAuth)
            .signed_by(key, &self.0)
            .unwrap()
            .pem()
    }

    /// A server that shows a certificate by this CA.
    pub fn server(&self, valid: (u64, u64)) -> Control {
        self.server_showing(valid, self)
    }

    /// A server that shows a certificate by this CA, and beside it the certificate of `shown`.
    pub fn server_showing(&self, valid: (u64, u64), shown: &Ca) -> Control {
        let key = KeyPair::generate().unwrap();
        let leaf = self
            .params(valid, ExtendedKeyUsagePurpose::ServerAuth)
            .signed_by(&key, &self.0)
            .unwrap();
        let chain = vec![leaf.der().clone(), shown.0.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let welcome = Arc::new(AtomicBool::new(true));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyClient(welcome.clone())))
            .with_single_cert(chain, key)
            .unwrap();
        Control {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            config: Arc::new(config),
            welcome,
        }
    }
}

/// The control plane knows hosts by their certificates' digests; here it takes any, or none.
#[derive(Debug)]
struct AnyClient(Arc<AtomicBool>);

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.0.load(Ordering::Relaxed) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::Expired.into())
        }
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        unreachable!("TLS 1.3 only")
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        let known = default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, &known)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub struct Control {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    /// Whether the certificates of hosts are accepted.
    pub welcome: Arc<AtomicBool>,
}

impl Control {
    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The same server with another certificate on the same port.
    pub fn turn_into(&mut self, other: Control) {
        self.config = other.config;
    }

    /// The next TCP connection.
    pub fn accept_tcp(&self) -> TcpStream {
        self.accept_tcp_within(SOON).expect("nobody connected")
    }

    pub fn accept_tcp_within(&self, wait: Duration) -> Option<TcpStream> {
        self.listener.set_nonblocking(true).unwrap();
        let by = Instant::now() + wait;
        while Instant::now() < by {
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                return Some(stream);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// The next connection, with TLS, or why that did not come about.
    pub fn try_accept(&self) -> std::io::Result<Line> {
        let mut tcp = self.accept_tcp();
        let mut tls = ServerConnection::new(self.config.clone()).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Line {
            tls: StreamOwned::new(tls, tcp),
            frames: FrameBuffer::default(),
            polite: false,
        })
    }

    pub fn accept(&self) -> Line {
        self.try_accept().unwrap()
    }
}

/// One connection of a host, seen from the control plane.
pub struct Line {
    tls: StreamOwned<ServerConnection, TcpStream>,
    frames: FrameBuffer,
    polite: bool,
}

impl Line {
    pub fn send(&mut self, message: impl Into<Message>) {
        self.send_bytes(&message.into().to_frame().to_bytes())
            .unwrap();
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.tls.write_all(bytes)?;
        self.tls.flush()
    }

    /// The next frame, `None` when the host has closed the connection.
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                return Some(frame);
            }
            let mut bytes = [0; 16 * 1024];
            match self.tls.read(&mut bytes) {
                Ok(0) => {
                    self.polite = true;
                    return None;
                }
                Ok(len) => self.frames.extend(&bytes[..len]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("the host sent nothing")
                }
                Err(_) => return None,
            }
        }
    }

    /// The next frame that is not a heartbeat.
    pub fn next_but_beats(&mut self) -> Option<Frame> {
        loop {
            match self.next_frame() {
                Some(frame) if frame.kind == 0x80 => {}
                other => return other,
            }
        }
    }

    /// The certificate that the host showed.
    pub fn shown(&self) -> Option<Digest> {
        self.tls.conn.peer_certificates().map(|c| Digest::of(&c[0]))
    }

    pub fn resumed(&self) -> bool {
        self.tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// Whether the host said goodbye (close_notify) and did not just go.
    pub fn was_closed_politely(&self) -> bool {
        self.polite
    }

    /// Closes politely.
    pub fn close(mut self) {
        self.tls.conn.send_close_notify();
        // The host may have gone first.
        let _ = self.tls.flush();
    }

    /// The request to join; its proof is checked.
    pub fn enrol_request(&mut self) -> EnrolRequest {
        let frame = self.next_frame().expect("no request came");
        let Ok(Some(Message::Enrol(request))) = Message::from_frame(&frame) else {
            panic!("not a request to join: {frame:?}");
        };
        request
            .evidence_key
            .verify(PayloadType::Possession, &request.csr, &request.possession)
            .unwrap();
        request
    }
}

/// What a well-meaning control plane answers.
pub fn enrolled(ca: &Ca, csr: &[u8], valid: (u64, u64)) -> Enrolled {
    Enrolled {
        host: HostId::from_bytes([7; 16]),
        certificate: ca.client(&P256Point::of_csr(csr), valid),
        ca: ca.pem(),
        not_after: UnixMillis(valid.1 * 1000),
        order_keys: vec![VerifyingKey::from_bytes([1; 32])],
        server_name: SERVER_NAME.to_owned(),
    }
}
