//! The processes of the host, in one pass over /proc (proc(5)).

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::sys::process::ProcessId;
use crate::sys::{Errno, errno, fs};

/// The most of any file of /proc/PID that is read.
const FILE_BYTES_MAX: usize = 16 << 10;

/// The most of a status(5) with all its groups, of which a process can have 65,536.
const STATUS_BYTES_MAX: usize = 1 << 20;

/// The most threads of one process that are looked at.
const THREADS_MAX: usize = 64 << 10;

/// How often /proc is listed at most for one table.
const LISTINGS_MAX: usize = 6;

/// The most processes of a host: PID_MAX_LIMIT of 64-bit Linux.
const PROCESSES_MAX: usize = 4 << 20;

/// One process. Two are the same process only if pid *and* start time are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: ProcessId,
    /// Its parent's.
    pub ppid: ProcessId,
    /// When it was started, in clock ticks since boot.
    pub start_time: u64,
    /// One letter: `R`, `S`, `D` (cannot be interrupted), `T` (stopped), `t` (traced), `Z` …
    pub state: char,
    /// Its threads, with the first.
    pub threads: u32,
    /// Its session id (setsid(2)).
    pub session: ProcessId,
    /// Its terminal's device number; 0 for none.
    pub tty: u32,
    /// Real, effective, saved and file system uid.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system gid.
    pub gids: [u32; 4],
    /// Its name, 15 bytes at most; the process itself chooses it.
    pub comm: Vec<u8>,
    /// It is in another, nested pid namespace: a container, or something like it.
    pub nested: bool,
    /// It is a thread of the kernel.
    pub kernel: bool,
    /// SIGSTOP or SIGKILL waits for it: it will not run its own code again before it takes it.
    pub stopping: bool,
}

impl Process {
    /// Whether it can still do something: not a zombie, whose entry only waits for its parent. The
    /// first thread may be a zombie while others go on.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x') || self.threads > 1
    }

    /// Whether it is stopped or traced, or will be before it runs its own code again.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't') || self.stopping || !self.is_alive()
    }

    /// Whether all of its uids are root's, so that nobody else can have given it its name and
    /// its command line.
    pub fn is_root(&self) -> bool {
        self.uids == [0; 4]
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.comm.escape_ascii())
    }
}

/// Something of a process could not be read, so what is said of the host may lack it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/proc/{pid}/{file}: {}", .errno.desc())]
pub struct Gap {
    /// The process.
    pub pid: ProcessId,
    /// The file of /proc/PID.
    pub file: &'static str,
    /// Why.
    pub errno: Errno,
}

/// An open /proc.
#[derive(Debug)]
pub struct Proc(OwnedFd);

/// All processes, by pid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Those that were there while /proc was read, by pid.
    pub processes: Vec<Process>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
    /// Nothing had ended by the time it was read that was in the last listing and not in those
    /// before. Only then is it certain that there was nobody else: a process that keeps forking
    /// and ending is always one step ahead of a reader, but every listing has one of it.
    pub settled: bool,
}

impl Table {
    /// The process with a pid.
    pub fn get(&self, pid: ProcessId) -> Option<&Process> {
        let at = self.processes.binary_search_by_key(&pid, |p| p.pid).ok()?;
        self.processes.get(at)
    }

    /// Whether `pid` is `ancestor` or descends from it.
    pub fn descends(&self, pid: ProcessId, ancestor: ProcessId) -> bool {
        let mut here = pid;
        // A pid that is used again while the table is read could make a circle.
        for _ in 0..128 {
            if here == ancestor {
                return true;
            }
            match self.get(here) {
                Some(process) if process.ppid > 0 => here = process.ppid,
                _ => return false,
            }
        }
        false
    }
}

