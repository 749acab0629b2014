//! What the sources have told so far.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use rescind_protocol::name::{AccountName, KeyFingerprint, UnixMillis};

use super::login::{How, Login, Source};
use crate::processes::Session;
use crate::sys::clock;
use crate::sys::process::ProcessId;

/// Accounts, and keys, of which something is remembered; those beyond are counted.
const REMEMBERED_MAX: usize = 65_536;
/// Records about one login that different sources keep lie at most so far apart, in milliseconds.
const SAME_LOGIN_MS: u64 = 120_000;
/// How exactly a process's start and a line's time can be compared, in microseconds.
const CLOCK_SLACK_US: u64 = 1_000_000;
/// How long after it let somebody in an sshd opens the session at most, in microseconds; later it is
/// not known to be the same.
const OPENS_WITHIN_US: u64 = 60_000_000;

/// Logins, joined by account, by key and by the process that let them in.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// For each account the newest of each source.
    accounts: BTreeMap<AccountName, Vec<Login>>,
    /// For each key, by account, the newest.
    keys: BTreeMap<KeyFingerprint, BTreeMap<AccountName, Login>>,
    /// The same for the keys of CAs.
    authorities: BTreeMap<KeyFingerprint, BTreeMap<AccountName, Login>>,
    /// The sshds of this boot that let somebody in.
    opened: HashMap<ProcessId, Opened>,
    left_out: u64,
    /// Since when accepted logins over ssh are on record without a gap; `None` where that cannot
    /// be said.
    pub known_since: Option<UnixMillis>,
    /// What was read, and what was not.
    pub sources: Vec<SourceSeen>,
}

/// Who let somebody in, in the boot that is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// As whom.
    pub account: AccountName,
    /// By which proof.
    pub how: How,
    /// With which key, where it was one and the line says which.
    pub key: Option<KeyFingerprint>,
    /// From where.
    pub from: Option<Box<str>>,
    /// When, in microseconds on CLOCK_MONOTONIC.
    pub monotonic_us: u64,
}

/// One source, for those who ask how complete the answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSeen {
    /// Its name: that of [`Source`], or of one that is not read at all.
    pub name: &'static str,
    /// What became of it.
    pub state: SourceState,
    /// Since when it was read without a gap.
    pub since: Option<UnixMillis>,
    /// Its files.
    pub files: Vec<String>,
    /// What is to be known of it: what could not be read, what it does not say.
    pub notes: Vec<String>,
}

/// What became of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// All of it was read.
    Read,
    /// Some of it was read; the notes say what not.
    Partly,
    /// It is there and was not read.
    NotRead,
    /// The host does not have it.
    Absent,
}

impl SourceState {
    /// The word for it; stable.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Partly => "partly",
            Self::NotRead => "not_read",
            Self::Absent => "absent",
        }
    }
}

impl History {
    /// Adds a login.
    pub fn add(&mut self, login: Login) {
        if let (Some(key), How::PublicKey | How::Certificate) = (login.key, login.how) {
            let keys = match (login.how, login.authority) {
                (How::Certificate, Some(authority)) => {
                    // The key itself is in no file: what let it in is the CA's.
                    add_use(&mut self.authorities, authority, &login, &mut self.left_out);
                    None
                }
                (How::Certificate, None) => None,
                _ => Some(&mut self.keys),
            };
            if let Some(keys) = keys {
                add_use(keys, key, &login, &mut self.left_out);
            }
        }
        let room = self.accounts.len() < REMEMBERED_MAX;
        let logins = match self.accounts.entry(login.account.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(Vec::new()),
            Entry::Vacant(_) => {
                self.left_out += 1;
                return;
            }
        };
        match logins.iter_mut().find(|known| known.source == login.source) {
            Some(known) if known.at >= login.at => {}
            Some(known) => *known = login,
            None => logins.push(login),
        }
    }

    /// Notes which process of this boot let somebody in.
    pub fn add_opened(&mut self, pid: ProcessId, opened: Opened) {
        let room = self.opened.len() < REMEMBERED_MAX;
        match self.opened.get_mut(&pid) {
            // A pid is used again: the newest it is.
            Some(known) if known.monotonic_us >= opened.monotonic_us => {}
            Some(known) => *known = opened,
            None if room => {
                self.opened.insert(pid, opened);
            }
            None => self.left_out += 1,
        }
    }

