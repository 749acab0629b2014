//! A host with its agent and its control plane, and the story of one place on it.

use std::time::Duration;

use rescind_tests::{Account, ControlPlane, Host, Key, Login, Order, Request, wait_for};

use super::places::Place;

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage<'h> {
    pub host: &'h Host,
    pub control: &'h ControlPlane,
    pub id: String,
    pub alice: Account<'h>,
    pub bob: Account<'h>,
    pub bobs: Key,
    /// sshd_config as the host was built.
    pub built: Vec<u8>,
}

/// A file before the order, and what must be left of it.
struct Copy {
    path: String,
    after: Vec<u8>,
    /// The lines of the key, from 1.
    lines: Vec<u64>,
    facts: String,
}

impl Stage<'_> {
    /// The whole story of one place; the milliseconds from order to verified.
    #[track_caller]
    pub fn try_place(&self, place: &Place) -> f64 {
        let what = place.name;
        // An order stands for as long as the host lives, so each place has a key of its own.
        let key = Key::ed25519("alice@laptop");
        self.configure(place);
        let copies = self.lay_keys(place, &key);
        let port = format!("Port={}", place.port);
        let login = Login::to(self.host, "alice").with(&key).option(&port);
        let bobs_login = Login::to(self.host, "bob").with(&self.bobs).option(&port);
        wait_for(&format!("{what}: sshd to read its files"), PATIENCE, || {
            login.attempt().is_in().then_some(())
        });
        assert!(bobs_login.attempt().is_in(), "{what}: bob before");

        let mut expected: Vec<(String, u64)> = Vec::new();
        for copy in &copies {
            expected.extend(copy.lines.iter().map(|line| (copy.path.clone(), *line)));
        }
        expected.sort();
        assert_eq!(self.open_lines(&key), expected, "{what}: paths before");
        let told = self.told_by_sshd(place);
        for copy in &copies {
            let path = copy.path.trim_start_matches("/home/alice/");
            assert!(told.contains(path), "{what}: sshd -T says {told}");
        }

        let order = self.revoke(&key);
        assert_eq!(
            order.concluded(PATIENCE),
            "verified",
            "{what}: {}",
            order.show()
        );
        for copy in &copies {
            let now = self.host.read_file(&copy.path);
            assert_eq!(
                now.escape_ascii().to_string(),
                copy.after.escape_ascii().to_string(),
                "{what}: {}",
                copy.path
            );
            assert_eq!(self.facts(&copy.path), copy.facts, "{what}: {}", copy.path);
        }
        assert_eq!(self.open_lines(&key), [], "{what}: paths after");
        let attempt = login.attempt();
        assert!(attempt.is_refused(), "{what}: after: {attempt:?}");
        assert!(bobs_login.attempt().is_in(), "{what}: bob after");
        order.ms_until("verified").unwrap_or(f64::NAN)
    }

    /// Has sshd look where the place says, and nowhere else but by default.
    #[track_caller]
    fn configure(&self, place: &Place) {
        let us = self.host.our_address().to_string();
        for (path, text) in place.included {
            let directory = path
                .rsplit_once('/')
                .map_or("/", |(directory, _)| directory);
            self.host.run(&format!("mkdir -p {directory}")).ok();
            self.host.write_file(path, text.as_bytes(), "0644");
        }
        let config = place.config.replace("{us}", &us);
        // The first value counts; a block of Match ends with the file.
        let (first, last) = match config.contains("Match") {
            true => (self.built.as_slice(), config.as_bytes()),
            false => (config.as_bytes(), self.built.as_slice()),
        };
        let text = [first, b"\n", last, b"\n"].concat();
        self.host.write_file("/etc/ssh/sshd_config", &text, "0644");
        self.host.run("sshd -t && systemctl reload ssh").ok();
        if place.port == 2200 {
            self.host
                .run(
                    "systemd-run --unit=sshd-other --property=KillMode=process \
                     /usr/sbin/sshd -D -f /etc/ssh/other_config",
                )
                .ok();
        }
    }

    /// Writes the key files of alice and bob.
    #[track_caller]
    fn lay_keys(&self, place: &Place, key: &Key) -> Vec<Copy> {
        let mut copies = Vec::new();
        for template in place.files {
            let shared = !template.contains('%');
            for account in [self.alice, self.bob] {
                let path = self.expand(template, account);
                let alices = account.name() == "alice";
                if shared && !alices {
                    continue;
                }
                let (text, lines) = match alices {
                    true => self.ugly(key),
                    false => (format!("{}\n", self.bobs.line()).into_bytes(), Vec::new()),
                };
                self.write_as(&path, &text, account, shared);
                if alices {
                    copies.push(Copy {
                        after: without(&text, &lines),
                        facts: self.facts(&path),
                        path,
                        lines,
                    });
                }
            }
        }
        copies
    }

    /// A file as people leave them, with the key on some of its lines. Bob's key is in it too.
    fn ugly(&self, key: &Key) -> (Vec<u8>, Vec<u64>) {
        let (mine, bobs) = (key.line(), self.bobs.line());
        let blob = mine.split(' ').nth(1).unwrap_or_default();
        let text = [
            b"# \xfcber alles; not UTF-8, \t with tabs  \r\n".to_vec(),
            format!("{mine}\n").into_bytes(),
            b"\n   \n".to_vec(),
            format!("{bobs}\n").into_bytes(),
            format!("command=\"echo \\\"a, b\\\" # c\",no-pty  ssh-ed25519\t{blob} again\r\n")
                .into_bytes(),
            b"this line is no key\n".to_vec(),
            format!("#{mine}\n").into_bytes(),
            format!("environment=\"A={blob}\" {bobs}\n").into_bytes(),
            format!("\t from=\"10.0.0.0/8\" {mine}").into_bytes(),
        ]
        .concat();
        (text, vec![2, 6, 10])
    }

    #[track_caller]
    fn write_as(&self, path: &str, text: &[u8], account: Account<'_>, shared: bool) {
        let name = account.name();
        let directory = path
            .rsplit_once('/')
            .map_or("/", |(directory, _)| directory);
        let script = format!(
            "mkdir -p \"{directory}\" && cat >\"{path}\" && \
             if {shared}; then chmod 0644 \"{path}\"; else \
             chown {name}:{name} \"{path}\"; chmod 0640 \"{path}\"; \
             case \"{directory}\" in /home/*) chown {name}:{name} \"{directory}\";; esac; fi"
        );
        self.host.run_with(&script, text).ok();
    }

    #[track_caller]
    fn facts(&self, path: &str) -> String {
        self.host
            .run(&format!("stat -c '%U:%G %a %h' \"{path}\""))
            .ok()
            .text()
    }

    #[track_caller]
    fn expand(&self, template: &str, account: Account<'_>) -> String {
        let uid = self
            .host
            .run(&format!("id -u {}", account.name()))
            .ok()
            .text();
        template
            .replace("%u", account.name())
            .replace("%U", &uid)
            .replace("%h", &account.home())
    }

    /// The files and lines by which the host's agent says that a key lets alice in, or that it
    /// cannot tell.
    #[track_caller]
    fn open_lines(&self, key: &Key) -> Vec<(String, u64)> {
        let paths = self
            .host
            .run("rescind-agent paths --account alice --open --json")
            .ok()
            .json();
        let paths = paths.as_array().cloned().unwrap_or_default();
        let of_key = paths
            .iter()
            .filter(|path| path["fingerprint"] == key.fingerprint() || path["state"] == "unknown");
        let mut lines: Vec<(String, u64)> = of_key
            .map(|path| {
                let source = &path["source"];
                (
                    source["file"].as_str().unwrap_or_default().to_owned(),
                    source["line"].as_u64().unwrap_or_default(),
                )
            })
            .collect();
        lines.sort();
        lines
    }

    /// The key files of which `sshd -T` says that it reads them for alice.
    #[track_caller]
    fn told_by_sshd(&self, place: &Place) -> String {
        let (us, host) = (self.host.our_address(), self.host.address());
        let config = match place.port {
            2200 => "-f /etc/ssh/other_config",
            _ => "",
        };
        let asked = format!(
            "sshd -T {config} -C user=alice,host={us},addr={us},laddr={host},lport={} \
             | grep -i '^authorizedkeysfile '",
            place.port
        );
        let told = self.host.run(&asked).ok().text();
        self.expand(&told, self.alice)
    }

    #[track_caller]
    fn revoke(&self, key: &Key) -> Order<'_> {
        self.control
            .revoke_key(&self.id, key.fingerprint(), Request::default())
    }
}

/// A text without some of its lines.
fn without(text: &[u8], lines: &[u64]) -> Vec<u8> {
    let all = (1u64..).zip(text.split_inclusive(|byte| *byte == b'\n'));
    let left = all.filter(|(number, _)| !lines.contains(number));
    left.flat_map(|(_, line)| line.to_vec()).collect()
}
