//! The processes of the host at one moment, for questions about any number of accounts: reading
//! /proc costs more than everything that is asked of it.

use std::cell::OnceCell;
use std::path::Path;

use rescind_protocol::name::AccountName;

use super::holdings::{Holdings, Leader, Subject, SudoBorn};
use super::logind::{self, LogindSession};
use super::sshd::{self, Connection};
use super::table::{Proc, Process, Table};
use crate::sys::Errno;

/// What logind says: its sessions (`None` where there is no logind), and what could not be read.
type Logins = (Option<Vec<LogindSession>>, Vec<String>);

/// What was read. Nothing of it is read twice.
#[derive(Debug)]
pub struct Moment<'p> {
    pub(super) proc: &'p Proc,
    pub(super) table: Table,
    logind_dir: &'p Path,
    logins: OnceCell<Logins>,
    connections: OnceCell<(Vec<Connection>, Vec<String>)>,
}

impl<'p> Moment<'p> {
    /// Reads all processes; sessions and what sshds say of themselves are read when needed.
    pub fn now(proc: &'p Proc, logind_dir: &'p Path) -> Result<Self, Errno> {
        Ok(Self::of(proc, logind_dir, proc.table()?))
    }

    pub(super) fn of(proc: &'p Proc, logind_dir: &'p Path, table: Table) -> Self {
        Self {
            proc,
            table,
            logind_dir,
            logins: OnceCell::new(),
            connections: OnceCell::new(),
        }
    }

    /// All processes.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where more can be read of them.
    pub fn proc(&self) -> &'p Proc {
        self.proc
    }

    /// What belonged to an account at this moment.
    pub fn holdings(&self, subject: &Subject, born: SudoBorn) -> Holdings {
        Holdings::at(self, subject, born)
    }

    /// Whether nothing belonged to an account, as [`Holdings::is_clean`] says it, however far
    /// "belongs" goes: the cheap answer to the usual case.
    pub fn has_nothing_of(&self, subject: &Subject) -> bool {
        let (name, uid) = (&subject.name, subject.uid);
        let mut processes = self.table.processes.iter();
        let owned = processes.any(|p| p.uids.contains(&uid) || subject.may_own(p));
        !owned && !self.connections().iter().any(|c| c.is_of(name, uid))
    }

    /// Root's sshds that have let an account in, and serve it. One at which somebody only knocks in
    /// its name is none.
    pub fn serving(&self, name: &AccountName, uid: u32) -> impl Iterator<Item = Leader> {
        let serves = move |connection: &&Connection| {
            let mut processes = self.table.processes.iter();
            connection.has_no_other_process(uid)
                || processes
                    .any(|process| process.ppid == connection.process.pid && process.uids[0] == uid)
        };
        let named = move || {
            self.connections()
                .iter()
                .filter(move |c| c.is_of(name, uid))
        };
        // Since OpenSSH 9.8 root's connections have a second process, which is root's, too.
        let is_second = move |connection: &&Connection| {
            named().any(|first| first.process.pid == connection.process.ppid)
        };
        let first = named().filter(move |connection| !is_second(connection));
        first.filter(serves).map(|connection| Leader {
            pid: connection.process.pid,
            start_time: connection.process.start_time,
        })
    }

    /// Living processes of a uid.
    pub fn processes_of(&self, uid: u32) -> impl Iterator<Item = &Process> {
        let processes = self.table.processes.iter();
        processes.filter(move |process| {
            process.is_alive() && process.uids.contains(&uid) && !process.kernel
        })
    }

    /// Living processes of a uid that no living sshd connection has begun.
    pub fn strays(&self, uid: u32) -> impl Iterator<Item = &Process> {
        let begun = |process: &Process| {
            let mut connections = self.connections().iter();
            connections.any(|c| self.table.descends(process.pid, c.process.pid))
        };
        let processes = self.table.processes.iter();
        processes.filter(move |process| {
            process.is_alive() && process.uids[0] == uid && !process.kernel && !begun(process)
        })
    }

    /// Processes that somebody began over ssh and left, where no session was made known to logind:
    /// they are in the control group of an sshd that listens, and no connection leads to them. For
    /// whom they were begun cannot be told any more.
    pub fn adrift(&self) -> (Vec<Process>, Vec<String>) {
        let (mut found, mut gaps) = (Vec::new(), Vec::new());
        let mut group_of = |process: &Process| match self.proc.control_group(process.pid) {
            // The uppermost is that of all processes, where there is no systemd.
            Ok(group) => group.filter(|group| group != b"/"),
            Err(gap) => {
                gaps.push(gap.to_string());
                None
            }
        };
        let processes = self.table.processes.iter();
        let is_of_root = |process: &&Process| process.is_root() && process.comm == b"sshd";
        let listening: Vec<(&Process, Vec<u8>)> = processes
            .clone()
            .filter(|process| is_of_root(process) && process.ppid == 1)
            .filter_map(|process| Some((process, group_of(process)?)))
            .collect();
        let left = processes.filter(|process| {
            process.is_alive() && !process.kernel && process.ppid == 1 && process.pid != 1
        });
        for process in left {
            if listening.iter().any(|(sshd, _)| sshd.pid == process.pid) {
                continue;
            }
            let group = group_of(process);
            if listening.iter().any(|(_, of)| Some(of) == group.as_ref()) {
                found.push(process.clone());
            }
        }
        (found, gaps)
    }

    /// The sessions that logind knows.
    pub(super) fn logins(&self) -> &[LogindSession] {
        self.logins_and_gaps().0.as_deref().unwrap_or_default()
    }

    /// Whether the host has a logind that keeps sessions beyond the process that began them.
    pub fn has_logind(&self) -> bool {
        self.logins_and_gaps().0.is_some()
    }

    /// Root's sshd processes that serve connections.
    pub(super) fn connections(&self) -> &[Connection] {
        &self.connections_and_gaps().0
    }

    /// What could not be read.
    pub(super) fn gaps(&self) -> Vec<String> {
        let processes = self.table.gaps.iter().map(ToString::to_string);
        let more = [&self.logins_and_gaps().1, &self.connections_and_gaps().1];
        processes
            .chain(more.into_iter().flatten().cloned())
            .collect()
    }

    fn logins_and_gaps(&self) -> &Logins {
        self.logins
            .get_or_init(|| match logind::sessions(self.logind_dir) {
                Ok(logins) => (logins, Vec::new()),
                Err(error) => {
                    let gap = format!("{}: {error}", self.logind_dir.display());
                    (Some(Vec::new()), vec![gap])
                }
            })
    }

    fn connections_and_gaps(&self) -> &(Vec<Connection>, Vec<String>) {
        self.connections
            .get_or_init(|| sshd::connections(self.proc, &self.table))
    }
}
