//! What an account may do, and whether that makes it root.
//!
//! sudo looks for the last rule that says something about the account, the host, the target user and
//! the command; [`Policy::decide`] does the same and keeps every rule in view that may be that one where
//! something is not known.

use std::fmt;
use std::path::PathBuf;

use super::escalation;
use super::matching::{Matcher, RunasQuery};
use super::settings::{Settings, is_early};
use super::subject::{Doubt, HostNames, Subject, show};
use super::tree::{
    AliasKind, Member, Moment, Privilege, Rule, Scope, Span, Sudoers, UserSpec, What,
};
use super::verdict::Verdicts;

pub use super::command::CommandLine;

/// Members an alias may unfold to before the listing of a rule is cut.
const UNFOLDED_MAX: usize = 10_000;
/// The widest a time zone can be from UTC, in seconds.
const ZONE_MAX_S: i64 = 14 * 3_600;

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

/// A rule that is for the account and this host.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The statement it stands in.
    pub spec: &'a UserSpec,
    /// The part of the statement for this host.
    pub privilege: &'a Privilege,
    /// The rule.
    pub rule: &'a Rule,
    /// Where the rule is written.
    pub source: Source,
    /// As which users, aliases unfolded; one entry for the default where the rule names none.
    pub runas_users: Vec<Granted>,
    /// As which groups, aliases unfolded.
    pub runas_groups: Vec<Granted>,
    /// Which commands, aliases unfolded; negated ones are taken away.
    pub commands: Vec<Granted>,
    /// No password is asked.
    pub nopasswd: bool,
    /// False where it is not known whether the rule is for this account and host.
    pub certain: bool,
}

/// A member of a list once aliases are unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Counting the negations of the aliases it came through.
    pub negated: bool,
    /// Never an alias that exists.
    pub what: What,
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
        write!(f, "{}:{}", self.file.display(), self.span.line)
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
    /// Root's (`rootpw`, or `targetpw` on the way to root).
    Root,
    /// The default runas user's (`runaspw`).
    RunasDefault,
}

/// The rules that may be the one sudo takes, last in the policy first; with nothing unknown, one.
struct Ruling<'a> {
    allowing: Vec<&'a Rule>,
    forbidding: Vec<&'a Rule>,
    /// None of them may be.
    nothing: bool,
}

impl Ruling<'_> {
    /// Whatever turns out, the command is allowed.
    fn is_allowed(&self) -> bool {
        !self.allowing.is_empty() && self.forbidding.is_empty() && !self.nothing
    }
}

impl<'a> Policy<'a> {
    /// The settings that hold for an account on this host, before those bound to a target user or a
    /// command.
    #[must_use]
    pub fn settings(&self, who: &Subject) -> Settings {
        self.matcher(who).settings
    }

