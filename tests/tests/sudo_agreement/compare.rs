//! One policy: their answers and ours.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rescind_agent::host::account::GroupRef;
use rescind_agent::sudoers::policy::{CommandLine, Decision};
use rescind_agent::sudoers::tree::{FindingKind, Rule, Sudoers, What};
use rescind_agent::sudoers::{Dialect, HostNames, Policy, ReadProblem, Subject, SudoersFiles};

use super::generate::{Ask, LISTED, Tree, USERS};
use super::judge::Verdict;
use super::{json, listing};

/// What was compared.
#[derive(Default)]
pub struct Counts {
    broken: usize,
    privileges: usize,
    listings: usize,
    rules: usize,
    decisions: usize,
    allowed: usize,
    unknown: usize,
    runs: usize,
    ran: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of them with errors; {} privileges as JSON, {} listings with {} rules, {} decisions \
             ({} allowed, {} unknown to us), {} commands run ({} without a password)",
            self.broken,
            self.privileges,
            self.listings,
            self.rules,
            self.decisions,
            self.allowed,
            self.unknown,
            self.runs,
            self.ran
        )
    }
}

pub fn compare(
    tree: &Tree,
    theirs: &Verdict,
    dialect: Dialect,
    counts: &mut Counts,
) -> Result<(), String> {
    let policy = rescind_agent::sudoers::parse(tree, Path::new("/etc/sudoers"), b"web1", dialect);
    // cvtsudoers looks at no modes, so it reads files that sudo does not.
    if tree.files.values().all(|file| file.mode & 0o022 == 0) {
        compare_json(tree, &policy, theirs, dialect, counts)?;
    }
    if has_netgroups(&policy) {
        return Ok(());
    }
    let host = HostNames {
        short: b"web1".to_vec(),
        long: Some(b"web1.example.org".to_vec()),
        addresses: Some(Vec::new()),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let evaluator = Policy {
        sudoers: &policy,
        host: &host,
        root: &subject("root"),
        other_sources: &[],
        now_unix: i64::try_from(now).expect("before the end"),
    };
    let told = if tree.personal { 0 } else { usize::MAX };
    for (user, output) in LISTED.iter().zip(&theirs.listings).take(told) {
        let (grants, _) = evaluator.grants(&subject(user));
        let ours = listing::ours(&grants, user, dialect);
        let listed = listing::theirs(output);
        if ours != listed {
            return Err(format!(
                "{user}\n  theirs {listed}\n  ours   {ours}\n{}",
                theirs.errors
            ));
        }
        counts.listings += 1;
        counts.rules += grants.len();
    }
    for (ask, allowed) in tree.asks.iter().zip(&theirs.allowed).take(told) {
        compare_decision(&evaluator, ask, *allowed, counts)?;
    }
    for (run, ran) in tree.runs.iter().zip(&theirs.ran) {
        compare_run(&evaluator, run, *ran, counts).map_err(|why| why + "\n" + &theirs.errors)?;
    }
    Ok(())
}

fn compare_json(
    tree: &Tree,
    policy: &Sudoers,
    theirs: &Verdict,
    dialect: Dialect,
    counts: &mut Counts,
) -> Result<(), String> {
    let bad = policy.refused.is_some()
        || policy.findings.iter().any(|finding| match finding.kind {
            FindingKind::NameIgnored { .. } | FindingKind::Nul => false,
            FindingKind::NotIncluded { .. } | FindingKind::TooDeep => true,
            _ => true,
        });
    counts.broken += usize::from(bad);
    let Some(bytes) = &theirs.json else {
        // A rule of cvtsudoers and visudo alone.
        let strict = theirs
            .errors
            .contains("sudoedit should not be specified with a path");
        // It does not know the search paths of sudo's includes either.
        let main = &tree.files["sudoers"].bytes;
        let search = main.windows(12).any(|part| part == b":/etc/more/a");
        return if bad || strict || search {
            Ok(())
        } else {
            Err(format!("they see errors: {}", theirs.errors))
        };
    };
    if bad {
        let ours: Vec<_> = policy.findings.iter().map(|f| f.kind.to_string()).collect();
        return Err(format!("they see no error, we do: {ours:?}"));
    }
    let text = String::from_utf8_lossy(bytes);
    let text = mend(if text.trim().is_empty() { "{}" } else { &text });
    let parsed = serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?;
    counts.privileges += json::compare(policy, &parsed, dialect)?;
    Ok(())
}

/// Old versions of cvtsudoers forget the comma after a list in which nothing is left, and the braces
/// around some options.
fn mend(text: &str) -> String {
    let mut out = String::new();
    let mut within = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.starts_with([']', '}']) {
            within.pop();
        }
        let bare = trimmed.trim_end_matches(',');
        let opens = bare.ends_with(['[', '{']);
        let is_pair = bare.starts_with('"') && bare.contains("\": ") && !opens;
        if within.last() == Some(&'[') && is_pair {
            out += &format!("{{ {bare} }}");
            out += &trimmed[bare.len()..];
        } else {
            out += trimmed;
        }
        let next = lines.peek().map_or("", |next| next.trim_start());
        if bare.ends_with([']', '}']) && bare.len() == trimmed.len() && next.starts_with(['"', '{'])
        {
            out.push(',');
        }
        if opens {
            within.extend(bare.chars().last());
        }
        out.push('\n');
    }
    out
}

