//! sshd_config with everything it includes, and what it comes to for an account.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rescind_agent::host::account::Account;
use rescind_agent::pam::Service;
use rescind_agent::paths::facts::{
    Doors, Facts, Found, KeyFileFacts, KeyFiles, Ownership, ReadAs, Shell, Sshd, Turns,
};
use rescind_agent::paths::strict_modes::GroupIs;
use rescind_agent::paths::{evaluate, key_files_in_force};
use rescind_agent::sshd::effective::{Effective, Origin};
use rescind_agent::sshd::include::{Config, ConfigError, ConfigFiles, ReadProblem};
use rescind_agent::sshd::matching::{Connection, Subject};
use rescind_agent::sshd::release::Release;
use rescind_agent::sshd::worlds::{describe, worlds};

use super::alice::{alice, are_told_safely, root};
use super::cost::alone;
use super::told::is_told_safely;
use super::tree::Tree;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "sshd_config",
    read,
    words: &[
        "Match User alice\n",
        "Match Group ops\n",
        "Match Address 10.0.0.0/8,!10.1.0.0/16\n",
        "Match all\n",
        "Match LocalPort 22 User *,!root\n",
        "Match Host *.example\n",
        "Match invalid-user\n",
        "Match rdomain x\n",
        "Include /etc/ssh/sshd_config.d/*.conf\n",
        "Include ",
        "==> /etc/ssh/sshd_config.d/a.conf <==\n",
        "==> /home/alice/.ssh/authorized_keys <==\n",
        "==> /etc/ssh/ca.pub <==\n",
        "==> /etc/ssh/revoked <==\n",
        "==> /etc/ssh/principals/alice <==\n",
        "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u none\n",
        "AuthorizedPrincipalsFile /etc/ssh/principals/%u\n",
        "TrustedUserCAKeys /etc/ssh/ca.pub\n",
        "RevokedKeys /etc/ssh/revoked\n",
        "PermitRootLogin ",
        "without-password",
        "forced-commands-only",
        "AllowUsers alice@10.* bob\n",
        "DenyGroups ops\n",
        "UsePAM yes\n",
        "AuthenticationMethods publickey,password any\n",
        "PubkeyAcceptedAlgorithms +ssh-rsa,-ssh-*\n",
        "AuthorizedKeysCommand /bin/x %u\nAuthorizedKeysCommandUser nobody\n",
        "PasswordAuthentication no\n",
        "ChallengeResponseAuthentication",
        "KbdInteractiveAuthentication",
        "RequiredRSASize 4096\n",
        "ForceCommand internal-sftp\n",
        "ChrootDirectory %h\n",
        "RefuseConnection yes\n",
        "StrictModes no\n",
        "%h",
        "%u",
        "%U",
        "%%",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "==> /etc/pam.d/sshd <==\n",
        "account required pam_unix.so\n",
        "auth required pam_unix.so nullok\n",
        "==> /etc/ssh/shosts.equiv <==\n",
        "==> /home/alice/.shosts <==\n",
        "==> /etc/ssh/ssh_known_hosts <==\n",
        "HostbasedAuthentication yes\nIgnoreRhosts no\n",
        "==> /home/alice/.k5login <==\n",
        "GSSAPIAuthentication yes\n",
        "KerberosAuthentication yes\n",
        "PAMServiceName x\n",
        "AuthorizedPrincipalsCommand /bin/x\n",
        "= ",
        "\\\"",
        "[!a-z]*",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/sshd",
        "agent/src/paths/evaluate",
        "agent/src/paths/chroot.rs",
        "agent/src/paths/principals.rs",
        "agent/src/paths/ssh_certificates.rs",
        "agent/src/paths/ssh_hostbased.rs",
        "agent/src/paths/ssh_kerberos.rs",
        "agent/src/paths/ssh_pam.rs",
        "tests/tests/sshd_agreement",
    ],
};

const MAIN: &str = "/etc/ssh/sshd_config";

fn read(bytes: &[u8]) {
    let mut tree = Tree::parse(bytes, MAIN);
    for banner in [
        "OpenSSH_8.4p1 Debian-5",
        "OpenSSH_9.2p1 Debian-2",
        "OpenSSH_10.0p2 Debian-7",
    ] {
        alone(|| {
            let release: Release = banner.parse().expect("it is a release");
            let config = Config::load(&tree, Path::new(MAIN), &release);
            match &config {
                Ok(config) => of_config(config, &tree),
                Err(error) => of_error(error, &tree),
            }
            ways_in(config, &mut tree);
        });
    }
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Release>() {
        Ok(release) => assert!(text.contains(release.text())),
        Err(error) => is_told_safely(&error.to_string()),
    }
}