impl Proc {
    /// Opens /proc, or a directory that looks like it.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(std::fs::File::open(path)?.into()))
    }

    /// Reads all processes. One that ends meanwhile is left out; one that cannot be read for
    /// another reason is a gap.
    pub fn table(&self) -> Result<Table, Errno> {
        let mut table = Table::default();
        let mut known: HashSet<ProcessId> = HashSet::new();
        let mut buffer = vec![0; FILE_BYTES_MAX];
        for _ in 0..LISTINGS_MAX {
            table.settled = true;
            for pid in self.pids()? {
                if !known.insert(pid) {
                    continue;
                }
                match self.read_process(pid, &mut buffer) {
                    Ok(Some(process)) => {
                        // A zombie may have left a child behind that was not listed yet.
                        table.settled &= process.is_alive();
                        table.processes.push(process);
                    }
                    Ok(None) => table.settled = false,
                    Err(gap) => table.gaps.push(gap),
                }
            }
            if table.settled {
                break;
            }
        }
        table.processes.sort_unstable_by_key(|process| process.pid);
        Ok(table)
    }

    fn pids(&self) -> Result<Vec<ProcessId>, Errno> {
        let dir = fs::open_dir(&self.0, ".").map_err(errno)?;
        let (names, _) = fs::names(dir, PROCESSES_MAX).map_err(errno)?;
        let names = names.iter().map(|name| name.as_bytes());
        Ok(names.filter_map(number).collect())
    }

    /// One process, as it is now; `None` when there is none with this pid.
    pub fn process(&self, pid: ProcessId) -> Result<Option<Process>, Gap> {
        self.read_process(pid, &mut vec![0; FILE_BYTES_MAX])
    }

    /// Its arguments, or the title it has given itself; empty for a zombie. At most 16 KiB.
    pub fn command_line(&self, pid: ProcessId) -> Result<Option<Vec<Vec<u8>>>, Gap> {
        let mut buffer = vec![0; FILE_BYTES_MAX];
        let Some(bytes) = self.read_file(pid, "cmdline", &mut buffer)? else {
            return Ok(None);
        };
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        Ok(Some(bytes.split(|b| *b == 0).map(<[u8]>::to_vec).collect()))
    }

    /// The uid that logged in to begin what led to this process (pam_loginuid(8)); it stays over
    /// su and sudo. `None` where it is not set, or the kernel does not keep it.
    pub fn login_uid(&self, pid: ProcessId) -> Result<Option<u32>, Gap> {
        let mut buffer = [0; 32];
        let text = self.read_file(pid, "loginuid", &mut buffer)?;
        let uid = text.and_then(number::<u32>);
        Ok(uid.filter(|uid| *uid != u32::MAX))
    }

    /// Its supplementary groups; `None` when it is gone.
    pub fn groups(&self, pid: ProcessId) -> Result<Option<Vec<u32>>, Gap> {
        let mut buffer = vec![0; STATUS_BYTES_MAX];
        let Some(text) = self.read_file(pid, "status", &mut buffer)? else {
            return Ok(None);
        };
        let groups = parse_groups(text).ok_or(Gap {
            pid,
            file: "status",
            errno: Errno::EBADMSG,
        });
        groups.map(Some)
    }

    /// The path of its control group in the hierarchy that systemd manages; `None` without one.
    pub fn control_group(&self, pid: ProcessId) -> Result<Option<Vec<u8>>, Gap> {
        let mut buffer = vec![0; FILE_BYTES_MAX];
        let text = self.read_file(pid, "cgroup", &mut buffer)?;
        Ok(text.and_then(parse_control_group))
    }

    /// Whether it is in the host's own user namespace, in which uids are what they are. Making
    /// another is all that a user without privileges can do to get a pid namespace.
    pub fn has_hosts_uids(&self, pid: ProcessId) -> Result<Option<bool>, Gap> {
        let mut buffer = [0; 4096];
        let text = self.read_file(pid, "uid_map", &mut buffer)?;
        Ok(text.map(maps_all))
    }

    fn read_process(&self, pid: ProcessId, buffer: &mut [u8]) -> Result<Option<Process>, Gap> {
        let Some(bytes) = self.read_file(pid, "stat", buffer)? else {
            return Ok(None);
        };
        let malformed = |file| Gap {
            pid,
            file,
            errno: Errno::EBADMSG,
        };
        let mut process = parse_stat(bytes).ok_or(malformed("stat"))?;
        if process.kernel {
            // Root's, and nothing else of it is of interest; many hosts have hundreds of them.
            (process.uids, process.gids) = ([0; 4], [0; 4]);
            return Ok(Some(process));
        }
        let Some(bytes) = self.read_file(pid, "status", buffer)? else {
            return Ok(None);
        };
        parse_status(bytes, &mut process).ok_or(malformed("status"))?;
        if process.state == 'Z' && process.threads > 1 {
            // Its first thread has ended, and the others go on: what they do is what it does.
            if let Some(state) = self.state_of_other_threads(pid, buffer)? {
                process.state = state;
            }
        }
        Ok(Some(process))
    }

    /// The state of the thread that is the least stopped, but for those that have ended.
    fn state_of_other_threads(
        &self,
        pid: ProcessId,
        buffer: &mut [u8],
    ) -> Result<Option<char>, Gap> {
        let gap = |errno| Gap {
            pid,
            file: "task",
            errno,
        };
        let names = fs::open_dir(&self.0, format!("{pid}/task"))
            .and_then(|dir| fs::names(dir, THREADS_MAX))
            .map_err(errno);
        let names = match names {
            Ok((names, _)) => names,
            Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
            Err(errno) => return Err(gap(errno)),
        };
        let mut state = None;
        let threads = names.iter().map(|name| name.as_bytes());
        for thread in threads.filter_map(number::<ProcessId>) {
            let file = format!("{pid}/task/{thread}/stat");
            let Some(bytes) = read_file(&self.0, &file, buffer).map_err(gap)? else {
                continue;
            };
            match parse_stat(bytes).map(|thread| thread.state) {
                None | Some('Z' | 'X') => {}
                Some(stopped @ ('T' | 't')) => state = state.or(Some(stopped)),
                Some(runs) => return Ok(Some(runs)),
            }
        }
        Ok(state)
    }

    fn read_file<'b>(
        &self,
        pid: ProcessId,
        file: &'static str,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Gap> {
        read_file(&self.0, &format!("{pid}/{file}"), buffer).map_err(|errno| Gap {
            pid,
            file,
            errno,
        })
    }
}

