//! What a survey of all accounts costs, beside a program that only reads the same files and beside
//! what an administrator would write for it.
//!
//! On a root directory that is not booted: the same Debian as the measured hosts, with so many
//! accounts more, each with five keys.

use crate::Figures;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use nix::sys::resource::{UsageWho, getrusage};
use rescind_protocol::sign::sha256;
use rescind_tests::{Release, agent_binary, run, run_with};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Accounts, one size after the other in the same directory.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Keys of each.
const KEYS: usize = 5;
/// How often each thing is done; the shell's loop, which takes half a minute, once.
const TIMES: usize = 10;
/// How often what takes seconds.
const FEWER: usize = 3;
/// Changes of users' files are compared when they are two minutes old.
const SETTLED: Duration = Duration::from_secs(180);
const FIRST_ID: u32 = 20_000;
/// Between two looks at a running program's memory.
const SAMPLE: Duration = Duration::from_millis(2);

/// Measures all sizes.
pub fn measure() -> Value {
    let root = Root::copy();
    let mut report = json!({});
    let mut count = 0;
    for size in SIZES {
        crate::say(&format!("a survey of {size} accounts"));
        root.add_accounts(count..size);
        count = size;
        report[format!("accounts_{size}")] = root.measure();
    }
    report
}

/// The root directory; gone with this.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}

impl Root {
    fn copy() -> Self {
        let path = PathBuf::from(format!("/var/tmp/rescind-survey-{}", std::process::id()));
        let mut cp = Command::new("cp");
        cp.arg("-a").arg(Release::Bookworm.root()).arg(&path);
        run(&mut cp).ok();
        Self(path)
    }

    fn add_accounts(&self, which: std::ops::Range<usize>) {
        let mut added = ["passwd", "shadow", "group", "gshadow"].map(|file| (file, String::new()));
        for nth in which {
            let id = FIRST_ID + u32::try_from(nth).unwrap_or(0);
            let lines = [
                format!("u{nth:05}:x:{id}:{id}::/home/u{nth:05}:/bin/bash"),
                format!(
                    "u{nth:05}:$y$j9T$0123456789abcdefghijkl$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG:19700:0:99999:7:::"
                ),
                format!("u{nth:05}:x:{id}:"),
                format!("u{nth:05}:!::"),
            ];
            for ((_, text), line) in added.iter_mut().zip(lines) {
                let _ = writeln!(text, "{line}"); // to memory
            }
            self.add_home(nth, id);
        }
        for (file, text) in added {
            let path = self.0.join("etc").join(file);
            let old = must(&path, fs::read_to_string(&path));
            must(&path, fs::write(&path, old + &text));
        }
        run(&mut Command::new("sync")).ok();
    }

    fn add_home(&self, nth: usize, id: u32) {
        let home = self.0.join(format!("home/u{nth:05}"));
        let ssh = home.join(".ssh");
        let file = ssh.join("authorized_keys");
        must(&ssh, fs::create_dir_all(&ssh));
        let line = |key: usize| {
            let point = sha256(&[b"survey", &nth.to_le_bytes(), &key.to_le_bytes()]);
            let blob = [b"\0\0\0\x0bssh-ed25519\0\0\0\x20", point.as_slice()].concat();
            format!(
                "ssh-ed25519 {} u{nth:05}@laptop{key}\n",
                STANDARD.encode(blob)
            )
        };
        must(
            &file,
            fs::write(&file, (0..KEYS).map(line).collect::<String>()),
        );
        for (path, mode) in [(&home, 0o755), (&ssh, 0o700), (&file, 0o600)] {
            must(path, chown(path, Some(id), Some(id)));
            must(
                path,
                fs::set_permissions(path, fs::Permissions::from_mode(mode)),
            );
        }
    }

    fn measure(&self) -> Value {
        let mut keys = 0;
        let reading = figures(TIMES, || keys = self.read_only());
        let before = processor_ms();
        let agent = figures(TIMES, || {
            run(&mut self.agent()).ok();
        });
        let processor = (processor_ms() - before) / (TIMES + 1) as f64;
        let shell = figures(1, || self.shell(SHELL_LOOP, keys));
        let one_keygen = figures(TIMES, || self.shell(ONE_KEYGEN, keys));
        json!({
            "keys": keys,
            "reading_loop_ms": reading.to_json(),
            "agent_ms": agent.to_json(),
            "agent_processor_ms": (processor * 1e2).round() / 1e2,
            "agent_peak_rss_kb": self.peak_rss(),
            "agent_system_calls": system_calls(&self.agent()),
            "agent_service": self.service(),
            "shell_loop_ms": shell.to_json(),
            "one_ssh_keygen_ms": one_keygen.to_json(),
        })
    }

    fn agent(&self) -> Command {
        let mut agent = Command::new(agent_binary());
        agent
            .arg("inventory")
            .arg("--json")
            .arg("--root")
            .arg(&self.0);
        agent
    }

