//! `make bench`: what a revocation costs, in milliseconds, megabytes and wakeups, beside the least
//! it could cost.
//!
//! One JSON object on standard output, progress on standard error. An argument, if given, is the
//! number of orders of each kind instead of 200: for a quick look; or `survey`, for the survey alone.

mod agents;
mod aims;
mod figures;
mod floor;
mod footprint;
mod machine;
mod orders;
mod people;
mod shell;
mod survey;

use figures::Figures;
use floor::Floor;
use people::People;
use rescind_tests::{ControlPlane, Host, Key, Package, Release, Storage, deb};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Accounts of the hosts that are measured.
const SIZES: [usize; 2] = [100, 10_000];
/// Orders of each kind, unless said otherwise.
const ORDERS: usize = 200;
/// How often a key is revoked on a whole host, and how often by hand over ssh.
const FEWER: usize = 50;
/// How long the idle host is watched.
const IDLE: Duration = Duration::from_secs(60);

fn main() {
    let begin = Instant::now();
    let mut report = match std::env::args().nth(1).as_deref() {
        None => measure(ORDERS),
        Some("survey") => json!({ "survey": survey::measure() }),
        Some(text) => match text.parse() {
            Ok(orders) => measure(orders),
            Err(_) => panic!("{text} is not a number of orders"),
        },
    };
    report["seconds"] = json!(begin.elapsed().as_secs());
    println!("{report:#}");
}

fn measure(orders: usize) -> Value {
    let login = Key::ed25519("bench");
    let control = ControlPlane::start();
    let mut benches = SIZES.map(|size| Bench::set(size, &login, &control, orders));
    for bench in &mut benches {
        bench.give_orders(&control, &login, orders);
    }
    say(&format!("nothing, for {} s", IDLE.as_secs()));
    let hosts: Vec<&Host> = benches.iter().map(|bench| &bench.host).collect();
    let idle = footprint::idle(&hosts, IDLE);
    let root = benches[0].host.root().to_owned();
    let mut report = json!({ "machine": machine::facts(&root) });
    for (bench, idle) in benches.into_iter().zip(idle) {
        let name = format!("accounts_{}", bench.people.count());
        report[name] = bench.into_report(idle);
    }
    drop(control);
    report["survey"] = survey::measure();
    say("many idle agents at one control plane");
    report["control_plane"] = agents::cost();
    report["aims"] = aims::judge(&report);
    report
}

/// A host that is measured, and what was found so far.
struct Bench {
    host: Host,
    people: People,
    floor: Floor,
    report: Value,
}

impl Bench {
    /// Boots a host with so many accounts, measures what needs no agent, and installs one.
    fn set(size: usize, login: &Key, control: &ControlPlane, orders: usize) -> Self {
        say(&format!("a host with {size} accounts"));
        let host = Host::of(Release::Bookworm)
            .storage(Storage::Copy)
            .named(&format!("bench-{size}"))
            .boot();
        let people = People::settle(&host, size, login);
        let floor = Floor::of(&host, &people, orders);
        let mut report = json!({});
        let (afresh, over_master) = shell::usermod(&host, &people, login, orders.min(FEWER));
        report["usermod_over_new_ssh_ms"] = afresh.to_json();
        report["usermod_over_open_ssh_ms"] = over_master.to_json();
        people.reset(&host);
        host.install_deb(&deb(Package::Agent)).ok();
        // As packaged, more than five accounts in ten minutes are refused.
        let settings = "[guards]\nblast-radius-accounts = 100000\n";
        host.write_file("/etc/rescind/agent.toml", settings.as_bytes(), "0644");
        control.enrol(&host);
        std::thread::sleep(Duration::from_secs(1));
        report["memory_when_enrolled"] = footprint::memory(&host);
        Self {
            host,
            people,
            floor,
            report,
        }
    }

    /// Measures the orders.
    fn give_orders(&mut self, control: &ControlPlane, login: &Key, orders: usize) {
        let giver = orders::Giver {
            control,
            host: &self.host,
            people: &self.people,
            login,
        };
        let size = self.people.count();
        say(&format!("{size} accounts: {orders} orders"));
        self.report["revoke_account"] = giver.revoke_accounts(0, orders, false, &mut self.floor);
        self.report["floor_ms"] = self.floor.figures().to_json();
        say(&format!("{size} accounts: {orders} orders with sessions"));
        self.report["revoke_account_with_session"] =
            giver.revoke_accounts(orders, orders, true, &mut self.floor);
        let keys = orders.min(FEWER);
        say(&format!("{size} accounts: {keys} keys"));
        self.report["revoke_key_everywhere"] = giver.revoke_keys(keys);
        self.report["standing_orders"] = json!(giver.standing());
    }

    fn into_report(mut self, idle: Value) -> Value {
        self.report["idle"] = idle;
        self.report
    }
}

/// Progress, for whoever watches.
fn say(what: &str) {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = BEGIN.get_or_init(Instant::now);
    eprintln!("bench: {:3} s: {what}", begin.elapsed().as_secs());
}