/// Reads a small file of /proc, no more than fits; `None` when its process is gone.
fn read_file<'b>(
    proc: &OwnedFd,
    path: &str,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>, Errno> {
    let file = match fs::open_read(proc, OsStr::new(path)).map_err(errno) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ESRCH) => return Ok(None),
        Err(errno) => return Err(errno),
    };
    let mut len = 0;
    while len < buffer.len() {
        match fs::read(&file, &mut buffer[len..]).map_err(errno) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(Errno::EINTR) => {}
            Err(Errno::ESRCH | Errno::ENOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        }
        // Files this small come in one piece; a second read would only say so.
        if len < buffer.len() / 2 {
            break;
        }
    }
    Ok(Some(&buffer[..len]))
}

/// The supplementary groups in a whole proc_pid_status(5).
fn parse_groups(bytes: &[u8]) -> Option<Vec<u32>> {
    let begin = memchr::memmem::find(bytes, b"\nGroups:")? + b"\nGroups:".len();
    let line = &bytes[begin..];
    let line = &line[..memchr::memchr(b'\n', line)?];
    let mut words = line.split(u8::is_ascii_whitespace);
    words.try_fold(Vec::new(), |mut groups, word| {
        if !word.is_empty() {
            groups.push(number::<u32>(word)?);
        }
        Some(groups)
    })
}

