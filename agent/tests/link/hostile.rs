use std::io::{Read, Write};
use std::time::Duration;

use rescind_protocol::frame::FRAME_BYTES_MAX;

use crate::control::{Ca, today, year};
use crate::host::Host;

/// How much memory a peer may cost, in KiB: a frame each way and what lies about.
const MEMORY_MAX_KIB: u64 = 6 * 1024;

#[test]
fn a_hostile_control_plane_costs_little_and_is_survived() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let mut link = host.link();
    // Once, so that everything that is needed has been loaded.
    drop(control.accept());
    let before = link.rss_kib();

    let mut noise = vec![0; 200_000];
    rescind_protocol::sign::fill_random(&mut noise);
    let mut almost = (FRAME_BYTES_MAX as u32).to_be_bytes().to_vec();
    almost.resize(FRAME_BYTES_MAX, 3);
    let attacks: [Vec<u8>; 5] = [
        // A length of 4 GiB.
        vec![0xff; 16],
        // A frame of nothing.
        vec![0; 4],
        // A frame that ends too soon.
        almost,
        noise,
        // A million frames for the link that mean nothing.
        [0, 0, 0, 1, 0xff].repeat(200_000),
    ];
    for attack in &attacks {
        let mut line = control.accept();
        // Something for the root half first: who has been served comes back soon.
        line.send_bytes(&[0, 0, 0, 1, 0x02]).unwrap();
        let _ = line.send_bytes(attack);
        line.close();
        assert!(link.is_running());
    }
    drop(control.accept());
    let after = link.rss_kib();
    assert!(
        after < before + MEMORY_MAX_KIB,
        "{before} KiB, then {after} KiB"
    );
    drop(root_half);
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn who_is_not_the_control_plane_never_sees_a_frame() {
    let (ca, other) = (Ca::new(), Ca::new());
    let mut control = other.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let link = host.link();
    // A wrong CA.
    assert!(control.try_accept().is_err());
    link.says("invalid peer certificate: BadSignature");
    // The right CA, a certificate that has expired, and a clock there is no reason to doubt.
    control.turn_into(ca.server((year(2001), year(2002))));
    assert!(control.try_accept().is_err());
    link.says("expired");
    assert!(root_half.accept_within(Duration::ZERO).is_none());
    // When the right one is back, so is the host.
    control.turn_into(ca.server(today()));
    let _line = control.accept();
    root_half.accept();
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn who_does_not_speak_tls_1_3_is_left_alone() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let link = host.link();
    // No TLS at all; TLS 1.2, which answers with its own version (RFC 5246 section 7.4.1.3).
    for (answer, said) in [
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "InvalidContentType"),
        (server_hello_of_tls_1_2(), "peer is incompatible"),
        (Vec::new(), "eof"),
    ] {
        let mut tcp = control.accept_tcp();
        let mut hello = [0; 5];
        tcp.read_exact(&mut hello).unwrap();
        let _ = tcp.write_all(&answer);
        let _ = tcp.shutdown(std::net::Shutdown::Write);
        let _ = tcp.read_to_end(&mut Vec::new());
        link.says(said);
    }
    assert!(root_half.accept_within(Duration::ZERO).is_none());
    assert_eq!(link.stop(), Some(0));
}

fn server_hello_of_tls_1_2() -> Vec<u8> {
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, no compression, no extensions.
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0x00, 0xc0, 0x2b, 0x00]);
    let mut out = vec![0x16, 0x03, 0x03, 0, hello.len() as u8 + 4, 0x02, 0, 0];
    out.push(hello.len() as u8);
    out.extend(hello);
    out
}
