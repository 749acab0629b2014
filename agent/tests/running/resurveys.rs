//! A survey of a host on which nothing has changed reads nothing of it; whatever changes, it finds.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use minicbor::Decode;
use notify::event::{AccessKind, EventKind};
use notify::{RecursiveMode, Watcher};
use rescind_protocol::cbor;
use rescind_protocol::frame::FrameBuffer;
use rescind_protocol::message::SectionDigest;

use crate::host::{Host, KEY};

const KEY_OF_SAME_LENGTH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// Changes younger than two seconds are not trusted, in whole seconds.
const SETTLED: Duration = Duration::from_millis(3200);

/// How a survey ended: what its last frame says.
#[derive(Debug, Default, Decode)]
#[cbor(map)]
struct End {
    #[n(0)]
    error: Option<String>,
    #[n(1)]
    not_kept: Option<String>,
    #[n(4)]
    unchanged: bool,
    #[n(5)]
    whole_because: Option<String>,
    #[n(6)]
    no_stamps: Option<String>,
}

/// Takes a survey in a process of its own, as the service does.
#[track_caller]
fn survey(root: &Path, options: &[&str]) -> (Vec<SectionDigest>, End) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind-agent"));
    let output = command
        .arg("__survey")
        .arg(root)
        .args(["all", "--no-pieces"])
        .args(options)
        .output()
        .unwrap();
    let mut digests = Vec::new();
    let (mut frames, mut bytes) = (FrameBuffer::default(), output.stdout.as_slice());
    while let Some(frame) = frames.read_from(&mut bytes).unwrap() {
        match frame.kind {
            1 => digests.push(cbor::from_slice(&frame.body).unwrap()),
            _ => {
                let end: End = cbor::from_slice(&frame.body).unwrap();
                assert_eq!((&end.error, &end.not_kept), (&None, &None));
                return (digests, end);
            }
        }
    }
    panic!("no end: {output:?}");
}

const WHOLE: &[&str] = &["--keep"];
const AGAIN: &[&str] = &["--keep", "--if-changed"];

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A host with something of everything. All files belong to who runs the tests.
fn sown() -> Host {
    let host = Host::new();
    let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
    let root = host.root.as_path();
    let names = ["alice", "bob", "carol"];
    let lines = names.map(|name| match name {
        // Rules say nothing of root, who may run the tests.
        "bob" => "bob:x:4242:4242::/home/bob:/bin/sh\n".to_owned(),
        name => format!("{name}:x:{uid}:{gid}::/home/{name}:/bin/sh\n"),
    });
    write(root, "etc/passwd", lines.concat());
    let lines = names.map(|name| format!("{name}:$6$a$b:19000:0:99999:7:::\n"));
    write(root, "etc/shadow", lines.concat());
    write(
        root,
        "etc/group",
        format!("staff:x:{gid}:\ndocker:x:990:\n"),
    );
    write(root, "etc/os-release", "PRETTY_NAME=\"Some 1\"\n");
    write(root, "etc/hostname", "some\n");
    write(root, "usr/sbin/sshd", "OpenSSH_9.2p1 Debian-2+deb12u3\0");
    write(
        root,
        "etc/ssh/sshd_config",
        "UsePAM yes\nInclude /etc/ssh/sshd_config.d/*.conf\n",
    );
    write(root, "etc/ssh/sshd_config.d/.keep", "");
    write(
        root,
        "etc/pam.d/sshd",
        "auth required pam_unix.so\naccount required pam_unix.so\n",
    );
    write(root, "usr/bin/sudo", "x\x001.9.13p3\0");
    fs::set_permissions(root.join("usr/bin/sudo"), Permissions::from_mode(0o4755)).unwrap();
    write(
        root,
        "etc/sudoers",
        "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n",
    );
    write(root, "etc/sudoers.d/.keep", "");
    write(
        root,
        "usr/sbin/cron",
        "libpam.so vixie-cron /var/spool/cron/crontabs\0",
    );
    write(root, "etc/cron.d/.keep", "");
    write(root, "usr/lib/systemd/systemd", "");
    write(root, "etc/systemd/system/.keep", "");
    write(root, "usr/lib/polkit-1/polkitd", "");
    write(root, "etc/polkit-1/rules.d/.keep", "");
    write(root, "home/alice/.ssh/authorized_keys", format!("{KEY}\n"));
    write(root, "home/bob/.keep", "");
    write(root, "home/carol/a", format!("{KEY}\n"));
    write(
        root,
        "home/carol/b",
        format!("{KEY} other\n{KEY_OF_SAME_LENGTH}\n"),
    );
    write(root, "home/carol/.ssh/.keep", "");
    symlink("../a", root.join("home/carol/.ssh/authorized_keys")).unwrap();
    for path in ["bin/sh", "etc/sudoers", "usr/sbin/sshd"] {
        let mode = if path == "etc/sudoers" { 0o440 } else { 0o755 };
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
    }
    host
}

/// Another content with all that a user can make the same.
fn in_place(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), text.len() as u64);
    fs::write(path, text).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
}

