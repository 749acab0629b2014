//! What an account may do, and whether that makes it root.
//!
//! sudo looks for the last rule that says something about the account, the host, the target user and
//! the command; [`Policy::decide`] does the same and keeps every rule in view that may be that one where
//! something is not known.

use std::fmt;
use std::path::PathBuf;

use super::escalation;
use super::glob;
use super::matching::{Matcher, RunasQuery};
use super::ruling::{asks_nothing, passwords};
use super::settings::Settings;
use super::subject::{Doubt, HostNames, Subject, show, show_path};
use super::tree::{Rule, Span, Sudoers, What};
use super::verdict::Verdicts;

pub use super::command::CommandLine;
pub use super::grants::{Becoming, Grant, Granted};

/// Single commands looked at on the search for one as good as root.
const TRIES_MAX: usize = 500;

/// A policy on a host, at a time.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The files' rules.
    pub sudoers: &'a Sudoers,
    /// The host's names.
    pub host: &'a HostNames,
    /// The superuser's entry.
    pub root: &'a Subject,
    /// Other sources of rules, from [`super::nsswitch::sources`].
    pub other_sources: &'a [String],
    /// Seconds since 1970.
    pub now_unix: i64,
}

/// Where a rule is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file as sudo names it.
    pub file: PathBuf,
    /// Lines and bytes.
    pub span: Span,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", show_path(&self.file), self.span.line)
    }
}

/// What the policy says about one command line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// A rule allows it, and nothing that is unknown can change that.
    Allowed {
        /// The rule.
        source: Source,
        /// No password is asked.
        nopasswd: bool,
    },
    /// No rule allows it, or the last one that names it forbids it.
    Denied {
        /// The rule that forbids it.
        source: Option<Source>,
    },
    /// It depends on what is not known.
    Unknown {
        /// The last rule that may allow it.
        source: Option<Source>,
        /// What is not known.
        why: Vec<Doubt>,
    },
}

/// Whether an account can become root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// It may run anything as root.
    Yes(Way),
    /// It may run something as root that gives root away to those who know how.
    Likely(Way),
    /// Neither.
    No,
    /// It depends on what is not known.
    Unknown {
        /// What is not known.
        why: Vec<Doubt>,
        /// The way that exists if the doubts turn out in its favour.
        way: Option<Way>,
    },
}

/// A way to root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The rule.
    pub source: Source,
    /// What it allows, for people.
    pub reason: String,
    /// No password is asked.
    pub nopasswd: bool,
    /// Whose password is asked otherwise.
    pub password_of: PasswordOf,
}

/// Whose password sudo asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordOf {
    /// The account's own.
    Own,
    /// Root's (`rootpw`).
    Root,
    /// That of the account it becomes (`targetpw`).
    Target,
    /// The default runas user's (`runaspw`).
    RunasDefault,
}

impl<'a> Policy<'a> {
    /// The settings that hold for an account on this host on its way to root, before those bound to a
    /// command.
    #[must_use]
    pub fn settings(&self, who: &Subject) -> Settings {
        self.matcher(who, self.root).settings
    }

    /// Whether `who` may run a command as `target`.
    pub fn decide(&self, who: &Subject, target: &Subject, line: &CommandLine) -> Decision {
        let matcher = self.matcher(who, target);
        let ruling = self.ruling(&matcher, who, target, line);
        let mut why = matcher.take_doubts();
        why.extend(self.standing_doubts());
        let elsewhere = self.standing_doubts().next().is_some();
        let Some(certain) = ruling.allowing.last().copied() else {
            let source = ruling.forbidding.first().map(|rule| self.source(rule.span));
            return if elsewhere {
                Decision::Unknown { source: None, why }
            } else {
                Decision::Denied { source }
            };
        };
        let settings = self.settings_for(&matcher, line);
        let passwords = passwords(&matcher, &settings, who, target, &ruling);
        let source = self.source(certain.span);
        match passwords {
            Some(nopasswd) if ruling.is_allowed() && !elsewhere => {
                Decision::Allowed { source, nopasswd }
            }
            _ => Decision::Unknown {
                source: Some(source),
                why,
            },
        }
    }

    /// Whether `who` can become root by means of sudo.
    pub fn root_equivalent(&self, who: &Subject) -> Answer {
        self.becomes(who, self.root)
    }

