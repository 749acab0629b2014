//! What the local command line shows, as JSON with stable names.

use rescind_protocol::evidence::{ChainHead, ChainVerifier, Channel, Event};
use rescind_protocol::name::{AccountName, OrderId};
use rescind_protocol::order::Action;
use rescind_protocol::outcome::Outcome;
use rescind_protocol::path::{AccessPath, Mechanism, PathState};
use serde_json::{Value, json};

use crate::escalation::explain::{Ways, explain};
use crate::escalation::su::SuRules;
use crate::escalation::sudo::HostSudo;
use crate::host::account::{Account, PasswordState};
use crate::host::accounts::Accounts;
use crate::orders::accept::{self, Judgement, Seen, Trusted};
use crate::orders::enforce::{plan_for, see};
use crate::orders::host::HostError;
use crate::orders::plan::{Change, Plan};
use crate::orders::{Engine, EngineError, guards, reach};
use crate::sshd::printable::printable;
use crate::store::{Clock, OrderState};

/// Evidence read at a time for an order's history.
const HISTORY_BYTES: usize = 1 << 20;

impl Engine {
    /// How the agent is doing.
    pub fn status(&self) -> Value {
        let state = self.store.state();
        let head = self.store.head();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "enrolled": self.trust.is_some(),
            "host": self.trust.as_ref().map(|trust| trust.host_id),
            "standing_orders": state.standing().count(),
            "unfinished_orders": state.unfinished().len(),
            "evidence_records": head.next,
            "evidence_acknowledged": self.store.acknowledged(),
            "evidence_head": head.prev,
            "evidence_key": self.store.evidence_key(),
        })
    }

    /// The orders the host knows.
    pub fn orders(&self) -> Value {
        self.store.state().orders().map(summary).collect()
    }

    /// One order with what the evidence says of it.
    pub fn order(&self, id: OrderId) -> Result<Value, EngineError> {
        let known = self.store.state().order(id);
        let mut order = summary(known.ok_or(EngineError::Unknown(id))?);
        order["history"] = self.history(id)?.into();
        Ok(order)
    }

    fn history(&self, id: OrderId) -> Result<Vec<Value>, EngineError> {
        let mut history = Vec::new();
        let mut next = self
            .store
            .state()
            .order(id)
            .map_or(0, |order| order.accepted);
        loop {
            let records = self.store.records(next, HISTORY_BYTES)?;
            if records.is_empty() {
                return Ok(history);
            }
            next += records.len() as u64;
            let bodies = records.iter().filter_map(|record| record.body().ok());
            for body in bodies {
                let Some(event) = body.event().filter(|event| event.order() == Some(id)) else {
                    continue;
                };
                history.push(json!({
                    "at": body.at.to_string(),
                    "record": body.index,
                    "event": json!(event)["event"],
                    "detail": in_short(&event),
                }));
            }
        }
    }

    /// The evidence that is kept here, checked from its first record on; the last of it in words.
    pub fn evidence_report(&self, last: u64) -> Result<Value, EngineError> {
        let mut next = self.store.oldest();
        let from = self.store.head().next.saturating_sub(last);
        let (mut shown, mut checked) = (Vec::new(), 0u64);
        let mut verifier: Option<ChainVerifier> = None;
        let mut broken: Option<String> = None;
        loop {
            let records = self.store.records(next, HISTORY_BYTES)?;
            if records.is_empty() {
                break;
            }
            next += records.len() as u64;
            for record in &records {
                let body = record.body().map_err(EngineError::Evidence)?;
                let start = ChainHead {
                    next: body.index,
                    prev: body.prev,
                };
                let chain = verifier
                    .get_or_insert_with(|| ChainVerifier::new(self.store.evidence_key(), start));
                match chain.check(record) {
                    Ok(_) => checked += 1,
                    Err(error) => {
                        broken.get_or_insert_with(|| error.to_string());
                    }
                }
                if body.index < from {
                    continue;
                }
                let event = body.event();
                shown.push(json!({
                    "record": body.index,
                    "at": body.at.to_string(),
                    "event": event.as_ref().map_or(json!("unknown"), |e| json!(e)["event"].clone()),
                    "order": event.as_ref().and_then(Event::order),
                    "detail": event.as_ref().map(in_short),
                }));
            }
        }
        Ok(json!({
            "evidence_key": self.store.evidence_key(),
            "checked": checked,
            "broken": broken,
            "records": shown,
        }))
    }

    /// Every way in, of one account or of all.
    pub fn paths(&mut self, account: Option<&AccountName>) -> Result<Vec<AccessPath>, EngineError> {
        let mut reading = self.host.read()?;
        let accounts: Vec<Account> = match account {
            Some(name) => reading.accounts.by_name(name).into_iter().collect(),
            None => reading.accounts.iter().collect(),
        };
        if let (Some(name), true) = (account, accounts.is_empty()) {
            return Err(EngineError::NoAccount(name.clone()));
        }
        Ok(accounts
            .iter()
            .flat_map(|account| reading.paths(account))
            .collect())
    }

    /// The accounts, each with how many ways in are open.
    pub fn inventory(&mut self) -> Result<Value, EngineError> {
        let mut reading = self.host.read()?;
        let accounts: Vec<Account> = reading.accounts.iter().collect();
        let mut rows = Vec::with_capacity(accounts.len());
        for account in &accounts {
            let paths = reading.paths(account);
            let count = |state| paths.iter().filter(|path| path.state == state).count();
            let keys = paths
                .iter()
                .filter(|path| path.mechanism == Mechanism::SshPublicKey);
            rows.push(json!({
                "account": account.name,
                "uid": account.uid,
                "password": password(account.password),
                "expires": account.expire_day,
                "shell": printable(&account.shell),
                "home": printable(&account.home),
                "keys": keys.count(),
                "open": count(PathState::Open),
                "unknown": count(PathState::Unknown),
            }));
        }
        Ok(rows.into())
    }

    /// Why an account can become root, step by step.
    pub fn explain(&mut self, name: &AccountName) -> Result<Value, EngineError> {
        let now = i64::try_from(self.wall().0 / 1000).unwrap_or(i64::MAX);
        let root = self.host.root();
        let accounts = Accounts::load(root).map_err(HostError::from)?;
        let account = accounts
            .by_name(name)
            .ok_or_else(|| EngineError::NoAccount(name.clone()))?;
        let ways = Ways {
            accounts: &accounts,
            sudo: &HostSudo::read(root, now).map_err(HostError::from)?,
            su: &SuRules::read(root).map_err(HostError::from)?,
            today: now / 86_400,
        };
        Ok(explain(&account, &ways).to_json())
    }

    /// What an order from a file would change, without changing or recording anything.
    pub fn dry_run(&mut self, bytes: &[u8]) -> Result<Value, EngineError> {
        let trust = self.trust.as_ref().ok_or(EngineError::NotEnrolled)?;
        let trusted = Trusted {
            host: trust.host_id,
            order_keys: &trust.order_keys,
        };
        // A plan can be looked at again whether or not the order was carried out.
        let judged = accept::judge(bytes, self.clock.wall(), trusted, |_| Seen::Never);
        let signed = match judged {
            Judgement::Accept { signed, .. } => signed,
            Judgement::Duplicate(id) => return Err(EngineError::Unknown(id)),
            Judgement::Reject(rejection) => {
                return Err(EngineError::NotAccepted(rejection.detail));
            }
        };
        let action = &signed.order().action;
        let refusal = match guards::ceiling(action, &self.config.ceiling) {
            Err(refusal) => Some(refusal),
            Ok(()) => guards::judge(&reach::of(self, action)?, &self.config.guards).err(),
        };
        let mut reading = self.host.read()?;
        let plan = plan_for(action, &see(action, &mut reading)?);
        drop(reading);
        let mut diff = diff(&plan);
        if let Some(refusal) = &refusal {
            diff.insert(
                0,
                format!("refused ({:?}): {}", refusal.guard, refusal.reason),
            );
        } else if diff.is_empty() {
            diff.push("nothing to change".into());
        }
        Ok(json!({
            "order": signed.order().id,
            "action": action,
            "refused": refusal.map(|refusal| refusal.reason),
            "steps": plan.steps(),
            "diff": diff,
        }))
    }

    /// Accepts and carries out an order from a file.
    pub fn apply_carried(&mut self, bytes: &[u8]) -> Result<Value, EngineError> {
        if self.trust.is_none() {
            return Err(EngineError::NotEnrolled);
        }
        let receipt = self.receive(bytes, Channel::File);
        let mut ended: Option<Outcome> = None;
        while let Some(id) = self.next_accepted() {
            let outcome = self.carry_out(id)?;
            if Some(id) == receipt.order {
                ended = Some(outcome);
            }
        }
        // A repeated order is answered with how it ended then.
        let known = receipt.order.and_then(|id| self.store.state().order(id));
        let repeated = || known.and_then(|order| order.outcome.clone());
        let outcome = match receipt.disposition.why() {
            // Another order may bear the id of a true one.
            Some(_) => None,
            None => ended.or_else(repeated),
        };
        Ok(json!({
            "order": receipt.order,
            "disposition": receipt.disposition.word(),
            "why": receipt.disposition.why(),
            "detail": (!receipt.detail.is_empty()).then_some(receipt.detail),
            "outcome": outcome,
        }))
    }
}

