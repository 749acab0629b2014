//! Statements, and sudo's way of going on after a bad line.
//!
//! sudo's parser comes from a parser generator, and its way of recovering from errors is part of
//! the policy language: what had been recognised before the error stays. An alias is defined as
//! soon as its list is complete, even if the rest of the line is nonsense; a user specification only
//! at the end of its line; of `a ALL=x : bad` the first half can survive.

use std::path::Path;
use std::sync::Arc;

use super::files::{Dialect, HELD_BYTES_MAX, ReadProblem, SudoersFiles};
use super::include::{self, Included};
use super::lexer::Lexer;
use super::source::Sources;
use super::tokens::{Tok, Token};
use super::tree::{
    Alias, AliasKind, Default, FindingKind, Member, Options, Refused, Scope, Span, Sudoers, Unread,
    UserSpec, Value, What,
};

/// Reads a policy with everything it includes. `host` is the short host name, for `%h`.
#[must_use]
pub fn parse(reader: &dyn SudoersFiles, main: &Path, host: &[u8], dialect: Dialect) -> Sudoers {
    let mut sources = Sources::new(reader, dialect);
    let mut policy = Sudoers::default();
    match sources.open(main, std::collections::VecDeque::new()) {
        Ok(()) => {
            let mut parser = Parser {
                lexer: Lexer::new(sources),
                ahead: None,
                policy,
                no_options: Arc::default(),
                held: 0,
                host,
            };
            parser.file();
            sources = parser.lexer.sources;
            policy = parser.policy;
        }
        Err((ReadProblem::Missing, _)) => policy.refused = Some(Refused::Missing),
        Err((ReadProblem::Refused(reason), _)) => policy.refused = Some(Refused::Unsafe(reason)),
        Err((ReadProblem::Other(reason), _)) => {
            sources.unread.push(Unread {
                path: main.to_owned(),
                reason,
            });
        }
    }
    policy.files = sources.files;
    policy.findings = sources.findings;
    policy.unread = sources.unread;
    policy
}

/// Why a statement was given up. The token that did not fit is still ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyntaxError(pub(super) &'static str);

pub(super) struct Parser<'a> {
    pub(super) lexer: Lexer<'a>,
    ahead: Option<Token>,
    policy: Sudoers,
    /// What rules without options share.
    pub(super) no_options: Arc<Options>,
    /// About how many bytes what was read takes.
    held: usize,
    host: &'a [u8],
}