    fn matcher(&self, who: &Subject) -> Matcher<'a> {
        let mut matcher = Matcher::new(self.sudoers, self.host, Settings::default());
        for early in [true, false] {
            for default in &self.sudoers.defaults {
                if is_early(&default.name) != early {
                    continue;
                }
                let bound = match default.scope {
                    Scope::Global => Verdicts::ALLOW,
                    Scope::User => matcher.users(&default.binding, who),
                    Scope::Host => matcher.hosts(&default.binding),
                    Scope::Runas | Scope::Command => continue,
                };
                if bound == Verdicts::ALLOW {
                    matcher.settings.apply(default);
                }
            }
        }
        matcher.take_doubts();
        matcher
    }

    /// The rules for an account on this host, in the order of the policy: what `sudo -l -U` lists.
    #[must_use]
    pub fn grants(&self, who: &Subject) -> (Vec<Grant<'a>>, Vec<Doubt>) {
        let matcher = self.matcher(who);
        let mut grants = Vec::new();
        if self.sudoers.refused.is_none() {
            for spec in &self.sudoers.specs {
                let user = matcher.users(&spec.users, who);
                if !user.may(Verdicts::ALLOW) {
                    continue;
                }
                for privilege in &spec.privileges {
                    let host = matcher.hosts(&privilege.hosts);
                    if !host.may(Verdicts::ALLOW) {
                        continue;
                    }
                    let certain = user == Verdicts::ALLOW && host == Verdicts::ALLOW;
                    for rule in &privilege.rules {
                        grants.push(self.grant(&matcher, who, spec, privilege, rule, certain));
                    }
                }
            }
        }
        let mut doubts = matcher.take_doubts();
        doubts.extend(self.standing_doubts());
        (grants, doubts)
    }

    fn grant(
        &self,
        matcher: &Matcher<'a>,
        who: &Subject,
        spec: &'a UserSpec,
        privilege: &'a Privilege,
        rule: &'a Rule,
        certain: bool,
    ) -> Grant<'a> {
        let unfold = |list: Option<&[Member]>, kind| {
            let mut out = Vec::new();
            self.unfold(
                list.unwrap_or_default(),
                kind,
                false,
                &mut Vec::new(),
                &mut out,
            );
            out
        };
        let runas = rule.runas.as_deref();
        let users = runas.and_then(|runas| runas.users.as_deref());
        let groups = runas.and_then(|runas| runas.groups.as_deref());
        let runas_users = match (users, groups) {
            (None, None) => {
                vec![Granted {
                    negated: false,
                    what: What::Word(matcher.settings.runas_default.clone()),
                }]
            }
            _ => unfold(users, AliasKind::Runas),
        };
        Grant {
            spec,
            privilege,
            rule,
            source: self.source(rule.span),
            runas_users,
            runas_groups: unfold(groups, AliasKind::Runas),
            commands: unfold(
                Some(std::slice::from_ref(&rule.command)),
                AliasKind::Command,
            ),
            nopasswd: asks_nothing(matcher, &matcher.settings, who, self.root, rule),
            certain,
        }
    }

    /// Unfolds aliases as sudo does when it lists a rule: in order, negations multiplied.
    fn unfold(
        &self,
        list: &'a [Member],
        kind: AliasKind,
        negated: bool,
        within: &mut Vec<&'a [u8]>,
        out: &mut Vec<Granted>,
    ) {
        for member in list {
            if out.len() >= UNFOLDED_MAX || within.len() >= 200 {
                return;
            }
            let negated = negated != member.negated;
            if let What::Alias(name) = &member.what
                && !within.contains(&name.as_slice())
                && let Some(alias) = self.sudoers.aliases.get(&(kind, name.clone()))
            {
                within.push(name);
                self.unfold(&alias.members, kind, negated, within, out);
                within.pop();
            } else {
                out.push(Granted {
                    negated,
                    what: member.what.clone(),
                });
            }
        }
    }

    /// Whether `who` may run a command as `target`.
    pub fn decide(&self, who: &Subject, target: &Subject, line: &CommandLine) -> Decision {
        let matcher = self.matcher(who);
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
        let settings = self.settings_for(&matcher, who, target, line);
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
    ///
    /// `ALL` with exceptions (`ALL, !/bin/su`) is still everything: the exceptions are names, and a
    /// copy of the file has another.
    pub fn root_equivalent(&self, who: &Subject) -> Answer {
        let mut matcher = self.matcher(who);
        if self.sudoers.refused.is_some() {
            return match self.standing_doubts().collect::<Vec<_>>() {
                why if why.is_empty() => Answer::No,
                why => Answer::Unknown { why, way: None },
            };
        }
        if who.uid == 0 && !matcher.settings.root_sudo {
            return Answer::No;
        }
        let ruling = self.ruling(&matcher, who, self.root, &CommandLine::Any);
        let mut why = matcher.take_doubts();
        why.extend(self.standing_doubts());
        if let Some(rule) = ruling.allowing.last() {
            let settings = self.settings_for(&matcher, who, self.root, &CommandLine::Any);
            let nopasswd = passwords(&matcher, &settings, who, self.root, &ruling) == Some(true);
            let way = self.way(&settings, rule, "any command", nopasswd);
            return if ruling.is_allowed() && self.sudoers.unread.is_empty() {
                Answer::Yes(way)
            } else {
                Answer::Unknown {
                    why,
                    way: Some(way),
                }
            };
        }
        match self.likely_way(&mut matcher, who) {
            Some(way) => Answer::Likely(way),
            None => {
                why.extend(matcher.take_doubts());
                why.sort();
                why.dedup();
                if why.iter().all(|doubt| matches!(doubt, Doubt::Command(_))) {
                    Answer::No
                } else {
                    Answer::Unknown { why, way: None }
                }
            }
        }
    }

    /// The last rule that allows a single command which is as good as root.
    fn likely_way(&self, matcher: &mut Matcher<'a>, who: &Subject) -> Option<Way> {
        let (grants, _) = self.grants(who);
        let query = RunasQuery {
            who,
            target: self.root,
        };
        for grant in grants.iter().rev().filter(|grant| grant.certain) {
            let users = grant
                .rule
                .runas
                .as_deref()
                .map(|runas| runas.users.as_deref());
            let as_root = match users {
                Some(None) => Verdicts::NONE,
                Some(users) => matcher.runas(users, query),
                None => matcher.runas(None, query),
            };
            if as_root != Verdicts::ALLOW || !self.is_time(matcher, grant.rule).may(Verdicts::ALLOW)
            {
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
                let is_pattern = super::glob::has_meta(&path) || path.ends_with(b"/");
                if !is_pattern
                    && matches!(self.decide(who, self.root, &line), Decision::Denied { .. })
                {
                    continue;
                }
                let settings = self.settings_for(matcher, who, self.root, &line);
                let nopasswd = asks_nothing(matcher, &settings, who, self.root, grant.rule);
                let what = format!("{} ({why})", show(&path));
                return Some(self.way(&settings, grant.rule, &what, nopasswd));
            }
        }
        None
    }

    fn way(&self, settings: &Settings, rule: &Rule, what: &str, nopasswd: bool) -> Way {
        let password_of = if settings.rootpw || settings.targetpw {
            PasswordOf::Root
        } else if settings.runaspw {
            PasswordOf::RunasDefault
        } else {
            PasswordOf::Own
        };
        let asked = match (nopasswd, password_of) {
            (true, _) => "without a password",
            (false, PasswordOf::Own) => "with its own password",
            (false, PasswordOf::Root) => "with root's password",
            (false, PasswordOf::RunasDefault) => "with the default runas user's password",
        };
        let reason = format!("may run {what} as root, {asked}");
        Way {
            source: self.source(rule.span),
            reason,
            nopasswd,
            password_of,
        }
    }

    /// All rules that may be the one sudo takes, last first.
    fn ruling(
        &self,
        matcher: &Matcher<'a>,
        who: &Subject,
        target: &Subject,
        line: &CommandLine,
    ) -> Ruling<'a> {
        let mut ruling = Ruling {
            allowing: Vec::new(),
            forbidding: Vec::new(),
            nothing: true,
        };
        if self.sudoers.refused.is_some() {
            return ruling;
        }
        let query = RunasQuery { who, target };
        for spec in self.sudoers.specs.iter().rev() {
            let user = matcher.users(&spec.users, who);
            if !user.may(Verdicts::ALLOW) {
                continue;
            }
            for privilege in spec.privileges.iter().rev() {
                let host = matcher.hosts(&privilege.hosts);
                if !host.may(Verdicts::ALLOW) {
                    continue;
                }
                for rule in privilege.rules.iter().rev() {
                    let runas = match rule.runas.as_deref() {
                        None => matcher.runas(None, query),
                        // `(:group)` of older versions: nobody but oneself.
                        Some(runas) if runas.users.is_none() => Verdicts::NONE,
                        Some(runas) => matcher.runas(runas.users.as_deref(), query),
                    };
                    let time = self.is_time(matcher, rule);
                    if !runas.may(Verdicts::ALLOW) || !time.may(Verdicts::ALLOW) {
                        continue;
                    }
                    let mut command = matcher.commands(std::slice::from_ref(&rule.command), line);
                    if command != Verdicts::NONE && is_chrooted(matcher, rule) {
                        command = matcher.doubt(Doubt::Chroot, command.or(Verdicts::NONE));
                    }
                    if command.may(Verdicts::ALLOW) {
                        ruling.allowing.push(rule);
                    }
                    if command.may(Verdicts::DENY) {
                        ruling.forbidding.push(rule);
                    }
                    let certain = [user, host, runas, time]
                        .iter()
                        .all(|v| *v == Verdicts::ALLOW);
                    if certain && !command.may(Verdicts::NONE) {
                        ruling.nothing = false;
                        return ruling;
                    }
                }
            }
        }
        ruling
    }

    fn is_time(&self, matcher: &Matcher<'_>, rule: &Rule) -> Verdicts {
        let now = self.now_unix;
        let compare = |moment: Option<Moment>, fits: &dyn Fn(i64) -> bool| match moment {
            None => Verdicts::ALLOW,
            Some(Moment { unix, local: true }) => {
                let answers = [fits(unix - ZONE_MAX_S), fits(unix + ZONE_MAX_S)];
                match answers {
                    [true, true] => Verdicts::ALLOW,
                    [false, false] => Verdicts::NONE,
                    _ => matcher.doubt(Doubt::LocalTime, Verdicts::MAYBE),
                }
            }
            Some(Moment { unix, local: false }) => Verdicts::matches(fits(unix)),
        };
        let begun = compare(rule.options.not_before, &|unix| now >= unix);
        let lasts = compare(rule.options.not_after, &|unix| now <= unix);
        if begun == Verdicts::NONE || lasts == Verdicts::NONE {
            Verdicts::NONE
        } else if begun == Verdicts::ALLOW && lasts == Verdicts::ALLOW {
            Verdicts::ALLOW
        } else {
            Verdicts::MAYBE
        }
    }

    /// The settings for one command, those bound to its target and to itself applied.
    fn settings_for(
        &self,
        matcher: &Matcher<'a>,
        who: &Subject,
        target: &Subject,
        line: &CommandLine,
    ) -> Settings {
        let mut settings = matcher.settings.clone();
        let query = RunasQuery { who, target };
        for scope in [Scope::Runas, Scope::Command] {
            for default in self
                .sudoers
                .defaults
                .iter()
                .filter(|default| default.scope == scope)
            {
                let bound = match scope {
                    Scope::Runas => matcher.runas(Some(&default.binding), query),
                    _ => matcher.commands(&default.binding, line),
                };
                if bound == Verdicts::ALLOW {
                    settings.apply(default);
                }
            }
        }
        settings
    }

    /// Doubts that hold for every account.
    fn standing_doubts(&self) -> impl Iterator<Item = Doubt> + '_ {
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

