//! What runs as an account without a login: services, by the units or programs they are.
//!
//! Process ids and how many there are of each change all the time; that a service runs does not.

use std::collections::{BTreeMap, BTreeSet};

use super::moment::Moment;
use super::table::{Process, Table};
use crate::sys::process;

/// What belongs to no unit and has not run for so long may be over before anybody reads of it.
const SETTLED_S: u64 = 60;
/// Clock ticks in a second, in what proc(5) shows to users: `USER_HZ` of every Linux.
const TICKS_PER_S: u64 = 100;
/// More names of one uid than these are left out.
const NAMES_MAX: usize = 256;

/// A service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Its unit; its name in proc(5) where it belongs to none.
    pub name: Vec<u8>,
    /// It runs in a container, where its uid may be somebody else's number.
    pub contained: bool,
}

/// The services of the host by the uids they run as; root's are left out. `boot_s` is the time
/// since the host was booted. What could not be read of a process is a gap.
pub fn services(moment: &Moment<'_>, boot_s: u64) -> (BTreeMap<u32, Vec<Service>>, Vec<String>) {
    let table = moment.table();
    let mut found: BTreeMap<u32, BTreeSet<Service>> = BTreeMap::new();
    let mut gaps = Vec::new();
    let begun_by = boot_s.saturating_sub(SETTLED_S) * TICKS_PER_S;
    for process in candidates(table) {
        let group = match moment.proc().control_group(process.pid) {
            Ok(group) => group,
            Err(gap) => {
                gaps.push(gap.to_string());
                continue;
            }
        };
        let name = match home_of(group.as_deref()) {
            HomeOf::Login => continue,
            HomeOf::Unit(unit) => unit.to_vec(),
            HomeOf::Nothing if process.start_time > begun_by => continue,
            // Without systemd: who has logged in to start it is still known.
            HomeOf::Nothing => match moment.proc().login_uid(process.pid) {
                Ok(None) => process.comm.clone(),
                Ok(Some(_)) => continue,
                Err(gap) => {
                    gaps.push(gap.to_string());
                    continue;
                }
            },
        };
        let of_uid = found.entry(process.uids[0]).or_default();
        if of_uid.len() < NAMES_MAX {
            of_uid.insert(Service {
                name,
                contained: process.nested,
            });
        }
    }
    let found = found.into_iter();
    let found = found.map(|(uid, services)| (uid, services.into_iter().collect()));
    (found.collect(), gaps)
}

fn candidates(table: &Table) -> impl Iterator<Item = &Process> {
    let own = process::own_pid();
    table.processes.iter().filter(move |process| {
        process.is_alive()
            && !process.kernel
            && process.uids[0] != 0
            && !table.descends(process.pid, own)
    })
}

/// To what a control group belongs.
#[derive(Debug, PartialEq, Eq)]
enum HomeOf<'g> {
    /// A login, or the manager of a user.
    Login,
    /// A service of the host.
    Unit(&'g [u8]),
    /// Neither can be told.
    Nothing,
}

/// Slices of systemd.special(7): people's are below `user.slice`.
fn home_of(group: Option<&[u8]>) -> HomeOf<'_> {
    let parts = || group.unwrap_or_default().split(|byte| *byte == b'/');
    if parts().any(|part| part == b"user.slice") {
        return HomeOf::Login;
    }
    let is_unit = |part: &&[u8]| {
        let kinds: [&[u8]; 2] = [b".service", b".scope"];
        kinds.iter().any(|kind| part.ends_with(kind))
    };
    parts().find(is_unit).map_or(HomeOf::Nothing, HomeOf::Unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_from_logins_by_their_control_groups() {
        for (group, want) in [
            (
                "/system.slice/nginx.service",
                HomeOf::Unit(b"nginx.service"),
            ),
            (
                "/system.slice/system-postgresql.slice/postgresql@15-main.service/x",
                HomeOf::Unit(b"postgresql@15-main.service"),
            ),
            (
                "/system.slice/docker-12ab.scope",
                HomeOf::Unit(b"docker-12ab.scope"),
            ),
            ("/user.slice/user-1000.slice/session-3.scope", HomeOf::Login),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
                HomeOf::Login,
            ),
            ("/", HomeOf::Nothing),
            ("", HomeOf::Nothing),
        ] {
            assert_eq!(home_of(Some(group.as_bytes())), want, "{group}");
        }
        assert_eq!(home_of(None), HomeOf::Nothing);
    }
}
