//! Members of user, host and runas lists against an account and a host.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::command::CommandLine;
use super::glob;
use super::settings::Settings;
use super::subject::{Doubt, HostNames, Subject};
use super::tree::{AliasKind, Member, Sudoers, What};
use super::verdict::Verdicts;

/// Members looked at for one question, beyond a few times those that there are: a policy whose aliases
/// multiply is not followed further.
const STEPS_MAX: usize = 20_000;
/// Aliases within aliases.
const DEPTH_MAX: usize = 200;
const DOUBTS_MAX: usize = 100;

/// Compares lists, with the settings that hold, and remembers what it could not know.
pub(super) struct Matcher<'a> {
    pub(super) sudoers: &'a Sudoers,
    pub(super) host: &'a HostNames,
    pub(super) settings: Settings,
    /// False where settings that decide may or may not hold for the account.
    pub(super) settings_are_known: bool,
    in_use: RefCell<Vec<(AliasKind, &'a [u8])>>,
    steps: Cell<usize>,
    /// How many there may be, known once it matters.
    steps_max: Cell<Option<usize>>,
    doubts: RefCell<BTreeSet<Doubt>>,
}

/// Whose runas list is asked, and for whom.
#[derive(Clone, Copy)]
pub(super) struct RunasQuery<'q> {
    /// Who runs sudo.
    pub(super) who: &'q Subject,
    /// Whom they want to be.
    pub(super) target: &'q Subject,
}

impl<'a> Matcher<'a> {
    pub(super) fn new(sudoers: &'a Sudoers, host: &'a HostNames, settings: Settings) -> Self {
        Self {
            sudoers,
            host,
            settings,
            settings_are_known: true,
            in_use: RefCell::default(),
            steps: Cell::new(0),
            steps_max: Cell::new(None),
            doubts: RefCell::default(),
        }
    }

    /// What was not known up to now.
    pub(super) fn take_doubts(&self) -> Vec<Doubt> {
        std::mem::take(&mut *self.doubts.borrow_mut())
            .into_iter()
            .collect()
    }

    pub(super) fn doubt(&self, doubt: Doubt, answer: Verdicts) -> Verdicts {
        let mut doubts = self.doubts.borrow_mut();
        if doubts.len() < DOUBTS_MAX {
            doubts.insert(doubt);
        }
        answer
    }

    /// Whether `who` is in a user list.
    pub(super) fn users(&self, list: &'a [Member], who: &Subject) -> Verdicts {
        self.list(list, AliasKind::User, &|member| self.user(member, who))
    }

    /// Whether this host is in a host list.
    pub(super) fn hosts(&self, list: &'a [Member]) -> Verdicts {
        self.list(list, AliasKind::Host, &|member| self.host_member(member))
    }

    /// Whether a runas list allows the target; `None` is the default runas user.
    pub(super) fn runas(&self, list: Option<&'a [Member]>, query: RunasQuery<'_>) -> Verdicts {
        match list {
            Some(list) => self.list(list, AliasKind::Runas, &|member| match member {
                What::Myself => Verdicts::matches(query.who.name == query.target.name),
                _ => self.user(member, query.target),
            }),
            None => Verdicts::matches(self.is_user(&self.settings.runas_default, query.target)),
        }
    }

    /// Whether a command is in a list.
    pub(super) fn commands(&self, list: &'a [Member], line: &CommandLine) -> Verdicts {
        self.list(list, AliasKind::Command, &|member| match member {
            What::Command(command) => line.against(command, self),
            _ => Verdicts::NONE,
        })
    }

