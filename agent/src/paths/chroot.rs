//! Whether sshd goes on where `ChrootDirectory` sends it (`safely_chroot` of session.c).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::facts::KeyFiles;
use super::verdict::{Checks, Verdict};
use crate::host::account::Account;
use crate::sshd::effective::Effective;
use crate::sshd::include::ReadProblem;
use crate::sshd::printable::printable;
use crate::sshd::release::Release;
use crate::sshd::tokens;
use rescind_protocol::path::PathState;

/// Adds what the directory that is in force does to logins of an account.
pub fn check(
    account: &Account,
    settings: &Effective,
    release: &Release,
    files: &mut dyn KeyFiles,
    checks: &mut Checks,
) {
    let setting = &settings.chroot_directory;
    let Some(template) = setting.value.as_deref() else {
        return;
    };
    let Some(Verdict { state, reason }) = refusal(account, template, files) else {
        return;
    };
    let told = format!(
        "ChrootDirectory {} ({}): {reason}",
        printable(template),
        setting.origin
    );
    if state == PathState::Unknown {
        checks.unknown(told);
    } else if account.uid == 0 && !release.at_least(9, 8) {
        // Until then the process that serves root's connection stays outside; only its commands are put there.
        checks.note(format!("{told}, but forwarding"));
    } else {
        checks.closed(told);
    }
}

/// Why sshd hangs up, if it does.
fn refusal(account: &Account, template: &[u8], files: &mut dyn KeyFiles) -> Option<Verdict> {
    let path = match expand(account, template) {
        Ok(path) => path,
        Err(verdict) => return Some(verdict),
    };
    if !path.starts_with(b"/") {
        return Some(Verdict::closed("it does not begin at the root"));
    }
    // Every directory on the way, as it is written, and the whole.
    let ends = (1..path.len()).filter(|end| path[end - 1] == b'/');
    for end in ends.chain([path.len()]) {
        let component = &path[..end];
        let shown = printable(component);
        match files.look(Path::new(OsStr::from_bytes(component))) {
            Ok(found) if found.uid != 0 || found.mode & 0o022 != 0 => {
                return Some(Verdict::closed(format!(
                    "sshd hangs up because {shown} is not root's alone to change"
                )));
            }
            Ok(found) if !found.is_directory => {
                return Some(Verdict::closed(format!(
                    "sshd hangs up because {shown} is no directory"
                )));
            }
            Ok(_) => {}
            Err(ReadProblem::Missing | ReadProblem::NotRegular | ReadProblem::TooManyLinks) => {
                return Some(Verdict::closed(format!(
                    "sshd hangs up because there is no {shown}"
                )));
            }
            Err(problem) => {
                return Some(Verdict::unknown(format!(
                    "{shown} could not be looked at: {problem}"
                )));
            }
        }
    }
    None
}

fn expand(account: &Account, template: &[u8]) -> Result<Vec<u8>, Verdict> {
    let home = account.home.as_slice();
    // `tilde_expand_filename`
    let template = match template {
        [b'~'] => home.to_vec(),
        [b'~', b'/', rest @ ..] => {
            let slash: &[u8] = if home.ends_with(b"/") { b"" } else { b"/" };
            [home, slash, rest].concat()
        }
        [b'~', ..] => return Err(Verdict::unknown("whose home that is was not looked up")),
        template => template.to_vec(),
    };
    let name = account.name.as_str().as_bytes();
    tokens::percent_expand(&template, name, account.uid, home)
        .map_err(|bad| Verdict::closed(bad.to_string()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::paths::account_state::tests::alice;
    use crate::paths::facts::{Found, KeyFileFacts, ReadAs};

    struct Directories(BTreeMap<&'static str, (u32, u32, bool)>);

    impl KeyFiles for Directories {
        fn read(&mut self, _: &Account, _: &Path, _: ReadAs) -> Result<KeyFileFacts, ReadProblem> {
            Err(ReadProblem::Missing)
        }

        fn look(&mut self, path: &Path) -> Result<Found, ReadProblem> {
            let path = path.to_str().unwrap().replace("//", "/");
            let found = self.0.get(path.trim_end_matches('/'));
            let (uid, mode, is_directory) = found.copied().ok_or(ReadProblem::Missing)?;
            Ok(Found {
                uid,
                mode,
                is_directory,
            })
        }
    }

    #[test]
    fn every_directory_on_the_way_must_be_roots() {
        let mut files = Directories(BTreeMap::from([
            ("", (0, 0o755, true)),
            ("/srv", (0, 0o755, true)),
            ("/srv/alice", (0, 0o700, true)),
            ("/srv/group", (0, 0o775, true)),
            ("/srv/file", (0, 0o644, false)),
            ("/home", (0, 0o755, true)),
            ("/home/alice", (1000, 0o755, true)),
        ]));
        for (template, reason) in [
            ("/srv/%u", None),
            ("/srv//alice/", None),
            ("/srv/%x", Some("unknown % token")),
            ("srv", Some("begin at the root")),
            ("~", Some("/home/alice is not root's")),
            ("%h/sub", Some("/home/alice/ is not root's")),
            ("/srv/group", Some("/srv/group is not root's")),
            ("/srv/file", Some("is no directory")),
            ("/srv/nowhere/x", Some("no /srv/nowhere/")),
        ] {
            let refusal = refusal(&alice(), template.as_bytes(), &mut files);
            match (reason, refusal) {
                (None, None) => {}
                (Some(part), Some(verdict)) if verdict.reason.contains(part) => {}
                (_, other) => panic!("{template}: {other:?}"),
            }
        }
    }
}
