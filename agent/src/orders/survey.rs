//! The survey of a host: everything that can be said of it without asking its store, as sections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rescind_protocol::name::UnixMillis;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use serde_json::Value;

use crate::config;
use crate::home::HomeChild;
use crate::host::account::Account;
use crate::host::accounts::Gap;
use crate::host::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile};
use crate::host::not_read::{Cause, NotRead};
use crate::orders::EngineError;
use crate::orders::acting::sudo_policy;
use crate::orders::held;
use crate::orders::host::{Host, HostError};
use crate::orders::key_files::Purpose;
use crate::orders::reading::Reading;
use crate::orders::resurvey::{self, Noting};
use crate::paths;
use crate::processes::services::{Service, services};
use crate::secrets::finding::{Coverage, NotRead as SecretsNotRead, Unclear};
use crate::secrets::{self, Limits, Marker};
use crate::sections::{Builder, Finished, Section, accounts, coverage, host};
use crate::store::{Clock, HostClock};
use crate::sys::process;

/// Takes the survey of the host below `root`: all sections, or only one.
///
/// Each section is handed over when it is finished, in the order of [`Section::ALL`]; secrets,
/// which take longest, come last. Files of the uids in `avoid` are not tried: their file systems
/// did not answer before, and still do not. Returns those that did not this time, and these.
pub fn take(
    root: &Path,
    only: Option<Section>,
    avoid: &BTreeSet<u32>,
    mut each: impl FnMut(Finished),
) -> Result<BTreeSet<u32>, EngineError> {
    let mut host = Host::below(root)?;
    survey(&mut host, root, only, avoid, None, &mut each)
}

/// [`take`] of all sections, noting what they depend on: for stamps to be taken of it.
pub fn take_and_note(
    root: &Path,
    avoid: &BTreeSet<u32>,
    mut each: impl FnMut(Finished),
) -> Result<(BTreeSet<u32>, Host, Noting), EngineError> {
    let mut noting = Noting::begin();
    let mut host = Host::below(root)?;
    host.note_seen();
    let hung = survey(&mut host, root, None, avoid, Some(&mut noting), &mut each)?;
    noting.tree.join(host.take_seen());
    if !hung.is_empty() {
        noting.tree.doubt("a file system does not answer");
    }
    Ok((hung, host, noting))
}

fn survey(
    host: &mut Host,
    root: &Path,
    only: Option<Section>,
    avoid: &BTreeSet<u32>,
    mut noting: Option<&mut Noting>,
    each: &mut dyn FnMut(Finished),
) -> Result<BTreeSet<u32>, EngineError> {
    // What it reads could be in a core dump otherwise.
    if let Err(error) = process::leave_no_core() {
        tracing::warn!(%error, "core dumps of this process could not be turned off");
    }
    host.root().note_not_read();
    let wanted = |section: Section| only.is_none_or(|only| only == section);
    let (accounts, mut hung) = {
        let mut reading = host.read()?;
        reading.avoid(avoid);
        if let Some(noting) = &mut noting {
            noting.facts = resurvey::facts(root, &resurvey::boot_id(), reading.moment());
        }
        let mut survey = Survey::new(&mut reading);
        if wanted(Section::Host) {
            each(survey.host()?);
        }
        if Section::ALL
            .into_iter()
            .any(|section| is_of_paths(section) && wanted(section))
        {
            for finished in survey.of_accounts(&wanted)? {
                each(finished);
            }
        }
        let accounts = survey.accounts;
        if let Some(noting) = &mut noting {
            noting.turns_at = reading.turns_at();
        }
        (accounts, reading.hung())
    };
    if wanted(Section::Secrets) {
        let (finished, covered) = held_secrets(root, host.homes(), &accounts, &hung)?;
        each(finished);
        hung.extend(covered.hung);
        if let Some(noting) = noting
            && covered.out_of_time
        {
            noting
                .tree
                .doubt("there was no time to look for all secrets");
        }
    }
    Ok(hung)
}

const fn is_of_paths(section: Section) -> bool {
    !matches!(section, Section::Host | Section::Secrets)
}

struct Survey<'s, 'h> {
    reading: &'s mut Reading<'h>,
    /// By name, because their order in the file says nothing.
    accounts: Vec<Account>,
}

