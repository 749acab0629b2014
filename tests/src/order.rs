//! An order that was issued, as its operator sees it.

use crate::command::{Ran, wait_for};
use crate::control::ControlPlane;
use std::time::Duration;

/// An order of a control plane.
pub struct Order<'a> {
    control: &'a ControlPlane,
    id: String,
}

impl<'a> Order<'a> {
    pub(crate) fn new(control: &'a ControlPlane, id: String) -> Self {
        Self { control, id }
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All that is known of it now (`rescind order show --json`).
    #[track_caller]
    pub fn show(&self) -> serde_json::Value {
        self.control
            .rescind(&["order", "show", &self.id, "--json"])
            .ok()
            .json()
    }

    /// The verdict of its outcome, once there is one: `verified`, `already`, `partial`, `refused`, …
    #[track_caller]
    pub fn verdict(&self) -> Option<String> {
        self.show()["outcome"].as_str().map(str::to_owned)
    }

    /// The state it is in: `signed`, `delivered`, …, `concluded`, `confirmed`, `not_accepted`, …
    #[track_caller]
    pub fn state(&self) -> String {
        self.show()["state"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for a state of its timeline and gives the detail of it.
    #[track_caller]
    pub fn until(&self, state: &str, patience: Duration) -> serde_json::Value {
        wait_for(&format!("the order to be {state}"), patience, || {
            let shown = self.show();
            let timeline = shown["timeline"].as_array()?;
            let event = timeline.iter().find(|event| event["state"] == state)?;
            Some(event["detail"].clone())
        })
    }

    /// Milliseconds from its signing until it was first seen in a state, by the control plane's
    /// clock; `None` when its timeline has no such event.
    #[track_caller]
    pub fn ms_until(&self, state: &str) -> Option<f64> {
        let shown = self.show();
        let timeline = shown["timeline"].as_array()?;
        timeline.iter().find(|event| event["state"] == state)?["ms"].as_f64()
    }

    /// Waits for its verdict.
    #[track_caller]
    pub fn concluded(&self, patience: Duration) -> String {
        wait_for(
            &format!("an outcome of order {}", self.id),
            patience,
            || self.verdict(),
        )
    }

    /// Watches it until it is concluded (`rescind order show --follow`).
    #[track_caller]
    pub fn follow(&self) -> Ran {
        self.control
            .rescind(&["order", "show", &self.id, "--follow"])
    }

    /// The signed order as a file, for a host without a network (`rescind order export`).
    #[track_caller]
    pub fn export(&self) -> Vec<u8> {
        self.control
            .rescind(&["order", "export", &self.id, "--output", "-"])
            .ok()
            .stdout
    }
}
