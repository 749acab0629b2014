//! Programs that act as root for others: whether they are there, and what they are built with.

use std::path::Path;

use crate::host::learnt::Learnt;
use crate::host::root::{HostRoot, ReadError};
use crate::rights::polkit::Daemon;
use crate::rights::su::Program;

const PROGRAM_BYTES_MAX: u64 = 64 << 20;
const SU: [&str; 2] = ["/usr/bin/su", "/bin/su"];
const DOAS: [&str; 2] = ["/usr/bin/doas", "/usr/local/bin/doas"];
const POLKITD: [&str; 4] = [
    "/usr/lib/polkit-1/polkitd",
    "/usr/libexec/polkitd",
    "/usr/libexec/polkit-1/polkitd",
    "/usr/lib/policykit-1/polkitd",
];
/// What later polkits ask about the local authority's files.
const LOCAL_AUTHORITY: &str = "/usr/bin/pkla-check-authorization";

/// What was learnt of programs, kept while the files stay the same.
pub type Programs = Learnt<Built>;

/// What a program is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// It is linked with PAM.
    pub asks_pam: bool,
    /// It knows of the local authority's directories, as polkit did before it ran rules.
    pub is_local_authority: bool,
}

/// su(1), and whether it asks PAM.
pub fn su(root: &HostRoot, programs: &mut Programs) -> (Program, bool) {
    acting(root, programs, &SU)
}

/// doas(1), and whether it asks PAM.
pub fn doas(root: &HostRoot, programs: &mut Programs) -> (Program, bool) {
    acting(root, programs, &DOAS)
}

/// The polkit that decides.
pub fn polkit(root: &HostRoot, programs: &mut Programs) -> Daemon {
    match first(root, programs, &POLKITD) {
        Ok(None) => Daemon::Missing,
        Err(_) => Daemon::Unknown,
        Ok(Some((_, built))) if built.is_local_authority => Daemon::LocalAuthority,
        Ok(Some(_)) => Daemon::Rules {
            local_authority: !matches!(root.exists(Path::new(LOCAL_AUTHORITY)), Ok(false)),
        },
    }
}

/// Whether a program runs as root whoever starts it.
pub fn is_setuid_root(root: &HostRoot, program: &Path) -> Result<bool, ReadError> {
    let stat = root.stat(program)?.stat;
    Ok(stat.mode & 0o4000 != 0 && root.trusts(stat.uid))
}

fn acting(root: &HostRoot, programs: &mut Programs, paths: &[&str]) -> (Program, bool) {
    match first(root, programs, paths) {
        Ok(None) => (Program::Powerless, false),
        Ok(Some((path, built))) => match is_setuid_root(root, Path::new(path)) {
            Ok(true) => (Program::Acts, built.asks_pam),
            Ok(false) => (Program::Powerless, built.asks_pam),
            Err(error) => (Program::Unknown(error.to_string()), built.asks_pam),
        },
        Err(error) => (Program::Unknown(error.to_string()), true),
    }
}

/// The first of these programs that is installed.
fn first<'p>(
    root: &HostRoot,
    programs: &mut Programs,
    paths: &[&'p str],
) -> Result<Option<(&'p str, Built)>, ReadError> {
    let learn = |bytes: &[u8]| {
        let holds = |text: &[u8]| memchr::memmem::find(bytes, text).is_some();
        Built {
            asks_pam: holds(b"libpam.so"),
            is_local_authority: holds(b"/etc/polkit-1/localauthority"),
        }
    };
    for path in paths {
        match programs.of(root, Path::new(path), PROGRAM_BYTES_MAX, learn) {
            Ok(built) => return Ok(Some((path, built))),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
