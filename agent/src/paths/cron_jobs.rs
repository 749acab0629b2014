//! Jobs of cron(8) and anacron(8).

use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::pam_gate::{self, Asks};
use super::rows::Rows;
use super::verdict::{Checks, Verdict};
use crate::deferred::anacrontab::{Anacrontab, Line as AnacronLine};
use crate::deferred::cron::{self, Kind, TableFacts, TableName};
use crate::deferred::crontab::Crontab;
use crate::host::account::Account;
use crate::sshd::printable::printable;

/// What a host has for cron.
#[derive(Debug)]
pub struct CronFacts {
    /// Which daemon is installed; `None` where none is known.
    pub daemon: Option<Kind>,
    /// Whom it asks before it runs a job.
    pub asks: Asks,
    /// The tables whose lines name their users.
    pub tables: Vec<Table>,
    /// anacron's jobs; `None` where there is no table.
    pub anacrontab: Option<Anacrontab>,
    /// `cron.allow`, where there is one.
    pub allow: Option<Vec<u8>>,
    /// `cron.deny`, where there is one.
    pub deny: Option<Vec<u8>>,
    /// Files or directories that could not be read, and why; nobody can say whose jobs are in them.
    pub gaps: Vec<(PathBuf, String)>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its file.
    pub path: PathBuf,
    /// Whose jobs are in it.
    pub owner: Owner,
    /// What is in it, and who may write to it; or why it could not be read.
    pub content: Result<(Crontab, TableFacts), String>,
}

/// Whose jobs are in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// One account's, by its name.
    Account(Vec<u8>),
    /// Those whom its lines name; what the daemon makes of the file's name.
    Lines(TableName),
}

/// `/etc/anacrontab`.
const ANACRONTAB: &str = "/etc/anacrontab";

/// Adds the jobs that run as an account; `own` are its own tables.
pub fn add(
    account: &Account,
    facts: &CronFacts,
    own: &[Table],
    today: i64,
    paths: &mut Vec<AccessPath>,
) {
    let mut rows = Rows::new(account, Mechanism::Crontab);
    let name = account.name.as_str().as_bytes();
    // The same for all of its jobs.
    let mut gate = Checks::default();
    pam_gate::check(account, &facts.asks, today, &mut gate);
    if facts.daemon.is_none() {
        gate.unknown("no cron daemon is known here that would run it");
    }
    if cron::may_make_jobs(name, facts.allow.as_deref(), facts.deny.as_deref()) == Some(false) {
        gate.note("cron.allow or cron.deny keeps it from crontab(1), not its jobs from running");
    }
    for table in own.iter().chain(&facts.tables) {
        match &table.owner {
            Owner::Account(owner) if owner != name => continue,
            _ => {}
        }
        match &table.content {
            Ok((crontab, file)) => {
                let table = Reading {
                    account,
                    facts,
                    table,
                    crontab,
                    file: *file,
                };
                table.add(&gate, &mut rows);
            }
            Err(why) => {
                let mut checks = gate.clone();
                checks.unknown(format!("whether it has jobs is not known: {why}"));
                rows.add(checks.verdict(""), &table.path, None);
            }
        }
    }
    for (path, why) in &facts.gaps {
        let mut checks = gate.clone();
        checks.unknown(format!("whether it has jobs is not known: {why}"));
        rows.add(checks.verdict(""), path, None);
    }
    if account.uid == 0 {
        add_anacron(facts, &mut rows);
    }
    rows.finish(paths);
}

struct Reading<'a> {
    account: &'a Account,
    facts: &'a CronFacts,
    table: &'a Table,
    crontab: &'a Crontab,
    file: TableFacts,
}

impl Reading<'_> {
    fn add(&self, gate: &Checks, rows: &mut Rows<'_>) {
        let name = self.account.name.as_str().as_bytes();
        let mut checks = gate.clone();
        self.check_table(&mut checks);
        for (line, job) in self.crontab.jobs() {
            if job.user.is_some_and(|user| user != name) {
                continue;
            }
            let when = printable(job.schedule.text());
            let verdict = checks.clone().verdict(&format!("a job runs: {when}"));
            rows.add(verdict, &self.table.path, Some(line));
        }
    }

    /// What keeps the daemon from reading the table.
    fn check_table(&self, checks: &mut Checks) {
        let daemon = self.facts.daemon.unwrap_or(Kind::Other);
        let refused = match self.table.owner {
            Owner::Account(_) => cron::refuses_user_table(daemon, self.file, self.account.uid),
            Owner::Lines(_) => cron::refuses_system_table(daemon, self.file),
        };
        if let Some(why) = refused {
            checks.closed(format!("cron does not read the table: {why}"));
        }
        match self.table.owner {
            Owner::Lines(TableName::PassedOver) => {
                checks.closed("cron passes over files of that name");
            }
            Owner::Lines(TableName::OnlyWithLsbNames) => {
                checks.unknown("cron reads files of that name only with the option -l");
            }
            Owner::Lines(TableName::Read) | Owner::Account(_) => {}
        }
        // Debian's cron then ignores the table. That is what it says and does, but whether a line
        // is broken is its own judgement, which may be milder than ours.
        if daemon == Kind::Debian {
            if self.crontab.is_unended() {
                checks.closed("cron does not read the table: its last line has no end");
            }
            if let Some((line, why)) = self.crontab.first_broken() {
                checks.unknown(format!(
                    "cron may ignore the table: line {line} is broken ({why})"
                ));
            }
        }
    }
}

