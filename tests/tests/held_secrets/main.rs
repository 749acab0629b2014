//! A host sown with credentials and with what looks like them (`seeds.txt`): how many a survey
//! finds, what it takes for one that is none, and whether any part of a value is ever seen outside
//! of the file it lies in. And homes that are made to hurt whoever reads them.
//!
//! This program is also the agent whose command it tests, so that it needs no other build. Run as
//! root it tests more: owners that differ, devices, a file system that never answers.

mod hostile;
mod makers;
mod seeds;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rescind_agent::cli::Cli;
use rescind_agent::home::HomeChild;
use rescind_agent::host::accounts::Accounts;
use rescind_agent::host::root::HostRoot;
use rescind_agent::secrets::{self, Limits, Marker};
use rescind_tests::Canaries;
use serde_json::Value;

use seeds::{Expected, Sown};

type Tested = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    if std::env::args()
        .nth(1)
        .is_some_and(|arg| arg == "inventory")
    {
        return Cli::parse().run().into();
    }
    type Test = (&'static str, fn(&Path) -> Tested);
    let tests: [Test; 2] = [
        ("a sown host", sown_host),
        ("hostile homes", hostile::homes),
    ];
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    for (what, test) in tests {
        if only
            .as_ref()
            .is_some_and(|only| !what.contains(only.as_str()))
        {
            continue;
        }
        let scratch = Scratch::new(what);
        if let Err(error) = test(&scratch.0) {
            eprintln!("held_secrets: {what}: {error}");
            return ExitCode::FAILURE;
        }
        println!("{what}: ok");
    }
    ExitCode::SUCCESS
}

/// A directory that everybody can pass through; gone when it is dropped, however deep it is.
struct Scratch(PathBuf);

impl Scratch {
    fn new(what: &str) -> Self {
        let name = format!(
            "rescind-held-{}-{}",
            what.replace(' ', "-"),
            std::process::id()
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a scratch directory");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // rm(1) can take away what is deeper than a path may be long.
        let _ = Command::new("rm").arg("-rf").arg(&self.0).status();
    }
}

fn sown_host(dir: &Path) -> Tested {
    let (root, scratch) = (dir.join("root"), dir.join("made"));
    fs::create_dir(&root)?;
    fs::set_permissions(&root, Permissions::from_mode(0o755))?;
    let sown = seeds::sow(&root, &scratch);
    let kinds: BTreeSet<&str> = sown.expected.iter().map(|one| one.kind.as_str()).collect();
    println!(
        "  sown: {} accounts, {} credentials of {} kinds, {} decoys, {} values to be kept",
        seeds::ACCOUNTS,
        sown.expected.len(),
        kinds.len(),
        sown.decoys,
        sown.canaries.values
    );
    ensure(
        sown.expected.len() >= 2000 && kinds.len() >= 30 && sown.decoys >= 300,
        "enough is sown",
    )?;
    let accepted = accept_some(&root, &sown)?;
    control(&root, &sown.canaries)?;

    let seen = Seen::of_a_run(&root, &sown.canaries)?;
    judge(&seen.answer, &sown)?;
    judge_accepted(&seen.answer, &accepted)?;
    judge_equal_values(&seen.answer)?;
    nothing_leaked(&root, &seen, &sown.canaries)?;
    child_keeps_nothing(&root, &sown.canaries)
}

/// The search finds what it is for, where it is: in the homes.
fn control(root: &Path, canaries: &Canaries) -> Tested {
    let (bytes, seen) = canaries.search_files(&root.join("home"))?;
    println!(
        "  control: the search sees values in {} of the files that hold them ({bytes} bytes)",
        seen.len()
    );
    ensure(seen.len() >= 1000, "the search works")
}

/// Lets some of the keys in: as another account's authorized key. Path of the key, account.
fn accept_some(root: &Path, sown: &Sown) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let keys = sown
        .expected
        .iter()
        .filter(|one| one.path.ends_with("/.ssh/id_ed25519") && one.mark.is_some());
    let mut accepted = Vec::new();
    for (n, one) in keys.take(8).enumerate() {
        let key = root.join(one.path.trim_start_matches('/'));
        let printed = Command::new("ssh-keygen")
            .args(["-y", "-P", "", "-f"])
            .arg(key)
            .output()?;
        if !printed.status.success() {
            continue; // locked
        }
        let name = seeds::account(n);
        let line = [b"# who may come in\n", printed.stdout.as_slice()].concat();
        let owner = fs::metadata(root.join(format!("home/{name}/.bash_logout")))?;
        let owner = std::os::unix::fs::MetadataExt::uid(&owner);
        let path = format!("/home/{name}/.ssh/authorized_keys");
        seeds::write(root, &path, &line, 0o600, Some(owner));
        let dir = root.join(format!("home/{name}/.ssh"));
        std::os::unix::fs::chown(dir, Some(owner), Some(owner))?;
        accepted.push((one.path.clone(), name));
    }
    ensure(accepted.len() >= 5, "some keys are accepted")?;
    Ok(accepted)
}

