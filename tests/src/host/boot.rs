//! Switching a host on: its cable, its init, and the wait until it can be used.

use super::{Host, Release, Storage, files};
use crate::command::{run, wait_for};
use crate::preflight;
use crate::slot::Slot;
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A host takes a second or two to boot; a busy machine may need much longer.
const BOOT_PATIENCE: Duration = Duration::from_secs(90);

/// Says what a host shall be like before it is booted.
pub struct Builder {
    release: Release,
    storage: Storage,
    name: Option<String>,
    before_boot: Vec<(String, Vec<u8>)>,
}

impl Builder {
    pub(super) fn new(release: Release) -> Self {
        Self {
            release,
            storage: Storage::default(),
            name: None,
            before_boot: Vec::new(),
        }
    }

    /// How it gets its files.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Its host name; otherwise one that tells which test host it is.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// A file that lies there when it boots, mode 0644, root's; `path` is absolute.
    pub fn with_file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.before_boot
            .push((path.trim_start_matches('/').into(), bytes.into()));
        self
    }

    /// Boots it and waits until systemd is done and sshd answers.
    #[track_caller]
    pub fn boot(self) -> Host {
        if let Err(missing) = preflight::can_boot_hosts() {
            panic!("{missing}");
        }
        let slot = Slot::take();
        let name = self.name.unwrap_or_else(|| slot.name());
        let root = files::make(self.release, self.storage, &slot, &name);
        for (path, bytes) in self.before_boot {
            let path = root.join(path);
            let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
            if let Err(error) = parent.and_then(|()| fs::write(&path, bytes)) {
                panic!("could not write {}: {error}", path.display());
            }
        }
        let host = Host {
            release: self.release,
            slot,
            root,
            name,
            running: Mutex::new(None),
        };
        host.lay_cable();
        host.switch_on();
        host
    }
}

/// A host that is switched on.
pub(super) struct Running {
    /// The systemd-nspawn that holds it.
    pub nspawn: Child,
    /// Its PID 1, as numbered on this machine.
    pub init: u32,
}

impl Host {
    /// A network namespace with one veth pair that ends on this machine, and nothing else.
    #[track_caller]
    fn lay_cable(&self) {
        let (space, cable) = (self.slot.name(), self.slot.cable());
        let ours = format!("{}/24", self.slot.our_address());
        let theirs = format!("{}/24", self.slot.host_address());
        for words in [
            format!("netns add {space}"),
            format!("link add {cable} type veth peer name eth0 netns {space}"),
            format!("addr add {ours} dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {space} addr add {theirs} dev eth0"),
            format!("-n {space} link set eth0 up"),
            format!("-n {space} link set lo up"),
        ] {
            run(Command::new("ip").args(words.split(' '))).ok();
        }
    }

    /// Starts systemd-nspawn on the host's root and waits until the host can be used.
    #[track_caller]
    pub(super) fn switch_on(&self) {
        let log = self.slot.log();
        let output = match File::create(&log) {
            Ok(output) => output,
            Err(error) => panic!("could not write {}: {error}", log.display()),
        };
        let mut nspawn = match self.nspawn(output).spawn() {
            Ok(child) => child,
            Err(error) => panic!("could not start systemd-nspawn: {error}"),
        };
        let id = nspawn.id();
        let what = format!(
            "{} ({}) to boot, its console is {}",
            self.name,
            self.release,
            log.display()
        );
        let init = wait_for(&what, BOOT_PATIENCE, || {
            if let Ok(Some(status)) = nspawn.try_wait() {
                let console = fs::read_to_string(&log).unwrap_or_default();
                panic!("systemd-nspawn ended with {status}:\n{console}");
            }
            self.find_init(id)
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { nspawn, init });
        // `degraded` is booted too: which unit failed is for the test to look at.
        wait_for(&what, BOOT_PATIENCE, || {
            let state = self.run("systemctl is-system-running").text();
            matches!(state.as_str(), "running" | "degraded").then_some(())
        });
        wait_for(&format!("sshd of {what}"), BOOT_PATIENCE, || {
            self.greets().then_some(())
        });
    }

    /// systemd-nspawn in control groups of the slot's own: two systemds that shared one would end
    /// each other's services. The host sees cgroup v2 alone, as Debian has it since 11.
    fn nspawn(&self, output: File) -> Command {
        let cgroups = self.slot.cgroups();
        let mut script = String::from("set -e\n");
        for dir in &cgroups {
            let dir = dir.display();
            script += &format!("mkdir -p {dir}\necho $$ >{dir}/cgroup.procs\n");
        }
        script += "exec systemd-nspawn \"$@\"\n";
        let errors = output
            .try_clone()
            .map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = Command::new("setsid");
        command
            .args([
                "sh",
                "-c",
                &script,
                "sh",
                "--quiet",
                "--keep-unit",
                "--register=no",
            ])
            .args(["--resolv-conf=off", "--timezone=off", "--link-journal=no"])
            .arg(format!("--directory={}", self.root.display()))
            .arg(format!("--machine={}", self.slot.name()))
            .arg(format!("--hostname={}", self.name))
            .arg(format!(
                "--network-namespace-path=/run/netns/{}",
                self.slot.name()
            ))
            // A real host has it, and without it systemd cannot give a unit a network of its own.
            .arg("--capability=CAP_NET_ADMIN")
            .arg("--boot")
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors);
        command
    }

    /// The child of systemd-nspawn that has become the host's init: right after the start it still
    /// has this machine's root and must not be entered.
    fn find_init(&self, nspawn: u32) -> Option<u32> {
        let root = fs::metadata(&self.root).ok()?;
        children(nspawn).into_iter().find(|pid| {
            let process = Path::new("/proc").join(pid.to_string());
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            let same = fs::metadata(process.join("root"))
                .is_ok_and(|at| (at.dev(), at.ino()) == (root.dev(), root.ino()));
            same && name.trim_end() == "systemd"
        })
    }

    /// True when sshd says its name.
    fn greets(&self) -> bool {
        let address = (self.slot.host_address(), 22).into();
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
            return false;
        };
        let mut greeting = [0; 4];
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .is_ok()
            && stream.read_exact(&mut greeting).is_ok()
            && &greeting == b"SSH-"
    }
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

/// The fourth field of /proc/PID/stat, counted after the name, which may hold anything; proc(5).
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
    let fields = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    fields.split(' ').nth(1)?.parse().ok()
}
