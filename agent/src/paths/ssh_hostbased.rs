//! Hosts whose word sshd takes for who their users are (auth2-hostbased.c, auth-rhosts.c).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rescind_protocol::path::{AccessPath, Mechanism, Source};

use super::evaluate::{Situation, View};
use super::facts::{KeyFiles, ReadAs};
use super::methods;
use super::rows::Rows;
use super::ssh_gate::{self, Means};
use super::ssh_others::usable;
use super::strict_modes;
use super::verdict::{Checks, Verdict, merge};
use crate::sshd::effective::IgnoreRhosts;
use crate::sshd::include::ReadProblem;
use crate::sshd::known_hosts::{Knows, knows};
use crate::sshd::printable::{printable, printable_path};
use crate::sshd::rhosts::{Entry, Rhosts, Who};

/// The host's own files; they do not count for root.
const SYSTEM: [&str; 2] = ["/etc/hosts.equiv", "/etc/ssh/shosts.equiv"];
/// Those of an account, and whether `IgnoreRhosts shosts-only` leaves it out.
const OWN: [(&str, bool); 2] = [(".shosts", false), (".rhosts", true)];
const KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
const OWN_KNOWN_HOSTS: [&str; 2] = [".ssh/known_hosts", ".ssh/known_hosts2"];

/// A user of a host whose word may be taken.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// The host and user, as the file names them.
    pub entry: Entry,
    /// The file.
    pub file: PathBuf,
    /// Whether they get in.
    pub verdict: Verdict,
}

/// Adds who is let in.
pub fn add(view: &View<'_>, files: &mut dyn KeyFiles, paths: &mut Vec<AccessPath>) {
    let enabled = |situation: &&Situation| situation.settings.hostbased_authentication.value;
    let Some(situation) = view.worlds.iter().find(enabled) else {
        return;
    };
    let (trusted, unread) = trusted(view, files);
    let mut rows = Rows::new(view.account, Mechanism::SshHostbased);
    if trusted.is_empty() && unread.is_empty() {
        let origin = &situation.settings.hostbased_authentication.origin;
        let why = "HostbasedAuthentication is on, but no file names a host for the account";
        let source = view.source_of(origin);
        rows.add(Verdict::closed(why), Path::new(&source.file), source.line);
    }
    for (path, verdict) in unread {
        rows.add(verdict, &path, None);
    }
    for Trusted {
        entry,
        file,
        verdict,
    } in trusted
    {
        rows.add(verdict, &file, Some(entry.line));
    }
    rows.finish(paths);
}

/// Who is let in, and which files could not be read.
pub fn trusted(
    view: &View<'_>,
    files: &mut dyn KeyFiles,
) -> (Vec<Trusted>, Vec<(PathBuf, Verdict)>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let home = Path::new(std::ffi::OsStr::from_bytes(&view.account.home));
    let system = SYSTEM.iter().filter(|_| view.account.uid != 0);
    let system = system.map(|path| (PathBuf::from(path), ReadAs::Root, None));
    let own = OWN
        .iter()
        .map(|(name, rhosts)| (home.join(name), ReadAs::Account, Some(*rhosts)));
    let mut known = KnownHosts {
        view,
        home,
        read: None,
    };
    for (path, reader, own) in system.chain(own) {
        let facts = match files.read(view.account, &path, reader) {
            Ok(facts) => facts,
            Err(
                ReadProblem::Missing
                | ReadProblem::Denied
                | ReadProblem::Directory
                | ReadProblem::NotRegular
                | ReadProblem::TooManyLinks,
            ) => continue,
            Err(problem) => {
                let verdicts = view.worlds.iter().map(|situation| {
                    let mut checks = common(view, situation, own);
                    checks.unknown(format!("whom it lets in is not known: {problem}"));
                    (&situation.world, checks.verdict(""))
                });
                unread.push((path, merge(verdicts.collect())));
                continue;
            }
        };
        let insecure =
            own.and_then(|_| strict_modes::refuses(&facts, view.account.uid, view.release));
        let entries = Rhosts::parse(facts.bytes).entries();
        for (at, entry) in entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| !entry.negated)
        {
            let denied = entries[..at]
                .iter()
                .find(|before| before.negated && covers(before, entry));
            let verdicts: Vec<_> = view
                .worlds
                .iter()
                .map(|situation| {
                    let mut checks = common(view, situation, own);
                    if situation.settings.strict_modes.value
                        && let Some(why) = &insecure
                    {
                        checks.add_verdict(why);
                    }
                    if let Some(before) = denied {
                        checks.closed(format!("line {} turns it away", before.line));
                    }
                    let user = situation.settings.ignore_user_known_hosts.value;
                    known.check(entry, user, files, &mut checks);
                    (&situation.world, checks.verdict(&in_words(entry, view)))
                })
                .collect();
            found.push(Trusted {
                entry: entry.clone(),
                file: path.clone(),
                verdict: merge(verdicts),
            });
        }
    }
    (found, unread)
}

