//! A configuration with everything it includes, lexed and checked as sshd does when it starts.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::effective::Effective;
use super::glob::glob;
use super::keyword::{Keyword, Scope};
use super::lexer::{Delimited, argv_split, logical_lines, trim_end};
use super::matching::MatchLine;
use super::printable::{printable, printable_path};
use super::release::Release;
use super::setting::Rules;

/// `SERVCONF_MAX_DEPTH`
const INCLUDE_DEPTH_MAX: usize = 16;
/// Files that one configuration may have; sshd has no such limit.
const FILES_MAX: usize = 1024;
/// The most lines of one reading, each as often as its file is included.
const LINES_MAX: usize = 65_536;
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
    /// Its links are more than are followed, or lead in a circle.
    #[error("too many symbolic links")]
    TooManyLinks,
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
    /// The settings for whom no `Match` block changes them.
    pub(super) plain: OnceLock<Arc<Effective>>,
}

#[derive(Debug, Clone)]
pub(super) struct ConfigFile {
    pub path: Arc<Path>,
    pub lines: Vec<Line>,
    /// How many lines one reading of it comes to, with those of what it includes.
    weight: usize,
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
                plain: OnceLock::new(),
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

    /// Every line that sets a keyword, in whatever block, with its file and number.
    pub fn settings(&self, wanted: Keyword) -> impl Iterator<Item = (&Path, u32, &[Vec<u8>])> {
        self.files.iter().flat_map(move |file| {
            file.lines.iter().filter_map(move |line| match &line.kind {
                LineKind::Setting { keyword, words, .. } if *keyword == wanted => {
                    Some((&*file.path, line.number, words.as_slice()))
                }
                _ => None,
            })
        })
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
            weight: 0,
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
                Ok(Some(kind)) => {
                    let weight = self
                        .weight_of(&kind)
                        .saturating_add(self.config.files[index].weight);
                    if weight > LINES_MAX {
                        return Err(unreadable(ReadProblem::Other(format!(
                            "comes to more than {LINES_MAX} lines with what it includes"
                        ))));
                    }
                    let file = &mut self.config.files[index];
                    file.lines.push(Line { number, kind });
                    file.weight = weight;
                }
                Err(LineProblem::Why(why)) => return Err(invalid(why)),
                Err(LineProblem::UnknownKeyword(why)) => self.config.findings.push(invalid(why)),
                Err(LineProblem::Included(error)) => return Err(error),
            }
        }
        Ok(index)
    }

    /// A file that is included twice is read twice, and so is all that it includes.
    fn weight_of(&self, kind: &LineKind) -> usize {
        let LineKind::Include(patterns) = kind else {
            return 1;
        };
        let files = patterns.iter().flatten();
        files.fold(1, |sum, file| {
            sum.saturating_add(self.config.files[*file].weight)
        })
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
                let rules = Rules {
                    release: &self.config.release,
                    files: self.source,
                };
                let words = rules.read(keyword, rest, words)?;
                LineKind::Setting {
                    keyword,
                    scope,
                    words,
                }
            }
        }))
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
            let paths = glob(self.source, &selector).map_err(LineProblem::Included)?;
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
    fn includes_that_multiply_are_refused_before_they_are_followed() {
        let name = |at: usize| format!("/etc/ssh/{at}");
        let mut files = vec![("/etc/ssh/sshd_config".to_owned(), "Include 1\n".repeat(4))];
        for at in 1..15 {
            files.push((name(at), format!("Include {}\n", at + 1).repeat(4)));
        }
        files.push((name(15), "UsePAM yes\n".to_owned()));
        let files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (&**a, &**b)).collect();
        let error = load("OpenSSH_9.2p1", &files).unwrap_err().to_string();
        let told = "comes to more than 65536 lines with what it includes";
        assert!(error.ends_with(told), "{error}");
        // Half as deep it is read, as sshd would.
        let (first, rest) = files.split_at(1);
        assert!(load("OpenSSH_9.2p1", &[first, &rest[8..]].concat()).is_ok());
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
}
