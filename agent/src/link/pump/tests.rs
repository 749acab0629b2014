use rescind_protocol::message::{OrderBytes, Refused, RetryAfter};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::super::identity::NewKey;
use super::*;

const FAST: Patience = Patience {
    heartbeat: Duration::from_millis(50),
    silence_max: Duration::from_millis(200),
    stall_max: Duration::from_millis(200),
};

/// Runs the pump between a control plane and a root half that are played by `script`, and
/// says how it ended.
fn play<F: Future<Output = ()>>(
    script: impl FnOnce(DuplexStream, DuplexStream) -> F,
) -> (String, bool) {
    play_and_rest(script, || ())
}

fn play_and_rest<F: Future<Output = ()>>(
    script: impl FnOnce(DuplexStream, DuplexStream) -> F,
    rest: impl Fn(),
) -> (String, bool) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            let (server, server_end) = duplex(64 * 1024);
            let (local, local_end) = duplex(64 * 1024);
            let mut renewal = Renewal::never();
            let pumped = pump(server_end, local_end, FAST, &mut renewal, rest);
            let (end, ()) = tokio::join!(pumped, script(server, local));
            (end.0.to_string(), end.1)
        })
}

fn bytes(message: impl Into<Message>) -> Vec<u8> {
    message.into().to_frame().to_bytes()
}

#[test]
fn a_trickled_frame_does_not_keep_a_connection() {
    let (end, served) = play(|mut server, local| async move {
        let _open = local;
        // A frame of 9 bytes at ten bytes a second would take a second.
        for byte in [0, 0, 0, 9, 3, 1, 1, 1, 1, 1, 1, 1, 1] {
            if server.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(
        (end.as_str(), served),
        ("the control plane was silent for 0 s", false)
    );
}

#[test]
fn after_work_comes_rest_and_after_rest_none() {
    let rests = Cell::new(0);
    let script = |mut server: DuplexStream, mut local: DuplexStream| async move {
        let order = bytes(OrderBytes { signed: vec![1] });
        for _ in 0..2 {
            server.write_all(&order).await.unwrap();
            local.read_exact(&mut vec![0; order.len()]).await.unwrap();
            // Some heartbeats without work; the control plane's keep the connection.
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let beat = bytes(Heartbeat { now: tls::now() });
                server.write_all(&beat).await.unwrap();
            }
        }
    };
    play_and_rest(script, || rests.set(rests.get() + 1));
    assert_eq!(rests.get(), 2);
}

#[test]
fn heartbeats_keep_a_connection_and_silence_ends_it() {
    let started = Instant::now();
    let (end, _) = play(|mut server, local| async move {
        let _open = local;
        for _ in 0..8 {
            let beat = bytes(Heartbeat { now: tls::now() });
            server.write_all(&beat).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // Ours arrive meanwhile.
        let mut got = vec![0; 2 * bytes(Heartbeat { now: tls::now() }).len()];
        server.read_exact(&mut got).await.unwrap();
        assert_eq!(got[4], 0x80);
        tokio::time::sleep(Duration::from_millis(400)).await;
    });
    assert_eq!(end, "the control plane was silent for 0 s");
    assert!(started.elapsed() > Duration::from_millis(800));
}

#[test]
fn who_does_not_read_is_given_up_and_does_not_stop_the_other_direction() {
    let order = bytes(OrderBytes {
        signed: vec![7; 300_000],
    });
    let (end, served) = play(|mut server, mut local| async move {
        // The root half writes more than the control plane ever reads, ...
        let writing = async { while local.write_all(&order).await.is_ok() {} };
        // ... while the control plane goes on beating.
        let beating = async {
            let beat = bytes(Heartbeat { now: tls::now() });
            while server.write_all(&beat).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::join!(writing, beating);
    });
    assert_eq!(
        (end.as_str(), served),
        ("the control plane read nothing for 0 s", false)
    );
}

#[test]
fn the_control_planes_words_end_the_connection_and_are_made_printable() {
    for (message, said) in [
        (
            bytes(RetryAfter {
                ms: 1500,
                why: "busy\u{1b}[2J".into(),
            }),
            "the control plane asked to come back in 1500 ms: busy\u{fffd}[2J",
        ),
        (
            bytes(Refused {
                why: "host was removed".into(),
            }),
            "the control plane refused: host was removed",
        ),
        (
            vec![0xff; 4],
            "the connection to the control plane broke: a frame of 4294967295 bytes, the limit is 1048576",
        ),
        (vec![], "the control plane closed the connection"),
    ] {
        let (end, _) = play(|mut server, local| async move {
            let _open = local;
            server.write_all(&message).await.unwrap();
            drop(server);
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        assert_eq!(end, said);
    }
}

#[test]
fn nobody_asked_for_this_certificate() {
    let key = NewKey::generate().unwrap();
    assert!(key.certified("", "", None).is_err());
    let renewed = rescind_protocol::message::Renewed {
        certificate: String::new(),
        ca: String::new(),
        not_after: UnixMillis(0),
    };
    let mut renewal = Renewal::never();
    assert_eq!(
        renewal.take(&renewed).unwrap_err().to_string(),
        "a certificate came that was not asked for"
    );
}