fn replace(root: &Path, path: &str, from: &str, to: &str) {
    let path = root.join(path);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, text.replace(from, to)).unwrap();
}

/// What somebody does, and a section in which it shows.
type Change = (&'static str, &'static str, fn(&Path));

const CHANGES: &[Change] = &[
    ("a key for another, in place", "ssh_keys", |root| {
        let keys = root.join("home/alice/.ssh/authorized_keys");
        in_place(&keys, &format!("{KEY_OF_SAME_LENGTH}\n"));
    }),
    ("a key file that was none", "ssh_keys", |root| {
        write(root, "home/bob/.ssh/authorized_keys", KEY);
    }),
    ("a second key file", "ssh_keys", |root| {
        write(root, "home/alice/.ssh/authorized_keys2", KEY);
    }),
    ("a key file goes", "ssh_keys", |root| {
        fs::remove_file(root.join("home/alice/.ssh/authorized_keys")).unwrap();
    }),
    ("a link leads elsewhere", "ssh_keys", |root| {
        let link = root.join("home/carol/.ssh/authorized_keys");
        fs::remove_file(&link).unwrap();
        symlink("../b", link).unwrap();
    }),
    ("what a link leads to, in place", "ssh_keys", |root| {
        in_place(
            &root.join("home/carol/a"),
            &format!("{KEY_OF_SAME_LENGTH}\n"),
        );
    }),
    (
        "another directory in the place of one",
        "ssh_keys",
        |root| {
            let ssh = root.join("home/alice/.ssh");
            fs::rename(&ssh, root.join("home/alice/old")).unwrap();
            write(root, "home/alice/.ssh/authorized_keys", KEY_OF_SAME_LENGTH);
        },
    ),
    ("a home that others may write to", "ssh_keys", |root| {
        fs::set_permissions(root.join("home/alice"), Permissions::from_mode(0o777)).unwrap();
    }),
    ("a drop-in of sshd", "ssh_keys", |root| {
        write(
            root,
            "etc/ssh/sshd_config.d/1.conf",
            "PubkeyAuthentication no\n",
        );
    }),
    ("another sshd", "host", |root| {
        write(root, "usr/sbin/sshd", "OpenSSH_9.6p1 Ubuntu-3ubuntu13\0");
    }),
    ("a drop-in of sudo", "sudo", |root| {
        write(root, "etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n");
    }),
    ("a table of cron", "deferred", |root| {
        write(root, "etc/cron.d/job", "* * * * * bob /bin/true\n");
    }),
    ("a crontab", "deferred", |root| {
        write(root, "var/spool/cron/crontabs/bob", "* * * * * /bin/true\n");
    }),
    ("a unit of the system's", "deferred", |root| {
        let unit =
            "[Service]\nUser=bob\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        write(root, "etc/systemd/system/x.service", unit);
    }),
    ("a unit of a user's", "deferred", |root| {
        let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=default.target\n";
        write(root, "home/bob/.config/systemd/user/x.service", unit);
        let wants = root.join("home/bob/.config/systemd/user/default.target.wants");
        fs::create_dir(&wants).unwrap();
        symlink("../x.service", wants.join("x.service")).unwrap();
    }),
    ("what PAM asks for sshd", "logins", |root| {
        write(
            root,
            "etc/pam.d/sshd",
            "auth required pam_deny.so\naccount required pam_deny.so\n",
        );
    }),
    ("an account", "accounts", |root| {
        let path = root.join("etc/passwd");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            path,
            format!("{text}dave:x:4243:4243::/home/dave:/bin/sh\n"),
        )
        .unwrap();
    }),
    ("a password is locked", "logins", |root| {
        replace(root, "etc/shadow", "bob:$6", "bob:!$6");
    }),
    ("an account expires", "logins", |root| {
        replace(
            root,
            "etc/shadow",
            "alice:$6$a$b:19000:0:99999:7:::",
            "alice:$6$a$b:19000:0:99999:7::1:",
        );
    }),
    ("a member of docker", "privileges", |root| {
        replace(root, "etc/group", "docker:x:990:", "docker:x:990:bob");
    }),
    ("the login shell goes", "ssh_keys", |root| {
        fs::remove_file(root.join("bin/sh")).unwrap();
    }),
    ("the login shell cannot be run", "ssh_keys", |root| {
        fs::set_permissions(root.join("bin/sh"), Permissions::from_mode(0o644)).unwrap();
    }),
    ("a rule of polkit", "privileges", |root| {
        let rule = "polkit.addRule(function(action, subject) {\n    if (subject.user == \"bob\") {\n        return polkit.Result.YES;\n    }\n});\n";
        write(root, "etc/polkit-1/rules.d/50-bob.rules", rule);
    }),
    ("a secret", "secrets", |root| {
        write(
            root,
            "home/bob/.netrc",
            "machine git.test login bob password cei7Aefai4eiCh\n",
        );
    }),
    ("a secret deeper down", "secrets", |root| {
        let secret = "[default]\naws_access_key_id = AKIAQ3EGPIF7YOXKDNWB\naws_secret_access_key = 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\n";
        write(root, "home/alice/.aws/credentials", secret);
    }),
    ("another name of the system", "host", |root| {
        write(root, "etc/os-release", "PRETTY_NAME=\"Some 2\"\n");
    }),
    ("another name", "host", |root| {
        write(root, "etc/hostname", "other\n")
    }),
    ("all of the host is moved, and comes back", "", |root| {
        // Nothing is another way then: that the survey is whole again is all.
        let ssh = root.join("home/alice/.ssh");
        let old = root.join("home/alice/old");
        fs::rename(&ssh, &old).unwrap();
        fs::rename(&old, &ssh).unwrap();
    }),
];

