//! Homes and key files: where they lie, whose they are, and what stands in them.

use rescind_tests::readers::random::Random;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::credentials::Credentials;
use super::nodes::{Node, What};
use super::people::{ADMINS, Person};

/// What stands before keys; `{us}` and `{other}` are the addresses that logins come from.
const OPTIONS: [&str; 40] = [
    "no-pty ",
    "restrict ",
    "restrict,pty ",
    "NO-PTY,X11-forwarding ",
    "command=\"echo \\\"hi, there\\\"\" ",
    "command=\"true\",no-pty\t",
    "restrict,command=\"true\" ",
    "environment=\"A=b # c\" ",
    "from=\"{us}\" ",
    "from=\"10.0.0.0/8,!{us}\" ",
    "from=\"10.77.*\"  ",
    "from=\"10.0.0.1/8\" ",
    "from=\"*,!{other}\" ",
    "from=\"\" ",
    "from=\"host.example.com,{other}\" ",
    "expiry-time=\"20200101\" ",
    "expiry-time=\"20990101\" ",
    "expiry-time=\"209901011200Z\" ",
    "expiry-time=\"202001011200\",expiry-time=\"20990101\" ",
    "expiry-time=\"2099\" ",
    "principals=\"alice\" ",
    "cert-authority ",
    "cert-authority,principals=\"x,admin\" ",
    "cert-authority ",
    "cert-authority ",
    "cert-authority,command=\"true\" ",
    "cert-authority,command=\"/bin/true\",no-pty ",
    "cert-authority,from=\"{us}\" ",
    "CERT-authority,principals=\"root,,alice\" ",
    "cert-authority,expiry-time=\"20200101\" ",
    "from=\"rescind.test\" ",
    "from=\"*.example.org,192.0.2.1\" ",
    "verify-required ",
    "no-touch-required,agent-forwarding ",
    "no-such-option ",
    "no-pty no-pty ",
    "command=\"never closed ",
    "permitopen=\"host:80\",tunnel=\"0\" ",
    "permitlisten=\"8080\",permitlisten=\"80x\" ",
    ",no-pty,, ",
];

/// A key of a type that nobody knows: its blob begins with `ssh-new@example.com`.
const UNKNOWN_BLOB: &str = "AAAAE3NzaC1uZXdAZXhhbXBsZS5jb20AAAAEAQIDBA==";

/// Lines of principals files.
const PRINCIPALS: [&str; 26] = [
    "alice\n",
    "alice\n",
    "admin\n",
    "bob\nroot\n",
    "# nobody\n",
    "  bob\n\talice # x\n",
    "no-pty admin\n",
    "root\nadmin\n",
    "admin\r\n",
    "alice\0\n",
    "no-such admin\n",
    "bob alice\n",
    "command=\"true\" alice\n",
    "command=\"/bin/true\" root\n",
    "no-pty,command=\"echo hi there\"  admin\t\n",
    "restrict\troot\n",
    "from=\"{us}\" alice\n",
    "from=\"!{us},*\" alice\nalice\n",
    "from=\"other.example.org\" root\n",
    "expiry-time=\"20200101\" alice\n",
    "expiry-time=\"20990101Z\" admin\n",
    "cert-authority alice\n",
    "principals=\"alice\" bob\n",
    "al*\n",
    "ALICE\n",
    "admin,alice\n",
];

/// The places of an account's key files, besides those of its home: `%u` and `%U` are expanded.
const ELSEWHERE: [&str; 3] = ["/srv/keys/%u", "/srv/by-uid/%U", "/etc/ssh/keys/%u.pub"];
const AT_HOME: [&str; 4] = [
    ".ssh/authorized_keys",
    ".ssh/authorized_keys2",
    "keys",
    ".config/ssh/keys",
];

/// The names of the credentials whose keys an account has somewhere, besides the nodes.
pub struct Keys {
    pub nodes: Vec<Node>,
    /// Those in files that the configuration names stand here several times.
    pub present: Vec<&'static str>,
}

/// What the configuration of a host says, as far as files are made for it.
pub struct Wanted {
    /// Whether it names each of [`AT_HOME`] and [`ELSEWHERE`].
    pub places: [bool; 7],
    /// Keys in a hundred that are those of CAs.
    pub authorities: usize,
}

