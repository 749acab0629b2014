use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rescind_protocol::frame::{FRAME_BYTES_MAX, Frame};
use rescind_protocol::message::{Heartbeat, Message, Refused, Renewed, RetryAfter};
use rescind_protocol::name::UnixMillis;

use crate::control::{Ca, P256Point, now_s, today, year};
use crate::host::Host;

#[test]
fn frames_pass_both_ways_unread_and_the_links_own_do_not() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let link = host.link();
    let mut line = control.accept();
    let mut local = root_half.accept();
    assert!(line.shown().is_some());
    // Of any kind below 0x80 and of any size, CBOR or not.
    for (kind, len) in [
        (0x01, 10),
        (0x7f, 0),
        (0x05, FRAME_BYTES_MAX - 1),
        (0x02, 1),
    ] {
        let frame = Frame {
            kind,
            body: (0..len).map(|i| i as u8).collect(),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| local.send(&frame));
            assert!(line.next_but_beats().unwrap() == frame);
        });
        std::thread::scope(|scope| {
            scope.spawn(|| line.send_bytes(&frame.to_bytes()).unwrap());
            assert!(local.next_frame().unwrap() == frame);
        });
    }
    // The link's own, a later version's and nonsense end at the link.
    let now = UnixMillis(now_s() * 1000);
    line.send(Heartbeat { now });
    for (kind, body) in [(0x80, vec![0xff]), (0xfe, vec![1]), (0x83, vec![0xa0])] {
        line.send_bytes(&Frame { kind, body }.to_bytes()).unwrap();
    }
    let last = Frame {
        kind: 0x03,
        body: vec![9],
    };
    line.send_bytes(&last.to_bytes()).unwrap();
    assert!(local.next_frame().unwrap() == last);
    // Beats come by themselves.
    for _ in 0..2 {
        let beat = line.next_frame().unwrap();
        assert!(matches!(
            Message::from_frame(&beat),
            Ok(Some(Message::Heartbeat(_)))
        ));
    }
    // One side closed, the other is; then it starts again, by resumption.
    line.close();
    assert!(local.next_frame().is_none());
    let mut line = control.accept();
    let local = root_half.accept();
    assert!(line.resumed());
    drop(local);
    assert!(line.next_but_beats().is_none());
    drop(control.accept());
    drop(root_half.accept());
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn it_waits_for_the_root_half_and_for_the_control_plane() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let link = host.link();
    link.says("cannot reach the root half");
    assert!(
        control
            .accept_tcp_within(Duration::from_millis(300))
            .is_none()
    );
    let root_half = host.root_half();
    // Turned away at the door.
    for _ in 0..3 {
        drop(control.accept_tcp());
    }
    let _line = control.accept();
    root_half.accept();
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn a_killed_root_half_is_waited_for_without_bothering_the_control_plane() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    // The socket is there, nobody behind it.
    drop(host.root_half());
    let link = host.link();
    assert!(control.accept().next_frame().is_none());
    link.says("cannot reach the root half");
    assert!(
        control
            .accept_tcp_within(Duration::from_millis(1500))
            .is_none()
    );
    let root_half = host.root_half();
    let mut line = control.accept();
    let mut local = root_half.accept();
    let hello = Frame {
        kind: 1,
        body: vec![1],
    };
    local.send(&hello);
    assert_eq!(line.next_but_beats().unwrap(), hello);
    // Stopped, it says goodbye on both sides.
    assert_eq!(link.stop(), Some(0));
    assert!(line.next_but_beats().is_none());
    assert!(line.was_closed_politely());
    assert!(local.next_frame().is_none());
}

