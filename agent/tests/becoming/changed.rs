//! What others run or read, and who can change it. That everybody can is all that can be made here
//! without being root; owners, groups and lists are tested with the hosts.

use crate::files::Files;

const CRON: (&str, &str) = (
    "usr/sbin/cron",
    "libpam.so.0 INSECURE MODE (mode 0600 expected)",
);
const RUN: &str = "#!/bin/sh\n";

#[test]
fn jobs_of_cron() {
    let files = Files::with(&[
        CRON,
        (
            "etc/crontab",
            "PATH=/opt/tools:/usr/bin\n* * * * * root /opt/open/x\n* * * * * root cd /opt/sticky && ./x\n\
             * * * * * bob sh /opt/y\n* * * * * root tool\n* * * * * root run-parts /etc/cron.mine\n\
             * * * * * root tar cf /dev/null /opt/y\n",
        ),
        ("etc/cron.d/passed.over", "* * * * * root /opt/z\n"),
        ("opt/open/x", RUN),
        ("opt/sticky/x", RUN),
        ("opt/y", RUN),
        ("opt/z", RUN),
        ("usr/bin/tool", RUN),
        ("etc/cron.mine/plain", RUN),
        ("etc/cron.mine/with.dot", RUN),
        ("etc/cron.mine/not-executable", RUN),
    ]);
    for (path, mode) in [
        ("opt/open", 0o777),
        ("opt/sticky", 0o1777),
        ("opt/y", 0o646),
        ("opt/z", 0o666),
        ("etc/cron.mine/plain", 0o757),
        ("etc/cron.mine/with.dot", 0o777),
        ("etc/cron.mine/not-executable", 0o666),
    ] {
        files.mode(path, mode);
    }
    let sudoers = "bob ALL=NOPASSWD: ALL\n";
    files.write("etc/sudoers", sudoers);
    assert_eq!(
        files.explain("deploy"),
        [
            "it can change names in /opt/open, and with it what /opt/open/x is, and cron runs it as root [yes] /etc/crontab:2",
            "it can write to /etc/cron.mine/plain, and cron runs it as root [yes] /etc/crontab:6",
            "it can write to /opt/y, and cron runs it as bob [yes] /etc/crontab:4",
            "  may run any command as root, without a password [yes] /etc/sudoers:1",
        ]
    );
    // A directory of PATH before the program's own.
    std::fs::create_dir(files.0.join("opt/tools")).unwrap();
    files.mode("opt/tools", 0o777);
    let told = files.explain("deploy");
    assert!(
        told.contains(&"it can change names in /opt/tools, and with it what /opt/tools/tool is, and cron runs it as root [yes] /etc/crontab:5".to_owned()),
        "{told:?}"
    );
}

#[test]
fn programs_and_files_of_units() {
    let unit = |program: &str| format!("[Service]\nExecStart={program}\n");
    let files = Files::with(&[
        ("usr/lib/systemd/systemd", ""),
        ("etc/systemd/system/a.service", &unit("/opt/a --secret=x")),
        ("etc/systemd/system/t.service", &unit("/opt/t")),
        ("etc/systemd/system/t.timer", "[Timer]\nOnCalendar=daily\n"),
        (
            "etc/systemd/system/b.service",
            "[Service]\nUser=bob\nExecStart=/opt/b\nExecStartPre=+/opt/p\nEnvironmentFile=/etc/default/b\n",
        ),
        ("opt/a", RUN),
        ("opt/t", RUN),
        ("opt/b", RUN),
        ("opt/p", RUN),
        ("etc/default/b", "A=1\n"),
    ]);
    for name in ["a.service", "b.service"] {
        files.link(
            &format!("etc/systemd/system/multi-user.target.wants/{name}"),
            &format!("/etc/systemd/system/{name}"),
        );
    }
    files.link(
        "etc/systemd/system/timers.target.wants/t.timer",
        "/etc/systemd/system/t.timer",
    );
    for path in ["opt/a", "opt/t", "opt/b", "opt/p", "etc/default/b"] {
        files.mode(path, 0o757);
    }
    assert_eq!(
        files.explain("deploy"),
        [
            "it can write to /opt/t, and t.service runs it as root [yes] /etc/systemd/system/t.service:2",
            "it can write to /opt/a, and a.service runs it as root when it starts the next time [likely] /etc/systemd/system/a.service:2",
            "it can write to /opt/p, and b.service runs it as root when it starts the next time [likely] /etc/systemd/system/b.service:4",
        ]
    );
    files.write("etc/sudoers", "bob ALL=NOPASSWD: ALL\n");
    let told = files.explain("deploy");
    let bob = "it can write to /opt/b, and b.service runs it as bob when it starts the next time [likely] /etc/systemd/system/b.service:3";
    assert!(told.contains(&bob.to_owned()), "{told:?}");
}

