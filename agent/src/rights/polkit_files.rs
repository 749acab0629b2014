//! Files of polkit(8): the rules it runs (JavaScript), and the key files of its local authority.

use crate::host::lines::{Lines, number};

/// Where rules lie. What decides between two with the same name does not matter here.
pub const RULES: [&str; 4] = [
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
];

/// The local authority's directories; each holds directories with files (pklocalauthority(8)).
pub const LOCAL_AUTHORITY: [&str; 2] = [
    "/var/lib/polkit-1/localauthority",
    "/etc/polkit-1/localauthority",
];

/// Where the local authority is told who administrators are.
pub const ADMINISTRATORS: &str = "/etc/polkit-1/localauthority.conf.d";

/// A key file (`.pkla`, `.conf`), kept as it stands.
#[derive(Debug)]
pub struct KeyFile {
    lines: Lines,
}

/// A group of a key file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section<'a> {
    /// The line of its header, from 1.
    pub line: u32,
    /// What stands in the brackets.
    pub name: &'a [u8],
    keys: Vec<(&'a [u8], &'a [u8])>,
}

impl KeyFile {
    /// Takes a file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// Its groups.
    pub fn sections(&self) -> Vec<Section<'_>> {
        let mut sections: Vec<Section<'_>> = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            let line = line.trim_ascii();
            if line.starts_with(b"#") {
                continue;
            }
            if let Some(rest) = line.strip_prefix(b"[") {
                sections.push(Section {
                    line: number(index),
                    name: rest.strip_suffix(b"]").unwrap_or(rest),
                    keys: Vec::new(),
                });
            } else if let Some(at) = memchr::memchr(b'=', line)
                && let Some(section) = sections.last_mut()
            {
                let (key, value) = (&line[..at], &line[at + 1..]);
                section.keys.push((key.trim_ascii(), value.trim_ascii()));
            }
        }
        sections
    }
}

impl<'a> Section<'a> {
    /// A key's value; of several the last.
    pub fn value(&self, key: &[u8]) -> Option<&'a [u8]> {
        let mut keys = self.keys.iter().rev();
        keys.find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    /// A value that is a list.
    pub fn list(&self, key: &[u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let value = self.value(key).unwrap_or_default();
        let items = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        items.filter(|item| !item.is_empty())
    }
}

/// The first line of a rule file on which one of these stands as a whole string: `"NAME"`,
/// `'NAME'`, or after `unix-user:` or `unix-group:`.
pub fn first_naming<'n>(file: &[u8], names: impl Iterator<Item = &'n [u8]> + Clone) -> Option<u32> {
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        for name in names.clone().filter(|name| !name.is_empty()) {
            let mut at = 0;
            while let Some(found) = memchr::memmem::find(&line[at..], name) {
                let (start, end) = (at + found, at + found + name.len());
                let before = line[..start].last();
                let after = line.get(end);
                let is_quote = |byte: &&u8| matches!(byte, b'"' | b'\'' | b'`');
                let begins = before.is_some_and(|byte| is_quote(&byte) || *byte == b':');
                if begins && after.filter(is_quote).is_some() {
                    return Some(number(index));
                }
                at = start + 1;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files() {
        let text = b"# c\nx=outside\n[One]\nIdentity=unix-user:alice; unix-group:a;\nAction=x.*\n\
            ResultAny = yes\nResultAny=no\n[Two\n";
        let file = KeyFile::parse(text.to_vec());
        assert_eq!(file.to_bytes(), text);
        let sections = file.sections();
        assert_eq!((sections[0].line, sections[0].name), (3, &b"One"[..]));
        assert_eq!(sections[0].value(b"ResultAny"), Some(&b"no"[..]));
        let who: Vec<_> = sections[0].list(b"Identity").collect();
        assert_eq!(who, [&b"unix-user:alice"[..], b"unix-group:a"]);
        assert_eq!((sections[1].line, sections[1].name), (8, &b"Two"[..]));
    }

    #[test]
    fn names_in_rules_stand_in_quotes() {
        let rule = b"// alice\npolkit.addRule(function(action, subject) {\n\
            if (subject.isInGroup(\"staff\") || subject.user == 'alice2') alice\n\
            return [\"unix-group:sudo\"]; });";
        let first = |name: &str| first_naming(rule, [name.as_bytes()].into_iter());
        for (name, line) in [
            ("staff", Some(3)),
            ("alice2", Some(3)),
            ("alice", None),
            ("sudo", Some(4)),
            ("unix-group", None),
            ("", None),
        ] {
            assert_eq!(first(name), line, "{name}");
        }
    }
}
