//! A host with all routes on it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rescind_tests::{Account, ControlPlane, Host, Key, Order, Package, Ran, Request, deb};
use serde_json::Value;

use super::route::{Cell, Fate, Named, On, Route};
use super::tries::Live;

const PATIENCE: Duration = Duration::from_secs(60);
/// The password of all who have one.
pub const PASSWORD: &str = "open-sesame";
/// The first of the routes' uids.
const UID: u32 = 3001;

const WORDS: &str = include_str!("words.sh");
const COMMON: &str = include_str!("common.sh");
const TERMINAL: &str = include_str!("terminal.pl");

pub struct Stage<'c> {
    pub on: On,
    pub host: Host,
    control: &'c ControlPlane,
    id: String,
    /// The key of all accounts, and that of the CA.
    pub key: Key,
    pub authority: Key,
    /// What was opened and stays.
    pub live: Mutex<BTreeMap<&'static str, Live>>,
    accounts: Vec<&'static str>,
}

impl<'c> Stage<'c> {
    /// Boots the host, with an account for each route and nothing else yet.
    pub fn set<'r>(
        on: On,
        control: &'c ControlPlane,
        routes: impl Iterator<Item = &'r Route>,
    ) -> Self {
        let pam = if on.pam { "pam" } else { "no-pam" };
        let host = Host::of(on.release)
            .named(&format!("{}-{pam}", on.release))
            .boot();
        host.install_doas_and_polkit();
        host.install_dropbear_and_uidmap();
        host.install_deb(&deb(Package::Agent)).ok();
        host.run(
            "sed -i 's/^blast-radius-accounts.*/blast-radius-accounts = 1000/' /etc/rescind/agent.toml",
        )
        .ok();
        let last_way = Key::ed25519("root@safe");
        Account::existing(&host, "root").authorize(&last_way);
        Account::create(&host, "bob").password(PASSWORD);
        let hash = host.run("grep ^bob: /etc/shadow | cut -d: -f2").ok().text();
        let mut script = String::from("set -e\n");
        let mut accounts = Vec::new();
        for (uid, route) in (UID..).zip(routes) {
            let (name, shell) = (route.account, route.shell);
            let field = route.field.replace("{hash}", &hash);
            accounts.push(name);
            script.push_str(&format!(
                "echo '{name}:x:{uid}:{uid}::/home/{name}:{shell}' >>/etc/passwd\n\
                 echo '{name}:{field}:19000:0:99999:7:::' >>/etc/shadow\n\
                 echo '{name}:x:{uid}:' >>/etc/group\necho '{name}:!::' >>/etc/gshadow\n\
                 install -d -m 755 -o {uid} -g {uid} /home/{name}\n"
            ));
        }
        host.run(&script).ok();
        let stage = Self {
            on,
            id: control.enrol(&host),
            key: Key::ed25519("leaver@laptop"),
            authority: Key::ed25519("ca"),
            host,
            control,
            live: Mutex::default(),
            accounts,
        };
        stage
            .host
            .write_file("/usr/bin/at-terminal", TERMINAL.as_bytes(), "0644");
        stage.script(COMMON);
        stage
    }

    /// Runs a script of root's with the words of `words.sh`.
    #[track_caller]
    pub fn script(&self, script: &str) {
        self.try_script(&format!("set -e\n{script}")).ok();
    }

    /// The same for one that may fail.
    #[track_caller]
    pub fn try_script(&self, script: &str) -> Ran {
        // Its input is the script's own: what reads from it must not eat the rest.
        let mut ran = self.host.run_with(
            "cat >/run/script.$$ && bash /run/script.$$ </dev/null; code=$?; rm /run/script.$$; exit $code",
            self.whole(script).as_bytes(),
        );
        ran.what = script.to_owned();
        ran
    }

    fn whole(&self, script: &str) -> String {
        let word = |yes: bool| if yes { "yes" } else { "no" };
        format!(
            "key='{}' line=$key\nca='{}'\npam={}\nother_pam={}\nunits=\n\
             hash=$(grep ^bob: /etc/shadow | cut -d: -f2)\n{WORDS}\n{script}",
            self.key.line(),
            self.authority.line(),
            word(self.on.pam),
            word(!self.on.pam),
        )
    }

    /// Sets up, tries, disables, tries again, releases.
    pub fn try_all(&mut self, routes: &[Route]) -> Vec<Cell> {
        self.plant(routes);
        let before = self.attempts(routes);
        let files = self.files();
        let orders: Vec<Order<'_>> = routes
            .iter()
            .map(|route| {
                self.control
                    .revoke_account(&self.id, route.account, Request::default())
            })
            .collect();
        for order in &orders {
            order.concluded(PATIENCE);
        }
        let after = self.attempts(routes);
        let cells: Vec<Cell> = routes
            .iter()
            .zip(before.into_iter().zip(after))
            .zip(&orders)
            .map(|((route, (before, after)), order)| Cell {
                account: route.account,
                what: route.what,
                fate: fate(route, before, after, &order.show()),
            })
            .collect();
        self.live.lock().unwrap().clear();
        let releases: Vec<Order<'_>> = orders
            .iter()
            .map(|order| self.control.release(order.id(), Request::default()))
            .collect();
        for release in &releases {
            assert_eq!(
                release.concluded(PATIENCE),
                "verified",
                "{}",
                release.show()
            );
        }
        let now = self.files();
        let changed: Vec<String> = files
            .lines()
            .filter(|line| !now.contains(*line))
            .map(|line| format!("- {line}"))
            .chain(
                now.lines()
                    .filter(|line| !files.contains(*line))
                    .map(|line| format!("+ {line}")),
            )
            .collect();
        assert!(
            changed.is_empty(),
            "{}: after the release:\n{}",
            self.on,
            changed.join("\n")
        );
        cells
    }

    fn plant(&self, routes: &[Route]) {
        let mut script = String::new();
        for route in routes {
            let (name, plant) = (route.account, route.plant);
            script.push_str(&format!("u={name} home=/home/{name} key=$line\n{plant}\n"));
        }
        script.push_str(
            "systemctl daemon-reload; sshd -t; systemctl restart ssh dropbear-here\n\
             until listens 22 && listens 2300; do sleep 0.1; done\n\
             for unit in $units; do systemctl start $unit; done\n",
        );
        self.script(&script);
        self.begin(routes);
    }

    /// Bytes and metadata of what a revocation may change; times, too, of what is in the homes.
    fn files(&self) -> String {
        let homes: Vec<String> = self
            .accounts
            .iter()
            .map(|name| format!("/home/{name}"))
            .collect();
        let homes = homes.join(" ");
        let listed = format!(
            "cd /etc; for file in passwd shadow group gshadow; do stat -c '%a %U:%G %n' $file; sha256sum $file; done
             what='-not -name .bash_history -not -name *.sock'
             find {homes} /srv /etc/ssh /etc/sudoers.d /etc/cron.d /var/lib/systemd/linger $what \\( -not -type d -printf '%p %y %m %U:%G %n %s\\n' -o -printf '%p %y %m %U:%G\\n' \\) | sort
             find {homes} /srv /etc/ssh /var/spool/cron/crontabs $what -type f -exec sha256sum {{}} + | sort"
        );
        self.host.run(&listed).ok().text()
    }

    /// Services of PAM that let everybody pass, whose account is expired or not.
    pub fn make_pam_careless(&self) {
        self.script(
            "for service in sshd su cron atd sudo login systemd-user doas; do
                [ -e /etc/pam.d/$service ] || cp /usr/lib/pam.d/$service /etc/pam.d/
                sed -i '1i account sufficient pam_permit.so' /etc/pam.d/$service
             done
             sed -i '1i auth sufficient pam_wheel.so trust group=b30-crew' /etc/pam.d/su",
        );
    }
}

