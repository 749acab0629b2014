//! Whether a variable's name, or its value, says that it holds a secret.

use super::label::{has_token_prefix, looks_random, user_of_url};

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Says {
    /// Nothing: the value is a secret only if it looks like nothing else.
    Nothing,
    /// A key of some kind: a secret if it looks random.
    Perhaps,
    /// A secret.
    Secret,
}

/// Words that name a secret.
const SECRETS: &str = "\
    PASSWORD PASSWD PASSPHRASE PASSWORT PASS PWD PW SECRET SECRETS TOKEN APIKEY CREDENTIAL \
    CREDENTIALS PSK AUTHTOKEN DBPASS DBPASSWORD ACCESSKEY SECRETKEY PRIVATEKEY USERPASSWORD \
    BINDPW ROOTPW PGPASSWORD SSHPASS";
/// Words that make a secret of a following `KEY`.
const KEYS: &str = "\
    API ACCESS PRIVATE SECRET ENCRYPTION ENCRYPT SIGNING MASTER AUTH ACCOUNT STORAGE DEPLOY \
    APP APPLICATION SHARED SERVICE SESSION COOKIE WEBHOOK HMAC JWT";
/// Last words of names that tell something about a secret instead of holding it.
const ABOUT: &str = "\
    FILE FILES PATH DIR DIRECTORY LOCATION ID IDS NAME USER USERNAME HOST PORT TTL EXPIRY \
    EXPIRES EXPIRATION EXPIRE LIFETIME TIMEOUT LENGTH LEN SIZE MIN MAX TYPE ALGORITHM ALG \
    ENABLED DISABLED REQUIRED POLICY PROMPT HINT COUNT ROTATION AGE REGION ENDPOINT ISSUER \
    AUDIENCE PREFIX SUFFIX HEADER FIELD FORMAT VERSION METHOD MODE CMD COMMAND STORE BACKEND \
    PROVIDER SCOPE SCOPES URL URI SERVER DOMAIN RETRIES INTERVAL FINGERPRINT CHARSET SOCK \
    ARN REF SERVICE MANAGER HELPER REGEX PATTERN SALT ROUNDS ITERATIONS ENCODING";

/// What the words of a name say.
pub fn judge_name(name: &[u8]) -> Says {
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(last) = words.last() else {
        return Says::Nothing;
    };
    if is_one_of(last, ABOUT) || words.contains(&"PUBLIC") || words.contains(&"PUB") {
        return Says::Nothing;
    }
    // The working directory, as every shell has it.
    if matches!(
        words.as_slice(),
        ["PWD"] | ["OLD", "PWD"] | ["OLDPWD"] | ["PW"] | ["PASS"]
    ) {
        return Says::Nothing;
    }
    if words.iter().any(|word| is_one_of(word, SECRETS))
        || words
            .windows(2)
            .any(|pair| pair[1] == "KEY" && is_one_of(pair[0], KEYS))
    {
        return Says::Secret;
    }
    match *last {
        "KEY" | "AUTH" | "KEYBASE" | "COOKIE" if words.first() != Some(&"GPG") => Says::Perhaps,
        _ => Says::Nothing,
    }
}

fn is_one_of(word: &str, list: &str) -> bool {
    list.split(' ').any(|listed| listed == word)
}

/// The secret in the value of a variable, if there is one: all of it, or the password of a URL or
/// of a connection string.
pub fn secret_in<'v>(name: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let value = value.trim_ascii();
    if let Some((_, password)) = user_of_url(value).filter(|(_, password)| !password.is_empty()) {
        return Some(password);
    }
    if let Some(password) = in_connection_string(value) {
        return Some(password);
    }
    if has_token_prefix(value) || value.starts_with(b"-----BEGIN ") && !is_public(value) {
        return Some(value);
    }
    let says = judge_name(name);
    let fits = match says {
        Says::Nothing => false,
        Says::Perhaps => looks_random(value),
        Says::Secret => !is_plainly_no_secret(value),
    };
    fits.then_some(value)
}

fn is_public(value: &[u8]) -> bool {
    value.starts_with(b"-----BEGIN CERT") || value.starts_with(b"-----BEGIN PUBLIC")
}

/// Words, small numbers and paths, which a secret's name may also stand before.
fn is_plainly_no_secret(value: &[u8]) -> bool {
    const WORDS: &str = "true false yes no on off y n required optional auto default enabled \
        prompt ask always never bearer basic jwt oauth oauth2 env file";
    let path = matches!(value, [b'/', rest @ ..] | [b'~', b'/', rest @ ..] | [b'.', b'/', rest @ ..]
        if rest.iter().all(|b| b.is_ascii_alphanumeric() || b"/._-+@%".contains(b)) && rest.contains(&b'/')
            || rest.iter().all(|b| b.is_ascii_lowercase()));
    let url = value.windows(3).any(|w| w == b"://");
    path || url
        || WORDS
            .split(' ')
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
        || (value.len() < 4 && value.iter().all(u8::is_ascii_digit))
}

