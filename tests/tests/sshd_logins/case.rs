//! One host as it is generated: people, files, and the logins to try.

use rescind_agent::sshd::release::Release;
use rescind_tests::readers::random::Random;

use super::config::{self, Theme};
use super::credentials::{Credential, Credentials, Kind};
use super::key_files::{self, Wanted};
use super::nodes::Node;
use super::pam;
use super::people::{self, Person};

pub struct Case {
    pub seed: u64,
    /// sshd asks for the names of clients.
    pub uses_dns: bool,
    pub people: Vec<Person>,
    pub nodes: Vec<Node>,
    pub tries: Vec<Try>,
}

/// More logins than this are not tried on one host: another host tells more.
const TRIES_MAX: usize = 4;

/// A login to try.
pub struct Try {
    pub account: &'static str,
    pub credential: &'static str,
    /// The password comes after the key.
    pub with_password: bool,
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
        for (name, bytes) in &credentials.files {
            nodes.push(Node::file(&format!("/etc/ssh/{name}"), bytes.as_slice()));
        }
        let theme = Theme::pick(&mut random);
        nodes.extend(config::jails(&mut random));
        nodes.extend(pam::generate(&mut random));
        let config = config::generate(&mut random, release, theme);
        let says = |text: &str| config.iter().any(|node| node.says(text));
        let permits_empty = says("PermitEmptyPasswords");
        let wants_both = says("publickey,");
        let uses_dns = says("UseDNS yes");
        let authorities = match theme {
            Theme::Certificates => 40,
            Theme::Usual | Theme::Jails => 8,
        };
        let wanted = Wanted::by(&config, authorities);
        nodes.extend(config);
        let mut tries = Vec::new();
        for person in &people {
            let keys = key_files::generate(&mut random, person, &wanted, credentials);
            nodes.extend(keys.nodes);
            let picker = Picker {
                person,
                permits_empty,
                theme,
                present: &keys.present,
                credentials,
            };
            for credential in picker.pick(&mut random) {
                tries.push(Try {
                    account: person.name,
                    credential: credential.name,
                    with_password: wants_both
                        && !person.must_change
                        && matches!(credential.kind, Kind::Key(_))
                        && random.chance(70),
                    port: if random.chance(75) { 22 } else { 2222 },
                    other: random.chance(25),
                });
            }
        }
        while tries.len() > TRIES_MAX {
            tries.remove(random.below(tries.len()));
        }
        Self {
            seed,
            uses_dns,
            people,
            nodes,
            tries,
        }
    }
}

/// Chooses what an account logs in with, mostly such as it has.
struct Picker<'c> {
    person: &'c Person,
    permits_empty: bool,
    theme: Theme,
    present: &'c [&'static str],
    credentials: &'c Credentials,
}

impl<'c> Picker<'c> {
    fn pick(&self, random: &mut Random) -> Vec<&'c Credential> {
        // Who needs no password is let in before a key is looked at.
        let keys_are_asked = !(self.person.empty_password && self.permits_empty);
        let mut picked = Vec::new();
        if keys_are_asked {
            let keys = match (self.theme, self.person.uid) {
                (Theme::Certificates, _) => usize::from(random.chance(30)),
                (_, 0) => 1,
                _ => 1 + usize::from(random.chance(40)),
            };
            for _ in 0..keys {
                picked.push(self.key(random));
            }
            let certificates = match self.theme {
                Theme::Certificates => 2,
                Theme::Usual | Theme::Jails => usize::from(random.chance(12)),
            };
            for _ in 0..certificates {
                picked.push(self.certificate(random));
            }
        }
        if random.chance(18) && !self.person.must_change {
            picked.push(self.credentials.by_name("password"));
        }
        picked.dedup_by_key(|one| one.name);
        picked
    }

    fn key(&self, random: &mut Random) -> &'c Credential {
        if self.present.is_empty() || random.chance(10) {
            &self.credentials.all[random.below(self.credentials.lines.len())]
        } else {
            self.credentials.by_name(random.pick(self.present))
        }
    }

    fn certificate(&self, random: &mut Random) -> &'c Credential {
        let all = self.credentials.all.iter();
        let certificates: Vec<_> = all.filter(|one| one.certificate().is_some()).collect();
        // Mostly one that the account could use.
        for _ in 0..4 {
            let one = certificates[random.below(certificates.len())];
            let principals = one.certificate().map(|certificate| &certificate.principals);
            let name = self.person.name.as_bytes();
            if principals.is_some_and(|all| all.is_empty() || all.iter().any(|p| p == name)) {
                return one;
            }
        }
        certificates[random.below(certificates.len())]
    }
}
