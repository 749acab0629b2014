//! Tokens, and the stack of included files they come from.
//!
//! A scanner with start states, as sudo's own: of all patterns of the current state the longest
//! match wins, of equally long ones the first. The state survives the end of an included file, so
//! a statement can begin in one file and end in another.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::files::{BYTES_MAX, Dialect, FILES_MAX, FINDINGS_MAX, ReadProblem, SudoersFiles};
use super::patterns as p;
use super::tree::{
    AliasKind, DigestKind, FileId, Finding, FindingKind, Scope, SourceFile, Span, Unread,
};
use super::words::{command_path, unescape};

/// A token and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) span: Span,
}

/// What the grammar sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tok {
    Eof,
    Newline,
    Word(Vec<u8>),
    Alias(Vec<u8>),
    All,
    UserGroup(Vec<u8>),
    NetGroup(Vec<u8>),
    Network(Vec<u8>),
    Command {
        path: Vec<u8>,
        args: Option<Vec<u8>>,
    },
    DigestKind(DigestKind),
    Digest(Vec<u8>),
    Setting(Vec<u8>),
    Defaults(Scope),
    AliasKeyword(AliasKind),
    Tag(TagName, bool),
    Option(OptionName),
    Include,
    IncludeDir,
    Comma,
    Equals,
    Colon,
    Bang,
    Plus,
    Minus,
    Open,
    Close,
    /// No pattern, or one that sudo's scanner refuses, with the reason.
    Bad(&'static str),
}

/// Tags, without their `NO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagName {
    Nopasswd,
    Noexec,
    Setenv,
    LogInput,
    LogOutput,
    Mail,
    Follow,
    Intercept,
}

/// Options `NAME=value` of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionName {
    Cwd,
    Chroot,
    Timeout,
    NotBefore,
    NotAfter,
    Role,
    Type,
    AppArmorProfile,
    Privs,
    LimitPrivs,
}

const TAGS: [(&[u8], TagName, bool); 16] = [
    (b"NOPASSWD", TagName::Nopasswd, true),
    (b"PASSWD", TagName::Nopasswd, false),
    (b"NOEXEC", TagName::Noexec, true),
    (b"EXEC", TagName::Noexec, false),
    (b"INTERCEPT", TagName::Intercept, true),
    (b"NOINTERCEPT", TagName::Intercept, false),
    (b"SETENV", TagName::Setenv, true),
    (b"NOSETENV", TagName::Setenv, false),
    (b"LOG_OUTPUT", TagName::LogOutput, true),
    (b"NOLOG_OUTPUT", TagName::LogOutput, false),
    (b"LOG_INPUT", TagName::LogInput, true),
    (b"NOLOG_INPUT", TagName::LogInput, false),
    (b"MAIL", TagName::Mail, true),
    (b"NOMAIL", TagName::Mail, false),
    (b"FOLLOW", TagName::Follow, true),
    (b"NOFOLLOW", TagName::Follow, false),
];

const OPTIONS: [(&[u8], OptionName); 10] = [
    (b"TIMEOUT", OptionName::Timeout),
    (b"NOTBEFORE", OptionName::NotBefore),
    (b"NOTAFTER", OptionName::NotAfter),
    (b"CWD", OptionName::Cwd),
    (b"CHROOT", OptionName::Chroot),
    (b"ROLE", OptionName::Role),
    (b"TYPE", OptionName::Type),
    (b"APPARMOR_PROFILE", OptionName::AppArmorProfile),
    (b"PRIVS", OptionName::Privs),
    (b"LIMITPRIVS", OptionName::LimitPrivs),
];

const DIGESTS: [(&[u8], DigestKind); 4] = [
    (b"sha224", DigestKind::Sha224),
    (b"sha256", DigestKind::Sha256),
    (b"sha384", DigestKind::Sha384),
    (b"sha512", DigestKind::Sha512),
];