fn summary(order: &OrderState) -> Value {
    let body = order.order();
    let state = match (&order.outcome, order.released_by) {
        (_, Some(_)) => "released".to_owned(),
        (None, None) if order.planned.is_empty() => "accepted".to_owned(),
        (None, None) => "applying".to_owned(),
        (Some(outcome), None) => json!(outcome.verdict)
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    };
    json!({
        "order": body.id,
        "seq": body.seq,
        "action": body.action.name(),
        "subject": subject(&body.action),
        "state": state,
        "standing": order.is_standing(),
        "contested": order.contested,
        "drift": order.drift,
        "asked_by": body.authority.asked_by,
        "ticket": body.authority.ticket,
        "reason": body.authority.reason,
        "accepted_at": order.accepted_at.to_string(),
    })
}

fn subject(action: &Action) -> String {
    match action {
        Action::DisableAccount { account } | Action::EndSessions { account } => account.to_string(),
        Action::RevokeKey {
            fingerprint,
            account: Some(account),
        } => format!("{fingerprint} for {account}"),
        Action::RevokeKey {
            fingerprint,
            account: None,
        } => fingerprint.to_string(),
        Action::Release { order } => order.to_string(),
    }
}

fn in_short(event: &Event) -> String {
    match event {
        Event::Planned { steps, .. } => {
            let words = steps
                .iter()
                .map(|step| format!("{}: {}", step.target, step.detail));
            words.collect::<Vec<_>>().join("; ")
        }
        Event::StepEnded { step, error, .. } => match error {
            Some(error) => format!("step {step}: {error}"),
            None => format!("step {step}"),
        },
        Event::StepBegun { step, .. } => format!("step {step}"),
        Event::Concluded { outcome } => format!("{:?}: {}", outcome.verdict, outcome.reason),
        Event::Drift { times, paths, .. } => format!("time {times}, {} paths", paths.len()),
        Event::Contested { files, .. } => files.join(", "),
        Event::Confirmed { answers, .. } => {
            let agree = answers
                .iter()
                .filter(|answer| answer.agrees == Some(true))
                .count();
            format!("{agree} of {} agree", answers.len())
        }
        Event::Released { by, .. } => format!("by {by}"),
        _ => String::new(),
    }
}

