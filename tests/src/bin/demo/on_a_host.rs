//! The story on a real host: a whole Debian, the real ssh client, a session and a master left open.

use crate::telling::{Story, millis};
use rescind_tests::{
    Account, Attempt, ControlPlane, Host, Key, Login, Package, Release, deb, wait_for,
};
use std::time::{Duration, Instant};

const HOST: &str = "shop-1";
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells it, from a host nobody manages to proof that alice is out.
pub fn tell(story: &mut Story) {
    story.step("A server that no provisioning system can reach");
    let host = story.timed(
        "booting a whole Debian 12 with systemd, PAM and sshd",
        || Host::of(Release::Bookworm).named(HOST).boot(),
    );
    let (alices, bobs) = (Key::ed25519("alice@laptop"), Key::ed25519("bob@laptop"));
    let alice = Account::create(&host, "alice").authorize(&alices);
    let bob = Account::create(&host, "bob").authorize(&bobs);
    let login = Login::to(&host, "alice").with(&alices);

    story.step("A control plane, and the agent on the server");
    let control = story.timed("starting `rescind serve` with a certificate authority, an order key and a database of its own", ControlPlane::start);
    story.timed("installing rescind-agent.deb on the host", || {
        host.install_deb(&deb(Package::Agent)).ok()
    });
    let id = story.timed("enrolling the host with a one-time token", || {
        control.enrol(&host)
    });
    story.seen(&format!("{HOST} is {id}"));
    story.ran(&control.rescind(&["hosts"]).ok());

    story.step("alice is at work");
    story.check(login.attempt().is_in(), "her key opens the door");
    let mut session = login.open();
    let mut master = login.open_master();
    story.check(session.is_open(), "she has a session open");
    story.check(
        master.run("id -un").text() == "alice",
        "and an ssh master that runs commands without asking again",
    );
    let mut bobs_session = Login::to(&host, "bob").with(&bobs).open();
    let bobs_keys = bob.authorized_keys();
    story.ran(&control.rescind(&["paths", HOST, "--account", "alice"]).ok());

    story.step("alice leaves the company");
    let words = [
        "revoke",
        "account",
        "alice",
        "--host",
        HOST,
        "--asked-by",
        "carol@example.com",
        "--reason",
        "left the company",
        "--ticket",
        "HR-1042",
        "--follow",
    ];
    let typed = "rescind revoke account alice --host shop-1 --asked-by carol@example.com --reason 'left the company' --ticket HR-1042 --follow";
    let begin = Instant::now();
    story.follow(typed, &mut control.command(&words));
    let session_ended = session.wait_closed(PATIENCE);
    story.check(session_ended.is_some(), "her session is dead");
    story.check(
        master.wait_closed(PATIENCE).is_some(),
        "her ssh master is dead",
    );
    story.check(!master.run("true").succeeded(), "and runs nothing any more");
    let attempt = login.attempt();
    if let Attempt::Refused(said) = &attempt {
        story.seen(&format!(
            "$ ssh alice@{HOST}: {}",
            said.lines().last().unwrap_or_default()
        ));
    }
    story.check(attempt.is_refused(), "her key opens nothing");
    story.check(alice.processes() == 0, "no process of hers is left");
    story.seen(&format!(
        "{} after the order was typed",
        millis(begin.elapsed())
    ));
    story.ran(&control.rescind(&["paths", HOST, "--account", "alice"]).ok());
    story.check(
        bobs_session.is_open() && bob.authorized_keys() == bobs_keys,
        "bob, on the same host, has noticed nothing",
    );

    story.step("Somebody puts the key back by hand");
    let begin = Instant::now();
    alice.authorize(&alices);
    host.run("usermod --unlock --expiredate '' alice");
    wait_for("the drift to be undone", PATIENCE, || {
        let back = host
            .run("cat /home/alice/.ssh/authorized_keys 2>/dev/null")
            .text();
        let expiry = alice
            .shadow()
            .split(':')
            .nth(7)
            .unwrap_or_default()
            .to_owned();
        (!back.contains(alices.line()) && !expiry.is_empty()).then_some(())
    });
    story.seen(&format!(
        "undone after {}, and on record",
        millis(begin.elapsed())
    ));
    story.check(!login.attempt().is_in(), "her key still opens nothing");
    story.ran(&control.rescind(&["order", "list"]).ok());

    story.step("The proof");
    story.ran(&control.rescind(&["evidence", "verify"]).ok());

    story.step("Cleaning up");
    story.timed("switching the host off and removing all of it", || {
        drop((session, master, bobs_session));
        drop(control);
        drop(host);
    });
}
