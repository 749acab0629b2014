//! A real sshd in a throw-away copy of a root.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rescind_agent::sshd::include::{ConfigFiles, ReadProblem};
use rescind_agent::sshd::matching::Connection;
use rescind_agent::sshd::release::Release;

/// Who asks, from where.
pub struct Client {
    pub user: &'static str,
    pub groups: &'static [&'static [u8]],
    pub host: &'static str,
    pub address: &'static str,
    pub local_address: &'static str,
    pub port: u16,
}

impl Client {
    pub fn connection(&self) -> Connection {
        Connection {
            host: Some(self.host.into()),
            address: Some(self.address.into()),
            local_address: Some(self.local_address.into()),
            local_port: Some(self.port),
            rdomain: None,
        }
    }

    fn spec(&self) -> String {
        let Self {
            user,
            host,
            address,
            local_address,
            port,
            ..
        } = self;
        format!("user={user},host={host},addr={address},laddr={local_address},lport={port}")
    }
}

/// The clients that every configuration is asked about. The accounts are made in the overlay.
pub const CONNECTIONS: [Client; 3] = [
    Client {
        user: "alice",
        groups: &[b"alice", b"staff"],
        host: "PC.example.com",
        address: "10.0.0.7",
        local_address: "192.0.2.1",
        port: 22,
    },
    Client {
        user: "svc-db",
        groups: &[b"svc-db", b"services"],
        host: "2001:db8::5",
        address: "2001:db8::5",
        local_address: "2001:db8::1",
        port: 2222,
    },
    Client {
        user: "root",
        groups: &[b"root"],
        host: "192.168.7.9",
        address: "192.168.7.9",
        local_address: "192.0.2.1",
        port: 22,
    },
];

/// Run inside the overlay. `/etc/ssh/c` leads to the cases, so that relative names lead there too.
const SCRIPT: &str = r#"
set -e
mkdir -p /run/sshd
ln -s /cases /etc/ssh/c
echo 'alice:x:1000:1000::/home/alice:/bin/sh' >>/etc/passwd
echo 'svc-db:x:1001:1001::/srv/db:/bin/sh' >>/etc/passwd
echo 'alice:x:1000:' >>/etc/group
echo 'svc-db:x:1001:' >>/etc/group
echo 'services:x:1002:svc-db' >>/etc/group
sed -i 's/^staff:.*/staff:x:50:alice/' /etc/group
set +e
for case in /cases/[0-9]*; do
    number=0
    while read -r spec; do
        /usr/sbin/sshd -T -f $case/sshd_config -C "$spec" >$case/out.$number 2>$case/err.$number
        echo $? >$case/rc.$number
        number=$((number + 1))
    done </cases/specs
done
"#;

/// The cases of one release and the sshd that judges them.
pub struct Oracle {
    root: PathBuf,
    work: PathBuf,
}

impl Oracle {
    pub fn new(root: &Path) -> Self {
        assert!(
            root.join("usr/sbin/sshd").exists(),
            "no sshd in {}",
            root.display()
        );
        let name = root.file_name().unwrap().to_str().unwrap();
        let work = std::env::temp_dir().join(format!(
            "rescind-sshd-agreement-{}-{name}",
            std::process::id()
        ));
        fs::create_dir_all(work.join("cases")).unwrap();
        fs::create_dir_all(work.join("overlay")).unwrap();
        Self {
            root: root.to_owned(),
            work,
        }
    }

    /// The release, by the banner of its client.
    pub fn release(&self) -> Release {
        let output = Command::new("chroot")
            .arg(&self.root)
            .args(["/usr/bin/ssh", "-V"])
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap().parse().unwrap()
    }

    /// Where the files of a case are to be written.
    pub fn case(&self, number: u64) -> PathBuf {
        let path = self.work.join("cases").join(number.to_string());
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The configuration file of a case, as sshd and we are told it.
    pub fn config_path(&self, number: u64) -> PathBuf {
        format!("/cases/{number}/sshd_config").into()
    }

    /// Asks sshd about every case.
    pub fn run(&self) {
        let specs: String = CONNECTIONS
            .iter()
            .map(|client| client.spec() + "\n")
            .collect();
        fs::write(self.work.join("cases/specs"), specs).unwrap();
        fs::write(self.work.join("cases/script"), SCRIPT).unwrap();
        let enter = "set -e
            mount -t tmpfs tmpfs $W/overlay
            mkdir $W/overlay/upper $W/overlay/work $W/overlay/root
            mount -t overlay -o lowerdir=$R,upperdir=$W/overlay/upper,workdir=$W/overlay/work overlay $W/overlay/root
            mkdir $W/overlay/root/cases
            mount --bind $W/cases $W/overlay/root/cases
            exec chroot $W/overlay/root /bin/sh /cases/script";
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", enter])
            .env("W", &self.work)
            .env("R", &self.root)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What `sshd -T` printed for a case, or why it would not start.
    pub fn answer(&self, number: u64, client: usize) -> Result<String, String> {
        let read = |kind: &str| {
            let path = self.work.join(format!("cases/{number}/{kind}.{client}"));
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        };
        if read("rc").trim() == "0" {
            Ok(read("out"))
        } else {
            Err(read("err"))
        }
    }

    /// The files of the first case that a list of disagreements names.
    pub fn show_first(&self, disagreements: &[String]) -> String {
        let mut shown = String::new();
        let number = disagreements
            .first()
            .and_then(|line| line.split([' ', ',']).nth(1))
            .unwrap_or("0");
        let mut files: Vec<_> = fs::read_dir(self.work.join("cases").join(number))
            .unwrap()
            .flatten()
            .collect();
        files.sort_by_key(|file| file.file_name());
        for file in files {
            let name = file.file_name().into_string().unwrap();
            if file.path().is_file()
                && !["out.", "err.", "rc."]
                    .iter()
                    .any(|kind| name.starts_with(kind))
            {
                shown.push_str(&format!(
                    "\n--- {name}\n{}",
                    fs::read(file.path()).unwrap().escape_ascii()
                ));
            }
        }
        shown.replace("\\n", "\n")
    }

    fn outside(&self, path: &Path) -> Option<PathBuf> {
        let inside = path
            .strip_prefix("/cases")
            .or_else(|_| path.strip_prefix("/etc/ssh/c"))
            .ok()?;
        Some(self.work.join("cases").join(inside))
    }
}

impl ConfigFiles for Oracle {
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
        let path = self.outside(path).ok_or(ReadProblem::Missing)?;
        if path.is_dir() {
            return Err(ReadProblem::Directory);
        }
        fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadProblem::Missing,
            _ => ReadProblem::Other(error.to_string()),
        })
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem> {
        let path = self.outside(directory).ok_or(ReadProblem::Missing)?;
        let names = fs::read_dir(path).map_err(|_| ReadProblem::Missing)?;
        Ok(names.flatten().map(|entry| entry.file_name()).collect())
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}