/// What a run of the command has shown.
struct Seen {
    answer: Value,
    /// Everything it has written anywhere.
    written: Vec<(&'static str, Vec<u8>)>,
}

impl Seen {
    /// Runs the command, and looks into its memory when its survey is over and its answer is not
    /// yet written: the pipe is full.
    fn of_a_run(root: &Path, canaries: &Canaries) -> Result<Self, Box<dyn Error>> {
        let mut command = command(root, &["--json"]);
        let mut running = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdout = running.stdout.take().ok_or("no pipe")?;
        let mut json = vec![0];
        stdout.read_exact(&mut json)?;
        std::thread::sleep(Duration::from_millis(200));
        let mut processes = vec![running.id()];
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.id()));
        processes.extend(
            children
                .unwrap_or_default()
                .split_ascii_whitespace()
                .flat_map(str::parse::<u32>),
        );
        for pid in processes {
            let (bytes, seen) = canaries.search_process(pid)?;
            println!(
                "  memory of the agent after its survey: {bytes} bytes, {} places with values",
                seen.len()
            );
            ensure(bytes > 1 << 20, "its memory was read")?;
            ensure(
                seen.is_empty(),
                &format!("no value is left in memory: {}", seen.join(", ")),
            )?;
        }
        stdout.read_to_end(&mut json)?;
        let mut errors = Vec::new();
        running
            .stderr
            .take()
            .ok_or("no pipe")?
            .read_to_end(&mut errors)?;
        ensure(running.wait()?.success(), &String::from_utf8_lossy(&errors))?;
        ensure(json.len() > 100_000, "the answer did not fit into the pipe")?;
        let table = self::command(root, &[]).output()?;
        ensure(table.status.success(), "the table is printed")?;
        Ok(Self {
            answer: serde_json::from_slice(&json)?,
            written: vec![
                ("its JSON", json),
                ("its log", errors),
                ("its table", table.stdout),
                ("its log with the table", table.stderr),
            ],
        })
    }
}

fn command(root: &Path, more: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["inventory", "--secrets", "--root"])
        .arg(root)
        .args(more)
        .env("RUST_LOG", "trace");
    command
}

type Known = (Option<String>, String, String, Option<String>);

/// What was found, beside what was sown.
fn judge(answer: &Value, sown: &Sown) -> Tested {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let mut wanted: BTreeMap<Known, Vec<&Expected>> = BTreeMap::new();
    for one in &sown.expected {
        let key = (
            one.account.clone(),
            one.path.clone(),
            one.kind.clone(),
            one.label.clone(),
        );
        wanted.entry(key).or_default().push(one);
    }
    let credentials = answer["credentials"].as_array().ok_or("no credentials")?;
    let (mut right, mut wrong, mut marked) = (0, Vec::new(), 0);
    for found in credentials {
        let key: Known = (
            text(&found["account"]),
            text(&found["path"]).unwrap_or_default(),
            text(&found["kind"]).unwrap_or_default(),
            text(&found["label"]),
        );
        match wanted.get_mut(&key).and_then(Vec::pop) {
            Some(expected) => {
                right += 1;
                if let Some(mark) = &expected.mark {
                    marked += 1;
                    ensure(
                        found["fingerprint"] == mark.as_str(),
                        &format!("{key:?} has the fingerprint {mark}"),
                    )?;
                }
            }
            None => wrong.push(format!("{key:?}")),
        }
    }
    let missed: Vec<&Expected> = wanted.into_values().flatten().collect();
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole as f64;
    println!(
        "  found: {right} of {} (recall {:.2} %), {} that are none of {} (false positives {:.2} %), {marked} fingerprints as the tools print them",
        sown.expected.len(),
        percent(right, sown.expected.len()),
        wrong.len(),
        credentials.len(),
        percent(wrong.len(), credentials.len())
    );
    let coverage = &answer["coverage"];
    println!(
        "  coverage: {} files in {} homes, {} not read, {} unclear, {} passed over, {} ms in a debug build",
        coverage["files"],
        coverage["homes"],
        coverage["not_read"]["total"],
        coverage["unclear"]["total"],
        coverage["passed_over"]["total"],
        coverage["took_ms"]
    );
    for one in missed.iter().take(20) {
        println!("    missed: {one:?}");
    }
    for one in wrong.iter().take(20) {
        println!("    not sown: {one}");
    }
    ensure(
        percent(right, sown.expected.len()) >= 99.0,
        "recall is 99 % at least",
    )?;
    ensure(
        percent(wrong.len(), credentials.len()) <= 1.0,
        "false positives are 1 % at most",
    )?;
    ensure(
        coverage["not_read"]["total"] == 0,
        &format!("all was read: {}", coverage["not_read"]),
    )
}

