//! Commands that give away root without being called `ALL`.
//!
//! Not a complete list of what can be abused, which nobody has: programs whose plain purpose is to run
//! other programs, to write files anywhere, or to change who may do what.

use super::tree::Command;

/// Shells, and programs that start others as they are told.
const RUNS_ANYTHING: [&str; 50] = [
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "busybox",
    "su",
    "sudo",
    "runuser",
    "setpriv",
    "env",
    "nice",
    "nohup",
    "timeout",
    "xargs",
    "find",
    "script",
    "screen",
    "tmux",
    "strace",
    "gdb",
    "ltrace",
    "chroot",
    "unshare",
    "nsenter",
    "capsh",
    "systemd-run",
    "machinectl",
    "docker",
    "podman",
    "lxc",
    "ctr",
    "python",
    "python2",
    "python3",
    "perl",
    "ruby",
    "lua",
    "node",
    "php",
    "awk",
    "gawk",
    "mawk",
    "tclsh",
    "expect",
];

/// Programs that write files as they are told, or start a shell from within.
const WRITES_ANYTHING: [&str; 34] = [
    "vi",
    "vim",
    "nvim",
    "vim.basic",
    "vim.tiny",
    "view",
    "rvim",
    "emacs",
    "nano",
    "ed",
    "ex",
    "joe",
    "mcedit",
    "editor",
    "less",
    "more",
    "man",
    "tee",
    "dd",
    "cp",
    "mv",
    "install",
    "ln",
    "rsync",
    "tar",
    "cpio",
    "zip",
    "unzip",
    "sed",
    "chmod",
    "chown",
    "chattr",
    "mount",
    "git",
];

/// Programs that change accounts, services or packages.
const CHANGES_THE_HOST: [&str; 26] = [
    "visudo",
    "passwd",
    "chpasswd",
    "usermod",
    "useradd",
    "adduser",
    "gpasswd",
    "groupmod",
    "newusers",
    "vipw",
    "vigr",
    "chsh",
    "systemctl",
    "service",
    "crontab",
    "at",
    "apt",
    "apt-get",
    "dpkg",
    "aptitude",
    "rpm",
    "yum",
    "dnf",
    "snap",
    "pip",
    "insmod",
];

/// Directories where such programs lie.
const SYSTEM_DIRS: [&[u8]; 7] = [
    b"/bin/",
    b"/sbin/",
    b"/usr/bin/",
    b"/usr/sbin/",
    b"/usr/local/bin/",
    b"/usr/local/sbin/",
    b"/",
];

/// Whether a program starts whatever it is told to, as shells and interpreters do.
pub fn runs_anything(path: &[u8]) -> bool {
    let base = base_name(path);
    RUNS_ANYTHING
        .iter()
        .any(|name| is_named(base, name.as_bytes()))
}

/// Why a command, allowed as root, most likely gives root away; `None` if it is not known to.
pub fn reason(command: &Command) -> Option<&'static str> {
    let path = command.path.as_deref()?;
    let any_args = match command.args.as_deref() {
        None => true,
        Some(args) => args.contains(&b'*') || args == b"^.*$",
    };
    if path == b"sudoedit" {
        return any_args.then_some("sudoedit of any file");
    }
    if path == b"list" {
        return None;
    }
    if path.first() == Some(&b'^') {
        return path
            .starts_with(b"^/")
            .then_some("any command that fits a regular expression")
            .filter(|_| path.windows(2).any(|pair| pair == b".*"));
    }
    if SYSTEM_DIRS.contains(&path) {
        return Some("every command of a system directory");
    }
    let base = base_name(path);
    if base.contains(&b'*') || base.contains(&b'?') || base.contains(&b'[') {
        return Some("every command that fits a pattern");
    }
    if !any_args {
        return None;
    }
    of_program(path)
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|c| *c == b'/').next().unwrap_or(path)
}

/// Why a program, run as somebody with any arguments, most likely makes one that somebody; `None`
/// if it is not known to.
pub fn of_program(path: &[u8]) -> Option<&'static str> {
    let base = base_name(path);
    let named = |list: &[&str]| list.iter().any(|name| is_named(base, name.as_bytes()));
    if named(&RUNS_ANYTHING) {
        Some("a program that runs any other")
    } else if named(&WRITES_ANYTHING) {
        Some("a program that writes any file")
    } else if named(&CHANGES_THE_HOST) {
        Some("a program that changes accounts, services or packages")
    } else {
        None
    }
}

/// The name, with or without a version behind it.
fn is_named(base: &[u8], name: &[u8]) -> bool {
    base.strip_prefix(name).is_some_and(|rest| {
        rest.iter()
            .all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'-'))
    })
}
