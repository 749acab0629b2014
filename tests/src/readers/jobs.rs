//! crontab, anacrontab, cron.allow, the names of at's jobs and of cron's files.

use std::path::PathBuf;

use rescind_agent::deferred::anacrontab::{Anacrontab, Line as AnacronLine};
use rescind_agent::deferred::at_job::AtJob;
use rescind_agent::deferred::cron::{self, Kind, TableFacts, TableName};
use rescind_agent::deferred::crontab::{Crontab, Format, Line};
use rescind_agent::deferred::programs::{self, Named};
use rescind_agent::paths::at_jobs::{self, AtFacts, Waiting};
use rescind_agent::paths::cron_jobs::{self, CronFacts, Owner, Table};
use rescind_agent::paths::pam_gate::Asks;

use super::alice::{alice, are_told_safely, root};
use super::told::{is_told_safely, lines_in};
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "jobs",
    read,
    words: &[
        "* * * * * alice /bin/true\n",
        "*/5 0-23/2 1,15 jan-dec mon,fri root x\n",
        "@reboot alice x\n",
        "@daily ",
        "@hourly",
        "MAILTO=\"\"\n",
        "PATH = '/bin'\n",
        "%",
        "\\%",
        "-*",
        "0~59",
        "#",
        "7 5 cron.weekly run-parts /etc/cron.weekly\n",
        "@monthly 45 x ",
        "START_HOURS_RANGE=3-22\n",
        "a0000a01234567",
        "=",
        "sun",
        "7",
        "60",
        "*/0",
        "**",
        "cd /opt && ./x; ",
        "nice -n 5 env A=b sh -c 'x y' ",
        "run-parts /etc/cron.daily ",
        "test -x /x || ( ",
        "$(",
        "`",
        "+!/x ",
        "\r\n",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/deferred/crontab.rs",
        "agent/src/deferred/anacrontab.rs",
        "agent/src/deferred/at_job.rs",
        "agent/src/deferred/programs.rs",
        "agent/src/deferred/schedule.rs",
        "agent/src/deferred/cron.rs",
        "agent/src/paths/cron_jobs.rs",
        "tests/tests/cron_agreement.rs",
    ],
};

fn read(bytes: &[u8]) {
    for format in [Format::User, Format::System] {
        table(bytes, format);
    }
    anacron(bytes);
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    for kind in [Kind::Debian, Kind::Cronie, Kind::Busybox, Kind::Other] {
        let _any = cron::table_name(kind, first);
    }
    let _kind = Kind::of_program(bytes);
    let listed = bytes
        .split(|byte| *byte == b'\n')
        .any(|line| line.trim_ascii() == b"alice");
    assert_eq!(
        cron::may_make_jobs(b"alice", Some(bytes), None),
        Some(listed)
    );
    assert_eq!(
        cron::may_make_jobs(b"alice", None, Some(bytes)),
        Some(!listed)
    );
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        for named in programs::of_shell(line) {
            is_named(&named, line);
        }
        for named in programs::of_unit(line).0 {
            is_named(&named, line);
        }
    }
    told(bytes, AtJob::of_file_name(first));
}

/// A program is told by a name that is no longer than its line; only beneath a home it may be none.
fn is_named(named: &Named, line: &[u8]) {
    let (Named::Path(name) | Named::InPath(name) | Named::AllIn(name) | Named::Below(_, name)) =
        named;
    assert!(name.len() <= line.len());
    assert!(!name.is_empty() || matches!(named, Named::Below(..)));
}

fn table(bytes: &[u8], format: Format) {
    let table = Crontab::parse(bytes.to_vec(), format);
    assert_eq!(table.to_bytes(), bytes);
    assert_eq!(table.lines().count(), lines_in(bytes) as usize);
    assert_eq!(
        table.is_unended(),
        !bytes.is_empty() && !bytes.ends_with(b"\n")
    );
    for (expected, (number, line)) in (1..).zip(table.lines()) {
        assert_eq!(number, expected);
        match line {
            Line::Job(job) => {
                assert_eq!(job.user.is_some(), format == Format::System);
                let (command, input) = (job.command(), job.input());
                let longest = job.text.len();
                assert!(command.len() + input.map_or(0, |input| input.len()) <= longest);
                assert!(!command.contains(&b'\n'));
            }
            Line::Broken(why) => is_told_safely(why),
            Line::Environment { name, .. } => assert!(!name.is_empty()),
            Line::Nothing => {}
        }
    }
    if let Some((line, why)) = table.first_broken() {
        assert!((1..=lines_in(bytes)).contains(&line));
        is_told_safely(why);
    }
}

fn anacron(bytes: &[u8]) {
    let lines = 1..=lines_in(bytes);
    let table = Anacrontab::parse(bytes.to_vec());
    assert_eq!(table.to_bytes(), bytes);
    for (number, line) in table.lines() {
        assert!(lines.contains(&number));
        if let AnacronLine::Job { command, .. } = line {
            assert!(!command.is_empty());
        }
    }
}

fn told(bytes: &[u8], at: Option<AtJob>) {
    let own = [Table {
        path: PathBuf::from("/var/spool/cron/crontabs/alice"),
        owner: Owner::Account(b"alice".to_vec()),
        content: Ok((
            Crontab::parse(bytes.to_vec(), Format::User),
            TableFacts {
                uid: 1000,
                mode: 0o600,
                links: 1,
            },
        )),
    }];
    let facts = CronFacts {
        daemon: Some(Kind::Debian),
        asks: Asks::Nobody,
        tables: vec![Table {
            path: PathBuf::from("/etc/crontab"),
            owner: Owner::Lines(TableName::Read),
            content: Ok((
                Crontab::parse(bytes.to_vec(), Format::System),
                TableFacts {
                    uid: 0,
                    mode: 0o644,
                    links: 1,
                },
            )),
        }],
        anacrontab: Some(Anacrontab::parse(bytes.to_vec())),
        allow: Some(bytes.to_vec()),
        deny: None,
        gaps: Vec::new(),
    };
    for account in [alice(), root()] {
        let mut paths = Vec::new();
        cron_jobs::add(&account, &facts, &own, 20_000, &mut paths);
        assert!(paths.len() <= 64, "{} rows", paths.len());
        are_told_safely(&paths);
    }
    let waiting = |job| Waiting {
        path: PathBuf::from("/var/spool/cron/atjobs/a"),
        job,
        uid: 1000,
        mode: 0o700,
        links: 1,
    };
    let facts = AtFacts {
        has_daemon: true,
        asks: Asks::Nobody,
        jobs: at.into_iter().map(waiting).collect(),
        gaps: Vec::new(),
    };
    let mut paths = Vec::new();
    at_jobs::add(&alice(), &alice(), &facts, 20_000, &mut paths);
    are_told_safely(&paths);
}
