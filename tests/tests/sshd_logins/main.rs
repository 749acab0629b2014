//! What the product says of generated hosts against real logins on them, and against `sshd -T -C`.
//!
//! Three hosts are booted, Debian 11 to 13; each becomes one generated host after the other: three
//! accounts in odd states, key files in odd places and modes, an sshd_config. The product reads it
//! with its own code, sshd serves it, and the real client tries to log in.
//!
//! `RESCIND_LOGIN_CASES=N` makes N for each release; `RESCIND_LOGIN_SEED=S` makes only that one, or
//! N from there; `cargo test --test sshd_logins -- bookworm` takes one release.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

/// One generated host.
mod case;
/// Generated configurations of sshd.
mod config;
/// What logins are tried with.
mod credentials;
/// Where the product and reality disagree.
mod judge;
/// Generated key files.
mod key_files;
/// Logins with the real client.
mod logins;
/// Files before they are laid down.
mod nodes;
/// Stacks of PAM.
mod pam;
/// Generated accounts.
mod people;
/// What `sshd -T` prints, and what we would.
#[path = "../sshd_agreement/settings.rs"]
mod settings;
/// The booted host.
mod stage;

use std::fs;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use case::Case;
use credentials::Credentials;
use judge::Count;
use rescind_agent::orders::Engine;
use rescind_tests::{Release, on_all_releases};
use stage::Stage;

/// Generated hosts for each release.
const CASES: u64 = 500;

fn main() -> ExitCode {
    // The product reads users' files in a child that is this program.
    if let Some(code) = rescind_agent::home::hidden_entry(std::env::args_os().skip(1)) {
        return code;
    }
    on_all_releases("sshd_logins", |release, first_seed| {
        compare(release, first_seed).is_good()
    })
}

/// All generated hosts of one release.
fn compare(release: Release, first_seed: u64) -> Count {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let (seed, cases) = (number("RESCIND_LOGIN_SEED"), number("RESCIND_LOGIN_CASES"));
    let first = seed.unwrap_or(first_seed);
    let seeds = first..first + cases.unwrap_or(if seed.is_some() { 1 } else { CASES });
    let work =
        std::env::temp_dir().join(format!("rescind-logins-{}-{release}", std::process::id()));
    fs::create_dir_all(&work).unwrap();
    let askpass = logins::write_askpass(&work);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let today = i64::try_from(now.as_secs() / 86_400).unwrap();

    let mut stage = Stage::set(release);
    let credentials = Credentials::make(&work, &stage.us, &stage.other);
    let mut engine = Engine::open(stage.host().root()).unwrap();
    let banner = stage.shell("ssh -V 2>&1");
    let version = banner.parse().unwrap();
    let (mut count, begin) = (Count::default(), Instant::now());
    for seed in seeds.clone() {
        let mut case = Case::generate(seed, &version, &credentials, today);
        stage.become_host(&mut case);
        count.configurations += 1;
        if !judge::settings(&case, &mut stage, &mut engine, &version, &mut count) {
            continue;
        }
        stage.serve();
        let tried = logins::run_all(&case, &stage, &credentials, &askpass);
        judge::logins(&case, &tried, &stage, &mut engine, &credentials, &mut count);
    }
    println!(
        "{release}, {version}, seeds {}..{}: {count} in {:.0?}",
        seeds.start,
        seeds.end,
        begin.elapsed()
    );
    let _ = fs::remove_dir_all(&work);
    count
}
