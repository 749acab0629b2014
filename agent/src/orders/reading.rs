//! One fresh reading of the host, for one plan or one verification.
//!
//! Nothing is kept from an earlier reading, so what a verification says was read after the last
//! change. Within one reading every file is read once, so that what is planned and what is judged
//! is the same state of it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use rescind_protocol::name::{AccountName, KeyFingerprint};
use rescind_protocol::path::{AccessPath, Mechanism};

use crate::deferred::unit_set::Unit;
use crate::home::{HomeChild, Look};
use crate::host::account::{Account, GroupRef, shell_refuses};
use crate::host::accounts::Accounts;
use crate::host::lock::{ACCOUNT_FILE_BYTES_MAX, AccountFile};
use crate::host::login_defs::LoginDefs;
use crate::host::not_read::NotRead;
use crate::host::root::{HostRoot, Keeping};
use crate::host::shadow::Shadow;
use crate::host::subuid::{SUBUID, Subuids};
use crate::logins::History;
use crate::orders::acting::{self, Acting, sudo_policy};
use crate::orders::becoming::left::{Left, Leftovers};
use crate::orders::host::{HostError, closing_in_passwd, closing_in_shadow};
use crate::orders::kept::KeptFields;
use crate::orders::key_files::{Purpose, Soon, UserFiles};
use crate::orders::plan::KeyFileSeen;
use crate::orders::sshds::{self, Releases};
use crate::paths::facts::{Client, Doors, Facts, Shell, Sshd, Turns};
use crate::paths::shared_uid::{self, Twin};
use crate::paths::{self, key_files::KeyFileRef};
use crate::processes::holdings::SudoBorn;
use crate::processes::{Ender, Holdings, Moment, Scope, Subject};
use crate::rights::sudo::SudoFacts;
use crate::sshd::authorized_keys::KeyFile;
use crate::store::{Clock, HostClock};
use crate::sys::fs::FileKind;
use crate::sys::zone;

/// Accounts of one uid that are looked at.
const TWINS_MAX: usize = 32;

/// What was read.
pub struct Reading<'h> {
    root: Rc<HostRoot>,
    /// Each of its directories is entered once.
    _directories: Keeping,
    /// Its processes; `None` where it is not booted.
    moment: Option<Moment<'h>>,
    /// passwd(5), shadow(5), group(5).
    pub accounts: Rc<Accounts>,
    /// The sshds of the host.
    pub sshds: Vec<Sshd>,
    people: LoginDefs,
    /// Read when they are asked for first.
    doors: OnceCell<Doors>,
    subuids: OnceCell<Result<Subuids, String>>,
    files: UserFiles<'h>,
    remembered: &'h mut Remembered,
    /// What the paths of login shells lead to.
    shells: BTreeMap<Vec<u8>, Shell>,
    /// Read when it is asked for first.
    acting: Option<Rc<Acting>>,
    with_key: BTreeMap<Wanted, Rc<WithKey>>,
    keys_expected: BTreeSet<KeyFingerprint>,
    keys_of: Option<BTreeSet<AccountName>>,
    /// When something said of the host is over.
    turns: Turns,
    /// What is known of logins, for those who ask; an order does not.
    logins: Option<Arc<History>>,
    /// Accounts that a directory was asked for.
    pub(super) served: RefCell<BTreeMap<AccountName, Option<Account>>>,
}

/// A key, and the one account or all whose files are looked through for it.
type Wanted = (KeyFingerprint, Option<AccountName>);

/// Where a key stands.
#[derive(Debug, Default)]
pub struct WithKey {
    /// The files.
    pub files: Vec<KeyFileSeen>,
    /// The accounts for which they are in force.
    pub holders: Vec<Account>,
    /// What could not be read: the key may stand there too.
    pub gaps: BTreeSet<String>,
}

/// Accounts whose key files are asked for in one message.
const ACCOUNTS_AT_ONCE: usize = 256;

/// What is remembered of large files that seldom change, while they stay the same.
#[derive(Debug, Default)]
pub struct Remembered {
    sshd: Releases,
    acting: acting::Memory,
    leftovers: Option<Leftovers>,
}