    /// The answer of a list's last member that has one, aliases followed. An alias that does not
    /// exist or contains itself is a plain word, except among commands.
    fn list(
        &self,
        list: &'a [Member],
        kind: AliasKind,
        plain: &dyn Fn(&What) -> Verdicts,
    ) -> Verdicts {
        Verdicts::of_list(list.iter().rev().map(|member| {
            if !self.may_step() {
                return self.doubt(Doubt::TooComplex, Verdicts::ANY);
            }
            let answer = match &member.what {
                What::Alias(name) => match self.enter(kind, name) {
                    Entered::Alias(members) => {
                        let answer = self.list(members, kind, plain);
                        self.in_use.borrow_mut().pop();
                        answer
                    }
                    Entered::TooDeep => self.doubt(Doubt::TooComplex, Verdicts::ANY),
                    Entered::PlainWord => plain(&What::Word(name.clone())),
                },
                what => plain(what),
            };
            answer.negated_if(member.negated)
        }))
    }

    /// Counts a member; says whether there is room for it.
    fn may_step(&self) -> bool {
        let steps = self.steps.get().saturating_add(1);
        self.steps.set(steps);
        if steps <= STEPS_MAX {
            return true;
        }
        let max = self.steps_max.get().unwrap_or_else(|| {
            let max = STEPS_MAX + 4 * self.sudoers.members();
            self.steps_max.set(Some(max));
            max
        });
        steps <= max
    }

