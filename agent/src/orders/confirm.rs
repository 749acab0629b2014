//! Asking the host's own deciders whether they see what we see.
//!
//! An outcome rests on our own reading. These are second opinions, by other code, given a moment
//! later: the name service (which may cache), sshd's and sudo's own reading of their configuration,
//! and the PAM account stack. A disagreement does not change the outcome, it is recorded beside it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use rescind_protocol::evidence::Confirmation;
use rescind_protocol::name::{AccountName, GroupName, OrderId};

use crate::host::account::Account;
use crate::host::expiry::DISABLED_DAY;
use crate::paths::key_files;
use crate::sshd::effective::Origin;
use crate::sshd::printable::printable;
use crate::sys::command::{NoAnswer, ask};

const DEADLINE: Duration = Duration::from_secs(5);

/// Whether what an order took is gone, to be asked of the host's own tools.
#[derive(Debug)]
pub struct Question {
    /// The order that took it.
    pub order: OrderId,
    pub(super) account: Account,
    pub(super) what: What,
}

/// What to ask.
#[derive(Debug)]
pub(super) enum What {
    /// Whether the account is closed, of which these are the key files in force.
    Closed(Vec<PathBuf>),
    /// Whether it is not in a group.
    NotIn(GroupName),
    /// Whether sudo lets it do nothing.
    NoSudo,
}

impl Question {
    /// Asks one tool after the other. This takes a second or more: su(1) is slow to say no.
    pub fn ask(&self) -> Vec<Confirmation> {
        let name = &self.account.name;
        match &self.what {
            What::Closed(key_files) => vec![
                name_service(name),
                sshd(&self.account, key_files),
                account_stack(name),
            ],
            What::NotIn(group) => vec![groups(name, group)],
            What::NoSudo => vec![sudo(name)],
        }
    }
}

/// `getent shadow`: what programs of this host get to see, caches included.
fn name_service(account: &AccountName) -> Confirmation {
    let arguments = ["shadow", "--", account.as_str()];
    opinion("getent", &arguments, |status, stdout| {
        let line = stdout.split(|byte| *byte == b'\n').next()?;
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        if status != Some(0) || fields.len() < 8 {
            return Some((false, "no shadow entry".into()));
        }
        let locked = !matches!(fields[1].first(), None | Some(b'$' | b'_' | b'.' | b'/'))
            && !fields[1][0].is_ascii_alphanumeric();
        let expired = fields[7] == DISABLED_DAY.to_string().as_bytes();
        let word = |yes, this: &str, that: &str| if yes { this } else { that }.to_owned();
        let answer = format!(
            "{}, {}",
            word(locked, "locked", "not locked"),
            word(expired, "expired", "not expired")
        );
        Some((locked && expired, answer))
    })
}

/// `sshd -T`: the key files sshd itself would read, all of which were looked at.
fn sshd(account: &Account, key_files: &[PathBuf]) -> Confirmation {
    let connection = format!("user={},host=localhost,addr=127.0.0.1", account.name);
    opinion("sshd", &["-T", "-C", &connection], |status, stdout| {
        if status != Some(0) {
            return None;
        }
        let lines = stdout.split(|byte| *byte == b'\n');
        let line = lines
            .filter_map(|line| line.strip_prefix(b"authorizedkeysfile "))
            .next()?;
        let answer = format!("authorizedkeysfile {}", printable(line));
        Some((names_only(line, account, key_files), answer))
    })
}

/// Whether all files that `sshd -T` names, with their tokens as they stand, are among these.
fn names_only(line: &[u8], account: &Account, key_files: &[PathBuf]) -> bool {
    line.split(|byte| *byte == b' ').all(|template| {
        match key_files::expand(account, template, &Origin::Default) {
            Ok(Some(file)) => key_files.contains(&file.path),
            // No file, or a login that sshd drops.
            Ok(None) | Err(_) => true,
        }
    })
}

/// `su` from root: PAM asks root for no password and the account stack whether the account may.
fn account_stack(account: &AccountName) -> Confirmation {
    let arguments = ["-s", "/bin/true", "--", account.as_str()];
    opinion("su", &arguments, |status, _| {
        let refused = status != Some(0);
        let answer = if refused { "refused" } else { "let in" };
        Some((refused, answer.into()))
    })
}

/// `id -nG`: the groups that a login of the account would get.
fn groups(account: &AccountName, group: &GroupName) -> Confirmation {
    let arguments = ["-nG", "--", account.as_str()];
    opinion("id", &arguments, |status, stdout| {
        if status != Some(0) {
            return None;
        }
        let mut names = stdout.trim_ascii_end().split(|byte| *byte == b' ');
        let is_in = names.any(|name| name == group.as_str().as_bytes());
        let answer = if is_in { "a member" } else { "no member" };
        Some((!is_in, format!("{answer} of {group}")))
    })
}

/// `sudo -l -U`: the rules for the account in their order, the last of which decides.
fn sudo(account: &AccountName) -> Confirmation {
    let arguments = ["-l", "-U", account.as_str()];
    opinion("sudo", &arguments, |_, stdout| {
        let text = String::from_utf8_lossy(stdout);
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        let denied = last == "(ALL : ALL) !ALL" || last.contains(" is not allowed to run sudo on ");
        let answer = match denied {
            true => "may do nothing",
            false => "may do something",
        };
        Some((denied, answer.into()))
    })
}

/// Asks one tool; `read` says whether it agrees and what it said, or that it cannot be told.
fn opinion(
    program: &str,
    arguments: &[&str],
    read: impl FnOnce(Option<i32>, &[u8]) -> Option<(bool, String)>,
) -> Confirmation {
    let tool = format!("{program} {}", arguments.join(" "));
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let (agrees, answer) = match ask(program, &arguments, DEADLINE) {
        Ok(answer) => match read(answer.status.code(), &answer.stdout) {
            Some((agrees, said)) => (Some(agrees), said),
            None => (None, format!("no usable answer ({})", answer.status)),
        },
        Err(error @ (NoAnswer::Missing(_) | NoAnswer::Late { .. } | NoAnswer::Io { .. })) => {
            (None, error.to_string())
        }
    };
    Confirmation {
        tool,
        agrees,
        answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    #[test]
    fn what_sshd_names_is_compared_with_its_tokens_expanded() {
        let looked_at = [
            "/home/alice/.ssh/authorized_keys",
            "/srv/keys/alice",
            "/srv/by-uid/1000",
        ]
        .map(PathBuf::from);
        for (line, same) in [
            (".ssh/authorized_keys", true),
            ("/srv/keys/%u %h/.ssh/authorized_keys", true),
            ("/srv/by-uid/%U none", true),
            ("none", true),
            (".ssh/authorized_keys .ssh/authorized_keys2", false),
            ("/srv/keys/%U", false),
            // Not the end of a path that was looked at.
            ("authorized_keys", false),
        ] {
            assert_eq!(
                names_only(line.as_bytes(), &alice(), &looked_at),
                same,
                "{line}"
            );
        }
    }
}
