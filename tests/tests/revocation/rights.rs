//! Groups and sudo are taken from an account, kept from it, and given back; it can log in all along.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Host, Ran, Release, Request, wait_for};

rescind_tests::on_each_release!(a_group_is_left, sudo_is_denied);

/// A command as an account, with the groups that a login would get.
fn run_as(host: &Host, account: &str, command: &str) -> Ran {
    host.run(&format!(
        "setpriv --reuid {account} --regid {account} --init-groups {command}"
    ))
}

fn account_files(host: &Host) -> String {
    let files = "/etc/passwd /etc/shadow /etc/group /etc/gshadow";
    host.run(&format!("stat -c '%n %a %U:%G' {files}; cat {files}"))
        .ok()
        .text()
}

fn a_group_is_left(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    // A group with two names, odd blanks, an administrator, and something only it can read.
    host.run(
        "groupadd -g 4711 docker && groupadd -o -g 4711 boxes && groupadd other && \
         usermod -aG docker,other alice && usermod -aG docker bob && gpasswd -A alice,bob docker && \
         sed -i 's/^boxes:.*/boxes:x:4711:bob, alice,carol/' /etc/group && \
         install -m 0640 -g docker /dev/null /srv/socket",
    )
    .ok();
    let reads = |account: &str| run_as(host, account, "cat /srv/socket").succeeded();
    assert!(reads("alice") && reads("bob"));
    let before = account_files(host);
    let mut session = stage.alice().open();
    let mut bobs = stage.bob().open();

    // Her session keeps the group, as the kernel has it; that is said.
    let order = control.revoke_group(&stage.id, "alice", "docker", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    let shown = order.show().to_string();
    assert!(shown.contains("still has group docker"), "{shown}");
    assert!(!reads("alice") && reads("bob"));
    let lists = host.run("grep -E '^(docker|boxes|other):' /etc/group /etc/gshadow");
    let expected = "/etc/group:docker:x:4711:bob\n/etc/group:boxes:x:4711:bob,carol\n";
    assert!(lists.text().starts_with(expected), "{}", lists.text());
    assert!(
        lists.text().contains("docker:!:bob:bob\n"),
        "{}",
        lists.text()
    );
    assert!(run_as(host, "alice", "id -nG").text().contains("other"));
    assert!(session.is_open() && stage.alice().attempt().is_in());

    // Once it has ended, the order is as it should be; who is put back is taken out again.
    drop(session);
    let verdict = || order.verdict();
    host.run("pkill -u alice; systemctl restart rescind-agent")
        .ok();
    wait_for("the order to be verified", PATIENCE, || {
        matches!(verdict()?.as_str(), "verified" | "already").then_some(())
    });
    host.run("gpasswd -a alice docker").ok();
    wait_for("alice to be out again", PATIENCE, || {
        let members = host.run("getent group docker").ok().text();
        (!members.contains("alice")).then_some(())
    });
    wait_for("the drift to be told", PATIENCE, || {
        (stage.times("drift", order.id()) >= 1).then_some(())
    });

    // Of bob, with his session.
    let order_of_bob =
        control.revoke_group_and_sessions(&stage.id, "bob", "boxes", Request::default());
    assert_eq!(
        order_of_bob.concluded(PATIENCE),
        "verified",
        "{}",
        order_of_bob.show()
    );
    assert!(bobs.wait_closed(PATIENCE).is_some());
    assert!(!reads("bob") && stage.bob().attempt().is_in());
    let confirmed = order_of_bob.until("confirmed", PATIENCE).to_string();
    assert!(confirmed.contains("\"agrees\":true"), "{confirmed}");

    // Both come back to the byte, in the order in which they went.
    for order in [&order_of_bob, &order] {
        let released = control.release(order.id(), Request::default());
        assert_eq!(
            released.concluded(PATIENCE),
            "verified",
            "{}",
            released.show()
        );
    }
    assert!(reads("alice") && reads("bob"));
    assert_eq!(account_files(host), before);

    // What an order cannot take is named.
    host.run("echo 'other:let us in' | chgpasswd").ok();
    let order = control.revoke_group(&stage.id, "alice", "other", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    assert!(
        order
            .show()
            .to_string()
            .contains("knows the group's password")
    );
    let order = control.revoke_group(&stage.id, "alice", "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    assert!(order.show().to_string().contains("primary group"));
    stage.chain_is_whole();
}

fn sudo_is_denied(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.run("groupadd ops && usermod -aG ops alice && usermod -aG ops bob")
        .ok();
    for (file, rules) in [
        ("us", "alice ALL=(ALL:ALL) NOPASSWD: ALL\n"),
        (
            "zz-more",
            "User_Alias OPS = %ops\nOPS ALL=(ALL) NOPASSWD: /usr/bin/id, sudoedit /etc/motd\n",
        ),
        ("zzz-all", "ALL ALL=(bob) NOPASSWD: /usr/bin/true\n"),
    ] {
        host.write_file(&format!("/etc/sudoers.d/{file}"), rules.as_bytes(), "0440");
    }
    let sudo = |account: &str, what: &str| run_as(host, account, &format!("sudo -n {what}"));
    let works = |account: &str| {
        let all = ["id -u", "-u bob true", "-g ops id"];
        all.map(|what| sudo(account, what).succeeded())
    };
    assert_eq!(works("alice"), [true; 3]);
    let bobs = works("bob");
    assert!(bobs[0]);
    let policy = || {
        let all =
            "cd /etc && sha256sum sudoers sudoers.d/* && stat -c '%n %a %U %Y' sudoers sudoers.d/*";
        host.run(all).ok().text()
    };
    let before = policy();

    // The last who becomes root keeps sudo, until root has another way in.
    let order = control.revoke_sudo(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "refused", "{}", order.show());
    assert!(
        order.show().to_string().contains("last way in for root"),
        "{}",
        order.show()
    );
    assert_eq!((works("alice"), policy()), ([true; 3], before.clone()));
    Account::existing(host, "root").authorize(&stage.bobs);

    let order = control.revoke_sudo(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert_eq!((works("alice"), works("bob")), ([false; 3], bobs));
    assert!(stage.alice().attempt().is_in(), "she still logs in");
    host.run("visudo -c").ok();
    let confirmed = order.until("confirmed", PATIENCE).to_string();
    assert!(confirmed.contains("\"agrees\":true"), "{confirmed}");
    let untouched: Vec<String> = before.lines().map(str::to_owned).collect();
    let now = policy();
    assert!(
        untouched.iter().all(|line| now.contains(line.as_str())),
        "{now}"
    );

    // Who takes the rule out finds it back.
    host.run("rm /etc/sudoers.d/zzzz-rescind").ok();
    wait_for("the rule to be back", PATIENCE, || {
        (!sudo("alice", "id -u").succeeded()).then_some(())
    });
    // A rule behind ours is somebody else's: it is named, as long as it is there.
    let late = "/etc/sudoers.d/zzzzz-late";
    host.write_file(late, b"alice ALL=(root) NOPASSWD: /usr/bin/id\n", "0440");
    assert!(sudo("alice", "id -u").succeeded());
    let verdict = || order.verdict();
    wait_for("the late rule to be told", PATIENCE, || {
        (verdict()? == "partial").then_some(())
    });
    assert!(
        order.show().to_string().contains("zzzzz-late"),
        "{}",
        order.show()
    );
    host.run(&format!("rm {late}; systemctl restart rescind-agent"))
        .ok();
    wait_for("the order to be verified again", PATIENCE, || {
        matches!(verdict()?.as_str(), "verified" | "already").then_some(())
    });

    // Two accounts, one file; the last one takes it away.
    let order_of_bob = control.revoke_sudo(&stage.id, "bob", Request::default());
    assert_eq!(
        order_of_bob.concluded(PATIENCE),
        "verified",
        "{}",
        order_of_bob.show()
    );
    assert_eq!(works("bob"), [false; 3]);
    for order in [&order, &order_of_bob] {
        let released = control.release(order.id(), Request::default());
        assert_eq!(
            released.concluded(PATIENCE),
            "verified",
            "{}",
            released.show()
        );
    }
    assert_eq!((works("alice"), works("bob")), ([true; 3], bobs));
    assert_eq!(policy(), before);

    stage.chain_is_whole();
}
