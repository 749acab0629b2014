//! Explanations: they take their time, and are given beside the worker, which has orders to carry out.

use std::path::Path;
use std::sync::Mutex;

use rescind_protocol::name::AccountName;
use serde_json::{Value, json};

use crate::daemon::spawn;
use crate::daemon::uplink::{self, Lane};
use crate::orders::Host;

/// Room for the parsers of what is read on the way.
const STACK_BYTES: usize = 2 << 20;

/// Says why an account can become root; one such question at a time.
pub fn explain(root: &Path, account: AccountName) -> Result<Value, String> {
    static RUNNING: Mutex<()> = Mutex::new(());
    let Ok(_running) = RUNNING.try_lock() else {
        return Err("an explanation is under way already; try again".into());
    };
    let root = root.to_owned();
    // The child that looks at users' files ends with the thread that started it.
    let thread = std::thread::Builder::new()
        .name("explain".into())
        .stack_size(STACK_BYTES)
        .spawn(move || explain_here(&root, &account));
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err("the explanation failed; see the agent's log".into()),
        Err(error) => Err(format!("the explanation could not be started: {error}")),
    }
}

/// The same for the control plane, when it is known.
pub fn answer(lane: Lane, id: u64, root: &Path, account: AccountName) {
    let root = root.to_owned();
    let started = spawn("explain-link", move || {
        let answer = explain(&root, account).map(|answer| answer.to_string());
        for piece in uplink::answers(id, answer) {
            // The connection may be gone by now: then nobody waits for it.
            if !lane.send(piece) {
                return;
            }
        }
    });
    if let Err(error) = started {
        tracing::warn!(%error, "a question could not be answered");
    }
}

/// The same, on this thread.
pub fn explain_here(root: &Path, account: &AccountName) -> Result<Value, String> {
    let mut host = Host::below(root).map_err(|error| error.to_string())?;
    let explained = host.explain(account).map_err(|error| error.to_string())?;
    Ok(json!(explained))
}
