//! The units: how much they leave open, and that what the two halves must do can be done inside.

use rescind_tests::{Account, Host, Key, Login, Package, Release, deb};

#[test]
fn the_units_are_tight_on_bullseye() {
    tight(Release::Bullseye);
}

#[test]
fn the_units_are_tight_on_bookworm() {
    tight(Release::Bookworm);
}

#[test]
fn the_units_are_tight_on_trixie() {
    tight(Release::Trixie);
}

fn tight(release: Release) {
    let host = Host::boot(release);
    host.install_deb(&deb(Package::Agent)).ok();
    host.install_deb(&deb(Package::Control)).ok();
    for (unit, limit) in [
        ("rescind-agent", 3.0),
        ("rescind-link", 1.5),
        ("rescind", 1.5),
    ] {
        let exposure = exposure(&host, unit);
        println!("{release}: exposure of {unit} is {exposure}");
        // Each release of systemd counts somewhat differently; bookworm's count is the promise.
        if release == Release::Bookworm {
            assert!(
                exposure <= limit,
                "exposure of {unit} is {exposure}, more than {limit}"
            );
        }
    }
    root_half_can_work(&host);
    link_half_is_shut_in(&host);
}

/// The number systemd-analyze gives a unit, 0 (shut) to 10 (open).
#[track_caller]
fn exposure(host: &Host, unit: &str) -> f64 {
    let report = host
        .run(&format!(
            "systemd-analyze security --no-pager {unit}.service"
        ))
        .ok()
        .text();
    let last = report
        .lines()
        .rev()
        .find(|line| line.contains("Overall exposure level"));
    let number = last.and_then(|line| line.split(": ").nth(1)?.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no exposure level for {unit}:\n{report}"))
}

/// Runs a shell script as the unit would run the agent, and returns what it printed.
#[track_caller]
fn inside(host: &Host, unit: &str, script: &str) -> String {
    let drop_in = format!("/run/systemd/system/{unit}.service.d");
    host.run(&format!("mkdir -p {drop_in}; systemctl stop {unit}"))
        .ok();
    // The drop-in lies in /run and is gone with the host.
    host.write_file(
        &format!("{drop_in}/script.conf"),
        b"[Unit]\nConditionPathExists=\n[Service]\nType=oneshot\nRestart=no\nExecStart=\n\
          ExecStart=/bin/sh /etc/rescind/inside.sh\nStandardOutput=file:/var/tmp/inside.out\n\
          StandardError=file:/var/tmp/inside.out\n",
        "0644",
    );
    host.write_file("/etc/rescind/inside.sh", script.as_bytes(), "0644");
    host.run(&format!(
        "rm -f /var/tmp/inside.out; systemctl daemon-reload; systemctl start {unit}"
    ));
    let printed = host.run("cat /var/tmp/inside.out").text();
    host.run(&format!(
        "rm -r {drop_in}; systemctl daemon-reload; systemctl reset-failed {unit} || true"
    ))
    .ok();
    printed
}

fn root_half_can_work(host: &Host) {
    let key = Key::ed25519("alice");
    let alice = Account::create(host, "alice").authorize(&key);
    let mut session = Login::to(host, "alice").with(&key).open();
    host.run("mkdir -p /srv/keys && cp /home/alice/.ssh/authorized_keys /srv/keys/alice")
        .ok();
    host.run("setsid sleep 98765 >/dev/null 2>&1 &").ok();
    let shadow = host.run("stat -c '%a %U:%G' /etc/shadow").ok().text();

    let script = r#"
        say() { if "$@" >/tmp/say.out 2>&1; then echo "yes: $*"; else echo "no: $*: $(cat /tmp/say.out)"; fi; }
        # account files, by rename
        say cp --preserve=all /etc/shadow /etc/shadow.new
        say mv /etc/shadow.new /etc/shadow
        say usermod --expiredate 1 alice
        # key files, wherever they lie
        say cp /etc/hostname /srv/keys/alice
        # as the owner
        say setpriv --reuid alice --regid alice --clear-groups sh -c 'echo >/home/alice/.ssh/authorized_keys'
        # the tools that decide
        say sh -c 'sshd -T -C user=alice,host=h,addr=192.0.2.1 | grep -q ^authorizedkeysfile'
        say sudo -l -U alice
        say getent passwd alice
        say loginctl list-sessions
        # every process, those of others too
        say pgrep -u alice sleep
        say kill -0 1
        say grep -q Uid /proc/1/status
        # the control group of a user
        say sh -c 'd=$(echo /sys/fs/cgroup/user.slice/user-$(id -u alice).slice); echo 1 >$d/cgroup.freeze; echo 0 >$d/cgroup.freeze'
        say pkill -KILL -u alice
        say test -S /run/dbus/system_bus_socket
        say sh -c 'test -d /run/rescind-agent && touch /run/rescind-agent/x'
        say touch /var/lib/rescind-agent/x
        # and nothing beyond
        say touch /usr/bin/x
        say sh -c 'echo 1 >/proc/sys/kernel/sysrq'
        say mount -t tmpfs none /mnt
        say unshare --user true
        say grep eth0 /proc/self/net/dev
        say chmod u+s /var/lib/rescind-agent/x
    "#;
    let printed = inside(host, "rescind-agent", script);
    let answers: Vec<bool> = printed
        .lines()
        .filter_map(|line| match line.split(": ").next() {
            Some("yes") => Some(true),
            Some("no") => Some(false),
            _ => None,
        })
        .collect();
    assert_eq!(
        answers,
        [[true; 17].as_slice(), &[false; 6]].concat(),
        "{printed}"
    );

    assert_eq!(
        host.run("stat -c '%a %U:%G' /etc/shadow").ok().text(),
        shadow
    );
    assert!(alice.shadow().contains(":1:"), "{}", alice.shadow());
    assert_eq!(alice.authorized_keys(), b"\n");
    assert!(
        session
            .wait_closed(std::time::Duration::from_secs(20))
            .is_some()
    );
}

fn link_half_is_shut_in(host: &Host) {
    let script = r#"
        say() { if "$@" >/tmp/say.out 2>&1; then echo "yes: $*"; else echo "no: $*: $(cat /tmp/say.out)"; fi; }
        say test "$(id -un)" = rescind-link
        say touch /var/lib/rescind-link/x
        say test -r /etc/rescind/agent.toml
        say getent hosts localhost
        say sh -c 'grep -q "^CapEff:.0*$" /proc/self/status && grep -q "^CapBnd:.0*$" /proc/self/status'
        say cat /etc/shadow
        say ls /var/lib/rescind-agent
        say ls /home/alice
        say ls /root
        say touch /var/tmp/../lib/x
        say test -d /proc/1/fd
        say su -c true
        say unshare --user true
    "#;
    // Output files are opened before the privileges go.
    let printed = inside(host, "rescind-link", script);
    let answers: Vec<bool> = printed
        .lines()
        .filter(|line| line.starts_with("yes: ") || line.starts_with("no: "))
        .map(|line| line.starts_with("yes"))
        .collect();
    assert_eq!(
        answers,
        [[true; 5].as_slice(), &[false; 8]].concat(),
        "{printed}"
    );
}
