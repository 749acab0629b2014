//! The rules for one account, one by one: what `sudo -l -U` lists.

use super::matching::Matcher;
use super::policy::{Policy, Source};
use super::ruling::asks_nothing;
use super::subject::{Doubt, Subject};
use super::tree::{AliasKind, Member, Privilege, Rule, UserSpec, What};
use super::verdict::Verdicts;

/// Members that aliases may unfold to in one listing before it is cut.
const UNFOLDED_MAX: usize = 100_000;
/// Rules of one account that are listed; who has more has a doubt.
const GRANTS_MAX: usize = 20_000;
/// Aliases within aliases.
const DEPTH_MAX: usize = 200;

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
    /// No password is asked, on the way to root.
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

/// A rule by which others become an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Becoming {
    /// Where the rule is written.
    pub source: Source,
    /// Whom it is for, as written.
    pub users: Vec<Granted>,
}

impl<'a> Policy<'a> {
    /// The rules on this host by which somebody becomes those that `is_target` knows, because they
    /// are named and not because anybody is meant, or root; one for each statement.
    #[must_use]
    pub fn rules_to_become(&self, is_target: &dyn Fn(&What) -> bool) -> Vec<Becoming> {
        let matcher = self.matcher(self.root, self.root);
        let mut unfolding = Unfolding {
            policy: self,
            room: UNFOLDED_MAX,
        };
        let mut found: Vec<Becoming> = Vec::new();
        if self.sudoers.refused.is_some() {
            return found;
        }
        for spec in &self.sudoers.specs {
            let mut named = None;
            for privilege in &spec.privileges {
                if !matcher.hosts(&privilege.hosts).may(Verdicts::ALLOW) {
                    continue;
                }
                named = named.or_else(|| {
                    privilege.rules.iter().find(|rule| {
                        let runas = rule.runas.as_deref();
                        let users = runas.and_then(|runas| runas.users.as_deref());
                        let users = unfolding.list(users, AliasKind::Runas);
                        let anybody = users.iter().any(is_root_or_all);
                        let last = users.iter().rfind(|user| is_target(&user.what));
                        !anybody && last.is_some_and(|user| !user.negated)
                    })
                });
            }
            if let Some(rule) = named {
                let source = self.source(rule.span);
                let users = unfolding.list(Some(&spec.users), AliasKind::User);
                found.push(Becoming { source, users });
            }
            if found.len() >= GRANTS_MAX {
                break;
            }
        }
        found
    }

    /// The rules for an account on this host, in the order of the policy, and what is not known about
    /// them.
    #[must_use]
    pub fn grants(&self, who: &Subject) -> (Vec<Grant<'a>>, Vec<Doubt>) {
        let matcher = self.matcher(who, self.root);
        let mut grants = Vec::new();
        let specs = if self.sudoers.refused.is_none() {
            &self.sudoers.specs[..]
        } else {
            &[]
        };
        let mut unfolding = Unfolding {
            policy: self,
            room: UNFOLDED_MAX,
        };
        let mut cut = false;
        for spec in specs {
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
                let left = GRANTS_MAX - grants.len();
                cut |= privilege.rules.len() > left;
                grants.extend(privilege.rules.iter().take(left).map(|rule| {
                    let runas = rule.runas.as_deref();
                    let users = runas.and_then(|runas| runas.users.as_deref());
                    let groups = runas.and_then(|runas| runas.groups.as_deref());
                    let runas_users = match (users, groups) {
                        (None, None) => vec![default_runas(&matcher)],
                        _ => unfolding.list(users, AliasKind::Runas),
                    };
                    Grant {
                        spec,
                        privilege,
                        rule,
                        source: self.source(rule.span),
                        runas_users,
                        runas_groups: unfolding.list(groups, AliasKind::Runas),
                        commands: unfolding.list(
                            Some(std::slice::from_ref(&rule.command)),
                            AliasKind::Command,
                        ),
                        nopasswd: asks_nothing(&matcher, &matcher.settings, who, self.root, rule),
                        certain,
                    }
                }));
            }
        }
        let mut doubts = matcher.take_doubts();
        doubts.extend(self.standing_doubts());
        if unfolding.room == 0 {
            doubts.push(Doubt::TooComplex);
        }
        if cut {
            doubts.push(Doubt::TooMany);
        }
        (grants, doubts)
    }
}

/// Whoever may become root becomes everybody.
fn is_root_or_all(user: &Granted) -> bool {
    let is_root = |word: &[u8]| matches!(word, b"root" | b"#0");
    !user.negated
        && match &user.what {
            What::All => true,
            What::Word(word) => is_root(word),
            _ => false,
        }
}

fn default_runas(matcher: &Matcher<'_>) -> Granted {
    Granted {
        negated: false,
        what: What::Word(matcher.settings.runas_default.clone()),
    }
}

/// Unfolds aliases as sudo does when it lists a rule: in order, negations multiplied.
struct Unfolding<'p, 'a> {
    policy: &'p Policy<'a>,
    /// Members that still may be listed.
    room: usize,
}

impl<'a> Unfolding<'_, 'a> {
    fn list(&mut self, list: Option<&'a [Member]>, kind: AliasKind) -> Vec<Granted> {
        let mut out = Vec::new();
        self.unfold(
            list.unwrap_or_default(),
            kind,
            false,
            &mut Vec::new(),
            &mut out,
        );
        out.shrink_to_fit();
        out
    }

    fn unfold(
        &mut self,
        list: &'a [Member],
        kind: AliasKind,
        negated: bool,
        within: &mut Vec<&'a [u8]>,
        out: &mut Vec<Granted>,
    ) {
        for member in list {
            if self.room == 0 || within.len() >= DEPTH_MAX {
                self.room = 0;
                return;
            }
            let negated = negated != member.negated;
            if let What::Alias(name) = &member.what
                && !within.contains(&name.as_slice())
                && let Some(alias) = self.policy.sudoers.alias(kind, name)
            {
                within.push(name);
                self.unfold(&alias.members, kind, negated, within, out);
                within.pop();
            } else {
                self.room -= 1;
                out.push(Granted {
                    negated,
                    what: member.what.clone(),
                });
            }
        }
    }
}
