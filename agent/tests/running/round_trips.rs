//! What orders take comes back when they are released, in whatever order: each file to the byte, with
//! its mode and owner.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rescind_protocol::name::{Digest, HostId, KeyFingerprint, OrderId};
use rescind_protocol::order::Action;

use crate::host::Host;
use crate::random::Random;

/// Revocations that are released again; `RESCIND_ROUND_TRIPS` for more.
const TRIPS: usize = 1000;
/// So many on one host, before another is made up.
const TRIPS_OF_A_HOST: usize = 40;
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];
const GROUPS: [&str; 3] = ["docker", "boxes", "ops"];
const KEYS: u8 = 5;

#[test]
fn what_is_revoked_comes_back_to_the_byte() {
    let mut random = Random::told("round trips");
    let trips = std::env::var("RESCIND_ROUND_TRIPS").ok();
    let trips = trips.and_then(|trips| trips.parse().ok()).unwrap_or(TRIPS);
    let (mut made, mut took) = (0, 0);
    while made < trips {
        let (released, with_something) = on_a_host(&mut random);
        (made, took) = (made + released, took + with_something);
    }
    println!("{made} revocations were released, {took} of which had taken something");
    assert!(took > made / 4, "hardly anything was taken");
}

/// Revokes and releases on one host; how often, and how many of the releases gave something back.
fn on_a_host(random: &mut Random) -> (usize, usize) {
    let mut host = Host::new();
    make_up(&host, random);
    host.enrol(HostId::from_bytes([7; 16]));
    host.start();
    let before = files(&host.root);
    let (mut seq, mut made, mut took) = (0, 0, 0);
    while made < TRIPS_OF_A_HOST {
        let mut standing = Vec::new();
        for _ in 0..=random.below(4) {
            seq += 1;
            let action = action(random);
            let verdict = give(&host, seq, action.clone());
            let fine = ["verified", "already", "partial", "unverified"].contains(&verdict.as_str());
            assert!(fine, "{action:?}: {verdict}");
            standing.push((seq, action));
        }
        let given = standing.clone();
        while !standing.is_empty() {
            let (order, action) = standing.swap_remove(random.below(standing.len()));
            seq += 1;
            let order = OrderId::from_bytes(u128::from(order).to_be_bytes());
            let verdict = give(&host, seq, Action::Release { order });
            // One that had nothing to take has nothing to give back.
            let fine = ["verified", "already"].contains(&verdict.as_str());
            assert!(fine, "release of {action:?}: {verdict}");
            made += 1;
            took += usize::from(verdict == "verified");
        }
        let after = files(&host.root);
        for (path, was) in &before {
            let now = after.get(path);
            assert!(
                now == Some(was),
                "{path} after {given:?}:\n{was}\nis now\n{now:?}"
            );
        }
        assert_eq!(
            before.len(),
            after.len(),
            "{:?} after {given:?}",
            after.keys()
        );
    }
    host.stop();
    (made, took)
}

fn give(host: &Host, seq: u64, action: Action) -> String {
    let said = host.apply(seq, action);
    let answer: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let verdict = answer["outcome"]["verdict"].as_str();
    verdict
        .unwrap_or_else(|| panic!("{answer} {said:?}"))
        .to_owned()
}

fn action(random: &mut Random) -> Action {
    let account = random.of(&PEOPLE).parse().unwrap();
    match random.below(5) {
        0 | 1 => Action::DisableAccount { account },
        2 => Action::RevokeKey {
            fingerprint: fingerprint(random.below(KEYS.into()) as u8),
            account: (!random.one_in(2)).then_some(account),
        },
        3 => Action::RevokeGroup {
            account,
            group: random.of(&GROUPS).parse().unwrap(),
            end_sessions: false,
        },
        _ => Action::RevokeSudo { account },
    }
}

