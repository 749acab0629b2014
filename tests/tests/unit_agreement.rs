//! As whom systemd says its units run, and what we say: units with drop-ins, aliases, masks,
//! templates and links to elsewhere, made at random.

use rescind_tests::{Host, Package, Release, deb};
use serde_json::Value;
use std::collections::BTreeSet;

rescind_tests::on_each_release!(units_run_as_whom_systemd_says);

const ACCOUNTS: usize = 8;
const UNITS: usize = 150;

fn units_run_as_whom_systemd_says(release: Release) {
    let host = Host::boot(release);
    host.install_deb(&deb(Package::Agent)).ok();
    let mut random = Random(0x2545_F491_4F6C_DD1D ^ release as u64);
    let mut script = String::from("set -e\n");
    for account in 0..ACCOUNTS {
        script += &format!("useradd -M -s /bin/sh u{account}\n");
    }
    let mut asked = BTreeSet::new();
    for unit in 0..UNITS {
        random.unit(unit, &mut script, &mut asked);
    }
    script += "systemctl daemon-reload\n";
    host.run_with("sh -s", script.as_bytes()).ok();

    // An alias is shown by the name of what it stands for.
    let names: Vec<&str> = asked.iter().map(String::as_str).collect();
    let show = format!(
        "systemctl show -p Id -p User -p LoadState {} | paste -s -d ' ' | sed 's/  /\\n/g'",
        names.join(" ")
    );
    let mut theirs = BTreeSet::new();
    for line in host.run(&show).ok().text().lines() {
        let value = |key: &str| {
            let mut words = line.split(' ').filter_map(|word| word.strip_prefix(key));
            words.next().unwrap_or_default().to_owned()
        };
        if value("LoadState=") == "loaded" && value("User=").starts_with('u') {
            theirs.insert((value("Id="), value("User=")));
        }
    }
    let paths = host.run("rescind-agent paths --json").ok().json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (mut ours, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for path in paths.as_array().into_iter().flatten() {
        if path["mechanism"] == "systemd_unit" && text(&path["account"]).starts_with('u') {
            let reason = text(&path["reason"]);
            let mut words = reason.split(' ').filter(|word| word.ends_with(".service"));
            let unit = words.next().unwrap_or_default().to_owned();
            match path["state"] == "unknown" {
                true => unknown.insert((unit, text(&path["account"]))),
                false => ours.insert((unit, text(&path["account"]))),
            };
        }
    }
    let missed = theirs
        .difference(&ours)
        .filter(|one| !unknown.contains(one));
    let missed: Vec<_> = missed.collect();
    assert!(unknown.len() < UNITS / 4, "{unknown:?}");
    let made_up: Vec<_> = ours.difference(&theirs).collect();
    assert!(
        missed.is_empty() && made_up.is_empty(),
        "of {}: missed {missed:?}, made up {made_up:?}",
        theirs.len()
    );
    assert!(
        theirs.len() > UNITS / 3,
        "only {} run as somebody",
        theirs.len()
    );
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn directory(&mut self) -> &'static str {
        self.pick(&[
            "/etc/systemd/system",
            "/run/systemd/system",
            "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",
        ])
    }

    /// `User=` as people write it, and what stands around it.
    fn text(&mut self, instance: bool) -> String {
        let account = self.below(ACCOUNTS);
        let user = match self.below(8) {
            0 => "User=\n".to_owned(),
            1 => String::new(),
            2 => format!("User=nobody\nUser=u{account}\n"),
            3 => format!("  User = u{account}  \n"),
            4 if instance => "User=%i\n".to_owned(),
            5 => format!("User=\\\n  u{account}\n"),
            _ => format!("User=u{account}\n"),
        };
        format!("# x\n[Unit]\nDescription=x\n[Service]\n; User=root\n{user}")
    }

    fn put(path: &str, text: &str, script: &mut String) {
        let quoted = text.replace('\'', "");
        script.push_str(&format!(
            "mkdir -p \"$(dirname {path})\"; printf '%s' '{quoted}' >{path}\n"
        ));
    }

    fn unit(&mut self, number: usize, script: &mut String, asked: &mut BTreeSet<String>) {
        let template = self.below(4) == 0;
        let stem = format!("{}{number}", self.pick(&["t", "t-x-", "t-"]));
        let at = if template { "@" } else { "" };
        let file = format!("{stem}{at}.service");
        let unit = match template {
            true => format!("{stem}@u{}.service", self.below(ACCOUNTS)),
            false => file.clone(),
        };
        asked.insert(unit.clone());
        let run = "ExecStart=/bin/true\n";
        let text = self.text(template) + run;
        match self.below(10) {
            // Elsewhere, and linked.
            0 => {
                Self::put(&format!("/opt/units/{file}"), &text, script);
                script.push_str(&format!(
                    "ln -s /opt/units/{file} /etc/systemd/system/{file}\n"
                ));
            }
            1 => {
                Self::put(&format!("/usr/lib/systemd/system/{file}"), &text, script);
                script.push_str(&format!("ln -s /dev/null /run/systemd/system/{file}\n"));
            }
            2 => {
                Self::put(&format!("/usr/lib/systemd/system/{file}"), &text, script);
                Self::put(&format!("/etc/systemd/system/{file}"), "", script);
            }
            // Twice: one hides the other.
            3 => {
                for _ in 0..2 {
                    let text = self.text(template) + run;
                    Self::put(&format!("{}/{file}", self.directory()), &text, script);
                }
            }
            _ => Self::put(&format!("{}/{file}", self.directory()), &text, script),
        }
        if self.below(4) == 0 && !template {
            let alias = format!("alias{number}.service");
            script.push_str(&format!(
                "ln -s {file} /etc/systemd/system/{alias} || true\n"
            ));
            script.push_str(&format!(
                "test -e /etc/systemd/system/{alias} || ln -sf $(ls /*/systemd/system/{file} \
                 /usr/*/systemd/system/{file} /usr/local/lib/systemd/system/{file} 2>/dev/null | \
                 head -1) /etc/systemd/system/{alias}\n"
            ));
            if self.below(2) == 0 {
                let path = format!("/etc/systemd/system/{alias}.d/50-x.conf");
                Self::put(&path, &self.text(false), script);
            }
        }
        for _ in 0..self.below(3) {
            let of = match self.below(6) {
                0 if template => format!("{stem}@.service"),
                1 if stem.starts_with("t-x-") => "t-x-.service".into(),
                2 if stem.starts_with("t-x-") => "t-x-@.service".into(),
                _ => unit.clone(),
            };
            let name = self.pick(&["10-a.conf", "20-b.conf", "30-c.conf", "40-d.txt"]);
            let text = self.text(template);
            Self::put(
                &format!("{}/{of}.d/{name}", self.directory()),
                &text,
                script,
            );
        }
        if template || self.below(2) == 0 {
            let wants = "/etc/systemd/system/multi-user.target.wants";
            script.push_str(&format!(
                "mkdir -p {wants}; ln -sf /somewhere/{file} {wants}/{unit}\n"
            ));
        }
    }
}
