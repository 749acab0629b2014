//! What a configuration says for anybody, and what sshd checks of it when it starts.

use super::effective::{Effective, List, Origin, Sourced, turn_on_keyboard_interactive};
use super::include::{Config, ConfigError, LineKind};
use super::keyword::Keyword;
use super::reading::{Reading, first};

impl Config {
    /// Every value that the configuration has for a keyword, whomever it is for.
    pub fn words_of(&self, wanted: Keyword) -> List {
        let mut all = List::new();
        for file in &self.files {
            for line in &file.lines {
                if let LineKind::Setting { keyword, words, .. } = &line.kind
                    && *keyword == wanted
                {
                    let origin = Origin::Line {
                        file: file.path.clone(),
                        line: line.number,
                    };
                    all.extend(words.iter().map(|word| Sourced {
                        value: word.clone(),
                        origin: origin.clone(),
                    }));
                }
            }
        }
        all
    }

    /// Every `AuthorizedKeysFile` that the configuration names, whomever it is for, and the default.
    pub fn authorized_keys_files_of_anybody(&self) -> List {
        let default = |name: &[u8]| Sourced {
            value: name.to_vec(),
            origin: Origin::Default,
        };
        let mut all = vec![
            default(b".ssh/authorized_keys"),
            default(b".ssh/authorized_keys2"),
        ];
        all.extend(self.words_of(Keyword::AuthorizedKeysFile));
        all
    }

    /// What sshd checks when it starts, beyond single lines.
    pub(super) fn check_whole(&self) -> Result<(), ConfigError> {
        let Reading { options, wrong, .. } = Reading::at_start(self);
        let invalid = |origin: &Origin, why: String| match origin {
            Origin::Line { file, line } => Err(ConfigError::Invalid {
                file: file.to_path_buf(),
                line: *line,
                why,
            }),
            Origin::Default => Ok(()),
        };
        if let Some((origin, why)) = wrong {
            return invalid(&origin, why.into());
        }
        for (command, user) in [
            (
                Keyword::AuthorizedKeysCommand,
                Keyword::AuthorizedKeysCommandUser,
            ),
            (
                Keyword::AuthorizedPrincipalsCommand,
                Keyword::AuthorizedPrincipalsCommandUser,
            ),
        ] {
            if let Some(set) = first(&options, command)
                && !set.value.eq_ignore_ascii_case(b"none")
                && !options.contains_key(&user)
            {
                return invalid(
                    &set.origin,
                    "a command is set without the user to run it as".into(),
                );
            }
        }
        let mut options = options;
        if !self.release.at_least(8, 7) {
            turn_on_keyboard_interactive(&mut options);
        }
        let settings = self.effective_of(&options);
        if let Some(list) = settings.authentication_methods.first()
            && !settings
                .authentication_methods
                .iter()
                .any(|list| settings.enables(&list.value))
        {
            return invalid(
                &list.origin,
                "AuthenticationMethods cannot be satisfied by enabled methods".into(),
            );
        }
        if let Some(wrong) = settings.wrong {
            return invalid(&wrong.origin, wrong.value.into());
        }
        Ok(())
    }
}

impl Effective {
    /// Whether every method of a list is switched on.
    fn enables(&self, list: &[u8]) -> bool {
        list.split(|b| *b == b',')
            .all(|step| match step.split(|b| *b == b':').next() {
                Some(b"publickey") => self.pubkey_authentication.value,
                Some(b"password") => self.password_authentication.value,
                Some(b"keyboard-interactive") => self.kbd_interactive_authentication.value,
                Some(b"hostbased") => self.hostbased_authentication.value,
                Some(b"gssapi-with-mic") => self.gssapi_authentication.value,
                // gssapi-keyex has its own switch, which is not read.
                _ => true,
            })
    }
}
