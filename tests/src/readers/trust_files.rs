//! Hosts, principals and names that sshd takes for an account: .rhosts and its like, .k5login,
//! .k5users, ssh_known_hosts, AuthorizedPrincipalsFile.

use rescind_agent::paths::principals;
use rescind_agent::sshd::k5login::{Principals, local_name};
use rescind_agent::sshd::known_hosts::{Knows, knows};
use rescind_agent::sshd::rhosts::{Rhosts, Who};

use super::told::lines_in;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "trust_files",
    read,
    words: &[
        "web1.example alice\n",
        "+ alice\n",
        "-web1.example\n",
        "+@farm -@crew\n",
        "NO_PLUS\n",
        "alice@EXAMPLE.ORG\n",
        "alice/admin@EXAMPLE.ORG /bin/ls *\n",
        "@cert-authority *.example ssh-ed25519 AAAA\n",
        "@revoked web1.example ssh-rsa AAAA\n",
        "|1|c2FsdA==|aGFzaA== ssh-rsa AAAA\n",
        "web1.example,!*.example,10.0.0.1 ssh-rsa AAAA\n",
        "[web1.example]:22",
        "command=\"/bin/x\",from=\"10.0.0.0/8\" alice\n",
        "no-pty\talice\n",
        "*",
        "@",
        "\x0b",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/sshd/rhosts.rs",
        "agent/src/sshd/k5login.rs",
        "agent/src/sshd/known_hosts.rs",
        "agent/src/paths/principals.rs",
        "agent/src/paths/ssh_hostbased.rs",
        "agent/src/paths/ssh_kerberos.rs",
    ],
};

fn read(bytes: &[u8]) {
    let lines = lines_in(bytes);
    let is_line = |line: u32| assert!((1..=lines).contains(&line), "line {line}");
    let hosts = Rhosts::parse(bytes.to_vec());
    assert_eq!(hosts.to_bytes(), bytes);
    let entries = hosts.entries();
    assert!(entries.is_sorted_by_key(|entry| entry.line));
    for entry in &entries {
        is_line(entry.line);
        for who in [Some(&entry.host), entry.user.as_ref()]
            .into_iter()
            .flatten()
        {
            let (Who::Named(name) | Who::NetGroup(name)) = who;
            assert!(!name.contains(&b'\n') && !name.contains(&0));
        }
    }
    principals_of(bytes, &is_line);
    let all = principals::parse(bytes);
    assert!(all.len() <= lines as usize);
    // A line more cannot make a host unknown.
    let before = knows(bytes, HOST);
    let more = [bytes, b"\nweb1.example ssh-ed25519 AAAA\n"].concat();
    assert_eq!(knows(&more, HOST), Knows::Yes, "after {before:?}");
}

const HOST: &[u8] = b"web1.example";

fn principals_of(bytes: &[u8], is_line: &dyn Fn(u32)) {
    let file = Principals::parse(bytes.to_vec());
    assert_eq!(file.to_bytes(), bytes);
    for (line, principal) in file.of_k5login() {
        is_line(line);
        assert!(!principal.contains(&b'\n'));
        if let Some(name) = local_name(principal) {
            assert!(principal.starts_with(name) && !name.is_empty());
        }
    }
    for (line, principal, _) in file.of_k5users() {
        is_line(line);
        assert!(!principal.iter().any(u8::is_ascii_whitespace));
    }
}
