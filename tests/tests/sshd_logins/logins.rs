//! Logins with the real client.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use rescind_tests::run;

use super::case::{Case, Try};
use super::credentials::{Credentials, Kind};
use super::people::PASSWORD;
use super::stage::Stage;

/// What came of one.
pub struct Tried {
    pub got_in: bool,
    /// The client had the server decide about all it could sign with. Where the server's list of
    /// algorithms, made before it knows who logs in, has none for an RSA key, it does not even ask.
    pub asked: bool,
    /// What the client said.
    pub log: String,
}

/// Tries every login of a case, all at once.
pub fn run_all(
    case: &Case,
    stage: &Stage,
    credentials: &Credentials,
    askpass: &Path,
) -> Vec<Tried> {
    thread::scope(|scope| {
        let started: Vec<_> = case
            .tries
            .iter()
            .map(|one| scope.spawn(move || login(one, stage, credentials, askpass)))
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// A program that tells ssh the password.
pub fn write_askpass(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("askpass");
    fs::write(&path, format!("#!/bin/sh\necho {PASSWORD}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn login(one: &Try, stage: &Stage, credentials: &Credentials, askpass: &Path) -> Tried {
    // The key of a certificate is not offered by itself.
    let usual = match one.credential {
        "cert-of-rsa" | "cert-of-short" => "+ssh-rsa-cert-v01@openssh.com",
        name if name.starts_with("cert-") => "*cert*",
        _ => "+ssh-rsa,ssh-dss",
    };
    let first = login_with(one, stage, credentials, askpass, usual);
    // The client signs with SHA-2 where it may, even where this server wants SHA-1.
    let sha1 = match one.credential {
        "rsa" | "rsa-short" => "ssh-rsa",
        "cert-of-rsa" | "cert-of-short" => "ssh-rsa-cert-v01@openssh.com",
        _ => return first,
    };
    if first.got_in {
        return first;
    }
    let second = login_with(one, stage, credentials, askpass, sha1);
    Tried {
        got_in: second.got_in,
        asked: first.asked && second.asked,
        log: first.log + "\n" + &second.log,
    }
}

fn login_with(
    one: &Try,
    stage: &Stage,
    credentials: &Credentials,
    askpass: &Path,
    algorithms: &str,
) -> Tried {
    let credential = credentials.by_name(one.credential);
    let is_password = matches!(credential.kind, Kind::Password);
    let mut ssh = Command::new("setsid");
    ssh.env_remove("SSH_AUTH_SOCK")
        .env("SSH_ASKPASS", askpass)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .args(["-w", "ssh", "-F", "none", "-n", "-v"])
        .arg("-b")
        .arg(if one.other { &stage.other } else { &stage.us })
        .args(["-p", &one.port.to_string()]);
    let how = match (is_password, one.with_password) {
        (true, _) => [
            "PreferredAuthentications=password,keyboard-interactive",
            "NumberOfPasswordPrompts=1",
        ],
        (false, true) => [
            "PreferredAuthentications=publickey,password,keyboard-interactive",
            "NumberOfPasswordPrompts=1",
        ],
        (false, false) => ["PreferredAuthentications=publickey", "BatchMode=yes"],
    };
    // The cheapest algorithms that all releases have: there are thousands of logins.
    let usual = [
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "KexAlgorithms=curve25519-sha256",
        "HostKeyAlgorithms=ssh-ed25519",
        "Ciphers=aes128-gcm@openssh.com",
        "ConnectTimeout=30",
    ];
    for option in how.into_iter().chain(usual) {
        ssh.args(["-o", option]);
    }
    if !is_password {
        ssh.arg("-i").arg(credentials.private(credential));
    }
    ssh.arg("-o")
        .arg(format!("PubkeyAcceptedAlgorithms={algorithms}"));
    let host = stage.host().address();
    ssh.arg(format!("{}@{host}", one.account)).arg("true");
    let log = run(&mut ssh).errors();
    assert!(
        log.contains("Connection established"),
        "sshd was not reached:\n{log}"
    );
    let by_key = "using \"publickey\"";
    let mut lines = log.lines();
    let authenticated = lines.find(|line| line.starts_with("Authenticated to "));
    // The unprivileged half of sshd may say yes before the privileged one says no and hangs up.
    let served = log.contains("rtype exit-status");
    let any_way = is_password || one.with_password;
    let got_in = served && authenticated.is_some_and(|line| any_way || line.contains(by_key));
    let asked = !log.contains("no mutual signature algorithm");
    Tried { got_in, asked, log }
}
