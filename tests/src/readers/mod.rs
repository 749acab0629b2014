//! Every reader of bytes that the product has, as functions that take any bytes.
//!
//! A [`Target`] gives its input to a reader, or to a few that belong together, and panics when an
//! answer is wrong: not only when a reader panics, but when a file does not come out as it went in,
//! when an edit changes more than it should, when what is told to people holds control characters.
//! `cargo test --test readers` runs all of them on the seeds and on mutations of them; libFuzzer runs
//! each for as long as one likes, see `tests/fuzz/README.md`.

use std::path::{Path, PathBuf};

/// What recognisers of credentials say of a file.
mod notes;
/// What is told to people, and of which line.
mod told;

/// How much time and memory reading has taken.
pub mod cost;
/// What text of the product's own sources can be read as a fixture.
pub mod fixtures;
/// Changes to an input, the same for the same seed.
pub mod mutate;
/// Numbers that are the same for the same seed.
pub mod random;
/// A directory for readers that open their files themselves.
mod scratch;
/// Several files in one input.
pub mod tree;

/// An account whose ways in are asked for.
mod alice;

/// passwd, shadow, group, gshadow, login.defs.
mod account_files;
/// Certificates, and requests for them.
mod certificates;
/// doas.conf, polkit.
mod grants;
/// What root's process and its child in homes say to each other.
mod home_messages;
/// crontab, anacrontab, jobs of at.
mod jobs;
/// The journal's files.
mod journal;
/// Public key blobs, certificates, key revocation lists.
mod key_blobs;
/// authorized_keys, lists of revoked keys.
mod key_files;
/// Records of logins.
mod logins;
/// What agent and control plane say to each other.
mod messages;
/// Signed orders, sealed records, bundles.
mod orders;
/// PAM's stacks.
mod pam;
/// Private keys in all their forms.
mod private_keys;
/// /proc, logind.
mod processes;
/// Every recogniser of credentials.
mod secrets;
/// Sections of surveys.
mod sections;
/// agent.toml, trust.toml, small files of the host.
mod settings;
/// sshd_config, and what it comes to.
mod sshd_config;
/// sudoers, sudo.conf.
mod sudoers;
/// Files of systemd-journald.
mod system_journal;
/// .rhosts and its like, .k5login, ssh_known_hosts, principals.
mod trust_files;
/// Unit files.
mod units;

pub use told::is_told_safely;

/// A reader, or a few that belong together.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads the bytes; panics when something is wrong.
    pub read: fn(&[u8]),
    /// Words that mean something to the reader.
    pub words: &'static [&'static str],
    /// Inputs that are bytes and not text, made by the code that writes them.
    pub made: fn() -> Vec<Vec<u8>>,
    /// Where in the tree the tests lie whose texts are inputs, too.
    pub rooms: &'static [&'static str],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    account_files::TARGET,
    key_files::TARGET,
    key_blobs::TARGET,
    trust_files::TARGET,
    sshd_config::TARGET,
    sudoers::TARGET,
    grants::TARGET,
    jobs::TARGET,
    units::TARGET,
    pam::TARGET,
    settings::TARGET,
    processes::TARGET,
    secrets::TARGET,
    private_keys::TARGET,
    messages::TARGET,
    orders::TARGET,
    home_messages::TARGET,
    certificates::TARGET,
    journal::TARGET,
    sections::TARGET,
    logins::TARGET,
    system_journal::TARGET,
];

/// The target of that name.
///
/// # Panics
/// When there is none.
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    *found.unwrap_or_else(|| panic!("there is no target {name}"))
}

/// The inputs to begin with: those committed in `tests/fuzz/seeds`, those that are made, and the texts
/// of the tests beside the reader's code.
///
/// # Panics
/// When they cannot be read.
pub fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target.name);
    let mut seeds = (target.made)();
    if committed.is_dir() {
        let files = std::fs::read_dir(&committed).expect("a directory of seeds");
        let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a seed").path()).collect();
        paths.sort();
        seeds.extend(
            paths
                .iter()
                .map(|path| std::fs::read(path).expect("a seed")),
        );
    }
    seeds.extend(fixtures::literals_in(target.rooms));
    seeds
}

/// For those whose inputs are all text.
fn nothing_made() -> Vec<Vec<u8>> {
    Vec::new()
}