/// Start states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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
enum Rule {
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

/// The text of one opened file.
struct Text {
    /// What sudo scans: always ends in a newline, without what it never sees.
    bytes: Vec<u8>,
    /// Position in `bytes` and how many bytes are missing before it.
    cuts: Vec<(usize, usize)>,
    raw_size: usize,
}

impl Text {
    fn new(raw: &[u8], dialect: Dialect) -> Self {
        let mut bytes = Vec::with_capacity(raw.len() + 1);
        let mut cuts = Vec::new();
        let mut missing = 0;
        for line in raw.split_inclusive(|c| *c == b'\n') {
            match line.iter().position(|c| *c == 0) {
                Some(nul) if dialect.cuts_lines_at_nul() => {
                    bytes.extend_from_slice(&line[..nul]);
                    bytes.push(b'\n');
                    missing += (line.len() - nul).saturating_sub(1);
                    cuts.push((bytes.len(), missing));
                }
                _ => bytes.extend_from_slice(line),
            }
        }
        if bytes.last().is_some_and(|c| *c != b'\n') {
            bytes.push(b'\n');
        }
        Self {
            bytes,
            cuts,
            raw_size: raw.len(),
        }
    }

    /// Where a position of `bytes` is on disk.
    fn on_disk(&self, at: usize) -> u32 {
        let before = self.cuts.partition_point(|(cut, _)| *cut <= at);
        let missing = before.checked_sub(1).map_or(0, |i| self.cuts[i].1);
        u32::try_from((at + missing).min(self.raw_size)).unwrap_or(u32::MAX)
    }
}

struct Frame {
    file: FileId,
    text: Rc<Text>,
    at: usize,
    line: u32,
    at_line_start: bool,
    /// The other files of the same include directory.
    rest: VecDeque<PathBuf>,
}

/// The scanner.
pub(super) struct Lexer<'a> {
    reader: &'a dyn SudoersFiles,
    pub(super) dialect: Dialect,
    pub(super) files: Vec<SourceFile>,
    pub(super) findings: Vec<Finding>,
    pub(super) unread: Vec<Unread>,
    bytes_read: usize,
    stack: Vec<Frame>,
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

struct PendingCommand {
    path: Vec<u8>,
    args: Option<Vec<u8>>,
    span: Span,
}

const NOWHERE: Span = Span {
    file: 0,
    start: 0,
    end: 0,
    line: 1,
    last_line: 1,
};

impl<'a> Lexer<'a> {
    pub(super) fn new(reader: &'a dyn SudoersFiles, dialect: Dialect) -> Self {
        Self {
            reader,
            dialect,
            files: Vec::new(),
            findings: Vec::new(),
            unread: Vec::new(),
            bytes_read: 0,
            stack: Vec::new(),
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

    pub(super) fn finding(&mut self, at: Option<Span>, kind: FindingKind) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { at, kind });
        }
    }

