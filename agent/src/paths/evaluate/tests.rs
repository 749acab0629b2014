//! Whole hosts in, whole lists of ways in out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::host::account::PasswordState;
use crate::pam::Service;
use crate::pam::{PamFiles, account_stack, auth_stack};
use crate::paths::account_state::tests::alice;
use crate::paths::facts::{Doors, Found, KeyFileFacts, Ownership, ReadAs, Shell, Turns};
use crate::paths::key_files_in_force;
use crate::paths::strict_modes::GroupIs;
use crate::sshd::include::tests::Memory;
use crate::sshd::include::{Config, ReadProblem};

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const DSA: &str = "ssh-dss AAAAB3NzaC1kc3MAAAABAwAAAAEFAAAAAQIAAAABBA==";
const KEYS: &str = "/home/alice/.ssh/authorized_keys";

/// PAM as Debian has it.
struct Debian;

impl PamFiles for Debian {
    fn read(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let text = "auth [success=1 default=ignore] pam_unix.so nullok\n\
            auth requisite pam_deny.so\nauth required pam_permit.so\n\
            account required pam_nologin.so\n\
            account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n\
            account requisite pam_deny.so\naccount required pam_permit.so\n";
        Ok(Some(text.into()))
    }
}

struct Files(BTreeMap<PathBuf, Result<KeyFileFacts, ReadProblem>>);

impl KeyFiles for Files {
    fn read(&mut self, _: &Account, path: &Path, _: ReadAs) -> Result<KeyFileFacts, ReadProblem> {
        self.0
            .get(path)
            .cloned()
            .unwrap_or(Err(ReadProblem::Missing))
    }

    fn look(&mut self, _: &Path) -> Result<Found, ReadProblem> {
        Ok(Found {
            uid: 0,
            mode: 0o755,
            is_directory: true,
        })
    }
}

/// A host with one sshd and a few key files; told in the lines that `paths` returns.
struct Host {
    account: Account,
    release: &'static str,
    config: Vec<(&'static str, String)>,
    keys: Files,
    shell: Shell,
}

impl Host {
    fn new(config: &str) -> Self {
        Self {
            account: alice(),
            release: "OpenSSH_9.2p1 Debian-2",
            config: vec![("/etc/ssh/sshd_config", config.to_owned())],
            keys: Files(BTreeMap::new()),
            shell: Shell::Runs,
        }
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        let own = Ownership {
            uid: 1000,
            mode: 0o600,
            group: GroupIs::Private,
        };
        let directories = vec![
            ("/home/alice/.ssh".into(), own),
            ("/home/alice".into(), own),
        ];
        self.keys.0.insert(
            path.into(),
            Ok(KeyFileFacts {
                bytes: text.into(),
                file: own,
                directories,
            }),
        );
        self
    }

    fn sshd(&self) -> Sshd {
        let files: Vec<_> = self
            .config
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let path = Path::new("/etc/ssh/sshd_config");
        let config = Config::load(&Memory::new(&files), path, &self.release.parse().unwrap());
        Sshd {
            name: path.display().to_string(),
            config,
            running: true,
            pam: vec![Service {
                name: b"sshd".to_vec(),
                auth: auth_stack(b"sshd", &mut Debian),
                account: account_stack(b"sshd", &mut Debian),
            }],
        }
    }