impl Wanted {
    pub fn by(config: &[Node], authorities: usize) -> Self {
        let says = |text: &str| config.iter().any(|node| node.says(text));
        let is_usual = !says("AuthorizedKeysFile");
        Self {
            places: [
                is_usual || says(".ssh/authorized_keys"),
                is_usual || says("authorized_keys2"),
                says("AuthorizedKeysFile keys"),
                says(".config/ssh/keys"),
                says("keys/%u"),
                says("by-uid/%U"),
                says("keys/%u.pub"),
            ],
            authorities,
        }
    }
}

/// The files of an account.
pub fn generate(
    random: &mut Random,
    person: &Person,
    wanted: &Wanted,
    credentials: &Credentials,
) -> Keys {
    let mut keys = Keys {
        nodes: Vec::new(),
        present: Vec::new(),
    };
    let Person {
        name,
        uid,
        gid,
        home,
        ..
    } = *person;
    let odd = |random: &mut Random, usual: u32, odds: &[u32]| match random.chance(90) {
        true => usual,
        false => odds[random.below(odds.len())],
    };
    let mode = odd(random, 0o755, &[0o700, 0o775, 0o777, 0o555, 0o000]);
    let directory = |path: String, mode: u32| Node::directory(&path).of(uid, gid).mode(mode);
    keys.nodes.push(directory(home.into(), mode));
    let owner = if random.chance(95) {
        uid
    } else {
        random.below(2) as u32 * 1001
    };
    let mode = odd(random, 0o700, &[0o755, 0o770, 0o777, 0o500, 0o600]);
    let mut ssh = format!("{home}/.ssh");
    if random.chance(8) {
        let elsewhere = format!("/srv/homes/{name}");
        keys.nodes.push(Node::link(&ssh, &elsewhere).of(uid, uid));
        ssh = elsewhere;
    }
    keys.nodes.push(directory(ssh.clone(), mode).of(owner, uid));
    for below in [".config", ".config/ssh"] {
        keys.nodes.push(directory(format!("{home}/{below}"), 0o755));
    }
    let elsewhere =
        ELSEWHERE.map(|place| place.replace("%u", name).replace("%U", &uid.to_string()));
    let at_home = AT_HOME.map(|place| match place.strip_prefix(".ssh") {
        Some(file) => format!("{ssh}{file}"),
        None => format!("{home}/{place}"),
    });
    for (place, is_wanted) in at_home.iter().chain(&elsewhere).zip(wanted.places) {
        if random.chance(if is_wanted { 85 } else { 35 }) {
            let from = keys.present.len();
            let text = lines(random, wanted.authorities, credentials, &mut keys.present);
            for _ in 0..if is_wanted { 3 } else { 0 } {
                keys.present.extend_from_within(from..);
            }
            let file = Node::file(place, text);
            let group = if random.chance(90) {
                gid
            } else {
                [ADMINS, 1001, 0, 50][random.below(4)]
            };
            let owner = if random.chance(92) {
                uid
            } else {
                [0, 0, 1001][random.below(3)]
            };
            let mut mode = odd(random, 0o600, &[0o644, 0o660, 0o664, 0o666, 0o000, 0o040]);
            if group == 1001 && uid != 1001 {
                // Debian's sshd would stop in the middle of passwd and go on from there at the next
                // file: what comes of that depends on how often it is asked.
                mode &= !0o020;
            }
            keys.nodes.push(file.of(owner, group).mode(mode));
            if random.chance(6) {
                link_away(random, &mut keys.nodes, name);
            }
        }
    }
    for (place, percent) in [
        (format!("/srv/principals/{name}"), 75),
        (format!("{ssh}/principals"), 50),
        (format!("/srv/by-uid/principals-{uid}"), 50),
    ] {
        if random.chance(percent) {
            let text: String = (0..1 + random.below(3))
                .map(|_| random.pick(&PRINCIPALS))
                .collect();
            let owner = if random.chance(95) { uid } else { 1001 };
            let mode = odd(random, 0o644, &[0o600, 0o666, 0o664, 0o000]);
            keys.nodes
                .push(Node::file(&place, text).of(owner, uid).mode(mode));
        }
    }
    keys
}

