//! Keys of hosts that are known (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): only whether there is one of
//! a host.

use super::pattern::{ListMatch, matches_hostname};
use crate::host::lines::Lines;

/// Whether a file has a key of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knows {
    /// It has none.
    No,
    /// It has keys of hosts whose names are hashed; one may be its.
    Perhaps,
    /// It has one.
    Yes,
}

/// Whether a file has a key of a host, by its name or address.
pub fn knows(file: &[u8], host: &[u8]) -> Knows {
    let lines = Lines::parse(file.to_vec());
    let known = lines.iter().map(|line| line_knows(line, host));
    known.max().unwrap_or(Knows::No)
}

fn line_knows(line: &[u8], host: &[u8]) -> Knows {
    let mut words = line
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
        .filter(|word| !word.is_empty());
    let Some(first) = words.next() else {
        return Knows::No;
    };
    let names = match first {
        // The CA's word is as good as the host's.
        b"@cert-authority" => words.next().unwrap_or_default(),
        first if first.starts_with(b"@") || first.starts_with(b"#") => return Knows::No,
        first => first,
    };
    // A key type and a key, at least.
    if words.next().is_none() || words.next().is_none() {
        return Knows::No;
    }
    if names.starts_with(b"|") {
        return Knows::Perhaps;
    }
    match matches_hostname(host, names) {
        ListMatch::Present => Knows::Yes,
        _ => Knows::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let knows = |line: &str| knows(line.as_bytes(), b"Web1.example.org");
        assert_eq!(
            knows("web1.example.org,10.0.0.1 ssh-ed25519 AAAA"),
            Knows::Yes
        );
        assert_eq!(knows("# web1.example.org ssh-ed25519 AAAA"), Knows::No);
        assert_eq!(knows("*.example.org,!web1.* ssh-ed25519 AAAA"), Knows::No);
        assert_eq!(
            knows("@cert-authority *.example.org ssh-rsa AAAA"),
            Knows::Yes
        );
        assert_eq!(knows("@revoked web1.example.org ssh-rsa AAAA"), Knows::No);
        assert_eq!(
            knows("web2 ssh-rsa A\n|1|c2FsdA==|aGFzaA== ssh-rsa A\n"),
            Knows::Perhaps
        );
        assert_eq!(knows("web1.example.org"), Knows::No);
        assert_eq!(knows(""), Knows::No);
    }
}