    /// Forgets which processes let somebody in: they are of another boot.
    pub fn forget_opened(&mut self) {
        self.opened.clear();
    }

    /// The last login of an account. Several sources can have it: of what is about the same time,
    /// the one that says most and is forged least.
    pub fn last(&self, account: &AccountName) -> Option<&Login> {
        let logins = self.accounts.get(account)?;
        let newest = logins.iter().map(|login| login.at).max()?;
        let same = logins
            .iter()
            .filter(|login| login.at.plus_ms(SAME_LOGIN_MS) >= newest);
        same.min_by_key(|login| login.source)
    }

    /// Whether the account may have logged in since: it has, or not all logins are on record.
    pub fn may_have_logged_in(&self, account: &AccountName, since: UnixMillis) -> bool {
        let all_known = self.known_since.is_some_and(|known| known <= since);
        !all_known || self.last(account).is_some_and(|login| login.at >= since)
    }

    /// The last use of a key for an account.
    pub fn key_for(&self, key: KeyFingerprint, account: &AccountName) -> Option<&Login> {
        self.keys.get(&key)?.get(account)
    }

    /// The last use of a key for anybody.
    pub fn key(&self, key: KeyFingerprint) -> Option<&Login> {
        newest(self.keys.get(&key)?)
    }

    /// The last certificate of a CA that was accepted for an account.
    pub fn authority_for(&self, key: KeyFingerprint, account: &AccountName) -> Option<&Login> {
        self.authorities.get(&key)?.get(account)
    }

    /// The last certificate of a CA that was accepted for anybody.
    pub fn authority(&self, key: KeyFingerprint) -> Option<&Login> {
        newest(self.authorities.get(&key)?)
    }

    /// Every account of which a login is known.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountName, &Login)> {
        let names = self.accounts.keys();
        names.filter_map(|name| Some((name, self.last(name)?)))
    }

    /// Every key of which a use is known, each with the last one.
    pub fn keys(&self) -> impl Iterator<Item = (KeyFingerprint, &Login)> {
        self.keys
            .iter()
            .filter_map(|(key, uses)| Some((*key, newest(uses)?)))
    }

    /// The same of CAs.
    pub fn authorities(&self) -> impl Iterator<Item = (KeyFingerprint, &Login)> {
        let all = self.authorities.iter();
        all.filter_map(|(key, uses)| Some((*key, newest(uses)?)))
    }

    /// Accounts and keys that were too many to be remembered.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The key that opened a session of an account, where that can be known.
    pub fn key_of_session(
        &self,
        account: &AccountName,
        session: &Session,
    ) -> Option<KeyFingerprint> {
        self.opening_of_session(account, session)?.key
    }

    /// By what a session's sshd let an account in, be it that it serves it still or that it has
    /// ended; `None` where that is not on record.
    pub fn opening_of_session(&self, account: &AccountName, session: &Session) -> Option<&Opened> {
        let from = session.remote_host.as_deref();
        if let Some(start) = session.leader_start {
            return self.opened_by(&Opener {
                pid: session.leader,
                started_us: clock::ticks_us(start),
                slept_us: clock::slept_us(),
                account,
                from,
            });
        }
        self.opened_before(account, session.leader, session.began_us?, from)
    }

    /// By what a process that has ended let an account in for a session that began then, in
    /// microseconds on CLOCK_MONOTONIC. Another process can have had its pid before and after.
    fn opened_before(
        &self,
        account: &AccountName,
        pid: ProcessId,
        began_us: u64,
        from: Option<&str>,
    ) -> Option<&Opened> {
        let opened = self.opened.get(&pid)?;
        let in_time = opened.monotonic_us <= began_us.saturating_add(CLOCK_SLACK_US)
            && began_us <= opened.monotonic_us.saturating_add(OPENS_WITHIN_US);
        (in_time && opened.is_for(account, from)).then_some(opened)
    }

    /// By what an sshd let an account in; `None` where that is not on record. `start_time` is in
    /// clock ticks since boot.
    pub fn opening(
        &self,
        account: &AccountName,
        pid: ProcessId,
        start_time: u64,
    ) -> Option<&Opened> {
        self.opened_by(&Opener {
            pid,
            started_us: clock::ticks_us(start_time),
            slept_us: clock::slept_us(),
            account,
            from: None,
        })
    }

    /// By what the process that serves a session let it in.
    ///
    /// A pid is used again. It is the same process only if the line is younger than it, and the
    /// account and, where both are known, the address are the same.
    pub fn opened_by(&self, asked: &Opener<'_>) -> Option<&Opened> {
        let opened = self.opened.get(&asked.pid)?;
        let on_boottime = opened.monotonic_us + asked.slept_us;
        let younger = on_boottime + CLOCK_SLACK_US >= asked.started_us;
        (younger && opened.is_for(asked.account, asked.from)).then_some(opened)
    }
}