impl Remembered {
    /// Forgets what is of use for a moment only, and holds a child.
    pub fn tidy(&mut self) {
        self.leftovers = None;
    }
}

impl<'h> Reading<'h> {
    /// Reads what every order needs; key files are read when they are asked for.
    pub fn take(
        root: Rc<HostRoot>,
        homes: [&'h mut HomeChild; 2],
        remembered: &'h mut Remembered,
        ender: Option<&'h Ender>,
    ) -> Result<Self, HostError> {
        let [homes, ahead] = homes;
        let directories = root.keep_directories()?;
        let accounts = Rc::new(Accounts::load(&root)?);
        let moment = ender.map(Ender::moment).transpose()?;
        Ok(Self {
            sshds: sshds::find(&root, &mut remembered.sshd, moment.as_ref())?,
            people: LoginDefs::read(&root)?,
            doors: OnceCell::new(),
            subuids: OnceCell::new(),
            files: UserFiles::new(homes, ahead, Rc::clone(&root), Rc::clone(&accounts)),
            accounts,
            root,
            _directories: directories,
            moment,
            remembered,
            shells: BTreeMap::new(),
            acting: None,
            with_key: BTreeMap::new(),
            keys_expected: BTreeSet::new(),
            keys_of: None,
            turns: Turns::default(),
            logins: None,
            served: RefCell::default(),
        })
    }

    /// The host that was read.
    pub fn root(&self) -> &Rc<HostRoot> {
        &self.root
    }

    /// Has sessions told with the key that opened them.
    pub fn know_logins(&mut self, logins: Arc<History>) {
        self.logins = Some(logins);
    }

    /// What is known of logins, where somebody has looked.
    pub fn logins(&self) -> Option<&Arc<History>> {
        self.logins.as_ref()
    }

    /// The files of its users.
    pub fn files(&mut self) -> &mut UserFiles<'h> {
        &mut self.files
    }

    /// The policy of its sudo.
    pub fn sudo(&mut self, now: i64) -> Result<SudoFacts, HostError> {
        let known = &mut self.remembered.acting.sudo;
        Ok(sudo_policy::read(&self.root, known, None, now)?)
    }

    /// The files of all sshds' configurations.
    pub fn config_files(&self) -> impl Iterator<Item = PathBuf> {
        let configs = self
            .sshds
            .iter()
            .filter_map(|sshd| sshd.config.as_ref().ok());
        configs.flat_map(|config| config.files().map(Path::to_path_buf))
    }

    /// What locking and expiring an account would change.
    pub fn fields(&self, account: &Account) -> Result<Vec<KeptFields>, HostError> {
        let name = &account.name;
        let mut all = vec![closing_in_passwd(self.accounts.passwd(), name)];
        match self.accounts.shadow() {
            Ok(shadow) => all.push(closing_in_shadow(shadow, name)),
            // Without a shadow(5) the hash stands in passwd(5); what that leaves open, the
            // verification says.
            Err(error) if error.is_missing() => {}
            Err(_) => {
                let file = AccountFile::Shadow.path();
                let again = self.root.read(file, ACCOUNT_FILE_BYTES_MAX)?;
                all.push(closing_in_shadow(&Shadow::parse(again.bytes), name));
            }
        }
        all.retain(|fields| !fields.locks.is_empty() || !fields.expiry.is_empty());
        Ok(all)
    }

    /// Where the key files of an account are, and of which sshds that cannot be told.
    pub fn key_files_in_force(&self, account: &Account) -> (Vec<KeyFileRef>, Vec<String>) {
        let broken = self
            .sshds
            .iter()
            .filter_map(|sshd| sshd.config.as_ref().err());
        let gaps = broken.map(ToString::to_string).collect();
        (paths::key_files_in_force(account, &self.sshds), gaps)
    }

    /// Says for which keys [`Reading::with_key`] will be asked on the whole host, so that one pass
    /// does for all, and that only these accounts matter, if it is not all of them.
    pub fn expect_keys(
        &mut self,
        keys: BTreeSet<KeyFingerprint>,
        of: Option<BTreeSet<AccountName>>,
    ) {
        self.keys_expected = keys;
        self.keys_of = of;
    }

