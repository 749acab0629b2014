//! Our policy held against the JSON of cvtsudoers, piece by piece.
//!
//! cvtsudoers writes one object per privilege, and merges rules that differ in nothing but the
//! command (it overlooks time limits there); so rules are walked beside its objects.

use std::sync::Arc;

use rescind_agent::sudoers::Dialect;
use rescind_agent::sudoers::tree::{
    AliasKind, Command, DigestKind, Member, Moment, Rule, Scope, Setenv, Sudoers, Value, What,
};
use serde_json::{Map, Value as Json, json};

/// What a plain word is called depends on the list it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    User,
    RunasUser,
    RunasGroup,
    Host,
    Command,
}

pub fn compare(policy: &Sudoers, theirs: &Json, dialect: Dialect) -> Result<usize, String> {
    let ours = Ours { policy, dialect };
    let none = Vec::new();
    let specs = theirs["User_Specs"].as_array().unwrap_or(&none);
    let mut privileges = policy.specs.iter().flat_map(|spec| {
        spec.privileges
            .iter()
            .map(move |privilege| (spec, privilege))
    });
    for object in specs {
        let Some((spec, privilege)) = privileges.next() else {
            return Err(format!("we miss a rule: {object}"));
        };
        same(
            "User_List",
            &object["User_List"],
            &ours.list(&spec.users, Words::User),
        )?;
        same(
            "Host_List",
            &object["Host_List"],
            &ours.list(&privilege.hosts, Words::Host),
        )?;
        let objects = object["Cmnd_Specs"].as_array().ok_or("no Cmnd_Specs")?;
        ours.rules(objects, &privilege.rules)?;
    }
    if let Some((spec, _)) = privileges.next() {
        return Err(format!(
            "we have a rule too many, at line {}",
            spec.span.line
        ));
    }
    ours.defaults(theirs["Defaults"].as_array().unwrap_or(&none))?;
    Ok(specs.len())
}

fn same(what: &str, theirs: &Json, ours: &Json) -> Result<(), String> {
    if theirs == ours {
        Ok(())
    } else {
        Err(format!("{what}\n  theirs {theirs}\n  ours   {ours}"))
    }
}

struct Ours<'a> {
    policy: &'a Sudoers,
    dialect: Dialect,
}

