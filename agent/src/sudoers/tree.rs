//! The policy as a tree, with the place of every part.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::subject::show_path;

/// Everything sudo knows after reading its policy, in the order it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sudoers {
    /// Files that were opened, one entry per opening: an index into this list is a [`FileId`].
    pub files: Vec<SourceFile>,
    /// `user host = commands` lines. The last one that matches a command decides.
    pub specs: Vec<UserSpec>,
    /// Aliases of all four kinds; the first definition of a name stands.
    pub aliases: BTreeMap<AliasKind, BTreeMap<Vec<u8>, Alias>>,
    /// `Defaults` settings.
    pub defaults: Vec<Default>,
    /// What is wrong with the policy, for people.
    pub findings: Vec<Finding>,
    /// Rules that exist but that we could not read, or stopped reading.
    pub unread: Vec<Unread>,
    /// Set when sudo finds no policy here at all and refuses everyone.
    pub refused: Option<Refused>,
}

impl Sudoers {
    /// The alias of that name.
    #[must_use]
    pub fn alias(&self, kind: AliasKind, name: &[u8]) -> Option<&Alias> {
        self.aliases.get(&kind)?.get(name)
    }

    /// How many members all lists have together, each list counted where it is written.
    pub(super) fn members(&self) -> usize {
        let of_rule = |rule: &Rule| {
            let runas = rule.runas.as_deref().into_iter();
            let lists = runas.flat_map(|runas| [&runas.users, &runas.groups]);
            1 + lists.flatten().map(Vec::len).sum::<usize>()
        };
        let of_privilege = |privilege: &Privilege| {
            privilege.hosts.len() + privilege.rules.iter().map(of_rule).sum::<usize>()
        };
        let of_spec = |spec: &UserSpec| {
            spec.users.len() + spec.privileges.iter().map(of_privilege).sum::<usize>()
        };
        let aliases = self.aliases.values().flat_map(BTreeMap::values);
        self.specs.iter().map(of_spec).sum::<usize>()
            + aliases.map(|alias| alias.members.len()).sum::<usize>()
            + self.defaults.iter().map(|d| d.binding.len()).sum::<usize>()
    }
}

/// Index into [`Sudoers::files`].
pub type FileId = u32;

/// A file that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As sudo names it.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u32,
}

/// A place in a file: byte offsets into the file as it lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte. Of a statement: before its newline and trailing comment.
    pub end: u32,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Line of the last byte.
    pub last_line: u32,
}

impl Span {
    /// From the start of `self` to the end of `last`. A statement that runs over the end of an
    /// included file ends, for this purpose, with its file.
    #[must_use]
    pub(super) fn to(self, last: Self) -> Self {
        if last.file == self.file && last.end >= self.end {
            Self {
                end: last.end,
                last_line: last.last_line,
                ..self
            }
        } else {
            self
        }
    }
}

/// What sudo makes of a whole policy it cannot use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The main file does not exist.
    Missing,
    /// The main file's owner, mode or type.
    Unsafe(String),
    /// The last statement never ends (a backslash on the last line): sudo drops everything.
    UnfinishedStatement {
        /// Where that statement begins.
        at: Span,
    },
}

/// Something wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, or `None` for the policy as a whole.
    pub at: Option<Span>,
    /// What.
    pub kind: FindingKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindingKind {
    /// sudo skips this line.
    #[error("sudo ignores this line: {0}")]
    LineIgnored(&'static str),
    /// sudo keeps the line without this part.
    #[error("sudo ignores this part of the line: {0}")]
    PartIgnored(&'static str),
    /// Text after an include that sudo skips.
    #[error("sudo ignores the text after this include")]
    TrailingText,
    /// An included file or directory that is not in force, or could not be read.
    #[error("{path}: {problem}", path = show_path(.path))]
    NotIncluded {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: super::files::ReadProblem,
    },
    /// A file in an include directory that sudo passes over because of its name.
    #[error("{path}: sudo ignores names with a dot or a final tilde", path = show_path(.path))]
    NameIgnored {
        /// The file.
        path: PathBuf,
    },
    /// Includes nest too deep.
    #[error("too many levels of includes")]
    TooDeep,
    /// A NUL byte hides the rest of its line from sudo.
    #[error("a NUL byte hides the rest of the line")]
    Nul,
    /// An include lost the line that follows it (sudo 1.9.5).
    #[error("sudo 1.9.5 ignores the line after an include that failed")]
    LineAfterFailedInclude,
}

/// Rules we know of but have not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// File or directory.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// The four kinds of aliases; each has its own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AliasKind {
    /// `User_Alias`
    User,
    /// `Runas_Alias`
    Runas,
    /// `Host_Alias`
    Host,
    /// `Cmnd_Alias`, `Cmd_Alias`
    Command,
}

/// A named list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// From the name to the end of the list.
    pub span: Span,
    /// In the order written.
    pub members: Vec<Member>,
}

/// One element of a list, possibly negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// With its `!`.
    pub span: Span,
    /// An odd number of `!` before it.
    pub negated: bool,
    /// What it names.
    pub what: What,
}

/// What a member names. Which of them can occur depends on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// `ALL` in a user, host or group list.
    All,
    /// An upper-case word: an alias, or a plain word where no such alias exists.
    Alias(Vec<u8>),
    /// A user, host or group; `#` and digits is an id.
    Word(Vec<u8>),
    /// `%group`, `%#gid`, `%:other`, with the `%`.
    UserGroup(Vec<u8>),
    /// `+netgroup`, with the `+`.
    NetGroup(Vec<u8>),
    /// An address, or an address and a mask.
    Network(Vec<u8>),
    /// The invoking user: `()`.
    Myself,
    /// A command, in command lists.
    Command(Command),
}

