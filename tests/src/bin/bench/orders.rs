//! Orders, given one after the other to a host that has nothing else to do, and how long each took
//! by the control plane's clock from the moment it was signed.

use crate::Figures;
use crate::floor::Floor;
use crate::people::People;
use rescind_tests::{ControlPlane, Host, Key, Login, Session, run, wait_for};
use serde_json::{Map, Value, json};
use std::thread;
use std::time::Duration;

/// Between two orders, so that each finds the host as quiet as it usually is.
const PAUSE: Duration = Duration::from_millis(50);
/// Sessions opened ahead; each is a dozen processes more on the host.
const SESSIONS: usize = 20;
/// Sessions opened at the same time.
const OPENED_AT_ONCE: usize = 4;
/// The longest wait for the host's own tools; they are asked about a few orders at a time.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(120);
/// The longest wait for a session's end, seen from the other end of its connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives orders.
pub struct Giver<'a> {
    pub control: &'a ControlPlane,
    pub host: &'a Host,
    pub people: &'a People,
    pub login: &'a Key,
}

/// What is known of many orders.
#[derive(Default)]
struct Seen {
    accepted: Figures,
    concluded: Figures,
    confirmed: Figures,
    outcomes: Map<String, Value>,
    sessions_ended: usize,
    ids: Vec<String>,
}

impl Giver<'_> {
    /// Revokes accounts, `first` and those after. Where there are fewer accounts than orders, the
    /// orders are released after each round, which is not measured.
    pub fn revoke_accounts(
        &self,
        first: usize,
        orders: usize,
        sessions: bool,
        floor: &mut Floor,
    ) -> Value {
        let mut seen = Seen::default();
        let mut left = first..first + orders;
        while !left.is_empty() {
            let round: Vec<usize> = left.by_ref().take(self.people.count()).collect();
            for batch in round.chunks(SESSIONS) {
                let mut open = if sessions {
                    self.log_in(batch)
                } else {
                    Vec::new()
                };
                for (at, nth) in batch.iter().enumerate() {
                    let name = self.people.name(*nth);
                    self.give(
                        &["revoke", "account", &name, "--host", self.host.name()],
                        &mut seen,
                    );
                    if let Some(session) = open.get_mut(at) {
                        let ended = session.wait_closed(PATIENCE).is_some();
                        seen.sessions_ended += usize::from(ended);
                    }
                    thread::sleep(PAUSE);
                    if !sessions {
                        floor.measure();
                        thread::sleep(PAUSE);
                    }
                }
            }
            let given = std::mem::take(&mut seen.ids);
            self.see_confirmed(&given, &mut seen);
            if self.people.count() < 10 * orders {
                self.release(&given);
            }
        }
        let mut report = seen.to_json();
        if sessions {
            report["sessions_ended"] = json!(seen.sessions_ended);
        }
        report
    }

    /// Revokes keys on the whole host: every account's key files are read for each.
    pub fn revoke_keys(&self, orders: usize) -> Value {
        let mut seen = Seen::default();
        for nth in 0..orders {
            // The last accounts: in the keys of the first is nothing left.
            let key = self.people.own_key(self.people.count() - 1 - nth);
            self.give(
                &["revoke", "key", &key, "--host", self.host.name()],
                &mut seen,
            );
            thread::sleep(PAUSE);
        }
        seen.to_json()
    }

    /// How many orders are in force on the host.
    pub fn standing(&self) -> usize {
        let words = ["order", "list", "--in-force", "--limit", "10000", "--json"];
        let words = [&words[..], &["--host", self.host.name()]].concat();
        self.control
            .rescind(&words)
            .ok()
            .json()
            .as_array()
            .map_or(0, Vec::len)
    }

    fn log_in(&self, whom: &[usize]) -> Vec<Session> {
        let open = |nth: &usize| {
            let name = self.people.name(*nth);
            Login::to(self.host, &name).with(self.login).open()
        };
        let mut sessions = Vec::new();
        for some in whom.chunks(OPENED_AT_ONCE) {
            thread::scope(|scope| {
                let opening: Vec<_> = some
                    .iter()
                    .map(|nth| scope.spawn(move || open(nth)))
                    .collect();
                for session in opening {
                    match session.join() {
                        Ok(session) => sessions.push(session),
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
            });
        }
        // What a login starts in the background is no part of what is measured.
        thread::sleep(Duration::from_millis(500));
        sessions
    }

    /// Gives an order and follows it to its outcome.
    fn give(&self, words: &[&str], seen: &mut Seen) {
        let why = [
            "--ticket",
            "BENCH-1",
            "--reason",
            "bench",
            "--asked-by",
            "bench",
        ];
        let follow = ["--follow", "--confirm-timeout", "0s", "--json"];
        let ran = run(&mut self.control.command(&[words, &why, &follow].concat()));
        let mut answered = false;
        for line in ran.text().lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let Some(ms) = event["ms"].as_f64() else {
                continue;
            };
            match event["state"].as_str().unwrap_or_default() {
                "accepted" => seen.accepted.add(ms),
                verdict @ ("verified" | "already" | "partial" | "unverified" | "refused"
                | "impossible" | "not_accepted" | "expired") => {
                    answered = true;
                    seen.concluded.add(ms);
                    seen.count(verdict);
                    if matches!(verdict, "verified" | "already") {
                        seen.ids.extend(event["order"].as_str().map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        if !answered {
            eprintln!("bench: no outcome: {ran:?}");
            seen.count("none");
        }
    }

    /// Waits until the host's own tools have been asked about orders, which takes them longer than
    /// the time between two orders.
    fn see_confirmed(&self, orders: &[String], seen: &mut Seen) {
        for order in orders {
            let what = format!("order {order} to be confirmed");
            let ms = wait_for(&what, CONFIRMED_WITHIN, || {
                let shown = self
                    .control
                    .rescind(&["order", "show", order, "--json"])
                    .ok();
                let shown = shown.json();
                let mut timeline = shown["timeline"].as_array()?.iter();
                timeline.find(|event| event["state"] == "confirmed")?["ms"].as_f64()
            });
            seen.confirmed.add(ms);
        }
    }

    fn release(&self, orders: &[String]) {
        for order in orders {
            let words = [
                "release", order, "--ticket", "BENCH-1", "--reason", "again", "--follow",
            ];
            self.control
                .rescind(&[&words[..], &["--confirm-timeout", "0s"]].concat())
                .ok();
        }
    }
}

impl Seen {
    fn count(&mut self, verdict: &str) {
        let before = self.outcomes.get(verdict).and_then(Value::as_u64);
        self.outcomes
            .insert(verdict.into(), json!(before.unwrap_or(0) + 1));
    }

    fn to_json(&self) -> Value {
        let mut report = json!({
            "outcomes": self.outcomes,
            "push_to_accepted_ms": self.accepted.to_json(),
            "push_to_verified_ms": self.concluded.to_json(),
        });
        if !self.confirmed.is_empty() {
            report["push_to_confirmed_ms"] = self.confirmed.to_json();
        }
        report
    }
}
