//! Which rule sudo takes: the last one that says something about account, host, target and command.

use super::command::CommandLine;
use super::matching::{Matcher, RunasQuery};
use super::policy::Policy;
use super::settings::{Settings, is_deciding, is_early};
use super::subject::{Doubt, Subject};
use super::tree::{Moment, Rule, Scope};
use super::verdict::Verdicts;

/// The widest a time zone can be from UTC, in seconds.
const ZONE_MAX_S: i64 = 14 * 3_600;

/// The rules that may be the one sudo takes, last in the policy first; with nothing unknown, one.
pub(super) struct Ruling<'a> {
    pub(super) allowing: Vec<&'a Rule>,
    pub(super) forbidding: Vec<&'a Rule>,
    /// None of them may be.
    pub(super) nothing: bool,
}

impl Ruling<'_> {
    /// Whatever turns out, the command is allowed.
    pub(super) fn is_allowed(&self) -> bool {
        !self.allowing.is_empty() && self.forbidding.is_empty() && !self.nothing
    }
}

impl<'a> Policy<'a> {
    /// A matcher under the settings that hold for an account on this host on its way to another, before
    /// those bound to a command: early ones first, then all in the order of the policy.
    pub(super) fn matcher(&self, who: &Subject, target: &Subject) -> Matcher<'a> {
        let query = RunasQuery { who, target };
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
                    Scope::Runas => matcher.runas(Some(&default.binding), query),
                    Scope::Command => continue,
                };
                if bound == Verdicts::ALLOW {
                    matcher.settings.apply(default);
                } else if bound.may(Verdicts::ALLOW) && is_deciding(&default.name) {
                    matcher.settings_are_known = false;
                }
            }
        }
        if matcher.settings_are_known {
            matcher.take_doubts();
        }
        matcher
    }

    /// All rules that may be the one sudo takes, last first.
    pub(super) fn ruling(
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
                    let certain = certain && matcher.settings_are_known;
                    if certain && !command.may(Verdicts::NONE) {
                        ruling.nothing = false;
                        return ruling;
                    }
                }
            }
        }
        ruling
    }

    pub(super) fn is_time(&self, matcher: &Matcher<'_>, rule: &Rule) -> Verdicts {
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

    /// The settings for one command, those bound to it applied.
    pub(super) fn settings_for(&self, matcher: &Matcher<'a>, line: &CommandLine) -> Settings {
        let mut settings = matcher.settings.clone();
        for default in &self.sudoers.defaults {
            if default.scope == Scope::Command
                && matcher.commands(&default.binding, line) == Verdicts::ALLOW
            {
                settings.apply(default);
            }
        }
        settings
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
pub(super) fn passwords(
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

/// No password is asked before the rule's command.
pub(super) fn asks_nothing(
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
