//! Hosts and Kerberos principals that sshd lets in as an account.

use crate::files::Files;

const SSHD: (&str, &str) = ("usr/sbin/sshd", "\0OpenSSH_9.2p1 Debian-2+deb12u3\0");
const KNOWN: (&str, &str) = (
    "etc/ssh/ssh_known_hosts",
    "web1,127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n",
);

#[test]
fn hosts_by_whose_word_users_get_in() {
    let config = "HostbasedAuthentication yes\nIgnoreRhosts no\nStrictModes no\nUsePAM yes\n";
    let files = Files::with(&[
        SSHD,
        KNOWN,
        ("etc/ssh/sshd_config", config),
        ("etc/hosts.equiv", "web1 carol\nweb2\n@farm\n"),
        ("home/bob/.shosts", "-web1 eve\nweb1 eve\nweb1 dave\n"),
        ("home/bob/.rhosts", "web3 dave\n"),
    ]);
    let of = |user: &str, host: &str| {
        format!("{user} of {host} is let in, if that host says so and proves itself")
    };
    assert_eq!(
        files.paths("bob", "ssh_hostbased"),
        [
            format!("open /etc/hosts.equiv:1 {}", of("carol", "web1")),
            format!("open /home/bob/.shosts:3 {}", of("dave", "web1")),
            "unknown /etc/hosts.equiv:3 who is in netgroup farm is not known".into(),
            "closed /etc/hosts.equiv:2 no key of web2 is known".into(),
            "closed /home/bob/.shosts:2 line 1 turns it away".into(),
            "closed /home/bob/.rhosts:1 no key of web3 is known".into(),
        ]
    );
    files.write(
        "etc/ssh/sshd_config",
        &config.replace("IgnoreRhosts no", "IgnoreRhosts shosts-only"),
    );
    let told = files.paths("bob", "ssh_hostbased");
    assert!(
        told.contains(
            &"closed /home/bob/.rhosts:1 IgnoreRhosts shosts-only (/etc/ssh/sshd_config:2)".into()
        ),
        "{told:?}"
    );
    files.write(
        "etc/ssh/sshd_config",
        &config.replace("IgnoreRhosts no\n", ""),
    );
    let told = files.paths("bob", "ssh_hostbased");
    let ignored = "closed /home/bob/.shosts:3 IgnoreRhosts yes";
    assert!(
        told.iter().any(|path| path.starts_with(ignored)),
        "{told:?}"
    );
    // The host's own files are not for root.
    assert_eq!(
        files.paths("root", "ssh_hostbased"),
        [
            "closed /etc/ssh/sshd_config:1 HostbasedAuthentication is on, but no file names a host for the account"
        ]
    );
    files.write("etc/ssh/sshd_config", "UsePAM yes\n");
    assert_eq!(files.paths("bob", "ssh_hostbased"), [""; 0]);
}

#[test]
fn this_host_is_one_of_them() {
    let files = Files::with(&[
        SSHD,
        KNOWN,
        (
            "etc/ssh/sshd_config",
            "HostbasedAuthentication yes\nUsePAM yes\n",
        ),
        ("etc/hosts.equiv", "127.0.0.1 deploy\nweb1 alice\n"),
        ("etc/ssh/ssh_config", "Host *\n  EnableSSHKeysign yes\n"),
        ("etc/sudoers", "bob ALL=NOPASSWD: ALL\n"),
    ]);
    assert_eq!(
        files.explain("deploy"),
        [
            "this host is trusted: deploy of 127.0.0.1 is let in, if that host says so and proves itself [yes] /etc/hosts.equiv:1",
            "  may run any command as root, without a password [yes] /etc/sudoers:1",
        ]
    );
    assert_eq!(files.explain("alice"), [""; 0]);
    files.write("etc/ssh/ssh_config", "Host *\n");
    assert_eq!(files.explain("deploy"), [""; 0]);
}

#[test]
fn kerberos_principals() {
    let files = Files::with(&[
        SSHD,
        (
            "etc/ssh/sshd_config",
            "GSSAPIAuthentication yes\nUsePAM yes\n",
        ),
        (
            "home/bob/.k5login",
            "deploy@EXAMPLE.ORG\nbob/admin@EXAMPLE.ORG\n",
        ),
        ("home/alice/.k5login", ""),
        ("etc/sudoers", "bob ALL=NOPASSWD: ALL\n"),
    ]);
    let who = "is let in, where the host accepts Kerberos";
    let told = files.paths("bob", "ssh_gssapi");
    assert!(
        told.len() == 2
            && told[0].ends_with(&format!("/home/bob/.k5login:1 deploy@EXAMPLE.ORG {who}"))
            && told[1].ends_with(&format!("/home/bob/.k5login:2 bob/admin@EXAMPLE.ORG {who}")),
        "{told:?}"
    );
    assert_eq!(
        files.paths("alice", "ssh_gssapi"),
        ["closed /home/alice/.k5login .k5login names nobody"]
    );
    assert_eq!(
        files.paths("deploy", "ssh_gssapi"),
        [format!(
            "unknown /etc/ssh/sshd_config:1 deploy of the host's realm {who}"
        )]
    );
    let told = files.explain("deploy");
    assert!(
        told[0].starts_with(&format!("deploy@EXAMPLE.ORG {who} [unknown]")),
        "{told:?}"
    );
}

#[test]
fn what_is_not_known_of_those_who_vouch() {
    let files = Files::with(&[
        SSHD,
        KNOWN,
        (
            "etc/ssh/sshd_config",
            "HostbasedAuthentication yes\nGSSAPIAuthentication yes\nUsePAM yes\n",
        ),
        ("etc/hosts.equiv", "127.0.0.1 @ops\n@farm deploy\n"),
        ("etc/ssh/ssh_config", "EnableSSHKeysign = \"yes\"\n"),
        ("etc/ssh/ssh_config.d/a.conf", ""),
        ("etc/hostname", "web1\n"),
        ("home/bob/.bashrc", ""),
    ]);
    let netgroups = [
        "/etc/hosts.equiv: who is in netgroup farm is not known",
        "/etc/hosts.equiv: who is in netgroup ops is not known",
    ];
    assert_eq!(files.gaps("deploy"), netgroups);
    for path in [
        "etc/hosts",
        "etc/ssh/ssh_config.d/b.conf",
        "home/bob/.k5login",
    ] {
        files.link(path, &format!("/{path}"));
    }
    let gaps = files.gaps("deploy");
    // That the host signs is known already from another file.
    for gap in ["\"/etc/hosts\" cannot be read", "/home/bob/.k5login: "] {
        assert!(gaps.iter().any(|told| told.starts_with(gap)), "{gaps:?}");
    }
    files.write("etc/ssh/ssh_config", "");
    let gaps = files.gaps("deploy");
    let gap = "\"/etc/ssh/ssh_config.d/b.conf\" cannot be read";
    assert!(gaps.iter().any(|told| told.starts_with(gap)), "{gaps:?}");
    // What a comment says is no setting.
    files.write(
        "etc/ssh/sshd_config",
        "#HostbasedAuthentication yes\nUsePAM yes\n",
    );
    assert_eq!(files.gaps("deploy"), [""; 0]);
    files.write("etc/ssh/sshd_config", "PermitRootLogin perhaps\n");
    let gaps = files.gaps("deploy");
    assert!(gaps[0].starts_with("/etc/ssh/sshd_config:1"), "{gaps:?}");
}
