//! What sudo(8) lets an account do.

use std::path::PathBuf;

use rescind_protocol::path::Mechanism;

use super::right::{Asks, Reach, Right, Whom};
use super::sudo_targets::{Targets, is_named};
use crate::host::account::{Account, PasswordState};
use crate::host::accounts::Accounts;
use crate::pam::Service;
use crate::sshd::printable::{printable, printable_path};
use crate::sudoers::policy::{Answer, CommandLine, Decision, Grant, Granted, PasswordOf, Way};
use crate::sudoers::tree::{Command, What};
use crate::sudoers::{self, HostNames, Policy, Subject, Sudoers, escalation};

/// Accounts that rules name as targets, looked at for one account.
const TARGETS_MAX: usize = 256;
/// Commands of one rule that are named; of more it is said how many there are.
const COMMANDS_SHOWN: usize = 8;
/// Commands of one account about which the policy is asked; beyond it a rule is taken as it stands.
const DECISIONS_MAX: usize = 500;
/// How long a password counts where nothing says: the longest that sudo is built with.
const TICKET_S: i64 = 15 * 60;

/// What a host has of sudo.
#[derive(Debug, Default)]
pub struct SudoFacts {
    /// Its rules; `None` where there is no sudo, or nothing for it to read.
    pub sudoers: Option<Sudoers>,
    /// Where else it takes rules from.
    pub other_sources: Vec<String>,
    /// The host's names.
    pub host: HostNames,
    /// Seconds since 1970.
    pub now: i64,
    /// Why the program gives nobody anything, if that is so.
    pub powerless: Option<&'static str>,
    /// What PAM says of the services that it asks as; none where it does not ask PAM.
    pub services: Vec<Service>,
    /// For whom there is a ticket, and when it was last renewed, in seconds since 1970.
    pub tickets: Vec<(Vec<u8>, i64)>,
}

impl SudoFacts {
    /// The rules for an account, one for each line and target. Root needs none.
    pub fn rights(&self, account: &Account, accounts: &Accounts, targets: &Targets) -> Vec<Right> {
        let root = accounts.superusers();
        let superuser = root.first().map_or_else(Subject::root, Subject::from);
        let Some(policy) = self.policy(&superuser).filter(|_| account.uid != 0) else {
            return Vec::new();
        };
        let who = Subject::from(account);
        let (grants, doubts) = policy.grants(&who);
        let mut listing = Listing {
            policy: &policy,
            account,
            who: &who,
            accounts,
            targets,
            root,
            spares: self.spares(&policy, account),
            doubt: doubts.first().map(ToString::to_string),
            decisions: DECISIONS_MAX,
        };
        let mut rights = Vec::new();
        for rules in grants.chunk_by(|a, b| is_one_rule(a, b)) {
            rights.extend(listing.right(rules));
        }
        rights.extend(self.not_known(&policy));
        if let Some(why) = self.powerless {
            for right in &mut rights {
                right.shut = Some(format!("sudo gives nobody anything: {why}"));
            }
        }
        rights
    }

    /// What is to be said of an account where nothing of sudo could be read.
    pub fn unread(why: &str) -> Right {
        Right {
            doubt: Some(format!("what sudo grants is not known: {why}")),
            ..right(Whom::Listed, sudoers::files::SUDOERS.into(), None)
        }
    }

    /// What of the rules is not known.
    fn not_known(&self, policy: &Policy<'_>) -> Vec<Right> {
        let unread = policy.sudoers.unread.iter().map(|unread| {
            let why = format!("{}: {}", printable_path(&unread.path), unread.reason);
            (unread.path.clone(), why)
        });
        let elsewhere = self.other_sources.iter().map(|other| {
            let why = format!("sudo also takes rules from {other}");
            (PathBuf::from("/etc/nsswitch.conf"), why)
        });
        let right = |(file, why): (PathBuf, String)| Right {
            doubt: Some(format!("what sudo grants is not known: {why}")),
            ..right(Whom::Listed, file, None)
        };
        unread.chain(elsewhere).map(right).collect()
    }

    /// The services that sudo asks PAM as for an account, plainly and with `-i`, and whether it asks
    /// if the account may be used; none where it does not ask PAM.
    pub fn asks_pam(&self, account: &Account) -> (Vec<&Service>, bool) {
        let superuser = Subject::root();
        let Some(policy) = self.policy(&superuser) else {
            return (Vec::new(), false);
        };
        let settings = policy.settings(&account.into());
        let login = settings.pam_login_service.as_deref().unwrap_or(b"sudo-i");
        let names = [settings.pam_service.as_slice(), login];
        let named = |service: &&Service| names.contains(&service.name.as_slice());
        let services = self.services.iter().filter(named).collect();
        (services, settings.pam_acct_mgmt)
    }

