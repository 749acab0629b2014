//! What /proc and logind say of processes and sessions.

use std::path::Path;

use rescind_agent::processes::holdings::SudoBorn;
use rescind_agent::processes::moment::Moment;
use rescind_agent::processes::services::services;
use rescind_agent::processes::table::Proc;
use rescind_agent::processes::{Holdings, Scope, Subject};

use super::alice::are_told_safely;
use super::scratch::Scratch;
use super::told::is_told_safely;
use super::tree::Tree;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "processes",
    read,
    words: &[
        "77 (bash) S 1 77 77 34816 77 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 0 0\n",
        "==> status <==\n",
        "==> cmdline <==\n",
        "==> cgroup <==\n",
        "==> loginuid <==\n",
        "==> uid_map <==\n",
        "==> session <==\n",
        "Uid:\t1000\t1000\t1000\t1000\n",
        "Gid:\t1000\t1000\t1000\t1000\n",
        "NSpid:\t77\n",
        "ShdPnd:\t0000000000000100\n",
        "0::/user.slice/user-1000.slice/session-3.scope\n",
        "1:name=systemd:/user.slice\n",
        "sshd: alice [priv]\0",
        "sshd: alice@pts/0\0",
        "UID=1000\n",
        "USER=alice\n",
        "LEADER=77\n",
        "SCOPE=session-3.scope\n",
        "SERVICE=sshd\n",
        "TTY=pts/0\n",
        "REMOTE_HOST=10.0.0.1\n",
        "CLASS=user\n",
        ") Z ",
        "(sshd)",
        "4294967295",
        "0 0 4294967295\n",
    ],
    made: nothing_made,
    rooms: &["agent/src/processes"],
};

/// Two processes, the second root's, with the same files but for the uids.
const PIDS: [u32; 2] = [77, 78];

fn read(bytes: &[u8]) {
    let tree = Tree::parse(bytes, "stat");
    let file = |name: &str| tree.get(name.as_ref()).unwrap_or_default();
    Scratch::with(|scratch| {
        for pid in PIDS {
            for name in ["stat", "status", "cmdline", "cgroup", "loginuid", "uid_map"] {
                scratch.put(&format!("proc/{pid}/{name}"), file(name));
            }
            scratch.put(&format!("proc/{pid}/task/{pid}/stat"), file("stat"));
        }
        scratch.put("proc/78/status", b"Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
        scratch.put("sessions/3", file("session"));
        let proc = Proc::open(&scratch.path().join("proc")).expect("the directory is there");
        table(&proc);
        of_services(&proc, &scratch.path().join("sessions"));
        for scope in [Scope::WholeUid, Scope::SessionsOnly] {
            let name = "alice".parse().expect("it is a name");
            let subject = Subject {
                name,
                uid: 1000,
                gid: 1000,
                subuids: vec![(100_000, 65_536)],
                scope,
                only: None,
            };
            let sessions = scratch.path().join("sessions");
            let holdings = Holdings::look(&proc, &sessions, &subject, SudoBorn::Seek);
            are_told_safely(&holdings.paths(&subject));
        }
    });
}

fn of_services(proc: &Proc, sessions: &Path) {
    let moment = Moment::now(proc, sessions).expect("the directory is there");
    for boot_s in [0, 100_000] {
        let (found, gaps) = services(&moment, boot_s);
        assert!(!found.contains_key(&0), "root's are left out");
        gaps.iter().for_each(|gap| is_told_safely(gap));
    }
}

fn table(proc: &Proc) {
    let table = proc.table().expect("the directory is there");
    assert!(table.processes.is_sorted_by_key(|process| process.pid));
    for process in &table.processes {
        is_told_safely(&process.to_string());
        assert!(table.get(process.pid).is_some());
        assert!(table.descends(process.pid, process.pid));
    }
    for gap in &table.gaps {
        is_told_safely(&gap.to_string());
    }
    for pid in PIDS {
        let pid = i32::try_from(pid).expect("small");
        let _told = (
            proc.command_line(pid),
            proc.login_uid(pid),
            proc.control_group(pid),
            proc.has_hosts_uids(pid),
        );
    }
}
