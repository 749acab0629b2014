//! What units of systemd(1) run and read.

use std::os::unix::ffi::OsStrExt;

use rescind_protocol::path::Source;

use super::runs::{Collecting, Told};
use crate::deferred::programs::Named;
use crate::deferred::unit_file::Uses;
use crate::deferred::unit_set::Unit;
use crate::escalation::ground::FILE;
use crate::escalation::read_by_root::PATH;
use crate::escalation::steps::Sure;
use crate::host::account::Account;
use crate::sshd::printable::{printable, printable_path};

impl Collecting<'_> {
    /// Programs and files of units, and the units' files themselves.
    pub(super) fn units(&mut self, superuser: &Account, units: &[Unit]) {
        for unit in units {
            let name = printable(unit.name.as_bytes());
            let (sure, when) = match &unit.started {
                Some(started) if started.by_timer => (Sure::Yes, ""),
                Some(_) => (Sure::Likely, " when it starts the next time"),
                None => (Sure::Likely, " when root starts it"),
            };
            let user = match (&unit.settings.user, &unit.settings.dynamic_user) {
                (Some(user), _) => unit
                    .name
                    .expand(&user.value)
                    .and_then(|user| self.accounts.by_name_or_uid(&user)),
                (None, Some(_)) => None,
                (None, None) => Some(superuser.clone()),
            };
            for used in &unit.settings.uses {
                let told = |what: String, sure| Told {
                    what,
                    sure,
                    source: unit.files.get(used.file).map(|file| Source {
                        file: printable_path(file),
                        line: Some(used.line),
                    }),
                };
                match &used.what {
                    Uses::Programs(named, as_root) => {
                        let to = match as_root {
                            true => Some(superuser),
                            false => user.as_ref(),
                        };
                        let Some(to) = to else { continue };
                        let named = named.iter().filter_map(|one| expanded(unit, one));
                        let named: Vec<Named> = named.collect();
                        let what = format!("and {name} runs it as {}{when}", to.name);
                        self.named(to, &named, PATH, &told(what, sure));
                    }
                    Uses::Environment(file) => {
                        let Some(to) = user.as_ref() else { continue };
                        let path = unit.name.expand(file).filter(|path| !path.contains(&b'*'));
                        let to_name = &to.name;
                        let what =
                            format!("and {name} takes its environment from it as {to_name}{when}");
                        if let Some(path) = path {
                            self.add(to, path, FILE, &told(what, Sure::Likely));
                        }
                    }
                }
            }
            let what = format!("and systemd does as root what {name} says there{when}");
            let told = Told::new(&what, Sure::Likely);
            for file in &unit.files {
                let path = file.as_os_str().as_bytes().to_vec();
                self.add(superuser, path, FILE, &told);
            }
        }
    }
}

fn expanded(unit: &Unit, named: &Named) -> Option<Named> {
    Some(match named {
        Named::Path(path) => Named::Path(unit.name.expand(path)?),
        Named::AllIn(path) => Named::AllIn(unit.name.expand(path)?),
        other => other.clone(),
    })
}
