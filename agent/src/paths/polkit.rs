//! What polkit(8) grants an account by name or by group.

use std::path::PathBuf;

use rescind_protocol::path::{AccessPath, Mechanism};

use super::account_state::{self, Judge};
use super::polkit_files::{KeyFile, Section, first_naming};
use super::rows::Rows;
use super::verdict::Checks;
use crate::host::account::Account;
use crate::sshd::printable::printable;

/// What a host has of polkit.
#[derive(Debug, Default)]
pub struct PolkitFacts {
    /// Rules, which are programs and are not run here.
    pub rules: Vec<(PathBuf, Vec<u8>)>,
    /// Key files of the local authority.
    pub authorities: Vec<(PathBuf, KeyFile)>,
    /// Files that tell the local authority who administrators are; the last one that does counts.
    pub administrators: Vec<(PathBuf, KeyFile)>,
    /// What could not be read, and why.
    pub gaps: Vec<(PathBuf, String)>,
}

/// Adds what is granted to the account, or may be.
///
/// polkit is asked about a process of the account, which who is expired does not get.
pub fn add(account: &Account, facts: &PolkitFacts, today: i64, paths: &mut Vec<AccessPath>) {
    let mut rows = Rows::new(account, Mechanism::Polkit);
    let mut gate = Checks::default();
    account_state::check(account, Judge::Pam, today, &mut gate);
    let unknown = |why: String| {
        let mut checks = gate.clone();
        checks.unknown(why);
        checks.verdict("")
    };
    let groups = account.groups.iter().map(|group| group.name.as_slice());
    let names = std::iter::once(account.name.as_str().as_bytes()).chain(groups);
    for (path, rule) in &facts.rules {
        if let Some(line) = first_naming(rule, names.clone()) {
            let why = "a rule of polkit names it or a group of it; what it grants is not known, \
                       rules are programs";
            rows.add(unknown(why.into()), path, Some(line));
        }
    }
    for (path, file) in &facts.authorities {
        for section in file.sections() {
            if section.list(b"Identity").any(|who| is(who, account))
                && let Some(open) = granted(&section)
            {
                rows.add(gate.clone().verdict(&open), path, Some(section.line));
            }
        }
    }
    let mut administrators = facts.administrators.iter().rev().flat_map(|(path, file)| {
        let sections = file.sections().into_iter();
        let naming = sections.filter(|section| section.value(b"AdminIdentities").is_some());
        naming.map(move |section| (path, section))
    });
    if let Some((path, section)) = administrators.next()
        && section.list(b"AdminIdentities").any(|who| is(who, account))
    {
        let mut checks = gate.clone();
        account_state::check_password(account, &mut checks);
        let open =
            "it is an administrator to polkit: its own password lets it act as root (pkexec)";
        rows.add(checks.verdict(open), path, Some(section.line));
    }
    for (path, why) in &facts.gaps {
        let verdict = unknown(format!("what polkit grants is not known: {why}"));
        rows.add(verdict, path, None);
    }
    rows.finish(paths);
}

/// Whether an identity of polkit's is the account; `*` may stand in it.
fn is(identity: &[u8], account: &Account) -> bool {
    if let Some(user) = identity.strip_prefix(b"unix-user:") {
        return glob(user, account.name.as_str().as_bytes()) || is_number(user, account.uid);
    }
    if let Some(group) = identity.strip_prefix(b"unix-group:") {
        let mut groups = account.groups.iter();
        return groups.any(|g| glob(group, &g.name) || is_number(group, g.gid));
    }
    // A netgroup may hold it.
    identity.starts_with(b"unix-netgroup:") || identity == b"*" || identity == b"default"
}

fn is_number(text: &[u8], id: u32) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse() == Ok(id))
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    crate::sshd::pattern::matches(text, pattern)
}

/// What a section grants without an administrator's password, in words.
fn granted(section: &Section<'_>) -> Option<String> {
    let results = [&b"ResultAny"[..], b"ResultInactive", b"ResultActive"];
    let values: Vec<&[u8]> = results
        .iter()
        .filter_map(|key| section.value(key))
        .collect();
    let own = values.iter().any(|value| value.starts_with(b"auth_self"));
    let free = values.iter().any(|value| *value == b"yes");
    let actions: Vec<String> = section.list(b"Action").map(printable).collect();
    let how = match (free, own) {
        (true, _) => "without a password",
        (false, true) => "with its own password",
        (false, false) => return None,
    };
    Some(format!("polkit lets it do {} {how}", actions.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    fn facts(rule: &str, authority: &str, administrators: &[&str]) -> PolkitFacts {
        let file = |(at, text): (usize, &&str)| {
            let path = PathBuf::from(format!("/c{at}"));
            (path, KeyFile::parse(text.as_bytes().to_vec()))
        };
        PolkitFacts {
            rules: vec![("/r".into(), rule.into())],
            authorities: vec![("/a".into(), KeyFile::parse(authority.into()))],
            administrators: administrators.iter().enumerate().map(file).collect(),
            gaps: Vec::new(),
        }
    }

    fn told(account: &Account, facts: &PolkitFacts) -> Vec<String> {
        let mut paths = Vec::new();
        add(account, facts, 20_100, &mut paths);
        let show = |path: AccessPath| {
            let source = path.source.unwrap();
            let line = source.line.unwrap_or_default();
            format!("{:?} {}:{line} {}", path.state, source.file, path.reason)
        };
        paths.into_iter().map(show).collect()
    }

    #[test]
    fn what_is_granted_and_what_may_be() {
        let mut all = facts(
            "polkit.addRule(function(action, subject) {\n if (subject.isInGroup('staff')) return polkit.Result.YES;\n});",
            "[A]\nIdentity=unix-user:al*\nAction=org.x.*;org.y\nResultAny=yes\n\
             [B]\nIdentity=unix-group:staff\nAction=z\nResultActive=auth_self_keep\n\
             [C]\nIdentity=unix-user:alice\nAction=z\nResultAny=auth_admin\n\
             [D]\nIdentity=unix-user:bob\nAction=z\nResultAny=yes\n",
            &[
                "[Configuration]\nAdminIdentities=unix-group:staff\n",
                "[Configuration]\n",
            ],
        );
        assert_eq!(
            told(&alice(), &all),
            [
                "Open /a:1 polkit lets it do org.x.*, org.y without a password",
                "Open /a:5 polkit lets it do z with its own password",
                "Open /c0:1 it is an administrator to polkit: its own password lets it act as root (pkexec)",
                "Unknown /r:2 a rule of polkit names it or a group of it; what it grants is not known, rules are programs",
            ]
        );
        let expired = Account {
            expire_day: Some(1),
            ..alice()
        };
        assert!(
            told(&expired, &all)
                .iter()
                .all(|path| path.starts_with("Closed"))
        );
        all = facts(
            "",
            "",
            &[
                "[C]\nAdminIdentities=unix-user:alice",
                "[C]\nAdminIdentities=unix-user:0",
            ],
        );
        assert_eq!(told(&alice(), &all), [""; 0]);
    }
}