    /// How an account becomes another by sudo; `None` when it does not. `root` are the accounts of
    /// uid 0.
    pub fn becomes(&self, account: &Account, target: &Account, root: &[Account]) -> Option<Right> {
        let superuser = root.first().map_or_else(Subject::root, Subject::from);
        let policy = self.policy(&superuser)?;
        if self.powerless.is_some() {
            return None;
        }
        let whom = Whom::Account(target.name.as_str().as_bytes().to_vec());
        let by = |way: Way, reach, doubt| Right {
            words: way.reason,
            reach,
            asks: asked(way.nopasswd, way.password_of, target, root),
            spares: self.spares(&policy, account).filter(|_| !way.nopasswd),
            doubt,
            ..right(whom.clone(), way.source.file, Some(way.source.span.line))
        };
        match policy.becomes(&account.into(), &target.into()) {
            Answer::No => None,
            Answer::Yes(way) => Some(by(way, Reach::Everything, None)),
            Answer::Likely(way) => Some(by(way, Reach::Leads, None)),
            Answer::Unknown { why, way } => {
                let doubt = why
                    .first()
                    .map_or("it is not known".into(), ToString::to_string);
                Some(match way {
                    Some(way) => by(way, Reach::Leads, Some(doubt)),
                    None => Right {
                        words: format!("may become {}, for all that is known", target.name),
                        doubt: Some(doubt),
                        ..right(whom.clone(), sudoers::files::SUDOERS.into(), None)
                    },
                })
            }
        }
    }

    /// The accounts, besides root, that the rules for an account name as targets.
    pub fn targets(&self, account: &Account, accounts: &Accounts) -> Vec<Account> {
        let superuser = Subject::root();
        let Some(policy) = self.policy(&superuser) else {
            return Vec::new();
        };
        let (grants, _) = policy.grants(&account.into());
        let named: Vec<&What> = grants
            .iter()
            .flat_map(|grant| &grant.runas_users)
            .filter(|target| !target.negated)
            .map(|target| &target.what)
            .collect();
        // Only a first choice, to ask the policy about few: ALL is root, and with it everybody.
        let is_one = |other: &Account| named.iter().any(|what| is_named(what, other));
        if named.is_empty() {
            return Vec::new();
        }
        let others = accounts.iter().filter(|other| other.uid != 0);
        others.filter(is_one).take(TARGETS_MAX).collect()
    }

    /// The rules by which others become an account that is named in them: where, and by whom. Those
    /// who may become anybody are left out: they are root.
    pub fn by_others(&self, target: &Account) -> Vec<(PathBuf, u32, String)> {
        let superuser = Subject::root();
        let policy = self.policy(&superuser).filter(|_| self.powerless.is_none());
        let Some(policy) = policy else {
            return Vec::new();
        };
        let is_target = |what: &What| *what != What::All && is_named(what, target);
        let rules = policy.rules_to_become(&is_target).into_iter();
        let by_others = rules.filter_map(|rule| {
            let others = rule.users.iter().filter(|user| !user.negated);
            let others = others.filter(|user| !is_by_name(&user.what, target));
            let names: Vec<String> = others.map(|user| user_in_words(&user.what)).collect();
            let shown = names.iter().take(COMMANDS_SHOWN).cloned();
            let shown = shown.collect::<Vec<_>>().join(", ");
            (!names.is_empty()).then_some((rule.source.file, rule.source.span.line, shown))
        });
        by_others.collect()
    }

    /// A ticket of the account's that is not too old, which spares the password.
    pub(super) fn spares(&self, policy: &Policy<'_>, account: &Account) -> Option<String> {
        let name = account.name.as_str().as_bytes();
        let ticket = self.tickets.iter().find(|(owner, _)| owner == name)?;
        let lasts = policy.settings(&account.into()).ticket_s;
        let age = self.now.saturating_sub(ticket.1);
        (age < lasts.unwrap_or(TICKET_S)).then(|| {
            format!(
                "a password given {} minutes ago may still count (/run/sudo/ts/{})",
                age.max(0) / 60,
                account.name
            )
        })
    }

    pub(super) fn policy<'p>(&'p self, superuser: &'p Subject) -> Option<Policy<'p>> {
        Some(Policy {
            sudoers: self.sudoers.as_ref()?,
            host: &self.host,
            root: superuser,
            other_sources: &self.other_sources,
            now_unix: self.now,
        })
    }
}

/// Whether two rules are for the same targets on the same terms, one after the other in one line.
fn is_one_rule(a: &Grant<'_>, b: &Grant<'_>) -> bool {
    std::ptr::eq(a.privilege, b.privilege)
        && a.rule.runas == b.rule.runas
        && a.rule.tags.nopasswd == b.rule.tags.nopasswd
}