/// proc_pid_stat(5). The name stands in parentheses and may itself contain some.
fn parse_stat(bytes: &[u8]) -> Option<Process> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let pid = number(bytes.get(..open)?)?;
    let comm = bytes.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    // Fields 3, 4, 6, 7, 9, 20 and 22.
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let tty = fields.next()?.parse::<i32>().ok()?.cast_unsigned();
    let flags: u64 = fields.nth(1)?.parse().ok()?;
    let threads = fields.nth(10)?.parse().ok()?;
    let start_time = fields.nth(1)?.parse().ok()?;
    Some(Process {
        pid,
        ppid,
        start_time,
        state,
        threads,
        session,
        tty,
        uids: [u32::MAX; 4],
        gids: [u32::MAX; 4],
        comm,
        nested: false,
        kernel: flags & PF_KTHREAD != 0,
        stopping: false,
    })
}

/// PF_KTHREAD of linux/sched.h.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The bits of SIGKILL (9) and SIGSTOP (19) in a signal set.
const STOP_OR_KILL: u64 = 1 << 8 | 1 << 18;

/// proc_pid_status(5): what stat does not say. The name in its first line cannot contain a line
/// end, the kernel escapes it.
fn parse_status(bytes: &[u8], process: &mut Process) -> Option<()> {
    let (mut uids, mut gids) = (None, None);
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (key, value) = (&line[..colon], &line[colon + 1..]);
        match key {
            b"Uid" if uids.is_none() => uids = Some(four(value)?),
            b"Gid" if gids.is_none() => gids = Some(four(value)?),
            b"NSpid" => process.nested = value.split(|b| *b == b'\t').skip(1).count() > 1,
            // Signals that wait for the process as a whole: kill(2) sends such.
            b"ShdPnd" => {
                let pending = std::str::from_utf8(value).ok()?.trim();
                let pending = u64::from_str_radix(pending, 16).ok()?;
                process.stopping = pending & STOP_OR_KILL != 0;
                break; // nothing after it is of interest
            }
            _ => {}
        }
    }
    process.uids = uids?;
    process.gids = gids?;
    Some(())
}

/// user_namespaces(7): one line, all uids mapped to themselves.
fn maps_all(uid_map: &[u8]) -> bool {
    let words = uid_map.split(u8::is_ascii_whitespace);
    words
        .filter(|word| !word.is_empty())
        .eq([b"0".as_slice(), b"0", b"4294967295"])
}

fn four(value: &[u8]) -> Option<[u32; 4]> {
    let mut numbers = std::str::from_utf8(value).ok()?.split_ascii_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

/// cgroups(7): lines of `id:controllers:path`. The one that systemd manages is `name=systemd`
/// where there is one, and otherwise the unified one, `0::`.
fn parse_control_group(bytes: &[u8]) -> Option<Vec<u8>> {
    let path_of = |mark: &[u8]| {
        bytes.split(|byte| *byte == b'\n').find_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            line[colon..].strip_prefix(mark).map(<[u8]>::to_vec)
        })
    };
    // Where the old hierarchy is there and not used, everything is at its root.
    let old = path_of(b":name=systemd:");
    let mut path = match old.as_deref() {
        None | Some(b"/") => path_of(b"::").or(old),
        Some(_) => old,
    };
    if let Some(path) = &mut path
        && path.ends_with(REMOVED)
    {
        path.truncate(path.len() - REMOVED.len());
    }
    path
}

