//! Commands of a rule against a command line.

use super::glob;
use super::matching::Matcher;
use super::subject::Doubt;
use super::tree::Command;
use super::verdict::Verdicts;

/// What somebody asks sudo to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// Anything at all: only rules for `ALL` say something about it.
    Any,
    /// A command by its full path (or `sudoedit`), and its arguments joined by spaces.
    Exactly {
        /// The path.
        path: Vec<u8>,
        /// `None` without arguments.
        args: Option<Vec<u8>>,
    },
}

impl CommandLine {
    /// A command without arguments.
    #[must_use]
    pub fn bare(path: &[u8]) -> Self {
        Self::Exactly {
            path: path.to_vec(),
            args: None,
        }
    }

    /// Compares by name, where sudo compares files: the same command under another name is not
    /// found, and what depends on the file itself stays open.
    pub(super) fn against(&self, rule: &Command, matcher: &Matcher<'_>) -> Verdicts {
        let open = |matches: Verdicts| {
            if rule.digests.is_empty() || matches == Verdicts::NONE {
                matches
            } else {
                let name = rule.path.clone().unwrap_or_else(|| b"ALL".to_vec());
                matcher.doubt(Doubt::Command(name), Verdicts::MAYBE)
            }
        };
        let Some(rule_path) = &rule.path else {
            // Of "anything", a rule with digests is only a part.
            return match self {
                Self::Any if !rule.digests.is_empty() => Verdicts::NONE,
                _ => open(Verdicts::ALLOW),
            };
        };
        let Self::Exactly { path, args } = self else {
            return Verdicts::NONE;
        };
        let path_matches = path_matches(rule_path, path, matcher);
        if path_matches == Verdicts::NONE {
            return Verdicts::NONE;
        }
        let args_match = args_match(rule, rule_path, args.as_deref(), matcher);
        if args_match == Verdicts::NONE {
            return Verdicts::NONE;
        }
        open(if path_matches == Verdicts::ALLOW {
            args_match
        } else {
            path_matches
        })
    }
}

fn path_matches(rule: &[u8], path: &[u8], matcher: &Matcher<'_>) -> Verdicts {
    if rule.first() == Some(&b'^') {
        return matcher.doubt(Doubt::Command(rule.to_vec()), Verdicts::MAYBE);
    }
    if rule.first() != Some(&b'/') {
        return Verdicts::matches(rule == path);
    }
    if glob::has_meta(rule) {
        let rules = glob::Rules {
            pathname: true,
            ..glob::Rules::default()
        };
        if rule.ends_with(b"/") {
            // Every directory the pattern names; a command in it, not below.
            let slash = path
                .iter()
                .rposition(|c| *c == b'/')
                .map_or(0, |slash| slash + 1);
            return Verdicts::matches(glob::matches(rule, &path[..slash], rules));
        }
        return Verdicts::matches(glob::matches(rule, path, rules));
    }
    if let [dir @ .., b'/'] = rule {
        let name = path
            .strip_prefix(dir)
            .and_then(|rest| rest.strip_prefix(b"/"));
        return Verdicts::matches(
            name.is_some_and(|name| !name.is_empty() && !name.contains(&b'/')),
        );
    }
    if rule == path {
        return Verdicts::ALLOW;
    }
    // /bin may be /usr/bin, and a link elsewhere may lead to the same directory.
    let base = |path: &[u8]| {
        path.iter()
            .rposition(|c| *c == b'/')
            .map_or(0, |slash| slash + 1)
    };
    if rule[base(rule)..] == path[base(path)..] {
        return matcher.doubt(Doubt::Command(rule.to_vec()), Verdicts::MAYBE);
    }
    Verdicts::NONE
}

fn args_match(rule: &Command, path: &[u8], args: Option<&[u8]>, matcher: &Matcher<'_>) -> Verdicts {
    match rule.args.as_deref() {
        None => Verdicts::ALLOW,
        Some(b"\"\"") => Verdicts::matches(args.is_none()),
        Some([b'^', .., b'$']) => matcher.doubt(Doubt::Command(path.to_vec()), Verdicts::MAYBE),
        Some(pattern) => {
            let rules = glob::Rules {
                pathname: path == b"sudoedit",
                ..glob::Rules::default()
            };
            Verdicts::matches(glob::matches(pattern, args.unwrap_or_default(), rules))
        }
    }
}
