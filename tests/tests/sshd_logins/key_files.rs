//! Homes and key files: where they lie, whose they are, and what stands in them.

use super::credentials::Credentials;
use super::nodes::{Node, What};
use super::people::{ADMINS, Person};
use super::random::Random;

/// What stands before keys; `{us}` and `{other}` are the addresses that logins come from.
const OPTIONS: [&str; 31] = [
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
    "verify-required ",
    "no-touch-required,agent-forwarding ",
    "no-such-option ",
    "no-pty no-pty ",
    "command=\"never closed ",
    "permitopen=\"host:80\",tunnel=\"0\" ",
    "permitlisten=\"8080\",permitlisten=\"80x\" ",
    ",no-pty,, ",
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
    pub present: Vec<&'static str>,
}

/// The files of an account.
pub fn generate(random: &mut Random, person: &Person, credentials: &Credentials) -> Keys {
    let mut keys = Keys {
        nodes: Vec::new(),
        present: Vec::new(),
    };
    let Person {
        name, uid, home, ..
    } = *person;
    let odd = |random: &mut Random, usual: u32, odds: &[u32]| match random.chance(90) {
        true => usual,
        false => odds[random.below(odds.len())],
    };
    let mode = odd(random, 0o755, &[0o700, 0o775, 0o777, 0o555, 0o000]);
    let directory = |path: String, mode: u32| Node::directory(&path).of(uid, uid).mode(mode);
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
    for (place, percent) in at_home
        .iter()
        .chain(&elsewhere)
        .zip([90, 60, 35, 35, 70, 50, 50])
    {
        if random.chance(percent) {
            let from = keys.present.len();
            let text = lines(random, credentials, &mut keys.present);
            if place.ends_with(".ssh/authorized_keys") {
                // Where most configurations look.
                keys.present.extend_from_within(from..);
                keys.present.extend_from_within(from..);
            }
            let file = Node::file(place, text);
            let group = if random.chance(90) {
                uid
            } else {
                [ADMINS, 1001, 0, 50][random.below(4)]
            };
            let owner = if random.chance(92) {
                uid
            } else {
                [0, 0, 1001][random.below(3)]
            };
            let mode = odd(random, 0o600, &[0o644, 0o660, 0o664, 0o666, 0o000, 0o040]);
            keys.nodes.push(file.of(owner, group).mode(mode));
            if random.chance(6) {
                link_away(random, &mut keys.nodes, name);
            }
        }
    }
    if random.chance(60) {
        let text = random.pick(&[
            "alice\n",
            "admin\n",
            "# nobody\n",
            "  bob\n\talice # x\n",
            "no-pty admin\n",
            "root\nadmin\n",
        ]);
        let path = format!("/srv/principals/{name}");
        keys.nodes.push(Node::file(&path, text));
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

fn lines(
    random: &mut Random,
    credentials: &Credentials,
    present: &mut Vec<&'static str>,
) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..1 + random.below(7) {
        // Mostly such as every release takes.
        let at = [0, 0, 0, 1, 1, 2, 2, 3, 4, 4, 5][random.below(11)];
        let mut key = credentials.lines[at].clone();
        if random.chance(10) {
            key = credentials.authority.clone();
        } else {
            present.push(credentials.all[at].name);
        }
        match random.below(60) {
            0 => key = key.replacen(' ', "\t  ", 1),
            1 => key = key.replacen("ssh-rsa", "rsa-sha2-256", 1),
            2 => key = key.replacen("ssh-ed25519", "ssh-rsa", 1),
            3 => key.truncate(key.len() - 3),
            4 => key.insert(key.len() / 2, '\r'),
            5 => key = key.replacen("ssh-", "SSH-", 1),
            _ => {}
        }
        let before = match random.chance(80) {
            true => "",
            false => random.pick(&[" ", "\t", "#", "\r"]),
        };
        let options = match random.chance(50) {
            true => "",
            false => random.pick(&OPTIONS),
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
