//! A key in every place that sshd can be told to look: seen, taken out by one order, and then of
//! no use to the real client.
//!
//! For each place, on each release: the key lets alice in, `rescind-agent paths` names every line
//! of it and `sshd -T` the same files, `rescind revoke key` ends verified, all copies are gone and
//! nothing else in the files, `paths` has no line of it left open, the login is refused, and bob,
//! whose key stands in the same files, gets in as before.

/// The places.
mod places;
/// The host and the story.
mod stage;

use std::time::Instant;

use rescind_tests::{Account, ControlPlane, Host, Key, Package, Release, deb};

use places::PLACES;
use stage::Stage;

#[test]
fn a_key_is_found_and_closed_wherever_it_lies_on_bullseye() {
    every_place(Release::Bullseye);
}

#[test]
fn a_key_is_found_and_closed_wherever_it_lies_on_bookworm() {
    every_place(Release::Bookworm);
}

#[test]
fn a_key_is_found_and_closed_wherever_it_lies_on_trixie() {
    every_place(Release::Trixie);
}

fn every_place(release: Release) {
    let host = Host::of(release).boot();
    let control = ControlPlane::start();
    host.install_deb(&deb(Package::Agent)).ok();
    // A key in a file for all is one of every account, down to nobody: as packaged, the host
    // refuses to take it from so many at once.
    host.run(
        "sed -i 's/^blast-radius-accounts.*/blast-radius-accounts = 1000/' /etc/rescind/agent.toml",
    )
    .ok();
    let stage = Stage {
        id: control.enrol(&host),
        alice: Account::create(&host, "alice"),
        bob: Account::create(&host, "bob"),
        bobs: Key::ed25519("bob@laptop"),
        built: host.read_file("/etc/ssh/sshd_config"),
        host: &host,
        control: &control,
    };
    host.run("gpasswd -a alice staff && gpasswd -a bob staff")
        .ok();
    let begin = Instant::now();
    for place in &PLACES {
        let took = stage.try_place(place);
        println!("{release}: {}: verified after {took:.1} ms", place.name);
    }
    println!(
        "{release}: {} places in {:.0?}",
        PLACES.len(),
        begin.elapsed()
    );
}
