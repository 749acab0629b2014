//! A configuration with everything it includes, lexed and checked as sshd does when it starts.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::algorithms;
use super::keyword::{Form, Keyword, Scope};
use super::lexer::{Delimited, argv_split, logical_lines, trim_end, trim_start};
use super::matching::MatchLine;
use super::pattern;
use super::printable::{printable, printable_path};
use super::release::Release;

/// `SERVCONF_MAX_DEPTH`
const INCLUDE_DEPTH_MAX: usize = 16;
/// Files that one configuration may have; sshd has no such limit.
const FILES_MAX: usize = 1024;
/// Names of one directory that a pattern is compared with.
const DIRECTORY_NAMES_MAX: usize = 65_536;
/// Where relative `Include`s begin (`SSHDIR`).
const SSHDIR: &str = "/etc/ssh";

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadProblem {
    /// There is none.
    #[error("no such file")]
    Missing,
    /// Whoever reads may not: for a key file, sshd as the account.
    #[error("permission denied")]
    Denied,
    /// It is a directory; sshd reads one as an empty configuration, and no keys from it.
    #[error("is a directory")]
    Directory,
    /// It is a FIFO, a socket or a device.
    #[error("is not a regular file")]
    NotRegular,
    /// Anything else: too large, too slow, an input/output error.
    #[error("{0}")]
    Other(String),
}

/// The files of a host, as sshd would read them (as root).
pub trait ConfigFiles {
    /// The bytes of a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem>;
    /// The names in a directory.
    fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem>;
    /// The home directory behind `~name`, or behind `~` alone, which is root's.
    fn home(&self, name: Option<&[u8]>) -> Option<Vec<u8>> {
        name.is_none().then(|| b"/root".to_vec())
    }
}

/// Why there is no configuration: sshd itself would not start with it, or part of it could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}: {problem}", printable_path(file))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        problem: ReadProblem,
    },
    /// sshd would refuse this line.
    #[error("{}:{line}: {why}", printable_path(file))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u32,
        /// What is wrong with it.
        why: String,
    },
}

/// A configuration, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Config {
    pub(super) release: Release,
    pub(super) files: Vec<ConfigFile>,
    findings: Vec<ConfigError>,
}

#[derive(Debug, Clone)]
pub(super) struct ConfigFile {
    pub path: Arc<Path>,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub number: u32,
    pub kind: LineKind,
}

#[derive(Debug, Clone)]
pub(super) enum LineKind {
    Setting {
        keyword: Keyword,
        scope: Scope,
        words: Vec<Vec<u8>>,
    },
    /// For each pattern the files that matched, as indices into `Config::files`.
    Include(Vec<Vec<usize>>),
    Match(MatchLine),
}

impl Config {
    /// Reads a configuration file and everything it includes.
    pub fn load(
        files: &dyn ConfigFiles,
        path: &Path,
        release: &Release,
    ) -> Result<Self, ConfigError> {
        let mut loader = Loader {
            source: files,
            config: Self {
                release: release.clone(),
                files: Vec::new(),
                findings: Vec::new(),
            },
            selected: HashMap::new(),
        };
        loader.file(path, 0)?;
        loader.config.check_whole()?;
        Ok(loader.config)
    }

    /// The release it was read for.
    pub const fn release(&self) -> &Release {
        &self.release
    }

    /// Lines that were passed over although sshd, as far as we know it, would refuse them: keywords of another
    /// vendor's build.
    pub fn findings(&self) -> &[ConfigError] {
        &self.findings
    }

    /// Every file that was read, for those who watch them.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| &*file.path)
    }
}

