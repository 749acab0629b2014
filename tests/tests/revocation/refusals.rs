//! Orders that are not carried out, and are on record for it.

use crate::stage::{PATIENCE, Stage};
use rescind_protocol::name::{HostId, OrderId, UnixMillis};
use rescind_protocol::order::{Action, Order};
use rescind_tests::{Account, Forger, Key, Login, Release, Request};

rescind_tests::on_each_release!(
    an_order_that_is_not_for_this_host_is_not_carried_out,
    the_last_way_in_for_root_stays,
);

/// A new id, so that nothing but what is under test speaks against the order.
fn new_id(order: &mut Order) {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&order.seq.to_be_bytes());
    id[8] = 0x80;
    order.id = OrderId::from_bytes(id);
}

fn an_order_that_is_not_for_this_host_is_not_carried_out(release: Release) {
    let stage = Stage::set(release);
    let host = &stage.host;
    let bobs = stage.belongings("bob");
    let real = stage
        .control
        .end_sessions(&stage.id, "alice", Request::default());
    real.concluded(PATIENCE);
    let exported = real.export();

    let owner = Forger::with_key_of(&stage.control);
    let stranger = Forger::with_unknown_key();
    let of_bob = |order: &mut Order| {
        order.action = Action::DisableAccount {
            account: "bob".parse().expect("a name"),
        };
    };
    let next = |order: &mut Order| {
        of_bob(order);
        order.seq += 100;
        new_id(order);
    };
    let forged = [
        ("signature", stranger.resign(&exported, next)),
        (
            "other_host",
            owner.resign(&exported, |order| {
                next(order);
                order.host = HostId::from_bytes([7; 16]);
            }),
        ),
        (
            "expired",
            owner.resign(&exported, |order| {
                next(order);
                order.seq += 1;
                order.issued_at = UnixMillis(order.issued_at.0 - 90_000_000);
                order.expires_at = UnixMillis(order.issued_at.0 + 1000);
            }),
        ),
        // Another order in the place of one that was carried out.
        (
            "replayed",
            owner.resign(&exported, |order| {
                of_bob(order);
                new_id(order);
            }),
        ),
        ("malformed", exported[..exported.len() - 7].to_vec()),
        // One byte of what was signed is another.
        ("signature", {
            let mut bytes = exported.clone();
            let place = bytes.windows(5).position(|word| word == b"alice");
            bytes[place.expect("the order names alice")] = b'b';
            bytes
        }),
    ];
    let before = stage.evidence().len();
    for (count, (why, bytes)) in forged.iter().enumerate() {
        let refused = host.run_with("rescind-agent apply - --json", bytes);
        assert_eq!(refused.code(), 65, "{why}: {refused:?}");
        assert_eq!(refused.json()["why"], *why, "{refused:?}");
        let evidence = stage.evidence();
        assert_eq!(evidence.len(), before + count + 1, "{why} is on record");
        let last = evidence.last().expect("a record");
        assert_eq!(last["event"], "order_not_accepted", "{last}");
    }
    assert_eq!(stage.belongings("bob"), bobs);
    assert!(stage.bob().attempt().is_in());
    // The control plane has them, too, and the real order after them is carried out.
    let order = stage
        .control
        .revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    stage.chain_is_whole();
}

fn the_last_way_in_for_root_stays(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    let roots = Key::ed25519("root@desk");
    // root's key and carol's sudo are the only ways to be root; the console's password is no help.
    host.run("passwd -l root").ok();
    let root = Account::existing(host, "root").authorize(&roots);
    let carols = Key::ed25519("carol");
    let _carol = Account::create(host, "carol").authorize(&carols);
    host.run("echo 'carol ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/carol")
        .ok();
    let login = Login::to(host, "root").with(&roots);
    let carol = Login::to(host, "carol").with(&carols);
    assert!(login.attempt().is_in());
    assert_eq!(carol.run("sudo -n id -u").text(), "0");

    // One of two may go.
    let order = control.revoke_account(&stage.id, "carol", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(carol.attempt().is_refused());

    // The other must stay, by key or by account.
    let before = stage.belongings("root");
    let order = control.revoke_key(&stage.id, roots.fingerprint(), Request::default());
    assert_eq!(order.concluded(PATIENCE), "refused", "{}", order.show());
    let shown = order.show().to_string();
    assert!(shown.contains("root"), "{shown}");
    let order = control.revoke_account(&stage.id, "root", Request::default());
    assert_eq!(order.concluded(PATIENCE), "refused", "{}", order.show());
    assert_eq!(stage.belongings("root"), before);
    assert!(login.attempt().is_in());

    // With another way, it may go.
    let others = Key::ed25519("root@safe");
    let _root = root.authorize(&others);
    let order = control.revoke_key(&stage.id, roots.fingerprint(), Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(login.attempt().is_refused());
    assert!(Login::to(host, "root").with(&others).attempt().is_in());
    stage.chain_is_whole();
}
