//! `.k5login` (k5login(5)) and `.k5users` (ksu(1)): Kerberos principals that are let in as an account.

use crate::host::lines::{Lines, number};

/// One such file, kept as it stands.
#[derive(Debug)]
pub struct Principals {
    lines: Lines,
}

impl Principals {
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

    /// The principals of a `.k5login`: each line is one as a whole.
    pub fn of_k5login(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let lines = self.lines.iter().enumerate();
        let lines = lines.map(|(index, line)| (number(index), line));
        lines.filter(|(_, line)| !line.is_empty())
    }

    /// The principals of a `.k5users`, each with whether it may run anything (`*`) or the account's
    /// shell, or only what its line names.
    pub fn of_k5users(&self) -> impl Iterator<Item = (u32, &[u8], bool)> {
        let lines = self.lines.iter().enumerate();
        lines.filter_map(|(index, line)| {
            let mut words = line
                .split(u8::is_ascii_whitespace)
                .filter(|w| !w.is_empty());
            let principal = words.next()?;
            let commands: Vec<&[u8]> = words.collect();
            let any = commands.is_empty() || commands.contains(&&b"*"[..]);
            Some((number(index), principal, any))
        })
    }
}

/// The name that a principal most likely has on hosts: its only component, without its realm.
pub fn local_name(principal: &[u8]) -> Option<&[u8]> {
    let name = principal.split(|byte| *byte == b'@').next()?;
    (!name.is_empty() && !name.contains(&b'/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principals() {
        let text = b"alice@EXAMPLE.ORG\n\nbob/admin@EXAMPLE.ORG \nlast@X";
        let file = Principals::parse(text.to_vec());
        assert_eq!(file.to_bytes(), text);
        let all: Vec<_> = file.of_k5login().collect();
        assert_eq!(
            all,
            [
                (1, &b"alice@EXAMPLE.ORG"[..]),
                (3, b"bob/admin@EXAMPLE.ORG "),
                (4, b"last@X"),
            ]
        );
        let users = b"alice@X /bin/ls\nbob@X\n carol@X *\n";
        let file = Principals::parse(users.to_vec());
        let all: Vec<_> = file.of_k5users().collect();
        assert_eq!(
            all,
            [
                (1, &b"alice@X"[..], false),
                (2, b"bob@X", true),
                (3, b"carol@X", true),
            ]
        );
        assert_eq!(local_name(b"alice@X"), Some(&b"alice"[..]));
        assert_eq!(local_name(b"alice/admin@X"), None);
    }
}
