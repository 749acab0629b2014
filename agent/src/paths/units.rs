//! Units of systemd(1) that run as an account: the system's own, and those of its own manager.

use std::path::{Path, PathBuf};

use rescind_protocol::path::{AccessPath, Mechanism};

use super::pam_gate::{self, Asks};
use super::rows::Rows;
use super::verdict::{Checks, Verdict};
use crate::deferred::unit_set::Unit;
use crate::host::account::Account;
use crate::sshd::printable::{printable, printable_path};

/// What a host has of units. Without systemd, nothing.
#[derive(Debug, Default)]
pub struct UnitFacts {
    /// Units of the system that say as whom they run.
    pub units: Vec<Unit>,
    /// What the PAM services that these name say, see [`Asks::Pam`].
    pub pam: Vec<Asks>,
    /// Whom `user@.service` asks before it starts a manager for an account; `None` where that unit
    /// is masked or missing, so that there are no such managers.
    pub manager: Option<Asks>,
    /// Unit files that others than root own, with the uid and what it owns of the way to them.
    pub owned: Vec<Owned>,
    /// Files or directories that could not be read, and why.
    pub gaps: Vec<(PathBuf, String)>,
}

/// A unit file that is not root's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// The unit, where systemd looks for it.
    pub unit: PathBuf,
    /// What it leads through, or the unit's file itself.
    pub owned: PathBuf,
    /// Whose that is.
    pub uid: u32,
}

/// What an account has of units.
#[derive(Debug, Default)]
pub struct OwnUnits {
    /// The flag that has its manager started at boot (`loginctl enable-linger`), or why it is not
    /// known whether there is one.
    pub lingers: Option<Result<(), String>>,
    /// Units of its home, and those of the administrator for all managers where it lingers.
    pub units: Vec<Unit>,
    /// What could not be read.
    pub gaps: Vec<(PathBuf, String)>,
}

/// Adds the system's units that run as the account.
///
/// Root is left out: all units run as it that do not say otherwise.
pub fn add_system(account: &Account, facts: &UnitFacts, today: i64, paths: &mut Vec<AccessPath>) {
    if account.uid == 0 {
        return;
    }
    let mut rows = Rows::new(account, Mechanism::SystemdUnit);
    for unit in &facts.units {
        let Some((file, line, sure)) = runs_as(unit, account) else {
            continue;
        };
        let name = printable(unit.name.as_bytes());
        let mut checks = Checks::default();
        match &unit.started {
            // It may run all the same at this moment: then its processes are paths.
            None => checks.closed(format!("{name} is not enabled, only root starts it")),
            Some(_) if !unit.certain => {
                checks.unknown(format!(
                    "as whom {name} runs depends on the release of systemd: {} names a drop-in \
                     for templates by a prefix",
                    printable_path(file)
                ));
            }
            Some(_) if !sure => {
                checks.unknown(format!("as whom {name} runs depends on more than its name"));
            }
            Some(_) => {}
        }
        if let Some(pam) = &unit.settings.pam_name {
            let service = String::from_utf8_lossy(&pam.value);
            let asks = facts
                .pam
                .iter()
                .find(|asks| matches!(asks, Asks::Pam { service: known, .. } if *known == service));
            let shown = printable(&pam.value);
            let not_read = Asks::Unknown(format!("PAM service {shown} was not read"));
            pam_gate::check(account, asks.unwrap_or(&not_read), today, &mut checks);
        }
        let how = unit.started.as_ref().map_or("", |started| &started.how);
        let verdict = checks.verdict(&format!("{name} runs as the account, {how}"));
        rows.add(verdict, file, line);
    }
    for owned in facts.owned.iter().filter(|owned| owned.uid == account.uid) {
        // Expiry does not help: systemd runs what was left there.
        let why = format!(
            "it owns {}, and with it decides what systemd runs as root; give it to root",
            printable_path(&owned.owned)
        );
        rows.add(Verdict::open(why), &owned.unit, None);
    }
    for (path, why) in &facts.gaps {
        let why = format!("whether a unit runs as the account is not known: {why}");
        rows.add(Verdict::unknown(why), path, None);
    }
    rows.finish(paths);
}