#[test]
fn what_every_host_has() {
    let files = Files::with(&[("etc/pam.d/other", ""), ("home/bob/.profile", "")]);
    assert_eq!(files.explain("deploy"), [""; 0]);
    files.mode("etc/pam.d/other", 0o666);
    files.mode("etc/passwd", 0o666);
    assert_eq!(
        files.explain("deploy"),
        [
            "it can write to /etc/passwd, and with it says who is root [yes]",
            "it can write to /etc/pam.d/other, and what it says lets anybody in as root [yes]",
        ]
    );
    files.mode("etc/pam.d/other", 0o644);
    files.mode("etc/passwd", 0o644);
    files.mode("home/bob", 0o757);
    files.write("etc/sudoers", "bob ALL=NOPASSWD: ALL\n");
    let told = files.explain("deploy");
    assert_eq!(
        told[0],
        "it can change names in /home/bob, and the shell of bob runs it at login [likely]"
    );
    // Out of reach.
    files.mode("home", 0o700);
    assert_eq!(files.explain("deploy"), [""; 0]);
}

#[test]
fn programs_that_rules_name() {
    let files = Files::with(&[
        (
            "etc/sudoers",
            "deploy ALL=(root) NOPASSWD: /opt/deploy/run, /opt/fixed\nalice ALL=(root) NOPASSWD: /opt/fixed\n",
        ),
        ("opt/deploy/run", RUN),
        ("opt/fixed", RUN),
    ]);
    files.mode("opt/deploy/run", 0o757);
    let rule = "sudo lets it run /opt/deploy/run, /opt/fixed as root, without a password; it can write to /opt/deploy/run [yes] /etc/sudoers:1";
    assert_eq!(files.explain("deploy"), [rule]);
    assert_eq!(files.explain("alice"), [""; 0]);
}

#[test]
fn programs_that_act_as_their_owner() {
    let files = Files::with(&[
        ("usr/local/bin/bash5.2!", ""),
        ("usr/local/bin/odd!", ""),
        ("usr/bin/passwd!", ""),
        ("usr/local/bin/plain", ""),
    ]);
    if !rescind_agent::sys::ids::effective_uid().eq(&0) {
        return; // Whose they are is then nobody on that host.
    }
    assert_eq!(
        files.explain("deploy"),
        [
            "it can run /usr/local/bin/bash5.2, which acts as root (setuid) and starts what it is told [likely]",
            "it can run /usr/local/bin/odd, which acts as root (setuid) and is not known [unknown]",
        ]
    );
    files.mode("usr/local/bin/bash5.2", 0o4750);
    files.mode("usr/local/bin/odd", 0o4750);
    assert_eq!(files.explain("deploy"), [""; 0]);
}

#[test]
fn where_programs_could_not_be_looked_for() {
    let files = Files::with(&[("home/bob/.profile", "")]);
    assert_eq!(files.gaps("deploy"), [""; 0]);
    files.link("home/bob/bin", "bin");
    assert_eq!(
        files.gaps("deploy"),
        ["/home/bob/bin is reached through too many symbolic links, or a loop of them"]
    );
    for n in 0..4097 {
        files.write(&format!("tmp/{n}"), "");
    }
    assert!(
        files
            .gaps("deploy")
            .contains(&"/tmp holds more than 4096 names".into())
    );
}

#[test]
fn programs_of_rules_that_cannot_be_looked_at() {
    let files = Files::with(&[(
        "etc/sudoers",
        "deploy ALL=(root) NOPASSWD: /opt/loop/run, list\n",
    )]);
    files.link("opt/loop", "loop");
    assert_eq!(files.explain("deploy"), [""; 0]);
    assert_eq!(
        files.gaps("deploy"),
        ["/opt/loop/run is reached through too many symbolic links, or a loop of them"]
    );
    // What nobody is let do is not looked at.
    assert_eq!(files.gaps("alice"), [""; 0]);
}
