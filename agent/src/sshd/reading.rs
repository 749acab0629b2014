//! sshd's two readings of its configuration: which lines count, and what they add up to.

use std::collections::BTreeMap;

use super::effective::{List, Origin, Sourced};
use super::include::{Config, ConfigFile, LineKind};
use super::keyword::{Form, Keyword, Scope};
use super::matching::{Decide, Subject};

/// What has been set so far: the words of each keyword.
pub(super) type Options = BTreeMap<Keyword, List>;

/// One of sshd's two readings.
pub(super) struct Reading<'a> {
    config: &'a Config,
    per_connection: Option<(&'a Subject<'a>, &'a mut dyn Decide)>,
    pub options: Options,
    /// The first line that keeps sshd from starting where it stands, and why.
    pub wrong: Option<(Origin, &'static str)>,
}

/// `SSHCFG_MATCH_ONLY` and `SSHCFG_NEVERMATCH`: how the files included from here are read.
#[derive(Clone, Copy)]
enum Inclusion {
    /// As the including line is.
    Plain,
    /// Only `Match` blocks count: this is the second reading, before the first `Match`.
    MatchOnly,
    /// Nothing counts: the including line is in a block that does not match.
    Never,
}

impl<'a> Reading<'a> {
    pub fn at_start(config: &'a Config) -> Self {
        let mut reading = Self {
            config,
            per_connection: None,
            options: Options::new(),
            wrong: None,
        };
        reading.file(0, Inclusion::Plain, &mut true);
        reading
    }

    pub fn per_connection(
        config: &'a Config,
        subject: &'a Subject<'a>,
        connection: &'a mut dyn Decide,
    ) -> Self {
        let per_connection = Some((subject, connection));
        let mut reading = Self {
            config,
            per_connection,
            options: Options::new(),
            wrong: None,
        };
        reading.file(0, Inclusion::MatchOnly, &mut false);
        reading
    }

    fn file(&mut self, index: usize, mut inclusion: Inclusion, active: &mut bool) {
        let config = self.config;
        let ConfigFile { path, lines, .. } = &config.files[index];
        for line in lines {
            let origin = || Origin::Line {
                file: path.clone(),
                line: line.number,
            };
            match &line.kind {
                LineKind::Match(block) => {
                    *active = match (&inclusion, &mut self.per_connection) {
                        (Inclusion::Never, _) => false,
                        (_, None) => block.holds_at_start(),
                        (_, Some((subject, connection))) => block.holds(subject, *connection),
                    };
                    if matches!(inclusion, Inclusion::MatchOnly) {
                        inclusion = Inclusion::Plain;
                    }
                }
                LineKind::Include(patterns) => {
                    let here = *active;
                    let inner = match inclusion {
                        Inclusion::MatchOnly => Inclusion::MatchOnly,
                        _ if here => Inclusion::Plain,
                        _ => Inclusion::Never,
                    };
                    for file in patterns.iter().flatten() {
                        self.file(*file, inner, active);
                        *active = here;
                    }
                }
                LineKind::Setting {
                    keyword,
                    scope,
                    words,
                } => {
                    if let Some(why) = self.refuses(*keyword, *scope, words, *active) {
                        self.wrong.get_or_insert_with(|| (origin(), why));
                    }
                    if *active {
                        self.set(*keyword, words, &origin);
                    }
                }
            }
        }
    }

    /// What sshd says to a line because of where it stands.
    fn refuses(
        &self,
        keyword: Keyword,
        scope: Scope,
        words: &[Vec<u8>],
        active: bool,
    ) -> Option<&'static str> {
        let release = &self.config.release;
        if !active && scope == Scope::Global && self.per_connection.is_none() {
            return Some("this keyword is not allowed within a Match block");
        }
        let is_set = self.options.contains_key(&keyword);
        match keyword.form() {
            Form::Command if active && !is_set && !release.at_least(8, 7) => {
                let text = words.first()?;
                let absolute = text.starts_with(b"/") || text.eq_ignore_ascii_case(b"none");
                (!absolute).then_some("must be an absolute path")
            }
            // Until the lists of 9.8 this counted the methods of earlier lines too.
            _ if keyword == Keyword::AuthenticationMethods
                && is_set
                && release.at_least(8, 7)
                && !release.at_least(9, 8)
                && words.iter().any(|word| word == b"any") =>
            {
                Some("\"any\" must appear alone in AuthenticationMethods")
            }
            _ => None,
        }
    }

    fn set(&mut self, keyword: Keyword, words: &[Vec<u8>], origin: &dyn Fn() -> Origin) {
        let values = words.iter().map(|word| Sourced {
            value: word.clone(),
            origin: origin(),
        });
        // From 8.7 to 9.3 AuthorizedPrincipalsCommand looks whether AuthorizedKeysCommand is set, not itself.
        let release = &self.config.release;
        if keyword == Keyword::AuthorizedPrincipalsCommand
            && release.at_least(8, 7)
            && !release.at_least(9, 4)
        {
            if !self.options.contains_key(&Keyword::AuthorizedKeysCommand) {
                self.options.insert(keyword, values.collect());
            }
            return;
        }
        let known = self.options.entry(keyword).or_default();
        if known.is_empty() || keyword.form() == Form::MoreWords {
            known.extend(values);
        }
    }
}

/// The value of a keyword that is set once.
pub(super) fn first(options: &Options, keyword: Keyword) -> Option<&Sourced<Vec<u8>>> {
    options.get(&keyword).and_then(|values| values.first())
}
