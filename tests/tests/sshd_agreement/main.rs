//! Our reading of sshd_config(5) against `sshd -T -C` of real releases, on generated configurations.
//!
//! Needs root, and Debian roots in `RESCIND_ROOTS` (default `/var/cache/rescind-tests/roots`): bullseye (OpenSSH 8.4),
//! bookworm (9.2), trixie (10.0). Nothing in them is changed: sshd runs in an overlay that ends with the test.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its surroundings are not as it needs them"
)]

/// Generated configurations.
mod configs;
/// A real sshd in a throw-away copy of a root.
mod oracle;
/// What `sshd -T` prints, and what we would.
mod settings;

use std::path::{Path, PathBuf};

use oracle::Oracle;
use rescind_agent::sshd::include::Config;
use rescind_agent::sshd::matching::Subject;

/// Configurations for each release; each is asked about for every one of [`oracle::CONNECTIONS`].
const CONFIGURATIONS: u64 = 500;

fn root(name: &str) -> PathBuf {
    let roots =
        std::env::var_os("RESCIND_ROOTS").unwrap_or("/var/cache/rescind-tests/roots".into());
    Path::new(&roots).join(name)
}

fn agree(name: &str) {
    let oracle = Oracle::new(&root(name));
    let release = oracle.release();
    for number in 0..CONFIGURATIONS {
        configs::write(&oracle.case(number), number, &release);
    }
    oracle.run();
    let (mut disagreements, mut refused) = (Vec::new(), 0);
    for number in 0..CONFIGURATIONS {
        let config = Config::load(&oracle, &oracle.config_path(number), &release)
            .map_err(|error| error.to_string());
        // A keyword that we do not know keeps this sshd from starting, and is a finding with us.
        let config = config.and_then(|config| match config.findings().first() {
            Some(finding) => Err(finding.to_string()),
            None => Ok(config),
        });
        for (at, connection) in oracle::CONNECTIONS.iter().enumerate() {
            let subject = Subject {
                name: connection.user.as_bytes(),
                groups: connection.groups,
            };
            let ours = config.clone().and_then(|config| {
                let settings = config.effective(&subject, &mut connection.connection());
                match &settings.wrong {
                    Some(wrong) => Err(wrong.value.to_owned()),
                    None => Ok(settings),
                }
            });
            let difference = match (&ours, oracle.answer(number, at)) {
                (Ok(ours), Ok(theirs)) => settings::differences(ours, &theirs, &release),
                (Err(_), Err(_)) => {
                    refused += 1;
                    Vec::new()
                }
                (Ok(_), Err(error)) => vec![format!("sshd refuses: {error}")],
                (Err(error), Ok(_)) => vec![format!("we refuse: {error}")],
            };
            for line in difference {
                disagreements.push(format!(
                    "configuration {number}, {}: {line}",
                    connection.user
                ));
            }
        }
    }
    let asked = CONFIGURATIONS as usize * oracle::CONNECTIONS.len();
    println!(
        "{release}: {asked} questions, {refused} refused by both, {} disagreements",
        disagreements.len()
    );
    assert!(
        refused < asked / 3,
        "most configurations should be ones that sshd takes"
    );
    assert!(
        disagreements.is_empty(),
        "{} disagreements with {release}:\n{}",
        disagreements.len(),
        disagreements
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
            + &oracle.show_first(&disagreements)
    );
}

#[test]
fn openssh_8_4() {
    agree("bullseye");
}

#[test]
fn openssh_9_2() {
    agree("bookworm");
}

#[test]
fn openssh_10_0() {
    agree("trixie");
}
