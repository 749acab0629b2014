//! Orders that come late, twice, or by hand.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Release, Request, wait_for};

rescind_tests::on_each_release!(
    a_host_that_was_away_does_it_when_it_is_back,
    an_order_that_comes_twice_has_one_effect,
);

fn a_host_that_was_away_does_it_when_it_is_back(release: Release) {
    let stage = Stage::set(release);
    stage.host.cut_network();
    let order = stage
        .control
        .revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.verdict(), None);
    assert!(!stage.not_closed("alice").is_empty());

    stage.host.restore_network();
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(stage.alice().attempt().is_refused());
    assert!(stage.bob().attempt().is_in());

    // Switched off when it was ordered.
    stage.host.power_off();
    let order = stage
        .control
        .revoke_account(&stage.id, "bob", Request::default());
    stage.host.power_on();
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(stage.bob().attempt().is_refused());
    stage.chain_is_whole();
}

fn an_order_that_comes_twice_has_one_effect(release: Release) {
    let stage = Stage::set(release);
    let host = &stage.host;
    // By hand first, while there is no network, and twice; then over the network.
    host.cut_network();
    let order = stage
        .control
        .revoke_account(&stage.id, "alice", Request::default());
    let exported = order.export();
    let applied = host
        .run_with("rescind-agent apply - --json", &exported)
        .ok();
    assert_eq!(applied.json()["outcome"]["verdict"], "verified");
    let after = stage.belongings("alice");
    let again = host
        .run_with("rescind-agent apply - --json", &exported)
        .ok();
    assert_eq!(again.json()["outcome"]["verdict"], "verified");

    host.restore_network();
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    // Once more over a connection that begins anew.
    host.run("systemctl restart rescind-link").ok();
    wait_for("the host to be back", PATIENCE, || {
        let hosts = stage.control.rescind(&["hosts", "--json"]).ok().json();
        (hosts[0]["connected"] == true).then_some(())
    });
    assert_eq!(stage.times("order_accepted", order.id()), 1);
    assert_eq!(stage.times("planned", order.id()), 1);
    assert_eq!(stage.times("concluded", order.id()), 1);
    assert_eq!(stage.belongings("alice"), after);
    assert!(stage.alice().attempt().is_refused());
    stage.chain_is_whole();
}