/// Behind the path of a group that was removed while its last process ended (cgroups(7)).
const REMOVED: &[u8] = b" (deleted)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::ids;

    #[test]
    fn a_name_with_parentheses_and_numbers_is_a_name() {
        let stat = b"4711 (x) S 1 (y) S 10 20 30 34816 40 4194304 1 2 3 4 5 6 7 8 20 0 3 0 \
            987654 1000 2000";
        let process = parse_stat(stat).unwrap();
        assert_eq!(process.comm, b"x) S 1 (y");
        assert_eq!((process.pid, process.ppid, process.session), (4711, 10, 30));
        assert_eq!(
            (process.tty, process.threads, process.state),
            (34816, 3, 'S')
        );
        assert_eq!((process.start_time, process.kernel), (987_654, false));
        assert_eq!(parse_stat(b"1 (half"), None);
        assert_eq!(parse_stat(b"1 (half) S 2 3"), None);
    }

    #[test]
    fn status_gives_all_groups_or_none() {
        let groups = |text: &str| parse_groups(text.as_bytes());
        assert_eq!(
            groups("Gid:\t1\nGroups:\t4 27 1000 \nNStgid:\t1\n"),
            Some(vec![4, 27, 1000])
        );
        assert_eq!(groups("Gid:\t1\nGroups:\t \n"), Some(vec![]));
        assert_eq!(groups("Gid:\t1\nGroups:\t4 27"), None, "cut off");
        assert_eq!(groups("Gid:\t1\n"), None);
    }

    #[test]
    fn status_gives_ids_and_namespaces() {
        let mut process = parse_stat(b"7 (a) Z 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 5 0").unwrap();
        let status = b"Name:\tx\\nUid:\t0\nState:\tS\nUid:\t1000\t1001\t1002\t1003\n\
            Gid:\t1\t2\t3\t4\nGroups:\t \nNSpid:\t7\t1\nUid:\t0\t0\t0\t0\n\
            ShdPnd:\t0000000000040000\nNSpid:\t7\n";
        parse_status(status, &mut process).unwrap();
        assert_eq!(process.uids, [1000, 1001, 1002, 1003]);
        assert_eq!(process.gids, [1, 2, 3, 4]);
        assert!(process.nested && process.stopping && !process.is_alive());
        process.threads = 2;
        assert!(process.is_alive(), "its other thread goes on");
        assert_eq!(
            parse_status(b"Name:\tx\nGid:\t1\t1\t1\t1\n", &mut process),
            None
        );
    }

    #[test]
    fn the_control_group_is_systemds() {
        let hybrid =
            b"9:name=systemd:/user.slice/user-1000.slice/session-3.scope\n8:pids:/\n0::/\n";
        let path = b"/user.slice/user-1000.slice/session-3.scope".to_vec();
        assert_eq!(parse_control_group(hybrid), Some(path));
        assert_eq!(
            parse_control_group(b"0::/b.slice/a.scope (deleted)\n"),
            Some(b"/b.slice/a.scope".to_vec())
        );
        assert_eq!(
            parse_control_group(b"0::/a.scope\n"),
            Some(b"/a.scope".to_vec())
        );
        assert_eq!(parse_control_group(b"1:cpu:/x\n"), None);
        assert_eq!(
            parse_control_group(b"1:name=systemd:/\n0::/a.scope\n"),
            Some(b"/a.scope".to_vec())
        );
        assert_eq!(
            parse_control_group(b"1:name=systemd:/\n"),
            Some(b"/".to_vec())
        );
    }

    #[test]
    fn the_hosts_user_namespace_maps_all() {
        assert!(maps_all(b"         0          0 4294967295\n"));
        assert!(!maps_all(b"         0       1000          1\n"));
        assert!(!maps_all(b"0 0 4294967295\n1 1 1\n"));
        assert!(!maps_all(b""));
    }

    #[test]
    fn this_process_is_in_the_table() {
        let proc = Proc::open(Path::new("/proc")).unwrap();
        let table = proc.table().unwrap();
        let own = table.get(crate::sys::process::own_pid()).unwrap();
        assert_eq!(own.uids[1], ids::effective_uid());
        assert!(own.is_alive() && !own.kernel && own.threads >= 1);
        assert!(table.descends(own.pid, own.ppid) && !table.descends(own.ppid, own.pid));
        let line = proc.command_line(own.pid).unwrap().unwrap();
        let args: Vec<Vec<u8>> = std::env::args().map(String::into_bytes).collect();
        assert_eq!(line, args);
        assert_eq!(proc.process(PROCESSES_MAX as i32 + 1), Ok(None));
    }
}