#[test]
fn what_changes_is_found_and_nothing_is_read_for_what_does_not() {
    let hosts: Vec<Host> = CHANGES.iter().map(|_| sown()).collect();
    for host in &hosts {
        // It makes the key of its fingerprints and its store.
        survey(&host.root, WHOLE);
    }
    std::thread::sleep(SETTLED);
    let mut wrong = Vec::new();
    for (host, (what, section, change)) in hosts.iter().zip(CHANGES) {
        let root = &host.root;
        let (whole, end) = survey(root, WHOLE);
        assert_eq!(end.no_stamps, None, "{what}");
        let opened = while_watched(root, || {
            let (same, end) = survey(root, AGAIN);
            assert!(end.unchanged, "{what}: {end:?}");
            assert_eq!(same, whole);
        });
        assert_eq!(opened, ["etc/hostname", "etc/os-release"], "{what}");

        change(root);
        let (again, end) = survey(root, AGAIN);
        assert!(!end.unchanged && end.whole_because.is_some(), "{what}");
        let (want, _) = survey(root, &[]);
        assert_eq!(again, want, "{what}");
        let digest = |of: &[SectionDigest]| {
            let mut of = of.iter().filter(|one| one.section.as_str() == *section);
            of.next().map(|one| one.digest)
        };
        if !section.is_empty() && digest(&whole) == digest(&again) {
            wrong.push(what);
        }
        // The host's names are asked for each time.
        if what.starts_with("another name") {
            continue;
        }
        // It was changed a moment ago: the next one is whole again, from doubt.
        assert!(end.no_stamps.is_some(), "{what}");
        let (_, end) = survey(root, AGAIN);
        assert!(!end.unchanged, "{what}");
    }
    assert!(wrong.is_empty(), "shows in no section: {wrong:?}");
}

/// The files below a directory that are opened while something is done, the agent's own left out.
fn while_watched(root: &Path, done: impl FnOnce()) -> Vec<String> {
    let (send, events) = channel();
    let mut watcher = notify::recommended_watcher(send).unwrap();
    watcher.watch(root, RecursiveMode::Recursive).unwrap();
    done();
    drop(watcher);
    let mut opened: Vec<String> = events
        .into_iter()
        .map(Result::unwrap)
        .filter(|event| matches!(event.kind, EventKind::Access(AccessKind::Open(_))))
        .flat_map(|event| event.paths)
        .filter(|path| path.is_file())
        .map(|path| path.strip_prefix(root).unwrap().display().to_string())
        .filter(|path| !path.starts_with("var/lib/rescind-agent/"))
        .collect();
    opened.sort_unstable();
    opened.dedup();
    opened
}

#[test]
fn what_is_over_by_itself_is_found() {
    let host = sown();
    let root = &host.root;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ends = now + Duration::from_secs(15);
    let text = utc(ends.as_secs());
    let line = format!("expiry-time=\"{text}Z\" {KEY}\n");
    write(root, "home/alice/.ssh/authorized_keys", line);
    survey(root, WHOLE);
    std::thread::sleep(SETTLED);
    let (whole, end) = survey(root, WHOLE);
    assert_eq!(end.no_stamps, None);
    assert!(survey(root, AGAIN).1.unchanged);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(ends.saturating_sub(now) + Duration::from_secs(1));
    let (again, end) = survey(root, AGAIN);
    assert_eq!(
        end.whole_because.as_deref(),
        Some("something that was said is over by now")
    );
    assert_ne!(whole, again);
}

/// `YYYYMMDDHHMMSS`.
fn utc(unix_s: u64) -> String {
    let output = Command::new("date")
        .args(["-u", "+%Y%m%d%H%M%S", "-d", &format!("@{unix_s}")])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn damaged_stamps_say_nothing() {
    let host = sown();
    let root = &host.root;
    survey(root, WHOLE);
    std::thread::sleep(SETTLED);
    survey(root, WHOLE);
    let stamps = root.join("var/lib/rescind-agent/survey.stamps");
    let whole = fs::read(&stamps).unwrap();
    for at in [0, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&stamps, bytes).unwrap();
        let (_, end) = survey(root, AGAIN);
        let why = end.whole_because.unwrap();
        assert_eq!(why, "the stamps of the survey before cannot be used");
    }
    fs::write(&stamps, &whole[..whole.len() - 9]).unwrap();
    assert!(!survey(root, AGAIN).1.unchanged);
    // The last one has left its own again.
    assert!(survey(root, AGAIN).1.unchanged);
}