/// Commands are then those of another root directory, and root is only root in there.
fn is_chrooted(matcher: &Matcher<'_>, rule: &Rule) -> bool {
    let chroot = rule
        .options
        .chroot
        .as_ref()
        .or(matcher.settings.runchroot.as_ref());
    chroot.is_some_and(|dir| dir != b"*")
}

/// Whether no password is asked; `None` where that depends on which of the rules it is.
fn passwords(
    matcher: &Matcher<'_>,
    settings: &Settings,
    who: &Subject,
    target: &Subject,
    ruling: &Ruling<'_>,
) -> Option<bool> {
    let mut answers = ruling
        .allowing
        .iter()
        .map(|rule| asks_nothing(matcher, settings, who, target, rule));
    let first = answers.next()?;
    answers.all(|answer| answer == first).then_some(first)
}

fn asks_nothing(
    matcher: &Matcher<'_>,
    settings: &Settings,
    who: &Subject,
    target: &Subject,
    rule: &Rule,
) -> bool {
    let is_member = |group: &Vec<u8>| matcher.unix_group(group, who) == Verdicts::ALLOW;
    let is_exempt = settings.exempt_group.as_ref().is_some_and(is_member);
    let is_free = rule.tags.nopasswd.unwrap_or(!settings.authenticate);
    // Root and whoever stays who they are give no password, unless they ask for a confinement too.
    let options = &rule.options;
    let is_confined = settings.confines
        || options.role.is_some()
        || options.selinux_type.is_some()
        || options.apparmor_profile.is_some()
        || options.privs.is_some()
        || options.limitprivs.is_some();
    let stays = who.uid == 0 || who.uid == target.uid;
    is_free || is_exempt || (stays && !is_confined)
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::files::ReadProblem;
    use super::super::testing::Files;
    use super::*;
    use crate::host::account::GroupRef;

    const NOON: i64 = 1_709_208_000; // 2024-02-29 12:00 UTC

    fn subject(name: &str, uid: u32, groups: &[(&str, u32)]) -> Subject {
        let groups: Vec<_> = groups
            .iter()
            .map(|(name, gid)| GroupRef {
                name: name.as_bytes().to_vec(),
                gid: *gid,
            })
            .collect();
        let gid = groups.first().map_or(uid, |group| group.gid);
        Subject {
            name: name.as_bytes().to_vec(),
            uid,
            gid,
            groups,
        }
    }

    fn alice() -> Subject {
        subject("alice", 1000, &[("alice", 1000), ("adm", 4)])
    }

    fn answer_of(files: &Files, who: &Subject, others: &[String]) -> String {
        let sudoers = files.parse(Dialect::Sudo1_9_16);
        let host = HostNames::new(b"web1", Some(b"web1.example.org"));
        let policy = Policy {
            sudoers: &sudoers,
            host: &host,
            root: &Subject::root(),
            other_sources: others,
            now_unix: NOON,
        };
        let way = |way: &Way| format!("{} {}", way.source, way.reason);
        match policy.root_equivalent(who) {
            Answer::Yes(found) => format!("yes {}", way(&found)),
            Answer::Likely(found) => format!("likely {}", way(&found)),
            Answer::No => "no".into(),
            Answer::Unknown { why, way: found } => {
                let why: Vec<_> = why.iter().map(ToString::to_string).collect();
                format!(
                    "unknown ({}) {}",
                    why.join("; "),
                    found.as_ref().map_or(String::new(), way)
                )
            }
        }
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(
            answer_of(&Files::sudoers(text), &alice(), &[]),
            expected,
            "{text}"
        );
    }

    const YES: &str = "yes /etc/sudoers:1 may run any command as root, with its own password";
    const FREE: &str = "yes /etc/sudoers:1 may run any command as root, without a password";

    #[test]
    fn all_is_root() {
        check("alice ALL=(ALL:ALL) ALL\n", YES);
        check("alice ALL=ALL\n", YES);
        check("#1000 WEB1=(root) NOPASSWD: ALL\n", FREE);
        check("%adm web1.example.org=(#0) ALL\n", YES);
        check("%#4 ALL=(ALL) ALL, !/bin/su, !/bin/sh\n", YES);
        check("ALL,!bob ALL=(ALL,!www) ALL\n", YES);
        check(
            "User_Alias OPS=A,!bob:A=%adm\nOPS ALL=ALL\n",
            &YES.replace(":1", ":2"),
        );
        check("alice ALL=EVERY\nCmnd_Alias EVERY=/bin/ls,ALL\n", YES);
    }

    #[test]
    fn no_root() {
        for text in [
            "",
            "bob ALL=ALL\n",
            "alice other=ALL\n",
            "alice ALL=(www) ALL\n",
            "alice ALL=(ALL,!root) ALL\n",
            "alice ALL=() ALL\n",
            "alice ALL=(:adm) ALL\n",
            "alice ALL=ALL\nalice ALL=!ALL\n",
            "ALL,!alice ALL=ALL\n",
            "Defaults runas_default=www\nalice ALL=ALL\n",
            "alice ALL=NOTAFTER=20240101000000Z ALL\n",
            "alice ALL=NOTBEFORE=20250101000000Z ALL\n",
            "alice ALL=/usr/bin/id, /bin/cat /etc/motd\n",
            "alice ALL=CHROOT=/srv /usr/bin/id\n",
            "# alice ALL=ALL\n",
            "alice ALL=ALL \\",
        ] {
            check(text, "no");
        }
    }

    #[test]
    fn passwords() {
        check(
            "Defaults:alice !authenticate\nalice ALL=ALL\n",
            &FREE.replace(":1", ":2"),
        );
        check(
            "Defaults>root !authenticate\nalice ALL=ALL\n",
            &FREE.replace(":1", ":2"),
        );
        check(
            "Defaults exempt_group=adm\nalice ALL=ALL\n",
            &FREE.replace(":1", ":2"),
        );
        check(
            "Defaults !authenticate\nalice ALL=PASSWD:ALL\n",
            &YES.replace(":1", ":2"),
        );
        check(
            "alice ALL=ALL\nDefaults targetpw\n",
            "yes /etc/sudoers:1 may run any command as root, with root's password",
        );
    }

    #[test]
    fn as_good_as_root() {
        check(
            "alice ALL=NOPASSWD: /usr/bin/vim.basic\n",
            "likely /etc/sudoers:1 may run /usr/bin/vim.basic (a program that writes any file) as root, without a password",
        );
        check(
            "alice ALL=/usr/bin/\n",
            "likely /etc/sudoers:1 may run /usr/bin/ (every command of a system directory) as root, with its own password",
        );
        check("alice ALL=/bin/bash\nalice ALL=!/bin/bash\n", "no");
        check("alice ALL=(www) /bin/bash\n", "no");
        check("alice ALL=/bin/bash \"\"\n", "no");
    }

    #[test]
    fn unknown_is_neither_yes_nor_no() {
        check(
            "+ops ALL=ALL\n",
            "unknown (membership in netgroup +ops is not known) /etc/sudoers:1 may run any command as root, with its own password",
        );
        check(
            "alice ALL=ALL\n+ops ALL=!ALL\n",
            "unknown (membership in netgroup +ops is not known) /etc/sudoers:1 may run any command as root, with its own password",
        );
        check("+ops ALL=!ALL\nalice ALL=ALL\n", &YES.replace(":1", ":2"));
        check(
            "alice 10.0.0.0/8=ALL\n",
            "unknown (whether this host has the address 10.0.0.0/8 is not known) /etc/sudoers:1 may run any command as root, with its own password",
        );
        check(
            "alice ALL=CHROOT=/srv ALL\n",
            "unknown (the command runs under another root directory) /etc/sudoers:1 may run any command as root, with its own password",
        );
        let files = Files::sudoers("@include a\n")
            .without("/etc/a", ReadProblem::Other("i/o error".into()));
        assert_eq!(
            answer_of(&files, &alice(), &[]),
            "unknown (/etc/a could not be read: i/o error) "
        );
        let others = ["sss".to_owned()];
        assert_eq!(
            answer_of(&Files::sudoers(""), &alice(), &others),
            "unknown (sudo also takes rules from sss) "
        );
        assert_eq!(
            answer_of(&Files::sudoers("alice ALL=ALL\n"), &alice(), &others),
            YES
        );
    }

    #[test]
    fn circles_and_multiplying_aliases_end() {
        check("User_Alias A=B:B=A\nA ALL=ALL\n", "no");
        let mut text = String::from("A60 ALL=ALL\nUser_Alias A0=bob\n");
        for n in 1..=60 {
            text += &format!("User_Alias A{n}=A{0},A{0}\n", n - 1);
        }
        let answer = answer_of(&Files::sudoers(&text), &alice(), &[]);
        assert!(
            answer.starts_with("unknown (the aliases are nested too deeply"),
            "{answer}"
        );
    }
}
