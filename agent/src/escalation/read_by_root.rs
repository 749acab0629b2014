//! Files and directories that root, or a program that acts as root, reads or runs on every host.
//!
//! Not a complete list, which nobody has. What refuses files that do not belong to root (sudoers,
//! doas.conf, logrotate) is not among them.

use super::ground::{FILE, Wants};
use super::steps::Sure;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its path.
    pub path: &'static str,
    /// What of it counts.
    pub wants: Wants,
    /// What is done with it.
    pub what: &'static str,
    /// Whether it acts by itself.
    pub sure: Sure,
}

const INTO: Wants = Wants { into: true, ..FILE };
const HERE: Wants = Wants {
    fresh: false,
    ..FILE
};

const fn at(path: &'static str, wants: Wants, what: &'static str, sure: Sure) -> Place {
    Place {
        path,
        wants,
        what,
        sure,
    }
}

const ACCOUNTS: &str = "and with it says who is root";
const LOADED: &str = "and programs that act as root load what it says";
const LOGIN: &str = "and root's shell runs it at login";
const PROGRAMS: &str = "and root finds its programs there";
const LIBRARIES: &str = "and programs find their libraries there";
const CONTAINERS: &str = "and who writes to it starts containers as root";
const BOOT: &str = "and it is run as root when the host starts";
const EVENT: &str = "and it is run as root when a device or network comes or goes";
const PACKAGES: &str = "and it is run as root when packages are installed";

/// All of them.
pub const PLACES: &[Place] = &[
    at("/etc/passwd", FILE, ACCOUNTS, Sure::Yes),
    at(
        "/etc/shadow",
        FILE,
        "and with it sets root's password",
        Sure::Yes,
    ),
    at(
        "/etc/group",
        FILE,
        "and with it says who is in which group",
        Sure::Yes,
    ),
    at(
        "/etc/gshadow",
        FILE,
        "and with it says who enters which group",
        Sure::Yes,
    ),
    at("/etc/nsswitch.conf", FILE, ACCOUNTS, Sure::Likely),
    at(
        "/etc/pam.d",
        INTO,
        "and what it says lets anybody in as root",
        Sure::Yes,
    ),
    at("/etc/ld.so.preload", FILE, LOADED, Sure::Yes),
    at("/etc/ld.so.cache", FILE, LOADED, Sure::Likely),
    at("/etc/ld.so.conf", FILE, LOADED, Sure::Likely),
    at("/etc/ld.so.conf.d", INTO, LOADED, Sure::Likely),
    at("/etc/environment", FILE, LOADED, Sure::Likely),
    at("/etc/profile", FILE, LOGIN, Sure::Likely),
    at("/etc/profile.d", INTO, LOGIN, Sure::Likely),
    at("/etc/bash.bashrc", FILE, LOGIN, Sure::Likely),
    at("/etc/bashrc", FILE, LOGIN, Sure::Likely),
    at(
        "/etc/update-motd.d",
        INTO,
        "and it is run as root when somebody logs in",
        Sure::Likely,
    ),
    at("/etc/rc.local", FILE, BOOT, Sure::Likely),
    at("/etc/init.d", INTO, BOOT, Sure::Likely),
    at("/etc/systemd/system", INTO, BOOT, Sure::Likely),
    at("/etc/systemd/system.conf", FILE, BOOT, Sure::Likely),
    at("/run/systemd/system", INTO, BOOT, Sure::Likely),
    at("/usr/lib/systemd/system", INTO, BOOT, Sure::Likely),
    at("/etc/systemd/system-generators", INTO, BOOT, Sure::Likely),
    at(
        "/usr/lib/systemd/system-generators",
        INTO,
        BOOT,
        Sure::Likely,
    ),
    at("/etc/modprobe.d", INTO, BOOT, Sure::Likely),
    at("/etc/udev/rules.d", INTO, EVENT, Sure::Likely),
    at("/etc/network/if-up.d", INTO, EVENT, Sure::Likely),
    at("/etc/dhcp/dhclient-exit-hooks.d", INTO, EVENT, Sure::Likely),
    at("/etc/ppp/ip-up.d", INTO, EVENT, Sure::Likely),
    at("/etc/apt/apt.conf.d", INTO, PACKAGES, Sure::Likely),
    at("/etc/dpkg/dpkg.cfg.d", INTO, PACKAGES, Sure::Likely),
    at("/etc/kernel/postinst.d", INTO, PACKAGES, Sure::Likely),
    at("/var/lib/dpkg/info", INTO, PACKAGES, Sure::Likely),
    at(
        "/etc/ssh/sshd_config",
        FILE,
        "and sshd reads it when it starts",
        Sure::Likely,
    ),
    at(
        "/etc/ssh/sshd_config.d",
        INTO,
        "and sshd reads it when it starts",
        Sure::Likely,
    ),
    at("/root", INTO, LOGIN, Sure::Likely),
    at("/root/.bashrc", FILE, LOGIN, Sure::Likely),
    at("/root/.profile", FILE, LOGIN, Sure::Likely),
    at("/usr/local/sbin", INTO, PROGRAMS, Sure::Likely),
    at("/usr/local/bin", INTO, PROGRAMS, Sure::Likely),
    at("/usr/sbin", INTO, PROGRAMS, Sure::Likely),
    at("/usr/bin", INTO, PROGRAMS, Sure::Likely),
    at("/sbin", INTO, PROGRAMS, Sure::Likely),
    at("/bin", INTO, PROGRAMS, Sure::Likely),
    at("/usr/lib", INTO, LIBRARIES, Sure::Likely),
    at("/lib", INTO, LIBRARIES, Sure::Likely),
    at("/run/docker.sock", HERE, CONTAINERS, Sure::Yes),
    at("/run/podman/podman.sock", HERE, CONTAINERS, Sure::Yes),
    at(
        "/run/containerd/containerd.sock",
        HERE,
        CONTAINERS,
        Sure::Yes,
    ),
    at("/run/crio/crio.sock", HERE, CONTAINERS, Sure::Yes),
    at("/var/lib/lxd/unix.socket", HERE, CONTAINERS, Sure::Yes),
    at(
        "/var/snap/lxd/common/lxd/unix.socket",
        HERE,
        CONTAINERS,
        Sure::Yes,
    ),
    at("/var/lib/incus/unix.socket", HERE, CONTAINERS, Sure::Yes),
];

/// Directories whose files are run or read one by one, whoever owns them: those in which names can
/// be changed are among the places above.
pub const FILES_OF: &[Place] = &[
    at(
        "/etc/pam.d",
        HERE,
        "and what it says lets anybody in as root",
        Sure::Yes,
    ),
    at("/etc/profile.d", HERE, LOGIN, Sure::Likely),
    at("/etc/init.d", HERE, BOOT, Sure::Likely),
    at(
        "/etc/update-motd.d",
        HERE,
        "and it is run as root when somebody logs in",
        Sure::Likely,
    ),
    at("/etc/udev/rules.d", HERE, EVENT, Sure::Likely),
    at("/etc/ld.so.conf.d", HERE, LOADED, Sure::Likely),
    at("/etc/apt/apt.conf.d", HERE, PACKAGES, Sure::Likely),
];

/// Where root looks for programs when nothing says otherwise.
pub const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a shell of an account runs from its home at login.
pub const AT_LOGIN: [&str; 4] = [".profile", ".bash_profile", ".bashrc", ".ssh/rc"];
