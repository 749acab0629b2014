//! A host with all chains and decoys on it, and the agent's program.

use rescind_tests::{Host, Release, agent_binary};
use serde_json::Value;

/// An account, what is set up for it, and how it tries to become root.
pub struct Case {
    pub account: &'static str,
    /// Other accounts that it needs; their names.
    pub others: &'static [&'static str],
    /// What an administrator did, run as root.
    pub setup: &'static str,
    /// What the account does at first.
    pub begin: &'static str,
    /// What it does when cron and timers have had their turn: root's shell prints 0.
    pub end: &'static str,
    /// What has to be told of it; nothing of a decoy.
    pub links: Vec<Link>,
}

/// A step of a chain.
pub struct Link {
    pub means: &'static str,
    pub to: &'static str,
    pub sure: &'static str,
    /// Its file and line; empty where it has none.
    pub place: &'static str,
}

/// A step that can surely be taken.
pub const fn link(means: &'static str, to: &'static str, place: &'static str) -> Link {
    Link {
        means,
        to,
        sure: "yes",
        place,
    }
}

/// The same, less surely.
pub const fn perhaps(
    means: &'static str,
    to: &'static str,
    sure: &'static str,
    place: &'static str,
) -> Link {
    Link {
        means,
        to,
        sure,
        place,
    }
}

pub struct Stage {
    host: Host,
}

/// What all of them share: who may use su and newgrp, a second sshd, hosts that are believed, a place for marks.
const COMMON: &str = "
mkdir -m 1777 /var/runs
mkdir -p /srv /etc/ssh/keys /etc/systemd/system/timers.target.wants
groupadd suers
groupadd newgrpers; chgrp newgrpers /usr/bin/newgrp; chmod 4750 /usr/bin/newgrp
sed -i '/pam_rootok/a auth required pam_wheel.so group=suers' /etc/pam.d/su
printf 'HostbasedAuthentication yes\\nIgnoreRhosts no\\nUseDNS no\\n' >>/etc/ssh/sshd_config
sed \"s/^/127.0.0.1 /\" /etc/ssh/ssh_host_*_key.pub >/etc/ssh/ssh_known_hosts
printf 'EnableSSHKeysign yes\\nHostbasedAuthentication yes\\n' >/etc/ssh/ssh_config
printf 'Port 2222\\nUsePAM yes\\nStrictModes no\\nAuthorizedKeysFile /etc/ssh/keys/%%u\\nPidFile /run/sshd2.pid\\n' >/etc/ssh/sshd_second
";

/// After everything is set up.
const START: &str = "

systemctl daemon-reload
systemctl restart ssh
/usr/sbin/sshd -f /etc/ssh/sshd_second
systemctl start timers.target
for unit in /etc/systemd/system/timers.target.wants/*; do systemctl start $(basename $unit); done
";

/// Cron's turn: its `@reboot` jobs run when it has not run since the boot.
const TIME_PASSES: &str = "rm -f /run/crond.reboot; systemctl restart cron";

impl Stage {
    pub fn set(release: Release, chains: &[Case], decoys: &[Case]) -> Self {
        let host = Host::boot(release);
        host.install_doas_and_polkit();
        host.push_file(&agent_binary(), "/usr/local/sbin/rescind-agent", "0755");
        let mut accounts = String::new();
        let mut uid = 3000;
        for case in chains.iter().chain(decoys) {
            for name in std::iter::once(&case.account).chain(case.others) {
                uid += 1;
                accounts.push_str(&format!(
                    "echo '{name}:x:{uid}:{uid}::/home/{name}:/bin/bash' >>/etc/passwd\n\
                     echo '{name}:!:19000::::::' >>/etc/shadow\n\
                     echo '{name}:x:{uid}:' >>/etc/group\necho '{name}:!::' >>/etc/gshadow\n\
                     install -d -m 755 -o {uid} -g {uid} /home/{name}\n"
                ));
            }
        }
        let setups = chains.iter().chain(decoys).map(|case| case.setup);
        let script = format!(
            "set -e\n{accounts}{COMMON}\n{}\n{START}",
            setups.collect::<Vec<_>>().join("\n")
        );
        host.run(&script).ok();
        Self { host }
    }

    /// What the agent says of each.
    pub fn explain(&self, accounts: &[&str]) -> Vec<Value> {
        let asked = accounts
            .iter()
            .map(|account| format!("rescind-agent explain {account} --json"));
        let said = self.host.run(&asked.collect::<Vec<_>>().join(" && "));
        let said = said.ok().text();
        said.lines()
            .map(|line| serde_json::from_str(line).expect("an explanation in JSON"))
            .collect()
    }

    /// What each prints in the end.
    pub fn walk(&self, cases: &[Case]) -> Vec<String> {
        let asked = |case: &Case, what: &str| {
            format!(
                "setpriv --reuid {0} --regid {0} --init-groups env -i HOME=/home/{0} USER={0} \
                 LOGNAME={0} PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin bash -c '{what}' 2>/dev/null",
                case.account
            )
        };
        for case in cases.iter().filter(|case| !case.begin.is_empty()) {
            self.host.run(&asked(case, case.begin));
        }
        self.host.run(TIME_PASSES).ok();
        let end = |case: &Case| self.host.run(&asked(case, case.end)).text();
        cases.iter().map(end).collect()
    }
}

/// Waits for a mark that root's shell leaves.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        concat!(
            "for i in $(seq 80); do [ -s /var/runs/",
            $name,
            " ] && break; sleep 0.1; done; cat /var/runs/",
            $name
        )
    };
}

/// A timer and its service, ten times a second.
#[macro_export]
macro_rules! timer {
    ($name:literal, $service:literal) => {
        concat!(
            "printf '[Service]\\nType=oneshot\\n",
            $service,
            "\\n' >/etc/systemd/system/",
            $name,
            ".service\n",
            "printf '[Timer]\\nOnActiveSec=0\\nOnUnitInactiveSec=500ms\\nAccuracySec=10ms\\n' ",
            ">/etc/systemd/system/",
            $name,
            ".timer\n",
            "ln -s ../",
            $name,
            ".timer /etc/systemd/system/timers.target.wants/\n"
        )
    };
}
