//! What `sudo -l -U` prints, made from our grants.

use std::sync::Arc;

use rescind_agent::sudoers::Dialect;
use rescind_agent::sudoers::policy::{Grant, Granted};
use rescind_agent::sudoers::tree::{Moment, Setenv, What};

/// The rules of sudo's answer, blanks evened out; empty where it lists none.
pub fn theirs(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output).into_owned();
    match text.split_once("may run the following commands on web1:\n") {
        Some((_, rules)) => even(rules),
        None => String::new(),
    }
}

fn even(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same from us.
pub fn ours(grants: &[Grant<'_>], user: &str, dialect: Dialect) -> String {
    let writer = Writer { dialect, user };
    let mut out = String::new();
    let mut before: Option<&Grant<'_>> = None;
    for grant in grants {
        let previous = before.filter(|b| std::ptr::eq(b.privilege, grant.privilege));
        let same_runas = previous.is_some_and(|b| match (&b.rule.runas, &grant.rule.runas) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        });
        if same_runas {
            out += ", ";
        } else {
            out += &format!("\n({}) ", writer.runas(grant));
        }
        // Newer versions repeat the tags at the start of a line.
        let shown = if dialect >= Dialect::Sudo1_9_13 && !same_runas {
            None
        } else {
            previous
        };
        out += &writer.rule(grant, shown);
        before = Some(grant);
    }
    even(&out)
}

struct Writer<'a> {
    dialect: Dialect,
    user: &'a str,
}

