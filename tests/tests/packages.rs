//! The .deb of the agent and of the control plane: install, upgrade, remove, purge. At no point may
//! a package open what was closed, or take away the proof of it.

use rescind_tests::{Account, Host, Key, Login, Package, Release, deb};

#[test]
fn the_packages_come_and_go_on_bullseye() {
    come_and_go(Release::Bullseye);
}

#[test]
fn the_packages_come_and_go_on_bookworm() {
    come_and_go(Release::Bookworm);
}

#[test]
fn the_packages_come_and_go_on_trixie() {
    come_and_go(Release::Trixie);
}

fn come_and_go(release: Release) {
    let host = Host::boot(release);
    let key = Key::ed25519("alice");
    Account::create(&host, "alice").authorize(&key);
    host.run("chage -E 1 alice && usermod -L alice").ok();
    agent(&host, &key);
    control(&host);
}

/// Where access is decided on this host.
const ACCESS: &str = "cat /etc/passwd /etc/shadow /etc/group /etc/gshadow /etc/sudoers /home/alice/.ssh/authorized_keys; \
                      stat -c '%n %a %U %G' /etc/passwd /etc/shadow /home/alice/.ssh/authorized_keys";

fn agent(host: &Host, key: &Key) {
    host.install_deb(&deb(Package::Agent)).ok();
    let access = host.run(ACCESS).ok().text();
    assert!(
        access
            .lines()
            .any(|line| line.starts_with("rescind-link:!")),
        "its user has a password"
    );
    assert!(
        host.run("getent passwd rescind-link")
            .ok()
            .text()
            .ends_with(":/usr/sbin/nologin")
    );
    assert_eq!(
        modes(
            host,
            "/etc/rescind /etc/rescind/agent.toml /var/lib/rescind-agent /var/lib/rescind-link /usr/sbin/rescind-agent"
        ),
        [
            "755 root:root /etc/rescind",
            "644 root:root /etc/rescind/agent.toml",
            "700 root:root /var/lib/rescind-agent",
            "700 rescind-link:rescind-link /var/lib/rescind-link",
            "755 root:root /usr/sbin/rescind-agent",
        ]
    );
    manual(host, &["man8/rescind-agent.8", "man5/rescind-agent.toml.5"]);
    for unit in ["rescind-agent", "rescind-link"] {
        assert_eq!(
            host.run(&format!("systemctl is-enabled {unit}")).text(),
            "enabled"
        );
    }
    // Not enrolled, the link is skipped, which is no failure.
    assert!(!host.run("systemctl is-failed rescind-link").succeeded());

    // The administrator's settings and choices outlive an upgrade.
    host.run("echo '# ours' >>/etc/rescind/agent.toml; systemctl disable rescind-link")
        .ok();
    host.install_deb(&deb(Package::Agent)).ok();
    assert!(
        host.read_file("/etc/rescind/agent.toml")
            .ends_with(b"# ours\n")
    );
    assert_eq!(
        host.run("systemctl is-enabled rescind-link").text(),
        "disabled"
    );
    assert_eq!(host.run(ACCESS).ok().text(), access);

    // As after some orders.
    host.run(
        "set -e; cd /var/lib/rescind-agent; mkdir -p journal index; echo proof >journal/1
         echo key >evidence.key; echo trust >/etc/rescind/trust.toml
         echo key >/var/lib/rescind-link/key.pem",
    )
    .ok();

    let removed = host.run("dpkg --remove rescind-agent").ok();
    assert!(removed.text().contains("stays revoked"), "{removed:?}");
    assert!(!host.run("pgrep -x rescind-agent").succeeded());
    assert_eq!(host.run(ACCESS).ok().text(), access);
    assert!(!Login::to(host, "alice").with(key).attempt().is_in());
    assert_eq!(
        host.read_file("/var/lib/rescind-agent/journal/1"),
        b"proof\n"
    );
    host.run("test -e /etc/rescind/trust.toml -a -e /var/lib/rescind-link/key.pem")
        .ok();

    // Removed and installed again it is what it was.
    host.install_deb(&deb(Package::Agent)).ok();
    assert_eq!(
        host.run("systemctl is-enabled rescind-agent").text(),
        "enabled"
    );
    assert_eq!(
        host.read_file("/var/lib/rescind-agent/journal/1"),
        b"proof\n"
    );

    let purged = host.run("dpkg --purge rescind-agent").ok();
    assert!(
        purged
            .text()
            .contains("kept in /var/lib/rescind-agent.purged-"),
        "{purged:?}"
    );
    assert_eq!(
        host.run("cat /var/lib/rescind-agent.purged-*/journal/1")
            .ok()
            .text(),
        "proof"
    );
    assert_eq!(
        host.run("stat -c %a /var/lib/rescind-agent.purged-*")
            .ok()
            .text(),
        "700"
    );
    assert_eq!(
        host.run(
            "ls -d /etc/rescind /var/lib/rescind-link /var/lib/rescind-agent \
                  /var/lib/rescind-agent.purged-*/evidence.key \
                  /etc/systemd/system/multi-user.target.wants/rescind-* 2>/dev/null"
        )
        .text(),
        ""
    );
    assert_eq!(host.run(ACCESS).ok().text(), access);
    assert!(!Login::to(host, "alice").with(key).attempt().is_in());
}

fn control(host: &Host) {
    host.install_deb(&deb(Package::Control)).ok();
    assert_eq!(
        modes(
            host,
            "/etc/rescind/control.toml /var/lib/rescind /usr/bin/rescind"
        ),
        [
            "644 root:root /etc/rescind/control.toml",
            "700 rescind:rescind /var/lib/rescind",
            "755 root:root /usr/bin/rescind",
        ]
    );
    manual(host, &["man1/rescind.1", "man5/rescind-control.toml.5"]);
    assert_eq!(host.run("systemctl is-enabled rescind").text(), "enabled");
    host.install_deb(&deb(Package::Control)).ok();

    host.run(
        "systemctl stop rescind; cd /var/lib/rescind; touch rescind.db ca.key order.key server.pem",
    )
    .ok();
    host.run("dpkg --remove rescind").ok();
    host.run("test -e /var/lib/rescind/rescind.db -a -e /var/lib/rescind/order.key")
        .ok();
    let purged = host.run("dpkg --purge rescind").ok();
    assert!(
        purged.text().contains("kept in /var/lib/rescind.purged-"),
        "{purged:?}"
    );
    host.run("test -e /var/lib/rescind.purged-*/rescind.db -a ! -e /var/lib/rescind")
        .ok();
    assert_eq!(
        host.run("ls /var/lib/rescind.purged-* | grep -e key -e server")
            .text(),
        ""
    );
}

/// The pages are there, compressed as Debian wants them.
#[track_caller]
fn manual(host: &Host, pages: &[&str]) {
    for page in pages {
        let shown = host.run(&format!("zcat /usr/share/man/{page}.gz")).ok();
        assert!(shown.text().contains("\n.Sh NAME\n"), "{page}: {shown:?}");
    }
}

/// Mode, owner and name of some files.
#[track_caller]
fn modes(host: &Host, files: &str) -> Vec<String> {
    let listed = host
        .run(&format!("stat -c '%a %U:%G %n' {files}"))
        .ok()
        .text();
    listed.lines().map(str::to_owned).collect()
}
