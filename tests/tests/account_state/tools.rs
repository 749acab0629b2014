//! The tools of a Debian root, in a throw-away copy of it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rescind_tests::{Release, run};

use super::generate::{PASSWORD, Set};

/// A copy of a root that ends with the test.
pub struct Copy {
    work: PathBuf,
    root: PathBuf,
    /// passwd(5) and shadow(5) as they came.
    built: [Vec<u8>; 2],
}

/// What the tools say of a set.
pub struct Theirs {
    /// By account.
    pub accounts: BTreeMap<String, Answers>,
    /// `pwck -r`.
    pub pwck: String,
}

/// What the tools say of an account.
#[derive(Default)]
pub struct Answers {
    /// `getent passwd`, bytes as they are.
    pub passwd: Vec<u8>,
    /// `getent shadow`
    pub shadow: Vec<u8>,
    /// `chage -l`
    pub chage: String,
    /// `passwd -S`
    pub status: String,
    /// su(1) by root, whom PAM asks for no password.
    pub by_root: String,
    /// su(1) by somebody who knows the password.
    pub by_nobody: String,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (tool, said) in [
            ("getent passwd", self.passwd.escape_ascii().to_string()),
            ("getent shadow", self.shadow.escape_ascii().to_string()),
            ("chage", self.chage.replace('\n', " | ").replace('\t', "")),
            ("passwd -S", self.status.clone()),
            ("su by root", self.by_root.replace('\n', " | ")),
            ("su by nobody", self.by_nobody.replace('\n', " | ")),
        ] {
            write!(f, "\n    {tool}: {said}")?;
        }
        Ok(())
    }
}

/// From here on mounts are this program's own.
pub fn leave_mounts() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
}

impl Copy {
    pub fn mount(release: Release) -> Self {
        let work =
            std::env::temp_dir().join(format!("rescind-accounts-{}-{release}", std::process::id()));
        fs::create_dir_all(&work).unwrap();
        let none = MsFlags::empty();
        mount(Some("tmpfs"), &work, Some("tmpfs"), none, None::<&str>).unwrap();
        let [upper, lower, root] = ["upper", "work", "root"].map(|name| work.join(name));
        for directory in [&upper, &lower, &root] {
            fs::create_dir(directory).unwrap();
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            release.root().display(),
            upper.display(),
            lower.display()
        );
        mount(
            Some("overlay"),
            &root,
            Some("overlay"),
            none,
            Some(options.as_str()),
        )
        .unwrap();
        let proc = root.join("proc");
        mount(Some("proc"), &proc, Some("proc"), none, None::<&str>).unwrap();
        // A refusal is one at once, too.
        let auth = root.join("etc/pam.d/common-auth");
        let text = fs::read_to_string(&auth).unwrap();
        fs::write(&auth, text.replace("pam_unix.so", "pam_unix.so nodelay")).unwrap();
        let defs = root.join("etc/login.defs");
        let text = fs::read_to_string(&defs).unwrap_or_default();
        fs::write(&defs, text + "\nFAIL_DELAY 0\n").unwrap();
        let built = ["passwd", "shadow"].map(|name| fs::read(root.join("etc").join(name)).unwrap());
        Self { work, root, built }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Lays down the files of a set.
    pub fn become_host(&self, set: &Set) {
        let added = [&set.passwd, &set.shadow];
        for ((name, built), added) in ["passwd", "shadow"].iter().zip(&self.built).zip(added) {
            fs::write(
                self.root.join("etc").join(name),
                [built.as_slice(), added].concat(),
            )
            .unwrap();
        }
    }

    /// Asks every tool about every account.
    pub fn ask(&self, set: &Set) -> Theirs {
        let answers = self.root.join("answers");
        let _ = fs::remove_dir_all(&answers);
        fs::create_dir(&answers).unwrap();
        fs::write(self.root.join("names"), set.names.join("\n") + "\n").unwrap();
        fs::write(
            self.root.join("script"),
            SCRIPT
                .replace("PASSWORD", PASSWORD)
                .replace("NO_ANSWER", NO_ANSWER),
        )
        .unwrap();
        // Without a terminal, which su would ask for passwords.
        run(Command::new("setsid")
            .args(["--wait", "chroot"])
            .arg(&self.root)
            .args(["/bin/sh", "/script"])
            .env("LC_ALL", "C")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
        .ok();
        let bytes = |name: &str, kind: &str| {
            let bytes = fs::read(answers.join(format!("{name}.{kind}"))).unwrap();
            bytes
                .strip_suffix(b"\n")
                .map_or(bytes.clone(), <[u8]>::to_vec)
        };
        let text =
            |name: &str, kind: &str| String::from_utf8_lossy(&bytes(name, kind)).into_owned();
        let accounts = set.names.iter().map(|name| {
            let answers = Answers {
                passwd: bytes(name, "passwd"),
                shadow: bytes(name, "shadow"),
                chage: text(name, "chage"),
                status: text(name, "status"),
                by_root: text(name, "root"),
                by_nobody: text(name, "nobody"),
            };
            (name.clone(), answers)
        });
        Theirs {
            accounts: accounts.collect(),
            pwck: text("all", "pwck"),
        }
    }
}

/// What stands for a tool that runs for ever.
pub const NO_ANSWER: &str = "it does not end";

/// Where pwck does not end chage would not either: both read both files first.
/// su asks for the password on its standard input, for there is no terminal.
const SCRIPT: &str = r"
cd /answers
ask() {
    getent passwd $1 >$1.passwd
    getent shadow $1 >$1.shadow
    if [ $spins = no ]; then chage -l $1; else echo NO_ANSWER; fi >$1.chage 2>&1
    passwd -S $1 >$1.status 2>&1
    su -s /bin/sh -c 'echo is in' $1 >$1.root 2>&1 </dev/null
    echo PASSWORD | setpriv --reuid=65534 --regid=65534 --clear-groups \
        su -c 'echo is in' $1 >$1.nobody 2>&1
}
timeout -s KILL 5 pwck -r >all.pwck 2>&1 </dev/null
if [ $? -eq 137 ]; then spins=yes; echo NO_ANSWER >all.pwck; else spins=no; fi
while read -r name; do
    ask $name &
    running=$((running + 1))
    [ $((running % 8)) -ne 0 ] || wait
done </names
wait
exit 0
";

impl Drop for Copy {
    fn drop(&mut self) {
        for mounted in ["root/proc", "root", ""] {
            let _ = umount2(&self.work.join(mounted), MntFlags::MNT_DETACH);
        }
        let _ = fs::remove_dir(&self.work);
    }
}
