//! Somebody keeps putting back what was revoked: it is closed again each time, told as contested after
//! the third, and costs little.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Release, Request, wait_for};

rescind_tests::on_each_release!(what_is_put_back_each_second_is_closed_each_time);

/// How often it is put back, once a second.
const fn times(release: Release) -> usize {
    match release {
        Release::Bookworm => 60,
        _ => 15,
    }
}

/// Puts back the key, the line of shadow(5) and the file of sudo, and then looks every five
/// milliseconds how long each of them stays: one line per second, in milliseconds, exact to ten.
const FIGHT: &str = r#"
use strict;
my ($key, $own) = ('/home/alice/.ssh/authorized_keys', '/etc/sudoers.d/zzzz-rescind');
sub content { open my $file, '<', $_[0] or return ''; local $/; return <$file> // '' }
sub now { content('/proc/uptime') =~ /^([0-9.]+)/; return $1 }
sub pause { select undef, undef, undef, $_[0] }
sub replace {
    my ($path, $content) = @_;
    my @is = stat $path;
    open my $new, '>', "$path.new" or die; print $new $content; close $new;
    chown $is[4], $is[5], "$path.new"; chmod $is[2] & 07777, "$path.new";
    rename "$path.new", $path or die;
}
my $was = content("/root/was$key");
my ($line) = content('/root/was/etc/shadow') =~ /^(alice:.*)$/m;
$| = 1;
for (1 .. $ARGV[0]) {
    my $begun = now();
    replace($key, $was);
    (my $shadow = content('/etc/shadow')) =~ s/^alice:.*$/$line/m;
    replace('/etc/shadow', $shadow);
    unlink $own;
    my @took;
    while (now() - $begun < 0.95 && grep { !defined $took[$_] } 0 .. 2) {
        my @closed = (content($key) ne $was, content('/etc/shadow') !~ /^\Q$line\E$/m,
                      content($own) =~ /^alice ALL=\(ALL:ALL\) !ALL$/m);
        $took[$_] //= $closed[$_] ? int((now() - $begun) * 1000) : undef for 0 .. 2;
        pause(0.005);
    }
    print join(' ', map { $_ // 'None' } @took[0 .. 2]), "\n";
    my $left = $begun + 1 - now();
    pause($left) if $left > 0;
}
"#;

fn what_is_put_back_each_second_is_closed_each_time(release: Release) {
    let times = times(release);
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.write_file(
        "/etc/sudoers.d/alice",
        b"alice ALL=(ALL) NOPASSWD: ALL\n",
        "0440",
    );
    host.run(
        "cd / && mkdir /root/was && \
         cp --parents /etc/shadow /etc/sudoers.d/alice /home/alice/.ssh/authorized_keys /root/was",
    )
    .ok();
    host.write_file("/root/fight.pl", FIGHT.as_bytes(), "0700");
    // Root has another way in, so that sudo can be taken from alice.
    host.run("mkdir -p -m 700 /root/.ssh").ok();
    rescind_tests::Account::existing(host, "root").authorize(&stage.bobs);
    let orders = [
        control.revoke_sudo(&stage.id, "alice", Request::default()),
        control.revoke_account(&stage.id, "alice", Request::default()),
    ];
    for order in &orders {
        assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    }

    let used = || {
        let units = ["agent", "link"].map(|half| {
            let file = format!("/sys/fs/cgroup/system.slice/rescind-{half}.service/cpu.stat");
            let text = host
                .run(&format!("sed -n 's/^usage_usec //p' {file}"))
                .ok()
                .text();
            text.parse::<u64>().expect("microseconds")
        });
        units.iter().sum::<u64>()
    };
    let before = used();
    let fought = host
        .run(&format!("perl /root/fight.pl {times}"))
        .ok()
        .text();
    let spent = used() - before;

    let mut took: Vec<u32> = Vec::new();
    for line in fought.lines() {
        assert!(
            !line.contains("None"),
            "not closed within a second: {fought}"
        );
        took.extend(
            line.split(' ')
                .map(|ms| ms.parse::<u32>().expect("milliseconds")),
        );
    }
    assert_eq!(took.len(), 3 * times, "{fought}");
    took.sort_unstable();
    let percent = spent as f64 / (times as f64 * 10_000.0);
    println!(
        "put back {times} times: closed after {} ms (median), {} ms at most; {percent:.1} % of a core",
        took[took.len() / 2],
        took[took.len() - 1],
    );

    // Both were told as contested, with the files, and are closed.
    for (order, file) in orders.iter().zip(["zzzz-rescind", "authorized_keys"]) {
        assert_eq!(stage.times("contested", order.id()), 1);
        let told = order.until("contested", PATIENCE).to_string();
        assert!(told.contains(file), "{told}");
    }
    wait_for("all to be closed", PATIENCE, || {
        stage.not_closed("alice").is_empty().then_some(())
    });
    assert!(stage.alice().attempt().is_refused());
    stage.chain_is_whole();
}
