//! Root's sshd(8) processes that serve connections, and what their titles say of whom.

use rescind_protocol::name::AccountName;

use super::table::{Proc, Process, Table};

/// What sshd's processes are called: one program before OpenSSH 9.8, then two, then three.
const SSHD_NAMES: [&[u8]; 3] = [b"sshd", b"sshd-session", b"sshd-auth"];

/// A process of root's that serves a connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The process.
    pub process: Process,
    /// The part of its title that is about the connection.
    title: Vec<u8>,
}

impl Connection {
    /// Whether its title names exactly this account: `alice [priv]`, or, for root, whose
    /// connections have no second process, `root@pts/0`.
    pub fn is_of(&self, name: &AccountName, uid: u32) -> bool {
        let Some(rest) = self.title.strip_prefix(name.as_str().as_bytes()) else {
            return false;
        };
        matches!(rest, b" [priv]" | b" [pam]") || (uid == 0 && rest.first() == Some(&b'@'))
    }

    /// Whether it serves root by itself, as its title says then.
    pub fn has_no_other_process(&self, uid: u32) -> bool {
        uid == 0 && self.title.contains(&b'@')
    }
}

/// All of them, and of which it could not be told. A title counts only of a process that is
/// root's entirely.
pub(super) fn connections(proc: &Proc, table: &Table) -> (Vec<Connection>, Vec<String>) {
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    let is_sshd = |process: &&Process| {
        process.is_root() && SSHD_NAMES.contains(&process.comm.as_slice()) && process.is_alive()
    };
    for process in table.processes.iter().filter(is_sshd) {
        let line = match proc.command_line(process.pid) {
            Ok(Some(line)) => line,
            Ok(None) => continue,
            Err(gap) => {
                gaps.push(gap.to_string());
                continue;
            }
        };
        if let Some(title) = line.first().and_then(|title| connection_title(title)) {
            found.push(Connection {
                process: process.clone(),
                title: title.to_vec(),
            });
        }
    }
    (found, gaps)
}

/// The part of a title that is about a connection; `None` for a listener.
fn connection_title(title: &[u8]) -> Option<&[u8]> {
    let rest = ["sshd: ", "sshd-session: ", "sshd-auth: "]
        .iter()
        .find_map(|prefix| title.strip_prefix(prefix.as_bytes()))?;
    let listens = rest.windows(10).any(|part| part == b"[listener]");
    (!listens).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_name_their_account_and_no_other() {
        let alice: AccountName = "alice".parse().unwrap();
        let process = Process {
            pid: 2,
            ppid: 1,
            start_time: 0,
            state: 'S',
            threads: 1,
            session: 2,
            tty: 0,
            uids: [0; 4],
            gids: [0; 4],
            comm: b"sshd".to_vec(),
            nested: false,
            kernel: false,
            stopping: false,
        };
        let names = |title: &str, name: &AccountName, uid| {
            connection_title(title.as_bytes()).is_some_and(|title| {
                let (process, title) = (process.clone(), title.to_vec());
                Connection { process, title }.is_of(name, uid)
            })
        };
        for title in [
            "sshd: alice [priv]",
            "sshd-session: alice [priv]",
            "sshd: alice [pam]",
        ] {
            assert!(names(title, &alice, 1000), "{title}");
        }
        for title in [
            "sshd: alice2 [priv]",
            "sshd: ali [priv]",
            "sshd: alice@example [priv]",
            "sshd: alice [listener] 0 of 10-100 startups",
            "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
            "/usr/sbin/sshd -D",
            "alice [priv]",
        ] {
            assert!(!names(title, &alice, 1000), "{title}");
        }
        let root: AccountName = "root".parse().unwrap();
        assert!(names("sshd: root@notty", &root, 0));
        assert!(
            !names("sshd: alice@notty", &alice, 1000),
            "that one is not root's process"
        );
    }
}
