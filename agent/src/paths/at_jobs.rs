//! Jobs of at(1) and batch(1) that wait.

use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::pam_gate::{self, Asks};
use super::rows::Rows;
use super::verdict::Checks;
use crate::deferred::at_job::{AtJob, is_passed_over};
use crate::host::account::Account;

/// What a host has for at.
#[derive(Debug)]
pub struct AtFacts {
    /// Whether atd is installed, which runs the jobs.
    pub has_daemon: bool,
    /// Whom it asks before it runs one.
    pub asks: Asks,
    /// The jobs that wait.
    pub jobs: Vec<Waiting>,
    /// Directories that could not be read, and why.
    pub gaps: Vec<(PathBuf, String)>,
}

/// A job that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Its file.
    pub path: PathBuf,
    /// What its name says.
    pub job: AtJob,
    /// The file's owner, as whom it runs.
    pub uid: u32,
    /// The file's permission bits.
    pub mode: u32,
    /// The names the file has.
    pub links: u64,
}

/// Adds the jobs that run as an account. `asked_as` is the account by whose name atd asks PAM: the
/// first of its uid.
pub fn add(
    account: &Account,
    asked_as: &Account,
    facts: &AtFacts,
    today: i64,
    paths: &mut Vec<AccessPath>,
) {
    let mut rows = Rows::new(account, Mechanism::AtJob);
    let mut gate = Checks::default();
    pam_gate::check(asked_as, &facts.asks, today, &mut gate);
    if !facts.has_daemon {
        gate.unknown("no at daemon is known here that would run it");
    }
    for waiting in facts.jobs.iter().filter(|job| job.uid == account.uid) {
        let mut checks = gate.clone();
        if let Some(why) = is_passed_over(waiting.mode, waiting.links) {
            checks.closed(format!("atd passes it over: {why}"));
        }
        let (number, queue) = (waiting.job.number, char::from(waiting.job.queue));
        let open = format!(
            "job {number} in queue {queue} runs from {} on",
            date(waiting.job.due)
        );
        rows.add(checks.verdict(&open), &waiting.path, None);
    }
    for (path, why) in &facts.gaps {
        let mut checks = gate.clone();
        checks.unknown(format!("whether it has jobs is not known: {why}"));
        rows.add(checks.verdict(""), path, None);
    }
    rows.finish(paths);
}

/// Seconds since 1970 as `2026-11-23T12:44Z`.
fn date(seconds: i64) -> String {
    let millis = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let text = rescind_protocol::name::UnixMillis(millis).to_string();
    match text.split_once(':') {
        Some((hours, rest)) => format!("{hours}:{}Z", rest.get(..2).unwrap_or("00")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    #[test]
    fn jobs_run_as_their_files_owner() {
        let waiting = |name: &str, uid, mode| Waiting {
            path: format!("/s/{name}").into(),
            job: AtJob::of_file_name(name.as_bytes()).unwrap(),
            uid,
            mode,
            links: 1,
        };
        let facts = AtFacts {
            has_daemon: true,
            asks: Asks::Nobody,
            jobs: vec![
                waiting("a0000101c89a7c", 1000, 0o700),
                waiting("b0000201c89a7c", 1001, 0o700),
                waiting("c0000301c89a7c", 1000, 0o600),
            ],
            gaps: vec![("/t".into(), "io".into())],
        };
        let mut paths = Vec::new();
        add(&alice(), &alice(), &facts, 20_100, &mut paths);
        let told: Vec<_> = paths
            .iter()
            .map(|path| format!("{:?} {}", path.state, path.reason))
            .collect();
        assert_eq!(
            told,
            [
                "Open job 1 in queue a runs from 2026-11-23T12:44Z on",
                "Unknown whether it has jobs is not known: io",
                "Closed atd passes it over: at(1) has not finished it: its owner may not execute it",
            ]
        );
    }
}
