//! What the grammar sees.

use super::tree::{AliasKind, DigestKind, Scope, Span};

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

/// Tags as written; true for the one that switches on.
pub(super) const TAGS: [(&[u8], TagName, bool); 16] = [
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

/// Options as written.
pub(super) const OPTIONS: [(&[u8], OptionName); 10] = [
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

/// Digests as written.
pub(super) const DIGESTS: [(&[u8], DigestKind); 4] = [
    (b"sha224", DigestKind::Sha224),
    (b"sha256", DigestKind::Sha256),
    (b"sha384", DigestKind::Sha384),
    (b"sha512", DigestKind::Sha512),
];