/// The rights of one account, as they are put into words.
struct Listing<'l> {
    policy: &'l Policy<'l>,
    account: &'l Account,
    who: &'l Subject,
    accounts: &'l Accounts,
    targets: &'l Targets,
    root: &'l [Account],
    spares: Option<String>,
    /// What is not known of rules that may be for the account or not.
    doubt: Option<String>,
    /// How often the policy may still be asked.
    decisions: usize,
}

impl Listing<'_> {
    /// What rules for the same targets allow; `None` where other rules decide about all of it.
    fn right(&mut self, rules: &[Grant<'_>]) -> Option<Right> {
        let first = rules.first()?;
        let target = self.targets.one_of(&first.runas_users, self.accounts);
        let mut seen = Seen::default();
        for grant in rules {
            let positive = grant.commands.iter().filter(|command| !command.negated);
            for command in positive {
                if let What::Command(command) = &command.what {
                    self.command(grant, command, target.as_ref(), &mut seen);
                }
            }
        }
        if seen.commands.is_empty() && seen.forbidden.is_none() && seen.doubt.is_none() {
            return None;
        }
        let nobody = target.is_none() && !first.runas_users.is_empty();
        let shut = match seen.forbidden {
            _ if nobody => Some("there is no such account to become".to_owned()),
            Some(by) if seen.commands.is_empty() => Some(by),
            _ => None,
        };
        let nopasswd = seen.nopasswd.unwrap_or(first.nopasswd);
        let settings = self.policy.settings(self.who);
        let of = match () {
            () if settings.rootpw => PasswordOf::Root,
            () if settings.targetpw => PasswordOf::Target,
            () if settings.runaspw => PasswordOf::RunasDefault,
            () => PasswordOf::Own,
        };
        let other = target.as_ref().unwrap_or(self.account);
        let asks = asked(nopasswd, of, other, self.root);
        let how = match (nopasswd, of) {
            (true, _) => "without a password",
            (false, PasswordOf::Own) => "with its own password",
            (false, PasswordOf::Root) => "with root's password",
            (false, PasswordOf::Target) => "with that account's password",
            (false, PasswordOf::RunasDefault) => "with the default runas user's password",
        };
        let whom = whom(first);
        let words = format!(
            "sudo lets it run {} as {}, {how}",
            shown(&seen.commands),
            targets_in_words(first)
        );
        let uncertain = !rules.iter().all(|grant| grant.certain);
        let doubt = seen
            .doubt
            .or_else(|| uncertain.then(|| self.doubt.clone())?);
        Some(Right {
            words,
            reach: seen.reach,
            programs: seen.programs,
            asks,
            shut,
            doubt: doubt.map(|why| format!("what sudo lets it do is not certain: {why}")),
            spares: self.spares.clone().filter(|_| !nopasswd),
            ..right(
                whom,
                first.source.file.clone(),
                Some(first.source.span.line),
            )
        })
    }

    /// Asks the policy about one command of a rule.
    fn command(
        &mut self,
        grant: &Grant<'_>,
        command: &Command,
        target: Option<&Account>,
        seen: &mut Seen,
    ) {
        let text = in_words(command);
        let line = match target {
            Some(target) if self.decisions > 0 => exactly(command).map(|line| (line, target)),
            _ => None,
        };
        if let Some((line, target)) = line {
            self.decisions -= 1;
            match self.policy.decide(self.who, &target.into(), &line) {
                Decision::Allowed { source, nopasswd } => {
                    if source != grant.source {
                        // Another rule decides, and is told of itself.
                        return;
                    }
                    seen.nopasswd = Some(seen.nopasswd.unwrap_or(true) && nopasswd);
                }
                Decision::Denied { source } => {
                    let by = source.map_or_else(
                        || "the rule does not hold now".to_owned(),
                        |source| {
                            let file = printable_path(&source.file);
                            format!("{file}:{} forbids it again", source.span.line)
                        },
                    );
                    seen.forbidden.get_or_insert(by);
                    return;
                }
                Decision::Unknown { why, .. } => {
                    let why = why.first().map_or("it".into(), ToString::to_string);
                    seen.doubt.get_or_insert(why);
                }
            }
        }
        let reach = match command.path {
            None => Reach::Everything,
            Some(_) if escalation::reason(command).is_some() => Reach::Leads,
            Some(_) => Reach::Something,
        };
        if seen.commands.is_empty() || rank(reach) < rank(seen.reach) {
            seen.reach = reach;
        }
        seen.programs.extend(
            command
                .path
                .clone()
                .filter(|path| path.starts_with(b"/") && !path.ends_with(b"/")),
        );
        seen.commands.push(text);
    }
}

/// What was seen of rules for the same targets.
struct Seen {
    commands: Vec<String>,
    programs: Vec<Vec<u8>>,
    reach: Reach,
    nopasswd: Option<bool>,
    forbidden: Option<String>,
    doubt: Option<String>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            commands: Vec::new(),
            programs: Vec::new(),
            reach: Reach::Something,
            nopasswd: None,
            forbidden: None,
            doubt: None,
        }
    }
}