impl Opened {
    /// Whether the account and, where both are known, the address are the same.
    fn is_for(&self, account: &AccountName, from: Option<&str>) -> bool {
        let same_address = match (&self.from, from) {
            (Some(known), Some(asked)) => **known == *asked,
            _ => true,
        };
        same_address && self.account == *account
    }
}

/// The process that serves a session.
#[derive(Debug, Clone, Copy)]
pub struct Opener<'a> {
    /// Its pid.
    pub pid: ProcessId,
    /// When it was started, in microseconds on CLOCK_BOOTTIME.
    pub started_us: u64,
    /// How long the host has slept in this boot: CLOCK_BOOTTIME less CLOCK_MONOTONIC.
    pub slept_us: u64,
    /// Whom it serves.
    pub account: &'a AccountName,
    /// Where the session is said to come from.
    pub from: Option<&'a str>,
}

type Uses = BTreeMap<KeyFingerprint, BTreeMap<AccountName, Login>>;

fn add_use(keys: &mut Uses, key: KeyFingerprint, login: &Login, left_out: &mut u64) {
    let room = keys.len() < REMEMBERED_MAX;
    let uses = match keys.entry(key) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) if room => new.insert(BTreeMap::new()),
        Entry::Vacant(_) => {
            *left_out += 1;
            return;
        }
    };
    let room = uses.len() < REMEMBERED_MAX;
    match uses.get_mut(&login.account) {
        Some(known) if known.at >= login.at => {}
        Some(known) => *known = login.clone(),
        None if room => {
            uses.insert(login.account.clone(), login.clone());
        }
        None => *left_out += 1,
    }
}

fn newest(uses: &BTreeMap<AccountName, Login>) -> Option<&Login> {
    uses.values().max_by_key(|login| login.at)
}

