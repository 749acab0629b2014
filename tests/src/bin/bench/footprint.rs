//! What the agent costs a host that has nothing for it to do.

use rescind_tests::Host;
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

/// The two halves: how they are called here, and their units.
const HALVES: [(&str, &str); 2] = [("run", "rescind-agent"), ("link", "rescind-link")];

/// Memory of both halves now, with the children they have.
pub fn memory(host: &Host) -> Value {
    let mut report = json!({});
    let (mut rss, mut pss) = (0, 0);
    for (half, unit) in HALVES {
        let sum = |field: &str| -> u64 {
            let command = format!(
                "cat /sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs |
                 while read pid; do cat /proc/$pid/smaps_rollup; done |
                 awk '$1 == \"{field}:\" {{ sum += $2 }} END {{ print sum }}'"
            );
            number(&host.run(&command).ok().text())
        };
        let (half_rss, half_pss) = (sum("Rss"), sum("Pss"));
        report[half] = json!({ "rss_kb": half_rss, "pss_kb": half_pss });
        rss += half_rss;
        pss += half_pss;
    }
    report["both"] = json!({ "rss_kb": rss, "pss_kb": pss });
    report
}

/// Watches hosts for a while: processor time and wakeups of both halves, then memory.
pub fn idle(hosts: &[&Host], time: Duration) -> Vec<Value> {
    // A child that worked in homes is let go after a while; the first moments are not idle.
    thread::sleep(Duration::from_secs(15));
    let before: Vec<_> = hosts
        .iter()
        .map(|host| HALVES.map(|half| spent(host, half.1)))
        .collect();
    thread::sleep(time);
    let mut reports = Vec::new();
    for (host, before) in hosts.iter().zip(before) {
        let mut report = memory(host);
        for ((half, unit), (cpu_us, wakeups)) in HALVES.iter().zip(before) {
            let (cpu_us_now, wakeups_now) = spent(host, unit);
            let minutes = time.as_secs_f64() / 60.0;
            let cpu_ms = (cpu_us_now.saturating_sub(cpu_us)) as f64 / 1e3 / minutes;
            let wakeups = wakeups_now.saturating_sub(wakeups) as f64 / minutes;
            report[half]["cpu_ms_per_minute"] = json!(cpu_ms);
            report[half]["wakeups_per_minute"] = json!(wakeups);
        }
        reports.push(report);
    }
    reports
}

/// Processor time of a unit in microseconds (cgroup v2 counts it with all children), and how often
/// its threads have gone to sleep of their own will (proc_pid_status(5)).
fn spent(host: &Host, unit: &str) -> (u64, u64) {
    let group = format!("/sys/fs/cgroup/system.slice/{unit}.service");
    let cpu = host.run(&format!(
        "awk '$1 == \"usage_usec\" {{ print $2 }}' {group}/cpu.stat"
    ));
    let slept = host.run(&format!(
        "cat {group}/cgroup.procs | while read pid; do cat /proc/$pid/task/*/status; done |
         awk '$1 == \"voluntary_ctxt_switches:\" {{ sum += $2 }} END {{ print sum }}'"
    ));
    (number(&cpu.ok().text()), number(&slept.ok().text()))
}

#[track_caller]
fn number(text: &str) -> u64 {
    match text.trim().parse() {
        Ok(number) => number,
        Err(_) => panic!("{text:?} is no number"),
    }
}
