//! What jobs of cron(8) and anacron(8) run.

use std::os::unix::ffi::OsStrExt;

use rescind_protocol::path::Source;

use super::runs::{Collecting, Told};
use crate::deferred::anacrontab::Line as AnacronLine;
use crate::deferred::cron::{self, Kind, TableFacts};
use crate::deferred::crontab::{Crontab, Line as CronLine};
use crate::deferred::programs;
use crate::escalation::ground::{FILE, Wants};
use crate::escalation::read_by_root::PATH;
use crate::escalation::steps::Sure;
use crate::host::account::Account;
use crate::orders::acting::JobTables;
use crate::paths::cron_jobs::{Owner, Table};
use crate::paths::pam_gate::{self, Asks};
use crate::paths::verdict::Checks;
use crate::sshd::printable::printable_path;

impl Collecting<'_> {
    /// Jobs of cron, and the tables they stand in.
    pub(super) fn cron(&mut self, jobs: &JobTables<'_>) {
        let Some(kind) = jobs.daemon else { return };
        for table in jobs.system {
            self.table(table, None, kind, jobs.asks);
        }
        for (account, table) in &jobs.own {
            self.table(table, Some(account), kind, jobs.asks);
        }
    }

    fn table(&mut self, table: &Table, owner: Option<&Account>, kind: Kind, asks: &Asks) {
        let (crontab, facts) = match &table.content {
            Ok(content) => content,
            Err(why) => {
                self.found.gaps.push(why.clone());
                return;
            }
        };
        let file = printable_path(&table.path);
        let is_read = match (&table.owner, owner) {
            (Owner::Lines(cron::TableName::PassedOver), _) => false,
            (Owner::Lines(_), _) => cron::refuses_system_table(kind, *facts).is_none(),
            (_, Some(owner)) => cron::refuses_user_table(kind, *facts, owner.uid).is_none(),
            (_, None) => false,
        };
        if is_read {
            self.jobs_of(crontab, owner, &file, asks);
        }
        // The table itself: cron minds whose it is, and who else may write to it.
        if let Some(owner) = owner
            .cloned()
            .or_else(|| self.accounts.by_uid(0).into_iter().next())
        {
            let others = TableFacts {
                uid: u32::MAX,
                mode: 0o600,
                links: 1,
            };
            let fresh = match &table.owner {
                Owner::Lines(_) => cron::refuses_system_table(kind, others),
                Owner::Account(_) => cron::refuses_user_table(kind, others, owner.uid),
            };
            let wants = Wants {
                fresh: fresh.is_none(),
                ..FILE
            };
            let path = table.path.as_os_str().as_bytes().to_vec();
            let what = format!("and cron runs its jobs as {}", owner.name);
            if is_read || fresh.is_none() {
                self.add(&owner, path, wants, &Told::new(&what, Sure::Yes));
            }
        }
    }

    fn jobs_of(&mut self, crontab: &Crontab, owner: Option<&Account>, file: &str, asks: &Asks) {
        let mut path: Vec<u8> = b"/usr/bin:/bin".to_vec();
        for (line, entry) in crontab.lines() {
            match entry {
                CronLine::Environment { name, value } if name == b"PATH" => path = value.to_vec(),
                CronLine::Job(job) => {
                    let to = match job.user {
                        Some(user) => self.accounts.named(user),
                        None => owner.cloned(),
                    };
                    let Some(to) = to else { continue };
                    let mut gate = Checks::default();
                    pam_gate::check(&to, asks, self.today, &mut gate);
                    if gate.is_closed() {
                        continue;
                    }
                    let told = Told {
                        what: format!("and cron runs it as {}", to.name),
                        sure: Sure::Yes,
                        source: Some(Source {
                            file: file.to_owned(),
                            line: Some(line),
                        }),
                    };
                    let named = programs::of_shell(&job.command());
                    self.named(&to, &named, &path, &told);
                }
                _ => {}
            }
        }
    }

    /// Jobs of anacron.
    pub(super) fn anacron(&mut self, superuser: &Account, jobs: &JobTables<'_>) {
        for (line, entry) in jobs.anacrontab.iter().flat_map(|table| table.lines()) {
            if let AnacronLine::Job { command, .. } = entry {
                let told = Told {
                    what: "and anacron runs it as root".into(),
                    sure: Sure::Yes,
                    source: Some(Source {
                        file: "/etc/anacrontab".into(),
                        line: Some(line),
                    }),
                };
                self.named(superuser, &programs::of_shell(command), PATH, &told);
            }
        }
    }
}
