//! Where else sudo looks for rules: the `sudoers:` line of nsswitch.conf(5).

/// Where sudo takes its rules from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The files are among them.
    pub files: bool,
    /// Directories that are asked as well (`sss`, `ldap`), in order.
    pub others: Vec<String>,
}

/// Reads nsswitch.conf; `None` where the host has none. The first `sudoers:` line counts, names are
/// compared without case, unknown ones are passed over; without any, the files alone are read.
#[must_use]
pub fn sources(nsswitch: Option<&[u8]>) -> Sources {
    let mut sources = Sources {
        files: false,
        others: Vec::new(),
    };
    let lines = nsswitch.unwrap_or_default().split(|c| *c == b'\n');
    let line = lines
        .map(|line| {
            line.split(|c| *c == b'#')
                .next()
                .unwrap_or_default()
                .trim_ascii()
        })
        .find(|line| line.len() >= 8 && line[..8].eq_ignore_ascii_case(b"sudoers:"));
    for word in line
        .map(|line| &line[8..])
        .unwrap_or_default()
        .split(|c| matches!(c, b' ' | b'\t'))
    {
        match word.to_ascii_lowercase().as_slice() {
            b"files" => sources.files = true,
            other @ (b"sss" | b"ldap") => {
                let name = String::from_utf8_lossy(other).into_owned();
                if !sources.others.contains(&name) {
                    sources.others.push(name);
                }
            }
            _ => {}
        }
    }
    if sources.others.is_empty() {
        sources.files = true;
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let of = |text: &str| {
            let found = sources(Some(text.as_bytes()));
            (found.files, found.others.join(" "))
        };
        assert_eq!(
            sources(None),
            Sources {
                files: true,
                others: Vec::new()
            }
        );
        assert_eq!(of("passwd: files sss\n"), (true, String::new()));
        assert_eq!(of("sudoers: files sss\n"), (true, "sss".into()));
        assert_eq!(
            of("# x\nSUDOERS:\tSSS [SUCCESS=return] # files\n"),
            (false, "sss".into())
        );
        assert_eq!(of("sudoers: nis\nsudoers: ldap\n"), (true, String::new()));
    }
}
