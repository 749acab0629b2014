//! The credentials that lie on the host, joined with where they are accepted: what
//! `rescind-agent inventory --secrets` shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use rescind_protocol::name::{AccountName, KeyFingerprint, UnixMillis};
use serde_json::{Value, json};

use crate::config;
use crate::host::account::Account;
use crate::orders::EngineError;
use crate::orders::host::Host;
use crate::processes::open_files::OpenFiles;
use crate::processes::table::{Proc, Table};
use crate::secrets::finding::{Bounded, NotRead, PassedOver, Unclear};
use crate::secrets::{self, Coverage, Finding, Fingerprint, Limits, Marker, PublicMark};
use crate::sshd::printable::printable;
use crate::store::{Clock, HostClock};
use crate::sys::process;

/// Looks for the credentials on the host below `root` (`/`, or a directory that is not booted).
///
/// Needs nothing of a running agent, and holds up none: it has a child of its own to read the
/// files of users. The answer is documented in `agent/SECRETS.md`.
pub fn report(root: &Path) -> Result<Value, EngineError> {
    // What it reads could be in a core dump otherwise.
    if let Err(error) = process::leave_no_core() {
        tracing::warn!(%error, "core dumps of this process could not be turned off");
    }
    let key = config::load_or_create_fingerprint_key(root)?;
    let mut host = Host::below(root)?;
    let accounts: Vec<Account> = host.read()?.accounts.iter().collect();
    let limits = Limits::default();
    let (findings, coverage) = secrets::survey(host.homes(), &accounts, &Marker::new(&key), limits);
    let accepted = Accepted::read(&mut host, &accounts, &coverage)?;
    let open = match host.is_live() {
        true => Open::look(&findings),
        false => Open::default(),
    };
    let now = HostClock.wall();
    let names = names(&accounts);
    let credentials: Vec<Value> = findings
        .iter()
        .map(|found| {
            let mut row = row(found, &names, now);
            row["accepted_for"] = accepted.of(found);
            row["open_in"] = open.of(found);
            row
        })
        .collect();
    let mut answer = json!({
        "taken_at": now.to_string(),
        "rule_set": secrets::RULE_SET,
        "credentials": credentials,
        "coverage": coverage_of(&coverage, &limits),
    });
    answer["coverage"]["key_files_not_read"] = json!(accepted.gaps);
    answer["coverage"]["processes_not_seen"] = json!(open.files.not_seen);
    Ok(answer)
}

/// Where public keys are accepted on this host.
struct Accepted {
    by_key: BTreeMap<KeyFingerprint, Vec<Value>>,
    gaps: Vec<String>,
}

/// The longest reading of key files; what is left then is a gap.
const KEY_FILES_TIME: std::time::Duration = std::time::Duration::from_secs(15);
/// More gaps than these are only counted.
const GAPS_MAX: usize = 1000;

impl Accepted {
    /// Reads the key files in force of every account whose home does not hang.
    fn read(
        host: &mut Host,
        accounts: &[Account],
        coverage: &Coverage,
    ) -> Result<Self, EngineError> {
        let started = Instant::now();
        let mut reading = host.read()?;
        let mut by_key: BTreeMap<KeyFingerprint, Vec<Value>> = BTreeMap::new();
        let mut gaps = BTreeSet::new();
        for account in accounts {
            let not = match () {
                () if coverage.hung.contains(&account.uid) => Some("did not answer in time"),
                () if started.elapsed() >= KEY_FILES_TIME => Some("were not reached in time"),
                () => None,
            };
            if let Some(why) = not {
                gaps.insert(format!("the key files of {} {why}", account.name));
                continue;
            }
            let (files, unread) = reading.key_files(account);
            gaps.extend(unread);
            for seen in &files {
                // A line whose options sshd does not understand lets nobody in.
                let used = seen
                    .file
                    .keys()
                    .filter_map(|key| Some((key, key.options.as_ref().ok()?)));
                for (key, options) in used {
                    let accepted = by_key.entry(key.fingerprint).or_default();
                    accepted.push(json!({
                        "account": account.name,
                        "file": printable(&seen.path),
                        "line": key.line,
                        "cert_authority": options.cert_authority,
                    }));
                }
            }
        }
        let mut gaps: Vec<String> = gaps.into_iter().collect();
        if gaps.len() > GAPS_MAX {
            let more = gaps.len() - GAPS_MAX;
            gaps.truncate(GAPS_MAX);
            gaps.push(format!("and {more} more"));
        }
        Ok(Self { by_key, gaps })
    }