fn compare_decision(
    evaluator: &Policy<'_>,
    ask: &Ask,
    allowed: bool,
    counts: &mut Counts,
) -> Result<(), String> {
    if evaluator
        .sudoers
        .specs
        .iter()
        .flat_map(|spec| &spec.privileges)
        .flat_map(|privilege| &privilege.rules)
        .any(blinds_sudo_l)
    {
        return Ok(());
    }
    let args = if ask.args.is_empty() {
        None
    } else {
        Some(ask.args.join(" ").into_bytes())
    };
    let line = CommandLine::Exactly {
        path: ask.path.as_bytes().to_vec(),
        args,
    };
    counts.decisions += 1;
    counts.allowed += usize::from(allowed);
    let ours = evaluator.decide(&subject(ask.user), &subject(ask.target), &line);
    let agree = match &ours {
        Decision::Allowed { .. } => allowed,
        Decision::Denied { .. } => !allowed,
        Decision::Unknown { .. } => {
            counts.unknown += 1;
            true
        }
    };
    if agree {
        Ok(())
    } else {
        Err(format!("{ask:?}\n  theirs {allowed}\n  ours   {ours:?}"))
    }
}

/// Whether the command went through without a password, as the rule we found says.
fn compare_run(
    evaluator: &Policy<'_>,
    run: &Ask,
    ran: bool,
    counts: &mut Counts,
) -> Result<(), String> {
    let args = if run.args.is_empty() {
        None
    } else {
        Some(run.args.join(" ").into_bytes())
    };
    let line = CommandLine::Exactly {
        path: run.path.as_bytes().to_vec(),
        args,
    };
    let ours = evaluator.decide(&subject(run.user), &subject(run.target), &line);
    let expected = match &ours {
        Decision::Allowed { source, nopasswd } => {
            let mut rules = evaluator
                .sudoers
                .specs
                .iter()
                .flat_map(|s| &s.privileges)
                .flat_map(|p| &p.rules);
            // Their directories do not exist, so sudo gives up after it has allowed the command.
            let gives_up = |rule: &Rule| {
                rule.options.chroot.is_some()
                    || (rule.span == source.span && rule.options.cwd.is_some())
            };
            if rules.any(gives_up) {
                return Ok(());
            }
            *nopasswd
        }
        Decision::Denied { .. } => false,
        Decision::Unknown { .. } => return Ok(()),
    };
    counts.runs += 1;
    counts.ran += usize::from(ran);
    if ran == expected {
        Ok(())
    } else {
        Err(format!("{run:?}\n  ran  {ran}\n  ours {ours:?}"))
    }
}

/// Rules that `sudo -l command` judges differently from `sudo command`: it takes root, who asks here, for
/// the one that `()` means, and forgets what it was asked after a `CHROOT=` whose directory is missing.
fn blinds_sudo_l(rule: &Rule) -> bool {
    let users = rule
        .runas
        .as_deref()
        .and_then(|runas| runas.users.as_deref());
    let myself = users.is_some_and(|users| users.iter().any(|user| user.what == What::Myself));
    myself || rule.options.chroot.is_some()
}

fn subject(name: &str) -> Subject {
    let (name, uid, groups) = USERS
        .iter()
        .find(|(user, ..)| *user == name)
        .expect("a user of the hosts");
    Subject {
        name: name.as_bytes().to_vec(),
        uid: *uid,
        gid: groups[0].1,
        groups: groups
            .iter()
            .map(|(name, gid)| GroupRef {
                name: name.as_bytes().to_vec(),
                gid: *gid,
            })
            .collect(),
    }
}

fn has_netgroups(policy: &Sudoers) -> bool {
    let netgroup = |what: &What| matches!(what, What::NetGroup(_));
    policy
        .aliases
        .values()
        .flat_map(|aliases| aliases.values())
        .any(|alias| alias.members.iter().any(|m| netgroup(&m.what)))
        || policy.specs.iter().any(|spec| {
            spec.users.iter().any(|m| netgroup(&m.what))
                || spec
                    .privileges
                    .iter()
                    .any(|p| p.hosts.iter().any(|m| netgroup(&m.what)))
        })
        || policy
            .defaults
            .iter()
            .any(|d| d.binding.iter().any(|m| netgroup(&m.what)))
}

impl SudoersFiles for Tree {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let name = path
            .strip_prefix("/etc")
            .map_err(|_| ReadProblem::Missing)?;
        let file = self
            .files
            .get(&*name.to_string_lossy())
            .ok_or(ReadProblem::Missing)?;
        if file.mode & 0o022 != 0 {
            return Err(ReadProblem::Refused("is world writable".into()));
        }
        Ok(file.bytes.clone())
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, ReadProblem> {
        let below = |path: &String| {
            let path = Path::new("/etc").join(path);
            (path.parent() == Some(dir))
                .then(|| path.file_name().map(OsString::from))
                .flatten()
        };
        let names: Vec<_> = self.files.keys().filter_map(below).collect();
        if names.is_empty() {
            Err(ReadProblem::Missing)
        } else {
            Ok(names)
        }
    }
}
