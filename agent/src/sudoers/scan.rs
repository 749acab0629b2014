//! The scanner's tables: which patterns hold in which state, and which of them wins.
//!
//! Of all patterns of a state the longest match wins, of equally long ones the first.

use super::addresses;
use super::files::Dialect;
use super::patterns as p;
use super::tokens::{DIGESTS, OPTIONS, OptionName, TAGS, TagName};
use super::tree::DigestKind;
use super::words::is_separator;

/// Start states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// At the start of a line and in lists.
    Initial,
    /// After `Defaults`, in its binding.
    Binding,
    /// Before the name of a setting.
    SettingName,
    /// After it.
    SettingValue,
    /// In quotes.
    Quotes,
    /// After a command's path.
    Args,
    /// In arguments that are a regular expression.
    ArgsRegex,
    /// After `sha256`.
    WantDigest,
    /// After `@include`.
    IncludePath,
    /// After `CWD` or `CHROOT`.
    WantPath,
}

impl State {
    /// Patterns without a state of their own hold here.
    fn is_inclusive(self) -> bool {
        matches!(
            self,
            Self::Initial | Self::Binding | Self::WantDigest | Self::WantPath
        )
    }
}

/// What matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    NoMatch,
    Newline,
    Blanks,
    Continuation,
    Bangs,
    BindingComma,
    BindingEnd,
    Setting,
    SettingComma,
    Plus,
    Minus,
    Value,
    Quote,
    QuotesContinuation,
    QuotesEnd,
    QuotesBackslash,
    QuotesText,
    ArgQuotedGlob,
    ArgQuotedSeparator,
    ArgsEnd,
    Arg,
    RegexQuoted,
    RegexBroken,
    RegexEnd,
    RegexText,
    HexDigest,
    Base64Digest,
    Include(usize, bool),
    Defaults,
    AliasKeyword,
    Tag(TagName, bool),
    EmptyGroup,
    NetGroup,
    UserGroup,
    Ipv4,
    Ipv6,
    All,
    Option(OptionName),
    Alias,
    BindingCommand,
    DigestKind(DigestKind),
    Sudoedit,
    OptionPath,
    Path,
    Regex,
    Word,
    IncludePath,
    Punctuation,
    Comment,
}

/// The front of a text as a scanner sees it.
pub(super) struct Scan<'s> {
    pub(super) state: State,
    pub(super) dialect: Dialect,
    pub(super) at_line_start: bool,
    /// From here to the end of the file; not empty.
    pub(super) text: &'s [u8],
}

