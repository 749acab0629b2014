//! The settings in force for one account in one world.
//!
//! sshd reads its configuration twice: at start, where no `Match` holds but `Match all`, and for each connection,
//! where only the blocks that match count and take the place of what the first reading set. Both readings are done
//! here as servconf.c does them, because their seams show: `AllowUsers` adds up within a reading but is replaced
//! between them, and `none` in a `Match` block is a file of that name.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::algorithms::ListOf;
use super::include::Config;
use super::keyword::Keyword;
use super::matching::{Decide, Subject};
use super::printable::printable_path;
use super::reading::{Options, Reading, first};

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// sshd's own default.
    Default,
    /// A line of a configuration file.
    Line {
        /// The file.
        file: Arc<Path>,
        /// The line, from 1.
        line: u32,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line { file, line } => write!(f, "{}:{line}", printable_path(file)),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

/// `PermitRootLogin`, for every account with uid 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootLogin {
    /// By every means.
    Yes,
    /// Not by password or keyboard-interactive.
    ProhibitPassword,
    /// Only with a key whose options force a command.
    ForcedCommandsOnly,
    /// Not at all.
    No,
}

impl RootLogin {
    /// The word for it, as `sshd -T` prints it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::ProhibitPassword => "without-password",
            Self::ForcedCommandsOnly => "forced-commands-only",
            Self::No => "no",
        }
    }
}

/// A text that may be unset.
pub type Text = Sourced<Option<Vec<u8>>>;
/// Words, each with its own source.
pub type List = Vec<Sourced<Vec<u8>>>;

/// `IgnoreRhosts`: which of an account's own files name no hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreRhosts {
    /// All of them.
    Yes,
    /// None.
    No,
    /// `.rhosts`; but `.shosts` does.
    ShostsOnly,
}

impl IgnoreRhosts {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::ShostsOnly => "shosts-only",
        }
    }
}

/// The settings that decide who gets in, for one account in one world.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each is the keyword of that name in sshd_config(5)"
)]
pub struct Effective {
    pub use_pam: Sourced<bool>,
    /// Since 9.8; `sshd` where it is not set.
    pub pam_service_name: Text,
    pub permit_root_login: Sourced<RootLogin>,
    pub strict_modes: Sourced<bool>,
    pub pubkey_authentication: Sourced<bool>,
    /// The names of the algorithms that are accepted, patterns resolved.
    pub pubkey_accepted_algorithms: Sourced<Vec<&'static str>>,
    /// By what a CA may have signed a certificate, likewise.
    pub ca_signature_algorithms: Sourced<Vec<&'static str>>,
    /// In bits; what is below is not accepted.
    pub required_rsa_size: Sourced<u32>,
    pub password_authentication: Sourced<bool>,
    pub kbd_interactive_authentication: Sourced<bool>,
    /// Its own setting up to 8.6; true from 8.7 on.
    pub challenge_response_authentication: Sourced<bool>,
    pub permit_empty_passwords: Sourced<bool>,
    pub hostbased_authentication: Sourced<bool>,
    pub ignore_rhosts: Sourced<IgnoreRhosts>,
    pub ignore_user_known_hosts: Sourced<bool>,
    pub gssapi_authentication: Sourced<bool>,
    pub allow_users: List,
    pub deny_users: List,
    pub allow_groups: List,
    pub deny_groups: List,
    /// Templates as [`super::tokens::expand`] takes them; a word `none` names no file.
    pub authorized_keys_files: List,
    pub authorized_keys_command: Text,
    pub authorized_keys_command_user: Text,
    pub authorized_principals_file: Text,
    pub authorized_principals_command: Text,
    pub authorized_principals_command_user: Text,
    pub trusted_user_ca_keys: Text,
    pub revoked_keys: Text,
    /// Lists of methods that must all succeed, any one of the lists; empty for `any`.
    pub authentication_methods: List,
    pub chroot_directory: Text,
    pub force_command: Text,
    pub permit_user_rc: Sourced<bool>,
    /// Since 9.9: the connection is dropped.
    pub refuse_connection: Sourced<bool>,
    /// A line in a block that matches is wrong in a way that sshd notices only now; the connection is dropped.
    pub wrong: Option<Sourced<&'static str>>,
}

impl Config {
    /// The settings for an account; `connection` is asked where `Match` depends on it.
    pub fn effective(&self, subject: &Subject<'_>, connection: &mut dyn Decide) -> Arc<Effective> {
        let Reading {
            mut options, wrong, ..
        } = Reading::per_connection(self, subject, connection);
        options.retain(|keyword, _| keyword.is_copied_from_match());
        if options.is_empty() && wrong.is_none() {
            // As for most: what no block changes is the same for everybody.
            let plain = self
                .plain
                .get_or_init(|| self.effective_with(options, None));
            return Arc::clone(plain);
        }
        self.effective_with(options, wrong)
    }

