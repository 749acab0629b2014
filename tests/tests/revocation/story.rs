//! alice leaves; bob, on the same host, notices nothing.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Login, Release, Request, wait_for};

rescind_tests::on_each_release!(a_revoked_account_is_out_and_stays_out);

fn a_revoked_account_is_out_and_stays_out(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    let alice = Account::existing(host, "alice").password("let me in");
    let mut session = stage.alice().open();
    let mut master = stage.alice().open_master();
    let mut bobs_session = stage.bob().open();
    let bobs = stage.belongings("bob");

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());

    // The proof, and then the attempts.
    assert_eq!(stage.not_closed("alice"), Vec::<serde_json::Value>::new());
    assert!(session.wait_closed(PATIENCE).is_some());
    assert!(master.wait_closed(PATIENCE).is_some());
    assert!(!master.run("true").succeeded());
    assert!(stage.alice().attempt().is_refused());
    assert_eq!(alice.processes(), 0);
    // The console's decider says the same: the right password, an account that is over.
    let login = host.run("printf 'let me in\\n' | setsid su bob -c 'su alice -c true' 2>&1");
    assert!(!login.succeeded(), "{login:?}");
    // She is asked for by name: who, why and the ticket are in the signed order.
    let shown = order.show().to_string();
    for said in ["carol@example.com", "left the company", "HR-1042"] {
        assert!(shown.contains(said), "{said} is missing in {shown}");
    }
    wait_for("the host's own deciders to agree", PATIENCE, || {
        (order.state() == "confirmed").then_some(())
    });

    assert!(bobs_session.is_open());
    assert_eq!(stage.belongings("bob"), bobs);
    assert!(stage.bob().attempt().is_in());

    // Put back by hand, it goes again.
    let alice = alice.authorize(&stage.alices);
    host.run("usermod --unlock --expiredate '' alice").ok();
    wait_for("the drift to be undone", PATIENCE, || {
        let keys = String::from_utf8_lossy(&alice.authorized_keys()).into_owned();
        (!keys.contains(stage.alices.line()) && stage.times("drift", order.id()) > 0).then_some(())
    });
    wait_for("all to be closed again", PATIENCE, || {
        stage.not_closed("alice").is_empty().then_some(())
    });
    assert!(stage.alice().attempt().is_refused());
    assert!(Login::to(host, "bob").with(&stage.bobs).attempt().is_in());
    assert_eq!(stage.belongings("bob"), bobs);
    stage.chain_is_whole();
}