struct Loader<'a> {
    source: &'a dyn ConfigFiles,
    config: Config,
    /// Patterns already expanded, as sshd keeps them.
    selected: HashMap<Vec<u8>, Vec<usize>>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, depth: usize) -> Result<usize, ConfigError> {
        let unreadable = |problem| ConfigError::Unreadable {
            file: path.to_owned(),
            problem,
        };
        if self.config.files.len() >= FILES_MAX {
            return Err(unreadable(ReadProblem::Other(format!(
                "more than {FILES_MAX} files included"
            ))));
        }
        if depth > INCLUDE_DEPTH_MAX {
            return Err(unreadable(ReadProblem::Other(
                "too many recursive includes".into(),
            )));
        }
        let bytes = match self.source.read(path) {
            Err(ReadProblem::Directory) => Vec::new(),
            read => read.map_err(unreadable)?,
        };
        let index = self.config.files.len();
        self.config.files.push(ConfigFile {
            path: path.into(),
            lines: Vec::new(),
        });
        let comments_end_anywhere = !self.config.release.at_least(8, 7);
        for (number, text) in logical_lines(&bytes, comments_end_anywhere) {
            let invalid = |why| ConfigError::Invalid {
                file: path.to_owned(),
                line: number,
                why,
            };
            match self.line(&text, depth) {
                Ok(None) => {}
                Ok(Some(kind)) => self.config.files[index].lines.push(Line { number, kind }),
                Err(LineProblem::Why(why)) => return Err(invalid(why)),
                Err(LineProblem::UnknownKeyword(why)) => self.config.findings.push(invalid(why)),
                Err(LineProblem::Included(error)) => return Err(error),
            }
        }
        Ok(index)
    }

    fn line(&mut self, text: &[u8], depth: usize) -> Result<Option<LineKind>, LineProblem> {
        let mut rest = Delimited::new(trim_end(text));
        let Some(mut word) = rest.word() else {
            return Ok(None);
        };
        if word.is_empty() {
            match rest.word() {
                Some(second) => word = second,
                None => return Ok(None),
            }
        }
        if word.is_empty() || word[0] == b'#' {
            return Ok(None);
        }
        let shell_like = self.config.release.at_least(8, 7);
        let rest = rest.rest().unwrap_or_default();
        if shell_like && rest.is_empty() {
            return Err(format!("no argument after keyword {:?}", printable(&word)).into());
        }
        let Some((keyword, scope)) = Keyword::lookup(&word, &self.config.release) else {
            return Err(LineProblem::UnknownKeyword(format!(
                "unknown keyword {}",
                printable(&word)
            )));
        };
        let words = if shell_like {
            argv_split(rest).map_err(|_| "invalid quotes".to_owned())?
        } else if rest.is_empty() {
            Vec::new()
        } else {
            Delimited::new(rest).words()
        };
        Ok(Some(match keyword {
            Keyword::Match => {
                LineKind::Match(MatchLine::parse(rest, &words, &self.config.release)?)
            }
            Keyword::Include => self.include(&words, depth)?,
            _ => {
                let words = self.value(keyword, rest, words)?;
                LineKind::Setting {
                    keyword,
                    scope,
                    words,
                }
            }
        }))
    }

    /// The words of a setting, checked as servconf.c checks them.
    fn value(
        &self,
        keyword: Keyword,
        rest: &[u8],
        mut words: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let release = &self.config.release;
        let shell_like = release.at_least(8, 7);
        match keyword.form() {
            Form::Unread => {
                return if words.first().is_none_or(Vec::is_empty) {
                    Err("missing argument".into())
                } else {
                    Ok(Vec::new())
                };
            }
            Form::RestOfLine | Form::Command => {
                let text = trim_start(rest);
                if rest.is_empty() {
                    return Err("missing argument".into());
                }
                // Up to 8.6 only a command that comes into force is looked at, see `Reading::set`.
                let command = keyword.form() == Form::Command && shell_like;
                if command && !text.starts_with(b"/") && !text.eq_ignore_ascii_case(b"none") {
                    return Err("must be an absolute path".into());
                }
                return Ok(vec![text.to_vec()]);
            }
            Form::Words | Form::MoreWords => {
                if shell_like {
                    if words.iter().any(Vec::is_empty) {
                        return Err("empty argument".into());
                    }
                    if words.is_empty() && release.at_least(9, 5) {
                        return Err("missing argument".into());
                    }
                } else if let Some(end) = words.iter().position(Vec::is_empty) {
                    let garbage = words.get(end + 1).is_some_and(|word| !word.is_empty());
                    if garbage && keyword.form() == Form::MoreWords {
                        return Err("garbage at end of line".into());
                    }
                    words.truncate(end);
                }
            }
            Form::Choice(_) | Form::Word | Form::Number | Form::FileName => {
                if words.first().is_none_or(Vec::is_empty) {
                    return Err("missing argument".into());
                }
                let extra = if shell_like {
                    words.len() > 1
                } else {
                    words.get(1).is_some_and(|w| !w.is_empty())
                };
                if extra {
                    return Err("extra arguments at end of line".into());
                }
                words.truncate(1);
            }
        }
        self.check(keyword, &words)?;
        if keyword.form() == Form::FileName {
            for word in &mut words {
                *word = self.absolute(word)?;
            }
        }
        if matches!(
            keyword,
            Keyword::AuthorizedKeysFile | Keyword::AuthorizedPrincipalsFile
        ) {
            for word in &mut words {
                *word = self.expand_tilde(word)?;
            }
        }
        Ok(words)
    }

    fn check(&self, keyword: Keyword, words: &[Vec<u8>]) -> Result<(), String> {
        let unsupported = |word: &[u8]| Err(format!("unsupported value {:?}", printable(word)));
        for word in words {
            match keyword {
                Keyword::AllowUsers | Keyword::DenyUsers => {
                    if let Some(at) = word.iter().rposition(|b| *b == b'@')
                        && pattern::matches_address(None, &word[at + 1..])
                            == pattern::ListMatch::Invalid
                    {
                        return Err(format!("invalid pattern {:?}", printable(word)));
                    }
                }
                Keyword::PubkeyAcceptedAlgorithms
                    if !algorithms::is_valid_list(word, &self.config.release) =>
                {
                    return Err(format!("bad key types {:?}", printable(word)));
                }
                Keyword::Port | Keyword::RequiredRsaSize
                    if std::str::from_utf8(word)
                        .ok()
                        .and_then(|t| t.parse::<i32>().ok())
                        .is_none() =>
                {
                    return unsupported(word);
                }
                _ => {}
            }
            if let Form::Choice(choices) = keyword.form()
                && !choices
                    .iter()
                    .any(|choice| word.eq_ignore_ascii_case(choice.as_bytes()))
            {
                return unsupported(word);
            }
        }
        if keyword == Keyword::AuthenticationMethods {
            check_methods(words)?;
        }
        Ok(())
    }

    /// `derelativise_path`; sshd's working directory is `/`, and it puts another `/` behind that.
    fn absolute(&self, word: &[u8]) -> Result<Vec<u8>, String> {
        if word.eq_ignore_ascii_case(b"none") {
            return Ok(b"none".to_vec());
        }
        let expanded = self.expand_tilde(word)?;
        Ok(if expanded.starts_with(b"/") {
            expanded
        } else {
            [b"//", expanded.as_slice()].concat()
        })
    }

    /// `tilde_expand_filename` for root.
    fn expand_tilde(&self, word: &[u8]) -> Result<Vec<u8>, String> {
        let Some(rest) = word.strip_prefix(b"~") else {
            return Ok(word.to_vec());
        };
        let slash = rest.iter().position(|b| *b == b'/');
        let name = &rest[..slash.unwrap_or(rest.len())];
        let home = self.source.home((!name.is_empty()).then_some(name));
        let mut path =
            home.ok_or_else(|| format!("no home directory for {:?}", printable(word)))?;
        if let Some(at) = slash {
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(rest[at..].strip_prefix(b"/").unwrap_or_default());
        }
        Ok(path)
    }

    fn include(&mut self, words: &[Vec<u8>], depth: usize) -> Result<LineKind, LineProblem> {
        let shell_like = self.config.release.at_least(8, 7);
        let mut included = Vec::new();
        for word in words {
            if word.is_empty() {
                if shell_like {
                    return Err("empty argument".to_owned().into());
                }
                break;
            }
            let selector = match word[0] {
                b'/' | b'~' => word.clone(),
                _ => [SSHDIR.as_bytes(), b"/", word].concat(),
            };
            if let Some(files) = self.selected.get(&selector) {
                included.push(files.clone());
                continue;
            }
            // As in sshd, what a file includes again while it is being read is not remembered yet.
            let paths = self.glob(&selector).map_err(LineProblem::Included)?;
            if paths.is_empty() {
                self.selected.insert(selector.clone(), Vec::new());
            }
            for path in paths {
                let file = self.file(&path, depth + 1).map_err(LineProblem::Included)?;
                self.selected
                    .entry(selector.clone())
                    .or_default()
                    .push(file);
            }
            included.push(self.selected.get(&selector).cloned().unwrap_or_default());
        }
        if included.is_empty() {
            return Err("missing filename argument".to_owned().into());
        }
        Ok(LineKind::Include(included))
    }

    /// glob(3) without flags: sorted, hidden names only where the pattern names the dot, a pattern without
    /// wildcards matches what exists.
    fn glob(&self, selector: &[u8]) -> Result<Vec<PathBuf>, ConfigError> {
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        for component in selector.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                if is_wild(component) {
                    next.extend(self.matching_names(base, component)?);
                } else {
                    next.push([base, b"/".as_slice(), &unescape(component)].concat());
                }
            }
            found = next;
        }
        if !selector.starts_with(b"/") {
            return Ok(Vec::new());
        }
        let mut paths = Vec::new();
        for path in found {
            let path = PathBuf::from(OsString::from_vec(path));
            match self.source.read(&path) {
                Err(ReadProblem::Missing) => {}
                // sshd reads every match, and so do we: what cannot be read is an error there.
                _ => paths.push(path),
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn matching_names(&self, base: &[u8], pattern: &[u8]) -> Result<Vec<Vec<u8>>, ConfigError> {
        let directory = Path::new(OsStr::from_bytes(if base.is_empty() { b"/" } else { base }));
        let unreadable = |problem| ConfigError::Unreadable {
            file: directory.to_owned(),
            problem,
        };
        let names = match self.source.list(directory) {
            Ok(names) => names,
            Err(ReadProblem::Missing) => return Ok(Vec::new()),
            Err(problem) => return Err(unreadable(problem)),
        };
        if names.len() > DIRECTORY_NAMES_MAX {
            return Err(unreadable(ReadProblem::Other(format!(
                "more than {DIRECTORY_NAMES_MAX} names"
            ))));
        }
        let mut found: Vec<Vec<u8>> = names
            .iter()
            .map(|name| name.as_bytes())
            .filter(|name| {
                (!name.starts_with(b".") || pattern.starts_with(b".")) && fnmatch(name, pattern)
            })
            .map(|name| [base, b"/", name].concat())
            .collect();
        found.sort();
        Ok(found)
    }
}

enum LineProblem {
    Why(String),
    UnknownKeyword(String),
    Included(ConfigError),
}

impl From<String> for LineProblem {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

/// `auth2_methods_valid` and the rules about `any`.
fn check_methods(words: &[Vec<u8>]) -> Result<(), String> {
    const METHODS: [&[u8]; 7] = [
        b"none",
        b"publickey",
        b"password",
        b"keyboard-interactive",
        b"hostbased",
        b"gssapi-with-mic",
        b"gssapi-keyex",
    ];
    if words.is_empty() {
        return Err("no AuthenticationMethods specified".into());
    }
    if words.iter().any(|w| w == b"any") {
        return if words.len() == 1 {
            Ok(())
        } else {
            Err("\"any\" must appear alone".into())
        };
    }
    for method in words.iter().flat_map(|w| w.split(|b| *b == b',')) {
        let name = method.split(|b| *b == b':').next().unwrap_or_default();
        if !METHODS.contains(&name) {
            return Err(format!(
                "unknown authentication method {:?}",
                printable(method)
            ));
        }
    }
    Ok(())
}

fn is_wild(component: &[u8]) -> bool {
    component.iter().any(|b| matches!(b, b'*' | b'?' | b'['))
}

fn unescape(component: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(component.len());
    let mut bytes = component.iter();
    while let Some(byte) = bytes.next() {
        plain.push(if *byte == b'\\' {
            *bytes.next().unwrap_or(byte)
        } else {
            *byte
        });
    }
    plain
}

/// fnmatch(3) for one path component in the C locale: `*`, `?`, `[…]` with ranges, `[!…]`, `\`.
fn fnmatch(name: &[u8], pattern: &[u8]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else {
        return name.is_empty();
    };
    match first {
        b'*' => {
            let rest = &pattern[pattern
                .iter()
                .position(|b| *b != b'*')
                .unwrap_or(pattern.len())..];
            (0..=name.len()).any(|at| fnmatch(&name[at..], rest))
        }
        b'?' => !name.is_empty() && fnmatch(&name[1..], rest),
        b'[' => match bracket(rest) {
            Some((set, negated, length)) => {
                let Some((byte, name)) = name.split_first() else {
                    return false;
                };
                set.iter().any(|(low, high)| (low..=high).contains(&byte)) != negated
                    && fnmatch(name, &rest[length..])
            }
            None => name.first() == Some(&b'[') && fnmatch(&name[1..], rest),
        },
        b'\\' if !rest.is_empty() => {
            name.first() == rest.first() && fnmatch(&name[1..], &rest[1..])
        }
        byte => name.first() == Some(&byte) && fnmatch(&name[1..], rest),
    }
}

type Ranges = Vec<(u8, u8)>;

/// The ranges of a bracket expression, whether it is negated, and its length; `None` where it is not closed.
fn bracket(text: &[u8]) -> Option<(Ranges, bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut set = Vec::new();
    loop {
        let low = *text.get(at)?;
        if low == b']' && !set.is_empty() {
            return Some((set, negated, at + 1));
        }
        match (text.get(at + 1), text.get(at + 2)) {
            (Some(b'-'), Some(&high)) if high != b']' => {
                set.push((low, high));
                at += 3;
            }
            _ => {
                set.push((low, low));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Files in memory: path and text.
    pub(crate) struct Memory(pub BTreeMap<PathBuf, Vec<u8>>);

    impl Memory {
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            Self(
                files
                    .iter()
                    .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
                    .collect(),
            )
        }
    }

    impl ConfigFiles for Memory {
        fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
            self.0.get(path).cloned().ok_or(ReadProblem::Missing)
        }
        fn list(&self, directory: &Path) -> Result<Vec<OsString>, ReadProblem> {
            let names: std::collections::BTreeSet<OsString> = self
                .0
                .keys()
                .filter_map(|path| {
                    Some(path.strip_prefix(directory).ok()?.iter().next()?.to_owned())
                })
                .collect();
            if names.is_empty() {
                Err(ReadProblem::Missing)
            } else {
                Ok(names.into_iter().collect())
            }
        }
    }

    fn load(release: &str, files: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::load(
            &Memory::new(files),
            Path::new("/etc/ssh/sshd_config"),
            &release.parse().unwrap(),
        )
    }

    #[test]
    fn includes_are_sorted_nested_and_may_be_missing() {
        let config = load(
            "OpenSSH_9.2p1",
            &[
                (
                    "/etc/ssh/sshd_config",
                    "Include sshd_config.d/*.conf /nowhere/*.conf\nUsePAM yes\n",
                ),
                ("/etc/ssh/sshd_config.d/20.conf", "Include /opt/x.conf"),
                ("/etc/ssh/sshd_config.d/10.conf", "PermitRootLogin no"),
                ("/etc/ssh/sshd_config.d/30.conf.bak", "nonsense"),
                ("/etc/ssh/sshd_config.d/.hidden.conf", "nonsense"),
                ("/opt/x.conf", "\n\n"),
            ],
        )
        .unwrap();
        let names: Vec<_> = config.files().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "/etc/ssh/sshd_config",
                "/etc/ssh/sshd_config.d/10.conf",
                "/etc/ssh/sshd_config.d/20.conf",
                "/opt/x.conf"
            ]
        );
    }

    #[test]
    fn what_sshd_refuses_is_refused() {
        for (text, line) in [
            ("PermitRootLogin maybe", 1),
            ("\nPermitRootLogin", 2),
            ("PermitRootLogin yes no", 1),
            ("AllowUsers a@10.0.0.1/8", 1),
            ("Match User", 1),
            ("AuthenticationMethods publickey,carrier-pigeon", 1),
            ("AuthenticationMethods any publickey", 1),
            ("AuthorizedKeysCommand relative/path", 1),
            ("PubkeyAcceptedKeyTypes ssh-nonsense", 1),
            ("ForceCommand", 1),
        ] {
            for release in ["OpenSSH_8.4p1", "OpenSSH_9.2p1", "OpenSSH_10.0p2"] {
                let error = load(release, &[("/etc/ssh/sshd_config", text)]).unwrap_err();
                let ConfigError::Invalid { line: at, .. } = error else {
                    panic!("{error}")
                };
                assert_eq!(at, line, "{release}: {text}");
            }
        }
        let error = load("OpenSSH_9.2p1", &[("/etc/ssh/sshd_config", "Banner 'x")]).unwrap_err();
        assert_eq!(error.to_string(), "/etc/ssh/sshd_config:1: invalid quotes");
        let error = load(
            "OpenSSH_9.2p1",
            &[("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config")],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read /etc/ssh/sshd_config: too many recursive includes"
        );
    }

    #[test]
    fn unknown_keywords_are_findings() {
        let config = load(
            "OpenSSH_9.2p1",
            &[("/etc/ssh/sshd_config", "UsePAM no\nRedHatOnly yes\n")],
        )
        .unwrap();
        assert_eq!(
            config.findings()[0].to_string(),
            "/etc/ssh/sshd_config:2: unknown keyword RedHatOnly"
        );
    }

    #[test]
    fn globs() {
        for (name, pattern, expected) in [
            ("10.conf", "*.conf", true),
            ("10.conf", "[0-9][0-9].conf", true),
            ("10.conf", "[!a-z]?.conf", true),
            ("a]", "a[]]", true),
            ("a[", "a[", true),
            ("a*", "a\\*", true),
            ("ab", "a\\*", false),
        ] {
            assert_eq!(
                fnmatch(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }
}
