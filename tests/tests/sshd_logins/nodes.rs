//! Files of a host as a generator makes them up, and how they are laid down.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;

/// A file, directory or link.
pub struct Node {
    /// Absolute on the host.
    pub path: String,
    pub what: What,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
}

pub enum What {
    Directory,
    File(Vec<u8>),
    Link(String),
}

impl Node {
    /// A directory of root's that everybody may enter.
    pub fn directory(path: &str) -> Self {
        Self::new(path, What::Directory, 0o755)
    }

    /// A file of root's that everybody may read.
    pub fn file(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(path, What::File(bytes.into()), 0o644)
    }

    pub fn link(path: &str, to: &str) -> Self {
        Self::new(path, What::Link(to.into()), 0o777)
    }

    fn new(path: &str, what: What, mode: u32) -> Self {
        Self {
            path: path.into(),
            what,
            uid: 0,
            gid: 0,
            mode,
        }
    }

    pub fn of(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Lays them down below `root`. Links come last and nothing is written through one: from here
    /// they lead out of the host.
    pub fn lay_all(nodes: &[Self], root: &Path) {
        let is_link = |node: &&Self| matches!(node.what, What::Link(_));
        let (links, others): (Vec<_>, Vec<_>) = nodes.iter().partition(is_link);
        for node in others.into_iter().chain(links) {
            node.lay(root);
        }
    }

    fn lay(&self, root: &Path) {
        let path = root.join(&self.path[1..]);
        match &self.what {
            What::Link(to) => {
                match symlink(to, &path) {
                    // Two accounts with one home.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => return,
                    made => made.unwrap(),
                }
                lchown(&path, Some(self.uid), Some(self.gid)).unwrap();
                return;
            }
            What::Directory => fs::create_dir_all(&path).unwrap(),
            What::File(bytes) => fs::write(&path, bytes).unwrap(),
        }
        chown(&path, Some(self.uid), Some(self.gid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(self.mode)).unwrap();
    }

    pub const fn is_directory(&self) -> bool {
        matches!(self.what, What::Directory)
    }

    /// Whether it is a file with this text in it.
    pub fn says(&self, text: &str) -> bool {
        match &self.what {
            What::File(bytes) => bytes.windows(text.len()).any(|w| w == text.as_bytes()),
            What::Directory | What::Link(_) => false,
        }
    }

    /// For people, keys cut short.
    pub fn show(&self) -> String {
        let mut shown = format!("{:04o} {}:{} {}", self.mode, self.uid, self.gid, self.path);
        match &self.what {
            What::Directory => shown.push('/'),
            What::Link(to) => write!(shown, " -> {to}").unwrap(),
            What::File(bytes) => {
                for line in bytes.split(|byte| *byte == b'\n') {
                    let text = line.escape_ascii().to_string();
                    let cut: String = text.chars().take(150).collect();
                    write!(shown, "\n    {cut}").unwrap();
                }
            }
        }
        shown
    }
}
