//! What the local command line asks of a host and its orders, as JSON with stable names.

use std::path::Path;
use std::sync::Arc;

use rescind_protocol::evidence::Channel;
use rescind_protocol::message::Disposition;
use rescind_protocol::name::AccountName;
use rescind_protocol::outcome::Outcome;
use rescind_protocol::path::AccessPath;
use serde_json::{Value, json};

use crate::logins::LoginLog;
use crate::orders::accept::{self, Judgement, Seen, Trusted};
use crate::orders::actions;
use crate::orders::plan::{Change, Plan};
use crate::orders::{Engine, EngineError, guards, reach};
use crate::paths::facts::{Client, Sshd};
use crate::sshd::printable::printable;
use crate::store::Clock;
use crate::sudoers::denial;

impl Engine {
    /// The host's root directory.
    pub fn root(&self) -> &Path {
        self.host.root().path()
    }

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
            "index_trouble": self.store.index_trouble(),
        })
    }

    /// Every way in, of one account or of all.
    pub fn paths(&mut self, account: Option<&AccountName>) -> Result<Vec<AccessPath>, EngineError> {
        self.host.paths(account)
    }

    /// The same as JSON, with what is known of their use.
    pub fn paths_and_use(&mut self, account: Option<&AccountName>) -> Result<Value, EngineError> {
        self.host.paths_and_use(account)
    }

    /// Who came in last, and which keys were used.
    pub fn last_used(&mut self) -> Result<Value, EngineError> {
        self.host.last_used()
    }

    /// The records of the host's logins.
    pub fn logins(&self) -> &Arc<LoginLog> {
        self.host.logins()
    }

    /// The ways in of an account for one client alone, as `sshd -T -C` answers.
    pub fn paths_of_client(
        &mut self,
        account: &AccountName,
        client: Client<'_>,
    ) -> Result<Vec<AccessPath>, EngineError> {
        let mut reading = self.host.read()?;
        let found = reading.accounts.by_name(account);
        let found = found.ok_or_else(|| EngineError::NoAccount(account.clone()))?;
        Ok(reading.ways_in(&found, Some(client)))
    }

    /// The sshds of the host with their configurations.
    pub fn sshds(&mut self) -> Result<Vec<Sshd>, EngineError> {
        Ok(self.host.read()?.sshds)
    }

    /// The accounts, each with how many ways in are open, as the text of a JSON array.
    pub fn inventory(&mut self) -> Result<String, EngineError> {
        self.host.inventory()
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
                let disposition = Disposition::NotAccepted(rejection.why);
                return Ok(json!({
                    "order": rejection.order,
                    "disposition": disposition.word(),
                    "why": disposition.why(),
                    "detail": rejection.detail,
                    "outcome": null,
                }));
            }
        };
        let action = &signed.order().action;
        let (recently, now) = (reach::recently_closed(self, action), self.wall());
        let mut reading = self.host.read()?;
        let refusal = match guards::ceiling(action, &self.config.ceiling) {
            Err(refusal) => Some(refusal),
            Ok(()) => {
                let reach = reach::of(&mut reading, action, recently, now)?;
                guards::judge(&reach, &self.config.guards).err()
            }
        };
        let plan = actions::plan(action, &actions::see(action, &mut reading)?);
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
            Change::LeaveGroup(members) => {
                out.push(format!("--- {}", step.target));
                for change in &members.changes {
                    let group = printable(&change.group);
                    let (was, now) = (printable(&change.previous), printable(&change.written));
                    out.push(format!("-{}: {group} '{was}'", change.line));
                    out.push(format!("+{}: {group} '{now}'", change.line));
                }
            }
            Change::DenySudo(account) => {
                out.push(format!("--- {}", step.target));
                let rule = denial::rule(account).unwrap_or_else(|error| error.to_string());
                out.push(format!("+{rule}"));
            }
            _ => out.push(format!("{}: {}", step.target, step.detail)),
        }
    }
    out
}
