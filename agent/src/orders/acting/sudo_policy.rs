//! What sudo(8) reads, as the installed sudo would read it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use super::pam_files::HostPam;
use super::programs::is_setuid_root;
use super::{Gaps, listed};
use crate::host::learnt::Learnt;
use crate::host::root::{HostRoot, ReadError};
use crate::pam::Service;
use crate::rights::sudo::SudoFacts;
use crate::sudoers::sudo_conf::{Decider, decider};
use crate::sudoers::tree::Value;
use crate::sudoers::{self, Dialect, HostNames, ReadProblem, Sudoers, SudoersFiles};

const SUDO_CONF: &str = "/etc/sudo.conf";
/// Where sudo lies; without it rules let nobody do anything.
const PROGRAMS: [&str; 2] = ["/usr/bin/sudo", "/usr/local/bin/sudo"];
/// Where its policy is, which asks PAM or does not.
const PLUGINS: [&str; 5] = [
    "/usr/libexec/sudo/sudoers.so",
    "/usr/lib/sudo/sudoers.so",
    "/usr/lib64/sudo/sudoers.so",
    "/usr/local/libexec/sudo/sudoers.so",
    "/usr/local/lib/sudo/sudoers.so",
];
const TICKETS: &str = "/run/sudo/ts";
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
const SUDOERS_BYTES_MAX: u64 = 4 << 20;
const NAMES_MAX: usize = 65_536;

/// What was learnt of sudo programs.
#[derive(Debug, Default)]
pub struct Known {
    dialects: Learnt<Dialect>,
    asks_pam: Learnt<bool>,
}

