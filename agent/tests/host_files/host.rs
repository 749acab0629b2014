//! A throw-away root directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use rescind_agent::host::root::HostRoot;

pub struct Host {
    pub dir: PathBuf,
    pub root: Rc<HostRoot>,
}

impl Host {
    /// A host with the four account files of a few people.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("rescind-host-{}-{next}", std::process::id()));
        fs::create_dir_all(dir.join("etc")).unwrap();
        let root = Rc::new(HostRoot::at(&dir).unwrap());
        let host = Self { dir, root };
        host.write(
            "/etc/passwd",
            "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n",
            0o644,
        );
        host.write(
            "/etc/shadow",
            "root:*:1::::::\nalice:$6$salt$hash:1::::::\n",
            0o640,
        );
        host.write("/etc/group", "root:x:0:\n", 0o644);
        host.write("/etc/gshadow", "root:*::\n", 0o640);
        host
    }

    /// Where a path of the host is on this machine.
    pub fn real(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, content: &str, mode: u32) {
        let path = self.real(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        chmod(&path, mode);
    }

    pub fn open(&self, path: &str) -> fs::File {
        fs::File::open(self.real(path)).unwrap()
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.real(path)).unwrap()
    }

    /// The names in a directory, to see that nothing was left behind.
    pub fn names(&self, path: &str) -> String {
        let entries = fs::read_dir(self.real(path)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
