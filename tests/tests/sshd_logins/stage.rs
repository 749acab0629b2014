//! A booted host that becomes one generated host after the other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rescind_tests::{Host, Release, run, wait_for};

use super::case::Case;
use super::key_files::fill_in;
use super::nodes::Node;
use super::people;

const PATIENCE: Duration = Duration::from_secs(20);
/// What the shell says when a command is done.
const DONE: &str = "rescind-tests-done";
/// The name that the host knows for this machine's other address.
pub const OTHER_NAME: &str = "other.example.org";
const LOG: &str = "/var/tmp/sshd.log";

pub struct Stage {
    host: Host,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// passwd, shadow and group as the host was built, without root's password.
    built: [(PathBuf, Vec<u8>); 3],
    /// The addresses that logins come from.
    pub us: String,
    pub other: String,
}

impl Stage {
    pub fn set(release: Release) -> Self {
        let host = Host::boot(release);
        host.run("systemctl stop ssh.socket ssh.service; mkdir -p /run/sshd")
            .ok();
        // A refusal is one at once, too.
        host.run("sed -i '/pam_unix.so/s/$/ nodelay/' /etc/pam.d/common-auth")
            .ok();
        let us = host.our_address().to_string();
        let other = second_address(&us);
        // For `UseDNS yes`; this machine itself is in there already.
        host.run(&format!("echo '{other} {OTHER_NAME}' >>/etc/hosts"))
            .ok();
        let mut shell = host
            .enter(&["/bin/sh"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let built = ["passwd", "shadow", "group"].map(|name| {
            let path = host.root().join("etc").join(name);
            let bytes = fs::read(&path).unwrap();
            let lines = bytes.split_inclusive(|byte| *byte == b'\n');
            let shadow = name == "shadow";
            let keep = lines.filter(|line| !(shadow && line.starts_with(b"root:")));
            (path, keep.collect::<Vec<_>>().concat())
        });
        Self {
            input: shell.stdin.take().unwrap(),
            output: BufReader::new(shell.stdout.take().unwrap()),
            shell,
            built,
            host,
            us,
            other,
        }
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Lays down the files of a case; those of the one before go.
    pub fn become_host(&mut self, case: &mut Case) {
        let address = self.host.address().to_string();
        let addresses = [
            ("{us}", self.us.as_str()),
            ("{other}", self.other.as_str()),
            ("{host}", address.as_str()),
        ];
        fill_in(&mut case.nodes, &addresses);
        let root = self.host.root();
        for place in ["home", "srv", "root"] {
            fs::remove_dir_all(root.join(place)).unwrap();
            fs::create_dir(root.join(place)).unwrap();
        }
        for entry in fs::read_dir(root.join("etc/ssh")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("ssh_host_") || name == "moduli" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            } else {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        Node::lay_all(&case.nodes, root);
        for ((path, built), lines) in self.built.iter().zip(people::lines(&case.people)) {
            fs::write(path, [built, lines.as_bytes()].concat()).unwrap();
        }
    }

    /// Runs a command in the one shell that stays; what it prints.
    pub fn shell(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}\necho {DONE}").unwrap();
        let mut said = String::new();
        loop {
            let mut line = Vec::new();
            let read = self.output.read_until(b'\n', &mut line).unwrap();
            assert!(read > 0, "the shell on the host has ended");
            let line = String::from_utf8_lossy(&line);
            if line.trim_end() == DONE {
                return said;
            }
            said.push_str(&line);
        }
    }

    /// What `sshd -T` says of an account that comes from us to port 22; `Err` where sshd would not
    /// start.
    pub fn told(&mut self, account: &str, name: &str) -> Result<String, String> {
        let (us, host) = (self.us.clone(), self.host.address());
        let said = self.shell(&format!(
            "/usr/sbin/sshd -T -C user={account},host={name},addr={us},laddr={host},lport=22 2>&1; \
             echo status $?"
        ));
        match said.trim_end().rsplit_once("status ") {
            Some((settings, "0")) => Ok(settings.to_owned()),
            _ => Err(said),
        }
    }

    /// Has sshd serve the files that are there now.
    pub fn serve(&mut self) {
        self.shell(&format!(
            "[ -z \"$sshd\" ] || {{ kill -9 $sshd; wait $sshd; }}\n\
             rm -f {LOG}\n\
             /usr/sbin/sshd -D -e </dev/null >{LOG} 2>&1 & sshd=$!"
        ));
        wait_for("sshd to listen on its two ports", PATIENCE, || {
            let log = self.log();
            (log.matches("Server listening").count() == 2).then_some(())
        });
    }

    /// What sshd has said since it serves.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.host.root().join(&LOG[1..])).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Gives this machine another address on the host's cable.
fn second_address(us: &str) -> String {
    let listed = run(Command::new("ip").args(["-o", "addr", "show", "to", us]))
        .ok()
        .text();
    let cable = listed.split_whitespace().nth(1).unwrap().to_owned();
    let (net, _) = us.rsplit_once('.').unwrap();
    let other = format!("{net}.66");
    let add = ["addr", "add", &format!("{other}/24"), "dev", &cable];
    run(Command::new("ip").args(add)).ok();
    other
}
