//! What runs later without anybody logging in: as long as alice is there it runs; when she is gone
//! it does not, or the outcome says which still does.

use crate::stage::{PATIENCE, Stage};
use rescind_tests::{Account, Host, Release, Request, wait_for};
use serde_json::Value;
use std::time::Duration;

rescind_tests::on_each_release!(
    jobs_and_managers_stop,
    a_unit_that_runs_as_the_account_is_named,
    sudo_refuses_as_it_is_told,
    root_by_other_means_is_seen,
);

/// A minute, and what a busy machine needs.
const A_MINUTE: Duration = Duration::from_secs(90);

/// How often something has run.
fn runs(host: &Host, what: &str) -> usize {
    let count = format!("cat /var/runs/{what} 2>/dev/null | wc -l");
    host.run(&count).ok().text().parse().unwrap_or_default()
}

/// The ways by one mechanism, each as `state source reason`.
fn by(stage: &Stage, account: &str, mechanism: &str) -> Vec<String> {
    let asked = format!("rescind-agent paths --account {account} --json");
    let paths = stage.host.run(&asked).ok().json();
    in_words(&paths, mechanism)
}

fn in_words(paths: &Value, mechanism: &str) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let paths = paths.as_array().into_iter().flatten();
    paths
        .filter(|path| path["mechanism"] == mechanism)
        .map(|path| {
            let (file, line) = (&path["source"]["file"], &path["source"]["line"]);
            let line = line
                .as_u64()
                .map_or_else(String::new, |line| format!(":{line}"));
            let (state, reason) = (text(&path["state"]), text(&path["reason"]));
            format!("{state} {}{line} {reason}", text(file))
        })
        .collect()
}

/// The paths of the outcome of an order, by mechanism.
fn outcome(order: &rescind_tests::Order<'_>, mechanism: &str) -> Vec<String> {
    in_words(&order.show()["result"]["paths"], mechanism)
}

fn jobs_and_managers_stop(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.run("mkdir -m 1777 /var/runs").ok();
    for who in ["alice", "bob"] {
        let table = format!("# mine\n* * * * * echo x >>/var/runs/cron.{who}\n");
        host.run_with(&format!("crontab -u {who} -"), table.as_bytes())
            .ok();
        let line = format!("* * * * * {who} echo x >>/var/runs/crond.{who}\n");
        host.write_file(&format!("/etc/cron.d/job-{who}"), line.as_bytes(), "0644");
        for minutes in [1, 2] {
            let job = format!("echo x >>/var/runs/at.{who}\n");
            let at = format!(
                "cd / && setpriv --reuid {who} --regid {who} --init-groups at now + {minutes} minutes 2>&1"
            );
            host.run_with(&at, job.as_bytes()).ok();
        }
        let unit = format!(
            "[Service]\nExecStart=/bin/sh -c 'while :; do echo x >>/var/runs/unit.{who}; sleep 1; done'\n\
             Restart=always\n[Install]\nWantedBy=default.target\n"
        );
        let units = format!("/home/{who}/.config/systemd/user");
        host.run(&format!("mkdir -p {units}/default.target.wants"))
            .ok();
        host.write_file(&format!("{units}/tick.service"), unit.as_bytes(), "0644");
        host.run(&format!(
            "ln -s ../tick.service {units}/default.target.wants/ && chown -R {who}: /home/{who}/.config && \
             systemd-run --quiet --wait loginctl enable-linger {who} && \
             systemctl restart user@$(id -u {who}).service"
        ))
        .ok();
    }

    // What comes in the second in which cron looks, behind its back, it does not see until the next
    // change: it compares whole seconds.
    host.run("sleep 1.1; touch /var/spool/cron/crontabs /etc/cron.d")
        .ok();

    // As long as they are there.
    assert_eq!(
        by(&stage, "alice", "crontab"),
        [
            "open /var/spool/cron/crontabs/alice:5 a job runs: * * * * *",
            "open /etc/cron.d/job-alice:1 a job runs: * * * * *",
        ]
    );
    let jobs = by(&stage, "alice", "at_job");
    assert!(
        jobs.len() == 2 && jobs.iter().all(|job| job.starts_with("open ")),
        "{jobs:?}"
    );
    let units = by(&stage, "alice", "systemd_user_unit");
    assert!(
        units.len() == 2
            && units[0].starts_with("open /var/lib/systemd/linger/alice it lingers")
            && units[1]
                .starts_with("open /home/alice/.config/systemd/user/tick.service its systemd runs"),
        "{units:?}"
    );
    for what in ["cron", "crond", "at", "unit"] {
        for who in ["alice", "bob"] {
            wait_for(&format!("{what} of {who}"), A_MINUTE, || {
                (runs(host, &format!("{what}.{who}")) > 0).then_some(())
            });
        }
    }

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    let seen = ["cron", "crond", "at", "unit"].map(|what| runs(host, &format!("{what}.alice")));
    for mechanism in ["crontab", "at_job", "systemd_user_unit"] {
        let closed = outcome(&order, mechanism);
        assert!(
            !closed.is_empty()
                && closed
                    .iter()
                    .all(|path| path.starts_with("closed ") && path.contains("expired since day 1")),
            "{closed:?}"
        );
    }
    assert_eq!(stage.not_closed("alice"), Vec::<Value>::new());

    // The next minute comes for bob alone.
    let bobs = runs(host, "cron.bob");
    for what in ["cron", "crond", "at"] {
        let before = if what == "at" { 1 } else { bobs };
        wait_for(&format!("{what} of bob again"), A_MINUTE, || {
            (runs(host, &format!("{what}.bob")) > before).then_some(())
        });
    }
    // Not even when root asks, and not at the next boot.
    assert!(
        !host
            .run("systemctl start user@$(id -u alice).service")
            .succeeded()
    );
    host.reboot();
    wait_for("bob's manager after the boot", PATIENCE, || {
        host.run("systemctl is-active user@$(id -u bob).service")
            .succeeded()
            .then_some(())
    });
    assert!(
        !host
            .run("systemctl is-active user@$(id -u alice).service")
            .succeeded()
    );
    let now = ["cron", "crond", "at", "unit"].map(|what| runs(host, &format!("{what}.alice")));
    assert_eq!(now, seen);
    assert_eq!(Account::existing(host, "alice").processes(), 0);
}

