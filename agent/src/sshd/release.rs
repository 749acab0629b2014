//! Which sshd: its version and the patches that change an answer.

use std::fmt;
use std::str::FromStr;

/// A release of OpenSSH as it runs on a host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Release {
    major: u16,
    minor: u16,
    /// `SSH_RELEASE` of version.h, which `Match version` compares: `OpenSSH_10.0p2 Debian-7`.
    text: String,
}

/// The text names no OpenSSH release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no OpenSSH version in {0:?}: want text as printed by `ssh -V`")]
pub struct NotARelease(String);

impl Release {
    /// Whether this is `major.minor` or a later one.
    pub const fn at_least(&self, major: u16, minor: u16) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }

    /// `SSH_RELEASE` of version.h.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether StrictModes lets a file be writable by a group whose only member is its owner: Debian's and Ubuntu's
    /// `user-group-modes.patch`.
    pub fn trusts_private_groups(&self) -> bool {
        self.text.contains(" Debian-") || self.text.contains(" Ubuntu-")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenSSH {}.{}", self.major, self.minor)
    }
}

/// Reads the banner of `ssh -V` (or of the port): `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL …`.
impl FromStr for Release {
    type Err = NotARelease;
    fn from_str(banner: &str) -> Result<Self, NotARelease> {
        let bad = || NotARelease(banner.chars().take(80).collect());
        let start = banner.find("OpenSSH_").ok_or_else(bad)?;
        let text = banner[start..]
            .split([',', '\r', '\n'])
            .next()
            .ok_or_else(bad)?
            .trim_end();
        let (major, rest) = text["OpenSSH_".len()..].split_once('.').ok_or_else(bad)?;
        let minor = rest
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .ok_or_else(bad)?;
        Ok(Self {
            major: major.parse().map_err(|_| bad())?,
            minor: minor.parse().map_err(|_| bad())?,
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn banners_of_real_hosts() {
        for (banner, shown, text, private) in [
            (
                "OpenSSH_8.4p1 Debian-5+deb11u3, OpenSSL 1.1.1w  11 Sep 2023",
                "OpenSSH 8.4",
                "OpenSSH_8.4p1 Debian-5+deb11u3",
                true,
            ),
            (
                "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
                "OpenSSH 9.2",
                "OpenSSH_9.2p1 Debian-2",
                true,
            ),
            (
                "OpenSSH_8.7p1, OpenSSL 3.0.7",
                "OpenSSH 8.7",
                "OpenSSH_8.7p1",
                false,
            ),
        ] {
            let release: Release = banner.parse().unwrap();
            assert_eq!(release.to_string(), shown);
            assert_eq!(release.text(), text);
            assert_eq!(release.trusts_private_groups(), private);
        }
        assert!("dropbear_2022.83".parse::<Release>().is_err());
        assert!("OpenSSH_10.0p2".parse::<Release>().unwrap().at_least(9, 9));
        assert!(!"OpenSSH_8.4p1".parse::<Release>().unwrap().at_least(8, 7));
    }
}