impl Writer<'_> {
    fn runas(&self, grant: &Grant<'_>) -> String {
        let mut out = match grant.rule.runas.as_deref() {
            Some(runas) if runas.users.is_none() => self.user.to_owned(),
            _ => self.list(&grant.runas_users),
        };
        if grant
            .rule
            .runas
            .as_deref()
            .is_some_and(|runas| runas.groups.is_some())
        {
            out += " : ";
            out += &self.list(&grant.runas_groups);
        }
        out
    }

    fn list(&self, members: &[Granted]) -> String {
        members
            .iter()
            .map(|member| self.member(member))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn member(&self, granted: &Granted) -> String {
        let not = if granted.negated { "!" } else { "" };
        match &granted.what {
            What::All => format!("{not}ALL"),
            // The one who asks, in old versions.
            What::Myself if self.dialect >= Dialect::Sudo1_9_13 => format!("{not}{}", self.user),
            What::Myself => format!("{not}root"),
            What::Command(command) => {
                let mut out = String::new();
                for (i, digest) in command.digests.iter().enumerate() {
                    let comma = if i + 1 < command.digests.len() {
                        ","
                    } else {
                        ""
                    };
                    out += &format!("{}:{}{comma} ", digest.kind.word(), lossy(&digest.text));
                }
                out += not;
                let (cmd, arg) = match self.dialect {
                    Dialect::Sudo1_9_5 => (&b":\\,=#\" \t"[..], &b":\\,=#\""[..]),
                    _ => (&b":,= \t#"[..], &b":,=#"[..]),
                };
                match &command.path {
                    None => out += "ALL",
                    Some(path) if path.starts_with(b"^") => out += &lossy(path),
                    Some(path) => out += &quoted(path, cmd),
                }
                if let Some(args) = &command.args {
                    out.push(' ');
                    let regex = args.starts_with(b"^") && self.dialect > Dialect::Sudo1_9_5;
                    out += &if regex {
                        lossy(args)
                    } else {
                        quoted(args, arg)
                    };
                }
                out
            }
            What::UserGroup(name) if !name.iter().any(|c| matches!(c, b' ' | b'\t')) => {
                let (prefix, rest) = match &name[1..] {
                    [b':', rest @ ..] => ("%:", rest),
                    rest => ("%", rest),
                };
                format!("{prefix}{}", self.word(rest, not))
            }
            What::Word(name)
            | What::Alias(name)
            | What::UserGroup(name)
            | What::NetGroup(name)
            | What::Network(name) => self.word(name, not),
        }
    }

    fn word(&self, name: &[u8], not: &str) -> String {
        let set = if self.dialect == Dialect::Sudo1_9_5 {
            &b":\\,=#\""[..]
        } else {
            &b":,=#\""[..]
        };
        if name.first() == Some(&b'#') && name[1..].iter().all(u8::is_ascii_digit) {
            format!("{not}{}", lossy(name))
        } else if name.iter().any(|c| matches!(c, b' ' | b'\t')) {
            format!("{not}\"{}\"", quoted(name, b"\""))
        } else {
            format!("{not}{}", quoted(name, set))
        }
    }

    /// Options and tags that the rule before did not have, then the command.
    fn rule(&self, grant: &Grant<'_>, before: Option<&Grant<'_>>) -> String {
        let mut out = String::new();
        let now = &grant.rule.options;
        let past = before.map(|b| &b.rule.options);
        let mut option = |name: &str, value: Option<String>, past: Option<String>| {
            if let Some(value) = value
                && past.as_ref() != Some(&value)
            {
                out += &format!("{name}={value} ");
            }
        };
        let bytes = |b: &Option<Vec<u8>>| b.as_deref().map(lossy);
        let time = |m: Option<Moment>| m.map(moment);
        option("ROLE", bytes(&now.role), past.and_then(|p| bytes(&p.role)));
        option(
            "TYPE",
            bytes(&now.selinux_type),
            past.and_then(|p| bytes(&p.selinux_type)),
        );
        option(
            "CHROOT",
            bytes(&now.chroot),
            past.and_then(|p| bytes(&p.chroot)),
        );
        option("CWD", bytes(&now.cwd), past.and_then(|p| bytes(&p.cwd)));
        let seconds = |s: Option<u32>| s.filter(|s| *s > 0).map(|s| s.to_string());
        option(
            "TIMEOUT",
            seconds(now.timeout_s),
            past.and_then(|p| seconds(p.timeout_s)),
        );
        option(
            "NOTBEFORE",
            time(now.not_before),
            past.and_then(|p| time(p.not_before)),
        );
        option(
            "NOTAFTER",
            time(now.not_after),
            past.and_then(|p| time(p.not_after)),
        );
        let now = &grant.rule.tags;
        let past = before.map(|b| &b.rule.tags);
        let mut tag = |yes: &str, no: &str, value: Option<bool>, past: Option<Option<bool>>| {
            if let Some(on) = value
                && past != Some(value)
            {
                out += if on { yes } else { no };
                out += ": ";
            }
        };
        let setenv = |s: Setenv| {
            if let Setenv::Is(on) = s {
                Some(on)
            } else {
                None
            }
        };
        tag(
            "SETENV",
            "NOSETENV",
            setenv(now.setenv),
            past.map(|p| setenv(p.setenv)),
        );
        tag(
            "INTERCEPT",
            "NOINTERCEPT",
            now.intercept,
            past.map(|p| p.intercept),
        );
        tag("NOEXEC", "EXEC", now.noexec, past.map(|p| p.noexec));
        tag("NOPASSWD", "PASSWD", now.nopasswd, past.map(|p| p.nopasswd));
        tag(
            "LOG_INPUT",
            "NOLOG_INPUT",
            now.log_input,
            past.map(|p| p.log_input),
        );
        tag(
            "LOG_OUTPUT",
            "NOLOG_OUTPUT",
            now.log_output,
            past.map(|p| p.log_output),
        );
        tag("MAIL", "NOMAIL", now.mail, past.map(|p| p.mail));
        tag("FOLLOW", "NOFOLLOW", now.follow, past.map(|p| p.follow));
        out + &self.list(&grant.commands)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn quoted(text: &[u8], set: &[u8]) -> String {
    let mut out = Vec::new();
    for c in text {
        if set.contains(c) {
            out.push(b'\\');
        }
        out.push(*c);
    }
    lossy(&out)
}

/// `yyyymmddHHMMSSZ`.
pub fn moment(moment: Moment) -> String {
    let days = moment.unix.div_euclid(86_400);
    let seconds = moment.unix.rem_euclid(86_400);
    // From days to a date of the Gregorian calendar whose years begin in March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}{:02}{:02}{:02}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}