/// Where a unit says that it runs as the account, and whether that is certain.
fn runs_as<'u>(unit: &'u Unit, account: &Account) -> Option<(&'u Path, Option<u32>, bool)> {
    let name = account.name.as_str().as_bytes();
    let is_account = |user: &[u8]| {
        let uid = std::str::from_utf8(user)
            .ok()
            .and_then(|text| text.parse().ok());
        user == name || uid == Some(account.uid)
    };
    let place = |set: &crate::deferred::unit_file::InForce| {
        let file = unit.files.get(set.file).or(unit.files.first());
        file.map(|file| (file.as_path(), Some(set.line)))
    };
    match (&unit.settings.user, &unit.settings.dynamic_user) {
        (Some(user), _) => {
            let (file, line) = place(user)?;
            match unit.name.expand(&user.value) {
                Some(expanded) => is_account(&expanded).then_some((file, line, true)),
                None => Some((file, line, false)),
            }
        }
        // The user is made up, and named like the unit, unless there is an account of that name.
        (None, Some(dynamic)) => {
            let (file, line) = place(dynamic)?;
            (unit.name.prefix() == name).then_some((file, line, true))
        }
        (None, None) => None,
    }
}

/// Where the flags of lingering accounts lie.
pub const LINGER: &str = "/var/lib/systemd/linger";