#[test]
fn it_comes_back_when_it_is_told_to() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let link = host.link();
    let mut line = control.accept();
    let _local = root_half.accept();
    line.send(RetryAfter {
        ms: 900,
        why: "too many at once".to_owned(),
    });
    let told = Instant::now();
    assert!(line.next_but_beats().is_none());
    let mut line = control.accept();
    assert!(told.elapsed() >= Duration::from_millis(900));
    assert!(told.elapsed() < Duration::from_secs(3));
    line.send(Refused {
        why: "host was removed".to_owned(),
    });
    drop(control.accept());
    link.says("refused: host was removed");
    link.says("too many at once");
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn a_certificate_is_renewed_with_a_new_key_and_used() {
    let ca = Ca::new();
    let control = ca.server(today());
    // Nine tenths of its life are over.
    let valid = (now_s() - 9000, now_s() + 1000);
    let host = Host::enrolled(&ca, &control, valid);
    let root_half = host.root_half();
    let link = host.link();
    let mut line = control.accept();
    let _local = root_half.accept();
    let first = line.shown().unwrap();
    let request = line.next_but_beats().unwrap();
    let Ok(Some(Message::Renew(renew))) = Message::from_frame(&request) else {
        panic!("{request:?}");
    };
    let before = host.read("var/lib/rescind-link/identity.pem");
    let new = today();
    let renewed = |certificate| Renewed {
        certificate,
        ca: ca.pem(),
        not_after: UnixMillis(new.1 * 1000),
    };
    line.send(renewed(ca.client(&P256Point::of_csr(&renew.csr), new)));
    // The line is quiet, so that the new one is used at once.
    assert!(line.next_but_beats().is_none());
    let line = control.accept();
    assert_ne!(line.shown().unwrap(), first);
    assert!(!line.resumed());
    assert_ne!(host.read("var/lib/rescind-link/identity.pem"), before);
    link.says("the link has a new key and certificate");
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn a_certificate_that_does_not_fit_leaves_the_old_one() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, (now_s() - 9000, now_s() + 1000));
    let root_half = host.root_half();
    let link = host.link();
    let mut line = control.accept();
    let mut local = root_half.accept();
    let before = host.read("var/lib/rescind-link/identity.pem");
    assert_eq!(line.next_but_beats().unwrap().kind, 0x82);
    let key = rcgen::KeyPair::generate().unwrap();
    line.send(Renewed {
        certificate: ca.client(&key, today()),
        ca: ca.pem(),
        not_after: UnixMillis(0),
    });
    link.says("the certificate was not renewed");
    assert_eq!(host.read("var/lib/rescind-link/identity.pem"), before);
    // The connection goes on.
    let frame = Frame {
        kind: 1,
        body: vec![1],
    };
    local.send(&frame);
    while line.next_frame().unwrap() != frame {}
    assert_eq!(link.stop(), Some(0));
}

#[test]
fn a_wrong_clock_does_not_make_the_host_deaf() {
    for (own, server) in [
        // The clock is years ahead: everything seems to have expired.
        ((year(2001), year(2002)), (year(2001), year(2003))),
        // The clock is years behind: nothing seems to be valid yet. The control plane's
        // certificate may be newer than our own.
        ((year(2090), year(2091)), (year(2089), year(2092))),
        ((year(2090), year(2091)), (year(2093), year(2094))),
    ] {
        let ca = Ca::new();
        let control = ca.server(server);
        let host = Host::enrolled(&ca, &control, own);
        let root_half = host.root_half();
        let link = host.link();
        let before = host.read("var/lib/rescind-link/identity.pem");
        let mut line = control.accept();
        let _local = root_half.accept();
        line.send(Heartbeat {
            now: UnixMillis(own.0 * 1000),
        });
        link.says("set the clock");
        link.says("set this host's clock");
        assert_eq!(host.read("var/lib/rescind-link/identity.pem"), before);
        assert_eq!(link.stop(), Some(0));
    }
}

#[test]
fn a_host_that_is_turned_away_says_what_to_do_and_keeps_its_identity() {
    let ca = Ca::new();
    let control = ca.server(today());
    let host = Host::enrolled(&ca, &control, today());
    let root_half = host.root_half();
    let before = host.read("var/lib/rescind-link/identity.pem");
    control.welcome.store(false, Ordering::Relaxed);
    let link = host.link();
    for _ in 0..2 {
        assert!(control.try_accept().is_err());
    }
    link.says("enrol this host again");
    assert_eq!(host.read("var/lib/rescind-link/identity.pem"), before);
    // The control plane thinks better of it.
    control.welcome.store(true, Ordering::Relaxed);
    let _line = control.accept();
    root_half.accept();
    assert_eq!(link.stop(), Some(0));
}