    fn of(&self, found: &Finding) -> Value {
        match found.fingerprint {
            Fingerprint::Public(PublicMark::Ssh(key)) => {
                json!(self.by_key.get(&key).map_or(&[][..], |a| a))
            }
            _ => json!([]),
        }
    }
}

/// Which processes have a found file open.
#[derive(Default)]
struct Open {
    table: Table,
    files: OpenFiles,
}

impl Open {
    fn look(findings: &[Finding]) -> Self {
        let wanted: BTreeSet<&[u8]> = findings
            .iter()
            .map(|found| found.real_path.as_slice())
            .collect();
        let table = Proc::open(Path::new("/proc")).map(|proc| proc.table());
        // Without it nothing is said of who has them open; the rest of the answer stands.
        let table = table.ok().and_then(Result::ok).unwrap_or_default();
        let files = OpenFiles::look(&table, &wanted);
        Self { table, files }
    }

    fn of(&self, found: &Finding) -> Value {
        let holders = self.files.by_path.get(&found.real_path);
        let process = |pid: &process::ProcessId| {
            let process = self.table.get(*pid)?;
            Some(json!({
                "pid": pid,
                "name": printable(&process.comm),
                "uid": process.uids[1],
            }))
        };
        holders.into_iter().flatten().filter_map(process).collect()
    }
}

pub(super) fn names(accounts: &[Account]) -> BTreeMap<u32, &AccountName> {
    // Of a uid that several have, the first one's in passwd(5).
    let mut first: BTreeMap<u32, &Account> = BTreeMap::new();
    for account in accounts {
        let known = first.entry(account.uid).or_insert(account);
        if account.passwd_line < known.passwd_line {
            *known = account;
        }
    }
    let first = first.into_iter();
    first.map(|(uid, account)| (uid, &account.name)).collect()
}

pub(super) fn row(found: &Finding, names: &BTreeMap<u32, &AccountName>, now: UnixMillis) -> Value {
    let seconds = i64::try_from(now.0 / 1000).unwrap_or(i64::MAX);
    let modified = u64::try_from(found.modified)
        .unwrap_or(0)
        .saturating_mul(1000);
    let from = match (&found.fingerprint, found.from_pub_file) {
        (Fingerprint::Keyed(_), _) => "keyed",
        (Fingerprint::Public(_), true) => "pub_file",
        (Fingerprint::Public(_), false) => "public_half",
    };
    let text_or_null = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "account": found.account,
        "shared_with": found.also,
        "kind": found.kind.as_str(),
        "path": printable(&found.path),
        "real_path": (found.real_path != found.path).then(|| printable(&found.real_path)),
        "label": found.label,
        "owner": names.get(&found.uid),
        "uid": found.uid,
        "gid": found.gid,
        "mode": format!("{:04o}", found.mode),
        "size": found.size,
        "modified": UnixMillis(modified).to_string(),
        "age_days": (seconds - found.modified).max(0) / 86_400,
        "encrypted": found.encrypted,
        "key_type": text_or_null(found.key_type),
        "bits": (found.bits > 0).then_some(found.bits),
        "fingerprint": found.fingerprint.to_string(),
        "fingerprint_of": from,
    })
}

fn coverage_of(coverage: &Coverage, limits: &Limits) -> Value {
    json!({
        "rule_set": secrets::RULE_SET,
        "homes": coverage.homes,
        "homes_missing": coverage.homes_missing,
        "directories": coverage.directories,
        "files": coverage.files,
        "took_ms": u64::try_from(coverage.took.as_millis()).unwrap_or(u64::MAX),
        "not_read": list(&coverage.not_read, |NotRead { account, path, reason }| json!({
            "account": account, "path": printable(path), "cause": reason.cause, "why": reason.why,
        })),
        "unclear": list(&coverage.unclear, |Unclear { account, path, kind, why }| json!({
            "account": account, "path": printable(path), "kind": kind.as_str(), "why": why,
        })),
        "passed_over": list(&coverage.passed_over, |PassedOver { account, path, kind, label, why }| json!({
            "account": account, "path": printable(path), "kind": kind.as_str(), "label": label, "why": why.as_str(),
        })),
        "limits": {
            "file_bytes": limits.file_bytes,
            "names_per_directory": limits.walk.names,
            "files_per_home": limits.walk.files.1,
            "files_per_directory": limits.walk.files.0,
            "home_s": limits.home.as_secs(),
            "total_s": limits.total.as_secs(),
        },
    })
}

fn list<T>(bounded: &Bounded<T>, item: impl Fn(&T) -> Value) -> Value {
    json!({
        "total": bounded.total,
        "listed": bounded.listed.iter().map(item).collect::<Vec<_>>(),
    })
}
