//! Homes that are made to hurt whoever looks for ways in: what cannot be read is named with its
//! cause, by `paths` or by the coverage of the survey, and everybody else's result is what it is
//! without them, in the time that it takes without them and one wait for each user who hangs.
//!
//! This program is also the agent whose command it tests, so that it needs no other build. Run as
//! root it tests more: owners that differ, devices, a file system that never answers.

mod hurt;
mod place;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use clap::Parser;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use rescind_agent::cli::Cli;
use rescind_tests::Silent;
use serde_json::Value;

use hurt::Want;
use place::{Place, Scratch};

type Tested = Result<(), Box<dyn Error>>;

/// Well-behaved neighbours, with a key, a crontab and a unit each.
const NEIGHBOURS: u32 = 50;
/// One answer is waited for so long, once for each user.
const WAIT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = || std::env::args_os().skip(1);
    let hidden = rescind_agent::home::hidden_entry(arguments())
        .or_else(|| rescind_agent::store::hidden_entry(arguments()));
    if let Some(code) = hidden {
        return code;
    }
    let first = std::env::args().nth(1);
    if first.is_some_and(|word| word == "inventory" || word == "paths") {
        return Cli::parse().run().into();
    }
    let scratch = Scratch::new();
    match homes(&scratch.0) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hostile_homes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn homes(dir: &Path) -> Tested {
    let is_root = geteuid().is_root();
    let mut place = Place::new(dir);
    for n in 0..NEIGHBOURS {
        place.neighbour(&format!("neighbour{n:02}"));
    }
    place.finish();
    let alone = Surveyed::of(&place)?;
    println!(
        "  {NEIGHBOURS} neighbours alone: paths {:.1?}, survey {:.1?}",
        alone.paths_took, alone.survey_took
    );

    let mut wants: Vec<Want> = Vec::new();
    hurt::fifos(&mut place, &mut wants);
    hurt::socket(&mut place, &mut wants);
    hurt::sparse(&mut place, &mut wants);
    hurt::many_names(&mut place, &mut wants);
    hurt::deep(&mut place, &mut wants);
    hurt::circle(&mut place, &mut wants);
    hurt::many_keys(&mut place, &mut wants);
    let mut silent = Vec::new();
    if is_root {
        hurt::zero(&mut place, &mut wants);
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        for (name, at, named) in [
            ("hunghome", "", "/.ssh/authorized_keys"),
            ("hungkeys", "/.ssh", "/.ssh/authorized_keys"),
            (
                "hungunits",
                "/.config/systemd/user",
                "/.config/systemd/user",
            ),
        ] {
            let home = place.neighbour(name);
            silent.push(Silent::mount(&place.path(&format!("{home}{at}")))?);
            wants.push(Want::new(name, &format!("{home}{named}"), "hang"));
        }
    } else {
        println!("  not root: no device, no file system that never answers");
    }
    place.finish();
    let found = Surveyed::of(&place)?;
    let hang = u32::try_from(silent.len())? * WAIT;
    drop(silent);
    println!(
        "  with {} that hurt: paths {:.1?}, survey {:.1?}",
        wants.len(),
        found.paths_took,
        found.survey_took
    );

    for want in &wants {
        let named = found.not_read.iter().any(|one| want.is(one));
        println!("    {want}");
        let of_account: Vec<String> = found
            .not_read
            .iter()
            .filter(|one| one["account"] == want.account.as_str())
            .map(|one| one.to_string().chars().take(200).collect())
            .collect();
        ensure(named, &format!("{want} is named: {of_account:?}"))?;
    }
    ensure(
        found.of_neighbours().len() as u32 >= 3 * NEIGHBOURS,
        "every neighbour has a key, a job and a unit",
    )?;
    ensure(
        found.of_neighbours() == alone.of_neighbours(),
        "the neighbours' ways in are what they were",
    )?;
    if is_root {
        // What lies beside the directory that hangs is told, except of what hung.
        let beside = |account: &str, mechanism: &str| {
            let mut paths = found.paths.iter();
            paths.any(|path| {
                path["account"] == account
                    && path["mechanism"] == mechanism
                    && !path["fingerprint"].is_null()
                    || path["account"] == account && path["mechanism"] == "crontab"
            })
        };
        ensure(
            beside("hungunits", "ssh_public_key"),
            "keys beside units that hang",
        )?;
        ensure(
            beside("hunghome", "crontab"),
            "the crontab of a home that hangs",
        )?;
    }
    // The survey looks for secrets, too, and waits once or twice more for each.
    for (what, took, before, waits) in [
        ("paths", found.paths_took, alone.paths_took, hang),
        ("survey", found.survey_took, alone.survey_took, 3 * hang),
    ] {
        // What is large takes time to be told, too; a busy machine needs more of it.
        let allowed = 10 * before + waits + Duration::from_secs(20);
        ensure(
            took < allowed,
            &format!("{what} took {took:?}, at most {allowed:?}"),
        )?;
    }
    Ok(())
}

/// What both commands say of the host.
struct Surveyed {
    paths: Vec<Value>,
    paths_took: Duration,
    not_read: Vec<Value>,
    survey_took: Duration,
}

impl Surveyed {
    fn of(place: &Place) -> Result<Self, Box<dyn Error>> {
        let (paths, paths_took) = run(&["paths"], &place.root)?;
        let (coverage, survey_took) = run(&["inventory", "--coverage"], &place.root)?;
        let sections = coverage["sections"].as_array().ok_or("no sections")?;
        let not_read = sections
            .iter()
            .flat_map(|one| one["not_read"]["listed"].as_array().into_iter().flatten());
        Ok(Self {
            paths: paths.as_array().ok_or("no paths")?.clone(),
            paths_took,
            not_read: not_read.cloned().collect(),
            survey_took,
        })
    }

    fn of_neighbours(&self) -> BTreeSet<String> {
        let is_neighbours = |path: &&Value| {
            let account = path["account"].as_str().unwrap_or_default();
            let told = ["ssh_public_key", "crontab", "systemd_user_unit"];
            account.starts_with("neighbour")
                && told.contains(&path["mechanism"].as_str().unwrap_or_default())
        };
        let paths = self.paths.iter().filter(is_neighbours);
        paths.map(ToString::to_string).collect()
    }
}

fn run(words: &[&str], root: &Path) -> Result<(Value, Duration), Box<dyn Error>> {
    let started = Instant::now();
    let out = Command::new(fs::read_link("/proc/self/exe")?)
        .args(words)
        .args(["--json", "--root"])
        .arg(root)
        .output()?;
    let took = started.elapsed();
    ensure(out.status.success(), &String::from_utf8_lossy(&out.stderr))?;
    Ok((serde_json::from_slice(&out.stdout)?, took))
}

/// Whether something is as it should be; `what` says how that is.
fn ensure(is: bool, what: &str) -> Tested {
    match is {
        true => Ok(()),
        false => Err(format!("should be: {what}").into()),
    }
}
