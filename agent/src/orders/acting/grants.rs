//! Rules of polkit(8) and doas(1), passwords of groups, what su(1) asks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::pam_files::HostPam;
use super::programs::{self, Programs};
use super::{FILE_BYTES_MAX, Gaps, listed, optional};
use crate::host::accounts::Accounts;
use crate::host::gshadow::Gshadow;
use crate::host::lock::ACCOUNT_FILE_BYTES_MAX;
use crate::host::root::HostRoot;
use crate::rights::doas::{DOAS_CONF, DoasFacts};
use crate::rights::doas_conf::DoasConf;
use crate::rights::groups::{GroupFacts, UsrLocal};
use crate::rights::polkit::{Daemon, PolkitFacts, RuleFile};
use crate::rights::polkit_files::{ADMINISTRATORS, KeyFile, LOCAL_AUTHORITY, RULES};
use crate::rights::su::{Program, SuFacts};
use crate::sys::fs::FileKind;

/// What groups let accounts do.
pub fn groups(root: &HostRoot, accounts: &Accounts) -> GroupFacts {
    let gshadow = match root.read(Path::new("/etc/gshadow"), ACCOUNT_FILE_BYTES_MAX) {
        Ok(file) => Some(Ok(Gshadow::parse(file.bytes))),
        Err(error) if error.is_missing() => None,
        Err(error) => Some(Err(error.to_string())),
    };
    let mut usr_local = UsrLocal::default();
    for path in ["/usr/local/bin", "/usr/local/sbin", "/usr/local"] {
        match root.stat(Path::new(path)) {
            Ok(found) if found.stat.mode & 0o020 != 0 => usr_local.groups.push(found.stat.gid),
            Ok(_) => {}
            Err(error) if error.is_missing() => {}
            Err(error) => usr_local.not_known = Some(error.to_string()),
        }
    }
    let group = accounts.group().map_err(ToString::to_string);
    GroupFacts::new(group, gshadow, &usr_local)
}

/// Reads what polkit reads.
pub fn polkit(root: &HostRoot, programs: &mut Programs) -> PolkitFacts {
    let mut facts = PolkitFacts {
        daemon: programs::polkit(root, programs),
        ..PolkitFacts::default()
    };
    if facts.daemon == Daemon::Missing {
        return facts;
    }
    let mut gaps = Gaps::new();
    for directory in RULES.map(Path::new) {
        for path in files(root, directory, b".rules", &mut gaps) {
            if let Some(bytes) = optional(root, &path, &mut gaps) {
                facts.rules.push(RuleFile::new(path, bytes));
            }
        }
    }
    // By name, whatever the directory; of one name in the order of the directories.
    let name = |file: &RuleFile| file.path.file_name().map(ToOwned::to_owned);
    facts.rules.sort_by_key(name);
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
pub fn doas(root: &HostRoot, programs: &mut Programs, pam: &HostPam<'_>) -> DoasFacts {
    let (conf, refused) = match root.read(Path::new(DOAS_CONF), FILE_BYTES_MAX) {
        Ok(file) => {
            let refused = match file.stamp {
                stamp if stamp.mode & 0o022 != 0 => Some("others than root may write to its rules"),
                stamp if !root.trusts(stamp.uid) => Some("its rules do not belong to root"),
                _ => None,
            };
            (Some(Ok(DoasConf::parse(file.bytes))), refused)
        }
        Err(error) if error.is_missing() => (None, None),
        Err(error) => (Some(Err(error.to_string())), None),
    };
    let (program, asks_pam) = match &conf {
        Some(_) => programs::doas(root, programs),
        None => (Program::Powerless, false),
    };
    DoasFacts {
        powerless: match program {
            Program::Powerless => Some("it is not installed, or not setuid root"),
            Program::Acts | Program::Unknown(_) => refused,
        },
        service: asks_pam.then(|| pam.service(b"doas")),
        conf,
    }
}

/// Reads what su asks.
pub fn su(root: &HostRoot, programs: &mut Programs, pam: &HostPam<'_>) -> SuFacts {
    let (program, asks_pam) = programs::su(root, programs);
    let shells = optional(root, Path::new("/etc/shells"), &mut Gaps::new());
    SuFacts {
        service: (asks_pam && program != Program::Powerless).then(|| pam.service(b"su")),
        program,
        shells: shells.map(|text| {
            let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
            lines
                .filter(|line| line.starts_with(b"/"))
                .map(<[u8]>::to_vec)
                .collect()
        }),
    }
}