impl<'s, 'h> Survey<'s, 'h> {
    fn new(reading: &'s mut Reading<'h>) -> Self {
        let mut accounts: Vec<Account> = reading.accounts.iter().collect();
        accounts.sort_by(|a, b| (&a.name, a.passwd_line).cmp(&(&b.name, b.passwd_line)));
        Self { reading, accounts }
    }

    fn host(&mut self) -> Result<Finished, EngineError> {
        let root = Rc::clone(self.reading.root());
        let mut rows = vec![
            host::Row::new("os", config::os_name(root.path())),
            host::Row::new("agent", env!("CARGO_PKG_VERSION")),
            host::Row::new("rules", paths::RULE_SET),
            host::Row::new("secret_rules", secrets::RULE_SET),
        ];
        let name = config::host_name(root.path());
        rows.extend(name.map(|name| host::Row::new("host_name", name)));
        for sshd in &self.reading.sshds {
            let value = match &sshd.config {
                Ok(config) => config.release().text().to_owned(),
                Err(error) => format!("unknown: {error}"),
            };
            rows.push(host::Row {
                running: root.is_live().then_some(sshd.running),
                source: Some(rescind_protocol::path::Source {
                    file: sshd.name.clone(),
                    line: None,
                }),
                ..host::Row::new("sshd", value)
            });
        }
        let sudo = match sudo_policy::installed_version(&root) {
            Ok(version) => version,
            Err(error) => Some(format!("unknown: {error}")),
        };
        rows.extend(sudo.map(|version| host::Row::new("sudo", version)));
        let mut builder = Builder::new(Section::Host);
        builder.add(None, rows.into_iter().map(|row| (0, row)));
        Ok(builder.finish())
    }

    /// Every section that tells of accounts and their paths, in one pass over the accounts.
    fn of_accounts(
        &mut self,
        wanted: &dyn Fn(Section) -> bool,
    ) -> Result<Vec<Finished>, EngineError> {
        let mut builders: BTreeMap<Section, Builder> = Section::ALL
            .into_iter()
            .filter(|section| is_of_paths(*section))
            .map(|section| (section, Builder::new(section)))
            .collect();
        let mut note = |section: Section, not_read: NotRead| {
            if let Some(builder) = builders.get_mut(&section) {
                builder.coverage().add(not_read);
            }
        };
        for gap in self.gaps_of_accounts()? {
            note(Section::Accounts, gap);
        }
        let running = self.services();
        for gap in running.1 {
            note(Section::Accounts, unread_process(gap));
        }
        let nobody: Vec<Service> = Vec::new();
        self.reading.pass_over(&self.accounts, |reading, account| {
            let paths = reading.paths_at_rest(account);
            let of_uid = running.0.get(&account.uid).unwrap_or(&nobody);
            let row = accounts::Row::new(account, &paths, of_uid);
            if let Some(builder) = builders.get_mut(&Section::Accounts) {
                builder.add(Some(account), std::iter::once((0, row)));
            }
            for (section, paths) in by_section(paths) {
                let Some(builder) = builders.get_mut(&section) else {
                    continue;
                };
                for path in &paths {
                    if let Some(provider) = provider(path) {
                        builder.coverage().add(provider);
                    }
                }
                builder.add(Some(account), paths.iter().map(|p| (rank(p.state), p)));
            }
            for (purpose, not_read) in reading.take_not_read() {
                let section = match purpose {
                    Purpose::Keys => Section::SshKeys,
                    Purpose::Units => Section::Deferred,
                };
                if let Some(builder) = builders.get_mut(&section) {
                    builder.coverage().add(not_read);
                }
            }
        });
        for not_read in self.reading.root().take_not_read() {
            let path = not_read.path.clone().unwrap_or_default();
            for section in Section::of_file(&path) {
                if let Some(builder) = builders.get_mut(section) {
                    builder.coverage().add(not_read.clone());
                }
            }
        }
        let finished = builders
            .into_iter()
            .filter(|(section, _)| wanted(*section))
            .map(|(_, builder)| builder.finish());
        Ok(finished.collect())
    }

