//! The closure matrix: every way in of the catalogue that these hosts can have is set up for an
//! account of its own, tried from outside, and tried again once the account is disabled.
//!
//! Then it fails, or the outcome of the order says that it is open: a way in that still works and
//! that nobody was told of is a silent open, and there must be none. What the attempts came to is
//! the page `tests/closure.md`; where it is no longer what they come to, the test fails, and
//! `RESCIND_WRITE_CLOSURE=1` has it written anew.
#![allow(clippy::unwrap_used, reason = "a test")]

/// The page.
mod page;
/// What a route is, and what became of it.
mod route;
/// The routes, a file for each family.
mod routes;
/// A host with all routes on it.
mod stage;
/// The attempts.
mod tries;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rescind_tests::{ControlPlane, Release};

use route::{Cell, On, Route};
use stage::Stage;

/// How many hosts are tried at the same time.
const AT_ONCE: usize = 2;

#[test]
fn every_way_in_is_closed_or_named() {
    let begin = Instant::now();
    let control = ControlPlane::start();
    let hosts: Vec<On> = [Release::Bullseye, Release::Bookworm, Release::Trixie]
        .into_iter()
        .flat_map(|release| [true, false].map(|pam| On { release, pam }))
        .collect();
    let next = AtomicUsize::new(0);
    let columns: Mutex<Vec<(usize, Vec<Cell>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(on) = hosts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let column = try_host(*on, &control);
                    println!("{on}: {} routes in {:.0?}", column.len(), begin.elapsed());
                    let nth = hosts.iter().position(|other| other == on).unwrap();
                    columns.lock().unwrap().push((nth, column));
                }
            });
        }
    });
    let mut columns = columns.into_inner().unwrap();
    columns.sort_by_key(|(nth, _)| *nth);
    let columns: Vec<Vec<Cell>> = columns.into_iter().map(|(_, column)| column).collect();
    assert_eq!(
        columns.len(),
        hosts.len(),
        "a host was not tried to its end"
    );
    let written = page::write(&hosts, &routes::all(hosts[0]), &columns);
    println!("{}\nin {:.0?}", page::counts(&columns), begin.elapsed());
    hold_to_page(&written);
}

/// Tries every route of one host, in two acts: what depends on PAM's own files comes second, because
/// it changes them for everybody.
fn try_host(on: On, control: &ControlPlane) -> Vec<Cell> {
    let all = routes::all(on);
    let (first, second): (Vec<Route>, Vec<Route>) =
        all.into_iter().partition(|route| !route.careless_pam);
    let mut stage = Stage::set(on, control, first.iter().chain(&second));
    let mut column = stage.try_all(&first);
    stage.make_pam_careless();
    column.extend(stage.try_all(&second));
    let wrong: Vec<String> = column.iter().filter_map(Cell::complaint).collect();
    assert!(wrong.is_empty(), "{on}:\n{}", wrong.join("\n"));
    column
}

/// Compares what was found with the page in the repository, or writes it.
#[track_caller]
fn hold_to_page(written: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("closure.md");
    if std::env::var_os("RESCIND_WRITE_CLOSURE").is_some() {
        std::fs::write(&page, written).unwrap();
        return;
    }
    let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join("closure.md");
    std::fs::write(&found, written).unwrap();
    let committed = std::fs::read_to_string(&page).unwrap_or_default();
    let lines = committed.lines().zip(written.lines());
    let first = lines.clone().find(|(there, here)| there != here);
    assert!(
        committed == written,
        "tests/closure.md is not what was found; {} is. RESCIND_WRITE_CLOSURE=1 writes it anew. \
         First difference: {first:?}",
        found.display()
    );
}
