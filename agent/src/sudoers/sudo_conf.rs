//! Which policy sudo asks at all: the `Plugin` lines of sudo.conf(5).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::files::SUDOERS;

/// What decides, by sudo.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// The policy in this file.
    Sudoers(PathBuf),
    /// A plugin other than sudoers: what it says cannot be read from files we know.
    Plugin(String),
}

/// Reads sudo.conf; `None` where the host has none. A line that ends in a backslash goes on, `#` begins a
/// comment, keywords are compared without case; the last policy plugin named is the one in force, and
/// without any it is sudoers with its default file.
#[must_use]
pub fn decider(sudo_conf: Option<&[u8]>) -> Decider {
    let mut decider = Decider::Sudoers(PathBuf::from(SUDOERS));
    for line in joined_lines(sudo_conf.unwrap_or_default()) {
        let mut words = line
            .split(|c| matches!(c, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        if !words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case(b"Plugin"))
        {
            continue;
        }
        let (Some(symbol), Some(library)) = (words.next(), words.next()) else {
            continue;
        };
        let file = Path::new(OsStr::from_bytes(library))
            .file_name()
            .unwrap_or_default();
        match symbol {
            b"sudoers_policy" if file == "sudoers.so" => {
                let path = words.find_map(|word| word.strip_prefix(b"sudoers_file="));
                let path = path.map_or(Path::new(SUDOERS), |path| {
                    Path::new(OsStr::from_bytes(path))
                });
                decider = Decider::Sudoers(path.to_owned());
            }
            // Helpers of the policy: they see what it decided and may only refuse more.
            b"sudoers_io" | b"sudoers_audit" | b"group_plugin" => {}
            other => {
                let name = format!("{} of {}", other.escape_ascii(), library.escape_ascii());
                decider = Decider::Plugin(name);
            }
        }
    }
    decider
}

/// Lines with continuations joined, without comments and surrounding blanks.
fn joined_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut pending = Vec::new();
    for line in text.split(|c| *c == b'\n') {
        let line = line
            .split(|c| *c == b'#')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        match line.strip_suffix(b"\\") {
            Some(begun) => pending.extend_from_slice(begun),
            None => {
                pending.extend_from_slice(line);
                lines.push(std::mem::take(&mut pending));
            }
        }
    }
    lines.push(pending);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins() {
        let of = |text: &str| decider(Some(text.as_bytes()));
        let sudoers = |path: &str| Decider::Sudoers(path.into());
        assert_eq!(decider(None), sudoers("/etc/sudoers"));
        assert_eq!(
            of("# Plugin other_policy other.so\nSet disable_coredump false\n"),
            sudoers("/etc/sudoers")
        );
        assert_eq!(
            of(
                "plugin  sudoers_policy\tsudoers.so \\\n sudoers_file=/srv/sudoers sudoers_uid=1\nPlugin sudoers_io sudoers.so\n"
            ),
            sudoers("/srv/sudoers")
        );
        assert_eq!(
            of("Plugin python_policy python_plugin.so ModulePath=x\n"),
            Decider::Plugin("python_policy of python_plugin.so".into())
        );
    }
}