/// Puts the last file somewhere else and a link in its place.
fn link_away(random: &mut Random, nodes: &mut Vec<Node>, name: &str) {
    let Some(mut file) = nodes.pop() else { return };
    let link = std::mem::replace(
        &mut file.path,
        format!("/srv/linked/{name}-{}", nodes.len()),
    );
    let to = match random.below(8) {
        0 => "/srv/linked/nowhere".into(),
        1 => link.clone(),
        2 => "/srv/linked".into(),
        _ => file.path.clone(),
    };
    let owner = file.uid;
    nodes.push(file);
    nodes.push(Node::link(&link, &to).of(owner, owner));
}

/// A key line with another name for its type inside of its blob.
fn called(line: &str, name: &str) -> String {
    let (kind, base64) = line.split_once(' ').unwrap();
    let blob = STANDARD.decode(base64).unwrap();
    let rest = &blob[4 + kind.len()..];
    let length = u32::try_from(name.len()).unwrap().to_be_bytes();
    let blob = [&length, name.as_bytes(), rest].concat();
    format!("{kind} {}", STANDARD.encode(blob))
}

fn lines(
    random: &mut Random,
    authorities: usize,
    credentials: &Credentials,
    present: &mut Vec<&'static str>,
) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..1 + random.below(7) {
        // Mostly such as every release takes.
        let at = [0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5][random.below(11)];
        let mut key = credentials.lines[at].clone();
        let is_authority = random.chance(authorities);
        if is_authority {
            let authorities = &credentials.authorities;
            key = authorities[[0, 0, 0, 1, 2][random.below(5)]].clone();
        } else {
            present.push(credentials.all[at].name);
        }
        match random.below(70) {
            0 => key = key.replacen(' ', "\t  ", 1),
            1 => key = key.replacen("ssh-rsa", "rsa-sha2-256", 1),
            2 => key = key.replacen("ssh-ed25519", "ssh-rsa", 1),
            3 => key.truncate(key.len() - 3),
            4 => key.insert(key.len() / 2, '\r'),
            5 => key = key.replacen("ssh-", "SSH-", 1),
            6 => key = format!("ssh-new@example.com {}", &UNKNOWN_BLOB),
            7 => key = key.replacen(' ', "\u{b}", 1),
            8 => key = called(&key, random.pick(&["RSA", "ed25519", "ecdsa", "DSA"])),
            9 => key = called(&key, "rsa-sha2-512"),
            10 => key = key.trim_end_matches('=').to_owned(),
            11 => key = called(&key, "ssh-rsa\0"),
            _ => {}
        }
        let before = match random.chance(80) {
            true => "",
            false => random.pick(&[" ", "\t", "#", "\r"]),
        };
        let options = match random.below(100) {
            _ if is_authority && random.chance(75) => OPTIONS[21 + random.below(9)],
            0..50 => "",
            _ => random.pick(&OPTIONS),
        };
        let behind = random.pick(&[
            "\n",
            "\n",
            " me\n",
            " me\n",
            "\r\n",
            " a b \t\n",
            "\0x\n",
            " \u{fc}\n",
            "\n\n# c\n",
        ]);
        text.extend_from_slice([before, options, &key, behind].concat().as_bytes());
    }
    if random.chance(10) {
        text.pop();
    }
    text
}

/// Replaces the names of addresses in what files say.
pub fn fill_in(nodes: &mut [Node], addresses: &[(&str, &str)]) {
    for node in nodes {
        let What::File(bytes) = &mut node.what else {
            continue;
        };
        // Key files are not UTF-8 throughout, but what is replaced is ASCII.
        for (name, address) in addresses {
            let mut out = Vec::with_capacity(bytes.len());
            let mut rest = bytes.as_slice();
            while let Some(at) = rest.windows(name.len()).position(|w| w == name.as_bytes()) {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(address.as_bytes());
                rest = &rest[at + name.len()..];
            }
            out.extend_from_slice(rest);
            *bytes = out;
        }
    }
}
