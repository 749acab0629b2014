//! `.rhosts`, `.shosts`, `hosts.equiv` and `shosts.equiv`: hosts, and users of theirs, that sshd takes
//! for an account when it believes the host (auth-rhosts.c, `check_rhosts_file`).

use crate::host::lines::{Lines, number};

/// One such file, kept as it stands.
#[derive(Debug)]
pub struct Rhosts {
    lines: Lines,
}

/// A line that names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, from 1.
    pub line: u32,
    /// The host.
    pub host: Who,
    /// Its user; `None` for the one of the account's own name.
    pub user: Option<Who>,
    /// They are turned away, whatever later lines say.
    pub negated: bool,
}

/// A host or user of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// By its name, or a host by its address.
    Named(Vec<u8>),
    /// Those of a netgroup (`@group`).
    NetGroup(Vec<u8>),
}

/// What sshd reads at once; a longer line counts as several.
const BUFFER: usize = 1023;

impl Rhosts {
    /// Takes the file's content.
    pub fn parse(bytes: Vec<u8>) -> Self {
        Self {
            lines: Lines::parse(bytes),
        }
    }

    /// The file as it stands.
    pub fn to_bytes(&self) -> &[u8] {
        self.lines.bytes()
    }

    /// The entries, in the order of the file: the first that fits decides.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (index, line) in self.lines.iter().enumerate() {
            for part in line.chunks(BUFFER) {
                entries.extend(entry(number(index), part));
            }
        }
        entries
    }
}

fn entry(line: u32, text: &[u8]) -> Option<Entry> {
    let text = text.split(|byte| *byte == 0).next()?;
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    if text[start] == b'#' || text[start..].starts_with(b"NO_PLUS") {
        return None;
    }
    // sscanf(3): vertical tabs and form feeds separate, too.
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let mut words = text.split(is_space).filter(|word| !word.is_empty());
    let (host, user, more) = (words.next()?, words.next(), words.next());
    if more.is_some() {
        return None;
    }
    let (no_host, host) = who(host)?;
    let (no_user, user) = match user {
        Some(user) => {
            let (negated, user) = who(user)?;
            (negated, Some(user))
        }
        None => (false, None),
    };
    Some(Entry {
        line,
        host,
        user,
        negated: no_host || no_user,
    })
}

/// A word with its sign: `-` turns away, `+` says nothing. One sign alone is passed over by sshd.
fn who(word: &[u8]) -> Option<(bool, Who)> {
    let (negated, name) = match word.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, word),
    };
    if name.is_empty() {
        return None;
    }
    let who = match name.strip_prefix(b"@") {
        Some(group) => Who::NetGroup(group.to_vec()),
        None => Who::Named(name.to_vec()),
    };
    Some((negated, who))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn show(bytes: &[u8]) -> Vec<String> {
        let file = Rhosts::parse(bytes.to_vec());
        assert_eq!(file.to_bytes(), bytes);
        let who = |who: &Who| match who {
            Who::Named(name) => name.escape_ascii().to_string(),
            Who::NetGroup(name) => format!("@{}", name.escape_ascii()),
        };
        let entries = file.entries();
        let show = |entry: &Entry| {
            let user = entry.user.as_ref().map_or("*".into(), who);
            let sign = if entry.negated { "-" } else { "+" };
            format!("{}{sign} {} {user}", entry.line, who(&entry.host))
        };
        entries.iter().map(show).collect()
    }

    #[test]
    fn entries() {
        assert_eq!(
            show(
                b"# us\n web1 alice\nweb2\n\nNO_PLUS\n+ alice\n+web3 +bob\n-web4\nweb5 -carol\n\
                +@farm @crew\none two three\n\tweb6\x0bdave\r\n-\nweb7 al\xffx\0 rest\nlast"
            ),
            [
                "2+ web1 alice",
                "3+ web2 *",
                "7+ web3 bob",
                "8- web4 *",
                "9- web5 carol",
                "10+ @farm @crew",
                "12+ web6 dave",
                "14+ web7 al\\xffx",
                "15+ last *",
            ]
        );
        assert_eq!(show(b""), [""; 0]);
    }

    #[test]
    fn a_long_line_counts_as_several() {
        let long = [vec![b'#'; 1023], b"web1 alice\n".to_vec()].concat();
        assert_eq!(show(&long), ["1+ web1 alice"]);
    }

    #[test]
    fn random_files_come_out_as_they_went_in() {
        const LETTERS: &[u8] = b"+-@#ab \t\n\n\r\0\xff\x0b";
        let mut random = Random::new(0x2545_F491_4F6C_DD1D);
        for _ in 0..20_000 {
            let bytes = random.file(LETTERS, 60);
            let file = Rhosts::parse(bytes.clone());
            assert_eq!(file.to_bytes(), bytes);
            let _ = file.entries();
        }
    }
}
