//! The spool of at(1).

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::pam_files::HostPam;
use super::{Daemons, Gaps, listed};
use crate::deferred::at_job::{AtJob, SPOOLS};
use crate::host::root::HostRoot;
use crate::paths::at_jobs::{AtFacts, Waiting};
use crate::paths::pam_gate::Asks;
use crate::sys::fs::FileKind;

const PROGRAMS: [&str; 2] = ["/usr/sbin/atd", "/usr/bin/atd"];

/// Reads which jobs wait.
pub fn read(root: &HostRoot, daemons: &mut Daemons, pam: &HostPam<'_>) -> AtFacts {
    let mut gaps = Gaps::new();
    let daemon = daemons.first(root, &PROGRAMS).unwrap_or_else(|error| {
        gaps.push((PROGRAMS[0].into(), error.to_string()));
        None
    });
    let mut jobs = Vec::new();
    for spool in SPOOLS.map(Path::new) {
        for entry in listed(root, spool, &mut gaps) {
            let job = AtJob::of_file_name(entry.name.as_bytes());
            // atd runs regular files only.
            if let Some(job) = job.filter(|_| entry.stat.kind == FileKind::Regular) {
                jobs.push(Waiting {
                    path: spool.join(&entry.name),
                    job,
                    uid: entry.stat.uid,
                    mode: entry.stat.mode,
                    links: entry.stat.nlink,
                });
            }
        }
    }
    AtFacts {
        has_daemon: daemon.is_some(),
        asks: match daemon {
            Some(daemon) if daemon.asks_pam => pam.asks("atd"),
            Some(_) => Asks::Nobody,
            None => Asks::Unknown("which at daemon runs is not known".into()),
        },
        jobs,
        gaps,
    }
}
