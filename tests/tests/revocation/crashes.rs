//! SIGKILL at random moments of an order: of the root half, of the link, of the control plane.

use crate::stage::{PATIENCE, Stage};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rescind_tests::{Attempt, Key, Login, Release, Request, run, wait_for};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Orders, and with each a crash.
const ORDERS: usize = 50;
/// Accounts that have a session when they are revoked: every third.
const WITH_SESSION: usize = 3;
/// The last moment for a crash, counted from the typing of the order: most orders have ended by then.
const LAST_MOMENT: Duration = Duration::from_millis(150);

#[test]
fn the_root_half_is_killed() {
    crash("rescind-agent", |stage| {
        let pid = stage.host.main_process("rescind-agent");
        Box::new(move || kill_now(pid))
    });
}

#[test]
fn the_link_is_killed() {
    crash("rescind-link", |stage| {
        let pid = stage.host.main_process("rescind-link");
        Box::new(move || kill_now(pid))
    });
}

#[test]
fn the_control_plane_is_killed() {
    crash("rescind serve", |stage| Box::new(|| stage.control.kill()));
}

fn kill_now(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed());
    kill(pid, Signal::SIGKILL).expect("it runs");
    // Until it is gone it would be taken for the one that is started next.
    wait_for("the end of what was killed", PATIENCE, || {
        kill(pid, None).is_err().then_some(())
    });
}

/// Revokes many accounts, one after the other; each time what `victim` finds is killed.
fn crash(who: &str, victim: impl Fn(&Stage) -> Box<dyn FnOnce() + Send + '_>) {
    let stage = Stage::set(Release::Bookworm);
    let key = Key::ed25519("everybody");
    let names: Vec<String> = (0..ORDERS).map(|n| format!("user{n:02}")).collect();
    populate(&stage, &names, &key);
    let bobs = stage.belongings("bob");
    let before = account_lines(&stage);
    let mut moments = Moments::new();
    println!("{who}: seed {}", moments.seed);

    for (n, name) in names.iter().enumerate() {
        let crash = victim(&stage);
        let moment = moments.next();
        let asked = thread::scope(|scope| {
            let begin = Instant::now();
            scope.spawn(move || {
                thread::sleep(moment.saturating_sub(begin.elapsed()));
                crash();
            });
            revoke(&stage, name)
        });
        // Whatever moment it was: no file of accounts is torn.
        assert_eq!(
            account_lines(&stage),
            before,
            "after crash {n} at {moment:?}"
        );
        if stage.control.pid().is_none() {
            stage.control.restart();
        }
        // An operator who got no answer looks whether there is an order, and asks again if not.
        let order = asked
            .or_else(|| order_for(&stage, name))
            .unwrap_or_else(|| revoke(&stage, name).expect("an order"));
        wait_for(
            &format!("the end of order {order} for {name}, crash {n} at {moment:?}"),
            PATIENCE,
            || (state_of(&stage, &order) == "verified").then_some(()),
        );
    }

    for name in &names {
        assert_eq!(stage.not_closed(name), Vec::<serde_json::Value>::new());
    }
    for name in &names {
        let attempt = Login::to(&stage.host, name).with(&key).attempt();
        assert!(
            matches!(attempt, Attempt::Refused(_)),
            "{name}: {attempt:?}"
        );
    }
    assert_eq!(account_lines(&stage), before);
    assert_eq!(stage.belongings("bob"), bobs);
    assert!(stage.bob().attempt().is_in());

    // Each order ended once, and nothing is missing in the chain.
    let records = stage.evidence();
    assert!(records.iter().all(|record| record["event"] != "gap"));
    for name in &names {
        let order = order_for(&stage, name).expect("an order");
        for event in ["order_accepted", "concluded"] {
            let said = records
                .iter()
                .filter(|record| record["event"] == event && record["order"] == *order);
            assert_eq!(said.count(), 1, "{event} of {order} for {name}");
        }
    }
    let crashes = records
        .iter()
        .filter(|record| record["event"] == "started")
        .count();
    println!(
        "{who}: {ORDERS} orders, {} records, {crashes} starts",
        records.len()
    );
    stage.chain_is_whole();
}

