//! The right half of a user specification: hosts, runas, options, tags, commands.

use std::sync::Arc;

use super::parser::{Parser, SyntaxError};
use super::times;
use super::tokens::{OptionName, TagName, Tok};
use super::tree::{
    Command, Digest, Member, Options, Privilege, Rule, Runas, Setenv, Span, Tags, What,
};

/// PATH_MAX: longer commands and directories are errors to sudo.
const PATH_LENGTH_MAX: usize = 4096;

impl Parser<'_> {
    /// `hosts = rules`.
    pub(super) fn privilege(&mut self) -> Result<Privilege, SyntaxError> {
        let start = self.peek().span;
        let hosts = self.host_list()?;
        self.expect(&Tok::Equals, "a rule needs a `=` after its hosts")?;
        let mut rules: Vec<Rule> = Vec::new();
        loop {
            let mut rule = self.rule()?;
            if let Some(before) = rules.last() {
                let has_own = !Arc::ptr_eq(&rule.options, &self.no_options);
                inherit(&mut rule, before);
                if has_own {
                    self.hold(rule.options.bytes())?;
                }
            }
            self.hold(size_of::<Rule>() + Member::BYTES)?;
            rules.push(rule);
            if !self.accept(&Tok::Comma) {
                break;
            }
        }
        rules.shrink_to_fit();
        self.hold(size_of::<Privilege>())?;
        let end = rules.last().map_or(start, |rule| rule.span);
        Ok(Privilege {
            span: start.to(end),
            hosts,
            rules,
        })
    }

    fn rule(&mut self) -> Result<Rule, SyntaxError> {
        let start = self.peek().span;
        let runas = if self.accept(&Tok::Open) {
            Some(Arc::new(self.runas()?))
        } else {
            None
        };
        let options = self.options()?;
        let mut tags = Tags::default();
        while let Tok::Tag(name, on) = self.peek().tok {
            self.take();
            set_tag(&mut tags, name, on);
        }
        let command = self.command()?;
        if command.is_plain_all() && tags.setenv == Setenv::Unset {
            tags.setenv = Setenv::Implied;
        }
        Ok(Rule {
            span: start.to(command.span),
            runas,
            options,
            tags,
            command,
        })
    }

    /// After the opening parenthesis, with the closing one.
    fn runas(&mut self) -> Result<Runas, SyntaxError> {
        let at = self.peek().span;
        let runas = if self.peek().tok == Tok::Close {
            Runas {
                users: Some(myself(at)),
                groups: None,
            }
        } else if self.accept(&Tok::Colon) {
            if self.peek().tok == Tok::Close {
                Runas {
                    users: Some(myself(at)),
                    groups: None,
                }
            } else {
                let groups = Some(self.group_list()?);
                let users = self
                    .lexer
                    .sources
                    .dialect
                    .group_only_runas_is_myself()
                    .then(|| myself(at));
                Runas { users, groups }
            }
        } else {
            let users = Some(self.user_list()?);
            let groups = if self.accept(&Tok::Colon) {
                Some(self.group_list()?)
            } else {
                None
            };
            Runas { users, groups }
        };
        self.expect(&Tok::Close, "a `)` is missing")?;
        Ok(runas)
    }

    fn options(&mut self) -> Result<Arc<Options>, SyntaxError> {
        if !matches!(self.peek().tok, Tok::Option(_)) {
            return Ok(Arc::clone(&self.no_options));
        }
        let dialect = self.lexer.sources.dialect;
        let mut options = Options::default();
        while let Tok::Option(name) = self.peek().tok {
            self.take();
            self.expect(&Tok::Equals, "an option needs a `=`")?;
            let (value, _) = self.word("an option without its value")?;
            match name {
                OptionName::Cwd => options.cwd = Some(directory(value)?),
                OptionName::Chroot => options.chroot = Some(directory(value)?),
                OptionName::Timeout => {
                    options.timeout_s =
                        Some(times::timeout(&value).ok_or(SyntaxError("invalid timeout"))?);
                }
                OptionName::NotBefore => {
                    options.not_before =
                        Some(times::moment(&value, dialect).ok_or(SyntaxError("invalid time"))?);
                }
                OptionName::NotAfter => {
                    options.not_after =
                        Some(times::moment(&value, dialect).ok_or(SyntaxError("invalid time"))?);
                }
                OptionName::Role => options.role = Some(value),
                OptionName::Type => options.selinux_type = Some(value),
                OptionName::AppArmorProfile => options.apparmor_profile = Some(value),
                OptionName::Privs => options.privs = Some(value),
                OptionName::LimitPrivs => options.limitprivs = Some(value),
            }
        }
        self.hold(options.bytes())?;
        Ok(Arc::new(options))
    }

    /// A command with its digests and negation.
    pub(super) fn command(&mut self) -> Result<Member, SyntaxError> {
        let start = self.peek().span;
        let mut digests = Vec::new();
        if let Tok::DigestKind(_) = self.peek().tok {
            loop {
                digests.push(self.digest()?);
                if !self.accept(&Tok::Comma) {
                    break;
                }
            }
        }
        let negated = self.accept(&Tok::Bang);
        let token = self.peek().clone();
        let what = match token.tok {
            Tok::All => What::Command(Command {
                path: None,
                args: None,
                digests,
            }),
            Tok::Alias(name) => {
                self.take();
                if !digests.is_empty() {
                    return Err(SyntaxError("a digest needs a path"));
                }
                return Ok(Member {
                    span: start.to(token.span),
                    negated,
                    what: What::Alias(name),
                });
            }
            Tok::Command { path, args } => {
                if path.len() >= PATH_LENGTH_MAX {
                    self.take();
                    return Err(SyntaxError("the command is too long"));
                }
                What::Command(Command {
                    path: Some(path),
                    args,
                    digests,
                })
            }
            // The word is part of the grammar only where `list` is; elsewhere it stays ahead.
            Tok::Word(word) if self.lexer.sources.dialect.has_list_command() => {
                self.take();
                if word != b"list" {
                    return Err(SyntaxError("a command needs its full path"));
                }
                let command = Command {
                    path: Some(word),
                    args: None,
                    digests,
                };
                let span = start.to(token.span);
                return Ok(Member {
                    span,
                    negated,
                    what: What::Command(command),
                });
            }
            _ => return Err(self.unexpected("a command is missing")),
        };
        self.take();
        Ok(Member {
            span: start.to(token.span),
            negated,
            what,
        })
    }

    fn digest(&mut self) -> Result<Digest, SyntaxError> {
        let Tok::DigestKind(kind) = self.peek().tok else {
            return Err(self.unexpected("another digest is missing"));
        };
        self.take();
        self.expect(&Tok::Colon, "a digest needs a `:`")?;
        match self.peek().clone().tok {
            Tok::Digest(text) => {
                self.take();
                Ok(Digest { kind, text })
            }
            _ => Err(self.unexpected("not a digest of this kind")),
        }
    }
}

