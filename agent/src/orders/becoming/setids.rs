//! Programs that act as their owner, in their group, or with capabilities: looked for where programs
//! lie, and where users leave theirs.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::gaps::Gaps;
use super::ground::Ground;
use crate::escalation::setid::{Makes, STOCK, SetId};
use crate::escalation::steps::Sure;
use crate::home::{FileKind, Ids, List, Why};
use crate::host::account::Account;
use crate::host::accounts::Accounts;
use crate::host::root::HostRoot;
use crate::sshd::printable::printable;
use crate::sudoers::escalation::{of_program, runs_anything};

/// Where the host's programs lie.
const DIRECTORIES: [&str; 10] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/lib",
    "/usr/games",
    "/bin",
    "/sbin",
    "/opt",
];
/// Where users can leave some.
const OTHERS: [&str; 5] = ["/tmp", "/var/tmp", "/dev/shm", "/srv", "/home"];
/// Names in one directory.
const NAMES_MAX: usize = 16_384;
const OTHERS_NAMES_MAX: u32 = 4_096;
/// Homes that are looked into.
const HOMES_MAX: usize = 500;
/// Programs that are told.
const FOUND_MAX: usize = 1_000;

/// Looks for them, and says whether there are more; `nosuid` are the mount points where they have no
/// effect.
pub fn collect(
    root: &HostRoot,
    accounts: &Accounts,
    ground: &Ground,
    nosuid: &[Vec<u8>],
    gaps: &mut Vec<String>,
) -> (Vec<SetId>, bool) {
    let mut looking = Looking {
        accounts,
        ground,
        nosuid,
        found: Vec::new(),
        cut: false,
        gaps: Gaps::default(),
    };
    match accounts.group() {
        Err(error) if !error.is_missing() => looking.gaps.add(error.to_string()),
        _ => {}
    }
    let mut seen = Vec::new();
    for directory in DIRECTORIES.map(Path::new) {
        let listing = match root.list(directory, NAMES_MAX) {
            Ok(listing) => listing,
            Err(error) if error.is_missing() => continue,
            Err(error) => {
                looking.gaps.add(error.to_string());
                continue;
            }
        };
        // `/bin` is `/usr/bin` on most hosts.
        if seen.contains(&listing.path) {
            continue;
        }
        for entry in &listing.entries {
            let path = listing.path.join(&entry.name);
            let path = path.as_os_str().as_bytes();
            if entry.stat.kind == FileKind::Regular && entry.stat.mode & 0o111 != 0 {
                let capabilities = root.capabilities(Path::new(std::ffi::OsStr::from_bytes(path)));
                let capabilities = match capabilities {
                    Ok(capabilities) => capabilities,
                    // Gone since it was listed.
                    Err(error) if error.is_missing() => continue,
                    // Its mode tells the rest.
                    Err(error) => {
                        looking.gaps.add(error.to_string());
                        Vec::new()
                    }
                };
                looking.look_at(&Program {
                    path,
                    uid: entry.stat.uid,
                    gid: entry.stat.gid,
                    mode: entry.stat.mode,
                    capabilities,
                });
            }
        }
        seen.push(listing.path);
    }
    let homes = accounts.iter().filter(|account| account.home.len() > 1);
    let mut homes: Vec<Vec<u8>> = homes.map(|account| account.home).collect();
    homes.sort_unstable();
    homes.dedup();
    looking.cut |= homes.len() > HOMES_MAX;
    homes.truncate(HOMES_MAX);
    let mut others: Vec<Vec<u8>> = OTHERS.map(|path| path.as_bytes().to_vec()).into();
    others.extend(homes.iter().map(|home| [home, &b"/bin"[..]].concat()));
    others.extend(homes);
    others.sort_unstable();
    others.dedup();
    for directory in others {
        looking.others(&directory);
    }
    gaps.extend(looking.gaps.told("programs that act as their owner"));
    (looking.found, looking.cut)
}

