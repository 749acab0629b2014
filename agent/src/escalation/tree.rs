//! Explanations as they are told.

use rescind_protocol::explanation;

use super::explain::{Explanation, Leading};
use super::steps::Sure;
use crate::sshd::printable::printable;

impl From<&Explanation> for explanation::Explanation {
    fn from(explained: &Explanation) -> Self {
        Self {
            account: explained.account.clone(),
            is_root: explained.is_root,
            root: explained.root.map(|sure: Sure| sure.word().to_owned()),
            steps: explained.steps.iter().map(Into::into).collect(),
            becomes: explained.becomes.iter().cloned().collect(),
            cut: explained.cut,
            gaps: explained.gaps.clone(),
        }
    }
}

impl From<&Leading> for explanation::Step {
    fn from(leading: &Leading) -> Self {
        let step = &leading.step;
        Self {
            to: step.to.clone(),
            group: step.enters.as_deref().map(printable),
            means: step.means.word().to_owned(),
            reason: step.reason.clone(),
            source: step.source.clone(),
            sure: step.sure.word().to_owned(),
            then: leading.then.iter().map(Into::into).collect(),
        }
    }
}
