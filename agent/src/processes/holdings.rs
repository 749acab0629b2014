//! What belongs to an account right now: its processes, the sshd(8) that serves it, its sessions,
//! and what its sudo(8) has left behind.

use std::path::Path;

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::path::{AccessPath, Mechanism, PathState, Source, in_short};

use super::logind::{self, LogindSession};
use super::moment::Moment;
use super::sshd::Connection;
use super::table::{Proc, Process, Table};
use crate::sys::clock;
use crate::sys::process::{self, ProcessId};

/// How far "belongs to the account" goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every process of the uid: the uid is this account's alone.
    WholeUid,
    /// Only what descends from, or shares the control group of, a login of this account's name:
    /// the uid is a service's, or is shared by several accounts.
    SessionsOnly,
}

/// Whose processes are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The account's name.
    pub name: AccountName,
    /// Its uid.
    pub uid: u32,
    /// Its primary gid.
    pub gid: u32,
    /// Its ranges of subuid(5), first and count: uids of its rootless containers.
    pub subuids: Vec<(u32, u32)>,
    /// How far to go.
    pub scope: Scope,
    /// Of its logins only these; all, where it is `None`. Only with [`Scope::SessionsOnly`].
    pub only: Option<Only>,
}

/// Some logins of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// Those that these processes serve.
    pub leaders: Vec<Leader>,
    /// logind's ids of those whose leader has ended before what it began.
    pub left_behind: Vec<String>,
}

/// A process that serves a login: root's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// The process.
    pub pid: ProcessId,
    /// When it was started, in clock ticks since boot.
    pub start_time: u64,
}

impl Subject {
    /// Whether a login is meant that this process serves, or served: then its start is not known.
    fn means(&self, pid: ProcessId, start_time: Option<u64>) -> bool {
        self.only.as_ref().is_none_or(|only| {
            only.leaders.iter().any(|leader| {
                leader.pid == pid && start_time.is_none_or(|start| start == leader.start_time)
            })
        })
    }

    /// Whether a session is meant whose leader has ended.
    fn means_left_behind(&self, login: &LogindSession) -> bool {
        let only = self.only.as_ref();
        only.is_some_and(|only| only.left_behind.contains(&login.id))
    }

    /// Whether a process is the account's by its uids. With only an effective or file system uid
    /// of the account, it is root's (`acting`): real and saved uid tell whose it is.
    fn owns(&self, process: &Process) -> bool {
        let [real, _, saved, _] = process.uids;
        real == self.uid || saved == self.uid
    }

    /// Whether a process may be the account's by a subordinate uid. It is, where it is in a user
    /// namespace; a range that was given over the uids of other accounts makes nobody theirs.
    pub(super) fn may_own(&self, process: &Process) -> bool {
        let [real, _, saved, _] = process.uids;
        let sub = |uid: u32| {
            let mut ranges = self.subuids.iter();
            ranges.any(|(first, count)| uid >= *first && uid - first < *count)
        };
        sub(real) || sub(saved)
    }
}

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// logind's id, where logind knows it.
    pub id: Option<String>,
    /// The service that opened it: `sshd`, `login` …
    pub service: String,
    /// The process that began it: for ssh, the sshd that watches over the user's one.
    pub leader: ProcessId,
    /// When that was started, in clock ticks since boot, where it still runs.
    pub leader_start: Option<u64>,
    /// When the session began, in microseconds on CLOCK_MONOTONIC, where logind knows it.
    pub began_us: Option<u64>,
    /// The key that opened it, for those who found that out.
    pub key: Option<KeyFingerprint>,
    /// Where its user came from, if known.
    pub remote_host: Option<String>,
    /// Its terminal, if known.
    pub tty: Option<String>,
    /// The account's processes in it.
    pub processes: Vec<ProcessId>,
}

