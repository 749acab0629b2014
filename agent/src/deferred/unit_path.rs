//! Where units are looked for (systemd.unit(5)), the directory that decides first.

/// Directories of the system's manager. `/lib` is not what `/usr/lib` is on hosts that have not
/// merged them.
pub const SYSTEM: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// A directory of a user's manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserDirectory {
    /// Beneath the home.
    Home(&'static str),
    /// Beneath `/run/user/UID`, which is the user's as well.
    Runtime(&'static str),
    /// The system's.
    System(&'static str),
}

/// Directories of a user's manager, as long as no variable of its environment names others.
pub const USER: [UserDirectory; 13] = [
    UserDirectory::Home(".config/systemd/user.control"),
    UserDirectory::Runtime("systemd/user.control"),
    UserDirectory::Runtime("systemd/transient"),
    UserDirectory::Home(".config/systemd/user"),
    UserDirectory::System("/etc/xdg/systemd/user"),
    UserDirectory::System("/etc/systemd/user"),
    UserDirectory::Runtime("systemd/user"),
    UserDirectory::System("/run/systemd/user"),
    UserDirectory::Home(".local/share/systemd/user"),
    UserDirectory::System("/usr/local/share/systemd/user"),
    UserDirectory::System("/usr/share/systemd/user"),
    UserDirectory::System("/usr/local/lib/systemd/user"),
    UserDirectory::System("/usr/lib/systemd/user"),
];

/// What a name in such a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameIn<'n> {
    /// A unit.
    Unit,
    /// A directory of drop-ins: `x.service.d`.
    DropIns,
    /// A directory of links to units that are started with this one: `x.target.wants`.
    Starts(&'n [u8]),
    /// Nothing that is read.
    Other,
}

/// Tells by the name alone.
pub fn name_in_directory(name: &[u8]) -> NameIn<'_> {
    for end in [&b".wants"[..], b".requires", b".upholds"] {
        if let Some(unit) = name.strip_suffix(end) {
            return NameIn::Starts(unit);
        }
    }
    if name.ends_with(b".d") {
        return NameIn::DropIns;
    }
    match super::unit_name::UnitName::parse(name) {
        Some(_) => NameIn::Unit,
        None => NameIn::Other,
    }
}

/// Whether a name in a directory of drop-ins is read.
pub fn is_drop_in(name: &[u8]) -> bool {
    name.ends_with(b".conf") && !name.starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(name_in_directory(b"x.service"), NameIn::Unit);
        assert_eq!(name_in_directory(b"x@.service.d"), NameIn::DropIns);
        assert_eq!(
            name_in_directory(b"a.target.wants"),
            NameIn::Starts(b"a.target")
        );
        assert_eq!(name_in_directory(b"x.service~"), NameIn::Other);
        assert!(is_drop_in(b"a.conf") && !is_drop_in(b"a.conf~") && !is_drop_in(b".a.conf"));
    }
}