impl Scan<'_> {
    /// What matches, and how much of it.
    pub(super) fn longest(&self) -> (Rule, usize) {
        let s = self.text;
        let mut best = Best {
            rule: Rule::NoMatch,
            length: 0,
        };
        match self.state {
            State::Binding => {
                let before = p::blanks(s);
                if s.get(before) == Some(&b',') {
                    best.offer(Rule::BindingComma, before + 1 + p::blanks(&s[before + 1..]));
                }
                best.offer(Rule::BindingEnd, before);
            }
            State::SettingName => best.offer(Rule::Setting, p::setting(s)),
            State::SettingValue => {
                best.offer(Rule::SettingComma, p::literal(s, b","));
                best.offer(Rule::Punctuation, p::literal(s, b"="));
                best.offer(Rule::Plus, p::literal(s, b"+="));
                best.offer(Rule::Minus, p::literal(s, b"-="));
                best.offer(Rule::Quote, p::literal(s, b"\""));
                best.offer(Rule::Value, p::value(s));
            }
            State::Quotes => {
                best.offer(Rule::QuotesContinuation, p::continuation_in_quotes(s));
                best.offer(Rule::QuotesEnd, p::literal(s, b"\""));
                best.offer(Rule::QuotesBackslash, p::literal(s, b"\\"));
                best.offer(Rule::QuotesText, quotes_text(s));
            }
            State::Args => self.offer_args(&mut best),
            State::ArgsRegex => {
                let quoted = s.len() > 1 && s[0] == b'\\' && !matches!(s[1], b'\r' | b'\n');
                best.offer(Rule::RegexQuoted, if quoted { 2 } else { 0 });
                best.offer(
                    Rule::RegexBroken,
                    usize::from(matches!(s[0], b'#' | b'\r' | b'\n')),
                );
                best.offer(Rule::RegexEnd, p::literal(s, b"$"));
                let text = |c: &&u8| !matches!(**c, b'#' | b'\\' | b'\r' | b'\n' | b'$');
                best.offer(Rule::RegexText, s.iter().take_while(text).count());
            }
            State::IncludePath => {
                best.offer(Rule::IncludePath, p::include_path(s));
                best.offer(Rule::Quote, p::literal(s, b"\""));
            }
            State::WantDigest => {
                best.offer(Rule::HexDigest, p::hex(s));
                best.offer(Rule::Base64Digest, p::base64(s));
            }
            State::Initial | State::WantPath => {}
        }
        if self.state == State::Initial {
            best.offer(Rule::Include(8, false), p::literal(s, b"@include"));
            best.offer(Rule::Include(11, true), p::literal(s, b"@includedir"));
            if self.at_line_start {
                best.offer(Rule::Include(8, false), p::hash_include(s, b"#include"));
                best.offer(Rule::Include(11, true), p::hash_include(s, b"#includedir"));
                best.offer(Rule::Defaults, p::defaults(s));
                best.offer(Rule::AliasKeyword, p::alias_keyword(s));
            }
        }
        if self.state.is_inclusive() {
            self.offer_shared(&mut best);
        }
        best.offer(Rule::Bangs, p::bangs(s));
        best.offer(Rule::Newline, p::newline(s));
        best.offer(Rule::Blanks, p::blanks(s));
        best.offer(Rule::Continuation, p::continuation(s));
        if matches!(
            self.state,
            State::Initial | State::SettingName | State::SettingValue
        ) {
            best.offer(Rule::Comment, p::comment(s));
        }
        best.offer(Rule::NoMatch, 1);
        (best.rule, best.length)
    }

    fn offer_args(&self, best: &mut Best) {
        let s = self.text;
        if s.len() > 1 && s[0] == b'\\' {
            let glob = matches!(s[1], b'*' | b'?' | b'[' | b']' | b'!')
                || (s[1] == b'^' && self.dialect.has_regex());
            best.offer(Rule::ArgQuotedGlob, if glob { 2 } else { 0 });
            let separator = s[1] == b'\\' || is_separator(s[1]);
            best.offer(Rule::ArgQuotedSeparator, if separator { 2 } else { 0 });
        }
        let end = matches!(s[0], b'#' | b':' | b',' | b'=' | b'\r' | b'\n');
        best.offer(Rule::ArgsEnd, usize::from(end));
        let arg = |c: &&u8| {
            !matches!(
                **c,
                b'#' | b'\\' | b':' | b',' | b' ' | b'\t' | b'\r' | b'\n'
            )
        };
        best.offer(Rule::Arg, s.iter().take_while(arg).count());
    }

    /// The patterns of lists, in the order of sudo's scanner.
    fn offer_shared(&self, best: &mut Best) {
        let s = self.text;
        let initial = self.state == State::Initial;
        let lists = initial || self.state == State::Binding;
        for (name, tag, on) in TAGS {
            if tag != TagName::Intercept || self.dialect.has_intercept() {
                best.offer(Rule::Tag(tag, on), p::tag(s, name));
            }
        }
        if lists {
            let empty = p::literal(s, b"+")
                .max(p::literal(s, b"%"))
                .max(p::literal(s, b"%:"));
            best.offer(Rule::EmptyGroup, empty);
        }
        if s[0] == b'+' {
            best.offer(Rule::NetGroup, prefixed(1, p::word(&s[1..])));
        }
        if s[0] == b'%' {
            let name = |at: usize| prefixed(at, p::word(&s[at..]).max(p::id(&s[at..])));
            best.offer(Rule::UserGroup, name(1));
            if s.get(1) == Some(&b':') {
                best.offer(Rule::UserGroup, name(2));
            }
        }
        best.offer(Rule::Ipv4, addresses::ipv4(s));
        best.offer(Rule::Ipv6, addresses::ipv6(s));
        best.offer(Rule::All, p::literal(s, b"ALL"));
        if initial {
            for (name, option) in OPTIONS {
                best.offer(Rule::Option(option), p::literal(s, name));
            }
        }
        best.offer(Rule::Alias, p::alias(s));
        let regex = if self.dialect.has_regex() {
            p::regex(s)
        } else {
            0
        };
        if self.state == State::Binding {
            let command = p::path(s).max(regex).max(p::literal(s, b"sudoedit"));
            best.offer(Rule::BindingCommand, command);
        }
        for (name, kind) in DIGESTS {
            best.offer(Rule::DigestKind(kind), p::literal(s, name));
        }
        best.offer(Rule::Sudoedit, p::literal(s, b"sudoedit"));
        if self.state == State::WantPath {
            best.offer(Rule::OptionPath, p::path(s).max(p::word(s)));
        }
        best.offer(Rule::Path, p::path(s));
        best.offer(Rule::Regex, regex);
        if lists || (self.state == State::WantPath && self.dialect.quotes_paths_in_options()) {
            best.offer(Rule::Quote, p::literal(s, b"\""));
        }
        if lists {
            best.offer(Rule::Word, p::id(s).max(p::word(s)));
        }
        best.offer(
            Rule::Punctuation,
            usize::from(matches!(s[0], b'(' | b')' | b',' | b'=' | b':')),
        );
    }
}

/// The longest match so far.
struct Best {
    rule: Rule,
    length: usize,
}

impl Best {
    fn offer(&mut self, rule: Rule, length: usize) {
        if length > self.length {
            *self = Self { rule, length };
        }
    }
}

fn prefixed(prefix: usize, length: usize) -> usize {
    if length == 0 { 0 } else { prefix + length }
}

/// Text in quotes up to a quote or a backslash that does not stand before a quote.
fn quotes_text(s: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&c) = s.get(at) {
        match c {
            b'\\' if s.get(at + 1) == Some(&b'"') => at += 2,
            b'"' | b'\\' | b'\r' | b'\n' => break,
            _ => at += 1,
        }
    }
    at
}
