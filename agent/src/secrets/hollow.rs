//! What stands where a secret could stand and is none: nothing, a placeholder of a template, or a
//! word that says where the secret is.
//!
//! What is passed over is counted and named, never dropped in silence: somebody's real password
//! may be `changeme`.

/// What stands there instead of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hollow {
    /// Nothing.
    Empty,
    /// A word to be replaced by the secret, as in templates and manuals.
    Placeholder,
    /// A reference to where the secret is: a variable, a command, a vault.
    Indirect,
    /// It is there, encrypted under a key that is elsewhere.
    Sealed,
}

impl Hollow {
    /// Its name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Placeholder => "placeholder",
            Self::Indirect => "indirect",
            Self::Sealed => "sealed",
        }
    }
}

/// What stands for a secret is short.
const WORDS_BYTES_MAX: usize = 4096;

/// What a value is instead of a secret; `None` for what has to be taken for one.
pub fn judge(value: &[u8]) -> Option<Hollow> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return Some(Hollow::Empty);
    }
    if any(SEALS, |seal| starts_with(value, seal)) {
        return Some(Hollow::Sealed);
    }
    if value.len() > WORDS_BYTES_MAX {
        return None; // no template is that long
    }
    if is_indirect(value) {
        return Some(Hollow::Indirect);
    }
    is_placeholder(value).then_some(Hollow::Placeholder)
}

/// Beginnings of values that mozilla/sops, ansible-vault, systemd-creds, Jasypt and Puppet's eyaml
/// have encrypted.
const SEALS: &str = "\
    ENC[|ENC(|$ANSIBLE_VAULT;|!vault|vault:v1:";

/// Beginnings of references: 1Password, Vault agents, Kubernetes-like references, secret managers.
const REFERENCES: &str = "\
    op://|vault://|vault:|secret://|ssm:|ssm://|awssm://|gcpsm://|arn:aws:secretsmanager:|\
    arn:aws:ssm:|keyring:|file://|env:|env(|env.|$__file{|$__env{";

fn is_indirect(value: &[u8]) -> bool {
    let wrapped = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    let upper = |rest: &[u8]| {
        rest.len() >= 2
            && rest[0].is_ascii_uppercase()
            && rest
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
    };
    wrapped(b"${", b"}")
        || wrapped(b"$(", b")")
        || wrapped(b"`", b"`")
        || wrapped(b"%(", b")s")
        || wrapped(b"@", b"@") && value.len() > 2 && upper(&value[1..value.len() - 1])
        || wrapped(b"%", b"%") && value.len() > 2 && upper(&value[1..value.len() - 1])
        || find(value, b"{{").is_some_and(|at| find(&value[at..], b"}}").is_some())
        || find(value, b"<%").is_some_and(|at| find(&value[at..], b"%>").is_some())
        // `$ecret` may be a password; `$SECRET` is a variable.
        || value.strip_prefix(b"$").is_some_and(upper)
        || any(REFERENCES, |reference| starts_with(value, reference))
}

/// Words that only a template or a manual would put where a secret stands.
const TEMPLATE_WORDS: &str = "\
    changeme|change_me|change-me|change this|change-this|change_this|changethis|change_it|\
    replaceme|replace_me|replace-me|replace_with|replace-with|replace with|placeholder|\
    redacted|example|dummy|not-a-real|not_a_real|xxxxxx|enter_your|insert_|insert-|\
    put_your|put-your|goes here|goes_here|goes-here";

/// What stands there for nothing, or names only what should stand there.
const WHOLE_WORDS: &str = "\
    none|null|nil|~|undefined|unset|n/a|na|tbd|todo|fixme|empty|notset|not-set|not_set|\
    disabled|sample|token|apikey|api_key|api-key|hidden|masked|data+omitted|\
    removed|revoked";

fn is_placeholder(value: &[u8]) -> bool {
    let (first, last) = (value[0], value[value.len() - 1]);
    let worded = |inner: &[u8]| {
        inner
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b" _-./:|'".contains(b))
    };
    (matches!((first, last), (b'<', b'>') | (b'[', b']')) && worded(&value[1..value.len() - 1]))
        || value.iter().all(|b| b"*xX.-_#0?".contains(b))
        || any(WHOLE_WORDS, |word| value.eq_ignore_ascii_case(word))
        || any(TEMPLATE_WORDS, |word| find(value, word).is_some())
        || ends_with(value, b"_here")
        || ends_with(value, b"-here")
        || ends_with(value, b" here")
        || ends_with(value, b"tokenhere")
        || is_yours(value)
}

