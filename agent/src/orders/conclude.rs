//! How an order ends.
//!
//! An outcome that claims `verified` or `already` needs a [`Proof`], and only a fresh reading of
//! the host that found nothing open and nothing unread makes one.

use rescind_protocol::name::OrderId;
use rescind_protocol::outcome::{Guard, OUTCOME_PATHS_MAX, Outcome, Verdict};
use rescind_protocol::path::{AccessPath, PathState, in_short};

/// The most reasons and gaps that are told one by one.
const REASONS_MAX: usize = 64;
/// Room for the texts of an outcome's paths, so that a record of evidence holds it whatever names an
/// account gives its files.
const PATHS_BYTES_MAX: usize = 256 * 1024;

/// What a fresh reading of the host found, after the last change.
#[derive(Debug, Default)]
pub struct Finding {
    /// The paths the order is about, as they are now.
    pub paths: Vec<AccessPath>,
    /// What is not as ordered, though no path may be open through it.
    pub undone: Vec<String>,
    /// What could not be read.
    pub gaps: Vec<String>,
    /// Why not all of it is for this host to do, where that is so.
    pub not_ours: Option<String>,
}

/// A reading that found the host as ordered, with nothing open, unknown or unread. It cannot be
/// made from anything else.
#[derive(Debug)]
pub struct Proof {
    paths: Vec<AccessPath>,
}

impl Finding {
    /// The proof, if this reading is one.
    fn into_proof(self) -> Result<Proof, Self> {
        let shut = self
            .paths
            .iter()
            .all(|path| path.state == PathState::Closed);
        let ours = self.not_ours.is_none();
        if shut && ours && self.undone.is_empty() && self.gaps.is_empty() {
            Ok(Proof { paths: self.paths })
        } else {
            Err(self)
        }
    }
}

/// Ends an order with what a fresh reading found.
pub fn from_finding(
    order: OrderId,
    finding: Finding,
    changed: bool,
    as_ordered: &str,
    took_us: u64,
) -> Outcome {
    match finding.into_proof() {
        Ok(proof) => proved(order, proof, changed, as_ordered, took_us),
        Err(finding) => short_of_it(order, finding, took_us),
    }
}

fn proved(order: OrderId, proof: Proof, changed: bool, reason: &str, took_us: u64) -> Outcome {
    let verdict = if changed {
        Verdict::Verified
    } else {
        Verdict::Already
    };
    outcome(
        order,
        verdict,
        None,
        reason.to_owned(),
        proof.paths,
        vec![],
        took_us,
    )
}

fn short_of_it(order: OrderId, finding: Finding, took_us: u64) -> Outcome {
    let count = |state| {
        finding
            .paths
            .iter()
            .filter(|path| path.state == state)
            .count()
    };
    let (open, unknown) = (count(PathState::Open), count(PathState::Unknown));
    let Finding {
        paths,
        undone,
        mut gaps,
        ..
    } = finding;
    let (verdict, reason) = if open > 0 || !undone.is_empty() {
        let ways = (open > 0).then(|| format!("{open} ways in still open"));
        let undone = undone.into_iter().take(REASONS_MAX).map(in_short);
        let reasons: Vec<String> = ways.into_iter().chain(undone).collect();
        (Verdict::Partial, reasons.join("; "))
    } else {
        let reason = format!(
            "changed as ordered, but {} could not be told",
            unknown + gaps.len()
        );
        (Verdict::Unverified, reason)
    };
    gaps.truncate(REASONS_MAX);
    let gaps = gaps.into_iter().map(in_short).collect();
    outcome(order, verdict, None, reason, paths, gaps, took_us)
}

/// Ends an order that a guard would not let happen.
pub fn refused(order: OrderId, guard: Guard, reason: String, took_us: u64) -> Outcome {
    outcome(
        order,
        Verdict::Refused,
        Some(guard),
        reason,
        vec![],
        vec![],
        took_us,
    )
}

/// Ends an order that this host cannot carry out, or not all of it: with what was found of the rest.
pub fn impossible(order: OrderId, reason: String, found: Finding, took_us: u64) -> Outcome {
    let (paths, gaps) = (found.paths, found.undone.into_iter().chain(found.gaps));
    let gaps = gaps.take(REASONS_MAX).map(in_short).collect();
    let verdict = Verdict::Impossible;
    outcome(order, verdict, None, reason, paths, gaps, took_us)
}

