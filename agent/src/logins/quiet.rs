//! Whether the sshds of the host write down who came in, and with which key.

use crate::paths::facts::Sshd;
use crate::sshd::keyword::Keyword;
use crate::sshd::printable::printable_path;

/// What the configuration keeps out of the records. A block that matches nobody counts, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quiet {
    /// Logins are not written down: where `LogLevel` says so, as `file:line`.
    pub logins: Vec<String>,
    /// Keys are named by another digest than SHA-256, or only the last of several proofs is
    /// written down: where it says so.
    pub keys: Vec<String>,
}

impl Quiet {
    /// What is so on this host.
    pub fn of(sshds: &[Sshd]) -> Self {
        let logins = |words: &[Vec<u8>]| {
            let level = words.first().map(|word| word.to_ascii_lowercase());
            let quiet = ["silent", "quiet", "fatal", "error"].map(str::as_bytes);
            level.is_some_and(|level| quiet.contains(&level.as_slice()))
        };
        let digest = |words: &[Vec<u8>]| {
            let digest = words.first();
            digest.is_some_and(|digest| !digest.eq_ignore_ascii_case(b"sha256"))
        };
        // Of a list of methods that must all succeed, sshd's usual level tells the last only.
        let lists = |words: &[Vec<u8>]| words.iter().any(|list| list.contains(&b','));
        let mut keys = places(sshds, Keyword::FingerprintHash, digest);
        keys.append(&mut places(sshds, Keyword::AuthenticationMethods, lists));
        Self {
            logins: places(sshds, Keyword::LogLevel, logins),
            keys,
        }
    }
}

fn places(sshds: &[Sshd], keyword: Keyword, is: impl Fn(&[Vec<u8>]) -> bool) -> Vec<String> {
    let configs = sshds.iter().filter_map(|sshd| sshd.config.as_ref().ok());
    let mut places: Vec<String> = configs
        .flat_map(|config| config.settings(keyword))
        .filter(|(_, _, words)| is(words))
        .map(|(file, line, _)| format!("{}:{line}", printable_path(file)))
        .collect();
    places.sort();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;
    use crate::sshd::include::{Config, ConfigFiles, ReadProblem};

    struct One(&'static str);

    impl ConfigFiles for One {
        fn read(&self, path: &Path) -> Result<Vec<u8>, ReadProblem> {
            match path == Path::new("/etc/ssh/sshd_config") {
                true => Ok(self.0.into()),
                false => Err(ReadProblem::Missing),
            }
        }
        fn list(&self, _: &Path) -> Result<Vec<OsString>, ReadProblem> {
            Err(ReadProblem::Missing)
        }
    }

    fn quiet(text: &'static str) -> Quiet {
        let (path, release) = (Path::new("/etc/ssh/sshd_config"), "OpenSSH_9.2p1");
        let config = Config::load(&One(text), path, &release.parse().unwrap());
        let name = path.display().to_string();
        Quiet::of(&[Sshd {
            name,
            config,
            running: true,
            pam: Vec::new(),
        }])
    }

    #[test]
    fn an_sshd_that_writes_down_less_is_named() {
        assert_eq!(
            quiet("UsePAM yes\nLogLevel VERBOSE\nFingerprintHash sha256\n"),
            Quiet::default()
        );
        let found = quiet(
            "LogLevel INFO\nFingerprintHash md5\nMatch User backup\n\tLogLevel=Quiet\n\
             \tAuthenticationMethods publickey,password publickey\nMatch all\n\
             AuthenticationMethods any\n",
        );
        assert_eq!(found.logins, ["/etc/ssh/sshd_config:4"]);
        assert_eq!(
            found.keys,
            ["/etc/ssh/sshd_config:2", "/etc/ssh/sshd_config:5"]
        );
    }
}
