//! Somebody keeps trying to get in while the order is carried out and ever after.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Release, Request, wait_for};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

rescind_tests::on_each_release!(who_keeps_knocking_neither_gets_in_nor_hides_that_it_is_closed);

/// Clients that knock at once.
const CLIENTS: usize = 3;

fn who_keeps_knocking_neither_gets_in_nor_hides_that_it_is_closed(release: Release) {
    let stage = Stage::set(release);
    // sshd's own brakes, which would keep them waiting outside, are off.
    let config = "printf 'MaxStartups 100:30:200\nPerSourcePenalties no\n' \
                  >/etc/ssh/sshd_config.d/knock.conf; sshd -t 2>/dev/null || \
                  printf 'MaxStartups 100:30:200\n' >/etc/ssh/sshd_config.d/knock.conf; \
                  systemctl reload ssh";
    stage.host.run(config).ok();
    let (stop, closed) = (AtomicBool::new(false), AtomicBool::new(false));
    let (inside, late, refused) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let was_closed = closed.load(Ordering::SeqCst);
                    let attempt = stage.alice().attempt();
                    if attempt.is_refused() {
                        refused.fetch_add(1, Ordering::Relaxed);
                    } else if attempt.is_in() {
                        let count = if was_closed { &late } else { &inside };
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait_for("somebody to get in", PATIENCE, || {
            (inside.load(Ordering::Relaxed) > CLIENTS).then_some(())
        });
        let order = stage
            .control
            .revoke_account(&stage.id, "alice", Request::default());
        let verdict = order.concluded(PATIENCE);
        closed.store(true, Ordering::SeqCst);
        // Their knocking goes on and must not turn the proof, nor become drift.
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(200));
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(verdict, "verified", "{}", order.show());
        assert_eq!(stage.times("drift", order.id()), 0);
    });
    assert_eq!(late.into_inner(), 0, "got in after it was verified");
    assert!(refused.into_inner() > CLIENTS);
}