fn outcome(
    order: OrderId,
    verdict: Verdict,
    guard: Option<Guard>,
    reason: String,
    mut paths: Vec<AccessPath>,
    gaps: Vec<String>,
    took_us: u64,
) -> Outcome {
    // What is open comes first, so that it is never among what is left out.
    paths.sort_by_key(|path| match path.state {
        PathState::Open => 0,
        PathState::Unknown => 1,
        PathState::Closed => 2,
    });
    let all = paths.len();
    let mut room = PATHS_BYTES_MAX;
    let fits = paths.iter().take(OUTCOME_PATHS_MAX).take_while(|path| {
        let file = path.source.as_ref().map_or(0, |source| source.file.len());
        room = room.saturating_sub(path.reason.len() + file);
        room > 0
    });
    paths.truncate(fits.count());
    let left_out = all - paths.len();
    Outcome {
        order,
        verdict,
        guard,
        reason,
        paths,
        paths_left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
        gaps,
        took_us,
    }
}

#[cfg(test)]
mod tests {
    use rescind_protocol::path::Mechanism;

    use super::*;

    const ORDER: OrderId = OrderId::from_bytes([7; 16]);

    fn path(state: PathState) -> AccessPath {
        AccessPath {
            account: "alice".parse().unwrap(),
            uid: 1000,
            mechanism: Mechanism::SshPublicKey,
            state,
            reason: String::new(),
            source: None,
            fingerprint: None,
        }
    }

    #[test]
    fn verified_needs_everything_closed_done_and_read() {
        use PathState::{Closed, Open, Unknown};
        let gap = || vec!["/home/alice: hung".to_owned()];
        for (states, undone, gaps, changed, want) in [
            (vec![Closed], vec![], vec![], true, Verdict::Verified),
            (vec![Closed], vec![], vec![], false, Verdict::Already),
            (vec![], vec![], vec![], true, Verdict::Verified),
            (vec![Closed, Open], vec![], vec![], true, Verdict::Partial),
            (
                vec![Closed, Unknown],
                vec![],
                vec![],
                true,
                Verdict::Unverified,
            ),
            (vec![Closed], vec![], gap(), true, Verdict::Unverified),
            (vec![Closed], vec![], gap(), false, Verdict::Unverified),
            (
                vec![Closed],
                vec!["no".to_owned()],
                vec![],
                true,
                Verdict::Partial,
            ),
            (vec![Open, Unknown], vec![], gap(), true, Verdict::Partial),
        ] {
            let finding = Finding {
                paths: states.iter().map(|state| path(*state)).collect(),
                undone,
                gaps,
                ..Finding::default()
            };
            let outcome = from_finding(ORDER, finding, changed, "as ordered", 1);
            assert_eq!(outcome.verdict, want, "{states:?}");
        }
    }

    #[test]
    fn what_is_open_is_never_left_out() {
        let mut paths = vec![path(PathState::Closed); OUTCOME_PATHS_MAX];
        paths.push(path(PathState::Open));
        let finding = Finding {
            paths,
            ..Finding::default()
        };
        let outcome = from_finding(ORDER, finding, true, "", 1);
        assert_eq!(outcome.paths[0].state, PathState::Open);
        assert_eq!(outcome.paths_left_out, 1);
    }

    #[test]
    fn whatever_names_an_account_gives_a_record_holds_the_outcome() {
        use rescind_protocol::evidence::{Event, RECORD_BYTES_MAX};
        let long = || "x".repeat(100_000);
        let mut open = path(PathState::Open);
        open.reason = in_short(long());
        open.source = Some(rescind_protocol::path::Source {
            file: "y".repeat(16_384),
            line: None,
        });
        let finding = Finding {
            paths: vec![open; 2 * OUTCOME_PATHS_MAX],
            undone: vec![long(); 1000],
            gaps: vec![long(); 1000],
            ..Finding::default()
        };
        let outcome = from_finding(ORDER, finding, true, "", 1);
        assert_eq!(
            outcome.paths.len() + outcome.paths_left_out as usize,
            2 * OUTCOME_PATHS_MAX
        );
        assert!(!outcome.paths.is_empty());
        let bytes = rescind_protocol::cbor::to_vec(&Event::Concluded { outcome });
        assert!(bytes.len() < RECORD_BYTES_MAX - 4096, "{}", bytes.len());
    }
}
