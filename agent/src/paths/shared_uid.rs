//! Accounts that are one to the kernel, because they have the same uid.

use std::path::Path;

use rescind_protocol::path::{AccessPath, Mechanism, PathState};

use super::account_state::{self, Judge};
use super::rows::Rows;
use super::verdict::{Checks, Verdict};
use crate::host::account::Account;

/// Another account with the same uid.
#[derive(Debug, Clone)]
pub struct Twin {
    /// It.
    pub account: Account,
    /// Its own ways in.
    pub paths: Vec<AccessPath>,
}

/// passwd(5).
const PASSWD: &str = "/etc/passwd";

/// Adds what the uid means for the account: that it is root, or that others act as it.
///
/// A second root is judged by whether it can itself be used: root can always get in, and that is
/// not what its twin's owner is refused.
pub fn add(account: &Account, twins: &[Twin], today: i64, paths: &mut Vec<AccessPath>) {
    let mut rows = Rows::new(account, Mechanism::SharedUid);
    if account.uid == 0 && account.name.as_str() != "root" {
        let mut checks = Checks::default();
        account_state::check(account, Judge::Pam, today, &mut checks);
        let verdict = checks.verdict("it is root: its uid is 0");
        rows.add(verdict, Path::new(PASSWD), Some(account.passwd_line));
    } else {
        for twin in twins {
            let verdict = judge(account, twin);
            rows.add(verdict, Path::new(PASSWD), Some(twin.account.passwd_line));
        }
    }
    rows.finish(paths);
}

fn judge(account: &Account, twin: &Twin) -> Verdict {
    let name = &twin.account.name;
    let same = format!("{name} has the same uid {}", account.uid);
    let found = |state| twin.paths.iter().find(|path| path.state == state);
    let words = |path: &AccessPath| {
        let mechanism = serde_json::to_value(path.mechanism).unwrap_or_default();
        let mechanism = mechanism.as_str().unwrap_or_default().replace('_', " ");
        format!("{mechanism}: {}", path.reason)
    };
    if let Some(open) = found(PathState::Open) {
        Verdict::open(format!("{same}, and can get in ({})", words(open)))
    } else if let Some(unknown) = found(PathState::Unknown) {
        Verdict::unknown(format!("{same}, and may get in ({})", words(unknown)))
    } else {
        Verdict::closed(format!("{same}, but no way in for it is open"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    fn twin(name: &str, states: &[PathState]) -> Twin {
        let account = Account {
            name: name.parse().unwrap(),
            passwd_line: 30,
            ..alice()
        };
        let path = |state: &PathState| AccessPath {
            account: account.name.clone(),
            uid: account.uid,
            mechanism: Mechanism::SshPublicKey,
            state: *state,
            reason: "the key".into(),
            source: None,
            fingerprint: None,
        };
        Twin {
            paths: states.iter().map(path).collect(),
            account: account.clone(),
        }
    }

    fn told(account: &Account, twins: &[Twin]) -> Vec<String> {
        let mut paths = Vec::new();
        add(account, twins, 20_100, &mut paths);
        let show = |path: AccessPath| format!("{:?} {}", path.state, path.reason);
        paths.into_iter().map(show).collect()
    }

    #[test]
    fn twins_are_judged_by_their_own_ways_in() {
        use PathState::{Closed, Open, Unknown};
        let twins = [
            twin("shut", &[Closed, Closed]),
            twin("open", &[Closed, Open]),
            twin("dark", &[Closed, Unknown]),
        ];
        assert_eq!(
            told(&alice(), &twins),
            [
                "Open open has the same uid 1000, and can get in (ssh public key: the key)",
                "Unknown dark has the same uid 1000, and may get in (ssh public key: the key)",
                "Closed shut has the same uid 1000, but no way in for it is open",
            ]
        );
        assert_eq!(told(&alice(), &[]), [""; 0]);
    }

    #[test]
    fn a_second_root_is_judged_by_itself() {
        let mut toor = Account {
            name: "toor".parse().unwrap(),
            uid: 0,
            ..alice()
        };
        let root = [twin("root", &[PathState::Open])];
        assert_eq!(told(&toor, &root), ["Open it is root: its uid is 0"]);
        toor.expire_day = Some(1);
        assert!(told(&toor, &root)[0].starts_with("Closed the account is expired"));
        toor.name = "root".parse().unwrap();
        assert_eq!(told(&toor, &root).len(), 1);
    }
}
