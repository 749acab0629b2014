//! The rules of sudo as paths of an account.

use crate::files::Files;

#[track_caller]
fn check(sudoers: &str, account: &str, want: &[&str]) {
    let files = Files::with(&[("etc/sudoers", sudoers)]);
    assert_eq!(files.paths(account, "sudo"), want, "{sudoers}");
}

#[test]
fn rules_by_line_target_and_password() {
    check("", "alice", &[]);
    check(
        "Cmnd_Alias WEB = /bin/a, /bin/b -x *\n\
         %ops ALL=(ALL:ALL) NOPASSWD: ALL\n\
         deploy ALL=(svc-db) NOPASSWD: WEB, PASSWD: /usr/bin/vim\n\
         #60901 ALL=(ALL, !root) NOPASSWD: /bin/c\n\
         deploy ALL=NOPASSWD: sudoedit /etc/motd\n\
         deploy ALL=(nobody-there) NOPASSWD: ALL\n\
         bob ALL=ALL\nroot ALL=(ALL:ALL) ALL\n",
        "deploy",
        &[
            "open /etc/sudoers:2 sudo lets it run any command as anybody, without a password",
            "open /etc/sudoers:3 sudo lets it run /bin/a, /bin/b -x * as svc-db, without a password",
            "open /etc/sudoers:4 sudo lets it run /bin/c as anybody, not root, without a password",
            "open /etc/sudoers:5 sudo lets it run sudoedit /etc/motd as root, without a password",
            "closed /etc/sudoers:3 it asks for its password, and none can match",
            "closed /etc/sudoers:6 there is no such account to become",
        ],
    );
    check(
        "bob ALL=ALL\nroot ALL=(ALL) ALL\n",
        "bob",
        &["open /etc/sudoers:1 sudo lets it run any command as root, with its own password"],
    );
    check("root ALL=(ALL) ALL\n", "root", &[]);
}

#[test]
fn what_other_rules_take_away() {
    check(
        "deploy ALL=NOPASSWD: /bin/a, /bin/b\ndeploy ALL=!/bin/a\n\
         deploy ALL=NOPASSWD: /bin/c\ndeploy ALL=!/bin/c\n",
        "deploy",
        &[
            "open /etc/sudoers:1 sudo lets it run /bin/b as root, without a password",
            "closed /etc/sudoers:3 /etc/sudoers:4 forbids it again",
        ],
    );
    check(
        "deploy ALL=ALL\ndeploy ALL=NOPASSWD: ALL\n",
        "deploy",
        &["open /etc/sudoers:2 sudo lets it run any command as root, without a password"],
    );
    check(
        "deploy ALL=NOTAFTER=20010101000000Z NOPASSWD: ALL\n",
        "deploy",
        &["closed /etc/sudoers:1 the rule does not hold now"],
    );
    check(
        "Defaults rootpw\nbob ALL=ALL\n",
        "bob",
        &["closed /etc/sudoers:2 it asks for another's password, and none can match"],
    );
}

#[test]
fn what_is_not_known() {
    check(
        "+crew ALL=NOPASSWD: ALL\n",
        "bob",
        &[
            "unknown /etc/sudoers:1 what sudo lets it do is not certain: membership in netgroup +crew is not known",
        ],
    );
    let files = Files::with(&[
        ("etc/nsswitch.conf", "sudoers: files ldap\n"),
        ("etc/sudoers", "bob ALL=ALL\n@include /etc/more\n"),
        ("etc/elsewhere/more", ""),
    ]);
    std::os::unix::fs::symlink("more", files.0.join("etc/more")).unwrap();
    let told = files.paths("alice", "sudo");
    assert!(
        told.len() == 2
            && told[0].starts_with("unknown /etc/more what sudo grants is not known: /etc/more: ")
            && told[1]
                == "unknown /etc/nsswitch.conf what sudo grants is not known: sudo also takes rules from ldap",
        "{told:?}"
    );
}

#[test]
fn an_expired_account_gets_nothing_where_pam_is_asked() {
    let shadow = "bob:$1$saltsalt$9xy1btjgzLYfb7hivXtC//:19000:::::1:\nroot:!:1::::::\n";
    let rule = ("etc/sudoers", "bob ALL=NOPASSWD: ALL\n");
    let closed = "closed /etc/sudoers:1 the account is expired since day 1 (/etc/shadow:1)";
    let files = Files::with(&[rule, ("etc/shadow", shadow)]);
    assert_eq!(files.paths("bob", "sudo"), [closed]);
    // `sudo -i` asks as a service of its own.
    files.write("etc/pam.d/sudo-i", "account required pam_permit.so\n");
    assert_eq!(
        files.paths("bob", "sudo"),
        [
            "open /etc/sudoers:1 sudo lets it run any command as root, without a password; \
             PAM service sudo-i lets expired accounts pass (/etc/pam.d/sudo-i)"
        ]
    );
    files.write("etc/pam.d/sudo-i", "@include common\n");
    assert_eq!(files.paths("bob", "sudo"), [closed]);
    files.write(
        "etc/sudoers",
        "Defaults !pam_acct_mgmt\nbob ALL=NOPASSWD: ALL\n",
    );
    assert_eq!(
        files.paths("bob", "sudo"),
        ["open /etc/sudoers:2 sudo lets it run any command as root, without a password"]
    );
}

#[test]
fn programs_that_give_nothing() {
    let rule = ("etc/sudoers", "bob ALL=NOPASSWD: ALL\n");
    let files = Files::with(&[rule, ("usr/bin/sudo", "ELF\x00\x31.9.13p3\0")]);
    assert_eq!(
        files.paths("bob", "sudo"),
        ["closed /etc/sudoers:1 sudo gives nobody anything: the program is not setuid root"]
    );
    std::fs::remove_file(files.0.join("usr/bin/sudo")).unwrap();
    assert_eq!(files.paths("bob", "sudo"), [""; 0]);
}

#[test]
fn a_ticket_may_spare_the_password() {
    let files = Files::with(&[
        ("etc/sudoers", "alice ALL=ALL\n"),
        ("run/sudo/ts/alice", "a ticket"),
    ]);
    let spared = files.paths("alice", "sudo");
    assert_eq!(
        spared,
        [
            "unknown /etc/sudoers:1 a password given 0 minutes ago may still count (/run/sudo/ts/alice)"
        ]
    );
    files.write(
        "etc/sudoers",
        "Defaults timestamp_timeout=0\nalice ALL=ALL\n",
    );
    assert_eq!(
        files.paths("alice", "sudo"),
        ["closed /etc/sudoers:2 it asks for its password, and none can match"]
    );
}
