//! Dora's account is a directory's: it is not changed, and what she has on the host is taken all the
//! same.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Key, Login, Release, Request, wait_for};

rescind_tests::on_each_release!(what_a_directorys_account_has_here_is_closed);

fn what_a_directorys_account_has_here_is_closed(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.install_another_name_service();
    // A name service of its own, with files for a directory.
    host.run(
        "sed -i -E 's/^(passwd|group|shadow):.*/\\1: files extrausers/' /etc/nsswitch.conf && \
         mkdir -p /var/lib/extrausers && cd /var/lib/extrausers && \
         echo 'dora:x:5001:5001:Dora:/home/dora:/bin/bash' >passwd && \
         echo 'dora:$6$x$x:19000:0:99999:7:::' >shadow && chmod 600 shadow && \
         printf 'dora:x:5001:\nstaffers:x:5002:dora\n' >group && \
         install -d -m 700 -o 5001 -g 5001 /home/dora /home/dora/.ssh && \
         groupadd -g 4711 docker && sed -i 's/^docker:.*/&dora/' /etc/group && \
         mkdir -m 1777 /var/runs",
    )
    .ok();
    let key = Key::ed25519("dora@laptop");
    let line = format!("{}\n", key.line());
    let file = "/home/dora/.ssh/authorized_keys";
    host.write_file(file, line.as_bytes(), "0600");
    host.run(&format!("chown 5001:5001 {file}")).ok();
    host.write_file(
        "/etc/sudoers.d/dora",
        b"dora ALL=(ALL) NOPASSWD: ALL\n",
        "0440",
    );
    let dora = Login::to(host, "dora").with(&key);
    assert!(dora.attempt().is_in());
    let as_dora = |command: &str| {
        host.run(&format!(
            "setpriv --reuid 5001 --regid 5001 --init-groups {command}"
        ))
    };
    assert_eq!(as_dora("sudo -n id -u").ok().text(), "0");
    assert!(as_dora("id -nG").text().contains("docker"));
    let files = || {
        let all = "sha256sum /etc/passwd /etc/shadow /var/lib/extrausers/*";
        host.run(all).ok().text()
    };
    let before = files();

    // Groups and sudo are the host's to take.
    let order = control.revoke_sudo(&stage.id, "dora", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(!as_dora("sudo -n id -u").succeeded());
    let order = control.revoke_group_and_sessions(&stage.id, "dora", "docker", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(!as_dora("id -nG").text().contains("docker"));
    let order = control.revoke_group(&stage.id, "dora", "staffers", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    assert!(
        order
            .show()
            .to_string()
            .contains("a directory makes it a member")
    );
    let mut session = dora.open();
    let order = control.end_sessions(&stage.id, "dora", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert!(session.wait_closed(PATIENCE).is_some());

    // Her account is not, and that is said; what she has here goes, and stays gone.
    let mut session = dora.open();
    let order = control.revoke_account(&stage.id, "dora", Request::default());
    assert_eq!(order.concluded(PATIENCE), "impossible", "{}", order.show());
    let shown = order.show();
    let reason = shown["result"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("extrausers serves it"), "{shown}");
    assert!(
        shown
            .to_string()
            .contains("its password is the directory's")
    );
    assert!(session.wait_closed(PATIENCE).is_some());
    assert!(dora.attempt().is_refused());
    assert_eq!(files(), before);
    host.run(&format!("echo '{}' >>{file}", line.trim_end()))
        .ok();
    wait_for("the key to be out again", PATIENCE, || {
        dora.attempt().is_refused().then_some(())
    });

    // A key that is revoked everywhere may stand in homes nobody can list.
    let everywhere = control.revoke_key(&stage.id, key.fingerprint(), Request::default());
    assert_eq!(
        everywhere.concluded(PATIENCE),
        "unverified",
        "{}",
        everywhere.show()
    );
    assert!(
        everywhere
            .show()
            .to_string()
            .contains("accounts of a directory are not listed")
    );
    control
        .release(everywhere.id(), Request::default())
        .concluded(PATIENCE);

    let released = control.release(order.id(), Request::default());
    assert_eq!(
        released.concluded(PATIENCE),
        "verified",
        "{}",
        released.show()
    );
    assert!(dora.attempt().is_in());
    stage.chain_is_whole();
}
