//! A host in a directory: what its files say, found where the daemons would find it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::rc::Rc;

use rescind_protocol::path::Mechanism;

use super::*;
use crate::home::HomeChild;
use crate::host::root::HostRoot;

/// Later than anything here was made, so that all of it counts as settled.
const NOW: i64 = 4_000_000_000;

struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("rescind-acting-{name}-{}", std::process::id()));
        let files = Self(path);
        files.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
        );
        files.write("etc/shadow", "alice:$6$h:20000::::::\n");
        files.write("etc/group", "docker:x:99:alice\n");
        files.write("usr/lib/systemd/systemd", "");
        files
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn link(&self, path: &str, to: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    /// What is told of alice by one mechanism; her home is not looked at.
    fn told(&self, memory: &mut Memory, mechanism: Mechanism) -> Vec<String> {
        let root = Rc::new(HostRoot::at(&self.0).unwrap());
        let accounts = Rc::new(Accounts::load(&root).unwrap());
        let child = || {
            let dir = root.dir_fd().try_clone_to_owned().unwrap();
            HomeChild::with_program(dir, Path::new("/bin/false"))
        };
        let (mut homes, mut ahead) = (child(), child());
        let (root, accounts) = (Rc::clone(&root), Rc::clone(&accounts));
        let mut files = UserFiles::new(
            &mut homes,
            &mut ahead,
            Rc::clone(&root),
            Rc::clone(&accounts),
        );
        let acting = Acting::read(&root, memory, &accounts, &mut files, NOW);
        let alice = accounts.by_name(&"alice".parse().unwrap()).unwrap();
        let paths = acting.paths(&alice, &root, &accounts, &mut files, 20_100);
        let paths = paths.into_iter().filter(|path| path.mechanism == mechanism);
        paths
            .map(|path| {
                let source = path.source.unwrap();
                let line = source
                    .line
                    .map_or_else(String::new, |line| format!(":{line}"));
                format!("{:?} {}{line} {}", path.state, source.file, path.reason)
            })
            .collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn cron_and_at() {
    let files = Files::new("jobs");
    files.write(
        "usr/sbin/cron",
        "libpam.so.0 INSECURE MODE (mode 0600 expected)",
    );
    files.write("usr/sbin/atd", "no more than that");
    files.write("etc/pam.d/cron", "@include common-account\n");
    files.write("etc/pam.d/common-account", "account required pam_unix.so\n");
    files.write("etc/crontab", "* * * * * root x\n@daily alice y\n");
    files.write("etc/cron.d/job.bak", "* * * * * alice x\n");
    files.write("etc/cron.d/job", "* * * * * bob x\n");
    files.write("var/spool/cron/crontabs/alice", "@reboot x\n");
    files.write("var/spool/cron/alice", "@daily not Debian's\n");
    files.write("var/spool/cron/atjobs/a0000101c89a7c", "");
    files.write("var/spool/cron/atjobs/.SEQ", "1");
    let mut memory = Memory::default();
    // Whose file it is depends on who runs the tests: that is what the table is refused for.
    let told = files.told(&mut memory, Mechanism::Crontab);
    let sources: Vec<&str> = told
        .iter()
        .filter_map(|path| path.split(' ').nth(1))
        .collect();
    assert_eq!(sources.len(), 3, "{told:?}");
    for source in [
        "/etc/crontab:2",
        "/etc/cron.d/job.bak:1",
        "/var/spool/cron/crontabs/alice:1",
    ] {
        assert!(sources.contains(&source), "{told:?}");
    }
    assert_eq!(files.told(&mut memory, Mechanism::AtJob), [""; 0]);
    files.write("etc/shadow", "alice:!$6$h:20000:::::1:\n");
    let closed = files.told(&mut memory, Mechanism::Crontab);
    assert!(
        closed
            .iter()
            .all(|path| path.starts_with("Closed") && path.contains("day 1")),
        "{closed:?}"
    );
}

#[test]
fn units_are_read_anew_when_they_change_and_only_then() {
    let files = Files::new("units");
    let unit = |user: &str| format!("[Service]\nUser={user}\n");
    files.write("usr/lib/systemd/system/a.service", &unit("alice"));
    files.write("usr/lib/systemd/system/b.service", &unit("bobby"));
    files.write("usr/lib/systemd/system/m.service", &unit("alice"));
    files.write("usr/lib/systemd/system/d.service", &unit("alice"));
    files.write(
        "usr/share/dbus-1/system-services/x.service",
        "[D-BUS Service]\nName=x\nSystemdService=dbus-x.service\n",
    );
    files.write("opt/own.service", &unit("alice"));
    files.link("etc/systemd/system/own.service", "../../../opt/own.service");
    files.link("etc/systemd/system/m.service", "/dev/null");
    files.link("etc/systemd/system/gone.service", "/opt/gone.service");
    files.link(
        "etc/systemd/system/dbus-x.service",
        "/usr/lib/systemd/system/d.service",
    );
    files.link("lib", "usr/lib");
    for name in ["a", "b", "m", "own", "gone"] {
        let link = format!("etc/systemd/system/multi-user.target.wants/{name}.service");
        files.link(&link, &format!("/somewhere/{name}.service"));
    }
    let mut memory = Memory::default();
    let told = |memory: &mut Memory| files.told(memory, Mechanism::SystemdUnit);
    let how = "runs as the account, enabled for multi-user.target in /etc/systemd/system";
    let dbus = "/usr/share/dbus-1/system-services/x.service";
    let first = [
        format!("Open /usr/lib/systemd/system/a.service:2 a.service {how}"),
        format!(
            "Open /usr/lib/systemd/system/d.service:2 d.service runs as the account, started over \
             D-Bus ({dbus})"
        ),
        format!("Open /etc/systemd/system/own.service:2 own.service {how}"),
    ];
    assert_eq!(told(&mut memory), first);
    assert_eq!(told(&mut memory), first);

    // In place, to the same length: nothing but its own times tells.
    files.write("usr/lib/systemd/system/b.service", &unit("alice"));
    let b = format!("Open /usr/lib/systemd/system/b.service:2 b.service {how}");
    assert!(told(&mut memory).contains(&b));
    files.write("usr/lib/systemd/system/b.service.d/x.conf", &unit("carol"));
    assert!(!told(&mut memory).contains(&b));
    files.link("etc/systemd/system/b.service.d/x.conf", "/dev/null");
    assert!(told(&mut memory).contains(&b));
    fs::remove_file(
        files
            .0
            .join("etc/systemd/system/multi-user.target.wants/b.service"),
    )
    .unwrap();
    let off =
        "Closed /usr/lib/systemd/system/b.service:2 b.service is not enabled, only root starts it";
    assert_eq!(told(&mut memory).last().map(String::as_str), Some(off));
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let files = Files::new("gaps");
    fs::create_dir_all(files.0.join("etc/systemd/system")).unwrap();
    files.link("etc/systemd/system/loop.service", "/opt/loop.service");
    files.link("opt/loop.service", "loop.service");
    files.link("etc/cron.d", "cron.d");
    let mut memory = Memory::default();
    for (mechanism, source) in [
        (Mechanism::SystemdUnit, "/etc/systemd/system/loop.service"),
        (Mechanism::Crontab, "/etc/cron.d"),
        // The child that reads homes fails here.
        (Mechanism::SystemdUserUnit, "/home/alice/.config/systemd"),
    ] {
        let told = files.told(&mut memory, mechanism);
        let unknown = format!("Unknown {source} ");
        let manager = format!("Closed {source} no manager can be started");
        assert!(
            told.iter()
                .any(|p| p.starts_with(&unknown) || p.starts_with(&manager)),
            "{told:?}"
        );
    }
    let docker = files.told(&mut memory, Mechanism::RootEquivalentGroup);
    assert_eq!(docker.len(), 1);
}
