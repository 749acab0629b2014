//! Where the product and reality disagree.

use std::collections::BTreeMap;
use std::fmt;

use rescind_agent::orders::Engine;
use rescind_agent::paths::facts::Client;
use rescind_agent::sshd::matching::{Connection, Subject};
use rescind_agent::sshd::release::Release;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use rescind_tests::CONTROL_NAME;

use super::case::{Case, Try};
use super::credentials::{Credential, Credentials};
use super::logins::Tried;
use super::nodes::Node;
use super::people::Person;
use super::settings::differences;
use super::stage::{OTHER_NAME, Stage};

/// Disagreements that are shown whole.
const SHOWN: usize = 3;

/// What was compared and what came of it.
#[derive(Default)]
pub struct Count {
    pub configurations: usize,
    /// Asked of `sshd -T`.
    settings: usize,
    logins: usize,
    let_in: usize,
    disagreements: usize,
    /// Answers that were not known, by their reasons.
    unknown: BTreeMap<String, usize>,
}

impl Count {
    /// No disagreement, and enough of both answers to tell anything.
    pub fn is_good(&self) -> bool {
        // That a program decides is all that can be known.
        let unknown = self.unknown.iter();
        let unknown = unknown.filter(|(reason, _)| !reason.contains("decides"));
        let unknown: usize = unknown.map(|(_, times)| times).sum();
        self.disagreements == 0
            && unknown * 50 <= self.logins
            && (self.logins < 100 || self.let_in * 10 > self.logins)
    }

    fn disagreement(&mut self, what: &str, shown: impl FnOnce() -> String) {
        self.disagreements += 1;
        eprintln!("DISAGREEMENT {what}");
        if self.disagreements <= SHOWN {
            eprintln!("{}", shown());
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} configurations, {} answers of sshd -T, {} logins of which {} got in, {} \
             disagreements, {} unknown",
            self.configurations,
            self.settings,
            self.logins,
            self.let_in,
            self.disagreements,
            self.unknown.values().sum::<usize>()
        )?;
        for (reason, times) in &self.unknown {
            write!(f, "\n  {times} times unknown: {reason}")?;
        }
        Ok(())
    }
}

/// Compares the settings in force with what `sshd -T` says of them; false when sshd does not take
/// the configuration.
pub fn settings(
    case: &Case,
    stage: &mut Stage,
    engine: &mut Engine,
    release: &Release,
    count: &mut Count,
) -> bool {
    let sshds = engine.sshds().unwrap();
    let mut started = false;
    for person in &case.people {
        count.settings += 1;
        let what = format!("seed {}, settings for {}", case.seed, person.name);
        let from_us = Try {
            account: person.name,
            credential: "",
            with_password: false,
            port: 22,
            other: false,
        };
        let from_us = connection(case, stage, &from_us);
        let name = String::from_utf8(from_us.host.clone().unwrap()).unwrap();
        let theirs = stage.told(person.name, &name);
        let subject = Subject {
            name: person.name.as_bytes(),
            groups: groups(case, person.name),
        };
        let config = sshds[0].config.as_ref().map_err(ToString::to_string);
        let ours = config.and_then(|config| {
            let settings = config.effective(&subject, &mut from_us.clone());
            match &settings.wrong {
                // sshd serves others, and drops this connection.
                Some(wrong) => Err(wrong.value.to_owned()),
                None => Ok(settings),
            }
        });
        let difference = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => differences(ours, theirs, release).join("\n"),
            (Err(_), Err(_)) => String::new(),
            (Ok(_), Err(error)) => format!("sshd refuses: {error}"),
            (Err(error), Ok(_)) => format!("we refuse: {error}"),
        };
        started |= theirs.is_ok();
        if !difference.is_empty() {
            count.disagreement(&what, || format!("{difference}\n{}", show(case)));
        }
    }
    started
}