    /// The key files in force in which a key stands, for one account or for all.
    pub fn with_key(&mut self, key: KeyFingerprint, account: Option<&AccountName>) -> Rc<WithKey> {
        let wanted = (key, account.cloned());
        if let Some(found) = self.with_key.get(&wanted) {
            return Rc::clone(found);
        }
        let accounts = Rc::clone(&self.accounts);
        let by_name = |name: &AccountName| accounts.by_name(name);
        let mut keys = BTreeSet::from([key]);
        let some: Option<Vec<Account>> = match (account, &self.keys_of) {
            (Some(name), _) => Some(self.account(name).into_iter().collect()),
            (None, Some(names)) => Some(names.iter().filter_map(by_name).collect()),
            (None, None) => None,
        };
        if account.is_none() {
            keys.extend(&self.keys_expected);
        }
        let mut found: BTreeMap<KeyFingerprint, WithKey> = keys
            .into_iter()
            .map(|key| (key, WithKey::default()))
            .collect();
        let mut gaps = BTreeSet::new();
        match some {
            Some(accounts) => self.pass_over_keys(&accounts, &mut found, &mut gaps),
            None => {
                let mut all = accounts.iter().peekable();
                while all.peek().is_some() {
                    let some: Vec<Account> = all.by_ref().take(ACCOUNTS_AT_ONCE).collect();
                    self.pass_over_keys(&some, &mut found, &mut gaps);
                }
            }
        }
        for (key, mut with_key) in found {
            with_key.gaps = gaps.clone();
            let wanted = (key, account.cloned());
            self.with_key.insert(wanted, Rc::new(with_key));
        }
        self.with_key
            .get(&wanted)
            .map(Rc::clone)
            .unwrap_or_default()
    }

    fn pass_over_keys(
        &mut self,
        accounts: &[Account],
        found: &mut BTreeMap<KeyFingerprint, WithKey>,
        gaps: &mut BTreeSet<String>,
    ) {
        let mut refs: Vec<(&Account, KeyFileRef)> = Vec::new();
        for account in accounts {
            let (files, unknown) = self.key_files_in_force(account);
            gaps.extend(unknown);
            refs.extend(files.into_iter().map(|file| (account, file)));
        }
        let path = |file: &KeyFileRef| file.path.as_os_str().as_bytes().to_vec();
        let paths: Vec<Vec<u8>> = refs.iter().map(|(_, file)| path(file)).collect();
        let wanted: Vec<(&Account, &[u8])> = refs
            .iter()
            .zip(&paths)
            .map(|((account, _), path)| (*account, path.as_slice()))
            .collect();
        let mut kept = Vec::new();
        self.files.pass_over(&wanted, |nth, content| {
            let content = match content {
                Ok(content) => content,
                Err(error) => {
                    gaps.insert(error.to_string());
                    return;
                }
            };
            let file = KeyFile::parse(content.bytes.to_vec());
            gaps.extend(not_looked_at(&file, &paths[nth]));
            let (account, KeyFileRef { shared, .. }) = &refs[nth];
            let mut of_interest = false;
            let keys: BTreeSet<KeyFingerprint> = file.keys().map(|key| key.fingerprint).collect();
            for key in keys {
                let Some(with_key) = found.get_mut(&key) else {
                    continue;
                };
                of_interest = true;
                with_key.files.push(KeyFileSeen {
                    path: paths[nth].clone(),
                    account: account.name.clone(),
                    shared: *shared,
                    file: file.clone(),
                });
                if with_key.holders.last() != Some(*account) {
                    with_key.holders.push((*account).clone());
                }
            }
            if of_interest {
                kept.push((nth, content));
            }
        });
        for (nth, content) in kept {
            let (account, path) = wanted[nth];
            self.files.keep(account, path, content);
        }
    }

