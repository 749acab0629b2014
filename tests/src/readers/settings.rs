//! Settings of the agent and of the control plane, and small files and attributes of the host that
//! say little each: os-release, hostname, nsswitch.conf, access control lists, capabilities.

use rescind_agent::config::{Config, LinkUser, ServerAddress, Trust, host_name, os_name};

use rescind_agent::host::acl::{EXECUTE, Guarded, READ, WRITE};
use rescind_agent::host::capabilities;
use rescind_agent::sections::coverage;
use rescind_control::config::Config as ControlConfig;

use super::alice::{alice, root};
use super::scratch::Scratch;
use super::told::{is_told_in_lines, is_told_safely};
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "settings",
    read,
    words: &[
        "[ceiling]\n",
        "allow = [\"disable-account\", \"revoke-key\"]\n",
        "[guards]\n",
        "protected-accounts = [\"root\"]\n",
        "blast-radius-accounts = 5\n",
        "blast-radius-window-s = 3600\n",
        "[hold]\n",
        "survey-interval-s = 60\n",
        "contested-after = 3\n",
        "[link]\n",
        "heartbeat-s = 30\n",
        "[log]\n",
        "level = \"info\"\n",
        "host-id = \"00000000-0000-0000-0000-000000000000\"\n",
        "servers = [\"a.example:7443\"]\n",
        "server-name = \"a.example\"\n",
        "order-keys = [\"",
        "ca-sha256 = \"",
        "enrolled-at-ms = 1\n",
        "PRETTY_NAME=\"Debian\"\n",
        "rescind-link:x:999:999::/:/bin/false\n",
        "[::1]:7443",
        "\"\"\"",
        "'''",
        "[[",
        "= {",
        "2026-01-01T00:00:00Z",
        "18446744073709551615",
        "[agents]\n",
        "[operators]\n",
        "listen = \"[::]:7443\"\n",
        "passwd: files sss [NOTFOUND=return] systemd\n",
        "\x02\0\0\0",
        "\x02\0\x06\0",
        "\x10\0\x04\0",
        "\x01\0\0\x02",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/config",
        "agent/src/sections/coverage.rs",
        "control/src/config.rs",
    ],
};

fn read(bytes: &[u8]) {
    Scratch::with(|scratch| {
        agent_toml(scratch, bytes);
        trust_toml(scratch, bytes);
        host(scratch, bytes);
        control_toml(scratch, bytes);
    });
    attributes(bytes);
    for not_read in coverage::directories(bytes) {
        is_told_safely(&not_read.why);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        address(text.split('\n').next().unwrap_or_default());
    }
}

fn agent_toml(scratch: &Scratch, bytes: &[u8]) {
    scratch.put("etc/rescind/agent.toml", bytes);
    let config = match Config::load(scratch.path()) {
        Ok(config) => config,
        Err(why) => return is_told_in_lines(&why.to_string()),
    };
    assert!((1..=100_000).contains(&config.guards.blast_radius_accounts));
    assert!((1..=604_800).contains(&config.guards.blast_radius_window.as_secs()));
    assert!((1..=86_400).contains(&config.hold.survey_interval.as_secs()));
    assert!((1..=100).contains(&config.hold.contested_after));
    assert!((1..=60).contains(&config.link.heartbeat.as_secs()));
    assert_eq!(Config::load(scratch.path()).ok(), Some(config));
}

fn trust_toml(scratch: &Scratch, bytes: &[u8]) {
    scratch.put("etc/rescind/trust.toml", bytes);
    match Trust::load(scratch.path()) {
        Ok(trust) => {
            let trust = trust.expect("the file is there");
            assert!(!trust.servers.is_empty() && !trust.order_keys.is_empty());
            trust.store(scratch.path()).expect("it can be written");
            let again = Trust::load(scratch.path()).expect("what we write we read");
            assert_eq!(again, Some(trust));
        }
        Err(why) => is_told_in_lines(&why.to_string()),
    }
}

fn control_toml(scratch: &Scratch, bytes: &[u8]) {
    let path = scratch.put("etc/rescind/control.toml", bytes);
    match ControlConfig::load(Some(&path)) {
        Ok(config) => assert_eq!(ControlConfig::load(Some(&path)).ok(), Some(config)),
        Err(why) => is_told_in_lines(&why.to_string()),
    }
}

/// What the kernel keeps beside a file. It checks lists that are set, but not those of every file
/// system that is mounted.
fn attributes(bytes: &[u8]) {
    if let Some(names) = capabilities::that_make_root(bytes) {
        assert!(names.iter().all(|name| name.starts_with("cap_")));
    }
    for mode in [0, 0o604, 0o777] {
        let file = Guarded {
            uid: 1001,
            gid: 1500,
            mode,
            acl: bytes,
        };
        assert!(file.lets(&root(), READ | WRITE | EXECUTE));
        let together = file.lets(&alice(), READ | WRITE);
        let apart = [READ, WRITE].map(|want| file.lets(&alice(), want));
        // Two groups of hers may each give one.
        assert!(!together || apart == [true, true]);
    }
}

fn host(scratch: &Scratch, bytes: &[u8]) {
    scratch.put("etc/os-release", bytes);
    scratch.put("etc/hostname", bytes);
    scratch.put("etc/passwd", bytes);
    let os = os_name(scratch.path());
    assert!(os.len() <= 128 && !os.is_empty());
    is_told_safely(&os);
    if let Some(name) = host_name(scratch.path()) {
        is_told_safely(name.as_str());
    }
    match LinkUser::look_up(scratch.path()) {
        Ok(user) => assert!(user.uid != 0 && user.gid != 0, "the link is never root"),
        Err(why) => is_told_safely(&why.to_string()),
    }
}

fn address(text: &str) {
    if let Ok(server) = text.parse::<ServerAddress>() {
        let shown = server.to_string();
        is_told_safely(&shown);
        assert_eq!(shown.parse::<ServerAddress>(), Ok(server));
    }
}
