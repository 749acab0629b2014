//! The machine the figures are from.

use crate::people::read;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// Processor, memory, kernel, and the file system hosts have their root on.
pub fn facts(root: &Path) -> Value {
    let cpus = read(Path::new("/proc/cpuinfo"));
    let models: Vec<&str> = fields(&cpus, "model name").collect();
    let memory = read(Path::new("/proc/meminfo"));
    let kilobytes: u64 = fields(&memory, "MemTotal")
        .next()
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or_default();
    let mut find = Command::new("findmnt");
    find.args(["--noheadings", "--output", "FSTYPE,OPTIONS", "--target"])
        .arg(root);
    json!({
        "cpu": models.first(),
        "cores": models.len(),
        "memory_mb": kilobytes / 1024,
        "kernel": read(Path::new("/proc/sys/kernel/osrelease")).trim(),
        "file_system": rescind_tests::run(&mut find).ok().text(),
    })
}

fn fields<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(move |(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}
