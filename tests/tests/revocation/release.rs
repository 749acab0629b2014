//! A release brings back what was taken, to the byte.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Release, Request, wait_for};

rescind_tests::on_each_release!(a_release_brings_back_the_exact_bytes);

/// Bytes, owner and mode of what a revocation changes.
fn files(stage: &Stage) -> Vec<(String, Vec<u8>)> {
    let files = [
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/gshadow",
        "/home/alice/.ssh/authorized_keys",
        "/home/bob/.ssh/authorized_keys",
    ];
    files
        .iter()
        .map(|file| {
            let kept = stage.host.run(&format!("stat -c '%a %U:%G' {file}")).ok();
            (
                format!("{file} {}", kept.text()),
                stage.host.read_file(file),
            )
        })
        .collect()
}

fn a_release_brings_back_the_exact_bytes(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    let alice = Account::existing(host, "alice").password("let me in");
    // Files as people leave them: comments, blank and broken lines, no line end, bytes of no text.
    let mut keys = b"# laptop\r\n\n".to_vec();
    keys.extend_from_slice(format!("  from=\"10.*\" {}\r\n", stage.alices.line()).as_bytes());
    keys.extend_from_slice(b"\tssh-rsa broken\xff\n");
    keys.extend_from_slice(format!("{}\n{}", stage.bobs.line(), stage.alices.line()).as_bytes());
    let file = "/home/alice/.ssh/authorized_keys";
    host.run_with(&format!("cat >{file}"), &keys).ok();
    host.run("chage -E 2031-02-03 -M 90 alice; usermod -c 'Alice \u{e9}, x' alice")
        .ok();
    host.run("printf '# local accounts below\\n' >>/etc/passwd")
        .ok();
    assert!(stage.alice().attempt().is_in());
    let before = files(&stage);

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert_ne!(files(&stage), before);
    assert!(stage.alice().attempt().is_refused());

    // What was put back by hand meanwhile is not what was taken.
    host.run("usermod --expiredate '' alice").ok();
    wait_for("the drift to be undone", PATIENCE, || {
        (stage.times("drift", order.id()) > 0 && alice.shadow().contains(":1:")).then_some(())
    });

    let released = control.release(order.id(), Request::default());
    assert_eq!(
        released.concluded(PATIENCE),
        "verified",
        "{}",
        released.show()
    );
    let after = files(&stage);
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was.0, is.0);
        assert_eq!(
            String::from_utf8_lossy(&was.1),
            String::from_utf8_lossy(&is.1)
        );
    }
    assert_eq!(after, before);
    assert!(stage.alice().attempt().is_in());
    assert!(alice.shadow().contains("$"));

    // A key that was taken everywhere comes back everywhere.
    let order = control.revoke_key(&stage.id, stage.bobs.fingerprint(), Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(stage.bob().attempt().is_refused());
    assert!(stage.alice().attempt().is_in());
    let released = control.release(order.id(), Request::default());
    assert_eq!(
        released.concluded(PATIENCE),
        "verified",
        "{}",
        released.show()
    );
    assert_eq!(files(&stage), before);
    assert!(stage.bob().attempt().is_in());
    stage.chain_is_whole();
}
