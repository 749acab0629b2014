//! A slot: the number from which everything that belongs to one host takes its name.
//!
//! | of slot 7 | name |
//! | --- | --- |
//! | lock and log | `/run/rescind-tests/7.lock`, `7.log` |
//! | network namespace | `rescind-7` |
//! | our end of the cable | `rsc7`, 10.77.7.1/24 |
//! | the host's end | `eth0`, 10.77.7.2/24 |
//! | control groups | `rescind-tests-7` |
//! | files | `/var/cache/rescind-tests/hosts/7` (or `$RESCIND_HOSTS/7`) |
//!
//! The lock is held by the process that uses the slot and falls when that process ends, however it
//! ends. So whoever gets the lock may clear away whatever still bears the slot's names: that is how
//! the remains of a test that was killed are swept.

use crate::command::{run, wait_for};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

/// Highest slot number; the number is the third byte of an address.
const SLOT_MAX: u8 = 250;

/// A number that is ours until this is dropped.
pub struct Slot {
    number: u8,
    _lock: File,
}

impl Slot {
    /// Takes the first free slot and clears away what an earlier owner may have left there.
    pub fn take() -> Self {
        // Once for each program: a slot with remains may be one that is not taken again for long.
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| drop(sweep()));
        match (1..=SLOT_MAX).find_map(Self::try_take) {
            Some(slot) => slot,
            None => panic!("all {SLOT_MAX} slots for test hosts are in use"),
        }
    }

    fn try_take(number: u8) -> Option<Self> {
        let run_dir = run_dir();
        if let Err(error) = fs::create_dir_all(&run_dir) {
            panic!("could not create {}: {error}", run_dir.display());
        }
        let path = run_dir.join(format!("{number}.lock"));
        // The file is never removed: a lock on a name that is gone guards nothing.
        let lock = match File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
        {
            Ok(lock) => lock,
            Err(error) => panic!("could not open {}: {error}", path.display()),
        };
        lock.try_lock().ok()?;
        let slot = Self {
            number,
            _lock: lock,
        };
        slot.clear();
        Some(slot)
    }

    /// The name of the network namespace and of the machine.
    pub fn name(&self) -> String {
        format!("rescind-{}", self.number)
    }

    /// The name of our end of the veth pair.
    pub fn cable(&self) -> String {
        format!("rsc{}", self.number)
    }

    /// Our address on the cable: where the host finds a control plane.
    pub fn our_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 1)
    }

    /// The host's address on the cable.
    pub fn host_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 2)
    }

    /// Where the host's files lie on this machine.
    pub fn files(&self) -> PathBuf {
        let hosts = std::env::var_os("RESCIND_HOSTS")
            .map_or("/var/cache/rescind-tests/hosts".into(), PathBuf::from);
        hosts.join(self.number.to_string())
    }

    /// The console of the host.
    pub fn log(&self) -> PathBuf {
        run_dir().join(format!("{}.log", self.number))
    }

    /// The control groups of the host, one in each hierarchy systemd-nspawn uses.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let name = format!("rescind-tests-{}", self.number);
        cgroup_hierarchies()
            .into_iter()
            .map(|hierarchy| hierarchy.join(&name))
            .collect()
    }

    /// Ends every process of the slot and removes everything that bears its names.
    pub fn clear(&self) {
        self.kill_all();
        let namespace = Path::new("/run/netns").join(self.name());
        if Path::new("/sys/class/net").join(self.cable()).exists() {
            run(Command::new("ip").args(["link", "del", &self.cable()]));
        }
        if namespace.exists() {
            run(Command::new("ip").args(["netns", "del", &self.name()]));
        }
        let files = self.files();
        if files.exists() {
            let root = files.join("root");
            while is_mount_point(&root) {
                run(Command::new("umount").arg("--lazy").arg(&root)).ok();
            }
            if let Err(error) = fs::remove_dir_all(&files) {
                panic!("could not remove {}: {error}", files.display());
            }
        }
    }

    /// Ends every process in the slot's control groups, as a power cut would, and waits until they
    /// are gone.
    pub fn kill_all(&self) {
        let cgroups: Vec<PathBuf> = self
            .cgroups()
            .into_iter()
            .filter(|dir| dir.exists())
            .collect();
        for dir in cgroups
            .iter()
            .filter(|dir| dir.join("cgroup.kill").exists())
        {
            // A frozen host is killed too, but its processes are only gone once they can run again.
            let _ = fs::write(dir.join("cgroup.freeze"), "0");
            let _ = fs::write(dir.join("cgroup.kill"), "1");
        }
        for dir in cgroups {
            wait_for(
                "the processes of a host to end",
                Duration::from_secs(30),
                || remove_cgroup(&dir).then_some(()),
            );
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A panic while panicking would abort and leave more behind than it reports.
        if std::thread::panicking() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.clear()));
        } else {
            self.clear();
        }
    }
}

/// Clears away what tests that were killed have left on this machine; slots in use are left alone.
/// Returns the names of the slots that had remains. The first host of a program does this too.
pub fn sweep() -> Vec<String> {
    (1..=SLOT_MAX)
        .filter(|number| run_dir().join(format!("{number}.lock")).exists())
        .filter_map(|number| {
            let name = format!("rescind-{number}");
            let remains = Path::new("/run/netns").join(&name).exists();
            Slot::try_take(number).filter(|_| remains).map(|_| name)
        })
        .collect()
}

fn run_dir() -> PathBuf {
    PathBuf::from("/run/rescind-tests")
}

/// The mount points of the cgroup v2 hierarchy and, on machines that still have it beside, of
/// systemd's own v1 hierarchy.
fn cgroup_hierarchies() -> Vec<PathBuf> {
    [
        "/sys/fs/cgroup",
        "/sys/fs/cgroup/unified",
        "/sys/fs/cgroup/systemd",
    ]
    .map(PathBuf::from)
    .into_iter()
    .filter(|dir| dir.join("cgroup.procs").exists())
    .collect()
}

/// Removes a control group and those beneath it; false while a process is left in one of them.
fn remove_cgroup(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
                if !remove_cgroup(&entry.path()) {
                    return false;
                }
            }
        }
        Err(error) => return error.kind() == ErrorKind::NotFound,
    }
    match fs::remove_dir(dir) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn is_mount_point(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        line.split(' ')
            .nth(1)
            .is_some_and(|at| Path::new(at) == path)
    })
}