    fn enter(&self, kind: AliasKind, name: &'a [u8]) -> Entered<'a> {
        let mut in_use = self.in_use.borrow_mut();
        if in_use.contains(&(kind, name)) {
            return Entered::PlainWord;
        }
        match self.sudoers.alias(kind, name) {
            None => Entered::PlainWord,
            Some(_) if in_use.len() >= DEPTH_MAX => Entered::TooDeep,
            Some(alias) => {
                in_use.push((kind, name));
                Entered::Alias(&alias.members)
            }
        }
    }

    fn user(&self, member: &What, who: &Subject) -> Verdicts {
        match member {
            What::All => Verdicts::ALLOW,
            What::Word(name) => Verdicts::matches(self.is_user(name, who)),
            What::UserGroup(name) => self.group(name.get(1..).unwrap_or_default(), who),
            What::NetGroup(name) => self.netgroup(name),
            _ => Verdicts::NONE,
        }
    }

    fn netgroup(&self, name: &[u8]) -> Verdicts {
        if self.settings.use_netgroups {
            self.doubt(Doubt::NetGroup(name.to_vec()), Verdicts::MAYBE)
        } else {
            Verdicts::NONE
        }
    }

    /// A name, or `#uid`.
    fn is_user(&self, name: &[u8], who: &Subject) -> bool {
        if let [b'#', number @ ..] = name
            && id(number) == Some(who.uid)
        {
            return true;
        }
        same_name(name, &who.name, self.settings.case_insensitive_user)
    }

    /// A group name, `#gid`, or `:name` for the plugin; without the `%`.
    fn group(&self, name: &[u8], who: &Subject) -> Verdicts {
        let plugin = self.settings.group_plugin.is_some();
        if name.first() == Some(&b':') && plugin {
            return self.doubt(Doubt::GroupPlugin(name.to_vec()), Verdicts::MAYBE);
        }
        let answer = self.unix_group(name, who);
        if answer == Verdicts::NONE && plugin && self.settings.always_query_group_plugin {
            return self.doubt(Doubt::GroupPlugin(name.to_vec()), Verdicts::MAYBE);
        }
        answer
    }

    /// Whether the account is in a group of group(5).
    pub(super) fn unix_group(&self, name: &[u8], who: &Subject) -> Verdicts {
        let nocase = self.settings.case_insensitive_group && !self.settings.match_group_by_gid;
        if let [b'#', number @ ..] = name
            && let Some(gid) = id(number)
            && (gid == who.gid || who.groups.iter().any(|group| group.gid == gid))
        {
            return Verdicts::ALLOW;
        }
        let named: Vec<_> = who
            .groups
            .iter()
            .filter(|group| same_name(name, &group.name, nocase))
            .collect();
        let hidden = |gid: u32| {
            let mut twins = who.groups.iter().filter(|group| group.gid == gid);
            !self.settings.match_group_by_gid
                && twins.any(|twin| !same_name(name, &twin.name, nocase))
        };
        match named.as_slice() {
            [] => Verdicts::NONE,
            groups if groups.iter().all(|group| hidden(group.gid)) => {
                self.doubt(Doubt::SharedGroupId(name.to_vec()), Verdicts::MAYBE)
            }
            _ => Verdicts::ALLOW,
        }
    }

    fn host_member(&self, member: &What) -> Verdicts {
        match member {
            What::All => Verdicts::ALLOW,
            What::Word(name) => self.host_name(name),
            What::Network(text) => self.network(text),
            What::NetGroup(name) => self.netgroup(name),
            _ => Verdicts::NONE,
        }
    }

    fn host_name(&self, pattern: &[u8]) -> Verdicts {
        let name = if pattern.contains(&b'.') {
            self.host.long.as_ref()
        } else {
            Some(&self.host.short)
        };
        let Some(name) = name else {
            return self.doubt(Doubt::HostName(pattern.to_vec()), Verdicts::MAYBE);
        };
        Verdicts::matches(if glob::has_meta(pattern) {
            let rules = glob::Rules {
                casefold: true,
                ..glob::Rules::default()
            };
            glob::matches(pattern, name, rules)
        } else {
            name.eq_ignore_ascii_case(pattern)
        })
    }

    fn network(&self, text: &[u8]) -> Verdicts {
        let unknown = || self.doubt(Doubt::Address(text.to_vec()), Verdicts::MAYBE);
        let Some(own) = &self.host.addresses else {
            return unknown();
        };
        let Ok(text) = std::str::from_utf8(text) else {
            return Verdicts::NONE;
        };
        let (address, mask) = match text.split_once('/') {
            Some((address, mask)) => (address, Some(mask)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Verdicts::NONE;
        };
        let Some(mask) = mask else {
            return Verdicts::matches(own.iter().any(|(ip, prefix)| {
                *ip == address || masked(*ip, prefix_mask(*ip, *prefix)) == Some(address)
            }));
        };
        let (mask, cut) = match (mask.parse::<IpAddr>(), mask.parse::<u8>()) {
            // sudo does not cut an IPv6 address to a mask that is itself written as an address.
            (Ok(mask @ IpAddr::V6(_)), _) => (mask, Some(address)),
            (Ok(mask), _) => (mask, masked(address, mask)),
            (_, Ok(bits)) if bits >= 1 => {
                let mask = prefix_mask(address, bits);
                (mask, masked(address, mask))
            }
            _ => return Verdicts::NONE,
        };
        Verdicts::matches(
            own.iter()
                .any(|(ip, _)| cut.is_some() && masked(*ip, mask) == cut),
        )
    }
}

enum Entered<'a> {
    Alias(&'a [Member]),
    PlainWord,
    TooDeep,
}

/// An id as sudo reads it: a decimal number that may be negative, but not -1.
fn id(text: &[u8]) -> Option<u32> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let id = match number {
        0.. => u32::try_from(number).ok()?,
        _ => i32::try_from(number).ok()?.cast_unsigned(),
    };
    (id != u32::MAX).then_some(id)
}

fn same_name(a: &[u8], b: &[u8], nocase: bool) -> bool {
    if nocase {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

fn prefix_mask(like: IpAddr, bits: u8) -> IpAddr {
    match like {
        IpAddr::V4(_) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            IpAddr::V4(mask.into())
        }
        IpAddr::V6(_) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            IpAddr::V6(mask.into())
        }
    }
}

/// `None` for different families.
fn masked(ip: IpAddr, mask: IpAddr) -> Option<IpAddr> {
    match (ip, mask) {
        (IpAddr::V4(ip), IpAddr::V4(mask)) => {
            Some(IpAddr::V4((u32::from(ip) & u32::from(mask)).into()))
        }
        (IpAddr::V6(ip), IpAddr::V6(mask)) => {
            Some(IpAddr::V6((u128::from(ip) & u128::from(mask)).into()))
        }
        _ => None,
    }
}