/// The setuid programs of all accounts but root's by their owners, where programs lie and where
/// anybody leaves some: with them others act as the owner.
pub fn by_owner(
    root: &HostRoot,
    ground: &Ground,
    gaps: &mut Vec<String>,
) -> BTreeMap<u32, Vec<Vec<u8>>> {
    let mut found: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    let mut seen = Vec::new();
    for directory in DIRECTORIES.map(Path::new) {
        match root.list(directory, NAMES_MAX) {
            Ok(listing) if seen.contains(&listing.path) => {}
            Ok(listing) => {
                for entry in &listing.entries {
                    let stat = &entry.stat;
                    if stat.uid != 0 && makes_owner(stat.kind, stat.mode) {
                        let path = listing.path.join(&entry.name);
                        let path = path.as_os_str().as_bytes().to_vec();
                        found.entry(stat.uid).or_default().push(path);
                    }
                }
                seen.push(listing.path);
            }
            Err(error) if error.is_missing() => {}
            Err(error) => gaps.push(error.to_string()),
        }
    }
    for directory in OTHERS {
        for (uid, path) in left_in(directory.as_bytes(), ground) {
            found.entry(uid).or_default().push(path);
        }
    }
    found
}

/// Those that an account has in its home.
pub fn in_home(account: &Account, ground: &Ground) -> Vec<Vec<u8>> {
    if account.home.len() <= 1 {
        return Vec::new();
    }
    let directories = [[&account.home, &b"/bin"[..]].concat(), account.home.clone()];
    let all = directories.iter().flat_map(|path| left_in(path, ground));
    let own = all.filter(|(uid, _)| *uid == account.uid);
    own.map(|(_, path)| path).collect()
}

fn left_in(directory: &[u8], ground: &Ground) -> Vec<(u32, Vec<u8>)> {
    let list = List {
        owner: Ids::ROOT,
        path: directory.to_vec(),
        max_entries: OTHERS_NAMES_MAX,
    };
    // Most of them are not there; those of people may not be for root to see, and are told elsewhere.
    let listing = ground.homes().list(&list, super::ground::PATIENCE);
    let entries = listing.into_iter().flat_map(|listing| listing.entries);
    let setuid =
        entries.filter(|entry| entry.facts.uid != 0 && makes_owner(entry.kind, entry.facts.mode));
    let path = |name: &[u8]| [directory, b"/", name].concat();
    setuid
        .map(|entry| (entry.facts.uid, path(&entry.name)))
        .collect()
}

/// Without anybody's right to run it but its owner's it makes nobody else its owner.
fn makes_owner(kind: FileKind, mode: u32) -> bool {
    kind == FileKind::Regular && mode & 0o4000 != 0 && mode & 0o011 != 0
}

struct Program<'p> {
    path: &'p [u8],
    uid: u32,
    gid: u32,
    mode: u32,
    /// Those that make root.
    capabilities: Vec<&'static str>,
}

struct Looking<'l> {
    accounts: &'l Accounts,
    ground: &'l Ground,
    nosuid: &'l [Vec<u8>],
    found: Vec<SetId>,
    /// There are more than were looked at.
    cut: bool,
    gaps: Gaps,
}