/// What stands before every login by a host's word, in one world. `own` says of a file of the
/// account's whether it is `.rhosts`.
fn common(view: &View<'_>, situation: &Situation, own: Option<bool>) -> Checks {
    let settings = &situation.settings;
    let mut checks = situation.gate.clone();
    if !settings.hostbased_authentication.value {
        let origin = &settings.hostbased_authentication.origin;
        checks.closed(format!("HostbasedAuthentication no ({origin})"));
    }
    let usable = |other: &str| usable(view, situation, other);
    methods::check(settings, "hostbased", usable, &mut checks);
    ssh_gate::check_root(view.account, settings, Means::Trust, &mut checks);
    let ignored = match (own, settings.ignore_rhosts.value) {
        (None, _) | (_, IgnoreRhosts::No) => false,
        (Some(rhosts), IgnoreRhosts::ShostsOnly) => rhosts,
        (Some(_), IgnoreRhosts::Yes) => true,
    };
    if ignored {
        let setting = &settings.ignore_rhosts;
        checks.closed(format!(
            "IgnoreRhosts {} ({})",
            setting.value.word(),
            setting.origin
        ));
    }
    checks
}

fn in_words(entry: &Entry, view: &View<'_>) -> String {
    let name = |who: &Who| match who {
        Who::Named(name) => printable(name),
        Who::NetGroup(group) => format!("netgroup {}", printable(group)),
    };
    let user = match &entry.user {
        Some(user) => name(user),
        None => view.account.name.to_string(),
    };
    format!(
        "{user} of {} is let in, if that host says so and proves itself",
        name(&entry.host)
    )
}

/// Whether an entry turns away all whom a later one would let in.
fn covers(before: &Entry, entry: &Entry) -> bool {
    let same_host = match (&before.host, &entry.host) {
        (Who::Named(a), Who::Named(b)) => a.eq_ignore_ascii_case(b),
        (a, b) => a == b,
    };
    same_host && before.user == entry.user
}

/// Which hosts' keys are known.
struct KnownHosts<'v> {
    view: &'v View<'v>,
    home: &'v Path,
    /// The host's files, and the account's own; read when they are asked for first.
    read: Option<[Vec<KnownFile>; 2]>,
}

/// A file's content, or why it could not be read.
type KnownFile = Result<Vec<u8>, String>;

impl KnownHosts<'_> {
    fn check(
        &mut self,
        entry: &Entry,
        ignore_own: bool,
        files: &mut dyn KeyFiles,
        checks: &mut Checks,
    ) {
        let host = match &entry.host {
            Who::Named(host) => host,
            Who::NetGroup(group) => {
                checks.unknown(format!(
                    "who is in netgroup {} is not known",
                    printable(group)
                ));
                return;
            }
        };
        if let Some(Who::NetGroup(group)) = &entry.user {
            checks.unknown(format!(
                "who is in netgroup {} is not known",
                printable(group)
            ));
        }
        let (view, home) = (self.view, self.home);
        let [system, own] = self.read.get_or_insert_with(|| {
            let mut read = |path: &Path, reader| match files.read(view.account, path, reader) {
                Ok(facts) => Some(Ok(facts.bytes)),
                Err(ReadProblem::Missing) => None,
                Err(problem) => Some(Err(format!("{}: {problem}", printable_path(path)))),
            };
            let system = KNOWN_HOSTS
                .iter()
                .filter_map(|path| read(Path::new(path), ReadAs::Root));
            let system = system.collect();
            let own = OWN_KNOWN_HOSTS
                .iter()
                .filter_map(|path| read(&home.join(path), ReadAs::Account));
            [system, own.collect()]
        });
        let own: &[_] = if ignore_own { &[] } else { own };
        let mut best = Knows::No;
        for file in system.iter().chain(own) {
            match file {
                Ok(bytes) => best = best.max(knows(bytes, host)),
                Err(why) => checks.unknown(why.clone()),
            }
        }
        let host = printable(host);
        match best {
            Knows::Yes => {}
            Knows::Perhaps => checks.unknown(format!(
                "whether a key of {host} is known cannot be told: names are hashed"
            )),
            Knows::No => checks.closed(format!("no key of {host} is known")),
        }
    }
}

/// Where an entry stands.
impl Trusted {
    /// Its place, for people.
    pub fn source(&self) -> Source {
        Source {
            file: printable_path(&self.file),
            line: Some(self.entry.line),
        }
    }
}
