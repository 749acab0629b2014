//! What the local command line shows of the journal, as JSON with stable names.
//!
//! It is read beside the daemon, in the process that asks: checking a long chain takes seconds,
//! which are not the worker's. Nothing is changed, and nothing made where nothing is.

use std::path::Path;

use rescind_protocol::evidence::{ChainHead, ChainVerifier, Event, RecordBody, SealedRecord};
use rescind_protocol::name::OrderId;
use rescind_protocol::order::Action;
use serde_json::{Value, json};

use crate::config::layout;
use crate::orders::EngineError;
use crate::store::{History, JournalReader, OrderState, Question, look_up, this_program};

/// Evidence read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The orders that the host below `root` knows, or those that are asked for.
pub fn orders(root: &Path, question: Option<&Question>) -> Result<Value, EngineError> {
    let dir = layout::agent_dir(root);
    Ok(match question {
        None => JournalReader::open(&dir)?
            .state()
            .orders()
            .map(summary)
            .collect(),
        Some(question) => {
            let found = look_up(&dir, &this_program(), question)?;
            found.orders.iter().map(summary).collect()
        }
    })
}

/// One order with what the evidence says of it.
pub fn order(root: &Path, id: OrderId) -> Result<Value, EngineError> {
    let dir = layout::agent_dir(root);
    let History {
        orders, records, ..
    } = look_up(&dir, &this_program(), &Question::Order(id))?;
    let known = orders.first().ok_or(EngineError::Unknown(id))?;
    let mut order = summary(known);
    let bodies = records.iter().filter_map(|record| record.body().ok());
    let history = bodies.filter_map(|body| {
        let event = body.event()?;
        Some(json!({
            "at": body.at.to_string(),
            "record": body.index,
            "event": json!(event)["event"],
            "detail": in_short(&event),
        }))
    });
    order["history"] = history.collect();
    Ok(order)
}

/// The evidence that is kept here, checked from its first record on; the last of it in words.
pub fn evidence(root: &Path, last: u64) -> Result<Value, EngineError> {
    let journal = JournalReader::open(&layout::agent_dir(root))?;
    let mut next = journal.oldest();
    let from = journal.head().next.saturating_sub(last);
    let (mut shown, mut checked) = (Vec::new(), 0u64);
    let mut verifier: Option<ChainVerifier> = None;
    let mut broken: Option<String> = None;
    let key = journal.keys().first().copied();
    loop {
        let records = journal.records(next, PIECE_BYTES)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            let body = record.body().map_err(EngineError::Evidence)?;
            next = body.index + 1;
            let start = ChainHead {
                next: body.index,
                prev: body.prev,
            };
            if verifier.is_none() {
                verifier = key.map(|key| ChainVerifier::new(key, start));
            }
            match verifier.as_mut().map(|chain| chain.check(record)) {
                Some(Ok(_)) => checked += 1,
                Some(Err(error)) => {
                    broken.get_or_insert_with(|| error.to_string());
                }
                None => {
                    broken.get_or_insert_with(|| "there is no evidence key".to_owned());
                }
            }
            if body.index >= from {
                shown.push(line(&body));
            }
        }
    }
    Ok(json!({
        "evidence_key": key,
        "checked": checked,
        "broken": broken,
        "records": shown,
    }))
}

/// The evidence about some orders, each record's signature checked; the last of it in words.
pub fn evidence_about(root: &Path, question: &Question, last: u64) -> Result<Value, EngineError> {
    let dir = layout::agent_dir(root);
    let found = look_up(&dir, &this_program(), question)?;
    let skip = found
        .records
        .len()
        .saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
    let shown = |record: &SealedRecord| record.body().map(|body| line(&body));
    let shown: Result<Vec<Value>, _> = found.records[skip..].iter().map(shown).collect();
    let unsigned = found.unsigned.first();
    Ok(json!({
        "evidence_key": found.evidence_key,
        "checked": found.records.len() - found.unsigned.len(),
        "broken": unsigned.map(|index| format!("record {index} is signed by no key of this host")),
        "records": shown.map_err(EngineError::Evidence)?,
    }))
}

fn line(body: &RecordBody) -> Value {
    let event = body.event();
    json!({
        "record": body.index,
        "at": body.at.to_string(),
        "event": event.as_ref().map_or(json!("unknown"), |e| json!(e)["event"].clone()),
        "order": event.as_ref().and_then(Event::order),
        "detail": event.as_ref().map(in_short),
    })
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
            account,
        }
        | Action::EndKeySessions {
            fingerprint,
            account,
        } => match account {
            Some(account) => format!("{fingerprint} for {account}"),
            None => fingerprint.to_string(),
        },
        Action::RevokeGroup { account, group, .. } => format!("{group} for {account}"),
        Action::RevokeSudo { account } => account.to_string(),
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