/// `Server=x;Password=y`, `AccountKey=…`, `host=x password=y`.
fn in_connection_string(value: &[u8]) -> Option<&[u8]> {
    let pairs = |separator: u8| value.split(move |b| *b == separator);
    let separator = match (value.contains(&b';'), value.contains(&b' ')) {
        (true, _) => b';',
        (_, true) => b' ',
        _ => return None,
    };
    // One pair alone is no connection string.
    if pairs(separator).filter(|part| part.contains(&b'=')).count() < 2 {
        return None;
    }
    pairs(separator).find_map(|pair| {
        let equals = pair.iter().position(|b| *b == b'=')?;
        let key = pair[..equals].trim_ascii();
        let names =
            "password pwd accountkey sharedaccesskey sharedaccesssignature sharedsecretvalue";
        let named = names
            .split(' ')
            .any(|name| key.eq_ignore_ascii_case(name.as_bytes()));
        named.then(|| pair[equals + 1..].trim_ascii())
    })
}

/// A name's words in capitals: `dbPassword`, `db-password` and `DB_PASSWORD` are the same.
fn words(name: &[u8]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before = b'_';
    for &byte in name.iter().take(256) {
        let hump = byte.is_ascii_uppercase() && before.is_ascii_lowercase();
        if (!byte.is_ascii_alphanumeric() || hump) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if byte.is_ascii_alphanumeric() {
            word.push(char::from(byte.to_ascii_uppercase()));
        }
        before = byte;
    }
    if !word.is_empty() {
        words.push(word);
    }
    // `KEY2`, `TOKEN_1`: numbers only count.
    for word in &mut words {
        let end = word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if end > 0 {
            word.truncate(end);
        }
    }
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()))
    {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_secret() {
        for name in [
            "DB_PASSWORD",
            "dbPassword",
            "spring.datasource.password",
            "AWS_SECRET_ACCESS_KEY",
            "API_KEY",
            "STRIPE_API_KEY_2",
            "GITHUB_TOKEN",
            "MYSQL_ROOT_PASSWORD",
            "REDIS_PASS",
            "POSTGRES_PWD",
            "JWT_SECRET",
            "SECRET_KEY_BASE",
            "PGPASSWORD",
            "SSHPASS",
            "APP_KEY",
            "VAULT_TOKEN",
            "rpc-secret",
            "ENCRYPTION_KEY",
            "TOKEN_1",
        ] {
            assert_eq!(judge_name(name.as_bytes()), Says::Secret, "{name}");
        }
        for name in ["FOO_KEY", "BASIC_AUTH"] {
            assert_eq!(judge_name(name.as_bytes()), Says::Perhaps, "{name}");
        }
        for name in [
            "PWD",
            "OLDPWD",
            "PASSWORD_FILE",
            "DB_PASSWORD_FILE",
            "TOKEN_TTL",
            "AWS_ACCESS_KEY_ID",
            "PUBLIC_KEY",
            "PASSWORD_MIN_LENGTH",
            "SECRET_NAME",
            "TOKEN_ISSUER",
            "PASSWORD_STORE_DIR",
            "SSH_AUTH_SOCK",
            "KEYMAP",
            "COMPASS",
            "PASSENGER_COUNT",
            "MONKEY",
            "GPG_KEY",
            "SECRETS_PATH",
            "TOKEN_URL",
            "HOME",
            "BYPASS",
            "",
        ] {
            assert_eq!(judge_name(name.as_bytes()), Says::Nothing, "{name}");
        }
    }

    #[test]
    fn values_that_are_secrets_and_those_that_are_not() {
        let found = |name: &str, value: &'static str| {
            secret_in(name.as_bytes(), value.as_bytes())
                .map(|v| String::from_utf8_lossy(v).into_owned())
        };
        for (name, value, want) in [
            ("DB_PASSWORD", "hunter2", Some("hunter2")),
            ("DB_PASSWORD", "true", None),
            ("DB_PASSWORD", "/run/secrets/db", None),
            ("DB_PASSWORD", "/xK3/9=a", Some("/xK3/9=a")),
            ("DATABASE_URL", "postgres://app:p%40ss@db/x", Some("p%40ss")),
            ("DATABASE_URL", "postgres://db/x", None),
            ("REDIS_URL", "redis://:pw@cache:6379", Some("pw")),
            ("CONN", "Server=db;User=a;Password=s e;", Some("s e")),
            (
                "AZURE",
                "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=bGs==;",
                Some("bGs=="),
            ),
            ("PGDSN", "host=db user=a password=b", Some("b")),
            (
                "ANY",
                "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
                Some("ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
            ),
            ("FOO_KEY", "users:by-id", None),
            ("FOO_KEY", "4fQz81LkW0pX7sBv", Some("4fQz81LkW0pX7sBv")),
            ("LOG_LEVEL", "debug", None),
            ("TOKEN", "12", None),
            ("TLS_CERT", "-----BEGIN CERTIFICATE-----", None),
            ("GREETING", "a=b c", None),
        ] {
            assert_eq!(
                found(name, value),
                want.map(ToOwned::to_owned),
                "{name}={value}"
            );
        }
    }
}
