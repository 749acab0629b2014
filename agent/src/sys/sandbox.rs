//! What a process gives up: user, privileges, dumps, system calls.
//!
//! Everything here holds for the calling thread and for those it makes afterwards: call it before
//! there are others.

use std::io;

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Becomes another user for good, with no supplementary groups.
pub fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    // setresuid(2) from root gives up every capability; make sure there is no way back.
    match setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)) {
        Err(_) => Ok(()),
        Ok(()) => Err(io::Error::other("could become root again")),
    }
}

/// No new privileges through exec, no core dumps, no reading of this process's memory by others
/// of its user.
pub fn seal_process() -> io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    nix::sys::prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Why the system call filter is not in force.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// This processor's system calls are not known to us.
    #[error("no system call filter for {}", std::env::consts::ARCH)]
    Architecture,
    /// The filter could not be built.
    #[error("cannot build the system call filter: {0}")]
    Build(#[from] seccompiler::BackendError),
    /// The kernel would not have it.
    #[error("the kernel refuses the system call filter: {0}")]
    Install(#[from] seccompiler::Error),
}

/// Restricts the calling thread and its children to the system calls of a network client.
///
/// Two filters, of which the kernel obeys the stricter: what only an attacker would call kills the
/// process; whatever else is not on the list fails with ENOSYS. Not EPERM: a newer C library tries
/// newer calls first and falls back on ENOSYS only.
///
/// Needs [`seal_process`] first.
pub fn restrict_to_network_client() -> Result<(), FilterError> {
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|_| FilterError::Architecture)?;
    let allowed = ALLOWED
        .iter()
        .map(|&call| (call, Vec::new()))
        .chain(conditional()?)
        .collect();
    let hostile = HOSTILE.iter().map(|&call| (call, Vec::new())).collect();
    let filters = [
        SeccompFilter::new(
            hostile,
            SeccompAction::Allow,
            SeccompAction::KillProcess,
            arch,
        )?,
        SeccompFilter::new(
            allowed,
            SeccompAction::Errno(libc::ENOSYS as u32),
            SeccompAction::Allow,
            arch,
        )?,
    ];
    for filter in filters {
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter(&program)?;
    }
    Ok(())
}

/// Calls that are allowed with some arguments only: sockets of the four families a client and its
/// resolver use, and memory that is never writable and executable at once.
fn conditional() -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    use SeccompCmpArgLen::Dword;
    use SeccompCmpOp::{Eq, MaskedEq};
    let rule =
        |arg, op, value| SeccompRule::new(vec![SeccompCondition::new(arg, Dword, op, value)?]);
    let lacks = |bit: i32| MaskedEq(bit as u64);
    let mut families = Vec::new();
    for family in [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        // getaddrinfo(3) asks which addresses the host has.
        libc::AF_NETLINK,
    ] {
        families.push(rule(0, Eq, family as u64)?);
    }
    Ok(vec![
        (libc::SYS_socket, families),
        (
            libc::SYS_socketpair,
            vec![rule(0, Eq, libc::AF_UNIX as u64)?],
        ),
        (
            libc::SYS_mmap,
            vec![
                rule(2, lacks(libc::PROT_WRITE), 0)?,
                rule(2, lacks(libc::PROT_EXEC), 0)?,
            ],
        ),
        (
            libc::SYS_mprotect,
            vec![rule(2, lacks(libc::PROT_EXEC), 0)?],
        ),
    ])
}

/// What no code of ours, of the runtime or of the C library's resolver ever calls here.
const HOSTILE: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_keyctl,
    libc::SYS_io_uring_setup,
];

/// What the runtime, TLS, the files of the link and getaddrinfo(3) need, on glibc 2.17 and later.
const ALLOWED: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads: getaddrinfo(3) blocks, so that it gets one of its own.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_arch_prctl,
    libc::SYS_prctl,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Signals.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_time,
    libc::SYS_getrandom,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    // Sockets.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_ioctl,
    // Files: the link's own, the resolver's, the shared objects of NSS.
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_stat,
    libc::SYS_fstat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_fsync,
    libc::SYS_fchmod,
    libc::SYS_rename,
    libc::SYS_unlink,
    // What the C library asks about itself.
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_prlimit64,
    libc::SYS_getrlimit,
];
