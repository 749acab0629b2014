//! Which sshds this host has: their programs, releases and configurations.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::host::learnt::Learnt;
use crate::host::root::{HostRoot, ReadError};
use crate::orders::acting::HostPam;
use crate::orders::host::HostError;
use crate::pam::Service;
use crate::paths::facts::Sshd;
use crate::paths::ssh_pam::SERVICE;
use crate::processes::Moment;
use crate::sshd::include::{Config, ConfigError, ConfigFiles, ReadProblem};
use crate::sshd::keyword::Keyword;
use crate::sshd::printable::printable_path;
use crate::sshd::release::Release;

/// Where sshd lies, unless a running one says otherwise.
const PROGRAM: &str = "/usr/sbin/sshd";
/// What it reads, unless it was started with `-f`.
const CONFIG: &str = "/etc/ssh/sshd_config";
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
const CONFIG_BYTES_MAX: u64 = 4 << 20;
const NAMES_MAX: usize = 65_536;
/// More listening sshds than this no host has; those beyond are reported as not looked at.
const SSHDS_MAX: usize = 16;
/// Services of PAM that one configuration names; those beyond are not known.
const PAM_SERVICES_MAX: usize = 16;

/// Releases of sshd programs, or why they cannot be told.
pub type Releases = Learnt<Result<Release, String>>;

/// The sshds of the host: the installed one and every other that is running.
pub fn find(
    root: &HostRoot,
    releases: &mut Releases,
    moment: Option<&Moment<'_>>,
) -> Result<Vec<Sshd>, HostError> {
    let running = moment.map(running_configs).unwrap_or_default();
    let mut wanted = running.configs.clone();
    // Installed but not running: it may be started by a socket, or after the next boot.
    match root.exists(Path::new(PROGRAM)) {
        Ok(false) => {}
        Ok(true) | Err(_) => {
            wanted.insert(PathBuf::from(CONFIG));
        }
    }
    let release = release_of(root, releases, Path::new(PROGRAM));
    let pam = HostPam::new(root);
    let sshd = |path: &Path, config, running| Sshd {
        name: printable_path(path),
        pam: pam_services(&config, &pam),
        config,
        running,
    };
    let not_known = |path: &Path, why: String| {
        Err(ConfigError::Unreadable {
            file: path.to_owned(),
            problem: ReadProblem::Other(why),
        })
    };
    let mut wanted = wanted.into_iter();
    let looked_at = wanted.by_ref().take(SSHDS_MAX).map(|path| {
        let config = match &release {
            Ok(release) => Config::load(&SystemFiles(root), &path, release),
            Err(why) => not_known(Path::new(PROGRAM), why.clone()),
        };
        sshd(&path, config, running.configs.contains(&path))
    });
    let mut all: Vec<Sshd> = looked_at.collect();
    if let Some(path) = wanted.next() {
        let why = format!("of more than {SSHDS_MAX} sshds the rest is not looked at");
        all.push(sshd(&path, not_known(&path, why), true));
    }
    all.extend(running.unread.into_iter().map(|(path, why)| {
        let config = not_known(&path, why);
        sshd(&path, config, true)
    }));
    Ok(all)
}

/// The services that a configuration may name.
fn pam_services(config: &Result<Config, ConfigError>, pam: &HostPam<'_>) -> Vec<Service> {
    let mut names = vec![SERVICE.to_vec()];
    if let Ok(config) = config {
        let named = config.words_of(Keyword::PamServiceName).into_iter();
        names.extend(named.map(|name| name.value));
    }
    names.sort_unstable();
    names.dedup();
    names.truncate(PAM_SERVICES_MAX);
    names.into_iter().map(|name| pam.service(&name)).collect()
}

/// What the sshds that run were started with.
#[derive(Debug, Default)]
pub struct Running {
    /// The `-f` of every one that listens. One that was started without reads the usual file.
    configs: BTreeSet<PathBuf>,
    /// The command lines that could not be read, and why.
    unread: Vec<(PathBuf, String)>,
}

/// Looks at them.
pub fn running_configs(moment: &Moment<'_>) -> Running {
    let processes = moment.table().processes.iter();
    let listening = processes.filter(|process| process.is_root() && process.comm == b"sshd");
    let mut running = Running::default();
    for process in listening {
        match moment.proc().command_line(process.pid) {
            Ok(Some(words)) => {
                let config = config_argument(&words).unwrap_or_else(|| CONFIG.into());
                running.configs.insert(config);
            }
            // It has ended.
            Ok(None) => {}
            Err(gap) => {
                let path = format!("/proc/{}/cmdline", process.pid).into();
                running.unread.push((path, gap.to_string()));
            }
        }
    }
    // One is as good as many: nothing is known for sure then.
    running.unread.truncate(SSHDS_MAX);
    running
}