/// What belongs to an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Its processes.
    pub processes: Vec<Process>,
    /// Root's sshd processes that serve it (`sshd: alice [priv]`).
    pub sshd: Vec<Process>,
    /// Its sessions.
    pub sessions: Vec<Session>,
    /// Processes of others that come from its logins: what its sudo, su and pkexec have started.
    pub sudo_born: Vec<Process>,
    /// Root's processes that act as the account at this moment: file servers, cron, our own.
    pub acting: Vec<Process>,
    /// Processes with its uid in containers that are not its own: the number means another there.
    pub contained: Vec<Process>,
    /// One of our own ancestors is the account's process.
    pub own_ancestor: Option<Process>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// Nothing can have escaped this look ([`Table::settled`]).
    pub settled: bool,
}

/// Whether to look for what sudo has left: two more files to read for most processes of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SudoBorn {
    /// Look.
    Seek,
    /// Leave [`Holdings::sudo_born`] empty.
    Skip,
}

impl Holdings {
    /// Looks at the host once.
    pub fn look(proc: &Proc, logind_dir: &Path, subject: &Subject, born: SudoBorn) -> Self {
        match Moment::now(proc, logind_dir) {
            Ok(moment) => Self::at(&moment, subject, born),
            Err(errno) => {
                let nothing = Moment::of(proc, logind_dir, Table::default());
                let mut found = Self::at(&nothing, subject, born);
                found.gaps.push(format!("/proc: {}", errno.desc()));
                found
            }
        }
    }

    /// What belonged to an account at a moment.
    pub(super) fn at(moment: &Moment<'_>, subject: &Subject, born: SudoBorn) -> Self {
        let looking = Looking {
            proc: moment.proc,
            table: &moment.table,
            logins: moment.logins(),
            connections: moment.connections(),
            subject,
            own: process::own_pid(),
        };
        looking.holdings(moment.gaps(), born)
    }

    /// Nothing of the account is left that could act.
    pub fn is_clean(&self) -> bool {
        self.processes.is_empty() && self.sshd.is_empty()
    }

    /// The sessions and processes as access paths: they are open while they live.
    pub fn paths(&self, subject: &Subject) -> Vec<AccessPath> {
        let path = |mechanism, state, reason| AccessPath {
            account: subject.name.clone(),
            uid: subject.uid,
            mechanism,
            state,
            reason: in_short(reason),
            source: None,
            fingerprint: None,
        };
        let mut paths = Vec::new();
        for session in &self.sessions {
            let mut open = path(Mechanism::Session, PathState::Open, session.in_words());
            open.source = session.id.as_ref().map(|id| Source {
                file: format!("{}/{}", logind::SESSIONS_DIR, id.escape_default()),
                line: None,
            });
            open.fingerprint = session.key;
            paths.push(open);
        }
        let in_session = |process: &&Process| {
            let mut sessions = self.sessions.iter();
            sessions.any(|session| session.processes.contains(&process.pid))
        };
        let loose: Vec<&Process> = self.processes.iter().filter(|p| !in_session(p)).collect();
        for process in loose.iter().take(PROCESS_PATHS_MAX) {
            let stopped = match process.is_stopped() {
                true => " is stopped, but still there",
                false => " runs",
            };
            let reason = format!("{process}{stopped}");
            paths.push(path(Mechanism::Process, PathState::Open, reason));
        }
        if loose.len() > PROCESS_PATHS_MAX {
            let reason = format!("{} more processes", loose.len() - PROCESS_PATHS_MAX);
            paths.push(path(Mechanism::Process, PathState::Open, reason));
        }
        for process in &self.sudo_born {
            let reason = format!(
                "{process} of uid {} was begun from a login of the account",
                { process.uids[0] }
            );
            paths.push(path(Mechanism::Process, PathState::Open, reason));
        }
        if let Some(first) = self.gaps.first() {
            let reason = format!(
                "{} things could not be read, first {first}",
                self.gaps.len()
            );
            paths.push(path(Mechanism::Process, PathState::Unknown, reason));
        }
        paths
    }
}