/// Adds what the account's own manager starts.
pub fn add_own(
    account: &Account,
    facts: &UnitFacts,
    own: &OwnUnits,
    today: i64,
    paths: &mut Vec<AccessPath>,
) {
    let mut rows = Rows::new(account, Mechanism::SystemdUserUnit);
    let mut gate = Checks::default();
    match &facts.manager {
        Some(asks) => pam_gate::check(account, asks, today, &mut gate),
        None => gate.closed("no manager can be started for it: user@.service is masked or missing"),
    }
    let flag = Path::new(LINGER).join(account.name.as_str());
    let when = match &own.lingers {
        Some(Ok(())) => "from boot on",
        _ => "when somebody logs in as it",
    };
    match &own.lingers {
        None => {}
        Some(Ok(())) => {
            let open = "it lingers: its systemd runs from boot on, and what that starts";
            rows.add(gate.clone().verdict(open), &flag, None);
        }
        Some(Err(why)) => {
            let mut checks = gate.clone();
            checks.unknown(format!("whether it lingers is not known: {why}"));
            rows.add(checks.verdict(""), &flag, None);
        }
    }
    for unit in &own.units {
        let Some(file) = unit.files.first() else {
            continue;
        };
        let name = printable(unit.name.as_bytes());
        let mut checks = gate.clone();
        if unit.started.is_none() {
            checks.closed(format!("{name} is not enabled"));
        }
        let how = unit.started.as_ref().map_or("", |started| &started.how);
        let open = format!("its systemd runs {name} {when}, {how}");
        rows.add(checks.verdict(&open), file, None);
    }
    for (path, why) in &own.gaps {
        let mut checks = gate.clone();
        checks.unknown(format!("whether it has units is not known: {why}"));
        rows.add(checks.verdict(""), path, None);
    }
    rows.finish(paths);
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::deferred::unit_file::UnitFile;
    use crate::deferred::unit_set::{Directory, Entry, UnitSet};
    use crate::paths::account_state::tests::alice;

    fn units(files: &[(&str, &str)]) -> Vec<Unit> {
        let mut entries: Vec<Entry> = files
            .iter()
            .map(|(name, text)| Entry::File {
                name: name.as_bytes().to_vec(),
                file: Rc::new(UnitFile::parse(text.as_bytes().to_vec())),
            })
            .collect();
        entries.extend(files.iter().map(|(name, _)| Entry::Starts {
            by: b"x.target".to_vec(),
            name: name.as_bytes().to_vec(),
        }));
        let directories = [Rc::new(Directory {
            path: "/u".into(),
            own: true,
            entries,
        })];
        UnitSet::new(&directories).units(&[], &[])
    }

    fn told(paths: Vec<AccessPath>) -> Vec<String> {
        let show = |path: AccessPath| {
            let source = path.source.unwrap();
            let line = source
                .line
                .map_or_else(String::new, |line| format!(":{line}"));
            format!("{:?} {}{line} {}", path.state, source.file, path.reason)
        };
        paths.into_iter().map(show).collect()
    }

    #[test]
    fn what_a_unit_calls_itself_is_fit_for_a_terminal() {
        let facts = UnitFacts {
            units: units(&[("a.service", "[Service]\nUser=alice\nPAMName=x\u{1b}[2J\n")]),
            ..UnitFacts::default()
        };
        let expired = Account {
            expire_day: Some(1),
            ..alice()
        };
        let mut paths = Vec::new();
        add_system(&expired, &facts, 20_000, &mut paths);
        assert_eq!(
            told(paths),
            [r"Unknown /u/a.service:2 PAM service x\u{1b}[2J was not read"]
        );
    }

    #[test]
    fn units_by_whom_they_run_as() {
        let mut facts = UnitFacts {
            units: units(&[
                ("a.service", "[Service]\nUser=alice"),
                ("b.service", "[Service]\nUser=bob"),
                ("alice.service", "[Service]\nDynamicUser=yes"),
                ("n.service", "[Service]\nUser=1000\nPAMName=pass\n"),
                ("u.service", "[Service]\nUser=%H"),
                ("p.service", "[Service]\nUser=alice\nPAMName=refuse"),
                ("off.service", "[Service]\nUser=alice"),
            ]),
            pam: vec![Asks::Pam {
                service: "refuse".into(),
                stack: Ok(crate::pam::Stack::default()),
            }],
            manager: None,
            owned: [1000, 1001]
                .map(|uid| Owned {
                    unit: "/u/own.service".into(),
                    owned: "/home/alice".into(),
                    uid,
                })
                .into(),
            gaps: vec![("/u/z.service".into(), "io".into())],
        };
        let off = facts.units.iter_mut().find(|u| u.name.prefix() == b"off");
        off.unwrap().started = None;
        let expired = Account {
            expire_day: Some(1),
            ..alice()
        };
        let mut paths = Vec::new();
        add_system(&expired, &facts, 20_100, &mut paths);
        assert_eq!(
            told(paths),
            [
                "Open /u/a.service:2 a.service runs as the account, enabled for x.target in /u",
                "Open /u/alice.service:2 alice.service runs as the account, enabled for x.target in /u",
                "Open /u/own.service it owns /home/alice, and with it decides what systemd runs as root; give it to root",
                "Unknown /u/n.service:2 PAM service pass was not read",
                "Unknown /u/u.service:2 as whom u.service runs depends on more than its name",
                "Unknown /u/z.service whether a unit runs as the account is not known: io",
                "Closed /u/off.service:2 off.service is not enabled, only root starts it",
                "Closed /u/p.service:2 the account is expired since day 1 (/etc/shadow:21)",
            ]
        );
    }

    #[test]
    fn the_accounts_own_manager() {
        let own = OwnUnits {
            lingers: Some(Ok(())),
            units: units(&[("a.service", "[Service]\nExecStart=/bin/x")]),
            gaps: Vec::new(),
        };
        let show = |manager, account: &Account| {
            let facts = UnitFacts {
                manager,
                ..UnitFacts::default()
            };
            let mut paths = Vec::new();
            add_own(account, &facts, &own, 20_100, &mut paths);
            told(paths)
        };
        let pam = Asks::Pam {
            service: "systemd-user".into(),
            stack: Ok(crate::pam::Stack::default()),
        };
        assert_eq!(
            show(Some(pam.clone()), &alice()),
            [
                "Open /var/lib/systemd/linger/alice it lingers: its systemd runs from boot on, and what that starts",
                "Open /u/a.service its systemd runs a.service from boot on, enabled for x.target in /u",
            ]
        );
        let expired = Account {
            expire_day: Some(1),
            ..alice()
        };
        let closed = show(Some(pam), &expired);
        assert!(
            closed
                .iter()
                .all(|path| path.starts_with("Closed") && path.contains("day 1"))
        );
        assert!(
            show(None, &alice())
                .iter()
                .all(|path| path.contains("user@.service is masked"))
        );
        assert!(
            show(Some(Asks::Nobody), &expired)
                .iter()
                .all(|path| path.starts_with("Open"))
        );
    }
}
