//! doas.conf, and what polkit reads.

use std::path::PathBuf;

use rescind_agent::paths::rights::{self, Gate};
use rescind_agent::rights::doas::{self, DoasFacts};
use rescind_agent::rights::doas_conf::DoasConf;
use rescind_agent::rights::polkit::{Daemon, PolkitFacts, RuleFile};
use rescind_agent::rights::polkit_files::{KeyFile, first_naming};
use rescind_agent::rights::polkit_rules::{Asked, Rules};
use rescind_protocol::path::Mechanism;

use super::alice::{alice, are_told_safely};
use super::told::{is_told_safely, lines_in};
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "grants",
    read,
    words: &[
        "permit nopass alice as root cmd /bin/sh args -c\n",
        "deny :ops\n",
        "permit persist keepenv setenv { A=b } alice\n",
        "nolog",
        "as",
        "cmd",
        "args",
        "{",
        "}",
        "\\\n",
        "\"",
        "[Section]\n",
        "Identity=unix-user:alice;unix-group:ops\n",
        "Identity=*\n",
        "Action=*\n",
        "ResultAny=yes\n",
        "ResultActive=auth_self_keep\n",
        "[Configuration]\n",
        "AdminIdentities=unix-group:sudo;unix-user:0\n",
        "unix-netgroup:x",
        "polkit.addRule(function(action, subject) {",
        "polkit.addAdminRule(function(action, subject) { return [\"unix-group:ops\"]; });\n",
        "if (action.id == \"org.freedesktop.policykit.exec\" && subject.user == \"alice\") {",
        "action.id.indexOf(\"org.freedesktop.\") == 0",
        "action.id.match(/^org/)",
        "subject.isInGroup(\"ops\")",
        "subject.local && subject.active",
        "return polkit.Result.YES;",
        "return polkit.Result.AUTH_SELF_KEEP;",
        "});\n",
        "!(",
        "||",
        "&&",
        "switch (",
        "/*",
        "*/",
        "//",
        "'alice'",
        "`ops`",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/rights/doas.rs",
        "agent/src/rights/doas_conf.rs",
        "agent/src/rights/polkit.rs",
        "agent/src/rights/polkit_files.rs",
        "agent/src/rights/polkit_rules.rs",
        "agent/src/rights/polkit_tokens.rs",
    ],
};

fn read(bytes: &[u8]) {
    let lines = lines_in(bytes);
    let is_line = |line: u32| assert!((1..=lines).contains(&line), "line {line} of {lines}");
    let conf = DoasConf::parse(bytes.to_vec());
    assert_eq!(conf.to_bytes(), bytes);
    match conf.rules() {
        Ok(rules) => {
            assert!(
                rules.iter().is_sorted_by(|a, b| a.line < b.line),
                "a rule a line"
            );
            rules.iter().for_each(|rule| is_line(rule.line));
        }
        Err(wrong) => is_line(wrong.line),
    }
    let sections = KeyFile::parse(bytes.to_vec());
    assert_eq!(sections.to_bytes(), bytes);
    for section in sections.sections() {
        is_line(section.line);
        assert!(
            section
                .list(b"Identity")
                .all(|item| !item.is_empty() && !item.contains(&b';'))
        );
    }
    if let Some(line) = first_naming(bytes, [&b"alice"[..], b"ops"].into_iter()) {
        let found = bytes
            .split(|byte| *byte == b'\n')
            .nth(line as usize - 1)
            .expect("a line");
        assert!(
            [&b"alice"[..], b"ops"]
                .iter()
                .any(|name| found.windows(name.len()).any(|w| w == *name))
        );
    }
    if let Some(rules) = Rules::read(bytes) {
        run(&rules, lines);
    }
    told(bytes);
}

/// Rules of polkit that were understood.
fn run(rules: &Rules, lines: u32) {
    for found in &rules.returns {
        assert!((1..=lines).contains(&found.line));
        let mut actions = Vec::new();
        for condition in &found.conditions {
            condition.actions(&mut actions);
        }
        for (action, _) in actions {
            let asked = Asked {
                user: b"alice",
                groups: &[b"ops"],
                action,
            };
            let _any: Vec<_> = found.conditions.iter().map(|c| c.holds(asked)).collect();
        }
    }
    for (line, _) in &rules.administrators {
        assert!((1..=lines).contains(line));
    }
}

fn told(bytes: &[u8]) {
    let account = alice();
    let doas = DoasFacts {
        conf: Some(Ok(DoasConf::parse(bytes.to_vec()))),
        powerless: None,
        service: None,
    };
    let mut found = doas::rights(&account, &doas);
    let file = || {
        let path = "/etc/polkit-1/localauthority/50-local.d/a\u{1b}.pkla";
        (PathBuf::from(path), KeyFile::parse(bytes.to_vec()))
    };
    let rules = PathBuf::from("/etc/polkit-1/rules.d/a\u{1b}.rules");
    let polkit = PolkitFacts {
        daemon: Daemon::Unknown,
        rules: vec![RuleFile::new(rules, bytes.to_vec())],
        authorities: vec![file()],
        administrators: vec![file()],
        gaps: Vec::new(),
    };
    found.extend(polkit.rights(&account));
    for right in &found {
        is_told_safely(&right.source().file);
    }
    let mut paths = Vec::new();
    for mechanism in [Mechanism::Doas, Mechanism::Polkit] {
        rights::add(
            &account,
            mechanism,
            &found,
            Gate::Nobody,
            20_000,
            &mut paths,
        );
    }
    are_told_safely(&paths);
}