fn a_unit_that_runs_as_the_account_is_named(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.run("mkdir -m 1777 /var/runs; groupadd -r svc; useradd -r -g svc svc")
        .ok();
    let service = |user: &str, more: &str| {
        format!(
            "[Service]\nExecStart=/bin/sh -c 'echo x >>/var/runs/%n; exec sleep 1000'\n\
             Restart=always\nRestartSec=1\nUser={user}\n{more}[Install]\nWantedBy=multi-user.target\n"
        )
    };
    for (name, text) in [
        ("agent@.service", service("%i", "")),
        ("pam.service", service("alice", "PAMName=cron\n")),
        ("off.service", service("alice", "")),
        ("svc.service", service("svc", "")),
        ("other.service", service("bob", "")),
        (
            "other.service.d/user.conf",
            "[Service]\nUser=\nUser=alice\n".into(),
        ),
    ] {
        host.run("mkdir -p /etc/systemd/system/other.service.d")
            .ok();
        host.write_file(
            &format!("/etc/systemd/system/{name}"),
            text.as_bytes(),
            "0644",
        );
    }
    host.run(
        "systemctl daemon-reload && systemctl enable --now agent@alice pam other svc && \
         systemctl is-active agent@alice pam other svc",
    )
    .ok();
    assert_eq!(
        by(&stage, "alice", "systemd_unit"),
        [
            "open /etc/systemd/system/agent@.service:5 agent@alice.service runs as the account, \
             enabled for multi-user.target in /etc/systemd/system",
            "open /etc/systemd/system/other.service.d/user.conf:3 other.service runs as the \
             account, enabled for multi-user.target in /etc/systemd/system",
            "open /etc/systemd/system/pam.service:5 pam.service runs as the account, enabled for \
             multi-user.target in /etc/systemd/system",
            "closed /etc/systemd/system/off.service:5 off.service is not enabled, only root starts it",
        ]
    );

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    let told = outcome(&order, "systemd_unit");
    let open: Vec<&String> = told
        .iter()
        .filter(|path| path.starts_with("open "))
        .collect();
    assert!(
        open.len() == 2 && open[0].contains("agent@alice") && open[1].contains("other.service"),
        "{told:?}"
    );
    // It is so: systemd asks nobody, unless the unit has it ask PAM.
    let before = ["agent@alice", "other", "pam"].map(|unit| runs(host, &format!("{unit}.service")));
    host.run("systemctl reset-failed; systemctl restart agent@alice other; systemctl restart pam")
        .ok();
    wait_for("the units to run again", PATIENCE, || {
        let after = ["agent@alice", "other"].map(|unit| runs(host, &format!("{unit}.service")));
        (after[0] > before[0] && after[1] > before[1]).then_some(())
    });
    assert_eq!(runs(host, "pam.service"), before[2]);

    // Once they are masked, all is closed.
    host.run("systemctl disable --now agent@alice other").ok();
    wait_for("all to be closed", PATIENCE, || {
        stage.not_closed("alice").is_empty().then_some(())
    });

    // A service's own account is no person: closing its logins leaves the service be.
    let order = control.revoke_account(&stage.id, "svc", Request::default());
    let verdict = order.concluded(PATIENCE);
    assert!(
        matches!(verdict.as_str(), "verified" | "already"),
        "{}",
        order.show()
    );
    assert_eq!(host.run("systemctl is-active svc").ok().text(), "active");
    assert!(by(&stage, "svc", "systemd_unit")[0].starts_with("open "));
}