    fn paths(mut self) -> Vec<String> {
        let sshds = [self.sshd()];
        let facts = Facts {
            sshds: &sshds,
            doors: &Doors::default(),
            shell: self.shell,
            now: 20_100 * 86_400,
            utc_offset: None,
            turns: &Turns::default(),
            connection: None,
            certificate: None,
        };
        evaluate(&self.account, &facts, &mut self.keys)
            .iter()
            .map(show)
            .collect()
    }
}

fn show(path: &AccessPath) -> String {
    let source = path.source.as_ref().map(|s| match s.line {
        Some(line) => format!("{}:{line}", s.file),
        None => s.file.clone(),
    });
    format!(
        "{:?} {:?} [{}] {}",
        path.mechanism,
        path.state,
        source.unwrap_or_default(),
        path.reason
    )
}

#[test]
fn a_plain_account() {
    let host = Host::new("UsePAM yes\nKbdInteractiveAuthentication no\n")
        .file(KEYS, &format!("# me\n{A} laptop\n"));
    assert_eq!(
        host.paths(),
        [
            "SshPublicKey Open [/home/alice/.ssh/authorized_keys:2] the key is accepted",
            "SshPassword Open [/etc/ssh/sshd_config] the password is accepted, as password",
            "ConsolePassword Open [/etc/shadow:21] the password opens it",
        ]
    );
}

#[test]
fn a_locked_account_keeps_its_keys_under_pam() {
    let lock = |config: &str| {
        let mut host = Host::new(config).file(KEYS, A);
        host.account.password = PasswordState::Locked;
        host.paths()[0].clone()
    };
    assert_eq!(
        lock("UsePAM yes"),
        "SshPublicKey Open [/home/alice/.ssh/authorized_keys:1] the key is accepted"
    );
    assert_eq!(
        lock("UsePAM no"),
        "SshPublicKey Closed [/home/alice/.ssh/authorized_keys:1] the password field begins with \'!\' and sshd \
         runs without PAM (/etc/shadow:21)"
    );
}

#[test]
fn expiry_closes_everything_and_nologin_does_not() {
    let mut host = Host::new("UsePAM yes").file(KEYS, A);
    host.account.expire_day = Some(1);
    assert!(
        host.paths()
            .iter()
            .all(|path| path.contains("Closed") && path.contains("since day 1"))
    );
    let mut host = Host::new("UsePAM yes").file(KEYS, A);
    (host.account.shell, host.shell) = (b"/usr/sbin/nologin".to_vec(), Shell::Refuses);
    let paths = host.paths();
    assert!(
        paths[0].ends_with(
            "Open [/home/alice/.ssh/authorized_keys:1] the key is accepted; no shell \
        (/usr/sbin/nologin), but forwarding and sftp"
        ),
        "{}",
        paths[0]
    );
    assert!(paths[2].contains("ConsolePassword Closed"));
    let mut host = Host::new("UsePAM yes").file(KEYS, A);
    host.shell = Shell::Missing;
    assert!(host.paths().iter().all(|path| path.contains("Closed")));
}

#[test]
fn reasons_name_the_line_that_closes() {
    for (config, reason) in [
        (
            "DenyUsers bob al*",
            "DenyUsers al* (/etc/ssh/sshd_config:1)",
        ),
        (
            "\nAllowUsers bob",
            "not in AllowUsers (/etc/ssh/sshd_config:2)",
        ),
        (
            "DenyGroups staff",
            "DenyGroups staff (/etc/ssh/sshd_config:1)",
        ),
        (
            "AllowGroups wheel",
            "in none of AllowGroups (/etc/ssh/sshd_config:1)",
        ),
        (
            "PubkeyAuthentication no",
            "PubkeyAuthentication no (/etc/ssh/sshd_config:1)",
        ),
        (
            "AuthenticationMethods password",
            "AuthenticationMethods does not list publickey (/etc/ssh/sshd_config:1)",
        ),
        (
            "PubkeyAcceptedAlgorithms -*25519*",
            "PubkeyAcceptedAlgorithms does not take ssh-ed25519 (/etc/ssh/sshd_config:1)",
        ),
        (
            "RevokedKeys /etc/ssh/gone",
            "RevokedKeys /etc/ssh/gone (/etc/ssh/sshd_config:1): there is no such file, so sshd refuses every key",
        ),
    ] {
        let expected = format!("SshPublicKey Closed [{KEYS}:1] {reason}");
        assert_eq!(Host::new(config).file(KEYS, A).paths()[0], expected);
    }
}

#[test]
fn a_command_for_everybody() {
    let config = "UsePAM yes\nMatch User alice\nForceCommand /bin/report --token s3c\n";
    let paths = Host::new(config).file(KEYS, A).paths();
    assert_eq!(
        paths[0],
        "SshPublicKey Open [/home/alice/.ssh/authorized_keys:1] the key is accepted; only for the command of \
         ForceCommand (/etc/ssh/sshd_config:3)"
    );
    assert!(!paths.concat().contains("s3c"), "{paths:?}");
}

#[test]
fn worlds() {
    let config = "PubkeyAuthentication no\nMatch Address 10.0.0.0/8\nPubkeyAuthentication yes\n";
    assert_eq!(
        Host::new(config).file(KEYS, A).paths()[0],
        "SshPublicKey Open [/home/alice/.ssh/authorized_keys:1] the key is accepted (when the connection is Address \
         10.0.0.0/8)"
    );
    let config = "AuthorizedKeysFile .ssh/a\nMatch User alice LocalPort 2222\nAuthorizedKeysFile /etc/keys/%u\n";
    let host = Host::new(config)
        .file("/home/alice/.ssh/a", A)
        .file("/etc/keys/alice", A);
    let files = key_files_in_force(&host.account, &[host.sshd()]);
    let told: Vec<_> = files
        .iter()
        .map(|f| format!("{} {} {}", f.path.display(), f.source, f.under_home))
        .collect();
    assert_eq!(
        told,
        [
            "/home/alice/.ssh/a /etc/ssh/sshd_config:1 true",
            "/etc/keys/alice /etc/ssh/sshd_config:3 false"
        ]
    );
    let paths = host.paths();
    assert!(
        paths[0].contains("not LocalPort 2222") && paths[1].contains("is LocalPort 2222"),
        "{paths:?}"
    );
    let many: String = (0..7)
        .map(|n| format!("Match Host h{n}\nPermitRootLogin no\n"))
        .collect();
    assert!(Host::new(&many).file(KEYS, A).paths()[0].contains("SshPublicKey Unknown"));
}

#[test]
fn key_lines() {
    let lines = format!(
        "command=\"s\" {A}\nfrom=\"!*\" {A}\nexpiry-time=\"20200101\" {A}\nno-such {A}\n{DSA}\ncert-authority \
         {A}\nrubbish\nprincipals=\"x\" {A}\n"
    );
    let paths = Host::new("PasswordAuthentication no")
        .file(KEYS, &lines)
        .paths();
    let told: Vec<_> = paths
        .iter()
        .filter_map(|p| p.split_once("authorized_keys:"))
        .map(|(_, r)| r)
        .collect();
    assert_eq!(
        told,
        [
            "1] the key is accepted, for one command",
            "2] from= matches no client",
            "3] expiry-time is over",
            "4] sshd does not understand the options of this line: unknown key option",
            "5] PubkeyAcceptedAlgorithms does not take ssh-dss (default)",
            "6] certificates of this CA for alice, or for nobody in particular, are accepted",
            "7] sshd finds no key in this line: no key found",
            "8] principals= on a key that is no CA",
        ]
    );
}

#[test]
fn root() {
    let lines = format!("{A}\ncommand=\"backup\" {A}\n");
    let state = |setting: &str| {
        let mut host =
            Host::new(&format!("PermitRootLogin {setting}\nUsePAM yes")).file(KEYS, &lines);
        host.account.uid = 0;
        host.keys
            .0
            .values_mut()
            .flatten()
            .for_each(|facts| facts.file.uid = 0);
        for facts in host.keys.0.values_mut().flatten() {
            facts
                .directories
                .iter_mut()
                .for_each(|(_, owner)| owner.uid = 0);
        }
        let paths = host.paths();
        let of = |path: &String| path.split(' ').nth(1).unwrap().to_owned();
        paths.iter().take(3).map(of).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(state("yes"), "Open Open Open");
    assert_eq!(state("prohibit-password"), "Open Open Closed");
    assert_eq!(state("no"), "Closed Closed Closed");
    // The first line has the same key without a command, and is the one sshd uses.
    assert_eq!(state("forced-commands-only"), "Closed Closed Closed");
}

#[test]
fn a_key_without_a_command_shuts_out_the_same_key_in_later_files() {
    let forced = format!("command=\"s\" {A}");
    let second = |config: &str| {
        let config = format!("PermitRootLogin forced-commands-only\n{config}");
        // The files of this test are alice's.
        let config = format!("{config}\nStrictModes no");
        let mut host = Host::new(&config)
            .file(KEYS, A)
            .file("/home/alice/.ssh/authorized_keys2", &forced);
        host.account.uid = 0;
        let mut paths = host.paths();
        paths.retain(|path| path.contains("authorized_keys2:1]"));
        paths.remove(0)
    };
    assert_eq!(
        second(""),
        "SshPublicKey Closed [/home/alice/.ssh/authorized_keys2:1] /home/alice/.ssh/authorized_keys:1 has the \
         same key without a command and is used instead"
    );
    for config in [
        // The other way round, and not at all.
        "AuthorizedKeysFile .ssh/authorized_keys2 .ssh/authorized_keys",
        "AuthorizedKeysFile .ssh/authorized_keys2",
    ] {
        assert!(second(config).contains("Open"), "{config}");
    }
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let mut host = Host::new("UsePAM yes");
    host.keys.0.insert(
        KEYS.into(),
        Err(ReadProblem::Other("input/output error".into())),
    );
    assert_eq!(
        host.paths()[0],
        "SshPublicKey Unknown [/home/alice/.ssh/authorized_keys] the key file could not be read: input/output error"
    );
    let paths = Host::new("PermitRootLogin perhaps").paths();
    assert!(
        paths[..3]
            .iter()
            .all(|path| path.contains("Unknown [/etc/ssh/sshd_config:1]")),
        "{paths:?}"
    );
}

#[test]
fn certificates() {
    let config = "TrustedUserCAKeys /etc/ssh/ca\nAuthorizedPrincipalsFile /etc/ssh/who/%u\nPasswordAuthentication no";
    let host = || Host::new(config).file("/etc/ssh/ca", A);
    assert_eq!(
        host().paths()[0],
        "SshCertificate Closed [/etc/ssh/ca:1] sshd takes no principals from /etc/ssh/who/alice: no such file"
    );
    let paths = host().file("/etc/ssh/who/alice", "alice-admin\n").paths();
    assert_eq!(
        paths[0],
        "SshCertificate Open [/etc/ssh/ca:1] certificates of this CA for alice-admin are accepted"
    );
}

#[test]
fn methods_that_need_each_other() {
    let host = Host::new("AuthenticationMethods publickey,password\nUsePAM yes").file(KEYS, A);
    assert!(host.paths()[0].contains("Open") && Host::new("").paths().len() == 2);
    let mut host = Host::new("AuthenticationMethods publickey,password\nUsePAM yes").file(KEYS, A);
    host.account.password = PasswordState::Locked;
    assert!(host.paths()[0].contains("also needs a method that cannot succeed"));
}

#[test]
fn without_an_sshd_there_is_the_console() {
    let facts = Facts {
        sshds: &[],
        doors: &Doors::default(),
        shell: Shell::Runs,
        now: 0,
        utc_offset: None,
        turns: &Turns::default(),
        connection: None,
        certificate: None,
    };
    let paths = evaluate(&alice(), &facts, &mut Files(BTreeMap::new()));
    assert_eq!(paths.len(), 1);
}
