//! Becoming another user.
//!
//! For work on a user's files only the *effective* ids are changed: real and saved uid stay 0, so
//! that no process of the user may signal or trace ours (kill(2), ptrace(2); CVE-2020-16126 is
//! what happens otherwise). For kill(2) with pid -1 all three must change; see
//! [`become_signaller_for`].
//!
//! glibc changes the ids of every thread of a process. All of this is for children with one.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{self, Gid, Uid};

use super::Errno;

/// The ids with which a user acts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, minicbor::Encode, minicbor::Decode)]
pub struct Ids {
    /// User.
    #[n(0)]
    pub uid: u32,
    /// Primary group.
    #[n(1)]
    pub gid: u32,
    /// All groups, as initgroups(3) would set them.
    #[n(2)]
    pub groups: Vec<u32>,
}

impl Ids {
    /// Root, with no other group.
    pub const ROOT: Self = Self {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
    };
}

/// Whether this process is root in all three ids and so can become others.
pub fn is_root() -> bool {
    unistd::getresuid()
        .is_ok_and(|ids| ids.real.is_root() && ids.effective.is_root() && ids.saved.is_root())
}

/// This process's effective uid.
pub fn effective_uid() -> u32 {
    unistd::geteuid().as_raw()
}

/// The process acts as somebody else until this is dropped.
#[derive(Debug)]
pub struct Acting(());

/// Takes on `ids` as effective ids. The process must be root with one thread.
///
/// Afterwards, or if it fails, the process is root again, with the groups of whom it acted as; if
/// it can neither go on nor back, it aborts.
pub fn act_as(ids: &Ids) -> Result<Acting, Errno> {
    // Made first: whatever fails below, its drop brings root's uid back.
    let acting = Acting(());
    let groups: Vec<Gid> = ids.groups.iter().copied().map(Gid::from_raw).collect();
    unistd::setgroups(&groups)?;
    unistd::setegid(Gid::from_raw(ids.gid))?;
    unistd::seteuid(Uid::from_raw(ids.uid))?;
    // The kernel forgets this whenever the effective ids change. It also sets "dumpable" anew, to
    // fs.suid_dumpable; but to trace us, all three of our uids would have to be the user's.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    Ok(acting)
}

impl Drop for Acting {
    fn drop(&mut self) {
        // The groups stay: they add nothing to root's rights, and acting again begins with them.
        if unistd::seteuid(Uid::from_raw(0)).is_err() {
            // To go on with the wrong ids is worse than to be gone.
            std::process::abort();
        }
    }
}

/// A uid that nobody has: real and saved uid of a process that signals as a user. (It is below
/// the two values that mean "none", and above what useradd(8) and subuid(5) give away.)
const NOBODYS_UID: u32 = 0xffff_fff0;

/// Gives root up for good, to signal all processes of `uid` and none else. On an error the ids
/// are undefined: exit.
///
/// kill(2) compares the sender's real and effective uid with the target's real and saved one. So
/// the effective uid becomes the user's, to reach the user's processes; the real one must not stay
/// root's, or all of root's would be reached; and neither real nor saved uid becomes the user's,
/// so that the user's processes cannot reach *us*.
pub fn become_signaller_for(uid: u32, gid: u32) -> Result<(), Errno> {
    let (user, nobody) = (Uid::from_raw(uid), Uid::from_raw(NOBODYS_UID));
    let gid = Gid::from_raw(gid);
    unistd::setgroups(&[])?;
    unistd::setresgid(gid, gid, gid)?;
    let want = match unistd::setresuid(nobody, user, nobody) {
        Ok(()) => [nobody, user, nobody],
        // In a user namespace that does not know the number.
        Err(Errno::EINVAL) => {
            unistd::setresuid(user, user, user)?;
            [user; 3]
        }
        Err(errno) => return Err(errno),
    };
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_dumpable(false)?;
    let now = unistd::getresuid()?;
    match [now.real, now.effective, now.saved] == want {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}