    /// The key files in force for an account, and what could not be read of them.
    pub fn key_files(&mut self, account: &Account) -> (Vec<KeyFileSeen>, Vec<String>) {
        let (files, mut gaps) = self.key_files_in_force(account);
        let paths: Vec<&[u8]> = files
            .iter()
            .map(|f| f.path.as_os_str().as_bytes())
            .collect();
        self.files.fetch(account, &paths);
        let mut seen = Vec::new();
        for file in files {
            let path = file.path.as_os_str().as_bytes();
            match self.files.content(account, path) {
                Ok(Some(content)) => {
                    let keys = KeyFile::parse(content.bytes.to_vec());
                    gaps.extend(not_looked_at(&keys, path));
                    seen.push(KeyFileSeen {
                        path: path.to_vec(),
                        account: account.name.clone(),
                        shared: file.shared,
                        file: keys,
                    });
                }
                Ok(None) => {}
                Err(error) => gaps.push(error.to_string()),
            }
        }
        (seen, gaps)
    }

    /// Every way in of an account: what the evaluator says, and what is open already.
    pub fn paths(&mut self, account: &Account) -> Vec<AccessPath> {
        let mut found = self.paths_at_rest(account);
        found.extend(self.open_now(account, SudoBorn::Skip));
        found
    }

    /// The same without what is open already: sessions and processes come and go.
    pub fn paths_at_rest(&mut self, account: &Account) -> Vec<AccessPath> {
        let acting = self.all_acting();
        let looks = self.looks(std::slice::from_ref(account), &acting);
        self.files.prepare(&looks);
        let mut found = self.ways_in(account, None);
        found.extend(self.acting(account));
        found
    }

    /// Calls `each` for every account, when what [`Reading::paths`] will ask for has been read: the
    /// files of many in few messages, those of the next while these are judged. They are not kept.
    pub fn pass_over(&mut self, accounts: &[Account], mut each: impl FnMut(&mut Self, &Account)) {
        let acting = self.all_acting();
        let mut parts = accounts.chunks(ACCOUNTS_AT_ONCE);
        let mut next = parts.next().unwrap_or_default();
        let mut looks = self.looks(next, &acting);
        while !next.is_empty() {
            let these = next;
            self.files.prepare_next(&looks);
            next = parts.next().unwrap_or_default();
            looks = self.looks(next, &acting);
            self.files.begin_next(&looks);
            for account in these {
                each(self, account);
            }
        }
    }

    /// How to look at what [`Reading::paths_at_rest`] will ask for.
    fn looks(&self, accounts: &[Account], acting: &Acting) -> Vec<Look> {
        let of_each = accounts.iter().flat_map(|account| {
            let (files, _) = self.key_files_in_force(account);
            let path = |file: KeyFileRef| file.path.into_os_string().into_vec();
            let files = files.into_iter().map(move |file| Soon::File(path(file)));
            let listed = acting.looked_at(account).into_iter();
            let listed = listed.map(|(path, most)| Soon::Names(path, most));
            files.chain(listed).map(move |soon| (account, soon))
        });
        self.files.looks(of_each)
    }

    /// Does not try the files of these uids: their file systems do not answer.
    pub fn avoid(&mut self, uids: &BTreeSet<u32>) {
        self.files.avoid(uids);
    }

    /// The uids whose files are not tried any more.
    pub fn hung(&self) -> BTreeSet<u32> {
        self.files.hung().clone()
    }

    /// What of users' files could not be read since the last call.
    pub fn take_not_read(&mut self) -> Vec<(Purpose, NotRead)> {
        self.files.take_not_read()
    }

    /// The first instant at which something that was said of paths is over, in seconds since 1970;
    /// the end of a day not counted.
    pub fn turns_at(&mut self) -> Option<i64> {
        let acting = self.all_acting();
        if let Ok(sudo) = acting.sudo() {
            for turn in sudo.turns(&self.accounts) {
                self.turns.note(turn, sudo.now);
            }
        }
        self.turns.first()
    }