impl Looking<'_> {
    /// A directory that is not root's alone: looked at in the child, as root. Capabilities are not
    /// asked for there: only root gives them.
    fn others(&mut self, directory: &[u8]) {
        let list = List {
            owner: Ids::ROOT,
            path: directory.to_vec(),
            max_entries: OTHERS_NAMES_MAX,
        };
        let listing = self.ground.homes().list(&list, super::ground::PATIENCE);
        let listing = match listing {
            Ok(listing) => listing,
            // Most of them are not there.
            Err(error) if error.why == Why::Missing => return,
            Err(error) => {
                self.gaps.add(error.to_string());
                return;
            }
        };
        if listing.more {
            let shown = printable(directory);
            self.gaps
                .add(format!("{shown} holds more than {OTHERS_NAMES_MAX} names"));
        }
        for entry in listing.entries {
            if entry.kind == FileKind::Regular {
                let path = [directory, b"/", &entry.name].concat();
                self.look_at(&Program {
                    path: &path,
                    uid: entry.facts.uid,
                    gid: entry.facts.gid,
                    mode: entry.facts.mode,
                    capabilities: Vec::new(),
                });
            }
        }
    }

    fn look_at(&mut self, program: &Program<'_>) {
        let name = program.path.rsplit(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default();
        let is_stock = STOCK.iter().any(|stock| stock.as_bytes() == name);
        let setuid = program.mode & 0o4000 != 0;
        // Without the group's right to run it, the bit means something else.
        let setgid = program.mode & 0o2010 == 0o2010;
        if is_stock || !(setuid || setgid || !program.capabilities.is_empty()) {
            return;
        }
        if self.has_no_effect(program.path) {
            return;
        }
        if self.found.len() >= FOUND_MAX {
            self.cut = true;
            return;
        }
        // Where there is none, it is gone since it was listed.
        let Some(Some(way)) = self.gaps.known(self.ground.look(program.path)) else {
            return;
        };
        let (knows_how, sure) = match of_program(name) {
            Some(_) if runs_anything(name) => ("starts what it is told", Sure::Likely),
            Some(why) => (why, Sure::Likely),
            None => ("is not known", Sure::Unknown),
        };
        let mut add = |makes, reason| {
            self.found.push(SetId {
                path: program.path.to_vec(),
                way: way.clone(),
                makes,
                reason,
                sure,
            });
        };
        let owner = |uid: u32| -> Option<Account> { self.accounts.by_uid(uid).into_iter().next() };
        if setuid && let Some(owner) = owner(program.uid) {
            let reason = format!("which acts as {} (setuid) and {knows_how}", owner.name);
            add(Makes::Account(owner.name), reason);
        }
        if !program.capabilities.is_empty()
            && let Some(root) = owner(0)
        {
            let names = program.capabilities.join(", ");
            add(
                Makes::Account(root.name),
                format!("which has {names} and {knows_how}"),
            );
        }
        let group = self.accounts.group().ok();
        let group = group.and_then(|group| group.of_gid(program.gid).next());
        // What sets its group and is not known is most often a game.
        if setgid
            && sure != Sure::Unknown
            && let Some(group) = group
        {
            let name = printable(group.name);
            add(
                Makes::Member(group.name.to_vec()),
                format!("which acts in group {name} (setgid) and {knows_how}"),
            );
        }
    }

    fn has_no_effect(&self, path: &[u8]) -> bool {
        let below = |mount: &&Vec<u8>| {
            let rest = path.strip_prefix(mount.as_slice());
            rest.is_some_and(|rest| mount.len() == 1 || rest.first() == Some(&b'/'))
        };
        // The innermost mount decides, but only those without effect are known here.
        self.nosuid.iter().any(|mount| below(&mount))
    }
}

/// The mount points of /proc/self/mountinfo (proc(5)) on which setuid has no effect, without those
/// within which something is mounted that has.
pub fn nosuid(mountinfo: &[u8]) -> Vec<Vec<u8>> {
    let mut points: Vec<(Vec<u8>, bool)> = Vec::new();
    for line in mountinfo.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        if let (Some(point), Some(options)) = (fields.get(4), fields.get(5)) {
            let nosuid = options
                .split(|byte| *byte == b',')
                .any(|option| option == b"nosuid");
            points.retain(|(known, _)| known != point);
            points.push((point.to_vec(), nosuid));
        }
    }
    let has_effect: Vec<Vec<u8>> = points
        .iter()
        .filter(|(_, nosuid)| !nosuid)
        .map(|(point, _)| point.clone())
        .collect();
    let within =
        |inner: &Vec<u8>, outer: &Vec<u8>| inner.len() > outer.len() && inner.starts_with(outer);
    points
        .into_iter()
        .filter(|(point, nosuid)| *nosuid && !has_effect.iter().any(|inner| within(inner, point)))
        .map(|(point, _)| point)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_without_setuid() {
        let text = b"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
            25 22 0:22 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n\
            26 22 0:23 / /data rw,nosuid - ext4 /dev/sdb rw\n\
            27 26 0:24 / /data/opt rw - ext4 /dev/sdc rw\n\n";
        assert_eq!(nosuid(text), [b"/tmp".to_vec()]);
    }
}