fn sudo_refuses_as_it_is_told(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.write_file(
        "/etc/sudoers.d/us",
        b"alice ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL\n",
        "0440",
    );
    // Whoever is left as alice: nobody should, but what if.
    let sudo = |options: &str| {
        host.run(&format!(
            "setpriv --reuid alice --regid alice --init-groups sudo -n {options} id -u"
        ))
    };
    let any = "sudo lets it run any command as anybody";
    assert_eq!(sudo("").ok().text(), "0");
    assert_eq!(
        by(&stage, "alice", "sudo"),
        [format!(
            "open /etc/sudoers.d/us:1 {any}, without a password"
        )]
    );
    // bob has no password that could be asked.
    let none = "closed /etc/sudoers.d/us:2 it asks for its password, and none can match";
    assert_eq!(by(&stage, "bob", "sudo"), [none]);
    let bob = Account::existing(host, "bob").password("bobs");
    assert_eq!(
        by(&stage, bob.name(), "sudo"),
        [format!(
            "open /etc/sudoers.d/us:2 {any}, with its own password"
        )]
    );

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    let told = outcome(&order, "sudo");
    assert!(
        told.len() == 1
            && told[0].starts_with("closed ")
            && told[0].contains("expired since day 1"),
        "{told:?}"
    );
    assert!(!sudo("").succeeded() && !sudo("-i").succeeded());

    // Where sudo's own stack does not mind, the rule is open, and is said to be.
    host.run("sed -i '/common-account/d' /etc/pam.d/sudo && echo 'account required pam_permit.so' >>/etc/pam.d/sudo")
        .ok();
    assert_eq!(sudo("").ok().text(), "0");
    let open = by(&stage, "alice", "sudo");
    assert!(
        open.len() == 1
            && open[0].starts_with("open ")
            && open[0].contains("PAM service sudo lets expired accounts pass"),
        "{open:?}"
    );
}

fn root_by_other_means_is_seen(release: Release) {
    let stage = Stage::set(release);
    let (host, control) = (&stage.host, &stage.control);
    host.install_doas_and_polkit();
    host.run(
        "groupadd ops; groupadd -r docker; usermod -aG docker alice; \
         printf 'ops:let us in\\n' | chgpasswd; gpasswd -A alice ops; \
         mkdir -p /etc/polkit-1/rules.d; \
         printf 'permit nopass alice as root\\n' >/etc/doas.conf",
    )
    .ok();
    host.write_file(
        "/etc/polkit-1/rules.d/10-us.rules",
        b"polkit.addRule(function(action, subject) {\n  if (subject.user == \"alice\") return polkit.Result.YES;\n});\n",
        "0644",
    );
    host.run("useradd -o -u $(id -u alice) -g alice -M -d /home/alice -s /bin/bash twin")
        .ok();
    let twin = Account::existing(host, "twin").password("twins");
    // newgrp asks and lets in: what is said of it is so.
    let entered = host.run(
        "(sleep 2; echo let us in) | setpriv --reuid bob --regid bob --init-groups \
         script -qec 'sg ops -c \"id -gn\"' /dev/null",
    );
    assert!(entered.text().contains("\nops"), "{entered:?}");

    let all = |state: &str| {
        for (mechanism, count) in [
            ("root_equivalent_group", 1),
            ("group_password", 2),
            ("doas", 1),
        ] {
            let paths = by(&stage, "alice", mechanism);
            let fits = paths.iter().all(|path| path.starts_with(state));
            assert!(paths.len() == count && fits, "{mechanism}: {paths:?}");
        }
    };
    all("open ");
    // The polkit of bullseye runs no rules.
    let polkit = match release {
        Release::Bullseye => &[][..],
        _ => &["/etc/polkit-1/rules.d/10-us.rules:2 polkit lets it do anything without a password"],
    };
    let told: Vec<String> = polkit.iter().map(|rule| format!("open {rule}")).collect();
    assert_eq!(by(&stage, "alice", "polkit"), told);
    let doas = "setpriv --reuid alice --regid alice --init-groups doas id -u";
    assert_eq!(host.run(doas).ok().text(), "0");
    assert!(by(&stage, "alice", "shared_uid")[0].contains("twin has the same uid"));

    let order = control.revoke_account(&stage.id, "alice", Request::default());
    assert_eq!(order.concluded(PATIENCE), "partial", "{}", order.show());
    all("closed ");
    let told = by(&stage, "alice", "polkit");
    assert!(told.len() == polkit.len() && told.iter().all(|path| path.starts_with("closed ")));
    assert!(!host.run(doas).succeeded());
    let shared = outcome(&order, "shared_uid");
    assert!(
        shared.len() == 1 && shared[0].starts_with("open ") && shared[0].contains("password"),
        "{shared:?}"
    );
    assert!(twin.shadow().contains("$"));

    let order = control.revoke_account(&stage.id, "twin", Request::default());
    assert_eq!(order.concluded(PATIENCE), "verified", "{}", order.show());
    assert_eq!(stage.not_closed("alice"), Vec::<Value>::new());
}
