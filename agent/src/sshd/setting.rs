//! The words of one setting, checked and completed as servconf.c does when it reads the line.

use super::algorithms::ListOf;
use super::include::ConfigFiles;
use super::keyword::{Form, Keyword};
use super::lexer::trim_start;
use super::pattern;
use super::printable::printable;
use super::release::Release;

/// What the words of a setting are read by.
pub(super) struct Rules<'a> {
    /// The release whose rules hold.
    pub release: &'a Release,
    /// Knows the home directories behind `~`.
    pub files: &'a dyn ConfigFiles,
}

impl Rules<'_> {
    /// The words of a setting, checked as servconf.c checks them.
    pub fn read(
        &self,
        keyword: Keyword,
        rest: &[u8],
        mut words: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, String> {
        let release = self.release;
        let shell_like = release.at_least(8, 7);
        match keyword.form() {
            Form::Unread => {
                return if words.first().is_none_or(Vec::is_empty) {
                    Err("missing argument".into())
                } else {
                    Ok(Vec::new())
                };
            }
            Form::RestOfLine | Form::Command => {
                let text = trim_start(rest);
                if rest.is_empty() {
                    return Err("missing argument".into());
                }
                // Up to 8.6 only a command that comes into force is looked at, see `Reading::set`.
                let command = keyword.form() == Form::Command && shell_like;
                if command && !text.starts_with(b"/") && !text.eq_ignore_ascii_case(b"none") {
                    return Err("must be an absolute path".into());
                }
                return Ok(vec![text.to_vec()]);
            }
            Form::Words | Form::MoreWords => {
                if shell_like {
                    if words.iter().any(Vec::is_empty) {
                        return Err("empty argument".into());
                    }
                    if words.is_empty() && release.at_least(9, 5) {
                        return Err("missing argument".into());
                    }
                } else if let Some(end) = words.iter().position(Vec::is_empty) {
                    let garbage = words.get(end + 1).is_some_and(|word| !word.is_empty());
                    if garbage && keyword.form() == Form::MoreWords {
                        return Err("garbage at end of line".into());
                    }
                    words.truncate(end);
                }
            }
            Form::Choice(_) | Form::Word | Form::Number | Form::FileName => {
                if words.first().is_none_or(Vec::is_empty) {
                    return Err("missing argument".into());
                }
                let extra = if shell_like {
                    words.len() > 1
                } else {
                    words.get(1).is_some_and(|w| !w.is_empty())
                };
                if extra {
                    return Err("extra arguments at end of line".into());
                }
                words.truncate(1);
            }
        }
        self.check(keyword, &words)?;
        if keyword.form() == Form::FileName {
            for word in &mut words {
                *word = self.absolute(word)?;
            }
        }
        if matches!(
            keyword,
            Keyword::AuthorizedKeysFile | Keyword::AuthorizedPrincipalsFile
        ) {
            for word in &mut words {
                *word = self.expand_tilde(word)?;
            }
        }
        Ok(words)
    }

    fn check(&self, keyword: Keyword, words: &[Vec<u8>]) -> Result<(), String> {
        let unsupported = |word: &[u8]| Err(format!("unsupported value {:?}", printable(word)));
        for word in words {
            match keyword {
                Keyword::AllowUsers | Keyword::DenyUsers => {
                    if let Some(at) = word.iter().rposition(|b| *b == b'@')
                        && pattern::matches_address(None, &word[at + 1..])
                            == pattern::ListMatch::Invalid
                    {
                        return Err(format!("invalid pattern {:?}", printable(word)));
                    }
                }
                Keyword::PubkeyAcceptedAlgorithms | Keyword::CaSignatureAlgorithms => {
                    let list = match keyword {
                        Keyword::CaSignatureAlgorithms => ListOf::Certificates,
                        _ => ListOf::Logins,
                    };
                    if !list.is_valid(word, self.release) {
                        return Err(format!("bad key types {:?}", printable(word)));
                    }
                }
                Keyword::Port | Keyword::RequiredRsaSize
                    if std::str::from_utf8(word)
                        .ok()
                        .and_then(|t| t.parse::<i32>().ok())
                        .is_none() =>
                {
                    return unsupported(word);
                }
                _ => {}
            }
            if let Form::Choice(choices) = keyword.form()
                && !choices
                    .iter()
                    .any(|choice| word.eq_ignore_ascii_case(choice.as_bytes()))
            {
                return unsupported(word);
            }
        }
        if keyword == Keyword::AuthenticationMethods {
            check_methods(words)?;
        }
        Ok(())
    }

    /// `derelativise_path`; sshd's working directory is `/`, and it puts another `/` behind that.
    fn absolute(&self, word: &[u8]) -> Result<Vec<u8>, String> {
        if word.eq_ignore_ascii_case(b"none") {
            return Ok(b"none".to_vec());
        }
        let expanded = self.expand_tilde(word)?;
        Ok(if expanded.starts_with(b"/") {
            expanded
        } else {
            [b"//", expanded.as_slice()].concat()
        })
    }

    /// `tilde_expand_filename` for root.
    fn expand_tilde(&self, word: &[u8]) -> Result<Vec<u8>, String> {
        let Some(rest) = word.strip_prefix(b"~") else {
            return Ok(word.to_vec());
        };
        let slash = rest.iter().position(|b| *b == b'/');
        let name = &rest[..slash.unwrap_or(rest.len())];
        let home = self.files.home((!name.is_empty()).then_some(name));
        let mut path =
            home.ok_or_else(|| format!("no home directory for {:?}", printable(word)))?;
        if let Some(at) = slash {
            if !path.ends_with(b"/") {
                path.push(b'/');
            }
            path.extend_from_slice(rest[at..].strip_prefix(b"/").unwrap_or_default());
        }
        Ok(path)
    }
}

/// `auth2_methods_valid` and the rules about `any`.
fn check_methods(words: &[Vec<u8>]) -> Result<(), String> {
    const METHODS: [&[u8]; 7] = [
        b"none",
        b"publickey",
        b"password",
        b"keyboard-interactive",
        b"hostbased",
        b"gssapi-with-mic",
        b"gssapi-keyex",
    ];
    if words.is_empty() {
        return Err("no AuthenticationMethods specified".into());
    }
    if words.iter().any(|w| w == b"any") {
        return if words.len() == 1 {
            Ok(())
        } else {
            Err("\"any\" must appear alone".into())
        };
    }
    for method in words.iter().flat_map(|w| w.split(|b| *b == b',')) {
        let name = method.split(|b| *b == b':').next().unwrap_or_default();
        if !METHODS.contains(&name) {
            return Err(format!(
                "unknown authentication method {:?}",
                printable(method)
            ));
        }
    }
    Ok(())
}