/// Compares what came of logins with the paths that the product sees.
pub fn logins(
    case: &Case,
    tried: &[Tried],
    stage: &Stage,
    engine: &mut Engine,
    credentials: &Credentials,
    count: &mut Count,
) {
    for (one, real) in case.tries.iter().zip(tried) {
        let credential = credentials.by_name(one.credential);
        let account = one.account.parse().unwrap();
        let client = Client {
            connection: connection(case, stage, one),
            certificate: credential.certificate(),
        };
        let paths = engine.paths_of_client(&account, client).unwrap();
        let relevant: Vec<&AccessPath> = paths
            .iter()
            .filter(|path| would_use(one, credential, path))
            .collect();
        count.logins += 1;
        count.let_in += usize::from(real.got_in);
        let expected = expect(one, &relevant);
        let what = format!(
            "{} seed {}, {} with {}{}, port {}{}: the login {}",
            stage.host().release(),
            case.seed,
            one.account,
            one.credential,
            if one.with_password {
                " and password"
            } else {
                ""
            },
            one.port,
            if one.other { ", other address" } else { "" },
            if real.got_in { "succeeds" } else { "fails" },
        );
        match (expected, real.got_in) {
            (PathState::Open, true) | (PathState::Closed, false) => {}
            (PathState::Open, false) if !real.asked => {}
            (PathState::Unknown, _) => {
                let unknown = relevant
                    .iter()
                    .find(|path| path.state == PathState::Unknown);
                let reason = unknown.map_or("", |path| &path.reason);
                let reason = reason.split([';', '(', ':']).next().unwrap_or_default();
                *count.unknown.entry(reason.trim_end().into()).or_default() += 1;
                if std::env::var_os("RESCIND_LOGIN_SEED").is_some() {
                    eprintln!("{what}, we do not know: {relevant:#?}\n{}", real.log);
                }
            }
            _ => count.disagreement(&what, || {
                let log = stage.log();
                format!("{relevant:#?}\n{}\n{log}\n{}", show(case), real.log)
            }),
        }
    }
}

fn would_use(one: &Try, credential: &Credential, path: &AccessPath) -> bool {
    credential.would_use(path) || (one.with_password && path.mechanism == Mechanism::SshPassword)
}

/// What the paths that a try would use say of it.
fn expect(one: &Try, paths: &[&AccessPath]) -> PathState {
    // A way that needs a second one beside it is open only where the try has that, too.
    let needs_others = |path: &AccessPath| path.reason.contains("only together with others");
    let is_password = |path: &AccessPath| path.mechanism == Mechanism::SshPassword;
    let mut states = paths.iter().map(|path| match path.state {
        PathState::Open if needs_others(path) && !one.with_password => PathState::Closed,
        PathState::Open if needs_others(path) => paths
            .iter()
            .filter(|other| is_password(other) != is_password(path) && needs_others(other))
            .map(|other| other.state)
            .min_by_key(|state| *state != PathState::Open)
            .unwrap_or(PathState::Closed),
        state => state,
    });
    let states: Vec<PathState> = states.by_ref().collect();
    [PathState::Open, PathState::Unknown]
        .into_iter()
        .find(|state| states.contains(state))
        .unwrap_or(PathState::Closed)
}

/// The names of the groups of an account.
fn groups(case: &Case, account: &str) -> &'static [&'static [u8]] {
    let gid = |person: &&Person| person.name == account && person.gid == 1000;
    match account {
        "alice" => &[b"alice", b"admins"],
        "bob" if case.people.iter().any(|person| gid(&person)) => &[b"alice"],
        "bob" => &[b"bob"],
        _ => &[b"root"],
    }
}

fn connection(case: &Case, stage: &Stage, one: &Try) -> Connection {
    let (from, name) = match one.other {
        true => (&stage.other, OTHER_NAME),
        false => (&stage.us, CONTROL_NAME),
    };
    let host = if case.uses_dns { name } else { from };
    Connection {
        host: Some(host.into()),
        address: Some(from.clone().into()),
        local_address: Some(stage.host().address().to_string().into()),
        local_port: Some(one.port),
        rdomain: Some(Vec::new()),
    }
}

fn show(case: &Case) -> String {
    let mut shown: Vec<String> = super::people::lines(&case.people).into();
    // Of the files that are on every host those that are named.
    let is_named = |node: &&Node| {
        let Some(name) = node.path.strip_prefix("/etc/ssh/") else {
            return true;
        };
        let says = |other: &Node| other.path != node.path && other.says(name);
        node.is_directory() || name.contains('/') || case.nodes.iter().any(says)
    };
    shown.extend(case.nodes.iter().filter(is_named).map(Node::show));
    shown.join("\n")
}
