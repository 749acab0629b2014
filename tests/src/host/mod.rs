//! A host: a whole Debian in a namespace of its own, with systemd as PID 1.

mod boot;
mod files;
mod power;
mod release;

pub use boot::Builder;
pub use files::{CONTROL_NAME, Storage};
pub use release::Release;

use crate::command::{PATIENCE, Ran, run, run_with};
use crate::slot::Slot;
use boot::Running;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A booted Debian of its own. Dropping it ends its processes and removes all it left here.
pub struct Host {
    release: Release,
    slot: Slot,
    root: PathBuf,
    name: String,
    running: Mutex<Option<Running>>,
}

impl Host {
    /// Boots a throw-away host and waits until its sshd answers.
    #[track_caller]
    pub fn boot(release: Release) -> Self {
        Builder::new(release).boot()
    }

    /// For a host that is not the usual one, see [`Builder`].
    pub fn of(release: Release) -> Builder {
        Builder::new(release)
    }

    /// Its Debian release.
    pub fn release(&self) -> Release {
        self.release
    }

    /// Its host name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, as seen from this machine.
    pub fn address(&self) -> Ipv4Addr {
        self.slot.host_address()
    }

    /// The address under which it finds this machine, and a control plane running here.
    pub fn our_address(&self) -> Ipv4Addr {
        self.slot.our_address()
    }

    /// Its root directory as it lies on this machine, whether it runs or not. Symbolic links in it
    /// lead out of it: read with [`Host::read_file`] what users of the host may have touched.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The process on this machine that is the host's PID 1.
    #[track_caller]
    pub fn init_pid(&self) -> u32 {
        match &*self.running() {
            Some(running) => running.init,
            None => panic!("{} is switched off", self.name),
        }
    }

    /// The main process of a service of its systemd, as this machine numbers it, once it runs.
    #[track_caller]
    pub fn main_process(&self, unit: &str) -> u32 {
        let asked = format!("systemctl show --property MainPID --value {unit}");
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(&self.init_pid().to_string());
        crate::command::wait_for(
            &format!("{unit} on {}", self.name),
            Duration::from_secs(30),
            || {
                let inside = self.run(&asked).ok().text();
                let all = std::fs::read_dir("/proc").ok()?;
                all.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .filter(|pid| namespace(pid).is_some_and(|found| Some(found) == ours))
                    .find(|pid| {
                        // NSpid of proc(5): the ids in all namespaces, the innermost last.
                        let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
                        let status = status.unwrap_or_default();
                        let mut lines = status.lines();
                        let ids = lines.find_map(|line| line.strip_prefix("NSpid:"));
                        ids.and_then(|ids| ids.split_whitespace().last()) == Some(&*inside)
                    })?
                    .parse()
                    .ok()
            },
        )
    }

    /// Runs a shell command as root inside and waits for its end.
    #[track_caller]
    pub fn run(&self, command: &str) -> Ran {
        self.run_with(command, &[])
    }

    /// The same with bytes on its standard input.
    #[track_caller]
    pub fn run_with(&self, command: &str, input: &[u8]) -> Ran {
        let mut ran = run_with(
            &mut self.enter(&["/bin/sh", "-c", command]),
            input,
            PATIENCE,
        );
        ran.what = format!("{}# {command}", self.name);
        ran
    }

    /// A command that will run inside as root, with a clean environment: for those who want its
    /// pipes or keep it running.
    #[track_caller]
    pub fn enter(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .args(["--target", &self.init_pid().to_string(), "--all", "--"])
            .args(words);
        command
    }

    /// The bytes of a file inside.
    #[track_caller]
    pub fn read_file(&self, path: &str) -> Vec<u8> {
        run(&mut self.enter(&["/bin/cat", "--", path])).ok().stdout
    }

    /// Writes a file inside, in place; `mode` as in chmod(1). Its owner stays, or is root.
    #[track_caller]
    pub fn write_file(&self, path: &str, bytes: &[u8], mode: &str) {
        let script = r#"cat >"$1" && chmod "$2" "$1""#;
        let words = ["/bin/sh", "-c", script, "sh", path, mode];
        run_with(&mut self.enter(&words), bytes, PATIENCE).ok();
    }

    /// Copies a file of this machine into the host.
    #[track_caller]
    pub fn push_file(&self, from: &Path, path: &str, mode: &str) {
        match std::fs::read(from) {
            Ok(bytes) => self.write_file(path, &bytes, mode),
            Err(error) => panic!("could not read {}: {error}", from.display()),
        }
    }

    /// Installs or upgrades a package with dpkg.
    #[track_caller]
    pub fn install_deb(&self, deb: &Path) -> Ran {
        self.push_file(deb, "/var/tmp/package.deb", "0644");
        let ran = self.run("DEBIAN_FRONTEND=noninteractive dpkg --install /var/tmp/package.deb");
        self.run("rm /var/tmp/package.deb").ok();
        ran
    }

    /// Installs doas(1) and polkit(8), as tests/setup/fetch-debs.sh has fetched them.
    #[track_caller]
    pub fn install_doas_and_polkit(&self) {
        self.install_fetched("");
    }

    /// Installs dropbear(8) and newuidmap(1), likewise.
    #[track_caller]
    pub fn install_dropbear_and_uidmap(&self) {
        self.install_fetched("-ways");
    }

    /// Installs a name service that has its accounts elsewhere (libnss-extrausers), likewise.
    #[track_caller]
    pub fn install_another_name_service(&self) {
        self.install_fetched("-directory");
    }

    #[track_caller]
    fn install_fetched(&self, which: &str) {
        let debs = std::env::var_os("RESCIND_DEBS")
            .map_or("/var/cache/rescind-tests/debs".into(), PathBuf::from);
        let dir = debs.join(format!("{}{which}", self.release.name()));
        let Ok(found) = std::fs::read_dir(&dir) else {
            panic!(
                "{} is missing: run tests/setup/fetch-debs.sh",
                dir.display()
            );
        };
        self.run("mkdir -p /var/tmp/debs").ok();
        for entry in found.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".deb") {
                self.push_file(&entry.path(), &format!("/var/tmp/debs/{name}"), "0644");
            }
        }
        self.run("DEBIAN_FRONTEND=noninteractive dpkg --install /var/tmp/debs/*.deb && rm -r /var/tmp/debs")
            .ok();
    }

    /// Pulls the cable: packets are lost, nobody is told.
    #[track_caller]
    pub fn cut_network(&self) {
        run(Command::new("ip").args(["link", "set", &self.slot.cable(), "down"])).ok();
    }

    /// Plugs the cable in again.
    #[track_caller]
    pub fn restore_network(&self) {
        run(Command::new("ip").args(["link", "set", &self.slot.cable(), "up"])).ok();
    }

    /// Waits until a shell command inside succeeds.
    #[track_caller]
    pub fn wait_until(&self, command: &str, patience: Duration) {
        crate::command::wait_for(&format!("{}# {command}", self.name), patience, || {
            self.run(command).succeeded().then_some(())
        });
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
