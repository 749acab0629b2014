//! Where the product and reality disagree.

use std::collections::BTreeMap;
use std::fmt;

use rescind_agent::orders::Engine;
use rescind_agent::sshd::effective::RootLogin;
use rescind_agent::sshd::matching::{Connection, Subject};
use rescind_agent::sshd::release::Release;
use rescind_protocol::path::{AccessPath, PathState};

use super::case::{Case, Try};
use super::credentials::{Credential, Credentials, Kind};
use super::logins::Tried;
use super::settings::differences;
use super::stage::Stage;

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
        let unknown: usize = self.unknown.values().sum();
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
        let theirs = stage.told(person.name);
        let connection = connection(stage, &case.tries[0]);
        let from_us = Connection {
            host: Some(stage.us.clone().into()),
            address: Some(stage.us.clone().into()),
            local_port: Some(22),
            ..connection
        };
        let subject = Subject {
            name: person.name.as_bytes(),
            groups: groups(person.name),
        };
        let config = sshds[0].config.as_ref().map_err(ToString::to_string);
        let ours = config.and_then(|config| {
            let settings = config.effective(&subject, &mut from_us.clone());
            match settings.wrong {
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
        let connection = connection(stage, one);
        let paths = engine.paths_of_connection(&account, connection).unwrap();
        let relevant: Vec<&AccessPath> = paths
            .iter()
            .filter(|path| credential.would_use(path))
            .collect();
        count.logins += 1;
        count.let_in += usize::from(real.got_in);
        let with = |state| relevant.iter().find(|path| path.state == state);
        let open = with(PathState::Open);
        let what = format!(
            "{} seed {}, {} with {}, port {}{}: the login {}",
            stage.host().release(),
            case.seed,
            one.account,
            one.credential,
            one.port,
            if one.other { ", other address" } else { "" },
            if real.got_in { "succeeds" } else { "fails" },
        );
        match (open, with(PathState::Unknown), real.got_in) {
            (Some(_), _, true) | (None, None, false) => {}
            (Some(_), _, false)
                if !real.asked || another_would_do(one, credential, stage, engine) => {}
            (None, Some(path), _) => {
                let reason = path.reason.split([';', '(']).next().unwrap_or_default();
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

/// Whether this is a certificate, and one of another kind of the same CA, whose path it is, would
/// get in.
fn another_would_do(
    one: &Try,
    credential: &Credential,
    stage: &Stage,
    engine: &mut Engine,
) -> bool {
    let Kind::Certificate { forced_command, .. } = credential.kind else {
        return false;
    };
    let sshds = engine.sshds().unwrap();
    let Ok(config) = &sshds[0].config else {
        return false;
    };
    let subject = Subject {
        name: one.account.as_bytes(),
        groups: groups(one.account),
    };
    let settings = config.effective(&subject, &mut connection(stage, one));
    let type_is_taken = settings
        .pubkey_accepted_algorithms
        .value
        .contains(&"ssh-ed25519-cert-v01@openssh.com");
    let command_is_wanted =
        one.account == "root" && settings.permit_root_login.value == RootLogin::ForcedCommandsOnly;
    !type_is_taken || (command_is_wanted && !forced_command)
}

/// The names of the groups of an account.
fn groups(account: &str) -> &'static [&'static [u8]] {
    match account {
        "alice" => &[b"alice", b"admins"],
        "bob" => &[b"bob"],
        _ => &[b"root"],
    }
}

fn connection(stage: &Stage, one: &Try) -> Connection {
    let from = if one.other { &stage.other } else { &stage.us };
    Connection {
        host: Some(from.clone().into()),
        address: Some(from.clone().into()),
        local_address: Some(stage.host().address().to_string().into()),
        local_port: Some(one.port),
        rdomain: Some(Vec::new()),
    }
}

fn show(case: &Case) -> String {
    let mut shown: Vec<String> = super::people::lines(&case.people).into();
    shown.extend(case.nodes.iter().map(super::nodes::Node::show));
    shown.join("\n")
}
