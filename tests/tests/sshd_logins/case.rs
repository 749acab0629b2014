//! One host as it is generated: people, files, and the logins to try.

use rescind_agent::sshd::release::Release;

use super::credentials::{Credential, Credentials, Kind};
use super::nodes::Node;
use super::people::{self, Person};
use super::random::Random;
use super::{config, key_files};

pub struct Case {
    pub seed: u64,
    pub people: Vec<Person>,
    pub nodes: Vec<Node>,
    pub tries: Vec<Try>,
}

/// A login to try.
pub struct Try {
    pub account: &'static str,
    pub credential: &'static str,
    pub port: u16,
    /// Comes from this machine's other address.
    pub other: bool,
}

impl Case {
    /// The same seed gives the same case for the same release and day.
    pub fn generate(seed: u64, release: &Release, credentials: &Credentials, today: i64) -> Self {
        let mut random = Random::new(seed);
        let people = people::generate(&mut random, today);
        let mut nodes: Vec<Node> = [
            "/srv/keys",
            "/srv/by-uid",
            "/srv/principals",
            "/srv/homes",
            "/srv/linked",
            "/etc/ssh/keys",
        ]
        .map(Node::directory)
        .into();
        nodes.push(Node::file(
            "/etc/ssh/ca.pub",
            format!("{} ca\n", credentials.authority),
        ));
        for (name, bytes) in &credentials.revoked {
            nodes.push(Node::file(&format!("/etc/ssh/{name}"), bytes.as_slice()));
        }
        let config = config::generate(&mut random, release);
        let permits_empty = config.iter().any(|node| node.says("PermitEmptyPasswords"));
        nodes.extend(config);
        let mut tries = Vec::new();
        for person in &people {
            let keys = key_files::generate(&mut random, person, credentials);
            nodes.extend(keys.nodes);
            for credential in pick(
                &mut random,
                person,
                permits_empty,
                &keys.present,
                credentials,
            ) {
                tries.push(Try {
                    account: person.name,
                    credential: credential.name,
                    port: if random.chance(75) { 22 } else { 2222 },
                    other: random.chance(25),
                });
            }
        }
        Self {
            seed,
            people,
            nodes,
            tries,
        }
    }
}

/// Some of the credentials, mostly such as the account has.
fn pick<'c>(
    random: &mut Random,
    person: &Person,
    permits_empty: bool,
    present: &[&'static str],
    credentials: &'c Credentials,
) -> Vec<&'c Credential> {
    let all = &credentials.all;
    let mut picked: Vec<&Credential> = Vec::new();
    let keys = if person.uid == 0 { 1 } else { 2 };
    // Who needs no password is let in before a key is looked at.
    let keys_are_asked = !(person.empty_password && permits_empty);
    for _ in 0..if keys_are_asked { keys } else { 0 } {
        picked.push(if present.is_empty() || random.chance(10) {
            &all[random.below(credentials.lines.len())]
        } else {
            credentials.by_name(random.pick(present))
        });
    }
    if random.chance(25) && keys_are_asked {
        let certificate = |one: &&Credential| matches!(one.kind, Kind::Certificate { .. });
        let certificates: Vec<&Credential> = all.iter().filter(certificate).collect();
        picked.push(certificates[random.below(certificates.len())]);
    }
    if random.chance(25) && !person.must_change {
        picked.push(credentials.by_name("password"));
    }
    picked.dedup_by_key(|one| one.name);
    picked
}
