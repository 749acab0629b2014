//! The files of a host: its own, over or beside a root that many hosts share.

use super::Release;
use crate::command::run;
use crate::slot::Slot;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a host gets files of its own. Either way they are on disk, so that fsync costs what it costs,
/// and outlive a power-off, but not the [`super::Host`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// An overlay over the shared root: ready at once.
    #[default]
    Overlay,
    /// A whole copy, for tests of what a plain file system does: some seconds.
    Copy,
}

/// The name by which hosts know this machine, and a control plane on it.
pub const CONTROL_NAME: &str = "rescind.test";

/// Makes the files of a host where its slot says and returns its root directory.
#[track_caller]
pub(super) fn make(release: Release, storage: Storage, slot: &Slot, name: &str) -> PathBuf {
    let dir = slot.files();
    let shared = release.root();
    assert!(
        shared.join("etc/passwd").exists(),
        "there is no root at {}; run tests/setup/build-roots.sh",
        shared.display()
    );
    let root = dir.join("root");
    match storage {
        Storage::Overlay => {
            for part in ["root", "upper", "work"] {
                make_dir(&dir.join(part));
            }
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                shared.display(),
                dir.join("upper").display(),
                dir.join("work").display()
            );
            run(Command::new("mount")
                .args(["-t", "overlay", "rescind-tests", "-o", &options])
                .arg(&root))
            .ok();
        }
        Storage::Copy => {
            make_dir(&dir);
            run(Command::new("cp")
                .args(["-a", "--reflink=auto", "--"])
                .args([&shared, &root]))
            .ok();
        }
    }
    write(&root.join("etc/hostname"), &format!("{name}\n"));
    let ours = slot.our_address();
    let hosts = format!(
        "127.0.0.1 localhost
127.0.1.1 {name}
{ours} {CONTROL_NAME}
"
    );
    write(&root.join("etc/hosts"), &hosts);
    root
}

#[track_caller]
fn make_dir(dir: &Path) {
    if let Err(error) = fs::create_dir_all(dir) {
        panic!("could not create {}: {error}", dir.display());
    }
}

#[track_caller]
fn write(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        panic!("could not write {}: {error}", path.display());
    }
}