/// What became of a route, from two attempts and the outcome between them.
fn fate(
    route: &Route,
    before: Result<(), String>,
    after: Result<(), String>,
    shown: &Value,
) -> Fate {
    match (before, route.absent) {
        (Err(_), Some(why)) => return Fate::Absent(why),
        (Ok(()), Some(why)) => {
            return Fate::Amiss(format!("it works before, though it should not: {why}"));
        }
        (Err(said), None) => {
            return Fate::Amiss(format!("it does not work even before: {said}"));
        }
        (Ok(()), None) => {}
    }
    let named = naming(route, shown);
    match (after, named) {
        (Err(_), None) => Fate::Closed,
        (Err(_), Some(how)) => Fate::ClosedThoughNamed(how),
        (Ok(()), Some(how)) => Fate::NamedOpen(how),
        (Ok(()), None) => Fate::SilentOpen(format!(
            "{} {}",
            shown["outcome"],
            serde_json::to_string_pretty(&not_closed(shown)).unwrap_or_default()
        )),
    }
}

fn not_closed(shown: &Value) -> Vec<Value> {
    let paths = shown["result"]["paths"].as_array().cloned();
    let mut paths = paths.unwrap_or_default();
    paths.retain(|path| path["state"] != "closed");
    paths
}

/// By which mechanism an outcome says that the route is open, or unknown.
fn naming(route: &Route, shown: &Value) -> Option<String> {
    if !matches!(shown["outcome"].as_str(), Some("partial" | "unverified")) {
        return None;
    }
    let fits = |path: &Value, (mechanism, file): &Named| {
        let source = path["source"]["file"].as_str().unwrap_or_default();
        path["account"] == route.account
            && path["mechanism"] == *mechanism
            && source.ends_with(file)
    };
    let paths = not_closed(shown);
    let path = paths
        .iter()
        .find(|path| route.named.iter().any(|named| fits(path, named)))?;
    let mechanism = path["mechanism"].as_str()?.replace('_', " ");
    Some(match path["state"].as_str() {
        Some("unknown") => format!("{mechanism} (unknown)"),
        _ => mechanism,
    })
}
