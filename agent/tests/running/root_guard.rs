//! The guard of root's last way in refuses exactly what would close it, as told by counting ways in a
//! model of the host.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rescind_protocol::name::{Digest, HostId, KeyFingerprint};
use rescind_protocol::order::Action;

use crate::host::Host;
use crate::random::Random;

/// Hosts that are made up; each is asked about so many orders.
const HOSTS: usize = 1000;
const ORDERS_OF_A_HOST: usize = 1;
const KEYS: u8 = 4;

#[test]
fn orders_that_would_close_roots_last_way_in_are_refused_and_no_others() {
    let mut random = Random::told("root's ways in");
    let hosts = std::env::var("RESCIND_ROOT_GUARD").ok();
    let hosts = hosts.and_then(|hosts| hosts.parse().ok()).unwrap_or(HOSTS);
    let mut host = Host::new();
    host.enrol(HostId::from_bytes([7; 16]));
    put(&host, "etc/rescind/agent.toml", SETTINGS, 0o644);
    host.start();
    let (mut refused, mut asked) = (0, 0);
    for _ in 0..hosts {
        let model = Model::make_up(&mut random);
        model.write(&host);
        for _ in 0..ORDERS_OF_A_HOST {
            let order = model.order(&mut random);
            let must = model.must_be_refused(&order);
            let said = host.dry_run(order.action());
            let why = said["refused"].as_str().unwrap_or_default();
            let is = why.contains("last way in for root");
            assert!(why.is_empty() || is, "{why}");
            assert_eq!(
                is,
                must,
                "{order:?} on {model:#?}\nways: {:?}\n{said}",
                model.ways()
            );
            (refused, asked) = (refused + usize::from(is), asked + 1);
        }
    }
    host.stop();
    println!("{asked} orders on {hosts} hosts, {refused} refused");
    assert!(
        refused > asked / 20 && refused < asked / 2,
        "the hosts are not mixed enough"
    );
}

#[derive(Debug, Clone)]
struct Model {
    people: Vec<Person>,
    permit_root: &'static str,
    passwords_over_ssh: bool,
    /// `%ops ALL=(ALL) NOPASSWD: ALL`
    ops: bool,
}

