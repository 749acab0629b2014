//! Work that runs later as an account, without anybody logging in: what crontab(5), at(1) and
//! systemd(1) read. Pure; which files there are is for others to find.
#![forbid(unsafe_code)]

/// anacrontab(5).
pub mod anacrontab;
/// Jobs of at(1), by their files' names.
pub mod at_job;
/// Which files cron(8) reads.
pub mod cron;
/// crontab(5).
pub mod crontab;
/// Which programs a command names.
pub mod programs;
/// When a job runs.
pub mod schedule;
/// What one file says.
pub mod unit_file;
/// Names of units.
pub mod unit_name;
/// Where units lie.
pub mod unit_path;
/// Units put together from all their directories.
pub mod unit_set;
/// systemd.syntax(7).
pub mod unit_syntax;
