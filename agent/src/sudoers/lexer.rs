//! Tokens of a policy, file after file.
//!
//! The state survives the end of an included file, as it does in sudo: a statement can begin in one
//! file and end in another.

use std::rc::Rc;

use super::addresses;
use super::patterns as p;
use super::scan::{Rule, Scan, State};
use super::source::{NOWHERE, Sources};
use super::tokens::{OptionName, Tok, Token};
use super::tree::{AliasKind, DigestKind, Scope, Span};
use super::words::{command_path, unescape};

/// The scanner.
pub(super) struct Lexer<'a> {
    pub(super) sources: Sources<'a>,
    state: State,
    state_before_quotes: State,
    /// A continuation was passed since the last newline.
    continued: bool,
    saw_space: bool,
    digest: Option<DigestKind>,
    quoted: Option<Vec<u8>>,
    quotes_start: Span,
    command: PendingCommand,
}

/// A command whose arguments are still being read.
struct PendingCommand {
    path: Vec<u8>,
    args: Option<Vec<u8>>,
    span: Span,
}

/// What a match comes to.
enum Act {
    /// The match is taken; a token, or nothing where the scanner goes on.
    Take(Option<Tok>),
    /// Only its first bytes are.
    TakeFirst(usize, Option<Tok>),
    /// The match is taken and ends this token.
    End(Token),
    /// The token ended before the match.
    EndBefore(Token),
}