/// The configuration an sshd was started with, from its command line.
fn config_argument(words: &[Vec<u8>]) -> Option<PathBuf> {
    // A listener titles itself `sshd: /usr/sbin/sshd -D -f FILE [listener] 0 of 10-100 startups`,
    // all in one word; a process that serves a connection has no arguments in its title.
    let title = words
        .first()
        .and_then(|first| first.strip_prefix(b"sshd: "));
    let mut words: Box<dyn Iterator<Item = &[u8]>> = match title {
        Some(title) => Box::new(title.split(|byte| *byte == b' ')),
        None => Box::new(words.iter().map(Vec::as_slice)),
    };
    while let Some(word) = words.next() {
        let path = match word.strip_prefix(b"-f") {
            Some(b"") => words.next()?,
            Some(path) => path,
            None => continue,
        };
        return Some(PathBuf::from(OsStr::from_bytes(path)));
    }
    None
}

/// The release of an sshd program, from the version text inside it.
fn release_of(root: &HostRoot, known: &mut Releases, program: &Path) -> Result<Release, String> {
    let learn = |bytes: &[u8]| {
        banner(bytes)
            .ok_or_else(|| format!("{}: no OpenSSH version in it", program.display()))?
            .parse()
            .map_err(|error| format!("{}: {error}", program.display()))
    };
    let said = |error: ReadError| error.to_string();
    known
        .of(root, program, PROGRAM_BYTES_MAX, learn)
        .map_err(said)?
}

/// The longest text of the form `OpenSSH_9.2p1 Debian-2+deb12u3` in a program. The names of older
/// releases that sshd has workarounds for have a pattern or no patch level in them.
fn banner(program: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"OpenSSH_";
    let mut best: Option<String> = None;
    let mut rest = program;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        rest = &rest[at..];
        let text: String = rest
            .iter()
            .take(80)
            .take_while(|byte| (b' '..=b'~').contains(*byte))
            .map(|byte| char::from(*byte))
            .collect();
        rest = &rest[MARK.len()..];
        let version = text[MARK.len()..].split(' ').next().unwrap_or("");
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let is_release = version.split_once('.').is_some_and(|(major, minor)| {
            minor
                .split_once('p')
                .is_some_and(|(minor, patch)| digits(major) && digits(minor) && digits(patch))
        });
        if is_release && best.as_ref().is_none_or(|best| text.len() > best.len()) {
            best = Some(text);
        }
    }
    best
}

/// Configuration files as sshd reads them: as root, links of root followed.
struct SystemFiles<'r>(&'r HostRoot);

impl ConfigFiles for SystemFiles<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let file = self.0.read(path, CONFIG_BYTES_MAX).map_err(problem)?;
        Ok(file.bytes)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem> {
        self.0.read_dir(directory, NAMES_MAX).map_err(problem)
    }
}

fn problem(error: ReadError) -> ReadProblem {
    if error.is_missing() {
        ReadProblem::Missing
    } else {
        ReadProblem::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_told_from_those_sshd_has_workarounds_for() {
        let program = b"\0OpenSSH_2.*,OpenSSH_3.0*\0OpenSSH_6.5*\0OpenSSH_9.2p1\0\
                        OpenSSH_9.2p1 Debian-2+deb12u3\0tail";
        assert_eq!(
            banner(program).as_deref(),
            Some("OpenSSH_9.2p1 Debian-2+deb12u3")
        );
        assert_eq!(banner(b"OpenSSH_2*"), None);
    }

    #[test]
    fn a_config_of_its_own_is_found_on_the_command_line() {
        let words = |text: &str| -> Vec<Vec<u8>> {
            // A NUL stands for a blank inside of a word.
            let word = |word: &str| word.replace('\0', " ").into_bytes();
            text.split(' ').map(word).collect()
        };
        for (line, want) in [
            ("/usr/sbin/sshd -D", None),
            (
                "sshd:\0/usr/sbin/sshd\0-D\0-f\0/etc/x\0[listener]\x000\0of",
                Some("/etc/x"),
            ),
            ("sshd:\0alice\0[priv]", None),
            (
                "/usr/sbin/sshd -D -f /etc/ssh/other",
                Some("/etc/ssh/other"),
            ),
            (
                "/usr/sbin/sshd -f/etc/ssh/other -p 2222",
                Some("/etc/ssh/other"),
            ),
        ] {
            assert_eq!(config_argument(&words(line)), want.map(PathBuf::from));
        }
    }
}