impl Login {
    /// Whether a source may speak of that time: users can write into text logs, so they count only
    /// before the journal begins.
    pub fn is_believed(&self, journal_since: Option<UnixMillis>) -> bool {
        self.source != Source::AuthLog || journal_since.is_none_or(|since| self.at < since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> KeyFingerprint {
        KeyFingerprint::from_bytes([n; 32])
    }

    fn login(at: u64, account: &str, how: How, source: Source) -> Login {
        Login {
            at: UnixMillis(at),
            account: account.parse().unwrap(),
            from: Some("192.0.2.1".into()),
            how,
            key: None,
            authority: None,
            source,
        }
    }

    fn with_key(mut login: Login, n: u8) -> Login {
        login.key = Some(key(n));
        login
    }

    #[test]
    fn of_the_same_login_the_best_record_is_told() {
        let mut history = History::default();
        history.add(login(1_000_000, "alice", How::Session, Source::Wtmp));
        history.add(with_key(
            login(999_000, "alice", How::PublicKey, Source::Journal),
            1,
        ));
        history.add(login(1_000_500, "alice", How::Session, Source::Lastlog));
        let alice: AccountName = "alice".parse().unwrap();
        assert_eq!(history.last(&alice).unwrap().source, Source::Journal);
        // A later one at the console is another.
        history.add(login(2_000_000, "alice", How::Session, Source::Wtmp));
        assert_eq!(history.last(&alice).unwrap().at, UnixMillis(2_000_000));
        // What is read later may be older.
        history.add(login(500, "alice", How::Session, Source::Wtmp));
        assert_eq!(history.last(&alice).unwrap().at, UnixMillis(2_000_000));
        assert_eq!(history.last(&"bob".parse().unwrap()), None);
    }

    #[test]
    fn a_key_is_used_for_somebody() {
        let mut history = History::default();
        history.add(with_key(
            login(10, "alice", How::PublicKey, Source::Journal),
            1,
        ));
        history.add(with_key(
            login(30, "bob", How::PublicKey, Source::Journal),
            1,
        ));
        history.add(with_key(
            login(20, "alice", How::PublicKey, Source::Journal),
            1,
        ));
        let alice: AccountName = "alice".parse().unwrap();
        assert_eq!(history.key_for(key(1), &alice).unwrap().at, UnixMillis(20));
        assert_eq!(history.key(key(1)).unwrap().account.as_str(), "bob");
        assert_eq!(history.key(key(2)), None);
        assert_eq!(history.keys().count(), 1);
    }

    #[test]
    fn a_certificate_is_a_use_of_its_ca() {
        let mut history = History::default();
        let mut cert = with_key(login(10, "alice", How::Certificate, Source::Journal), 1);
        cert.authority = Some(key(9));
        history.add(cert);
        let alice: AccountName = "alice".parse().unwrap();
        assert_eq!(
            history.key(key(1)),
            None,
            "no line of a key file has let it in"
        );
        assert_eq!(history.authority(key(9)).unwrap().at, UnixMillis(10));
        assert_eq!(
            history.authority_for(key(9), &alice).unwrap().key,
            Some(key(1))
        );
        assert_eq!(history.last(&alice).unwrap().how, How::Certificate);
    }

    fn key_of(history: &History, asked: &Opener<'_>) -> Option<KeyFingerprint> {
        history.opened_by(asked)?.key
    }

    #[test]
    fn a_pid_that_is_used_again_is_not_taken_for_the_same() {
        let mut history = History::default();
        let alice: AccountName = "alice".parse().unwrap();
        let opened = |monotonic_us, n| Opened {
            account: alice.clone(),
            how: How::PublicKey,
            key: Some(key(n)),
            from: Some("192.0.2.1".into()),
            monotonic_us,
        };
        history.add_opened(7, opened(100_000_000, 1));
        let asked = Opener {
            pid: 7,
            started_us: 99_500_000,
            slept_us: 0,
            account: &alice,
            from: Some("192.0.2.1"),
        };
        assert_eq!(key_of(&history, &asked), Some(key(1)));
        let later = Opener {
            started_us: 102_000_000,
            ..asked
        };
        assert_eq!(key_of(&history, &later), None, "started after the line");
        // A host that slept: the line's clock stood still meanwhile.
        let slept = Opener {
            started_us: 599_500_000,
            slept_us: 500_000_000,
            ..asked
        };
        assert_eq!(key_of(&history, &slept), Some(key(1)));
        let bob = "bob".parse().unwrap();
        assert_eq!(
            key_of(
                &history,
                &Opener {
                    account: &bob,
                    ..asked
                }
            ),
            None
        );
        assert_eq!(
            key_of(
                &history,
                &Opener {
                    from: Some("192.0.2.2"),
                    ..asked
                }
            ),
            None
        );
        assert_eq!(
            key_of(
                &history,
                &Opener {
                    from: None,
                    ..asked
                }
            ),
            Some(key(1))
        );
        assert_eq!(key_of(&history, &Opener { pid: 8, ..asked }), None);

        // The process has ended, what it began has not.
        let gone = |began_us| {
            let from = Some("192.0.2.1");
            history.opened_before(&alice, 7, began_us, from).is_some()
        };
        assert!(gone(100_300_000));
        assert!(!gone(98_000_000), "the line is of a later process");
        assert!(!gone(200_000_000), "the line is of an earlier process");
        // Lines come in any order.
        history.add_opened(7, opened(200_000_000, 2));
        history.add_opened(7, opened(100_000_000, 1));
        assert_eq!(key_of(&history, &later), Some(key(2)));
    }

    #[test]
    fn a_text_log_is_believed_only_before_the_journal() {
        let text = login(10, "alice", How::Password, Source::AuthLog);
        assert!(text.is_believed(None));
        assert!(text.is_believed(Some(UnixMillis(11))));
        assert!(!text.is_believed(Some(UnixMillis(10))));
        assert!(
            login(10, "alice", How::Password, Source::Journal).is_believed(Some(UnixMillis(10)))
        );
    }
}