    /// The physical limit: the same files read by one thread as root, and each key's fingerprint.
    fn read_only(&self) -> usize {
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        let passwd = read(&self.0.join("etc/passwd"));
        let rest = ["shadow", "group"].map(|file| read(&self.0.join("etc").join(file)));
        let mut keys = 0;
        for line in passwd.split(|byte| *byte == b'\n') {
            let Some(home) = line.split(|byte| *byte == b':').nth(5) else {
                continue;
            };
            let home = String::from_utf8_lossy(home);
            let file = read(&self.0.join(&home[1..]).join(".ssh/authorized_keys"));
            for line in file.split(|byte| *byte == b'\n') {
                let blob = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                if let Ok(blob) = STANDARD.decode(blob)
                    && !blob.is_empty()
                {
                    let fingerprint = STANDARD_NO_PAD.encode(sha256(&[&blob]));
                    keys += usize::from(!std::hint::black_box(fingerprint).is_empty());
                }
            }
        }
        std::hint::black_box(rest);
        keys
    }

    #[track_caller]
    fn shell(&self, script: &str, keys: usize) {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(&self.0);
        let ran = run_with(&mut shell, b"", Duration::from_secs(600)).ok();
        assert_eq!(ran.text().lines().count(), keys, "{script}");
    }

    /// The largest sum, over the agent and its children, of what was seen while it ran.
    fn peak_rss(&self) -> u64 {
        let mut agent = self.agent();
        let agent = agent.stdout(Stdio::null()).spawn();
        let mut agent = must(&self.0, agent);
        let mut peak = 0;
        while matches!(agent.try_wait(), Ok(None)) {
            peak = peak.max(rss_of_tree(agent.id()));
            thread::sleep(SAMPLE);
        }
        peak
    }

    /// The survey as the service has it taken, every section of it and kept; and once more, with
    /// nothing changed.
    fn service(&self) -> Value {
        let whole = figures(FEWER, || {
            run(&mut self.survey(&["--keep"])).ok();
        });
        crate::say("until what was just made is old enough to be compared");
        let stamps = self.0.join("var/lib/rescind-agent/survey.stamps");
        let begin = Instant::now();
        while !stamps.exists() && begin.elapsed() < SETTLED {
            thread::sleep(SETTLED / 60);
            run(&mut self.survey(&["--keep"])).ok();
        }
        let again = ["--keep", "--if-changed"];
        let resurvey = figures(TIMES, || {
            run(&mut self.survey(&again)).ok();
            assert!(stamps.exists(), "the host is not found unchanged");
        });
        json!({
            "agent_survey_ms": whole.to_json(),
            "agent_survey_system_calls": system_calls(&self.survey(&[])),
            "agent_resurvey_ms": resurvey.to_json(),
            "agent_resurvey_system_calls": system_calls(&self.survey(&again)),
        })
    }

    fn survey(&self, options: &[&str]) -> Command {
        let mut survey = Command::new(agent_binary());
        survey.arg("__survey").arg(&self.0);
        survey.args(["all", "--no-pieces"]).args(options);
        survey
    }
}

/// How many system calls a program makes, its children included.
fn system_calls(program: &Command) -> u64 {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-c", "-U", "calls,name", "-o", "/dev/fd/2"]);
    strace.arg(program.get_program()).args(program.get_args());
    let table = run(strace.stdout(Stdio::null())).ok().errors();
    let total = table.lines().last().unwrap_or_default();
    total
        .split_whitespace()
        .next()
        .and_then(|calls| calls.parse().ok())
        .unwrap_or(0)
}

/// What an administrator would write.
const SHELL_LOOP: &str = r#"
while IFS=: read -r name _ _ _ _ home _; do
    file=$1$home/.ssh/authorized_keys
    [ -f "$file" ] && ssh-keygen -lf "$file" | sed "s/^/$name /"
done <"$1/etc/passwd"
:"#;

/// And with more thought: one program for all files; it does not say whose.
const ONE_KEYGEN: &str =
    r#"find "$1/home" -name authorized_keys -exec cat {} + | ssh-keygen -lf -"#;

/// One run that does not count, then so many that do.
fn figures(times: usize, mut what: impl FnMut()) -> Figures {
    let mut figures = Figures::default();
    if times > 1 {
        what();
    }
    for _ in 0..times {
        let begin = Instant::now();
        what();
        figures.add_time(begin.elapsed());
    }
    figures
}

/// Processor time of all children that have ended, in milliseconds.
fn processor_ms() -> f64 {
    let usage = must(
        Path::new("/proc"),
        getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Into::into),
    );
    [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3)
        .sum()
}

fn rss_of_tree(pid: u32) -> u64 {
    let mut sum = 0;
    let mut next = VecDeque::from([pid.to_string()]);
    while let Some(pid) = next.pop_front() {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let status = read("status");
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kb = rss.and_then(|rss| rss.split_whitespace().next()?.parse::<u64>().ok());
        sum += kb.unwrap_or(0);
        next.extend(
            read(&format!("task/{pid}/children"))
                .split_whitespace()
                .map(str::to_owned),
        );
    }
    sum
}

#[track_caller]
fn must<T>(path: &Path, done: std::io::Result<T>) -> T {
    match done {
        Ok(value) => value,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
