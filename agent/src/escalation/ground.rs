//! Who decides what a path leads to: by writing to the file, or by changing names on the way.

use std::rc::Rc;

use crate::home::{FileKind, Looked, Part};
use crate::host::account::Account;
use crate::host::acl::{EXECUTE, Guarded, READ, WRITE};
use crate::sshd::printable::printable;

/// What paths lead to.
pub trait Paths {
    /// Of one path; `None` where a directory on the way is missing, or it could not be looked at,
    /// which is then said elsewhere.
    fn way(&self, path: &[u8]) -> Option<Rc<Looked>>;
}

/// What an account can do about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grip {
    /// It can write to what is there; the flag says that it owns it.
    Writes(Vec<u8>, bool),
    /// It can put something of its own in the place, for it can change names in this directory;
    /// the flag says that it owns that.
    Replaces(Vec<u8>, bool),
}

/// What of a path counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// It is a directory in which any file counts that is made there.
    pub into: bool,
    /// Something that belongs to the one who made it counts as well as what is there now.
    pub fresh: bool,
    /// It has to be executable.
    pub executable: bool,
}

/// What an account can do about what a path leads to, if anything. Root can anyway.
pub fn grip(account: &Account, way: &Looked, wants: Wants) -> Option<Grip> {
    if account.uid == 0 {
        return None;
    }
    if wants.into {
        let end = way.end?;
        let directory = part(way, end)?;
        let can = directory.kind == FileKind::Directory
            && reaches(account, way, end)
            && (owns(account, directory) || lets(account, directory, WRITE | EXECUTE));
        if can && wants.fresh {
            return Some(Grip::Replaces(way.path(end), owns(account, directory)));
        }
    } else if let Some(end) = way.end
        && let Some(file) = part(way, end)
        && matches!(file.kind, FileKind::Regular | FileKind::Socket)
        && reaches(account, way, end)
        && (owns(account, file) || lets(account, file, WRITE))
        && (!wants.executable || owns(account, file) || file.mode & 0o111 != 0)
    {
        return Some(Grip::Writes(way.path(end), owns(account, file)));
    }
    if !wants.fresh {
        return None;
    }
    // Names on the way, from the root on: the first that it can change.
    let named = (0u32..)
        .zip(&way.parts)
        .filter_map(|(place, part)| Some((part.within?, Some(place))));
    let missing = way.end.is_none().then_some((way.directory, None));
    for (directory, entry) in named.chain(missing) {
        let Some(above) = part(way, directory) else {
            continue;
        };
        let entry = entry.and_then(|entry| part(way, entry));
        if reaches(account, way, directory) && changes_names(account, above, entry) {
            return Some(Grip::Replaces(way.path(directory), owns(account, above)));
        }
    }
    None
}

/// Whether an account can read what a path leads to.
pub fn can_read(account: &Account, way: &Looked) -> bool {
    let Some((end, file)) = way.end.and_then(|end| Some((end, part(way, end)?))) else {
        return false;
    };
    reaches(account, way, end) && (owns(account, file) || lets(account, file, READ))
}

/// Whether an account can run what a path leads to.
pub fn can_run(account: &Account, way: &Looked) -> bool {
    let Some((end, file)) = way.end.and_then(|end| Some((end, part(way, end)?))) else {
        return false;
    };
    reaches(account, way, end) && lets(account, file, EXECUTE)
}

/// Whether what a path leads to acts as root for whoever runs it.
pub fn is_setuid(way: &Looked) -> bool {
    let file = way.end.and_then(|end| part(way, end));
    file.is_some_and(|file| file.mode & 0o4000 != 0)
}

/// Whether anybody besides root and `uid` could have a grip on a path at all.
pub fn is_of_interest(way: &Looked, uid: u32) -> bool {
    way.parts.iter().any(|part| {
        let others = part.kind != FileKind::Symlink && part.mode & 0o022 != 0;
        others || !(part.uid == 0 || part.uid == uid)
    })
}

/// A file that counts wherever it comes from.
pub const FILE: Wants = Wants {
    into: false,
    fresh: true,
    executable: false,
};

impl Grip {
    /// In words that begin a sentence about `path`.
    pub fn in_words(&self, path: &[u8]) -> String {
        let path = printable(path);
        match self {
            Self::Writes(file, owns) => {
                let file = printable(file);
                let how = if *owns { "owns" } else { "can write to" };
                match file == path {
                    true => format!("it {how} {file}"),
                    false => format!("it {how} {file}, which {path} leads to"),
                }
            }
            Self::Replaces(directory, owns) => {
                let directory = printable(directory);
                let how = match owns {
                    true => format!("it owns {directory}"),
                    false => format!("it can change names in {directory}"),
                };
                match directory == path {
                    true => how,
                    false => format!("{how}, and with it what {path} is"),
                }
            }
        }
    }
}

fn part(way: &Looked, place: u32) -> Option<&Part> {
    way.parts.get(place as usize)
}

fn owns(account: &Account, part: &Part) -> bool {
    part.uid == account.uid
}

fn lets(account: &Account, part: &Part, want: u32) -> bool {
    let guarded = Guarded {
        uid: part.uid,
        gid: part.gid,
        mode: part.mode,
        acl: &part.acl,
    };
    guarded.lets(account, want)
}

