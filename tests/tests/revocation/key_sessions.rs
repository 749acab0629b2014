//! A key is lost: what was opened with it ends, and nothing else does.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Key, Login, Release, Request, wait_for};

rescind_tests::on_each_release!(what_a_key_has_opened_ends_and_nothing_else);

/// Processes of whoever runs this that stay when their shell goes: `nohup` for ssh, `setsid` for the
/// terminal.
const STAYS: &str = "setsid nohup sleep 98765 >/dev/null 2>&1 </dev/null & sleep 0.3";

fn what_a_key_has_opened_ends_and_nothing_else(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    let (lost, other) = (Key::ed25519("lost"), Key::rsa("other"));
    for account in ["alice", "bob"] {
        Account::existing(host, account).authorize(&lost);
    }
    Account::existing(host, "root")
        .authorize(&lost)
        .authorize(&other);
    let with = |account, key| Login::to(host, account).with(key);
    let left = |account: &str| {
        let count = host.run(&format!("pgrep -c -u {account} -f 'sleep 98765'"));
        count.text().trim().to_owned()
    };

    let mut lost_session = with("alice", &lost).open();
    let mut lost_master = with("alice", &lost).open_master();
    assert!(lost_master.run(STAYS).succeeded());
    let mut own_session = stage.alice().open();
    let mut bobs_lost = with("bob", &lost).open();
    let mut roots_lost = with("root", &lost).open();
    let mut roots_other = with("root", &other).open();
    assert_eq!(left("alice"), "1");

    // Of one account first.
    let end = |account| {
        let key = lost.fingerprint();
        let order = control.end_key_sessions(&stage.id, key, account, Request::default());
        (order.concluded(PATIENCE), order.show())
    };
    let (verdict, shown) = end(Some("alice"));
    assert_eq!(verdict, "verified", "{shown}");
    assert!(lost_session.wait_closed(PATIENCE).is_some());
    assert!(lost_master.wait_closed(PATIENCE).is_some());
    assert_eq!(left("alice"), "0", "what it has left running is gone, too");
    assert!(own_session.is_open(), "opened with another key");
    assert!(bobs_lost.is_open() && roots_lost.is_open(), "another's");

    // What outlives its connection was opened with the key, too, whoever's it looks like.
    for master in [
        with("alice", &lost).open_master(),
        stage.alice().open_master(),
    ] {
        assert!(master.run(STAYS).succeeded());
        drop(master);
    }
    wait_for("the connections to close", PATIENCE, || {
        let serving = host.run("pgrep -f '^sshd.*: alice \\[priv\\]'").text();
        (serving.lines().count() == 1).then_some(())
    });
    assert_eq!(left("alice"), "2");
    let (verdict, shown) = end(Some("alice"));
    assert_eq!(verdict, "verified", "{shown}");
    assert!(
        shown.to_string().contains("what is left of session"),
        "{shown}"
    );
    assert_eq!(left("alice"), "1", "the other was begun with another key");
    assert!(own_session.is_open());
    let (verdict, shown) = end(Some("alice"));
    assert_eq!(verdict, "already", "{shown}");

    // Then everybody's, root's among them; who came by other means is left alone.
    let (verdict, shown) = end(None);
    assert_eq!(verdict, "verified", "{shown}");
    assert!(bobs_lost.wait_closed(PATIENCE).is_some());
    assert!(roots_lost.wait_closed(PATIENCE).is_some());
    assert!(own_session.is_open() && roots_other.is_open());
    let (verdict, shown) = end(None);
    assert_eq!(verdict, "already", "{shown}");

    // An sshd that does not say with which key it lets somebody in: that is not known, not closed.
    let quiet = "echo 'LogLevel QUIET' >/etc/ssh/sshd_config.d/quiet.conf && systemctl restart ssh";
    host.run(quiet).ok();
    let mut unknown = stage.bob().open();
    let (verdict, shown) = end(None);
    assert_eq!(verdict, "unverified", "{shown}");
    assert!(
        shown.to_string().contains("the connection of bob"),
        "{shown}"
    );
    assert!(unknown.is_open() && own_session.is_open());
    assert!(with("bob", &lost).attempt().is_in(), "nothing was revoked");

    // Revoked and ended in one go.
    host.run("rm /etc/ssh/sshd_config.d/quiet.conf && systemctl restart ssh")
        .ok();
    let mut bobs_lost = with("bob", &lost).open();
    let words = ["revoke", "key", lost.fingerprint(), "--end-sessions"];
    let why = ["--ticket", "SEC-7", "--reason", "laptop stolen", "--json"];
    let given = control.rescind(&[&words[..], &["--host", &stage.id], &why].concat());
    let given = given.ok().json();
    assert_eq!(given["orders"].as_array().map(Vec::len), Some(2), "{given}");
    assert!(bobs_lost.wait_closed(PATIENCE).is_some());
    assert!(with("bob", &lost).attempt().is_refused());
    assert!(own_session.is_open() && stage.alice().attempt().is_in());
    stage.chain_is_whole();
}
