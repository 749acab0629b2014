//! A revoked key is looked for where it was not expected.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Key, Login, Release, Request, wait_for};

rescind_tests::on_each_release!(a_key_copied_to_another_account_is_found_and_closed);

fn a_key_copied_to_another_account_is_found_and_closed(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    let (key, line) = (&stage.alices, stage.alices.line());
    let blob = line.split(' ').nth(1).unwrap_or_default().to_owned();
    // With options, another comment, and in a line of its own kind.
    let svc = Account::create(host, "svc-db")
        .authorize_line("# who has this?")
        .authorize_line(&format!("no-pty,command=\"echo hello\" {line} old laptop"))
        .authorize(&stage.bobs);
    // root has a key of its own as well: its last way in would be left.
    let roots = Key::ed25519("root@safe");
    let root = Account::existing(host, "root")
        .authorize_line(&format!("ssh-ed25519  {blob}"))
        .authorize(&roots);
    let as_svc = Login::to(host, "svc-db");
    assert_eq!(as_svc.clone().with(key).run("true").text(), "hello");
    assert!(Login::to(host, "root").with(key).attempt().is_in());
    let mut bobs_session = stage.bob().open();

    let order = control.revoke_key(&stage.id, key.fingerprint(), Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    for account in ["alice", "svc-db", "root"] {
        let attempt = Login::to(host, account).with(key).attempt();
        assert!(attempt.is_refused(), "{account}: {attempt:?}");
    }
    assert_eq!(
        svc.authorized_keys(),
        format!("# who has this?\n{}\n", stage.bobs.line()).as_bytes()
    );
    assert_eq!(
        root.authorized_keys(),
        format!("{}\n", roots.line()).as_bytes()
    );
    assert!(Login::to(host, "root").with(&roots).attempt().is_in());
    assert!(as_svc.clone().with(&stage.bobs).attempt().is_in());
    assert!(bobs_session.is_open());

    // Copied again, to an account that did not have it, and to one that is new.
    Account::existing(host, "bob").authorize(key);
    wait_for("the copy to go", PATIENCE, || {
        let attempt = Login::to(host, "bob").with(key).attempt();
        attempt.is_refused().then_some(())
    });
    Account::create(host, "dave").authorize(key);
    wait_for("the new account's copy to go", PATIENCE, || {
        let attempt = Login::to(host, "dave").with(key).attempt();
        attempt.is_refused().then_some(())
    });
    assert!(stage.bob().attempt().is_in());
    assert!(stage.times("drift", order.id()) >= 2);
    stage.chain_is_whole();
}