impl Ours<'_> {
    fn rules(&self, objects: &[Json], rules: &[Rule]) -> Result<(), String> {
        let mut rules = rules.iter().peekable();
        for object in objects {
            let first = rules
                .next()
                .ok_or_else(|| format!("we miss a command: {object}"))?;
            let runas = first.runas.as_deref();
            let users = runas.and_then(|runas| runas.users.as_deref());
            let groups = runas.and_then(|runas| runas.groups.as_deref());
            let list =
                |list: Option<&[Member]>, words| list.map_or(Json::Null, |l| self.list(l, words));
            same(
                "runasusers",
                &object["runasusers"],
                &list(users, Words::RunasUser),
            )?;
            same(
                "runasgroups",
                &object["runasgroups"],
                &list(groups, Words::RunasGroup),
            )?;
            same("Options", &object["Options"], &self.options(first))?;
            self.platform(object, first)?;
            let mut ours = self.members(std::slice::from_ref(&first.command), Words::Command);
            let mut last = first;
            while let Some(next) = rules.next_if(|next| goes_on(last, next)) {
                ours.extend(self.members(std::slice::from_ref(&next.command), Words::Command));
                last = next;
            }
            same("Commands", &object["Commands"], &Json::Array(ours))?;
        }
        match rules.next() {
            None => Ok(()),
            Some(rule) => Err(format!(
                "we have a command too many, at line {}",
                rule.span.line
            )),
        }
    }

    fn list(&self, members: &[Member], words: Words) -> Json {
        Json::Array(self.members(members, words))
    }

    fn members(&self, members: &[Member], words: Words) -> Vec<Json> {
        let mut out = Vec::new();
        self.unfold(members, words, false, &mut Vec::new(), &mut out);
        out
    }

    fn unfold(
        &self,
        members: &[Member],
        words: Words,
        negated: bool,
        within: &mut Vec<Vec<u8>>,
        out: &mut Vec<Json>,
    ) {
        for member in members {
            let negated = negated != member.negated;
            let old = self.dialect < Dialect::Sudo1_9_16;
            let What::Alias(name) = &member.what else {
                out.push(object(&member.what, words, negated, old));
                continue;
            };
            let kind = match words {
                Words::User => AliasKind::User,
                Words::RunasUser | Words::RunasGroup => AliasKind::Runas,
                Words::Host => AliasKind::Host,
                Words::Command => AliasKind::Command,
            };
            match self.policy.alias(kind, name) {
                Some(alias) if !within.contains(name) => {
                    within.push(name.clone());
                    let group = words == Words::RunasGroup && old;
                    let words = if group { Words::RunasUser } else { words };
                    self.unfold(&alias.members, words, negated, within, out);
                    within.pop();
                }
                _ if words == Words::Command || old => {}
                _ => out.push(object(&What::Word(name.clone()), words, negated, false)),
            }
        }
    }

    fn options(&self, rule: &Rule) -> Json {
        let mut out = Vec::new();
        let mut add = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                out.push(json!({ name: value }));
            }
        };
        let options = &rule.options;
        let tags = &rule.tags;
        add("runchroot", options.chroot.as_deref().map(text));
        add("runcwd", options.cwd.as_deref().map(text));
        add(
            "command_timeout",
            options.timeout_s.filter(|s| *s > 0).map(Json::from),
        );
        add("notbefore", options.not_before.map(moment));
        add("notafter", options.not_after.map(moment));
        add("authenticate", tags.nopasswd.map(|on| json!(!on)));
        add("noexec", tags.noexec.map(Json::from));
        add("intercept", tags.intercept.map(Json::from));
        add("send_mail", tags.mail.map(Json::from));
        add(
            "setenv",
            match tags.setenv {
                Setenv::Unset => None,
                // The marker for "implied" is neither of them, and counts as true.
                Setenv::Implied => Some(json!(true)),
                Setenv::Is(on) => Some(json!(on)),
            },
        );
        add("sudoedit_follow", tags.follow.map(Json::from));
        add("log_input", tags.log_input.map(Json::from));
        add("log_output", tags.log_output.map(Json::from));
        if self.dialect >= Dialect::Sudo1_9_16 {
            if options.role.is_some() && options.selinux_type.is_some() {
                add("role", options.role.as_deref().map(text));
                add("type", options.selinux_type.as_deref().map(text));
            }
            add(
                "apparmor_profile",
                options.apparmor_profile.as_deref().map(text),
            );
            add("privs", options.privs.as_deref().map(text));
            add("limitprivs", options.limitprivs.as_deref().map(text));
        }
        if out.is_empty() {
            Json::Null
        } else {
            Json::Array(out)
        }
    }

    fn platform(&self, object: &Json, rule: &Rule) -> Result<(), String> {
        let (role, kind) = (&rule.options.role, &rule.options.selinux_type);
        if self.dialect >= Dialect::Sudo1_9_16 || role.is_none() || kind.is_none() {
            return same("SELinux_Spec", &object["SELinux_Spec"], &Json::Null);
        }
        if object["SELinux_Spec"].is_null() {
            return Err("no SELinux_Spec".into());
        }
        Ok(())
    }

    fn defaults(&self, theirs: &[Json]) -> Result<(), String> {
        let mut ours: Vec<Map<String, Json>> = Vec::new();
        let mut line = None;
        for default in &self.policy.defaults {
            if line != Some(default.line_span) {
                line = Some(default.line_span);
                let words = match default.scope {
                    Scope::Global | Scope::User => Words::User,
                    Scope::Host => Words::Host,
                    Scope::Runas => Words::RunasUser,
                    Scope::Command => Words::Command,
                };
                let mut object = Map::new();
                if !default.binding.is_empty() {
                    object.insert("Binding".into(), self.list(&default.binding, words));
                }
                object.insert("Options".into(), json!([]));
                ours.push(object);
            }
            if !super::generate::SETTINGS.contains(&&*String::from_utf8_lossy(&default.name)) {
                // A spoilt name, which cvtsudoers leaves out.
                return Ok(());
            }
            let value = match &default.value {
                Value::On => json!(true),
                Value::Off => json!(false),
                Value::Set(word) => text(word),
                Value::Add(_) | Value::Remove(_) => return Ok(()),
            };
            let name = String::from_utf8_lossy(&default.name).into_owned();
            if let Some(Json::Array(options)) = ours.last_mut().and_then(|o| o.get_mut("Options")) {
                options.push(json!({ name: value }));
            }
        }
        let ours = Json::Array(ours.into_iter().map(Json::Object).collect());
        same("Defaults", &Json::Array(theirs.to_vec()), &ours)
    }
}