    /// Whether `who` can become `target` by means of sudo.
    ///
    /// `ALL` with exceptions (`ALL, !/bin/su`) is still everything: the exceptions are names, and a
    /// copy of the file has another. Other sources of rules leave a yes standing, for all they are
    /// known to do is to add; a file that could not be read does not.
    pub fn becomes(&self, who: &Subject, target: &Subject) -> Answer {
        let unknown_or_no = |why: Vec<Doubt>, way: Option<Way>| {
            if why.is_empty() {
                Answer::No
            } else {
                Answer::Unknown { why, way }
            }
        };
        let standing: Vec<Doubt> = self.standing_doubts().collect();
        let matcher = self.matcher(who, target);
        if self.sudoers.refused.is_some() {
            return unknown_or_no(standing, None);
        }
        if who.uid == 0 && !matcher.settings.root_sudo {
            return Answer::No;
        }
        let ruling = self.ruling(&matcher, who, target, &CommandLine::Any);
        let mut why = matcher.take_doubts();
        why.extend(standing.iter().cloned());
        if let Some(rule) = ruling.allowing.last() {
            let settings = self.settings_for(&matcher, &CommandLine::Any);
            let nopasswd = passwords(&matcher, &settings, who, target, &ruling) == Some(true);
            let way = self.way(&settings, rule, target, "any command", nopasswd);
            return if ruling.is_allowed() && self.sudoers.unread.is_empty() {
                Answer::Yes(way)
            } else {
                Answer::Unknown {
                    why,
                    way: Some(way),
                }
            };
        }
        match self.likely_way(&matcher, who, target) {
            Some((way, true)) => Answer::Likely(way),
            Some((way, false)) => {
                why.extend(matcher.take_doubts());
                why.sort();
                why.dedup();
                Answer::Unknown {
                    why,
                    way: Some(way),
                }
            }
            None => unknown_or_no(standing, None),
        }
    }

    /// A rule that allows a single command as good as the target's shell, and whether that is certain;
    /// the last one of the certain ones if there are any.
    fn likely_way(
        &self,
        matcher: &Matcher<'a>,
        who: &Subject,
        target: &Subject,
    ) -> Option<(Way, bool)> {
        let (grants, _) = self.grants(who);
        let query = RunasQuery { who, target };
        let mut tries = 0;
        let mut uncertain = None;
        for grant in grants.iter().rev() {
            let as_target = match grant.rule.runas.as_deref() {
                None => matcher.runas(None, query),
                Some(runas) if runas.users.is_none() => Verdicts::NONE,
                Some(runas) => matcher.runas(runas.users.as_deref(), query),
            };
            let in_time = self.is_time(matcher, grant.rule);
            if !as_target.may(Verdicts::ALLOW) || !in_time.may(Verdicts::ALLOW) {
                continue;
            }
            for granted in grant.commands.iter().filter(|granted| !granted.negated) {
                let What::Command(command) = &granted.what else {
                    continue;
                };
                let Some(why) = escalation::reason(command) else {
                    continue;
                };
                let path = command.path.clone().unwrap_or_default();
                let line = CommandLine::bare(&path);
                tries += 1;
                // A later rule may forbid it again; of a pattern it can only take parts away.
                let is_literal = !glob::has_meta(&path) && !path.ends_with(b"/");
                if is_literal
                    && tries <= TRIES_MAX
                    && matches!(self.decide(who, target, &line), Decision::Denied { .. })
                {
                    continue;
                }
                let settings = self.settings_for(matcher, &line);
                let nopasswd = asks_nothing(matcher, &settings, who, target, grant.rule);
                let what = format!("{} ({why})", show(&path));
                let way = self.way(&settings, grant.rule, target, &what, nopasswd);
                if grant.certain && as_target == Verdicts::ALLOW && in_time == Verdicts::ALLOW {
                    return Some((way, true));
                }
                uncertain.get_or_insert((way, false));
            }
        }
        uncertain
    }

    fn way(
        &self,
        settings: &Settings,
        rule: &Rule,
        target: &Subject,
        what: &str,
        nopasswd: bool,
    ) -> Way {
        let password_of = if settings.rootpw {
            PasswordOf::Root
        } else if settings.targetpw {
            PasswordOf::Target
        } else if settings.runaspw {
            PasswordOf::RunasDefault
        } else {
            PasswordOf::Own
        };
        let name = show(&target.name);
        let asked = match (nopasswd, password_of) {
            (true, _) => "without a password".to_owned(),
            (false, PasswordOf::Own) => "with its own password".to_owned(),
            (false, PasswordOf::Root) => "with root's password".to_owned(),
            (false, PasswordOf::Target) => format!("with {name}'s password"),
            (false, PasswordOf::RunasDefault) => {
                "with the default runas user's password".to_owned()
            }
        };
        let reason = format!("may run {what} as {name}, {asked}");
        Way {
            source: self.source(rule.span),
            reason,
            nopasswd,
            password_of,
        }
    }

    /// Doubts that hold for every account.
    pub(super) fn standing_doubts(&self) -> impl Iterator<Item = Doubt> + '_ {
        let unread = self.sudoers.unread.iter().map(|unread| Doubt::Unread {
            path: unread.path.clone(),
            reason: unread.reason.clone(),
        });
        unread.chain(self.other_sources.iter().cloned().map(Doubt::OtherSource))
    }

    /// Where a span is.
    #[must_use]
    pub fn source(&self, span: Span) -> Source {
        let file = self
            .sudoers
            .files
            .get(span.file as usize)
            .map(|file| file.path.clone());
        Source {
            file: file.unwrap_or_default(),
            span,
        }
    }
}

#[cfg(test)]
mod tests;
