//! Explanations for programs: JSON with stable names.

use serde_json::{Value, json};

use super::explain::{Explanation, Leading};
use super::steps::Sure;
use crate::sshd::printable::printable;

impl Explanation {
    /// The answer for programs, with stable names.
    pub fn to_json(&self) -> Value {
        json!({
            "account": self.account,
            "is_root": self.is_root,
            "root": self.root.map(Sure::word),
            "steps": self.steps.iter().map(Leading::to_json).collect::<Vec<_>>(),
            "becomes": self.becomes,
            "cut": self.cut,
            "gaps": self.gaps,
        })
    }
}

impl Leading {
    fn to_json(&self) -> Value {
        json!({
            "to": self.step.to,
            "group": self.step.enters.as_deref().map(printable),
            "means": self.step.means.word(),
            "reason": self.step.reason,
            "source": self.step.source,
            "sure": self.step.sure.word(),
            "then": self.then.iter().map(Self::to_json).collect::<Vec<_>>(),
        })
    }
}
