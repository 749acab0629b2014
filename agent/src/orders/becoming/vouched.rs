//! Those who are let in as another because this host, or Kerberos, says who they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rescind_protocol::path::{PathState, Source};

use super::gaps::Gaps;
use super::logins::{ACCOUNTS_MAX, sure};
use crate::escalation::logins::Vouched;
use crate::escalation::steps::Means;
use crate::host::account::Account;
use crate::host::accounts::{Accounts, account_name};
use crate::host::root::HostRoot;
use crate::orders::reading::Reading;
use crate::paths::ssh_hostbased::Trusted;
use crate::paths::ssh_kerberos::Principal;
use crate::paths::trust::{principals, trusted_hosts};
use crate::sshd::k5login::local_name;
use crate::sshd::keyword::Keyword;
use crate::sshd::printable::printable_path;
use crate::sshd::rhosts::Who;

/// The most that is read of a small file of the host.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Those who are told.
const VOUCHED_MAX: usize = 10_000;
/// Names in /etc/ssh/ssh_config.d.
const NAMES_MAX: usize = 1024;

/// Looks for them; says whether there are more accounts than were looked at.
pub fn collect(
    reading: &mut Reading<'_>,
    accounts: &Accounts,
    root: &HostRoot,
    gaps: &mut Vec<String>,
) -> (Vec<Vouched>, bool) {
    let hostbased = sets(reading, Keyword::HostbasedAuthentication);
    let kerberos = sets(reading, Keyword::GssapiAuthentication);
    if !hostbased && !kerberos {
        return (Vec::new(), false);
    }
    let mut not_known = Gaps::default();
    let this_host = match hostbased && signs_for_users(root, &mut not_known) {
        true => names_of_this_host(root, &mut not_known),
        false => BTreeSet::new(),
    };
    let mut people: Vec<Account> = accounts.iter().take(ACCOUNTS_MAX + 1).collect();
    let mut cut = people.len() > ACCOUNTS_MAX;
    people.truncate(ACCOUNTS_MAX);
    let mut all = Vec::new();
    for account in &people {
        if !this_host.is_empty() {
            let found = reading.with_facts(account, None, |facts, files| {
                trusted_hosts(account, facts, files)
            });
            found.unknown.into_iter().for_each(|why| not_known.add(why));
            for one in found.trusted {
                all.extend(by_this_host(account, one, &this_host, &mut not_known));
            }
        }
        if kerberos {
            let found = reading.with_facts(account, None, |facts, files| {
                principals(account, facts, files)
            });
            found.unknown.into_iter().for_each(|why| not_known.add(why));
            let found = found.trusted.into_iter();
            all.extend(found.filter_map(|one| by_kerberos(account, one)));
        }
        if all.len() > VOUCHED_MAX {
            cut = true;
            all.truncate(VOUCHED_MAX);
            break;
        }
    }
    gaps.extend(not_known.told("those for whom the host vouches"));
    (all, cut)
}

/// Whether any sshd has a setting on, for whomever it is. What one says whose configuration is not
/// known is told with its key files.
fn sets(reading: &Reading<'_>, keyword: Keyword) -> bool {
    let configs = reading
        .sshds
        .iter()
        .filter_map(|sshd| sshd.config.as_ref().ok());
    let mut words = configs.flat_map(|config| config.words_of(keyword));
    words.any(|word| word.value.eq_ignore_ascii_case(b"yes"))
}

/// A user of this host, whose word is taken for who they are.
fn by_this_host(
    account: &Account,
    one: Trusted,
    this_host: &BTreeSet<Vec<u8>>,
    gaps: &mut Gaps,
) -> Option<Vouched> {
    if one.verdict.state == PathState::Closed {
        return None;
    }
    let source = one.source();
    let user = match (&one.entry.host, &one.entry.user) {
        // As themselves.
        (_, None) => return None,
        (Who::Named(host), _) if !this_host.contains(&host.to_ascii_lowercase()) => return None,
        (Who::Named(_), Some(Who::Named(user))) => user,
        (Who::NetGroup(_), _) | (_, Some(Who::NetGroup(_))) => {
            gaps.add(format!("{}: {}", source.file, one.verdict.reason));
            return None;
        }
    };
    Some(Vouched {
        from: account_name(user)?,
        to: account.name.clone(),
        means: Means::HostBased,
        sure: sure(one.verdict.state, &one.verdict.reason),
        reason: format!("this host is trusted: {}", one.verdict.reason),
        source: Some(source),
    })
}

/// The account whose namesake Kerberos lets in as another.
fn by_kerberos(account: &Account, one: Principal) -> Option<Vouched> {
    if one.verdict.state == PathState::Closed {
        return None;
    }
    Some(Vouched {
        from: account_name(local_name(&one.name)?)?,
        to: account.name.clone(),
        means: Means::Kerberos,
        sure: sure(one.verdict.state, &one.verdict.reason),
        reason: one.verdict.reason,
        source: Some(Source {
            file: printable_path(&one.file),
            line: Some(one.line),
        }),
    })
}

/// Whether the host signs for its users (ssh-keysign(8)): it has to be enabled for all hosts.
fn signs_for_users(root: &HostRoot, gaps: &mut Gaps) -> bool {
    let directory = Path::new("/etc/ssh/ssh_config.d");
    let mut files = vec![PathBuf::from("/etc/ssh/ssh_config")];
    match root.read_dir(directory, NAMES_MAX) {
        Ok(names) => files.extend(names.into_iter().map(|name| directory.join(name))),
        Err(error) if error.is_missing() => {}
        Err(error) => gaps.add(error.to_string()),
    }
    files.iter().any(|path| {
        let text = text_of(root, path, gaps).to_ascii_lowercase();
        text.split(|byte| *byte == b'\n').any(|line| {
            let mut words = line
                .split(|byte| byte.is_ascii_whitespace() || *byte == b'=' || *byte == b'"')
                .filter(|word| !word.is_empty());
            words.next() == Some(b"enablesshkeysign")
                && matches!(words.next(), Some(b"yes" | b"true"))
        })
    })
}

/// Names and addresses by which the host reaches itself.
fn names_of_this_host(root: &HostRoot, gaps: &mut Gaps) -> BTreeSet<Vec<u8>> {
    let mut names: BTreeSet<Vec<u8>> = [&b"localhost"[..], b"127.0.0.1", b"::1"]
        .iter()
        .map(|name| name.to_vec())
        .collect();
    match crate::config::host_name(root.path()) {
        Some(name) => {
            names.insert(name.as_str().to_ascii_lowercase().into_bytes());
        }
        None => gaps.add("the name of this host is not known"),
    }
    let hosts = text_of(root, Path::new("/etc/hosts"), gaps).to_ascii_lowercase();
    for line in hosts.split(|byte| *byte == b'\n') {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words: Vec<&[u8]> = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty())
            .collect();
        if words.iter().any(|word| names.contains(*word)) {
            names.extend(words.iter().map(|word| word.to_vec()));
        }
    }
    names
}

/// What a file says; nothing where it is missing. One that cannot be read is a gap.
fn text_of(root: &HostRoot, path: &Path, gaps: &mut Gaps) -> Vec<u8> {
    match root.read(path, FILE_BYTES_MAX) {
        Ok(file) => file.bytes,
        Err(error) if error.is_missing() => Vec::new(),
        Err(error) => {
            gaps.add(error.to_string());
            Vec::new()
        }
    }
}