    /// The directory lister of the caller.
    pub(super) fn reader(&self) -> &'a dyn SudoersFiles {
        self.reader
    }

    /// The file being scanned.
    pub(super) fn current_path(&self) -> &Path {
        self.stack
            .last()
            .and_then(|frame| self.files.get(frame.file as usize))
            .map_or(Path::new(""), |file| &file.path)
    }

    /// Files that are open, the main one included.
    pub(super) fn depth(&self) -> usize {
        self.stack.len()
    }

    /// Opens a file on top of the others; `rest` follows when it ends, and comes back when the file
    /// cannot be opened.
    pub(super) fn open(
        &mut self,
        path: &Path,
        rest: VecDeque<PathBuf>,
    ) -> Result<(), (ReadProblem, VecDeque<PathBuf>)> {
        match self.read(path) {
            Ok(frame) => {
                self.stack.push(Frame { rest, ..frame });
                Ok(())
            }
            Err(problem) => Err((problem, rest)),
        }
    }

    fn read(&mut self, path: &Path) -> Result<Frame, ReadProblem> {
        if self.files.len() >= FILES_MAX {
            return Err(ReadProblem::Other(format!(
                "more than {FILES_MAX} files were included"
            )));
        }
        let raw = self.reader.read(path)?;
        self.bytes_read += raw.len();
        if self.bytes_read > BYTES_MAX {
            return Err(ReadProblem::Other(format!(
                "the policy is larger than {BYTES_MAX} bytes"
            )));
        }
        let text = Text::new(&raw, self.dialect);
        let file = FileId::try_from(self.files.len()).unwrap_or(FileId::MAX);
        let size = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        self.files.push(SourceFile {
            path: path.to_owned(),
            size,
        });
        if let Some(nul) = raw.iter().position(|c| *c == 0) {
            let line = line_of(&raw, nul);
            let start = u32::try_from(nul).unwrap_or(u32::MAX);
            let span = Span {
                file,
                start,
                end: start.saturating_add(1),
                line,
                last_line: line,
            };
            self.finding(Some(span), FindingKind::Nul);
        }
        Ok(Frame {
            file,
            text: Rc::new(text),
            at: 0,
            line: 1,
            at_line_start: true,
            rest: VecDeque::new(),
        })
    }

    /// Goes on in the next file of the directory or in the including file. False at the very end.
    fn leave_file(&mut self) -> bool {
        while let Some(next) = self
            .stack
            .last_mut()
            .and_then(|frame| frame.rest.pop_front())
        {
            match self.read(&next) {
                Ok(frame) => {
                    if let Some(top) = self.stack.last_mut() {
                        let rest = std::mem::take(&mut top.rest);
                        *top = Frame { rest, ..frame };
                    }
                    return true;
                }
                Err(problem) => self.not_included(None, &next, problem),
            }
        }
        if self.stack.len() <= 1 {
            return false;
        }
        self.stack.pop();
        true
    }

    /// Notes a file that sudo was told to read.
    pub(super) fn not_included(&mut self, at: Option<Span>, path: &Path, problem: ReadProblem) {
        if let ReadProblem::Other(reason) = &problem
            && self.unread.len() < FINDINGS_MAX
        {
            self.unread.push(Unread {
                path: path.to_owned(),
                reason: reason.clone(),
            });
        }
        self.finding(
            at,
            FindingKind::NotIncluded {
                path: path.to_owned(),
                problem,
            },
        );
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        loop {
            let Some(frame) = self.stack.last() else {
                return Token {
                    tok: Tok::Eof,
                    span: NOWHERE,
                };
            };
            if frame.at >= frame.text.bytes.len() {
                if self.leave_file() {
                    continue;
                }
                return Token {
                    tok: Tok::Eof,
                    span: self.span(0),
                };
            }
            let text = Rc::clone(&frame.text);
            let (rule, length) = self.longest(&text.bytes[frame.at..]);
            if let Some(token) = self.act(rule, &text.bytes[frame_range(&self.stack, length)]) {
                return token;
            }
        }
    }

    /// The span of the next `length` bytes.
    fn span(&self, length: usize) -> Span {
        self.stack.last().map_or(NOWHERE, |frame| Span {
            file: frame.file,
            start: frame.text.on_disk(frame.at),
            end: frame.text.on_disk(frame.at + length),
            line: frame.line,
            last_line: frame.line,
        })
    }

    fn consume(&mut self, length: usize) {
        if let Some(frame) = self.stack.last_mut() {
            frame.at += length;
        }
    }

    fn longest(&self, s: &[u8]) -> (Rule, usize) {
        let mut best = Best {
            rule: Rule::NoMatch,
            length: 0,
        };
        let at_line_start = self.stack.last().is_some_and(|frame| frame.at_line_start);
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
            State::Args => self.offer_args(s, &mut best),
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
            if at_line_start {
                best.offer(Rule::Include(8, false), p::hash_include(s, b"#include"));
                best.offer(Rule::Include(11, true), p::hash_include(s, b"#includedir"));
                best.offer(Rule::Defaults, p::defaults(s));
                best.offer(Rule::AliasKeyword, p::alias_keyword(s));
            }
        }
        if self.state.is_inclusive() {
            self.offer_shared(s, &mut best);
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

    fn offer_args(&self, s: &[u8], best: &mut Best) {
        if s.len() > 1 && s[0] == b'\\' {
            let glob = matches!(s[1], b'*' | b'?' | b'[' | b']' | b'!')
                || (s[1] == b'^' && self.dialect.has_regex());
            best.offer(Rule::ArgQuotedGlob, if glob { 2 } else { 0 });
            let separator = s[1] == b'\\' || super::words::is_separator(s[1]);
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
    fn offer_shared(&self, s: &[u8], best: &mut Best) {
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
        best.offer(Rule::Ipv4, p::ipv4(s));
        best.offer(Rule::Ipv6, p::ipv6(s));
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

    /// Takes the matched text; a token, or nothing where the scanner goes on.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm per pattern, as the table it is"
    )]
    fn act(&mut self, rule: Rule, text: &[u8]) -> Option<Token> {
        let span = self.span(text.len());
        let last = text.last().copied().unwrap_or(b'\n');
        if let Some(frame) = self.stack.last_mut() {
            frame.at_line_start = last == b'\n';
        }
        let mut taken = text.len();
        let mut newlines = 0;
        let tok = match rule {
            Rule::NoMatch => Some(Tok::Bad("unexpected character")),
            Rule::Newline if self.state == State::Quotes => {
                self.state = State::Initial;
                taken = 0;
                Some(Tok::Bad("line break in quotes"))
            }
            Rule::Newline => {
                newlines = 1;
                self.state = State::Initial;
                self.continued = false;
                Some(Tok::Newline)
            }
            Rule::Comment => {
                if last == b'\n' {
                    newlines = 1;
                    self.state = State::Initial;
                    self.continued = false;
                    Some(Tok::Newline)
                } else {
                    Some(Tok::Bad("a number sign before a number"))
                }
            }
            Rule::Blanks => {
                self.saw_space = true;
                None
            }
            Rule::Continuation | Rule::QuotesContinuation => {
                newlines = 1;
                self.saw_space |= rule == Rule::Continuation;
                self.continued = true;
                None
            }
            Rule::Bangs => (text.len() % 2 == 1).then_some(Tok::Bang),
            Rule::BindingComma => Some(Tok::Comma),
            Rule::BindingEnd => {
                self.state = State::SettingName;
                None
            }
            Rule::Setting => {
                self.state = State::SettingValue;
                Some(Tok::Setting(text.to_vec()))
            }
            Rule::SettingComma => {
                self.state = State::SettingName;
                Some(Tok::Comma)
            }
            Rule::Plus => Some(Tok::Plus),
            Rule::Minus => Some(Tok::Minus),
            Rule::Value => Some(Tok::Word(unescape(text))),
            Rule::Quote => {
                self.quoted = None;
                self.quotes_start = span;
                self.state_before_quotes = match self.state {
                    State::IncludePath => State::Initial,
                    // sudo keeps the state from before the option's path.
                    State::WantPath => State::Initial,
                    state => state,
                };
                self.state = State::Quotes;
                None
            }
            Rule::QuotesEnd => {
                self.state = self.state_before_quotes;
                let tok = self.quoted_token();
                return Some(self.take(tok, self.quotes_start.to(span), taken));
            }
            Rule::QuotesBackslash | Rule::QuotesText => {
                self.quoted.get_or_insert_default().extend(unescape(text));
                None
            }
            Rule::ArgQuotedGlob | Rule::Arg => {
                if self.dialect.has_regex()
                    && rule == Rule::Arg
                    && self.command.args.is_none()
                    && text[0] == b'^'
                {
                    taken = 0;
                    self.state = State::ArgsRegex;
                    self.not_at_line_start();
                } else {
                    self.add_args(text, self.saw_space, span);
                    self.saw_space = false;
                }
                None
            }
            Rule::ArgQuotedSeparator => {
                self.add_args(&text[1..], self.saw_space, span);
                self.saw_space = false;
                None
            }
            Rule::ArgsEnd => {
                self.state = State::Initial;
                self.not_at_line_start();
                return Some(self.command_token());
            }
            Rule::RegexQuoted => {
                self.add_args(text, false, span);
                None
            }
            Rule::RegexBroken => {
                taken = 0;
                self.not_at_line_start();
                self.state = State::Initial;
                Some(Tok::Bad("unfinished regular expression"))
            }
            Rule::RegexEnd => {
                self.add_args(text, false, span);
                self.state = State::Initial;
                self.continued = false;
                self.consume(taken);
                return Some(self.command_token());
            }
            Rule::RegexText => {
                let indent = if self.continued { p::blanks(text) } else { 0 };
                self.continued = false;
                if text.len() > indent {
                    self.add_args(&text[indent..], false, span);
                }
                None
            }
            Rule::HexDigest | Rule::Base64Digest => {
                self.state = State::Initial;
                let size = self.digest.map_or(0, DigestKind::bytes);
                let wanted = if rule == Rule::HexDigest {
                    size * 2
                } else if last == b'=' {
                    4 * size.div_ceil(3)
                } else {
                    (4 * size).div_ceil(3)
                };
                // A digest of the wrong length vanishes; the grammar then misses it.
                (text.len() == wanted).then(|| Tok::Digest(text.to_vec()))
            }
            Rule::Include(..) | Rule::Defaults | Rule::AliasKeyword if self.continued => {
                Some(Tok::Bad("continued line before a keyword"))
            }
            Rule::Include(keyword, is_dir) => {
                taken = keyword;
                self.not_at_line_start();
                self.state = State::IncludePath;
                Some(if is_dir {
                    Tok::IncludeDir
                } else {
                    Tok::Include
                })
            }
            Rule::Defaults => {
                let bare = p::blanks(text) + b"Defaults".len();
                self.state = State::Binding;
                let scope = match text.get(bare) {
                    Some(b':') => Scope::User,
                    Some(b'>') => Scope::Runas,
                    Some(b'@') => Scope::Host,
                    Some(b'!') => Scope::Command,
                    _ => Scope::Global,
                };
                if scope != Scope::Global {
                    taken = bare + 1 + p::blanks(&text[bare + 1..]);
                }
                Some(Tok::Defaults(scope))
            }
            Rule::AliasKeyword => Some(Tok::AliasKeyword(match text[p::blanks(text)] {
                b'H' => AliasKind::Host,
                b'C' => AliasKind::Command,
                b'U' => AliasKind::User,
                _ => AliasKind::Runas,
            })),
            Rule::Tag(tag, on) => Some(Tok::Tag(tag, on)),
            Rule::EmptyGroup => Some(Tok::Bad("group without a name")),
            Rule::NetGroup => Some(Tok::NetGroup(unescape(text))),
            Rule::UserGroup => Some(Tok::UserGroup(unescape(text))),
            Rule::Ipv4 => Some(Tok::Network(unescape(text))),
            Rule::Ipv6 if !p::ipv6_is_valid(text) => Some(Tok::Bad("invalid IPv6 address")),
            Rule::Ipv6 => Some(Tok::Network(unescape(text))),
            Rule::All => Some(Tok::All),
            Rule::Option(name) => Some(self.option_token(name, text)),
            Rule::Alias => Some(Tok::Alias(unescape(text))),
            Rule::BindingCommand => Some(Tok::Command {
                path: command_path(text),
                args: None,
            }),
            Rule::DigestKind(kind) => {
                self.digest = Some(kind);
                self.state = State::WantDigest;
                Some(Tok::DigestKind(kind))
            }
            Rule::OptionPath => {
                self.state = State::Initial;
                Some(Tok::Word(unescape(text)))
            }
            Rule::Sudoedit | Rule::Path | Rule::Regex => {
                self.command = PendingCommand {
                    path: command_path(text),
                    args: None,
                    span,
                };
                if rule == Rule::Path && last == b'/' {
                    self.consume(taken);
                    return Some(self.command_token());
                }
                self.state = State::Args;
                None
            }
            Rule::Word => Some(Tok::Word(unescape(text))),
            Rule::IncludePath => {
                self.state = State::Initial;
                Some(Tok::Word(unescape(text)))
            }
            Rule::Punctuation => Some(match last {
                b'(' => Tok::Open,
                b')' => Tok::Close,
                b',' => Tok::Comma,
                b'=' => Tok::Equals,
                _ => Tok::Colon,
            }),
        };
        self.consume(taken);
        if let Some(frame) = self.stack.last_mut() {
            frame.line += newlines;
        }
        tok.map(|tok| Token { tok, span })
    }

    fn take(&mut self, tok: Tok, span: Span, length: usize) -> Token {
        self.consume(length);
        Token { tok, span }
    }

    fn not_at_line_start(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.at_line_start = false;
        }
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
        if matches!(self.state, State::Initial | State::Binding) {
            match text.first() {
                Some(b'%') if text == b"%" || text == b"%:" => {
                    return Tok::Bad("group without a name");
                }
                Some(b'%') => return Tok::UserGroup(text),
                Some(b'+') if text == b"+" => return Tok::Bad("group without a name"),
                Some(b'+') => return Tok::NetGroup(text),
                _ => {}
            }
        }
        Tok::Word(text)
    }

    /// An option of a rule, or an alias on a sudo that was built without it.
    fn option_token(&mut self, name: OptionName, text: &[u8]) -> Tok {
        match name {
            OptionName::Cwd | OptionName::Chroot => self.state = State::WantPath,
            OptionName::AppArmorProfile | OptionName::Privs | OptionName::LimitPrivs
                if !self.dialect.has_platform_options() =>
            {
                return Tok::Alias(text.to_vec());
            }
            _ => {}
        }
        Tok::Option(name)
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

fn frame_range(stack: &[Frame], length: usize) -> std::ops::Range<usize> {
    let at = stack.last().map_or(0, |frame| frame.at);
    at..at + length
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

fn line_of(raw: &[u8], at: usize) -> u32 {
    let newlines = raw[..at].iter().filter(|c| **c == b'\n').count();
    u32::try_from(newlines + 1).unwrap_or(u32::MAX)
}