fn add_anacron(facts: &CronFacts, rows: &mut Rows<'_>) {
    for (line, entry) in facts.anacrontab.iter().flat_map(Anacrontab::lines) {
        if let AnacronLine::Job { period, name, .. } = entry {
            let every = match period.strip_prefix(b"@") {
                Some(word) => printable(word),
                None => format!("every {} days", printable(period)),
            };
            let verdict = Verdict::open(format!("anacron runs {} {every}", printable(name)));
            rows.add(verdict, ANACRONTAB.as_ref(), Some(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deferred::crontab::Format;
    use crate::paths::account_state::tests::alice;

    fn table(path: &str, owner: Owner, text: &str, mode: u32) -> Table {
        let format = match owner {
            Owner::Account(_) => Format::User,
            Owner::Lines(_) => Format::System,
        };
        let uid = if format == Format::User { 1000 } else { 0 };
        let facts = TableFacts {
            uid,
            mode,
            links: 1,
        };
        Table {
            path: path.into(),
            owner,
            content: Ok((Crontab::parse(text.into(), format), facts)),
        }
    }

    fn told(daemon: Option<Kind>, tables: Vec<Table>, account: &Account) -> Vec<String> {
        let facts = CronFacts {
            daemon,
            asks: Asks::Nobody,
            tables: Vec::new(),
            anacrontab: Some(Anacrontab::parse(b"1 5 daily run-parts x\n".to_vec())),
            allow: None,
            deny: Some(b"alice\n".to_vec()),
            gaps: Vec::new(),
        };
        let mut paths = Vec::new();
        add(account, &facts, &tables, 20_100, &mut paths);
        let show = |path: AccessPath| {
            let source = path.source.unwrap();
            let line = source.line.unwrap_or_default();
            format!("{:?} {}:{line} {}", path.state, source.file, path.reason)
        };
        paths.into_iter().map(show).collect()
    }

    const DENIED: &str =
        "cron.allow or cron.deny keeps it from crontab(1), not its jobs from running";

    #[test]
    fn jobs_by_whose_they_are() {
        let tables = vec![
            table(
                "/s/alice",
                Owner::Account(b"alice".into()),
                "X=1\n@reboot a %b\n",
                0o600,
            ),
            table(
                "/s/bob",
                Owner::Account(b"bob".into()),
                "* * * * * a\n",
                0o600,
            ),
            table(
                "/etc/crontab",
                Owner::Lines(TableName::Read),
                "1 2 * * 3 alice x\n1 2 3 4 5 root y\n",
                0o644,
            ),
        ];
        assert_eq!(
            told(Some(Kind::Debian), tables, &alice()),
            [
                format!("Open /s/alice:2 a job runs: @reboot; {DENIED}"),
                format!("Open /etc/crontab:1 a job runs: 1 2 * * 3; {DENIED}"),
            ]
        );
    }

    #[test]
    fn tables_that_cron_does_not_read() {
        for (owner, text, mode, want) in [
            (
                Owner::Account(b"alice".into()),
                "@daily a\n",
                0o644,
                "Closed /t:1 cron does not read the table: its mode is not 0600",
            ),
            (
                Owner::Account(b"alice".into()),
                "@daily a",
                0o600,
                "Closed /t:1 cron does not read the table: its last line has no end",
            ),
            (
                Owner::Account(b"alice".into()),
                "@daily a\nbad\n",
                0o600,
                "Unknown /t:1 cron may ignore the table: line 2 is broken (bad minute)",
            ),
            (
                Owner::Lines(TableName::PassedOver),
                "@daily alice a\n",
                0o644,
                "Closed /t:1 cron passes over files of that name",
            ),
            (
                Owner::Lines(TableName::OnlyWithLsbNames),
                "@daily alice a\n",
                0o644,
                "Unknown /t:1 cron reads files of that name only with the option -l",
            ),
            (
                Owner::Lines(TableName::Read),
                "@daily alice a\n",
                0o666,
                "Closed /t:1 cron does not read the table: others than root may write to it",
            ),
        ] {
            let table = table("/t", owner, text, mode);
            assert_eq!(told(Some(Kind::Debian), vec![table], &alice()), [want]);
        }
    }

    #[test]
    fn what_is_not_known_is_not_closed() {
        let unread = Table {
            path: "/s/alice".into(),
            owner: Owner::Account(b"alice".into()),
            content: Err("cannot be read".into()),
        };
        assert_eq!(
            told(Some(Kind::Cronie), vec![unread], &alice()),
            ["Unknown /s/alice:0 whether it has jobs is not known: cannot be read"]
        );
        let tables = vec![table(
            "/t",
            Owner::Account(b"alice".into()),
            "@daily a",
            0o666,
        )];
        assert_eq!(
            told(None, tables, &alice()),
            ["Unknown /t:1 no cron daemon is known here that would run it"]
        );
        let root = Account {
            uid: 0,
            name: "root".parse().unwrap(),
            ..alice()
        };
        assert_eq!(
            told(None, Vec::new(), &root),
            ["Open /etc/anacrontab:1 anacron runs daily every 1 days"]
        );
    }
}
