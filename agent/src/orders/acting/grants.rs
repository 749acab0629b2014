//! Rules of polkit(8) and doas(1), passwords of groups.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{FILE_BYTES_MAX, Gaps, listed, optional};
use crate::host::group::Group;
use crate::host::gshadow::Gshadow;
use crate::host::root::HostRoot;
use crate::paths::doas::{DOAS_CONF, DoasFacts};
use crate::paths::doas_conf::DoasConf;
use crate::paths::groups::GroupFacts;
use crate::paths::polkit::PolkitFacts;
use crate::paths::polkit_files::{ADMINISTRATORS, KeyFile, LOCAL_AUTHORITY, RULES};
use crate::sys::fs::FileKind;

/// What group(5) does not say of groups.
pub struct Groups {
    gshadow: Option<Result<Gshadow, String>>,
    writes_usr_local: Option<u32>,
}

impl Groups {
    /// Reads it.
    pub fn read(root: &HostRoot) -> Self {
        let gshadow = match root.read(Path::new("/etc/gshadow"), FILE_BYTES_MAX) {
            Ok(file) => Some(Ok(Gshadow::parse(file.bytes))),
            Err(error) if error.is_missing() => None,
            Err(error) => Some(Err(error.to_string())),
        };
        let stat = |path| root.stat(Path::new(path)).ok();
        let local = ["/usr/local/bin", "/usr/local/sbin", "/usr/local"];
        let written = |standing: &crate::host::root::Standing| standing.stat.mode & 0o020 != 0;
        let mut written = local.into_iter().filter_map(stat).filter(written);
        Self {
            gshadow,
            writes_usr_local: written.next().map(|standing| standing.stat.gid),
        }
    }

    /// Together with group(5).
    pub fn facts<'a>(&'a self, group: Result<&'a Group, String>) -> GroupFacts<'a> {
        GroupFacts {
            group,
            gshadow: self.gshadow.as_ref(),
            writes_usr_local: self.writes_usr_local,
        }
    }
}

/// Reads what polkit reads.
pub fn polkit(root: &HostRoot) -> PolkitFacts {
    let mut facts = PolkitFacts::default();
    let mut gaps = Gaps::new();
    for directory in RULES.map(Path::new) {
        for path in files(root, directory, b".rules", &mut gaps) {
            if let Some(bytes) = optional(root, &path, &mut gaps) {
                facts.rules.push((path, bytes));
            }
        }
    }
    for above in LOCAL_AUTHORITY.map(Path::new) {
        for entry in listed(root, above, &mut gaps) {
            if entry.stat.kind != FileKind::Directory {
                continue;
            }
            for path in files(root, &above.join(&entry.name), b".pkla", &mut gaps) {
                let bytes = optional(root, &path, &mut gaps);
                let file = bytes.map(|bytes| (path, KeyFile::parse(bytes)));
                facts.authorities.extend(file);
            }
        }
    }
    for path in files(root, Path::new(ADMINISTRATORS), b".conf", &mut gaps) {
        let bytes = optional(root, &path, &mut gaps);
        let file = bytes.map(|bytes| (path, KeyFile::parse(bytes)));
        facts.administrators.extend(file);
    }
    facts.gaps = gaps;
    facts
}

/// The files in a directory whose names end so, in the order of their names.
fn files(root: &HostRoot, directory: &Path, end: &[u8], gaps: &mut Gaps) -> Vec<PathBuf> {
    let entries = listed(root, directory, gaps).into_iter();
    entries
        .filter(|entry| entry.stat.kind != FileKind::Directory)
        .filter(|entry| entry.name.as_bytes().ends_with(end))
        .map(|entry| directory.join(&entry.name))
        .collect()
}

/// Reads what doas reads.
pub fn doas(root: &HostRoot) -> DoasFacts {
    match root.read(Path::new(DOAS_CONF), FILE_BYTES_MAX) {
        Ok(file) => DoasFacts {
            refused: match file.stamp {
                stamp if stamp.mode & 0o022 != 0 => Some("others than root may write to them"),
                stamp if stamp.uid != 0 => Some("they do not belong to root"),
                _ => None,
            },
            conf: Some(Ok(DoasConf::parse(file.bytes))),
        },
        Err(error) if error.is_missing() => DoasFacts {
            conf: None,
            refused: None,
        },
        Err(error) => DoasFacts {
            conf: Some(Err(error.to_string())),
            refused: None,
        },
    }
}
