//! What was aimed at, what was found, and whether that is good enough.

use serde_json::{Value, json};

/// Judges a report.
pub fn judge(report: &Value) -> Value {
    let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
    let mut aims = Vec::new();
    for size in crate::SIZES {
        let of = |path: &str| number(&format!("/accounts_{size}/{path}"));
        let verified = of("revoke_account/push_to_verified_ms/p50");
        let floor = of("floor_ms/p50");
        let times = verified.zip(floor).map(|(ms, floor)| ms / floor);
        aims.push(aim(
            &format!("{size} accounts: push to verified, median, as a multiple of the floor"),
            3.0,
            times,
        ));
        let with_session = of("revoke_account_with_session/push_to_verified_ms/p50");
        aims.push(aim(
            &format!("{size} accounts: push to verified with a session to end, median, ms"),
            300.0,
            with_session,
        ));
        let rss = of("idle/both/rss_kb").map(|kb| kb / 1e3 * 1.024);
        aims.push(aim(
            &format!("{size} accounts: both halves, idle, RSS, MB"),
            8.0,
            rss,
        ));
    }
    let survey = |size, path: &str| number(&format!("/survey/accounts_{size}/{path}"));
    let times =
        |agent: Option<f64>, other: Option<f64>| agent.zip(other).map(|(ms, other)| ms / other);
    aims.push(aim(
        "survey of 10000 accounts, median, as a multiple of only reading",
        2.0,
        times(
            survey(10_000, "agent_ms/p50"),
            survey(10_000, "reading_loop_ms/p50"),
        ),
    ));
    aims.push(aim(
        "survey of 10000 accounts, peak RSS, MB",
        48.0,
        survey(10_000, "agent_peak_rss_kb").map(|kb| kb / 1e3 * 1.024),
    ));
    aims.push(aim(
        "survey of 10000 accounts, median, as a multiple of that of 1000",
        12.0,
        times(
            survey(10_000, "agent_ms/p50"),
            survey(1_000, "agent_ms/p50"),
        ),
    ));
    aims.push(aim(
        "survey of 10000 accounts again, unchanged, median, as a share of a whole one",
        0.1,
        times(
            survey(10_000, "agent_service/agent_resurvey_ms/p50"),
            survey(10_000, "agent_service/agent_survey_ms/p50"),
        ),
    ));
    let per_agent = number("/control_plane/rss_bytes_per_agent").map(|bytes| bytes / 1e3);
    aims.push(aim(
        "control plane: RSS per connected agent, kB",
        20.0,
        per_agent,
    ));
    Value::Array(aims)
}

fn aim(what: &str, at_most: f64, found: Option<f64>) -> Value {
    json!({
        "what": what,
        "at_most": at_most,
        "found": found.map(|found| (found * 1e2).round() / 1e2),
        "met": found.is_some_and(|found| found <= at_most),
    })
}