/// Whether cvtsudoers puts the next rule into the same object.
fn goes_on(rule: &Rule, next: &Rule) -> bool {
    let same_runas = match (&rule.runas, &next.runas) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let (past, now) = (&rule.tags, &next.tags);
    let kept = |past: Option<bool>, now: Option<bool>| now.is_none() || now == past;
    let setenv = |s: Setenv| {
        if let Setenv::Is(on) = s {
            Some(on)
        } else {
            None
        }
    };
    let same_tags = kept(past.nopasswd, now.nopasswd)
        && kept(past.noexec, now.noexec)
        && kept(setenv(past.setenv), setenv(now.setenv))
        && kept(past.log_input, now.log_input)
        && kept(past.log_output, now.log_output)
        && kept(past.mail, now.mail)
        && kept(past.follow, now.follow)
        && kept(past.intercept, now.intercept);
    let (past, now) = (&rule.options, &next.options);
    let same_options = past.role == now.role
        && past.selinux_type == now.selinux_type
        && past.apparmor_profile == now.apparmor_profile
        && past.privs == now.privs
        && past.limitprivs == now.limitprivs
        && past.chroot == now.chroot
        && past.cwd == now.cwd;
    same_runas && same_tags && same_options
}

fn text(bytes: &[u8]) -> Json {
    Json::from(String::from_utf8_lossy(bytes).into_owned())
}

fn moment(moment: Moment) -> Json {
    Json::from(super::listing::moment(moment))
}

fn object(what: &What, words: Words, negated: bool, old: bool) -> Json {
    let mut out = Map::new();
    let (kind, value) = match what {
        What::Command(command) => return command_object(command, negated, old),
        What::All => (word_kind(words), json!("ALL")),
        What::Myself => (word_kind(words), json!("")),
        What::NetGroup(name) => ("netgroup", text(&name[1..])),
        What::Network(name) => ("networkaddr", text(name)),
        What::UserGroup(name) => match &name[1..] {
            [b':', rest @ ..] => named_or_id(rest, "nonunixgroup", "nonunixgid"),
            rest => named_or_id(rest, "usergroup", "usergid"),
        },
        What::Word(name) | What::Alias(name) => match words {
            Words::User | Words::RunasUser => named_or_id(name, "username", "userid"),
            _ => (word_kind(words), text(name)),
        },
    };
    out.insert(kind.into(), value);
    if negated {
        out.insert("negated".into(), json!(true));
    }
    Json::Object(out)
}

fn word_kind(words: Words) -> &'static str {
    match words {
        Words::User | Words::RunasUser => "username",
        Words::RunasGroup => "usergroup",
        Words::Host => "hostname",
        Words::Command => "command",
    }
}

fn named_or_id(name: &[u8], word: &'static str, number: &'static str) -> (&'static str, Json) {
    let id = name
        .strip_prefix(b"#")
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<i64>().ok());
    match id {
        Some(id) if (i64::from(i32::MIN)..i64::from(u32::MAX)).contains(&id) && id != -1 => {
            (number, json!(if id < 0 { id + (1 << 32) } else { id }))
        }
        _ => (word, text(name)),
    }
}

fn command_object(command: &Command, negated: bool, old: bool) -> Json {
    let mut out = Map::new();
    let mut line = command.path.clone().unwrap_or_else(|| b"ALL".to_vec());
    if let Some(args) = &command.args {
        line.push(b' ');
        line.extend_from_slice(args);
    }
    out.insert("command".into(), text(&line));
    for kind in [
        DigestKind::Sha224,
        DigestKind::Sha256,
        DigestKind::Sha384,
        DigestKind::Sha512,
    ] {
        let digests: Vec<Json> = command
            .digests
            .iter()
            .filter(|d| d.kind == kind)
            .map(|d| text(&d.text))
            .collect();
        match digests.len() {
            0 => {}
            // Old versions write the same key again and again.
            n if n == 1 || old => {
                out.insert(kind.word().into(), digests[n - 1].clone());
            }
            _ => {
                out.insert(kind.word().into(), Json::Array(digests));
            }
        }
    }
    if negated {
        out.insert("negated".into(), json!(true));
    }
    Json::Object(out)
}