fn blob(key: u8) -> Vec<u8> {
    [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", [key; 32].as_slice()].concat()
}

fn fingerprint(key: u8) -> KeyFingerprint {
    KeyFingerprint::from_bytes(*Digest::of(&blob(key)).as_bytes())
}

/// Files as people and programs leave them.
fn make_up(host: &Host, random: &mut Random) {
    let write = |path: &str, text: &str, mode: u32, uid: u32| {
        let path = host.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(uid), Some(uid)).unwrap();
        }
    };
    let end = |random: &mut Random, text: &mut String| {
        if random.one_in(4) {
            text.pop();
        }
    };
    let (mut passwd, mut shadow) = (String::new(), String::new());
    let (mut group, mut gshadow) = (String::new(), String::new());
    passwd.push_str("root:x:0:0:root:/root:/bin/sh\n");
    shadow.push_str("root:$6$a$b:19000:0:99999:7:::\n");
    for (uid, name) in (1000..).zip(PEOPLE) {
        let field = *random.of(&[
            "",
            "!",
            "!!",
            "*",
            "!*",
            "*LK*",
            "$6$salt$hash",
            "!$6$salt$hash",
            "!!$6$salt$hash",
        ]);
        let own = *random.of(&["x", "x", "x", "x", "*", "", "$6$in$passwd"]);
        passwd.push_str(&format!(
            "{name}:{own}:{uid}:{uid}:,,,:/home/{name}:/bin/sh\n"
        ));
        let rest = *random.of(&[
            ":19000:0:99999:7:::",
            ":::::::",
            ":19000:0:99999:7::20000:",
            "::::::0:",
            "",
            ":",
            ":19000:0:99999:7:::\r",
            ":19000:0:99999:7:14:1:rest",
            ":19000:0:99999:7:: 5 :",
        ]);
        shadow.push_str(&format!("{name}:{field}{rest}\n"));
        if random.one_in(5) {
            shadow.push_str(&format!("{name}:$6$second$line:1::::::\n"));
        }
        if random.one_in(4) {
            let odd = *random.of(&["# a comment", "", "+@netgroup::::::", "no colon", "a:b\r"]);
            for file in [&mut passwd, &mut shadow] {
                file.push_str(odd);
                file.push('\n');
            }
        }
        group.push_str(&format!("{name}:x:{uid}:\n"));
    }
    for (name, gid) in GROUPS.into_iter().zip([4711, 4711, 27]) {
        let list = |random: &mut Random| {
            let mut names: Vec<String> = Vec::new();
            for _ in 0..random.below(6) {
                let blank = *random.of(&["", "", "", " ", "\t"]);
                let other = *random.of(&["alice", "bob", "carol", "alicea", "", "erin"]);
                names.push(format!("{blank}{other}"));
            }
            names.join(",")
        };
        for _ in 0..=usize::from(random.one_in(5)) {
            group.push_str(&format!("{name}:x:{gid}:{}\n", list(random)));
        }
        if !random.one_in(5) {
            gshadow.push_str(&format!("{name}:!:{}:{}\n", list(random), list(random)));
        }
    }
    for (path, text) in [("passwd", &mut passwd), ("shadow", &mut shadow)] {
        end(random, text);
        let mode = if path == "shadow" { 0o640 } else { 0o644 };
        write(&format!("etc/{path}"), text, mode, 0);
    }
    end(random, &mut group);
    write("etc/group", &group, 0o644, 0);
    if !random.one_in(4) {
        write("etc/gshadow", &gshadow, *random.of(&[0o640, 0o600, 0]), 0);
    }
    let config =
        "UsePAM yes\nAuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2 /etc/keys/%u\n";
    write("etc/ssh/sshd_config", config, 0o644, 0);
    for (uid, name) in (1000..).zip(PEOPLE) {
        for file in [
            "home/%/.ssh/authorized_keys",
            "home/%/.ssh/authorized_keys2",
            "etc/keys/%",
        ] {
            if random.one_in(3) {
                continue;
            }
            let mut text = String::new();
            for _ in 0..random.below(8) {
                text.push_str(&key_line(random));
            }
            end(random, &mut text);
            let owner = if file.starts_with("home") { uid } else { 0 };
            let mode = *random.of(&[0o600, 0o644, 0o640, 0o400]);
            write(&file.replace('%', name), &text, mode, owner);
        }
        if nix::unistd::geteuid().is_root() {
            for dir in ["home/%", "home/%/.ssh"] {
                let dir = host.root.join(dir.replace('%', name));
                fs::create_dir_all(&dir).unwrap();
                std::os::unix::fs::chown(dir, Some(uid), Some(uid)).unwrap();
            }
        }
    }
    write(
        "etc/sudoers",
        "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
        0o440,
        0,
    );
    let rules = "alice ALL=(ALL) NOPASSWD: ALL\n%ops ALL=ALL\nbob, carol ALL=(root) /bin/true\n";
    write("etc/sudoers.d/people", rules, 0o440, 0);
    write("usr/sbin/sshd", "ELF\0OpenSSH_9.2p1 Debian-2\0", 0o755, 0);
    write("usr/bin/sudo", "ELF\0\x31.9.13p3\0", 0o755, 0);
    let sudo = host.root.join("usr/bin/sudo");
    fs::set_permissions(sudo, fs::Permissions::from_mode(0o4755)).unwrap();
    let settings = "[guards]\nprotected-accounts = []\nblast-radius-accounts = 1000\n";
    write("etc/rescind/agent.toml", settings, 0o644, 0);
}

fn key_line(random: &mut Random) -> String {
    let key = STANDARD.encode(blob(random.below(KEYS.into()) as u8));
    match random.below(12) {
        0 => "# a comment\n".into(),
        1 => "\n".into(),
        2 => "   \t\n".into(),
        3 => format!("ssh-ed25519 {key} with a comment\r\n"),
        4 => format!("from=\"10.0.0.0/8\",command=\"echo \\\"a b\\\"\" ssh-ed25519 {key}\n"),
        5 => format!("  \tssh-ed25519\t{key}\n"),
        6 => format!("cert-authority,principals=\"x\" ssh-ed25519 {key}\n"),
        7 => "ssh-unknown AAAAC3Nz not a key\n".into(),
        8 => "environment=\"TOKEN=x\" nothing\n".into(),
        _ => format!("ssh-ed25519 {key} a@b\n"),
    }
}

/// Every file of the host that an order could have changed: mode, owner and content.
fn files(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.join("etc"), root.join("home")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let is = fs::symlink_metadata(&path).unwrap();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            // What shadow-utils leaves, too.
            let aside = name.ends_with('-') || name.ends_with(".lock") || name.contains("rescind");
            let content = match is.is_dir() {
                true => {
                    dirs.push(path.clone());
                    String::new()
                }
                false => fs::read(&path).unwrap().escape_ascii().to_string(),
            };
            if !aside || name.contains("sudoers.d") {
                let facts = format!("{:o} {}:{} {content}", is.mode(), is.uid(), is.gid());
                found.insert(name, facts.replace("\\n", "\\n\n"));
            }
        }
    }
    found
}
