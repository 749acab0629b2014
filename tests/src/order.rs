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

    /// Its outcome, once there is one: `verified`, `already`, `partial`, `refused`, …
    #[track_caller]
    pub fn outcome(&self) -> Option<String> {
        self.show()["outcome"].as_str().map(str::to_owned)
    }

    /// Waits for its outcome.
    #[track_caller]
    pub fn concluded(&self, patience: Duration) -> String {
        wait_for(
            &format!("an outcome of order {}", self.id),
            patience,
            || self.outcome(),
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
            .rescind(&["order", "export", &self.id])
            .ok()
            .stdout
    }
}