impl Parser<'_> {
    fn file(&mut self) {
        loop {
            let start = self.peek().span;
            let result = match self.peek().tok {
                Tok::Eof => return,
                Tok::Newline => {
                    self.take();
                    continue;
                }
                Tok::Include => self.include(false),
                Tok::IncludeDir => self.include(true),
                Tok::AliasKeyword(kind) => self.aliases(kind),
                Tok::Defaults(scope) => self.defaults(scope),
                _ => self.user_spec(),
            };
            if self.held > HELD_BYTES_MAX {
                return self.stop(start);
            }
            if let Err(SyntaxError(why)) = result
                && !self.skip_line(start, why)
            {
                self.lexer_refused(start);
                return;
            }
        }
    }

    /// Reads no further: what comes after this is not known.
    fn stop(&mut self, at: Span) {
        let sources = &mut self.lexer.sources;
        let path = sources.current_path().to_owned();
        let why = format!(
            "from line {} on it is not read: the policy takes more than {HELD_BYTES_MAX} bytes of \
             memory",
            at.line
        );
        sources.not_included(Some(at), &path, ReadProblem::Other(why));
    }

    /// Counts what is held of the policy; an error when that is too much.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), SyntaxError> {
        self.held = self.held.saturating_add(bytes);
        match self.held > HELD_BYTES_MAX {
            true => Err(SyntaxError("the policy is too large")),
            false => Ok(()),
        }
    }

    /// Skips to the next line. False when the policy ends before the line does.
    fn skip_line(&mut self, start: Span, why: &'static str) -> bool {
        let mut end = start;
        loop {
            let token = self.take();
            match token.tok {
                Tok::Newline | Tok::Eof => {
                    let why = match self.lexer_reason(&token) {
                        Some(reason) => reason,
                        None => why,
                    };
                    self.lexer
                        .sources
                        .finding(Some(start.to(end)), FindingKind::LineIgnored(why));
                    return token.tok == Tok::Newline;
                }
                _ => end = token.span,
            }
        }
    }

    fn lexer_reason(&self, token: &Token) -> Option<&'static str> {
        (token.tok == Tok::Eof).then_some("the statement has no end")
    }

    fn lexer_refused(&mut self, at: Span) {
        self.policy.refused = Some(Refused::UnfinishedStatement { at });
    }

    /// The next token, left in place.
    pub(super) fn peek(&mut self) -> &Token {
        self.ahead.get_or_insert_with(|| self.lexer.next())
    }

    /// The next token.
    pub(super) fn take(&mut self) -> Token {
        self.ahead.take().unwrap_or_else(|| self.lexer.next())
    }

    /// Takes the next token if it is `tok`.
    pub(super) fn accept(&mut self, tok: &Tok) -> bool {
        let fits = self.peek().tok == *tok;
        if fits {
            self.take();
        }
        fits
    }

    /// Takes the next token, which must be `tok`.
    pub(super) fn expect(&mut self, tok: &Tok, why: &'static str) -> Result<(), SyntaxError> {
        if self.accept(tok) {
            Ok(())
        } else {
            Err(self.unexpected(why))
        }
    }

    /// The error for the token ahead: what the scanner has against it, or else `why`.
    pub(super) fn unexpected(&mut self, why: &'static str) -> SyntaxError {
        match self.peek().tok {
            Tok::Bad(reason) => SyntaxError(reason),
            _ => SyntaxError(why),
        }
    }

    /// The next token, which must be a word.
    pub(super) fn word(&mut self, why: &'static str) -> Result<(Vec<u8>, Span), SyntaxError> {
        match &self.peek().tok {
            Tok::Word(_) => {
                let token = self.take();
                match token.tok {
                    Tok::Word(word) => Ok((word, token.span)),
                    _ => Err(SyntaxError(why)),
                }
            }
            _ => Err(self.unexpected(why)),
        }
    }

    fn include(&mut self, is_dir: bool) -> Result<(), SyntaxError> {
        let keyword = self.take().span;
        let (path, span) = self.word("an include without a path")?;
        let at = keyword.to(span);
        if !self.accept(&Tok::Newline) {
            self.lexer
                .sources
                .finding(Some(at), FindingKind::TrailingText);
            loop {
                match self.take().tok {
                    Tok::Newline => break,
                    Tok::Eof => {
                        self.lexer_refused(at);
                        return Ok(());
                    }
                    _ => {}
                }
            }
        }
        let host = self.host;
        let included = if is_dir {
            include::dir(&mut self.lexer.sources, &path, host, at)
        } else {
            include::file(&mut self.lexer.sources, &path, host, at)
        };
        if included == Included::Failed && self.lexer.sources.dialect.failed_include_costs_a_line()
        {
            let next = self.peek().span;
            if self.peek().tok != Tok::Eof && self.peek().tok != Tok::Newline {
                self.lexer
                    .sources
                    .finding(Some(next), FindingKind::LineAfterFailedInclude);
            }
            loop {
                match self.take().tok {
                    Tok::Newline => break,
                    Tok::Eof => {
                        // The grammar was waiting for a line to skip.
                        self.lexer_refused(at);
                        return Ok(());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn aliases(&mut self, kind: AliasKind) -> Result<(), SyntaxError> {
        self.take();
        loop {
            let token = self.peek().clone();
            let Tok::Alias(name) = token.tok else {
                return Err(
                    self.unexpected("an alias needs a name in capitals that is not a keyword")
                );
            };
            self.take();
            self.expect(&Tok::Equals, "an alias needs a `=`")?;
            let members = match kind {
                AliasKind::User | AliasKind::Runas => self.user_list()?,
                AliasKind::Host => self.host_list()?,
                AliasKind::Command => self.command_list()?,
            };
            let end = members.last().map_or(token.span, |member| member.span);
            let alias = Alias {
                span: token.span.to(end),
                members,
            };
            match self.policy.aliases.entry(kind).or_default().entry(name) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(alias);
                }
                std::collections::btree_map::Entry::Occupied(_) => {
                    return Err(SyntaxError("an alias of this name exists already"));
                }
            }
            if !self.accept(&Tok::Colon) {
                return self.expect(&Tok::Newline, "unexpected text after an alias");
            }
        }
    }

    fn defaults(&mut self, scope: Scope) -> Result<(), SyntaxError> {
        let start = self.take().span;
        let binding = Arc::new(match scope {
            Scope::Global => Vec::new(),
            Scope::User | Scope::Runas => self.user_list()?,
            Scope::Host => self.host_list()?,
            Scope::Command => self.command_list()?,
        });
        let mut settings = Vec::new();
        loop {
            let first = self.peek().span;
            let off = self.accept(&Tok::Bang);
            let token = self.peek().clone();
            let Tok::Setting(name) = token.tok else {
                return Err(self.unexpected("a setting is missing"));
            };
            self.take();
            let mut span = first.to(token.span);
            let value = if off {
                Value::Off
            } else {
                let with: Option<fn(Vec<u8>) -> Value> = match self.peek().tok {
                    Tok::Equals => Some(Value::Set),
                    Tok::Plus => Some(Value::Add),
                    Tok::Minus => Some(Value::Remove),
                    _ => None,
                };
                match with {
                    None => Value::On,
                    Some(with) => {
                        self.take();
                        let (word, end) = self.word("a setting without its value")?;
                        span = span.to(end);
                        with(word)
                    }
                }
            };
            // Lists of statements have room for twice as many while they grow.
            self.hold(2 * size_of::<Default>() + Member::BYTES)?;
            settings.push((span, name, value));
            if !self.accept(&Tok::Comma) {
                break;
            }
        }
        self.expect(&Tok::Newline, "unexpected text after a setting")?;
        let end = settings.last().map_or(start, |(span, ..)| *span);
        let line_span = start.to(end);
        self.policy
            .defaults
            .extend(settings.into_iter().map(|(span, name, value)| Default {
                span,
                line_span,
                scope,
                binding: Arc::clone(&binding),
                name,
                value,
            }));
        Ok(())
    }

    fn user_spec(&mut self) -> Result<(), SyntaxError> {
        let start = self.peek().span;
        let users = self.user_list()?;
        let mut privileges = vec![self.privilege()?];
        while self.accept(&Tok::Colon) {
            let at = self.peek().span;
            match self.privilege() {
                Ok(privilege) => privileges.push(privilege),
                // The half before the colon stands, if the line goes on as if nothing had been here.
                Err(SyntaxError(why)) => {
                    self.lexer
                        .sources
                        .finding(Some(at), FindingKind::PartIgnored(why));
                }
            }
        }
        privileges.shrink_to_fit();
        self.hold(2 * size_of::<UserSpec>())?;
        let end = privileges.last().map_or(start, |privilege| privilege.span);
        self.expect(&Tok::Newline, "unexpected text after a rule")?;
        self.policy.specs.push(UserSpec {
            span: start.to(end),
            users,
            privileges,
        });
        Ok(())
    }

    /// Users, or runas users.
    pub(super) fn user_list(&mut self) -> Result<Vec<Member>, SyntaxError> {
        self.list("a user is missing", |tok| match tok {
            Tok::Alias(name) => Some(What::Alias(name)),
            Tok::All => Some(What::All),
            Tok::NetGroup(name) => Some(What::NetGroup(name)),
            Tok::UserGroup(name) => Some(What::UserGroup(name)),
            Tok::Word(name) => Some(What::Word(name)),
            _ => None,
        })
    }

    /// Hosts.
    pub(super) fn host_list(&mut self) -> Result<Vec<Member>, SyntaxError> {
        self.list("a host is missing", |tok| match tok {
            Tok::Alias(name) => Some(What::Alias(name)),
            Tok::All => Some(What::All),
            Tok::NetGroup(name) => Some(What::NetGroup(name)),
            Tok::Network(name) => Some(What::Network(name)),
            Tok::Word(name) => Some(What::Word(name)),
            _ => None,
        })
    }

    /// Runas groups.
    pub(super) fn group_list(&mut self) -> Result<Vec<Member>, SyntaxError> {
        self.list("a group is missing", |tok| match tok {
            Tok::Alias(name) => Some(What::Alias(name)),
            Tok::All => Some(What::All),
            Tok::Word(name) => Some(What::Word(name)),
            _ => None,
        })
    }

    fn list(
        &mut self,
        why: &'static str,
        member: impl Fn(Tok) -> Option<What>,
    ) -> Result<Vec<Member>, SyntaxError> {
        let mut members = Vec::new();
        loop {
            let first = self.peek().span;
            let negated = self.accept(&Tok::Bang);
            let token = self.peek().clone();
            let Some(what) = member(token.tok) else {
                return Err(self.unexpected(why));
            };
            self.take();
            self.hold(Member::BYTES)?;
            members.push(Member {
                span: first.to(token.span),
                negated,
                what,
            });
            if !self.accept(&Tok::Comma) {
                members.shrink_to_fit();
                return Ok(members);
            }
        }
    }

    fn command_list(&mut self) -> Result<Vec<Member>, SyntaxError> {
        let mut members = Vec::new();
        loop {
            members.push(self.command()?);
            self.hold(Member::BYTES)?;
            if !self.accept(&Tok::Comma) {
                return Ok(members);
            }
        }
    }
}

#[cfg(test)]
mod tests;
