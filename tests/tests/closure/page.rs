//! The page.

use std::fmt::Write as _;

use super::route::{Cell, Fate, On, Route};

const HEAD: &str = "# Closure matrix

Every way in that a person can keep on these hosts, each tried for real on each of them, before and
after `disable account`. Written by the test `closure` (`tests/tests/closure/`) from what its
attempts came to; not by hand.

Each row has an account of its own that has this way in and no other. The attempt before has to
succeed, otherwise the row does not count on that host; then the account is disabled by an order
of the control plane, and the same attempt is made again.

- **closed**: it worked before, it does not work after.
- **closed, named**: the same, but the outcome of the order still calls it open or unknown, by the
  mechanism told: more than had to be said.
- **named open**: it works after, and the outcome is `partial` or `unverified` and says so, by the
  mechanism told.
- **–**: it does not work on this host, disabled or not; the reason is a note.

A way in that works after and is not named would be a silent open; the test fails when there is one.
Numbers (B1 …) are those of the catalogue of ways in that the rows are taken from.
";

const FOOT: &str = "
After the attempts every order is released: account files, key files and what else lies in the homes
and in the directories that rows use are then as they were before, byte for byte, with owner and mode (B42).

\"In a process that is left\" means that a process of the account is made by root for the attempt:
nobody else can make one any more. cron is restarted for its `@reboot` jobs, and at jobs are made due,
so that nobody waits for the next minute.

Not in the table: Kerberos (B7), services with passwords of their own (B31), homes on a network (B35)
and accounts of a directory (B37, B38), because these hosts have none of them. Files that run when somebody is
logged in as the account (B32): nobody is. Credentials that lie on the host (B34): they are no way in to it, and
are told by the inventory. What puts access back (B36, B44), and uids that are given again (B43), are no
ways that an order meets: other tests hold orders against the first, and no account is removed here.
";

/// The page, as Markdown.
pub fn write(hosts: &[On], routes: &[Route], columns: &[Vec<Cell>]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| | way in |");
    for on in hosts {
        write!(page, " {on} |").unwrap();
    }
    page.push_str("\n| --- | --- |");
    page.push_str(&" --- |".repeat(hosts.len()));
    page.push('\n');
    let mut notes: Vec<&str> = Vec::new();
    for route in in_order(routes) {
        write!(page, "| {} | {} |", route.hazard, route.what).unwrap();
        for column in columns {
            let cell = column.iter().find(|cell| cell.account == route.account);
            let words = match cell.map(|cell| &cell.fate) {
                Some(Fate::Absent(why)) => {
                    let nth = notes.iter().position(|note| note == why);
                    let nth = nth.unwrap_or_else(|| {
                        notes.push(why);
                        notes.len() - 1
                    });
                    format!("– ({})", nth + 1)
                }
                Some(Fate::Closed) => "closed".into(),
                Some(Fate::ClosedThoughNamed(how)) => format!("closed, named: {how}"),
                Some(Fate::NamedOpen(how)) => format!("named open: {how}"),
                Some(Fate::SilentOpen(_)) => "SILENT OPEN".into(),
                Some(Fate::Amiss(_)) | None => "?".into(),
            };
            write!(page, " {words} |").unwrap();
        }
        page.push('\n');
    }
    page.push('\n');
    for (nth, note) in notes.iter().enumerate() {
        writeln!(page, "{}. {note}", nth + 1).unwrap();
    }
    page.push_str(FOOT);
    write!(page, "\n{}\n", counts(columns)).unwrap();
    page
}

/// Routes in the order of the catalogue.
fn in_order(routes: &[Route]) -> Vec<&Route> {
    let mut routes: Vec<&Route> = routes.iter().collect();
    let number = |route: &&Route| route.hazard[1..].parse::<u32>().unwrap_or(u32::MAX);
    routes.sort_by_key(number);
    routes
}

/// How many of each.
pub fn counts(columns: &[Vec<Cell>]) -> String {
    let cells = || columns.iter().flatten();
    let count = |is: fn(&Fate) -> bool| cells().filter(|cell| is(&cell.fate)).count();
    format!(
        "{} routes on {} hosts, {} cells: {} closed, {} closed though named, {} named open, \
         {} not on the host, **{} silent opens**.",
        columns.first().map_or(0, Vec::len),
        columns.len(),
        cells().count(),
        count(|fate| matches!(fate, Fate::Closed)),
        count(|fate| matches!(fate, Fate::ClosedThoughNamed(_))),
        count(|fate| matches!(fate, Fate::NamedOpen(_))),
        count(|fate| matches!(fate, Fate::Absent(_))),
        count(|fate| matches!(fate, Fate::SilentOpen(_))),
    )
}
