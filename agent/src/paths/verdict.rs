//! A state with its reason, and how those of several worlds become one.

use rescind_protocol::path::{PathState, in_short};

use crate::sshd::worlds::{World, describe};

/// Whether something is possible, and what decides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Open, closed or unknown.
    pub state: PathState,
    /// For a person to read, [`in_short`].
    pub reason: String,
}

impl Verdict {
    /// Open because of this.
    pub fn open(reason: impl Into<String>) -> Self {
        Self {
            state: PathState::Open,
            reason: in_short(reason.into()),
        }
    }

    /// Closed because of this.
    pub fn closed(reason: impl Into<String>) -> Self {
        Self {
            state: PathState::Closed,
            reason: in_short(reason.into()),
        }
    }

    /// Not to be told because of this.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self {
            state: PathState::Unknown,
            reason: in_short(reason.into()),
        }
    }
}

impl Verdict {
    /// Open first, then what is not known, then closed.
    pub const fn rank(&self) -> u8 {
        match self.state {
            PathState::Open => 0,
            PathState::Unknown => 1,
            PathState::Closed => 2,
        }
    }
}

/// What is said of ways that are open and let in to less than everything, or not always: the words
/// that [`is_limited`] knows them by.
pub mod limits {
    /// Behind a key with a command of its own.
    pub const ONE_COMMAND: &str = ", for one command";
    /// Behind a key that is only for some clients.
    pub const FROM: &str = ", from ";
    /// Before where sshd is told to run the same command for everybody.
    pub const FORCED: &str = "only for the command of ForceCommand ";
    /// Before what a connection has to be like.
    pub const CONNECTION: &str = "(when the connection is ";
    /// Before the shell of an account that has none to speak of.
    pub const NO_SHELL: &str = "no shell (";
    /// Before the methods that have to succeed as well.
    pub const WITH_OTHERS: &str = "only together with others: ";
}

/// Whether what is told of an open way says that it is not all that the account can do, or not for
/// all who come. What was cut short may have said so.
pub fn is_limited(reason: &str) -> bool {
    use limits::{CONNECTION, FORCED, FROM, NO_SHELL, ONE_COMMAND, WITH_OTHERS};
    let words = [
        ONE_COMMAND,
        FROM,
        FORCED,
        CONNECTION,
        NO_SHELL,
        WITH_OTHERS,
        "…",
    ];
    words.iter().any(|words| reason.contains(words))
}

/// Checks that must all be passed. A closed one decides; else an unknown one; notes of open ones are collected.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    closed: Option<String>,
    unknown: Option<String>,
    notes: Vec<String>,
}

impl Checks {
    /// Adds a check that failed.
    pub fn closed(&mut self, reason: impl Into<String>) {
        self.closed.get_or_insert_with(|| reason.into());
    }

    /// Adds a check that could not be made.
    pub fn unknown(&mut self, reason: impl Into<String>) {
        self.unknown.get_or_insert_with(|| reason.into());
    }

    /// Adds what closes the way, or may.
    pub fn add_verdict(&mut self, verdict: &Verdict) {
        match verdict.state {
            PathState::Open => self.note(verdict.reason.clone()),
            PathState::Closed => self.closed(verdict.reason.clone()),
            PathState::Unknown => self.unknown(verdict.reason.clone()),
        }
    }

    /// Adds something to know about a way that is open.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Adds the outcome of other checks.
    pub fn add(&mut self, other: &Self) {
        if let Some(reason) = &other.closed {
            self.closed(reason.clone());
        }
        if let Some(reason) = &other.unknown {
            self.unknown(reason.clone());
        }
        other.notes.iter().for_each(|note| self.note(note.clone()));
    }

    /// These checks where they surely pass, else that it is not known what they come to.
    #[must_use]
    pub fn unless_sure(self, why: &str) -> Self {
        if self.is_sure_to_pass() {
            return self;
        }
        Self {
            unknown: Some(why.to_owned()),
            ..Self::default()
        }
    }

    /// Whether something has closed the way already.
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Whether nothing is in the way, and nothing unknown either.
    pub const fn is_sure_to_pass(&self) -> bool {
        self.closed.is_none() && self.unknown.is_none()
    }

    /// The verdict; `open` says how the way works where nothing is in it.
    pub fn verdict(self, open: &str) -> Verdict {
        if let Some(reason) = self.closed {
            return Verdict::closed(reason);
        }
        if let Some(reason) = self.unknown {
            return Verdict::unknown(reason);
        }
        let parts = [vec![open.to_owned()], self.notes].concat();
        Verdict::open(
            parts
                .into_iter()
                .filter(|p| !p.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        )
    }
}

/// The distinct reasons that are told at most.
const REASONS_MAX: usize = 3;

/// One verdict for all worlds: open where any is, else unknown where any is, else closed.
pub fn merge(worlds: Vec<(&World, Verdict)>) -> Verdict {
    for state in [PathState::Open, PathState::Unknown] {
        let hits: Vec<_> = worlds
            .iter()
            .filter(|(_, verdict)| verdict.state == state)
            .collect();
        if let Some((world, verdict)) = hits.first() {
            let mut reason = verdict.reason.clone();
            if hits.len() < worlds.len() {
                reason = format!("{reason} {}{})", limits::CONNECTION, describe(world));
            }
            let reason = in_short(reason);
            return Verdict { state, reason };
        }
    }
    let mut reasons: Vec<String> = Vec::new();
    for (_, verdict) in worlds {
        if !reasons.contains(&verdict.reason) && reasons.len() < REASONS_MAX {
            reasons.push(verdict.reason);
        }
    }
    Verdict::closed(reasons.join("; or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sshd::matching::ConnectionCriterion;

    #[test]
    fn one_open_world_is_enough() {
        let (here, there) = (
            vec![(ConnectionCriterion::LocalPort(22), true)],
            World::new(),
        );
        let merged = merge(vec![
            (&there, Verdict::closed("DenyUsers")),
            (&here, Verdict::open("key")),
        ]);
        assert_eq!(
            merged,
            Verdict::open("key (when the connection is LocalPort 22)")
        );
        let merged = merge(vec![
            (&there, Verdict::closed("a")),
            (&here, Verdict::unknown("b")),
        ]);
        assert_eq!(merged.state, PathState::Unknown);
        let merged = merge(vec![
            (&there, Verdict::closed("a")),
            (&here, Verdict::closed("b")),
        ]);
        assert_eq!(merged, Verdict::closed("a; or b"));
    }

    #[test]
    fn what_is_limited() {
        let with_key = |how: &str| format!("the key is accepted{how}");
        assert!(!is_limited(&with_key("")));
        assert!(!is_limited(&with_key(
            "; the password must be changed at login"
        )));
        for how in [
            limits::ONE_COMMAND,
            ", from 10.0.0.1",
            "; only for the command of ForceCommand (/etc/ssh/sshd_config:9)",
            " (when the connection is LocalPort 22)",
            "; no shell (/bin/false), but forwarding and sftp",
            "; only together with others: AuthenticationMethods publickey,password (default)",
        ] {
            assert!(is_limited(&with_key(how)), "{how}");
        }
        assert!(is_limited(&in_short("x".repeat(100_000))));
    }

    #[test]
    fn closed_decides_before_unknown() {
        let mut checks = Checks::default();
        checks.unknown("cannot read");
        assert_eq!(
            checks.clone().verdict("key"),
            Verdict::unknown("cannot read")
        );
        checks.closed("expired");
        assert_eq!(checks.verdict("key"), Verdict::closed("expired"));
    }
}
