//! sudo and cvtsudoers of a Debian root, asked about many policies in one go.
//!
//! All of it happens in namespaces of its own, on a throw-away layer above the root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::generate::{LISTED, Tree, USERS};

/// What was answered about one policy.
pub struct Verdict {
    /// The policy as JSON; `None` where cvtsudoers refused it.
    pub json: Option<Vec<u8>>,
    /// `sudo -l -U` for each of [`LISTED`].
    pub listings: Vec<Vec<u8>>,
    /// Whether each of the tree's asks was allowed.
    pub allowed: Vec<bool>,
    /// Whether each of the tree's runs went through.
    pub ran: Vec<bool>,
    /// What was written to standard error, for reading.
    pub errors: String,
}

pub fn ask(release: &str, trees: &[Tree]) -> Vec<Verdict> {
    let root = PathBuf::from(
        std::env::var_os("RESCIND_ROOTS").unwrap_or("/var/cache/rescind-tests/roots".into()),
    )
    .join(release);
    assert!(
        root.join("usr/bin/cvtsudoers").exists(),
        "no Debian root with sudo at {}",
        root.display()
    );
    let work = std::env::temp_dir().join(format!("rescind-sudo-{release}-{}", std::process::id()));
    write_cases(&work, trees);
    let status = Command::new("unshare")
        .args([
            "--mount",
            "--uts",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
            "sh",
            "-eu",
            "-c",
            OUTSIDE,
            "sh",
        ])
        .args([&root, &work])
        .status()
        .expect("unshare");
    assert!(status.success(), "judging in {} failed", root.display());
    let verdicts = trees
        .iter()
        .enumerate()
        .map(|(n, tree)| read(&work.join(format!("cases/{n}")), tree));
    let verdicts = verdicts.collect();
    fs::remove_dir_all(&work).expect("clean up");
    verdicts
}

/// Arguments: the root, the work directory.
const OUTSIDE: &str = r#"
mount -t tmpfs none "$2/layer"
mkdir "$2/layer/upper" "$2/layer/work" "$2/layer/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/layer/upper,workdir=$2/layer/work" "$2/layer/root"
hostname web1
cd "$2/layer/root"
cat "$2/passwd" >> etc/passwd
cat "$2/group" >> etc/group
sed -i 's/^adm:.*/adm:x:4:alice/; s/^sudo:.*/sudo:x:27:bob/; s/^tape:.*/tape:x:26:Dave/' etc/group
echo '127.0.1.1 web1.example.org web1' > etc/hosts
sed 's/\([^:]*\).*/\1:*:19000:0:99999:7:::/' "$2/passwd" >> etc/shadow
mount -t proc none proc
mkdir cases
mount --bind "$2/cases" cases
exec chroot . sh /cases/inside.sh
"#;

const INSIDE: &str = r"
cd /cases
for case in [0-9]*; do
    rm -rf /etc/sudoers /etc/sudoers.d /etc/more
    cp -a $case/etc/. /etc/
    exec 2>$case/errors
    cvtsudoers -f json -e -o $case/json /etc/sudoers || rm -f $case/json
    . /cases/$case/asks
done
";

fn write_cases(work: &Path, trees: &[Tree]) {
    fs::create_dir_all(work.join("layer")).expect("work directory");
    let mut passwd = String::new();
    let mut group = String::from("ops:x:2000:alice\n");
    for (name, uid, groups) in &USERS[..4] {
        passwd += &format!("{name}:x:{uid}:{}::/:/bin/sh\n", groups[0].1);
        if groups[0].1 >= 1000 && groups[0].0 == *name {
            group += &format!("{name}:x:{uid}:\n");
        }
    }
    fs::write(work.join("passwd"), passwd).expect("passwd");
    fs::write(work.join("group"), group).expect("group");
    for (n, tree) in trees.iter().enumerate() {
        let case = work.join(format!("cases/{n}"));
        for (path, file) in &tree.files {
            let path = case.join("etc").join(path);
            fs::create_dir_all(path.parent().expect("below etc")).expect("directory");
            fs::write(&path, &file.bytes).expect("policy");
            fs::set_permissions(&path, fs::Permissions::from_mode(file.mode)).expect("mode");
        }
        let mut asks = String::new();
        for (i, user) in LISTED.iter().enumerate() {
            asks += &format!("sudo -l -U {user} >{n}/list{i} </dev/null\n");
        }
        for (i, ask) in tree.asks.iter().enumerate() {
            let args: Vec<String> = ask.args.iter().map(|arg| format!("'{arg}'")).collect();
            asks += &format!(
                "sudo -l -U {} -u {} {} {} >/dev/null </dev/null; echo $? >{n}/ask{i}\n",
                ask.user,
                ask.target,
                ask.path,
                args.join(" ")
            );
        }
        for (i, run) in tree.runs.iter().enumerate() {
            let (_, uid, groups) = USERS
                .iter()
                .find(|(name, ..)| *name == run.user)
                .expect("a user of the hosts");
            asks += &format!(
                "setpriv --reuid={uid} --regid={} --init-groups sudo -n -u {} {} {} >/dev/null </dev/null; \
                 echo $? >{n}/run{i}\n",
                groups[0].1,
                run.target,
                run.path,
                run.args.join(" ")
            );
        }
        fs::write(case.join("asks"), asks).expect("asks");
    }
    fs::write(work.join("cases/inside.sh"), INSIDE).expect("script");
}

fn read(case: &Path, tree: &Tree) -> Verdict {
    let bytes = |name: String| fs::read(case.join(name)).expect("answer");
    Verdict {
        json: fs::read(case.join("json")).ok(),
        listings: (0..LISTED.len())
            .map(|i| bytes(format!("list{i}")))
            .collect(),
        allowed: (0..tree.asks.len())
            .map(|i| bytes(format!("ask{i}")) == b"0\n")
            .collect(),
        ran: (0..tree.runs.len())
            .map(|i| bytes(format!("run{i}")) == b"0\n")
            .collect(),
        errors: String::from_utf8_lossy(&bytes("errors".into())).into_owned(),
    }
}