    /// The settings with what blocks that match set instead, and what is wrong in those.
    fn effective_with(
        &self,
        matched: Options,
        wrong: Option<(Origin, &'static str)>,
    ) -> Arc<Effective> {
        let mut options = Reading::at_start(self).options;
        clear_none(&mut options, &GLOBAL_NONE);
        self.forget_empty_algorithms(&mut options);
        if !self.release.at_least(8, 7) {
            turn_on_keyboard_interactive(&mut options);
        }
        options.extend(matched);
        clear_none(
            &mut options,
            &[Keyword::ForceCommand, Keyword::ChrootDirectory],
        );
        let mut settings = self.effective_of(&options);
        settings.wrong = wrong
            .map(|(origin, value)| Sourced { value, origin })
            .or(settings.wrong);
        Arc::new(settings)
    }

    /// A list that excludes everything (`-*`) is empty after the first reading, and an empty list is filled with the
    /// defaults when the second is done.
    fn forget_empty_algorithms(&self, options: &mut Options) {
        for (keyword, list) in ALGORITHMS {
            let set = first(options, keyword);
            if set.is_some_and(|set| {
                list.assemble(&set.value, &self.release)
                    .is_some_and(|accepted| accepted.is_empty())
            }) {
                options.remove(&keyword);
            }
        }
    }

    /// The algorithms of a list in force.
    fn algorithms(&self, options: &Options, place: usize) -> Sourced<Vec<&'static str>> {
        let (keyword, list) = ALGORITHMS[place];
        match first(options, keyword) {
            Some(set) => set.map(|word| list.assemble(word, &self.release).unwrap_or_default()),
            None => Sourced {
                value: list.default(&self.release),
                origin: Origin::Default,
            },
        }
    }

    pub(super) fn effective_of(&self, options: &Options) -> Effective {
        use Keyword as K;
        let first = |keyword: K| first(options, keyword);
        let flag = |keyword: K, default: bool| match first(keyword) {
            Some(set) => set.map(|word| word.eq_ignore_ascii_case(b"yes")),
            None => Sourced {
                value: default,
                origin: Origin::Default,
            },
        };
        let text = |keyword: K| match first(keyword) {
            Some(set) => set.map(|word| Some(word.to_vec())),
            None => Sourced {
                value: None,
                origin: Origin::Default,
            },
        };
        let list = |keyword: K| options.get(&keyword).cloned().unwrap_or_default();
        let default_word = |word: &[u8]| Sourced {
            value: word.to_vec(),
            origin: Origin::Default,
        };

        let mut authorized_keys_files = list(K::AuthorizedKeysFile);
        if authorized_keys_files.is_empty() {
            authorized_keys_files = vec![
                default_word(b".ssh/authorized_keys"),
                default_word(b".ssh/authorized_keys2"),
            ];
        }
        let mut authentication_methods = list(K::AuthenticationMethods);
        if authentication_methods.iter().any(|m| m.value == b"any") {
            authentication_methods.clear();
        }
        let merged = self.release.at_least(8, 7);
        Effective {
            use_pam: flag(K::UsePam, false),
            pam_service_name: text(K::PamServiceName),
            permit_root_login: match first(K::PermitRootLogin) {
                Some(set) => set.map(root_login),
                None => Sourced {
                    value: RootLogin::ProhibitPassword,
                    origin: Origin::Default,
                },
            },
            strict_modes: flag(K::StrictModes, true),
            pubkey_authentication: flag(K::PubkeyAuthentication, true),
            pubkey_accepted_algorithms: self.algorithms(options, 0),
            ca_signature_algorithms: self.algorithms(options, 1),
            required_rsa_size: match first(K::RequiredRsaSize) {
                Some(set) => set.map(|word| number(word).unwrap_or(RSA_BITS_DEFAULT)),
                None => Sourced {
                    value: RSA_BITS_DEFAULT,
                    origin: Origin::Default,
                },
            },
            password_authentication: flag(K::PasswordAuthentication, true),
            kbd_interactive_authentication: flag(K::KbdInteractiveAuthentication, merged),
            challenge_response_authentication: flag(K::ChallengeResponseAuthentication, true),
            permit_empty_passwords: flag(K::PermitEmptyPasswords, false),
            hostbased_authentication: flag(K::HostbasedAuthentication, false),
            ignore_rhosts: match first(K::IgnoreRhosts) {
                Some(set) => set.map(ignore_rhosts),
                None => Sourced {
                    value: IgnoreRhosts::Yes,
                    origin: Origin::Default,
                },
            },
            ignore_user_known_hosts: flag(K::IgnoreUserKnownHosts, false),
            gssapi_authentication: flag(K::GssapiAuthentication, false),
            allow_users: list(K::AllowUsers),
            deny_users: list(K::DenyUsers),
            allow_groups: list(K::AllowGroups),
            deny_groups: list(K::DenyGroups),
            authorized_keys_files,
            authorized_keys_command: text(K::AuthorizedKeysCommand),
            authorized_keys_command_user: text(K::AuthorizedKeysCommandUser),
            authorized_principals_file: text(K::AuthorizedPrincipalsFile),
            authorized_principals_command: text(K::AuthorizedPrincipalsCommand),
            authorized_principals_command_user: text(K::AuthorizedPrincipalsCommandUser),
            trusted_user_ca_keys: text(K::TrustedUserCaKeys),
            revoked_keys: text(K::RevokedKeys),
            authentication_methods,
            chroot_directory: text(K::ChrootDirectory),
            force_command: text(K::ForceCommand),
            permit_user_rc: flag(K::PermitUserRc, true),
            refuse_connection: flag(K::RefuseConnection, false),
            wrong: ALGORITHMS
                .into_iter()
                .filter_map(|(keyword, list)| Some((first(keyword)?, list)))
                .find(|(set, list)| list.assemble(&set.value, &self.release).is_none())
                .map(|(set, _)| set.map(|_| "nothing is left of the list of algorithms")),
        }
    }
}