/// How exactly a process's start, counted in ticks, can be compared with logind's time.
const CLOCK_SLACK_US: u64 = 100_000;
/// The most processes outside sessions that are named one by one.
const PROCESS_PATHS_MAX: usize = 32;

impl Session {
    /// Whether an sshd has opened it.
    pub fn is_of_sshd(&self) -> bool {
        self.service == "sshd"
    }

    fn in_words(&self) -> String {
        let service = self.service.escape_default();
        let mut words = format!("open since process {} ({service}", self.leader);
        for (what, text) in [(" from ", &self.remote_host), (" on ", &self.tty)] {
            if let Some(text) = text {
                words.push_str(what);
                words.extend(text.escape_default());
            }
        }
        words.push_str(&format!("), {} processes", self.processes.len()));
        words
    }
}

/// One look at the host.
struct Looking<'a> {
    proc: &'a Proc,
    table: &'a Table,
    logins: &'a [LogindSession],
    connections: &'a [Connection],
    subject: &'a Subject,
    own: ProcessId,
}

impl Looking<'_> {
    fn holdings(&self, mut gaps: Vec<String>, born: SudoBorn) -> Holdings {
        let mut found = Holdings {
            settled: self.table.settled,
            ..Holdings::default()
        };
        for process in self.others() {
            if self.subject.owns(process) || self.owns_by_range(process, &mut gaps) {
                found.processes.push(process.clone());
            } else if process.uids.contains(&self.subject.uid) {
                found.acting.push(process.clone());
            }
        }
        let (sshd, others_sshd) = self.sshd_of_account(&found.processes);
        found.sshd = sshd;
        let logins = self.logins_of_account(&others_sshd);
        let groups = self.control_groups(&found.processes, &mut gaps);
        let mut grouped: Vec<(Process, Option<Vec<u8>>)> =
            found.processes.drain(..).zip(groups).collect();
        match self.subject.scope {
            Scope::WholeUid => {
                let (contained, own): (Vec<_>, Vec<_>) = grouped
                    .into_iter()
                    .partition(|(process, group)| self.is_contained(process, group, &mut gaps));
                found.contained = contained.into_iter().map(|(process, _)| process).collect();
                grouped = own;
            }
            Scope::SessionsOnly => {
                let mut roots: Vec<ProcessId> = found.sshd.iter().map(|sshd| sshd.pid).collect();
                let leaders = logins.iter().filter_map(|login| self.leader(login));
                roots.extend(leaders.map(|leader| leader.pid));
                grouped.retain(|(process, group)| {
                    let in_scope = |login: &&LogindSession| is_in(group.as_deref(), &login.scope);
                    roots
                        .iter()
                        .any(|root| self.table.descends(process.pid, *root))
                        || logins.iter().any(in_scope)
                });
            }
        }
        found.sessions = self.sessions(&logins, &found.sshd, &grouped);
        found.processes = grouped.into_iter().map(|(process, _)| process).collect();
        found.own_ancestor = self.own_ancestor();
        if born == SudoBorn::Seek {
            found.sudo_born = self.sudo_born(&found, &logins, &mut gaps);
        }
        found.gaps = gaps;
        found
    }

    /// Whether a process is the account's by a subordinate uid.
    fn owns_by_range(&self, process: &Process, gaps: &mut Vec<String>) -> bool {
        self.subject.may_own(process)
            && match self.proc.has_hosts_uids(process.pid) {
                Ok(has) => has == Some(false),
                Err(gap) => {
                    gaps.push(gap.to_string());
                    false
                }
            }
    }

    /// All processes that are candidates: living, not the kernel's, not init, neither we nor our
    /// ancestors, nor our children that act for us (those keep a uid of root's).
    fn others(&self) -> impl Iterator<Item = &Process> {
        let processes = self.table.processes.iter();
        processes.filter(|process| self.is_other(process))
    }

    fn is_other(&self, process: &Process) -> bool {
        let ours = process.uids.contains(&0) && self.table.descends(process.pid, self.own);
        process.is_alive()
            && !process.kernel
            && process.pid != 1
            && !ours
            && !self.table.descends(self.own, process.pid)
    }

    fn own_ancestor(&self) -> Option<Process> {
        let mut ancestors = self.table.processes.iter().filter(|process| {
            process.pid != self.own && self.table.descends(self.own, process.pid)
        });
        ancestors
            .find(|process| match self.subject.only {
                Some(_) => {
                    self.subject.means(process.pid, Some(process.start_time))
                        || self.is_left_behind(process)
                }
                None => self.subject.owns(process),
            })
            .cloned()
    }

    /// Whether a process is in a session that is meant though its leader has ended.
    fn is_left_behind(&self, process: &Process) -> bool {
        let mut meant = self
            .logins
            .iter()
            .filter(|login| self.subject.means_left_behind(login))
            .peekable();
        meant.peek().is_some()
            && match self.proc.control_group(process.pid) {
                Ok(group) => meant.any(|login| is_in(group.as_deref(), &login.scope)),
                Err(_) => true, // rather not ended by ourselves
            }
    }

    /// The process that began a session, where it still runs: a pid is used again.
    fn leader(&self, login: &LogindSession) -> Option<&Process> {
        let process = self.table.get(login.leader.filter(|pid| *pid > 1)?)?;
        let started = clock::ticks_us(process.start_time);
        let is_younger = login.began_us.is_some_and(|began| {
            started > began.saturating_add(clock::slept_us() + CLOCK_SLACK_US)
        });
        (!is_younger).then_some(process)
    }

    /// logind's sessions of the account. It names a session by its uid, so where several accounts
    /// share one, those that an sshd has opened for another name are left out.
    fn logins_of_account(&self, others_sshd: &[ProcessId]) -> Vec<&LogindSession> {
        let of_account = |login: &&LogindSession| {
            // Since systemd 256 a user's manager counts as a session of its own.
            let people = !login.class.starts_with("manager");
            people
                && match self.subject.scope {
                    Scope::WholeUid => login.uid == Some(self.subject.uid),
                    Scope::SessionsOnly => {
                        let meant = |pid: ProcessId| {
                            let start = self.leader(login).map(|leader| leader.start_time);
                            !others_sshd.contains(&pid) && self.subject.means(pid, start)
                        };
                        let unled = self.subject.only.is_none();
                        login.user == self.subject.name.as_str()
                            && (self.subject.means_left_behind(login)
                                || login.leader.map_or(unled, meant))
                    }
                }
        };
        self.logins.iter().filter(of_account).collect()
    }

    /// Root's sshd processes whose title names the account, or whose child is the account's. The
    /// second list are the other connections.
    fn sshd_of_account(&self, owned: &[Process]) -> (Vec<Process>, Vec<ProcessId>) {
        let (mut found, mut others) = (Vec::new(), Vec::new());
        let connections = self.connections.iter();
        for connection in connections.filter(|c| self.is_other(&c.process)) {
            let process = &connection.process;
            let named = connection.is_of(&self.subject.name, self.subject.uid)
                && self.subject.means(process.pid, Some(process.start_time));
            let parent = || owned.iter().any(|child| child.ppid == process.pid);
            if named || (self.subject.scope == Scope::WholeUid && parent()) {
                found.push(process.clone());
            } else {
                others.push(process.pid);
            }
        }
        (found, others)
    }

    fn control_groups(
        &self,
        processes: &[Process],
        gaps: &mut Vec<String>,
    ) -> Vec<Option<Vec<u8>>> {
        let group = |process: &Process| {
            self.proc.control_group(process.pid).unwrap_or_else(|gap| {
                gaps.push(gap.to_string());
                None
            })
        };
        processes.iter().map(group).collect()
    }

    /// Whether a process is in a container that is not the account's, where its uid is somebody
    /// else: in a pid namespace that root has made, and with nothing that leads to a login of the
    /// account. A user can make such a namespace only together with a user namespace.
    fn is_contained(
        &self,
        process: &Process,
        group: &Option<Vec<u8>>,
        gaps: &mut Vec<String>,
    ) -> bool {
        if !process.nested || self.is_in_users_slice(group.as_deref()) {
            return false;
        }
        let begun_by_account = self.table.processes.iter().any(|ancestor| {
            !ancestor.nested
                && self.subject.owns(ancestor)
                && self.table.descends(process.pid, ancestor.pid)
        });
        let by_login = || {
            self.proc
                .login_uid(process.pid)
                .map(|uid| uid == Some(self.subject.uid))
        };
        let hosts_uids = || {
            self.proc
                .has_hosts_uids(process.pid)
                .map(|has| has == Some(true))
        };
        if begun_by_account {
            return false;
        }
        match by_login().and_then(|by_login| Ok(!by_login && hosts_uids()?)) {
            Ok(contained) => contained,
            Err(gap) => {
                gaps.push(gap.to_string());
                false
            }
        }
    }

    fn is_in_users_slice(&self, group: Option<&[u8]>) -> bool {
        is_in(group, &format!("user-{}.slice", self.subject.uid))
    }

    fn sessions(
        &self,
        logins: &[&LogindSession],
        sshd: &[Process],
        grouped: &[(Process, Option<Vec<u8>>)],
    ) -> Vec<Session> {
        let mut sessions = Vec::new();
        let mut counted: Vec<ProcessId> = Vec::new();
        for login in logins {
            let leader = self.leader(login);
            let members: Vec<ProcessId> = grouped
                .iter()
                .filter(|(process, group)| {
                    is_in(group.as_deref(), &login.scope)
                        || leader.is_some_and(|leader| self.table.descends(process.pid, leader.pid))
                })
                .map(|(process, _)| process.pid)
                .collect();
            let serves = leader.is_some_and(|leader| {
                leader.is_alive() && sshd.iter().any(|sshd| sshd.pid == leader.pid)
            });
            if members.is_empty() && !serves {
                continue; // closing: nobody is in it any more
            }
            let text = |text: &String| (!text.is_empty()).then(|| text.clone());
            counted.extend(leader.map(|leader| leader.pid));
            counted.extend(&members);
            sessions.push(Session {
                id: Some(login.id.clone()),
                service: text(&login.service).unwrap_or_else(|| login.class.clone()),
                leader: login.leader.unwrap_or(0),
                leader_start: leader.map(|leader| leader.start_time),
                began_us: login.began_us,
                key: None,
                remote_host: text(&login.remote_host),
                tty: text(&login.tty),
                processes: members,
            });
        }
        // Connections that logind does not know: no systemd, or no pam_systemd(8).
        for connection in sshd.iter().filter(|sshd| !counted.contains(&sshd.pid)) {
            let members = grouped
                .iter()
                .map(|(process, _)| process.pid)
                .filter(|pid| !counted.contains(pid) && self.table.descends(*pid, connection.pid));
            sessions.push(Session {
                id: None,
                service: "sshd".into(),
                leader: connection.pid,
                leader_start: Some(connection.start_time),
                began_us: None,
                key: None,
                remote_host: None,
                tty: None,
                processes: members.collect(),
            });
        }
        sessions
    }

    fn sudo_born(
        &self,
        found: &Holdings,
        logins: &[&LogindSession],
        gaps: &mut Vec<String>,
    ) -> Vec<Process> {
        let uid = self.subject.uid;
        let is_found = |process: &Process| {
            let pid = process.pid;
            let own = found.processes.iter().chain(&found.sshd);
            own.into_iter().any(|own| own.pid == pid)
                || found.contained.iter().any(|other| other.pid == pid)
                || found.acting.iter().any(|other| other.pid == pid)
        };
        let mut born = Vec::new();
        for process in self.others() {
            if self.subject.owns(process) || is_found(process) {
                continue;
            }
            let descends = found.processes.iter().chain(&found.sshd).any(|ancestor| {
                ancestor.pid == process.ppid || self.table.descends(process.pid, ancestor.pid)
            });
            let login = || match self.proc.login_uid(process.pid) {
                Ok(login_uid) => Ok(login_uid == Some(uid)),
                Err(gap) => Err(gap),
            };
            let grouped = || match self.proc.control_group(process.pid) {
                Ok(group) => Ok(match self.subject.scope {
                    Scope::WholeUid => {
                        self.is_in_users_slice(group.as_deref())
                            && !is_managers(group.as_deref(), uid)
                    }
                    Scope::SessionsOnly => logins
                        .iter()
                        .any(|login| is_in(group.as_deref(), &login.scope)),
                }),
                Err(gap) => Err(gap),
            };
            let by_login = match self.subject.scope {
                Scope::WholeUid if uid != 0 => login(),
                _ => Ok(false), // a login uid says nothing of which of its accounts logged in
            };
            match by_login.and_then(|by_login| Ok(descends || by_login || grouped()?)) {
                Ok(true) => born.push(process.clone()),
                Ok(false) => {}
                Err(gap) => gaps.push(gap.to_string()),
            }
        }
        born
    }
}