/// Reads the policy that sudo.conf(5) names; `now` in seconds since 1970. Without `pam` it is not
/// told what PAM says, which only [`SudoFacts::rights`] needs.
pub fn read(
    root: &HostRoot,
    known: &mut Known,
    pam: Option<&HostPam<'_>>,
    now: i64,
) -> Result<SudoFacts, ReadError> {
    let name = crate::config::host_name(root.path());
    let name = name.as_ref().map_or("", |name| name.as_str());
    let missing_is_none = |path: &str| match root.read(Path::new(path), SUDOERS_BYTES_MAX) {
        Ok(file) => Ok(Some(file.bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    };
    let nsswitch = missing_is_none("/etc/nsswitch.conf")?;
    let mut other_sources = sudoers::nsswitch::sources(nsswitch.as_deref()).others;
    let file = match decider(missing_is_none(SUDO_CONF)?.as_deref()) {
        Decider::Sudoers(file) => Some(file),
        Decider::Plugin(plugin) => {
            other_sources.push(plugin);
            None
        }
    };
    // That it cannot be looked at does not make it missing.
    let file = file.filter(|file| !matches!(root.exists(file), Ok(false)));
    let Some((program, dialect)) = installed(root, &mut known.dialects)? else {
        return Ok(SudoFacts::default());
    };
    let sudoers =
        file.map(|file| sudoers::parse(&PolicyFiles(root), &file, name.as_bytes(), dialect));
    let powerless = match is_setuid_root(root, Path::new(program)) {
        Ok(false) => Some("the program is not setuid root"),
        // Whoever cannot look at it takes it for what it usually is.
        Ok(true) | Err(_) => None,
    };
    let services = match (pam, &sudoers) {
        (Some(pam), Some(sudoers)) if asks_pam(root, &mut known.asks_pam) => services(pam, sudoers),
        _ => Vec::new(),
    };
    Ok(SudoFacts {
        sudoers,
        other_sources,
        host: HostNames::new(name.as_bytes(), None),
        now,
        powerless,
        services,
        tickets: tickets(root),
    })
}

/// The services that it asks as, if only by some rules.
fn services(pam: &HostPam<'_>, sudoers: &Sudoers) -> Vec<Service> {
    let mut names = vec!["sudo".to_owned()];
    if pam.has("sudo-i") {
        names.push("sudo-i".to_owned());
    }
    for default in &sudoers.defaults {
        if let (b"pam_service" | b"pam_login_service", Value::Set(name)) =
            (default.name.as_slice(), &default.value)
        {
            names.extend(String::from_utf8(name.clone()));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
        .iter()
        .map(|name| pam.service(name.as_bytes()))
        .collect()
}

/// Whether it asks PAM: as all distributions build it, unless its policy says otherwise.
fn asks_pam(root: &HostRoot, known: &mut Learnt<bool>) -> bool {
    let links_pam = |bytes: &[u8]| memchr::memmem::find(bytes, b"libpam.so").is_some();
    let mut plugins = PLUGINS.iter().filter_map(|plugin| {
        known
            .of(root, Path::new(plugin), PROGRAM_BYTES_MAX, links_pam)
            .ok()
    });
    plugins.next().unwrap_or(true)
}

/// For whom there are tickets. Without them passwords are asked, which is what is said then.
fn tickets(root: &HostRoot) -> Vec<(Vec<u8>, i64)> {
    let listed = listed(root, Path::new(TICKETS), &mut Gaps::new()).into_iter();
    listed
        .map(|entry| (entry.name.into_vec(), entry.stat.mtime.0))
        .collect()
}

/// The version of the installed sudo, as it says it itself; `None` without one, empty where it
/// cannot be told.
pub fn installed_version(root: &HostRoot) -> Result<Option<String>, ReadError> {
    for program in PROGRAMS {
        match root.read(Path::new(program), PROGRAM_BYTES_MAX) {
            Ok(file) => return Ok(Some(version(&file.bytes).unwrap_or("").to_owned())),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The installed sudo and its dialect, by the version inside the program; `None` without one.
fn installed(
    root: &HostRoot,
    known: &mut Learnt<Dialect>,
) -> Result<Option<(&'static str, Dialect)>, ReadError> {
    let learn = |bytes: &[u8]| Dialect::of_version(version(bytes).unwrap_or(""));
    for program in PROGRAMS {
        match known.of(root, Path::new(program), PROGRAM_BYTES_MAX, learn) {
            Ok(dialect) => return Ok(Some((program, dialect))),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// `PACKAGE_VERSION` of sudo's config.h: a string of its own such as `1.9.13p3`.
fn version(program: &[u8]) -> Option<&str> {
    let is_version = |text: &&[u8]| {
        let rest = text.strip_prefix(b"1.9.").or(text.strip_prefix(b"1.8."));
        rest.is_some_and(|rest| {
            rest.first().is_some_and(u8::is_ascii_digit)
                && rest.iter().all(|c| c.is_ascii_digit() || *c == b'p')
        })
    };
    let mut strings = program.split(|byte| *byte == 0);
    std::str::from_utf8(strings.find(is_version)?).ok()
}

/// Policy files as sudo would use them.
struct PolicyFiles<'r>(&'r HostRoot);

impl SudoersFiles for PolicyFiles<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let file = self.0.read(path, SUDOERS_BYTES_MAX).map_err(problem)?;
        match self.refuses(file.stamp.uid, file.stamp.gid, file.stamp.mode) {
            Some(why) => Err(ReadProblem::Refused(why.to_owned())),
            None => Ok(file.bytes),
        }
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem> {
        let stat = self.0.stat(dir).map_err(problem)?.stat;
        match self.refuses(stat.uid, stat.gid, stat.mode) {
            Some(why) => Err(ReadProblem::Refused(why.to_owned())),
            None => self.0.read_dir(dir, NAMES_MAX).map_err(problem),
        }
    }
}

impl PolicyFiles<'_> {
    /// sudo's `sudo_secure_path`, for a sudo that was not told of another owner.
    fn refuses(&self, uid: u32, gid: u32, mode: u32) -> Option<&'static str> {
        match mode {
            _ if !self.0.trusts(uid) => Some("it does not belong to root"),
            mode if mode & 0o002 != 0 => Some("everybody may write to it"),
            mode if mode & 0o020 != 0 && gid != 0 => Some("its group may write to it"),
            _ => None,
        }
    }
}

fn problem(error: ReadError) -> ReadProblem {
    if error.is_missing() {
        ReadProblem::Missing
    } else {
        // Whether sudo uses a file that we distrust cannot be told from here.
        ReadProblem::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_a_string_of_its_own_in_the_program() {
        let program = b"\x7fELF\0%s: 1.9.x\x001.4.1\0\x001.9.13p3\x001.9.1 rest\0";
        assert_eq!(version(program), Some("1.9.13p3"));
        assert_eq!(version(b"1.9.\0none"), None);
    }
}