fn myself(at: Span) -> Vec<Member> {
    vec![Member {
        span: Span {
            end: at.start,
            ..at
        },
        negated: false,
        what: What::Myself,
    }]
}

fn directory(value: Vec<u8>) -> Result<Vec<u8>, SyntaxError> {
    if !matches!(value.first(), Some(b'/' | b'~')) && value != b"*" {
        return Err(SyntaxError(
            "a directory must start with `/` or `~`, or be `*`",
        ));
    }
    if value.len() >= PATH_LENGTH_MAX {
        return Err(SyntaxError("the directory is too long"));
    }
    Ok(value)
}

fn set_tag(tags: &mut Tags, name: TagName, on: bool) {
    match name {
        TagName::Nopasswd => tags.nopasswd = Some(on),
        TagName::Noexec => tags.noexec = Some(on),
        TagName::Setenv => tags.setenv = Setenv::Is(on),
        TagName::LogInput => tags.log_input = Some(on),
        TagName::LogOutput => tags.log_output = Some(on),
        TagName::Mail => tags.mail = Some(on),
        TagName::Follow => tags.follow = Some(on),
        TagName::Intercept => tags.intercept = Some(on),
    }
}

/// What a rule does not say it takes from the rule before it.
fn inherit(rule: &mut Rule, before: &Rule) {
    if rule.runas.is_none() {
        rule.runas.clone_from(&before.runas);
    }
    if *rule.options == Options::default() {
        rule.options = Arc::clone(&before.options);
    } else {
        let (own, past) = (Arc::make_mut(&mut rule.options), &before.options);
        if own.role.is_none() && own.selinux_type.is_none() {
            own.role.clone_from(&past.role);
            own.selinux_type.clone_from(&past.selinux_type);
        }
        if own.privs.is_none() && own.limitprivs.is_none() {
            own.privs.clone_from(&past.privs);
            own.limitprivs.clone_from(&past.limitprivs);
        }
        own.apparmor_profile = own
            .apparmor_profile
            .take()
            .or_else(|| past.apparmor_profile.clone());
        own.cwd = own.cwd.take().or_else(|| past.cwd.clone());
        own.chroot = own.chroot.take().or_else(|| past.chroot.clone());
        own.timeout_s = own.timeout_s.or(past.timeout_s);
        own.not_before = own.not_before.or(past.not_before);
        own.not_after = own.not_after.or(past.not_after);
    }
    let (own, past) = (&mut rule.tags, &before.tags);
    own.nopasswd = own.nopasswd.or(past.nopasswd);
    own.noexec = own.noexec.or(past.noexec);
    own.log_input = own.log_input.or(past.log_input);
    own.log_output = own.log_output.or(past.log_output);
    own.mail = own.mail.or(past.mail);
    own.follow = own.follow.or(past.follow);
    own.intercept = own.intercept.or(past.intercept);
    if own.setenv == Setenv::Unset && past.setenv != Setenv::Implied {
        own.setenv = past.setenv;
    }
}

impl Options {
    /// About how many bytes they take.
    fn bytes(&self) -> usize {
        let texts = [
            &self.role,
            &self.selinux_type,
            &self.apparmor_profile,
            &self.privs,
            &self.limitprivs,
            &self.cwd,
            &self.chroot,
        ];
        size_of::<Self>() + texts.into_iter().flatten().map(Vec::len).sum::<usize>()
    }
}

impl Member {
    /// About how many bytes one takes, with a short name.
    pub(super) const BYTES: usize = size_of::<Self>() + 32;

    /// `ALL` as a command, not negated.
    pub(super) fn is_plain_all(&self) -> bool {
        !self.negated && matches!(&self.what, What::Command(command) if command.path.is_none())
    }
}