/// Whether it can pass through all directories above.
fn reaches(account: &Account, way: &Looked, place: u32) -> bool {
    let mut within = part(way, place).and_then(|part| part.within);
    while let Some(above) = within.and_then(|place| part(way, place)) {
        // What it owns it can open for itself.
        if !owns(account, above) && !lets(account, above, EXECUTE) {
            return false;
        }
        within = above.within;
    }
    true
}

/// Whether it can have a name in a directory stand for something else.
fn changes_names(account: &Account, directory: &Part, entry: Option<&Part>) -> bool {
    if owns(account, directory) {
        return true;
    }
    let sticky = directory.mode & 0o1000 != 0;
    let others = entry.is_some_and(|entry| !owns(account, entry));
    lets(account, directory, WRITE | EXECUTE) && !(sticky && others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::account_state::tests::alice;

    /// `/`, then one part for each line `name kind uid gid mode [within]`; the last is the end.
    fn way(parts: &[(&str, FileKind, u32, u32, u32)], missing: bool) -> Looked {
        let mut all = vec![Part {
            name: Vec::new(),
            within: None,
            kind: FileKind::Directory,
            uid: 0,
            gid: 0,
            mode: 0o755,
            acl: Vec::new(),
        }];
        for (at, (name, kind, uid, gid, mode)) in (0u32..).zip(parts) {
            all.push(Part {
                name: name.as_bytes().to_vec(),
                within: Some(at),
                kind: *kind,
                uid: *uid,
                gid: *gid,
                mode: *mode,
                acl: Vec::new(),
            });
        }
        let last = u32::try_from(parts.len()).unwrap();
        Looked {
            end: (!missing).then_some(last),
            directory: if missing { last } else { last - 1 },
            name: b"x".to_vec(),
            parts: all,
        }
    }

    /// alice is uid 1000, in 1000 and 50.
    fn told(way: &Looked, wants: Wants) -> String {
        let grip = grip(&alice(), way, wants);
        grip.map_or_else(|| "no".into(), |grip| grip.in_words(b"/opt/x"))
    }

    #[test]
    fn files_and_the_directories_above() {
        use FileKind::{Directory, Regular, Socket};
        let opt = ("opt", Directory, 0, 0, 0o755);
        let file = |uid, gid, mode| way(&[opt, ("x", Regular, uid, gid, mode)], false);
        assert_eq!(told(&file(0, 0, 0o755), FILE), "no");
        assert_eq!(told(&file(1000, 0, 0o500), FILE), "it owns /opt/x");
        assert_eq!(told(&file(0, 50, 0o664), FILE), "it can write to /opt/x");
        assert_eq!(told(&file(0, 0, 0o646), FILE), "it can write to /opt/x");
        // What cannot be reached cannot be written to.
        let shut = ("opt", Directory, 0, 0, 0o700);
        let hidden = way(&[shut, ("x", Regular, 0, 0, 0o666)], false);
        assert_eq!(told(&hidden, FILE), "no");
        let socket = way(&[opt, ("x", Socket, 0, 50, 0o660)], false);
        assert_eq!(told(&socket, FILE), "it can write to /opt/x");

        let above = |uid, mode| {
            let opt = ("opt", Directory, uid, 0, mode);
            way(&[opt, ("x", Regular, 0, 0, 0o755)], false)
        };
        let names = "it can change names in /opt, and with it what /opt/x is";
        assert_eq!(
            told(&above(1000, 0o700), FILE),
            "it owns /opt, and with it what /opt/x is"
        );
        assert_eq!(told(&above(0, 0o777), FILE), names);
        assert_eq!(told(&above(0, 0o1777), FILE), "no");
        assert_eq!(told(&above(0, 0o766), FILE), "no");
        let unused = way(&[("opt", Directory, 0, 0, 0o1777)], true);
        assert_eq!(told(&unused, FILE), names);
    }

    #[test]
    fn what_is_wanted() {
        use FileKind::{Directory, Regular};
        let opt = ("opt", Directory, 0, 0, 0o777);
        let plain = way(&[opt, ("x", Regular, 0, 0, 0o644)], false);
        let stale = Wants {
            fresh: false,
            ..FILE
        };
        assert_eq!(told(&plain, stale), "no");
        let run = Wants {
            executable: true,
            ..FILE
        };
        let opt = ("opt", Directory, 0, 0, 0o755);
        let file = |uid, mode| way(&[opt, ("x", Regular, uid, 50, mode)], false);
        assert_eq!(told(&file(0, 0o664), run), "no");
        assert_eq!(told(&file(0, 0o774), run), "it can write to /opt/x");
        assert_eq!(told(&file(1000, 0o600), run), "it owns /opt/x");
        let into = Wants { into: true, ..FILE };
        let parts = way(&[opt, ("x", Directory, 0, 50, 0o1775)], false);
        assert_eq!(told(&parts, into), "it can change names in /opt/x");
        assert_eq!(
            told(&way(&[opt, ("x", Directory, 0, 0, 0o755)], false), into),
            "no"
        );
    }

    #[test]
    fn reading_and_running() {
        use FileKind::{Directory, Regular};
        let opt = ("opt", Directory, 0, 0, 0o711);
        let file = |mode| way(&[opt, ("x", Regular, 0, 50, mode)], false);
        assert!(can_read(&alice(), &file(0o640)) && !can_read(&alice(), &file(0o600)));
        assert!(can_run(&alice(), &file(0o755)) && !can_run(&alice(), &file(0o704)));
        assert!(is_of_interest(&file(0o660), 0) && !is_of_interest(&file(0o640), 0));
    }
}
