//! What the inventory and the command line are told, as JSON with stable names (`LOGINS.md`).

use std::collections::BTreeSet;

use rescind_protocol::name::{AccountName, KeyFingerprint, UnixMillis};
use rescind_protocol::path::{AccessPath, Mechanism};
use serde_json::{Value, json};

use super::history::History;
use super::login::{How, Login};
use super::quiet::Quiet;

/// What is known of logins, as far as this host's sshds let it be known.
#[derive(Debug, Clone, Copy)]
pub struct Told<'h> {
    history: &'h History,
    quiet: &'h Quiet,
}

impl<'h> Told<'h> {
    /// What the records say, of a host whose sshds are so quiet.
    pub const fn new(history: &'h History, quiet: &'h Quiet) -> Self {
        Self { history, quiet }
    }

    /// The last login of an account; null where none is on record.
    pub fn account(&self, name: &AccountName) -> Value {
        self.history.last(name).map_or(Value::Null, login)
    }

    /// Since when every login over ssh would be on record; null where that cannot be said.
    pub fn known_since(&self) -> Value {
        let certain = self.quiet.logins.is_empty();
        time(self.history.known_since.filter(|_| certain))
    }

    /// The same of keys.
    pub fn keys_known_since(&self) -> Value {
        let certain = self.quiet.logins.is_empty() && self.quiet.keys.is_empty();
        time(self.history.known_since.filter(|_| certain))
    }

    /// Of some keys those of which a use is known, each with the last one, for whomever it was.
    pub fn keys_used(&self, keys: impl IntoIterator<Item = KeyFingerprint>) -> Vec<Value> {
        let keys: BTreeSet<KeyFingerprint> = keys.into_iter().collect();
        let used = keys
            .into_iter()
            .filter_map(|key| Some((key, self.history.key(key)?)));
        used.map(|(key, last)| one_key(key, last)).collect()
    }

    /// An access path, with the last use of its key for its account, and since when such a use
    /// would be on record.
    pub fn path(&self, path: &AccessPath) -> Value {
        let mut row = json!(path);
        let Some(key) = path.fingerprint else {
            return row;
        };
        let used = match path.mechanism {
            Mechanism::SshPublicKey => self.history.key_for(key, &path.account),
            Mechanism::SshCertificate => self.history.authority_for(key, &path.account),
            _ => return row,
        };
        row["last_used"] = used.map_or(Value::Null, login);
        row["known_since"] = self.keys_known_since();
        row
    }

    /// Everything: `rescind-agent inventory --logins`.
    pub fn everything(&self, now: UnixMillis) -> Value {
        let mut sources: Vec<Value> = Vec::new();
        for source in &self.history.sources {
            sources.push(json!({
                "source": source.name,
                "state": source.state.word(),
                "since": time(source.since),
                "files": source.files,
                "notes": source.notes,
            }));
        }
        let accounts = self
            .history
            .accounts()
            .map(|(name, last)| json!({ "account": name, "last_used": login(last) }));
        let keys = self.history.keys().map(|(key, last)| one_key(key, last));
        let authorities = self
            .history
            .authorities()
            .map(|(key, last)| one_key(key, last));
        json!({
            "taken_at": now.to_string(),
            "known_since": self.known_since(),
            "keys_known_since": self.keys_known_since(),
            "accounts": accounts.collect::<Value>(),
            "keys": keys.collect::<Value>(),
            "authorities": authorities.collect::<Value>(),
            "left_out": self.history.left_out(),
            "sources": sources,
            "not_logged": { "logins": self.quiet.logins, "keys": self.quiet.keys },
        })
    }
}

fn one_key(key: KeyFingerprint, last: &Login) -> Value {
    json!({ "fingerprint": key, "last_used": login(last) })
}

fn login(login: &Login) -> Value {
    let mut row = json!({
        "at": login.at.to_string(),
        "account": login.account,
        "from": login.from,
        "how": login.how.word(),
        "source": login.source.word(),
        "attested": login.source.is_attested(),
    });
    if let Some(key) = login.key {
        row["fingerprint"] = json!(key);
    }
    if let (How::Certificate, Some(authority)) = (login.how, login.authority) {
        row["authority"] = json!(authority);
    }
    row
}

fn time(at: Option<UnixMillis>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}
