//! Which sections there are, and what belongs into which.

use std::path::Path;

use rescind_protocol::name::SectionName;
use rescind_protocol::path::Mechanism;

/// A section. Names stay; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The operating system, its sshds and sudo, and by which rules it is judged.
    Host,
    /// Accounts, and what runs as them.
    Accounts,
    /// Keys in key files.
    SshKeys,
    /// Other ways to log in: certificates, passwords, other hosts' word, the console.
    Logins,
    /// Rules of sudo and doas.
    Sudo,
    /// Other ways to more rights: groups, shared uids, polkit.
    Privileges,
    /// What runs later without a login.
    Deferred,
    /// Credentials that lie in files.
    Secrets,
}

impl Section {
    /// All of them, in the order in which they are told and sent.
    pub const ALL: [Self; 8] = [
        Self::Host,
        Self::Accounts,
        Self::SshKeys,
        Self::Logins,
        Self::Sudo,
        Self::Privileges,
        Self::Deferred,
        Self::Secrets,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Accounts => "accounts",
            Self::SshKeys => "ssh_keys",
            Self::Logins => "logins",
            Self::Sudo => "sudo",
            Self::Privileges => "privileges",
            Self::Deferred => "deferred",
            Self::Secrets => "secrets",
        }
    }

    /// The section of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The section that tells of a mechanism; `None` for what changes by itself.
    pub const fn of(mechanism: Mechanism) -> Option<Self> {
        Some(match mechanism {
            Mechanism::SshPublicKey => Self::SshKeys,
            Mechanism::SshCertificate
            | Mechanism::SshPassword
            | Mechanism::SshHostbased
            | Mechanism::SshGssapi
            | Mechanism::SshKeysCommand
            | Mechanism::ConsolePassword => Self::Logins,
            Mechanism::Sudo | Mechanism::Doas => Self::Sudo,
            Mechanism::RootEquivalentGroup
            | Mechanism::SharedUid
            | Mechanism::GroupPassword
            | Mechanism::Polkit => Self::Privileges,
            Mechanism::Crontab
            | Mechanism::AtJob
            | Mechanism::SystemdUnit
            | Mechanism::SystemdUserUnit => Self::Deferred,
            // An account's groups stand in the accounts' section; this is only told of orders.
            Mechanism::GroupMembership => Self::Accounts,
            Mechanism::Session | Mechanism::Process => return None,
        })
    }

    /// The sections that a file of the host's own matters to: those that lack something where it
    /// could not be read.
    pub fn of_file(path: &Path) -> &'static [Self] {
        /// What a path begins with, the most special first.
        const BY_BEGINNING: &[(&str, &[Section])] = &[
            ("/etc/passwd", &[Section::Accounts]),
            ("/etc/shadow", &[Section::Accounts, Section::Logins]),
            ("/etc/group", &[Section::Accounts, Section::Privileges]),
            ("/etc/gshadow", &[Section::Privileges]),
            ("/etc/login.defs", &[Section::Accounts]),
            ("/etc/nsswitch.conf", &[Section::Accounts, Section::Sudo]),
            ("/etc/sudo", &[Section::Sudo]),
            ("/etc/doas", &[Section::Sudo]),
            ("/usr/bin/sudo", &[Section::Sudo]),
            ("/usr/local/bin/sudo", &[Section::Sudo]),
            ("/etc/ssh", &[Section::SshKeys, Section::Logins]),
            ("/usr/sbin/sshd", &[Section::SshKeys, Section::Logins]),
            ("/etc/polkit", &[Section::Privileges]),
            ("/usr/share/polkit", &[Section::Privileges]),
            ("/var/lib/polkit", &[Section::Privileges]),
            ("/run/polkit", &[Section::Privileges]),
            ("/usr/local/share/polkit", &[Section::Privileges]),
            ("/etc/cron", &[Section::Deferred]),
            ("/etc/anacrontab", &[Section::Deferred]),
            ("/etc/at.", &[Section::Deferred]),
            ("/etc/pam", &[Section::Deferred]),
            ("/usr/lib/pam", &[Section::Deferred]),
            ("/var/spool", &[Section::Deferred]),
            ("/etc/systemd", &[Section::Deferred]),
            ("/run/systemd", &[Section::Deferred]),
            ("/usr/lib/systemd", &[Section::Deferred]),
            ("/usr/local/lib/systemd", &[Section::Deferred]),
            ("/lib/systemd", &[Section::Deferred]),
            ("/var/lib/systemd", &[Section::Deferred]),
            ("/etc/dbus-1", &[Section::Deferred]),
            ("/usr/share/dbus-1", &[Section::Deferred]),
        ];
        let path = path.as_os_str().as_encoded_bytes();
        let known = BY_BEGINNING
            .iter()
            .find(|(beginning, _)| path.starts_with(beginning.as_bytes()));
        // Where else root's files lie, sshd_config says: CA keys, principals, revoked keys.
        known.map_or(&[Self::SshKeys, Self::Logins], |(_, sections)| sections)
    }

    /// The name on the wire.
    pub fn name(self) -> SectionName {
        self.as_str().parse().expect("every name is one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_and_leads_back() {
        for section in Section::ALL {
            assert_eq!(Section::of_name(section.name().as_str()), Some(section));
        }
        assert_eq!(Section::of_name("sessions"), None);
    }

    #[test]
    fn a_file_matters_to_those_who_read_it() {
        for (path, want) in [
            ("/etc/passwd", "accounts"),
            ("/etc/sudoers.d/x", "sudo"),
            ("/etc/ssh/sshd_config.d/y.conf", "ssh_keys logins"),
            ("/srv/ca.pub", "ssh_keys logins"),
            ("/var/spool/cron/crontabs/alice", "deferred"),
        ] {
            let names: Vec<&str> = Section::of_file(Path::new(path))
                .iter()
                .map(|section| section.as_str())
                .collect();
            assert_eq!(names.join(" "), want, "{path}");
        }
    }
}
