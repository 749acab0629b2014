//! Programs that act as their owner, in their group, or with capabilities, whoever starts them.

use std::rc::Rc;

use rescind_protocol::name::AccountName;

use super::ground::can_run;
use super::steps::{Means, Step, Sure};
use crate::home::Looked;
use crate::host::account::Account;
use crate::sshd::printable::printable;

/// Such a program.
#[derive(Debug, Clone)]
pub struct SetId {
    /// Its path.
    pub path: Vec<u8>,
    /// What that leads to.
    pub way: Rc<Looked>,
    /// What it makes of those who run it.
    pub makes: Makes,
    /// How it comes to that.
    pub reason: String,
    /// Whether it is known to do what it is told.
    pub sure: Sure,
}

/// What a program makes of those who run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Makes {
    /// This account.
    Account(AccountName),
    /// A member of this group.
    Member(Vec<u8>),
}

/// The steps of an account by programs that it can run.
pub(super) fn steps(account: &Account, programs: &[SetId], steps: &mut Vec<Step>) {
    for program in programs {
        let (to, enters) = match &program.makes {
            Makes::Account(name) if *name != account.name => (name.clone(), None),
            Makes::Account(_) => continue,
            Makes::Member(group) => (account.name.clone(), Some(group.clone())),
        };
        if can_run(account, &program.way) {
            steps.push(Step {
                to,
                enters,
                means: Means::Setuid,
                reason: format!(
                    "it can run {}, {}",
                    printable(&program.path),
                    program.reason
                ),
                source: None,
                sure: program.sure,
            });
        }
    }
}

/// Programs that distributions have setuid or setgid, or with capabilities, and that do not do what
/// they are told. By their names, wherever they lie.
pub const STOCK: [&str; 84] = [
    "at",
    "bsd-write",
    "bwrap",
    "cdrecord",
    "chage",
    "chfn",
    "chrome-sandbox",
    "chrony-wait",
    "chsh",
    "crontab",
    "dbus-daemon-launch-helper",
    "dmcrypt-get-device",
    "doas",
    "dotlockfile",
    "dumpcap",
    "exim4",
    "expiry",
    "fbterm",
    "fping",
    "fusermount",
    "fusermount3",
    "gnome-keyring-daemon",
    "gpasswd",
    "gst-ptp-helper",
    "incidentd",
    "ksu",
    "kismet_capture",
    "lockdev",
    "locate",
    "login",
    "lppasswd",
    "mail-lock",
    "mail-touchlock",
    "mail-unlock",
    "mlocate",
    "mount",
    "mount.cifs",
    "mount.ecryptfs_private",
    "mount.nfs",
    "mount.ntfs-3g",
    "mtr",
    "mtr-packet",
    "netreport",
    "newgidmap",
    "newgrp",
    "newuidmap",
    "ntfs-3g",
    "pam_extrausers_chkpwd",
    "pam_timestamp_check",
    "passwd",
    "ping",
    "ping6",
    "pkexec",
    "plocate",
    "polkit-agent-helper-1",
    "postdrop",
    "postqueue",
    "pppd",
    "procmail",
    "qemu-bridge-helper",
    "rcp",
    "rlogin",
    "rsh",
    "screen",
    "sendmail",
    "sg",
    "slock",
    "snap-confine",
    "spice-client-glib-usb-acl-helper",
    "ssh-agent",
    "ssh-keysign",
    "staprun",
    "su",
    "sudo",
    "sudoedit",
    "suexec",
    "traceroute6",
    "umount",
    "umount.nfs",
    "unix_chkpwd",
    "userhelper",
    "usernetctl",
    "utempter",
    "Xorg.wrap",
];