fn right(whom: Whom, file: PathBuf, line: Option<u32>) -> Right {
    Right {
        mechanism: Mechanism::Sudo,
        whom,
        words: String::new(),
        reach: Reach::Something,
        programs: Vec::new(),
        asks: Asks::Nothing,
        file,
        line,
        shut: None,
        doubt: None,
        spares: None,
    }
}

/// What is asked, and what is known of that password.
fn asked(nopasswd: bool, of: PasswordOf, target: &Account, root: &[Account]) -> Asks {
    match of {
        _ if nopasswd => Asks::Nothing,
        PasswordOf::Own => Asks::OwnPassword,
        PasswordOf::Target => Asks::PasswordOf(target.typed_password()),
        // The default runas user is root unless somebody changed that.
        PasswordOf::Root | PasswordOf::RunasDefault => {
            let usable = root
                .iter()
                .find(|root| root.typed_password() == PasswordState::Usable);
            let state = usable.or(root.first()).map(Account::typed_password);
            Asks::PasswordOf(state.unwrap_or(PasswordState::Missing))
        }
    }
}

const fn rank(reach: Reach) -> u8 {
    match reach {
        Reach::Everything => 0,
        Reach::Leads => 1,
        Reach::Something => 2,
    }
}

/// Whether it names this account and nobody else.
fn is_by_name(what: &What, account: &Account) -> bool {
    matches!(what, What::Word(_) | What::Alias(_)) && is_named(what, account)
}

fn user_in_words(what: &What) -> String {
    match what {
        What::All => "everybody".into(),
        What::Word(word) | What::Alias(word) | What::UserGroup(word) | What::NetGroup(word) => {
            printable(word)
        }
        What::Network(_) | What::Myself | What::Command(_) => "somebody".into(),
    }
}

fn whom(grant: &Grant<'_>) -> Whom {
    let mut positive = grant.runas_users.iter().filter(|member| !member.negated);
    match (positive.next(), positive.next()) {
        (None, _) => match grant.runas_groups.first().map(|member| &member.what) {
            Some(What::Word(group)) => Whom::Group(group.clone()),
            _ => Whom::Listed,
        },
        (Some(Granted { what, .. }), None) => match what {
            What::All => Whom::Anybody,
            What::Word(name) | What::Alias(name) => Whom::Account(name.clone()),
            _ => Whom::Listed,
        },
        _ => Whom::Listed,
    }
}

fn targets_in_words(grant: &Grant<'_>) -> String {
    let member = |member: &Granted| {
        let name = match &member.what {
            What::All => "anybody".to_owned(),
            What::Myself => "itself".to_owned(),
            What::Alias(name)
            | What::Word(name)
            | What::UserGroup(name)
            | What::NetGroup(name)
            | What::Network(name) => printable(name),
            What::Command(_) => String::new(),
        };
        match member.negated {
            true => format!("not {name}"),
            false => name,
        }
    };
    let users: Vec<String> = grant.runas_users.iter().map(member).collect();
    let groups: Vec<String> = grant.runas_groups.iter().map(member).collect();
    match (users.is_empty(), groups.is_empty()) {
        (false, _) => users.join(", "),
        (true, false) => format!("itself in group {}", groups.join(", ")),
        (true, true) => "itself".to_owned(),
    }
}

fn in_words(command: &Command) -> String {
    let Some(path) = &command.path else {
        return "any command".into();
    };
    match command.args.as_deref() {
        None => printable(path),
        Some(b"\"\"") => format!("{} without arguments", printable(path)),
        Some(args) => format!("{} {}", printable(path), printable(args)),
    }
}

fn shown(commands: &[String]) -> String {
    if commands.iter().any(|command| command == "any command") {
        return "any command".into();
    }
    let some = commands
        .iter()
        .take(COMMANDS_SHOWN)
        .cloned()
        .collect::<Vec<_>>();
    let more = commands.len().saturating_sub(COMMANDS_SHOWN);
    match more {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

/// The command line that a rule's command is asked about; `None` for patterns.
fn exactly(command: &Command) -> Option<CommandLine> {
    let Some(path) = &command.path else {
        return command.digests.is_empty().then_some(CommandLine::Any);
    };
    let is_plain = |text: &[u8]| !text.iter().any(|byte| b"*?[\\^".contains(byte));
    if !is_plain(path) || path.ends_with(b"/") {
        return None;
    }
    let args = match command.args.as_deref() {
        None | Some(b"\"\"") => None,
        Some(args) if is_plain(args) => Some(args.to_vec()),
        Some(_) => return None,
    };
    Some(CommandLine::Exactly {
        path: path.clone(),
        args,
    })
}