fn of_config(config: &Config, tree: &Tree) {
    assert!(config.files().count() <= 1024);
    for finding in config.findings() {
        of_error(finding, tree);
    }
    let groups: [&[u8]; 2] = [b"alice", b"ops"];
    let subject = Subject {
        name: b"alice",
        groups: &groups,
    };
    if let Ok(found) = worlds(|connection| config.effective(&subject, connection)) {
        for (world, effective) in &found {
            is_told_safely(&describe(world));
            of_effective(effective, tree);
        }
    }
    let mut connection = Connection {
        host: Some(b"laptop.example".to_vec()),
        address: Some(b"10.1.2.3".to_vec()),
        local_address: Some(b"::1".to_vec()),
        local_port: Some(22),
        rdomain: None,
    };
    let once = config.effective(&subject, &mut connection);
    assert_eq!(config.effective(&subject, &mut connection), once);
    of_effective(&once, tree);
    for file in config.authorized_keys_files_of_anybody() {
        of_origin(&file.origin, tree);
    }
}

fn of_effective(effective: &Effective, tree: &Tree) {
    let lists = [
        &effective.allow_users,
        &effective.deny_users,
        &effective.authorized_keys_files,
        &effective.authentication_methods,
    ];
    for origin in lists
        .iter()
        .flat_map(|list| list.iter())
        .map(|set| &set.origin)
    {
        of_origin(origin, tree);
    }
    of_origin(&effective.use_pam.origin, tree);
    of_origin(&effective.permit_root_login.origin, tree);
    of_origin(&effective.revoked_keys.origin, tree);
    if let Some(wrong) = &effective.wrong {
        of_origin(&wrong.origin, tree);
        is_told_safely(wrong.value);
    }
}

/// A source is a line that is there.
fn of_origin(origin: &Origin, tree: &Tree) {
    is_told_safely(&origin.to_string());
    if let Origin::Line { file, line } = origin {
        let lines = tree.lines(file).expect("a file that was read");
        assert!((1..=lines).contains(line), "{origin} has {lines} lines");
    }
}

fn of_error(error: &ConfigError, tree: &Tree) {
    is_told_safely(&error.to_string());
    if let ConfigError::Invalid { file, line, .. } = error {
        let lines = tree.lines(file).expect("a file that was read");
        assert!((1..=lines).contains(line), "{error}");
    }
}

fn ways_in(config: Result<Config, ConfigError>, tree: &mut Tree) {
    let sshds = [Sshd {
        name: MAIN.into(),
        config,
        running: false,
        pam: vec![Service::read(b"sshd", tree)],
    }];
    let facts = Facts {
        turns: &Turns::default(),
        sshds: &sshds,
        doors: &Doors::default(),
        shell: Shell::Runs,
        now: 1_800_000_000,
        utc_offset: None,
        connection: None,
        certificate: None,
    };
    for account in [alice(), root()] {
        let mut files = Files(tree);
        let paths = evaluate(&account, &facts, &mut files);
        are_told_safely(&paths);
        assert_eq!(evaluate(&account, &facts, &mut files), paths);
        for file in key_files_in_force(&account, &sshds) {
            assert!(file.path.is_absolute());
        }
    }
}

struct Files<'t>(&'t Tree);

impl KeyFiles for Files<'_> {
    fn read(&mut self, _: &Account, path: &Path, _: ReadAs) -> Result<KeyFileFacts, ReadProblem> {
        let bytes = self.0.get(path).ok_or(ReadProblem::Missing)?;
        let roots = Ownership {
            uid: 0,
            mode: 0o644,
            group: GroupIs::Shared,
        };
        let directories = [PathBuf::from("/")].map(|path| (path, roots));
        Ok(KeyFileFacts {
            bytes: bytes.to_vec(),
            file: roots,
            directories: directories.into(),
        })
    }

    fn look(&mut self, path: &Path) -> Result<Found, ReadProblem> {
        let is_directory = match (self.0.get(path), self.0.list(path)) {
            (Some(_), _) => false,
            (None, Some(_)) => true,
            (None, None) => return Err(ReadProblem::Missing),
        };
        Ok(Found {
            uid: 0,
            mode: 0o755,
            is_directory,
        })
    }
}

impl ConfigFiles for Tree {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        match (self.get(path), self.list(path)) {
            (Some(bytes), _) => Ok(bytes.to_vec()),
            (None, Some(_)) => Err(ReadProblem::Directory),
            (None, None) => Err(ReadProblem::Missing),
        }
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem> {
        Tree::list(self, directory).ok_or(ReadProblem::Missing)
    }
}