/// `your_token`, `my-app-YOUR-KEY`, `YourPasswordHere`: the word as a word of its own, or before
/// the name of a secret.
fn is_yours(value: &[u8]) -> bool {
    let mut from = 0;
    while let Some(found) = find(&value[from..], b"your") {
        let at = from + found;
        let starts = at == 0 || !value[at - 1].is_ascii_alphanumeric();
        let rest = &value[at + 4..];
        let named = [
            "token", "key", "secret", "pass", "api", "access", "account", "user", "client", "auth",
        ];
        let goes_on = rest.is_empty()
            || b"_- .".contains(&rest[0])
            || named.iter().any(|name| starts_with(rest, name.as_bytes()));
        if starts && goes_on {
            return true;
        }
        from = at + 4;
    }
    false
}

/// Whether one of the words of a list does it.
fn any(list: &str, does: impl Fn(&[u8]) -> bool) -> bool {
    list.split('|').any(|word| does(word.as_bytes()))
}

/// Where `word` (lower case) begins in `text`, in any case. Copies nothing.
fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len())
        .position(|window| window.eq_ignore_ascii_case(word))
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

fn ends_with(text: &[u8], word: &[u8]) -> bool {
    text.len() >= word.len() && text[text.len() - word.len()..].eq_ignore_ascii_case(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_templates_and_manuals_write_is_hollow() {
        for (value, want) in [
            ("", Hollow::Empty),
            ("  ", Hollow::Empty),
            ("YOUR_TOKEN_HERE", Hollow::Placeholder),
            ("your-api-key", Hollow::Placeholder),
            ("ghp_yourtokenhere", Hollow::Placeholder),
            ("<your token>", Hollow::Placeholder),
            ("<TOKEN>", Hollow::Placeholder),
            ("[redacted]", Hollow::Placeholder),
            ("xxxxxxxx", Hollow::Placeholder),
            ("********", Hollow::Placeholder),
            ("...", Hollow::Placeholder),
            ("ghp_xxxxxxxxxxxxxxxxxxxx", Hollow::Placeholder),
            ("changeme", Hollow::Placeholder),
            ("ChangeMe!", Hollow::Placeholder),
            ("AKIAIOSFODNN7EXAMPLE", Hollow::Placeholder),
            (
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                Hollow::Placeholder,
            ),
            ("null", Hollow::Placeholder),
            ("insert_token", Hollow::Placeholder),
            ("${NPM_TOKEN}", Hollow::Indirect),
            ("$NPM_TOKEN", Hollow::Indirect),
            ("$(pass show npm)", Hollow::Indirect),
            ("{{ vault_password }}", Hollow::Indirect),
            ("%(token)s", Hollow::Indirect),
            ("@DB_PASSWORD@", Hollow::Indirect),
            ("op://vault/item/field", Hollow::Indirect),
            ("ENC[AES256_GCM,data:abc]", Hollow::Sealed),
            ("$ANSIBLE_VAULT;1.1;AES256", Hollow::Sealed),
        ] {
            assert_eq!(judge(value.as_bytes()), Some(want), "{value}");
        }
    }

    #[test]
    fn what_could_be_a_secret_is_none_of_these() {
        for value in [
            "hunter2",
            "$ecret",
            "$2y$10$abcdefghijklmnopqrstuv",
            "p@ss:w0rd",
            "c0ffee{{",
            "x",
            "Yourtree7",
            "saturday",
            "passw0rd",
            // Nobody should, and many do.
            "password",
            "secret",
            "1234",
            "tokens-are-fun",
            "<b4d",
            "@home",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        ] {
            // One letter that templates use for a whole mask is a mask.
            let want = (value == "x").then_some(Hollow::Placeholder);
            assert_eq!(judge(value.as_bytes()), want, "{value}");
        }
    }
}