    /// What is not known of who is on the host.
    fn gaps_of_accounts(&self) -> Result<Vec<NotRead>, EngineError> {
        let mut gaps = Vec::new();
        for gap in self.reading.accounts.gaps() {
            let words = gap.to_string();
            let (path, cause) = match gap {
                // Noted where it was read; one that is missing is none.
                Gap::File(_) => continue,
                Gap::Malformed { file, .. } => (file.to_owned(), Cause::Unclear),
                Gap::Unnameable { .. } => (AccountFile::Passwd.path().to_owned(), Cause::Unclear),
                Gap::Nis { file, .. } => (file.to_owned(), Cause::Directory),
            };
            gaps.push(NotRead {
                account: None,
                path: Some(path),
                cause,
                why: words,
            });
        }
        let nsswitch = Path::new("/etc/nsswitch.conf");
        // Without it only files are asked; that it cannot be read is noted.
        if let Ok(file) = self.reading.root().read(nsswitch, ACCOUNT_FILE_BYTES_MAX) {
            gaps.extend(coverage::directories(&file.bytes));
        }
        Ok(gaps)
    }

    fn services(&self) -> (BTreeMap<u32, Vec<Service>>, Vec<String>) {
        match self.reading.moment() {
            Some(moment) => services(moment, HostClock.boot_us() / 1_000_000),
            None => (BTreeMap::new(), Vec::new()),
        }
    }
}

fn unread_process(why: String) -> NotRead {
    NotRead {
        account: None,
        path: Some(PathBuf::from("/proc")),
        cause: Cause::Error,
        why,
    }
}

fn by_section(paths: Vec<AccessPath>) -> BTreeMap<Section, Vec<AccessPath>> {
    let mut sections: BTreeMap<Section, Vec<AccessPath>> = BTreeMap::new();
    for path in paths {
        if let Some(section) = Section::of(path.mechanism) {
            sections.entry(section).or_default().push(path);
        }
    }
    sections
}

/// Where there are too many, what is open stays.
const fn rank(state: PathState) -> u8 {
    match state {
        PathState::Open => 0,
        PathState::Unknown => 1,
        PathState::Closed => 2,
    }
}

/// A program that decides and is not asked: for all accounts the same, said once.
fn provider(path: &AccessPath) -> Option<NotRead> {
    let is_one = path.mechanism == Mechanism::SshKeysCommand && path.state == PathState::Unknown;
    let source = path.source.as_ref()?;
    is_one.then(|| NotRead {
        account: None,
        path: Some(PathBuf::from(&source.file)),
        cause: Cause::Provider,
        why: path.reason.clone(),
    })
}

/// The credentials that lie on the host. Who accepts their public halves and which process has
/// them open is left to `inventory --secrets`: the one stands in `ssh_keys`, the other changes.
fn held_secrets(
    root: &Path,
    homes: &mut HomeChild,
    accounts: &[Account],
    avoid: &BTreeSet<u32>,
) -> Result<(Finished, Coverage), EngineError> {
    let key = config::load_or_create_fingerprint_key(root)?;
    let (findings, covered) = secrets::survey_but(
        homes,
        accounts,
        &Marker::new(&key),
        Limits::default(),
        avoid,
    );
    let names = held::names(accounts);
    let mut by_home: BTreeMap<Option<&str>, Vec<Value>> = BTreeMap::new();
    for found in &findings {
        let mut row = held::row(found, &names, UnixMillis(0));
        if let Some(row) = row.as_object_mut() {
            row.remove("age_days");
        }
        let home = found.account.as_ref().map(|name| name.as_str());
        by_home.entry(home).or_default().push(row);
    }
    let mut builder = Builder::new(Section::Secrets);
    for (home, rows) in by_home {
        let account = accounts
            .iter()
            .find(|account| Some(account.name.as_str()) == home);
        builder.add(account, rows.into_iter().map(|row| (0, row)));
    }
    let coverage = builder.coverage();
    let listed = (&covered.not_read.listed, &covered.unclear.listed);
    for SecretsNotRead {
        account,
        path,
        reason,
    } in listed.0
    {
        coverage.add(NotRead {
            account: account.clone(),
            path: Some(path_of(path)),
            cause: reason.cause,
            why: reason.why.clone(),
        });
    }
    for Unclear {
        account,
        path,
        kind,
        why,
    } in listed.1
    {
        coverage.add(NotRead {
            account: account.clone(),
            path: Some(path_of(path)),
            cause: Cause::Unclear,
            why: format!("{}: {why}", kind.as_str()),
        });
    }
    let unlisted = covered.not_read.total + covered.unclear.total;
    coverage.add_unlisted(unlisted - (listed.0.len() + listed.1.len()) as u64);
    Ok((builder.finish(), covered))
}

fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes))
}

impl From<crate::host::root::ReadError> for EngineError {
    fn from(error: crate::host::root::ReadError) -> Self {
        Self::Host(HostError::from(error))
    }
}
