//! The agent's own settings, and small files of the host that it reads to know where it is.

use rescind_agent::config::{Config, LinkUser, ServerAddress, Trust, host_name, os_name};

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
    ],
    made: nothing_made,
    rooms: &["agent/src/config"],
};

fn read(bytes: &[u8]) {
    Scratch::with(|scratch| {
        agent_toml(scratch, bytes);
        trust_toml(scratch, bytes);
        host(scratch, bytes);
    });
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