/// A command of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// `None` is `ALL`. Otherwise a path, possibly with wildcards, a path that ends in `/`, a
    /// regular expression, `sudoedit` or `list`. Escapes of sudo's own syntax are undone, those of
    /// wildcards stand.
    pub path: Option<Vec<u8>>,
    /// Arguments joined by single spaces; `None` allows any, `""` (two quotes) allows none.
    pub args: Option<Vec<u8>>,
    /// The command's file must have one of these digests, if there are any.
    pub digests: Vec<Digest>,
}

/// A digest a command's file must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// `sha224`, `sha256`, `sha384` or `sha512`.
    pub kind: DigestKind,
    /// Hexadecimal or base64, as written.
    pub text: Vec<u8>,
}

/// Kinds of digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say all")]
pub enum DigestKind {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl DigestKind {
    /// As sudoers writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the digest in bytes.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// `users hosts = commands : hosts = commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// The whole statement, continuation lines included.
    pub span: Span,
    /// Whom it is for.
    pub users: Vec<Member>,
    /// At least one.
    pub privileges: Vec<Privilege>,
}

/// `hosts = commands`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privilege {
    /// From the first host to the last command.
    pub span: Span,
    /// Where it holds.
    pub hosts: Vec<Member>,
    /// At least one.
    pub rules: Vec<Rule>,
}

/// One command with all that applies to it, what it takes over from the rule before included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As written, with its own runas, options and tags.
    pub span: Span,
    /// As whom; `None` is the default runas user. Rules that share one list hold the same `Arc`.
    pub runas: Option<Arc<Runas>>,
    /// `CWD=`, `TIMEOUT=` and the like. Rules that have the same mostly share one.
    pub options: Arc<Options>,
    /// `NOPASSWD:` and the like.
    pub tags: Tags,
    /// The command; an alias or [`What::Command`].
    pub command: Member,
}

/// `(users : groups)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runas {
    /// `None` where only groups are given (before 1.9.14).
    pub users: Option<Vec<Member>>,
    /// `None` where no groups are given.
    pub groups: Option<Vec<Member>>,
}

/// Options of a rule that are not tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `ROLE=`
    pub role: Option<Vec<u8>>,
    /// `TYPE=`
    pub selinux_type: Option<Vec<u8>>,
    /// `APPARMOR_PROFILE=`
    pub apparmor_profile: Option<Vec<u8>>,
    /// `PRIVS=`
    pub privs: Option<Vec<u8>>,
    /// `LIMITPRIVS=`
    pub limitprivs: Option<Vec<u8>>,
    /// `CWD=`
    pub cwd: Option<Vec<u8>>,
    /// `CHROOT=`
    pub chroot: Option<Vec<u8>>,
    /// `TIMEOUT=`, seconds.
    pub timeout_s: Option<u32>,
    /// `NOTBEFORE=`, seconds since 1970.
    pub not_before: Option<Moment>,
    /// `NOTAFTER=`, seconds since 1970.
    pub not_after: Option<Moment>,
}

/// A time written in a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970, read as UTC where no zone is written.
    pub unix: i64,
    /// No zone was written: the host's own zone decides, up to 14 hours either way.
    pub local: bool,
}

/// Tags; `None` is unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tags {
    /// `NOPASSWD:` is true, `PASSWD:` false.
    pub nopasswd: Option<bool>,
    /// `NOEXEC:`, `EXEC:`
    pub noexec: Option<bool>,
    /// `SETENV:`, `NOSETENV:`
    pub setenv: Setenv,
    /// `LOG_INPUT:`, `NOLOG_INPUT:`
    pub log_input: Option<bool>,
    /// `LOG_OUTPUT:`, `NOLOG_OUTPUT:`
    pub log_output: Option<bool>,
    /// `MAIL:`, `NOMAIL:`
    pub mail: Option<bool>,
    /// `FOLLOW:`, `NOFOLLOW:`
    pub follow: Option<bool>,
    /// `INTERCEPT:`, `NOINTERCEPT:`
    pub intercept: Option<bool>,
}

/// The `SETENV` tag, which `ALL` implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setenv {
    /// Not written.
    #[default]
    Unset,
    /// Implied by `ALL`.
    Implied,
    /// `SETENV:` or `NOSETENV:`
    Is(bool),
}

/// One setting of a `Defaults` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Default {
    /// The setting alone.
    pub span: Span,
    /// The whole line.
    pub line_span: Span,
    /// What the line is bound to.
    pub scope: Scope,
    /// The binding; empty for [`Scope::Global`]. Settings of one line share it.
    pub binding: Arc<Vec<Member>>,
    /// The name.
    pub name: Vec<u8>,
    /// What it is set to.
    pub value: Value,
}

/// What a `Defaults` line is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `Defaults`
    Global,
    /// `Defaults@host`
    Host,
    /// `Defaults:user`
    User,
    /// `Defaults>runas`
    Runas,
    /// `Defaults!command`
    Command,
}

/// What a setting is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `name`
    On,
    /// `!name`
    Off,
    /// `name=value`
    Set(Vec<u8>),
    /// `name+=value`
    Add(Vec<u8>),
    /// `name-=value`
    Remove(Vec<u8>),
}