/// Whether what is in a control group serves the account's manager: root makes and removes its
/// runtime directory there, and becomes the manager itself.
fn is_managers(group: Option<&[u8]>, uid: u32) -> bool {
    let manager = format!("user@{uid}.service");
    let itself = group.is_some_and(|group| {
        let place = format!("/user-{uid}.slice/{manager}");
        let first = memchr::memmem::find(group, manager.as_bytes());
        [&b"/init.scope"[..], b""].iter().any(|end| {
            let whole = [place.as_bytes(), end].concat();
            // The account could make another group of that name below its manager.
            group.ends_with(&whole) && first == group.len().checked_sub(manager.len() + end.len())
        })
    });
    // Below its manager the account gives groups what names it likes.
    let directory = format!("/user-{uid}.slice/user-runtime-dir@{uid}.service");
    let makes_directory = group.is_some_and(|group| group.ends_with(directory.as_bytes()));
    itself || (makes_directory && !is_in(group, &manager))
}

/// Whether a control group's path has a component `unit`.
fn is_in(group: Option<&[u8]>, unit: &str) -> bool {
    !unit.is_empty()
        && group.is_some_and(|group| {
            let mut parts = group.split(|byte| *byte == b'/');
            parts.any(|part| part == unit.as_bytes())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_is_matched_by_whole_components() {
        let group = b"/user.slice/user-1000.slice/session-3.scope";
        assert!(is_in(Some(group), "session-3.scope"));
        assert!(is_in(Some(group), "user-1000.slice"));
        assert!(!is_in(Some(group), "user-100.slice"));
        assert!(!is_in(Some(group), ""));
        assert!(!is_in(None, "session-3.scope"));
    }

    #[test]
    fn what_serves_a_manager_was_not_begun_by_its_account() {
        let slice = "/user.slice/user-1000.slice";
        for (group, want) in [
            ("user-runtime-dir@1000.service", true),
            ("user@1000.service", true),
            ("user@1000.service/init.scope", true),
            ("user@1000.service/user-1000.slice/user@1000.service", false),
            ("user@1000.service/app.slice/run-u1.service", false),
            (
                "user@1000.service/user-1000.slice/user-runtime-dir@1000.service",
                false,
            ),
            ("session-3.scope", false),
            ("user@100.service", false),
        ] {
            let group = format!("{slice}/{group}");
            assert_eq!(is_managers(Some(group.as_bytes()), 1000), want, "{group}");
        }
    }
}