/// A plan as a diff: what goes with `-`, what comes with `+`. Key lines are shown by their key,
/// because options can hold secrets.
fn diff(plan: &Plan) -> Vec<String> {
    let mut out = Vec::new();
    for change in &plan.changes {
        let step = change.step();
        match change {
            Change::RemoveKeys(keys) => {
                out.push(format!("--- {}", step.target));
                for line in &keys.lines {
                    let key = super::host::key_of_line(&line.bytes);
                    let key = key.map_or_else(|| "a key".into(), |key| key.to_string());
                    out.push(format!("-{}: {key}", line.line));
                }
            }
            Change::SetFields(fields) => {
                out.push(format!("--- {}", step.target));
                for lock in &fields.locks {
                    out.push(format!(
                        "+{}: ! before the password of {}",
                        lock.line, fields.account
                    ));
                }
                for expiry in &fields.expiry {
                    let was = printable(&expiry.previous);
                    out.push(format!(
                        "-{}: expiry of {} '{was}'",
                        expiry.line, fields.account
                    ));
                    let now = printable(&expiry.written);
                    out.push(format!(
                        "+{}: expiry of {} '{now}'",
                        expiry.line, fields.account
                    ));
                }
            }
            _ => out.push(format!("{}: {}", step.target, step.detail)),
        }
    }
    out
}

const fn password(state: PasswordState) -> &'static str {
    match state {
        PasswordState::Empty => "empty",
        PasswordState::Usable => "set",
        PasswordState::Locked => "locked",
        PasswordState::Unusable => "none",
        PasswordState::Missing => "missing",
        PasswordState::Unknown => "unknown",
    }
}
