//! The stage itself: hosts boot, can be entered, cut off, stopped and brought back, on every release.

use rescind_tests::{Account, Host, Key, Login, Release, Storage};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_host_boots_and_lets_in_whom_it_should_on_bullseye() {
    logins(Release::Bullseye);
}

#[test]
fn a_host_boots_and_lets_in_whom_it_should_on_bookworm() {
    logins(Release::Bookworm);
}

#[test]
fn a_host_boots_and_lets_in_whom_it_should_on_trixie() {
    logins(Release::Trixie);
}

fn logins(release: Release) {
    let host = Host::of(release).named("shop-1").boot();
    assert_eq!(host.run("hostname").ok().text(), "shop-1");
    assert_eq!(
        host.run("systemctl --failed --no-legend --plain")
            .ok()
            .text(),
        ""
    );
    assert_eq!(host.run("cat; exit 7").code(), 7);
    host.write_file("/etc/ugly", b"no line end, \xff", "0640");
    assert_eq!(host.read_file("/etc/ugly"), b"no line end, \xff");

    let (key, other) = (Key::ed25519("alice@laptop"), Key::ecdsa("mallory"));
    let alice = Account::create(&host, "alice").authorize(&key);
    let login = Login::to(&host, "alice").with(&key);
    assert!(login.attempt().is_in());
    assert!(
        Login::to(&host, "alice")
            .with(&other)
            .attempt()
            .is_refused()
    );
    // Many refusals in a row must not shut this machine out.
    for _ in 0..12 {
        assert!(
            Login::to(&host, "nobody")
                .with(&other)
                .attempt()
                .is_refused()
        );
    }

    let mut session = login.open();
    let mut master = login.open_master();
    assert_eq!(master.run("id -un").ok().text(), "alice");
    // The session and the master, and on trixie the user's manager, which is one there.
    let sessions = host.run("loginctl list-sessions --no-legend").ok().text();
    let of_alice = |line: &&str| line.split_whitespace().any(|word| word == "alice");
    assert!(sessions.lines().filter(of_alice).count() >= 2, "{sessions}");
    assert!(alice.processes() > 0);

    // A key that is gone stops new logins, but neither what is open nor what goes through a master.
    host.run("rm /home/alice/.ssh/authorized_keys").ok();
    assert!(login.attempt().is_refused());
    assert!(session.is_open() && master.run("true").succeeded());

    host.run("loginctl terminate-user alice").ok();
    assert!(session.wait_closed(Duration::from_secs(20)).is_some());
    assert!(master.wait_closed(Duration::from_secs(20)).is_some());
    assert!(!master.run("true").succeeded());
}

#[test]
fn a_host_can_be_cut_off_frozen_and_brought_back() {
    let host = Host::boot(Release::Bookworm);
    let key = Key::ed25519("alice");
    Account::create(&host, "alice").authorize(&key);
    let login = Login::to(&host, "alice")
        .with(&key)
        .option("ConnectTimeout=1");
    assert!(login.attempt().is_in());

    host.cut_network();
    let attempt = login.attempt();
    assert!(!attempt.is_in() && !attempt.is_refused(), "{attempt:?}");
    assert_eq!(host.run("id -u alice").ok().text(), "1000");
    host.restore_network();
    assert!(login.attempt().is_in());

    host.freeze();
    assert!(!login.attempt().is_in());
    host.thaw();
    assert!(login.attempt().is_in());
}

#[test]
fn what_was_written_outlives_a_power_off_and_a_reboot() {
    for storage in [Storage::Overlay, Storage::Copy] {
        let host = Host::of(Release::Bookworm).storage(storage).boot();
        host.run("echo kept >/root/note; echo gone >/run/note").ok();
        let first = host
            .run("cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
            .ok()
            .text();

        host.power_off();
        host.power_on();
        assert_eq!(host.run("cat /root/note").ok().text(), "kept");
        assert!(!host.run("test -e /run/note").succeeded());
        assert_ne!(
            host.run("cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
                .text(),
            first
        );

        host.run("echo again >/root/note").ok();
        host.reboot();
        assert_eq!(host.run("cat /root/note").ok().text(), "again");
    }
}

#[test]
fn nothing_is_left_of_a_host() {
    let host = Host::of(Release::Bookworm)
        .with_file("/etc/motd", "hello\n")
        .boot();
    assert_eq!(host.read_file("/etc/motd"), b"hello\n");
    let (init, root) = (host.init_pid(), host.root().to_owned());
    drop(host);
    assert!(!std::path::Path::new(&format!("/proc/{init}/root/etc/motd")).exists());
    assert!(!root.exists(), "{}", root.display());
}

#[test]
fn two_hosts_do_not_know_each_other() {
    let (one, two) = (Host::boot(Release::Bookworm), Host::boot(Release::Trixie));
    Account::create(&one, "alice");
    assert!(!two.run("id alice").succeeded());
    one.power_off();
    assert_eq!(
        two.run("systemctl is-system-running").ok().text(),
        "running"
    );
}

/// Boots a host, says which one, and waits to be killed.
#[test]
#[ignore = "the other half of `what_a_killed_test_left_is_swept`"]
fn boots_and_is_killed() {
    let host = Host::boot(Release::Bookworm);
    println!("\nbooted {} {}", host.init_pid(), host.root().display());
    std::thread::sleep(Duration::from_secs(300));
}

#[test]
fn what_a_killed_test_left_is_swept() {
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "boots_and_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(other.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find(|line| line.starts_with("booted "));
    other.kill().unwrap();
    other.wait().unwrap();
    let said = said.expect("the other half booted a host");
    let words: Vec<&str> = said.split(' ').collect();
    let (init, root) = (Path::new("/proc").join(words[1]), Path::new(words[2]));
    assert!(init.exists() && root.exists(), "nothing was left to sweep");

    let swept = rescind_tests::sweep();
    let number = root
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    assert!(swept.contains(&format!("rescind-{number}")), "{swept:?}");
    // A zombie may stay until its new parent reaps it, but without a root.
    assert!(!init.join("root/etc").exists() && !root.exists());
}