#[derive(Debug, Clone)]
struct Person {
    name: &'static str,
    uid: u32,
    has_password: bool,
    expired: bool,
    has_shell: bool,
    keys: BTreeSet<u8>,
    /// Each of its keys is for one command only.
    forced: bool,
    in_ops: bool,
    sudo: Sudo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sudo {
    No,
    Freely,
    WithPassword,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Disable(&'static str),
    Key(u8, Option<&'static str>),
    Group(&'static str),
    Sudo(&'static str),
}

/// A way in for root: through whom, by what, and whether it certainly is one. What a forced command
/// leads to nobody can tell: losing such a way counts, keeping it does not.
type Way = (&'static str, String, bool);

impl Model {
    fn make_up(random: &mut Random) -> Self {
        let person = |random: &mut Random, name, uid| Person {
            name,
            uid,
            has_password: random.one_in(3),
            expired: random.one_in(6),
            has_shell: !random.one_in(6),
            keys: (0..KEYS).filter(|_| random.one_in(5)).collect(),
            forced: random.one_in(5),
            in_ops: random.one_in(3),
            sudo: *random.of(&[Sudo::No, Sudo::No, Sudo::Freely, Sudo::WithPassword]),
        };
        let mut people = vec![person(random, "root", 0)];
        if random.one_in(4) {
            people.push(person(random, "toor", 0));
        }
        for (uid, name) in (1000..).zip(["alice", "bob", "carol"]) {
            people.push(person(random, name, uid));
        }
        Self {
            people,
            permit_root: *random.of(&["yes", "no", "prohibit-password"]),
            passwords_over_ssh: random.one_in(2),
            ops: random.one_in(2),
        }
    }

    /// Every way in for root there is.
    fn ways(&self) -> BTreeSet<Way> {
        let mut ways = BTreeSet::new();
        for person in &self.people {
            let becomes_root = person.uid == 0
                || person.sudo == Sudo::Freely
                || (self.ops && person.in_ops)
                || (person.sudo == Sudo::WithPassword && person.has_password);
            if !becomes_root || person.expired || !person.has_shell {
                continue;
            }
            let over_ssh = |by_password: bool| match (person.uid, self.permit_root) {
                (0, "no") => false,
                (0, "prohibit-password") => !by_password,
                _ => true,
            };
            for key in person.keys.iter().filter(|_| over_ssh(false)) {
                ways.insert((person.name, format!("key {key}"), !person.forced));
            }
            if person.has_password {
                ways.insert((person.name, "console".into(), true));
                if self.passwords_over_ssh && over_ssh(true) {
                    ways.insert((person.name, "password".into(), true));
                }
            }
        }
        ways
    }

    fn after(&self, order: &Order) -> Self {
        let mut after = self.clone();
        for person in &mut after.people {
            match order {
                Order::Disable(name) if *name == person.name => {
                    person.expired = true;
                    person.has_password = false;
                    person.keys.clear();
                }
                Order::Key(key, of) if of.is_none_or(|name| name == person.name) => {
                    person.keys.remove(key);
                }
                Order::Group(name) if *name == person.name => person.in_ops = false,
                // Root's own rules are nothing to root.
                Order::Sudo(name) if *name == person.name => {
                    (person.sudo, person.in_ops) = (Sudo::No, false);
                }
                _ => {}
            }
        }
        after
    }

    fn must_be_refused(&self, order: &Order) -> bool {
        let (before, after) = (self.ways(), self.after(order).ways());
        let closes_one = before.difference(&after).next().is_some();
        closes_one && after.iter().all(|(_, _, certain)| !certain)
    }

    fn order(&self, random: &mut Random) -> Order {
        let name = random.of(&self.people).name;
        let key = random.below(KEYS.into()) as u8;
        match random.below(5) {
            0 | 1 => Order::Disable(name),
            2 => Order::Key(key, (!random.one_in(2)).then_some(name)),
            3 => Order::Group(name),
            _ => Order::Sudo(name),
        }
    }

    fn write(&self, host: &Host) {
        let (mut passwd, mut shadow) = (String::new(), String::new());
        let mut group = String::from("root:x:0:\n");
        let mut sudoers = String::from("root ALL=(ALL:ALL) ALL\n");
        let mut ops = Vec::new();
        let _ = fs::remove_dir_all(host.root.join("home"));
        for person in &self.people {
            let Person { name, uid, .. } = person;
            let shell = if person.has_shell {
                "/bin/sh"
            } else {
                "/usr/sbin/nologin"
            };
            passwd.push_str(&format!("{name}:x:{uid}:{uid}::/home/{name}:{shell}\n"));
            // A hash of the right shape; nobody types a password here.
            let hash = if person.has_password {
                "$1$saltsalt$9xy1btjgzLYfb7hivXtC//"
            } else {
                "!"
            };
            let expiry = if person.expired { "1" } else { "" };
            shadow.push_str(&format!("{name}:{hash}:19000:0:99999:7::{expiry}:\n"));
            if *uid > 0 {
                group.push_str(&format!("{name}:x:{uid}:\n"));
            }
            if person.in_ops {
                ops.push(*name);
            }
            sudoers.push_str(&match person.sudo {
                Sudo::No => String::new(),
                Sudo::Freely => format!("{name} ALL=(ALL:ALL) NOPASSWD: ALL\n"),
                Sudo::WithPassword => format!("{name} ALL=(ALL:ALL) ALL\n"),
            });
            let options = if person.forced {
                "command=\"/bin/date\" "
            } else {
                ""
            };
            let lines = person.keys.iter();
            let keys: String = lines
                .map(|key| format!("{options}{}", key_line(*key)))
                .collect();
            let file = format!("home/{name}/.ssh/authorized_keys");
            put(host, &file, &keys, 0o644);
        }
        group.push_str(&format!("ops:x:4711:{}\n", ops.join(",")));
        if self.ops {
            sudoers.push_str("%ops ALL=(ALL:ALL) NOPASSWD: ALL\n");
        }
        let passwords = if self.passwords_over_ssh { "yes" } else { "no" };
        let sshd = format!(
            "UsePAM yes\nPermitRootLogin {}\nPasswordAuthentication {passwords}\n\
             KbdInteractiveAuthentication no\n",
            self.permit_root
        );
        for (path, text, mode) in [
            ("etc/passwd", passwd.as_str(), 0o644),
            ("etc/shadow", &shadow, 0o640),
            ("etc/group", &group, 0o644),
            ("etc/sudoers", &sudoers, 0o440),
            ("etc/ssh/sshd_config", &sshd, 0o644),
            ("etc/pam.d/sudo", PAM, 0o644),
            ("etc/pam.d/sshd", PAM, 0o644),
            ("etc/pam.d/login", PAM, 0o644),
            ("usr/bin/sudo", "ELF\0\x31.9.13p3\0", 0o4755),
            ("usr/sbin/sshd", "ELF\0OpenSSH_9.2p1 Debian-2\0", 0o755),
            ("usr/sbin/nologin", "", 0o755),
            ("bin/sh", "", 0o755),
        ] {
            put(host, path, text, mode);
        }
    }
}

const SETTINGS: &str = "[guards]\nprotected-accounts = []\nblast-radius-accounts = 1000\n";
const PAM: &str = "auth [success=1 default=ignore] pam_unix.so nullok\n\
    auth requisite pam_deny.so\nauth required pam_permit.so\n\
    account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n\
    account requisite pam_deny.so\naccount required pam_permit.so\n";

fn put(host: &Host, path: &str, text: &str, mode: u32) {
    let path = host.root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(&path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn blob(key: u8) -> Vec<u8> {
    [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", [key; 32].as_slice()].concat()
}

fn key_line(key: u8) -> String {
    format!("ssh-ed25519 {}\n", STANDARD.encode(blob(key)))
}

impl Order {
    fn action(&self) -> Action {
        let account = |name: &str| name.parse().unwrap();
        match *self {
            Self::Disable(name) => Action::DisableAccount {
                account: account(name),
            },
            Self::Key(key, of) => Action::RevokeKey {
                fingerprint: KeyFingerprint::from_bytes(*Digest::of(&blob(key)).as_bytes()),
                account: of.map(account),
            },
            Self::Group(name) => Action::RevokeGroup {
                account: account(name),
                group: "ops".parse().unwrap(),
                end_sessions: false,
            },
            Self::Sudo(name) => Action::RevokeSudo {
                account: account(name),
            },
        }
    }
}
