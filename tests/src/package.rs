//! Where the built programs and packages lie on this machine.

use std::path::{Path, PathBuf};

/// One of our two packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// rescind-agent.
    Agent,
    /// rescind, the control plane.
    Control,
}

/// The .deb of a package: `$RESCIND_DEB_AGENT` or `$RESCIND_DEB_CONTROL`, else what
/// `packaging/build-debs.sh` has built.
#[track_caller]
pub fn deb(package: Package) -> PathBuf {
    let (variable, file) = match package {
        Package::Agent => ("RESCIND_DEB_AGENT", "debian/rescind-agent.deb"),
        Package::Control => ("RESCIND_DEB_CONTROL", "debian/rescind.deb"),
    };
    built(variable, file, "make deb")
}

/// The `rescind-agent` program: `$RESCIND_BIN_AGENT`, else the release build.
#[track_caller]
pub fn agent_binary() -> PathBuf {
    built(
        "RESCIND_BIN_AGENT",
        "x86_64-unknown-linux-gnu/release/rescind-agent",
        "make build",
    )
}

/// The `rescind` program: `$RESCIND_BIN_CONTROL`, else the release build.
#[track_caller]
pub fn control_binary() -> PathBuf {
    built(
        "RESCIND_BIN_CONTROL",
        "x86_64-unknown-linux-gnu/release/rescind",
        "make build",
    )
}

#[track_caller]
fn built(variable: &str, file: &str, how: &str) -> PathBuf {
    let path = std::env::var_os(variable).map_or_else(|| target_dir().join(file), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing; run `{how}` or set {variable}",
        path.display()
    );
    path
}

fn target_dir() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from)
}