/// Keywords whose value is a list of algorithms.
const ALGORITHMS: [(Keyword, ListOf); 2] = [
    (Keyword::PubkeyAcceptedAlgorithms, ListOf::Logins),
    (Keyword::CaSignatureAlgorithms, ListOf::Certificates),
];

/// `SSH_RSA_MINIMUM_MODULUS_SIZE`
const RSA_BITS_DEFAULT: u32 = 1024;

/// Settings whose `none` in the first reading means unset.
const GLOBAL_NONE: [Keyword; 5] = [
    Keyword::TrustedUserCaKeys,
    Keyword::RevokedKeys,
    Keyword::AuthorizedPrincipalsFile,
    Keyword::ForceCommand,
    Keyword::ChrootDirectory,
];

fn clear_none(options: &mut Options, keywords: &[Keyword]) {
    options.retain(|keyword, values| {
        !(keywords.contains(keyword)
            && values
                .first()
                .is_some_and(|v| v.value.eq_ignore_ascii_case(b"none")))
    });
}

/// Up to 8.6 ChallengeResponseAuthentication turns KbdInteractiveAuthentication on at start (sshd.c); a `Match` block
/// may turn it off again.
pub(super) fn turn_on_keyboard_interactive(options: &mut Options) {
    let on = match first(options, Keyword::ChallengeResponseAuthentication) {
        Some(set) => set.clone(),
        None => Sourced {
            value: b"yes".to_vec(),
            origin: Origin::Default,
        },
    };
    if on.value.eq_ignore_ascii_case(b"yes") {
        options.insert(Keyword::KbdInteractiveAuthentication, vec![on]);
    }
}

fn ignore_rhosts(word: &[u8]) -> IgnoreRhosts {
    match word.to_ascii_lowercase().as_slice() {
        b"no" => IgnoreRhosts::No,
        b"shosts-only" => IgnoreRhosts::ShostsOnly,
        _ => IgnoreRhosts::Yes,
    }
}

fn root_login(word: &[u8]) -> RootLogin {
    match word.to_ascii_lowercase().as_slice() {
        b"yes" => RootLogin::Yes,
        b"no" => RootLogin::No,
        b"forced-commands-only" => RootLogin::ForcedCommandsOnly,
        _ => RootLogin::ProhibitPassword,
    }
}

fn number(word: &[u8]) -> Option<u32> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