    /// The processes of the host; `None` where it is not booted.
    pub fn moment(&self) -> Option<&Moment<'h>> {
        self.moment.as_ref()
    }

    /// The paths that closing the account is meant to close: all but the services of an account
    /// that is no person's. Those run on, as their processes do, see [`Reading::subject`].
    pub fn paths_to_close(&mut self, account: &Account) -> Vec<AccessPath> {
        let mut found = self.paths_at_rest(account);
        found.extend(self.open_now(account, SudoBorn::Seek));
        if account.uid < self.people.uid_min {
            found.retain(|path| path.mechanism != Mechanism::SystemdUnit);
        } else {
            found.extend(self.leavings(account));
        }
        if !self.has_processes(account) {
            // Somebody knocks at an sshd in its name; the doors are told for themselves.
            found.retain(|path| path.mechanism != Mechanism::Session);
        }
        found
    }

    /// Who acts as the account without logging in, and what it is by other means than its rules.
    fn acting(&mut self, account: &Account) -> Vec<AccessPath> {
        let acting = self.all_acting();
        let today = today();
        let (accounts, root) = (Rc::clone(&self.accounts), Rc::clone(&self.root));
        let mut found = acting.paths(account, &root, &accounts, &mut self.files, today);
        let mut twins = accounts.twins(account);
        twins.truncate(TWINS_MAX);
        let twins: Vec<Twin> = twins
            .into_iter()
            .map(|account| Twin {
                paths: self.ways_in(&account, None),
                account,
            })
            .collect();
        shared_uid::add(account, &twins, today, &mut found);
        found
    }

    /// Who acts as whom without logging in, and what rules let accounts do as others.
    pub fn all_acting(&mut self) -> Rc<Acting> {
        if let Some(acting) = &self.acting {
            return Rc::clone(acting);
        }
        let (root, accounts) = (&self.root, &self.accounts);
        let memory = &mut self.remembered.acting;
        let acting = Rc::new(Acting::read(root, memory, accounts, &mut self.files, now()));
        self.acting = Some(Rc::clone(&acting));
        acting
    }

    /// What the evaluator says, of one client or of every one there could be.
    pub fn ways_in(&mut self, account: &Account, client: Option<Client<'_>>) -> Vec<AccessPath> {
        self.with_facts(account, client, |facts, files| {
            paths::evaluate(account, facts, files)
        })
    }

    /// All units of the system that run something, and what could not be read.
    pub fn units(&mut self, now: i64) -> (Vec<Unit>, Vec<String>) {
        let cache = &mut self.remembered.acting.units;
        acting::units(&self.root, cache, &self.accounts, &mut self.files, now)
    }

    /// What an account leaves to others.
    pub fn left_by(&mut self, account: &Account) -> Result<Left, HostError> {
        let known = self.remembered.leftovers.take();
        let leftovers = Leftovers::of(self, known)?;
        let left = leftovers.left_by(account);
        self.remembered.leftovers = Some(leftovers);
        Ok(left)
    }

    /// Asks the evaluator something about an account.
    pub fn with_facts<T>(
        &mut self,
        account: &Account,
        client: Option<Client<'_>>,
        ask: impl FnOnce(&Facts<'_>, &mut UserFiles<'h>) -> T,
    ) -> T {
        let (connection, certificate) = match client {
            Some(client) => (Some(client.connection), client.certificate),
            None => (None, None),
        };
        let now = now();
        let shell = self.shell(account);
        let facts = Facts {
            sshds: &self.sshds,
            doors: self.doors.get_or_init(|| doors(&self.root, &self.accounts)),
            shell,
            now,
            // The zone of a host that is not booted is not this machine's.
            utc_offset: self.moment.as_ref().and_then(|_| zone::utc_offset(now)),
            turns: &self.turns,
            connection,
            certificate,
        };
        ask(&facts, &mut self.files)
    }

    /// What the path of its login shell leads to.
    pub fn shell(&mut self, account: &Account) -> Shell {
        let path: &[u8] = match account.shell.as_slice() {
            b"" => b"/bin/sh",
            path => path,
        };
        if let Some(shell) = self.shells.get(path) {
            return shell.clone();
        }
        let shell = shell(&self.root, path);
        self.shells.insert(path.to_vec(), shell.clone());
        shell
    }

    /// The account's sessions and processes, and where it is asked for those that its sudo began.
    pub fn open_now(&self, account: &Account, born: SudoBorn) -> Vec<AccessPath> {
        let Some((subject, mut holdings)) = self.holdings(account, born) else {
            return Vec::new();
        };
        if let Some(logins) = &self.logins {
            for session in &mut holdings.sessions {
                session.key = logins.key_of_session(&account.name, session);
            }
        }
        holdings.paths(&subject)
    }

    /// Whether anything runs as the account, beyond an sshd at which somebody knocks in its name.
    pub fn has_processes(&self, account: &Account) -> bool {
        let holdings = self.holdings(account, SudoBorn::Skip);
        holdings.is_some_and(|(_, holdings)| !holdings.processes.is_empty())
    }

    /// What runs as the account, when the host is booted and something does.
    pub fn alive(&mut self, account: &Account) -> Option<Subject> {
        let moment = self.moment.as_ref()?;
        if moment.has_nothing_of(&self.subject(account)) {
            return None;
        }
        // It may be a unit that is started again as soon as it is ended.
        let units = &mut self.remembered.acting.units;
        units.note_running(&self.root, now());
        let (subject, holdings) = self.holdings(account, SudoBorn::Skip)?;
        (!holdings.is_clean()).then_some(subject)
    }

    /// What belongs to an account now; `None` where the host is not booted.
    fn holdings(&self, account: &Account, born: SudoBorn) -> Option<(Subject, Holdings)> {
        let moment = self.moment.as_ref()?;
        let subject = self.subject(account);
        let mut holdings = moment.holdings(&subject, born);
        holdings.gaps.extend(self.subuids().as_ref().err().cloned());
        Some((subject, holdings))
    }

    /// The uids of rootless containers.
    fn subuids(&self) -> &Result<Subuids, String> {
        self.subuids.get_or_init(|| {
            match self.root.read(Path::new(SUBUID), ACCOUNT_FILE_BYTES_MAX) {
                Ok(file) => Ok(Subuids::parse(&file.bytes)),
                Err(error) if error.is_missing() => Ok(Subuids::default()),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    /// Whose processes an order about this account means. A uid that several accounts share, or
    /// that belongs to the system, is never taken whole: services run as it.
    pub fn subject(&self, account: &Account) -> Subject {
        let mut shared = self.accounts.is_shared(account.uid);
        if account.passwd_line == 0 {
            // A directory's account with the uid of one of ours.
            shared |= !self.accounts.by_uid(account.uid).is_empty();
        }
        Subject {
            name: account.name.clone(),
            uid: account.uid,
            gid: account.gid,
            subuids: match self.subuids() {
                Ok(subuids) => subuids.of(&account.name, account.uid),
                // What that hides is told as a gap.
                Err(_) => Vec::new(),
            },
            scope: if shared || account.uid < self.people.uid_min {
                Scope::SessionsOnly
            } else {
                Scope::WholeUid
            },
            only: None,
        }
    }
}

fn doors(root: &HostRoot, accounts: &Accounts) -> Doors {
    let pam = acting::HostPam::new(root);
    let service = |name: &str| pam.has(name).then(|| pam.service(name.as_bytes()));
    let groups = accounts.group().map(|group| {
        let with_members = group.entries().filter(|entry| entry.members().count() > 0);
        with_members
            .map(|entry| GroupRef {
                name: entry.name.to_vec(),
                gid: entry.gid,
            })
            .collect()
    });
    Doors {
        login: service("login"),
        su: service("su"),
        // Where it could not be read, that is a gap of every account.
        groups: groups.unwrap_or_default(),
    }
}

/// That not every key of a file was looked at, where that is so.
fn not_looked_at(file: &KeyFile, path: &[u8]) -> Option<String> {
    let more = file.left_out().foreign;
    let path = path.escape_ascii();
    (more > 0).then(|| format!("{path}: {more} keys of unknown types more than are looked at"))
}

/// Days since 1970-01-01.
pub fn today() -> i64 {
    now().div_euclid(86_400)
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn now() -> i64 {
    i64::try_from(HostClock.wall().0 / 1000).unwrap_or(i64::MAX)
}

fn shell(root: &HostRoot, path: &[u8]) -> Shell {
    match root.stat(Path::new(std::ffi::OsStr::from_bytes(path))) {
        Ok(found) if found.stat.kind != FileKind::Regular || found.stat.mode & 0o111 == 0 => {
            Shell::NotExecutable
        }
        Ok(_) if shell_refuses(path) => Shell::Refuses,
        Ok(_) => Shell::Runs,
        Err(error) if error.is_missing() => Shell::Missing,
        Err(error) => Shell::Unknown(error.to_string()),
    }
}
