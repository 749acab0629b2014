//! Rows of the section `host`: what the host is, and by which rules it was judged.

use rescind_protocol::path::Source;
use serde::Serialize;

/// One fact.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `os`, `host_name`, `agent`, `rules`, `secret_rules`, `sudo`, `sshd`.
    pub name: &'static str,
    /// What it is. `rules` and `secret_rules` are numbers that grow with everything that can change
    /// what the survey says of the same host.
    pub value: String,
    /// Of a service: whether it runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
    /// The file it is configured by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl Row {
    /// A fact without more to it.
    pub fn new(name: &'static str, value: impl ToString) -> Self {
        Self {
            name,
            value: value.to_string(),
            running: None,
            source: None,
        }
    }
}
