//! Many measurements of one thing, and what is told of them.

use serde_json::{Value, json};
use std::time::Duration;

/// Milliseconds.
#[derive(Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// Adds a time.
    pub fn add_time(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1e3);
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their number, median, 99th percentile and largest.
    pub fn to_json(&self) -> Value {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        json!({
            "n": sorted.len(),
            "p50": at(&sorted, 0.50),
            "p99": at(&sorted, 0.99),
            "max": at(&sorted, 1.0),
        })
    }
}

/// The smallest value that so great a share of all does not exceed; to the microsecond.
fn at(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .map(|ms| (ms * 1e3).round() / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_nearest_value() {
        let mut figures = Figures::default();
        (1..=200).rev().for_each(|ms| figures.add(f64::from(ms)));
        assert_eq!(
            figures.to_json(),
            json!({ "n": 200, "p50": 100.0, "p99": 198.0, "max": 200.0 })
        );
        assert_eq!(Figures::default().to_json()["p50"], Value::Null);
    }
}