impl<'a> Lexer<'a> {
    pub(super) fn new(sources: Sources<'a>) -> Self {
        Self {
            sources,
            state: State::Initial,
            state_before_quotes: State::Initial,
            continued: false,
            saw_space: false,
            digest: None,
            quoted: None,
            quotes_start: NOWHERE,
            command: PendingCommand {
                path: Vec::new(),
                args: None,
                span: NOWHERE,
            },
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        loop {
            let Some(frame) = self.sources.frame() else {
                return Token {
                    tok: Tok::Eof,
                    span: NOWHERE,
                };
            };
            let (text, at) = (Rc::clone(&frame.text), frame.at);
            if at >= text.bytes.len() {
                if self.sources.leave_file() {
                    continue;
                }
                return Token {
                    tok: Tok::Eof,
                    span: self.sources.span(0),
                };
            }
            let scan = Scan {
                state: self.state,
                dialect: self.sources.dialect,
                at_line_start: frame.at_line_start,
                text: &text.bytes[at..],
            };
            let (rule, length) = scan.longest();
            let text = &text.bytes[at..at + length];
            let span = self.sources.span(length);
            let act = self.act(rule, text, span);
            let (taken, token) = match act {
                Act::Take(tok) => (length, tok.map(|tok| Token { tok, span })),
                Act::TakeFirst(taken, tok) => (taken, tok.map(|tok| Token { tok, span })),
                Act::End(token) => (length, Some(token)),
                Act::EndBefore(token) => (0, Some(token)),
            };
            self.advance(&text[..taken], taken == length);
            if let Some(token) = token {
                return token;
            }
        }
    }

    /// Moves on. What was matched but not taken leaves the scanner in the middle of a line.
    fn advance(&mut self, taken: &[u8], whole: bool) {
        if let Some(frame) = self.sources.frame_mut() {
            let ends_line = taken.last() == Some(&b'\n');
            frame.at += taken.len();
            frame.line += u32::from(taken.contains(&b'\n'));
            frame.at_line_start = whole && ends_line;
        }
    }

    fn act(&mut self, rule: Rule, text: &[u8], span: Span) -> Act {
        match rule {
            Rule::NoMatch => Act::Take(Some(Tok::Bad("unexpected character"))),
            Rule::Newline
            | Rule::Comment
            | Rule::Blanks
            | Rule::Continuation
            | Rule::QuotesContinuation => self.act_on_lines(rule, text),
            Rule::Include(..) | Rule::Defaults | Rule::AliasKeyword => {
                self.act_on_keywords(rule, text)
            }
            Rule::Setting | Rule::SettingComma | Rule::Plus | Rule::Minus | Rule::Value => {
                Act::Take(Some(self.act_on_settings(rule, text)))
            }
            Rule::Quote | Rule::QuotesEnd | Rule::QuotesBackslash | Rule::QuotesText => {
                self.act_on_quotes(rule, text, span)
            }
            Rule::Sudoedit
            | Rule::Path
            | Rule::Regex
            | Rule::ArgQuotedGlob
            | Rule::ArgQuotedSeparator
            | Rule::ArgsEnd
            | Rule::Arg
            | Rule::RegexQuoted
            | Rule::RegexBroken
            | Rule::RegexEnd
            | Rule::RegexText => self.act_on_commands(rule, text, span),
            _ => Act::Take(self.act_on_lists(rule, text)),
        }
    }

    fn act_on_lines(&mut self, rule: Rule, text: &[u8]) -> Act {
        match rule {
            Rule::Newline if self.state == State::Quotes => {
                self.state = State::Initial;
                Act::TakeFirst(0, Some(Tok::Bad("line break in quotes")))
            }
            Rule::Comment if !text.ends_with(b"\n") => {
                Act::Take(Some(Tok::Bad("a number sign before a number")))
            }
            Rule::Newline | Rule::Comment => {
                self.state = State::Initial;
                self.continued = false;
                Act::Take(Some(Tok::Newline))
            }
            Rule::Blanks => {
                self.saw_space = true;
                Act::Take(None)
            }
            _ => {
                self.saw_space |= rule == Rule::Continuation;
                self.continued = true;
                Act::Take(None)
            }
        }
    }

    /// Words that begin a statement; never in the middle of a continued line.
    fn act_on_keywords(&mut self, rule: Rule, text: &[u8]) -> Act {
        if self.continued {
            return Act::Take(Some(Tok::Bad("continued line before a keyword")));
        }
        match rule {
            Rule::Include(keyword, is_dir) => {
                self.state = State::IncludePath;
                Act::TakeFirst(
                    keyword,
                    Some(if is_dir {
                        Tok::IncludeDir
                    } else {
                        Tok::Include
                    }),
                )
            }
            Rule::Defaults => {
                self.state = State::Binding;
                let bare = p::blanks(text) + b"Defaults".len();
                let scope = match text.get(bare) {
                    Some(b':') => Scope::User,
                    Some(b'>') => Scope::Runas,
                    Some(b'@') => Scope::Host,
                    Some(b'!') => Scope::Command,
                    _ => return Act::Take(Some(Tok::Defaults(Scope::Global))),
                };
                let taken = bare + 1 + p::blanks(&text[bare + 1..]);
                Act::TakeFirst(taken, Some(Tok::Defaults(scope)))
            }
            _ => Act::Take(Some(Tok::AliasKeyword(match text[p::blanks(text)] {
                b'H' => AliasKind::Host,
                b'C' => AliasKind::Command,
                b'U' => AliasKind::User,
                _ => AliasKind::Runas,
            }))),
        }
    }

    fn act_on_settings(&mut self, rule: Rule, text: &[u8]) -> Tok {
        match rule {
            Rule::Setting => {
                self.state = State::SettingValue;
                Tok::Setting(text.to_vec())
            }
            Rule::SettingComma => {
                self.state = State::SettingName;
                Tok::Comma
            }
            Rule::Plus => Tok::Plus,
            Rule::Minus => Tok::Minus,
            _ => Tok::Word(unescape(text)),
        }
    }

    fn act_on_quotes(&mut self, rule: Rule, text: &[u8], span: Span) -> Act {
        match rule {
            Rule::Quote => {
                self.quoted = None;
                self.quotes_start = span;
                self.state_before_quotes = match self.state {
                    State::IncludePath | State::WantPath => State::Initial,
                    state => state,
                };
                self.state = State::Quotes;
                Act::Take(None)
            }
            Rule::QuotesEnd => {
                self.state = self.state_before_quotes;
                let tok = self.quoted_token();
                Act::End(Token {
                    tok,
                    span: self.quotes_start.to(span),
                })
            }
            _ => {
                self.quoted.get_or_insert_default().extend(unescape(text));
                Act::Take(None)
            }
        }
    }

    fn act_on_commands(&mut self, rule: Rule, text: &[u8], span: Span) -> Act {
        match rule {
            Rule::Sudoedit | Rule::Path | Rule::Regex => {
                self.command = PendingCommand {
                    path: command_path(text),
                    args: None,
                    span,
                };
                // Directories take no arguments.
                if rule == Rule::Path && text.ends_with(b"/") {
                    return Act::End(self.command_token());
                }
                self.state = State::Args;
            }
            Rule::ArgsEnd => {
                self.state = State::Initial;
                return Act::EndBefore(self.command_token());
            }
            Rule::Arg
                if text[0] == b'^'
                    && self.command.args.is_none()
                    && self.sources.dialect.has_regex() =>
            {
                self.state = State::ArgsRegex;
                return Act::TakeFirst(0, None);
            }
            Rule::Arg | Rule::ArgQuotedGlob | Rule::ArgQuotedSeparator => {
                let bare = if rule == Rule::ArgQuotedSeparator {
                    &text[1..]
                } else {
                    text
                };
                self.add_args(bare, self.saw_space, span);
                self.saw_space = false;
            }
            Rule::RegexBroken => {
                self.state = State::Initial;
                return Act::TakeFirst(0, Some(Tok::Bad("unfinished regular expression")));
            }
            Rule::RegexEnd => {
                self.add_args(text, false, span);
                self.state = State::Initial;
                self.continued = false;
                return Act::End(self.command_token());
            }
            Rule::RegexText => {
                let indent = if self.continued { p::blanks(text) } else { 0 };
                self.continued = false;
                if text.len() > indent {
                    self.add_args(&text[indent..], false, span);
                }
            }
            _ => self.add_args(text, false, span),
        }
        Act::Take(None)
    }

    fn act_on_lists(&mut self, rule: Rule, text: &[u8]) -> Option<Tok> {
        Some(match rule {
            Rule::Bangs => return (text.len() % 2 == 1).then_some(Tok::Bang),
            Rule::BindingEnd => {
                self.state = State::SettingName;
                return None;
            }
            Rule::BindingComma => Tok::Comma,
            Rule::BindingCommand => Tok::Command {
                path: command_path(text),
                args: None,
            },
            Rule::HexDigest | Rule::Base64Digest => {
                self.state = State::Initial;
                let size = self.digest.map_or(0, DigestKind::bytes);
                let wanted = if rule == Rule::HexDigest {
                    size * 2
                } else if text.ends_with(b"=") {
                    4 * size.div_ceil(3)
                } else {
                    (4 * size).div_ceil(3)
                };
                // A digest of the wrong length vanishes; the grammar then misses it.
                return (text.len() == wanted).then(|| Tok::Digest(text.to_vec()));
            }
            Rule::DigestKind(kind) => {
                self.digest = Some(kind);
                self.state = State::WantDigest;
                Tok::DigestKind(kind)
            }
            Rule::Tag(tag, on) => Tok::Tag(tag, on),
            Rule::Option(name) => self.option_token(name, text),
            Rule::OptionPath | Rule::IncludePath => {
                self.state = State::Initial;
                Tok::Word(unescape(text))
            }
            Rule::EmptyGroup => Tok::Bad("group without a name"),
            Rule::NetGroup => Tok::NetGroup(unescape(text)),
            Rule::UserGroup => Tok::UserGroup(unescape(text)),
            Rule::Ipv6 if !addresses::ipv6_is_valid(text) => Tok::Bad("invalid IPv6 address"),
            Rule::Ipv4 | Rule::Ipv6 => Tok::Network(unescape(text)),
            Rule::All => Tok::All,
            Rule::Alias => Tok::Alias(unescape(text)),
            Rule::Punctuation => match text {
                b"(" => Tok::Open,
                b")" => Tok::Close,
                b"," => Tok::Comma,
                b"=" => Tok::Equals,
                _ => Tok::Colon,
            },
            _ => Tok::Word(unescape(text)),
        })
    }

    fn add_args(&mut self, text: &[u8], space: bool, span: Span) {
        match &mut self.command.args {
            None => self.command.args = Some(text.to_vec()),
            Some(args) => {
                if space {
                    args.push(b' ');
                }
                args.extend_from_slice(text);
            }
        }
        self.command.span = self.command.span.to(span);
    }

    fn command_token(&mut self) -> Token {
        let path = std::mem::take(&mut self.command.path);
        let args = self.command.args.take();
        Token {
            tok: Tok::Command { path, args },
            span: self.command.span,
        }
    }

    /// Quoted text is a group or a netgroup where those may stand.
    fn quoted_token(&mut self) -> Tok {
        let Some(text) = self.quoted.take() else {
            return Tok::Bad("empty string");
        };
        if !matches!(self.state, State::Initial | State::Binding) {
            return Tok::Word(text);
        }
        match text.as_slice() {
            b"%" | b"%:" | b"+" => Tok::Bad("group without a name"),
            [b'%', ..] => Tok::UserGroup(text),
            [b'+', ..] => Tok::NetGroup(text),
            _ => Tok::Word(text),
        }
    }

    /// An option of a rule, or an alias on a sudo that was built without it.
    fn option_token(&mut self, name: OptionName, text: &[u8]) -> Tok {
        match name {
            OptionName::Cwd | OptionName::Chroot => self.state = State::WantPath,
            OptionName::AppArmorProfile | OptionName::Privs | OptionName::LimitPrivs
                if !self.sources.dialect.has_platform_options() =>
            {
                return Tok::Alias(text.to_vec());
            }
            _ => {}
        }
        Tok::Option(name)
    }
}
