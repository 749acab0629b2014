//! Whether this machine can boot hosts at all, and if not, why.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What keeps this machine from booting hosts.
#[derive(Debug)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks for root and for the programs the harness runs.
pub fn can_boot_hosts() -> Result<(), Missing> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Missing("booting a host needs root".into()));
    }
    for program in [
        "systemd-nspawn",
        "nsenter",
        "ip",
        "ssh",
        "ssh-keygen",
        "mount",
    ] {
        if find_program(program).is_none() {
            return Err(Missing(format!(
                "booting a host needs {program}; run tests/setup/install-tools.sh"
            )));
        }
    }
    // In most containers root may not do what booting needs.
    let unshare = Command::new("unshare")
        .args(["--mount", "--net", "true"])
        .output();
    if !unshare.is_ok_and(|ran| ran.status.success()) {
        return Err(Missing(
            "booting a host needs namespaces, and this root may not make any".into(),
        ));
    }
    if !Path::new("/sys/fs/cgroup").exists() {
        return Err(Missing(
            "booting a host needs control groups at /sys/fs/cgroup".into(),
        ));
    }
    Ok(())
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.exists())
}