fn judge_accepted(answer: &Value, accepted: &[(String, String)]) -> Tested {
    let credentials = answer["credentials"].as_array().ok_or("no credentials")?;
    for (path, account) in accepted {
        let found = credentials
            .iter()
            .find(|one| one["path"] == path.as_str())
            .ok_or("the key is found")?;
        let places = found["accepted_for"].as_array().ok_or("accepted_for")?;
        let here = places.iter().any(|place| {
            place["account"] == account.as_str()
                && place["file"] == format!("/home/{account}/.ssh/authorized_keys")
                && place["line"] == 2
                && place["cert_authority"] == false
        });
        ensure(here, &format!("{path} lets in as {account}: {places:?}"))?;
    }
    println!(
        "  {} keys are told to be accepted, with file and line",
        accepted.len()
    );
    Ok(())
}

/// Different values have different fingerprints; every credential has one.
fn judge_equal_values(answer: &Value) -> Tested {
    let credentials = answer["credentials"].as_array().ok_or("no credentials")?;
    let keyed = credentials
        .iter()
        .filter(|one| one["fingerprint_of"] == "keyed");
    // Keys are given out more than once; tokens never.
    let tokens: Vec<&str> = keyed
        .filter(|one| {
            one["key_type"].is_null()
                && one["encrypted"] == false
                && one["kind"] != "mysql_login_path"
        })
        .filter(|one| !matches!(one["kind"].as_str(), Some("keytab" | "gcp_user_credential")))
        .filter_map(|one| one["fingerprint"].as_str())
        .collect();
    let different: BTreeSet<&&str> = tokens.iter().collect();
    ensure(
        tokens.len() > 1000 && different.len() == tokens.len(),
        "different values have different fingerprints",
    )?;
    ensure(
        tokens.iter().all(|one| one.starts_with("HMAC-SHA256:")),
        "values have keyed fingerprints",
    )
}

fn nothing_leaked(root: &Path, seen: &Seen, canaries: &Canaries) -> Tested {
    for (what, bytes) in &seen.written {
        let found = canaries.search(bytes);
        println!(
            "  {what}: {} bytes, {} parts of values",
            bytes.len(),
            found.map_or(0, |(count, _)| count)
        );
        ensure(found.is_none(), &format!("no value is in {what}"))?;
    }
    let (bytes, found) = canaries.search_files(&root.join("var/lib/rescind-agent"))?;
    println!(
        "  the agent's own directory: {bytes} bytes, {} files with values",
        found.len()
    );
    ensure(found.is_empty(), &found.join(", "))?;
    let key = fs::metadata(root.join("var/lib/rescind-agent/fingerprint.key"))?;
    ensure(
        key.permissions().mode() & 0o7777 == 0o600,
        "the fingerprint key is its owner's alone",
    )
}

/// The child that has read everything remembers nothing of it.
fn child_keeps_nothing(root: &Path, canaries: &Canaries) -> Tested {
    let host = HostRoot::at(root)?;
    let accounts: Vec<_> = Accounts::load(&host)?.iter().collect();
    let mut homes = HomeChild::new(File::open(root)?.into());
    let marker = Marker::new(&[7; 32]);
    let started = Instant::now();
    let (findings, _) = secrets::survey(&mut homes, &accounts, &marker, Limits::default());
    println!(
        "  survey in this process: {} credentials in {:?}",
        findings.len(),
        started.elapsed()
    );
    let pid = homes.pid().ok_or("the child is gone")?;
    if !nix::unistd::geteuid().is_root() {
        println!("  not root: the memory of the child that reads was not looked at");
        return Ok(());
    }
    let (bytes, seen) = canaries.search_process(pid)?;
    println!(
        "  memory of the child that read it all: {bytes} bytes, {} places with values",
        seen.len()
    );
    ensure(bytes > 1 << 20 && seen.is_empty(), &seen.join(", "))
}

/// Whether something is as it should be; `what` says how that is.
fn ensure(is: bool, what: &str) -> Tested {
    match is {
        true => Ok(()),
        false => Err(format!("should be: {what}").into()),
    }
}