/// Makes the accounts, some with a process of theirs, and an agent that may close so many and is
/// back at once.
fn populate(stage: &Stage, names: &[String], key: &Key) {
    let host = &stage.host;
    let mut script = String::from("set -e; mkdir -p /etc/systemd/system/rescind-agent.service.d\n");
    for unit in ["rescind-agent", "rescind-link"] {
        script += &format!(
            "mkdir -p /etc/systemd/system/{unit}.service.d\n\
             printf '[Service]\\nRestartSec=50ms\\n' >/etc/systemd/system/{unit}.service.d/fast.conf\n"
        );
    }
    script += "sed -i 's/^blast-radius-accounts.*/blast-radius-accounts = 1000/' /etc/rescind/agent.toml\n";
    for (n, name) in names.iter().enumerate() {
        script += &format!(
            "useradd --create-home --shell /bin/sh {name}\n\
             install -d -m 0700 -o {name} -g {name} /home/{name}/.ssh\n\
             echo '{}' >/home/{name}/.ssh/authorized_keys\n\
             chown {name}:{name} /home/{name}/.ssh/authorized_keys\n\
             chmod 0600 /home/{name}/.ssh/authorized_keys\n",
            key.line()
        );
        if n % WITH_SESSION == 0 {
            script +=
                &format!("setsid runuser -u {name} sleep 100000 >/dev/null 2>&1 </dev/null &\n");
        }
    }
    script += "systemctl daemon-reload; systemctl restart rescind-agent rescind-link\n";
    host.run(&script).ok();
    wait_for("the host to be back", PATIENCE, || {
        let hosts = stage.control.rescind(&["hosts", "--json"]).ok().json();
        (hosts[0]["connected"] == true).then_some(())
    });
}

/// Orders the revocation; the order's id, unless the control plane could not answer.
fn revoke(stage: &Stage, account: &str) -> Option<String> {
    let request = Request::default();
    let mut command = stage.control.command(&[
        "revoke",
        "account",
        account,
        "--host",
        &stage.id,
        "--asked-by",
        request.by,
        "--reason",
        request.reason,
        "--ticket",
        request.ticket,
        "--json",
    ]);
    let ran = run(&mut command);
    if !ran.succeeded() {
        return None;
    }
    ran.json()["orders"][0]["id"].as_str().map(str::to_owned)
}

/// The id of the order for an account, if the control plane has signed one.
fn order_for(stage: &Stage, account: &str) -> Option<String> {
    let all = ["order", "list", "--json", "--limit", "1000"];
    let orders = stage.control.rescind(&all).ok().json();
    let orders = orders.as_array()?;
    let found: Vec<_> = orders
        .iter()
        .filter(|order| order["action"]["account"] == account)
        .collect();
    assert!(found.len() <= 1, "{account} was revoked twice: {found:?}");
    found.first()?["id"].as_str().map(str::to_owned)
}

fn state_of(stage: &Stage, order: &str) -> String {
    let shown = stage.control.rescind(&["order", "show", order, "--json"]);
    let shown = shown.ok().json();
    shown["outcome"].as_str().unwrap_or_default().to_owned()
}

/// The names in the account files, in their order: a torn file lacks some.
fn account_lines(stage: &Stage) -> String {
    let read = "for f in passwd shadow group gshadow; do \
                cut -d: -f1 /etc/$f && test -z \"$(tail -c 1 /etc/$f)\" || exit 1; done; \
                pwck -qr && grpck -qr; getent passwd bob";
    stage.host.run(read).ok().text()
}

/// Random moments; the seed is printed, so that a failure can be looked at again.
struct Moments {
    seed: u64,
    state: u64,
}

impl Moments {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = now.map_or(1, |since| since.as_nanos() as u64) | 1;
        Self { seed, state: seed }
    }

    /// xorshift64 (Marsaglia 2003): no need for better.
    fn next(&mut self) -> Duration {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        LAST_MOMENT.mul_f64((self.state >> 11) as f64 / (1u64 << 53) as f64)
    }
}