impl Sourced<Vec<u8>> {
    fn map<T>(&self, change: impl FnOnce(&[u8]) -> T) -> Sourced<T> {
        Sourced {
            value: change(&self.value),
            origin: self.origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::include::tests::Memory;
    use crate::sshd::matching::Connection;
    use crate::sshd::printable::printable;

    fn effective(release: &str, files: &[(&str, &str)], user: &str) -> Arc<Effective> {
        let release = release.parse().unwrap();
        let config = Config::load(
            &Memory::new(files),
            Path::new("/etc/ssh/sshd_config"),
            &release,
        )
        .unwrap();
        let groups = [user.as_bytes(), b"staff"];
        let subject = Subject {
            name: user.as_bytes(),
            groups: &groups,
        };
        config.effective(
            &subject,
            &mut Connection {
                address: Some(b"10.0.0.1".into()),
                ..Connection::default()
            },
        )
    }

    fn words(list: &List) -> Vec<String> {
        list.iter()
            .map(|w| format!("{} ({})", printable(&w.value), w.origin))
            .collect()
    }

    const MAIN: &str = "/etc/ssh/sshd_config";

    #[test]
    fn defaults() {
        let old = effective("OpenSSH_8.4p1", &[(MAIN, "")], "alice");
        assert!(
            old.kbd_interactive_authentication.value
                && !old.use_pam.value
                && old.pubkey_authentication.value
        );
        assert_eq!(
            words(&old.authorized_keys_files),
            [
                ".ssh/authorized_keys (default)",
                ".ssh/authorized_keys2 (default)"
            ]
        );
        assert_eq!(old.permit_root_login.value, RootLogin::ProhibitPassword);
    }

    #[test]
    fn debian_as_packaged() {
        let main = "Include /etc/ssh/sshd_config.d/*.conf\n\nKbdInteractiveAuthentication no\nUsePAM yes\n\
                    X11Forwarding yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n\
                    Match User anoncvs\n\tX11Forwarding no\n\tForceCommand cvs server\n";
        let drop_in = "PasswordAuthentication no\nUsePAM no\n";
        let files = [
            (MAIN, main),
            ("/etc/ssh/sshd_config.d/50-cloud.conf", drop_in),
        ];
        let settings = effective("OpenSSH_9.2p1 Debian-2", &files, "anoncvs");
        assert_eq!(
            settings.use_pam.origin.to_string(),
            "/etc/ssh/sshd_config.d/50-cloud.conf:2"
        );
        assert!(!settings.use_pam.value && !settings.password_authentication.value);
        assert_eq!(
            settings.force_command.value.as_deref().unwrap(),
            b"cvs server"
        );
        assert_eq!(
            effective("OpenSSH_9.2p1", &files, "bob")
                .force_command
                .value,
            None
        );
    }

    #[test]
    fn lists_add_up_within_a_reading_and_are_replaced_between() {
        let main = "AllowUsers a b\nAllowUsers c\nMatch User alice\nAllowUsers d\nMatch Group staff\nAllowUsers e f\n\
                    Match all\nDenyUsers z\n";
        let settings = effective("OpenSSH_9.2p1", &[(MAIN, main)], "alice");
        let expected = [
            "d (/etc/ssh/sshd_config:4)",
            "e (/etc/ssh/sshd_config:6)",
            "f (/etc/ssh/sshd_config:6)",
        ];
        assert_eq!(words(&settings.allow_users), expected);
        assert_eq!(words(&settings.deny_users), ["z (/etc/ssh/sshd_config:8)"]);
    }

    #[test]
    fn a_match_in_an_included_file_ends_with_it() {
        let files = [
            (
                MAIN,
                "Include a\nPasswordAuthentication no\nMatch User bob\nInclude b\nPermitRootLogin no\n",
            ),
            ("/etc/ssh/a", "Match User alice\nPubkeyAuthentication no\n"),
            ("/etc/ssh/b", "Match all\nPubkeyAuthentication no\n"),
        ];
        for (user, pubkey, root) in [
            ("alice", false, RootLogin::ProhibitPassword),
            ("bob", false, RootLogin::No),
            ("eve", true, RootLogin::ProhibitPassword),
        ] {
            let settings = effective("OpenSSH_9.2p1", &files, user);
            assert!(!settings.password_authentication.value);
            assert_eq!(settings.pubkey_authentication.value, pubkey, "{user}");
            assert_eq!(settings.permit_root_login.value, root, "{user}");
        }
    }

    #[test]
    fn none_in_a_match_block_is_a_file_of_that_name() {
        let main = "RevokedKeys none\nChrootDirectory /srv\nMatch User alice\nRevokedKeys none\nChrootDirectory none\n";
        assert_eq!(
            effective("OpenSSH_9.2p1", &[(MAIN, main)], "bob")
                .revoked_keys
                .value,
            None
        );
        let alice = effective("OpenSSH_9.2p1", &[(MAIN, main)], "alice");
        assert_eq!(alice.revoked_keys.value.as_deref().unwrap(), b"none");
        assert_eq!(alice.chroot_directory.value, None);
    }

    #[test]
    fn keywords_out_of_place_are_refused() {
        let load = |text| {
            Config::load(
                &Memory::new(&[(MAIN, text)]),
                Path::new(MAIN),
                &"OpenSSH_9.2p1".parse().unwrap(),
            )
            .map(|_| ())
        };
        assert!(
            load("Match User a\nUsePAM yes\n")
                .unwrap_err()
                .to_string()
                .starts_with("/etc/ssh/sshd_config:2")
        );
        assert!(load("Match all\nUsePAM yes\n").is_ok());
        assert!(load("AuthorizedKeysCommand /bin/keys\n").is_err());
    }
}
