//! authorized_keys, lists of revoked keys and of trusted CAs.

use std::collections::BTreeSet;

use rescind_agent::sshd::authorized_keys::{KeyFile, LeftOut, restore};
use rescind_agent::sshd::key_line::{Entry, KeyLine, LineKey};
use rescind_agent::sshd::key_options::KeyOptions;
use rescind_agent::sshd::pattern;
use rescind_agent::sshd::printable::printable;
use rescind_agent::sshd::release::Release;
use rescind_agent::sshd::revoked_keys::{Revocation, RevokedKeys, plain_keys};
use rescind_agent::sshd::tokens;

use super::told::{holds_no_control, is_told_safely};
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "key_files",
    read,
    words: &[
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
        "ssh-rsa ",
        "ecdsa-sha2-nistp256 ",
        "sk-ssh-ed25519@openssh.com ",
        "ssh-dss ",
        "ssh-ed25519-cert-v01@openssh.com ",
        "command=\"",
        "from=\"",
        "environment=\"",
        "permitopen=\"",
        "permitlisten=\"",
        "tunnel=\"",
        "principals=\"",
        "expiry-time=\"20300101Z\"",
        "cert-authority",
        "restrict",
        "no-pty",
        "port-forwarding",
        "x11-forwarding",
        "\\\"",
        "\",",
        "10.0.0.0/8",
        "!*.example",
        "[::1]:22",
        "2030123123596",
        "AAAAB3NzaC1yc2E",
        "# ",
        "%h/%u",
        "%%",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/sshd/authorized_keys.rs",
        "agent/src/sshd/key_line.rs",
        "agent/src/sshd/key_options.rs",
        "agent/src/sshd/revoked_keys.rs",
        "agent/src/paths/ssh_keys.rs",
        "agent/tests/ssh_keygen_agreement.rs",
    ],
};

fn read(bytes: &[u8]) {
    let file = KeyFile::parse(bytes);
    assert_eq!(file.bytes(), bytes);
    lines(&file, bytes);
    removal(&file, bytes);
    for banner in ["OpenSSH_8.4p1 Debian-5", "OpenSSH_10.0p2 Debian-7"] {
        revoked(&file, bytes, &banner.parse().expect("it is a release"));
    }
    words(bytes);
}

fn lines(file: &KeyFile, bytes: &[u8]) {
    let raw: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let mut kept = file.entries();
    let mut left_out = file.left_out();
    for (number, raw) in (1..).zip(&raw) {
        let alone = Entry::parse(number, raw);
        match &alone {
            Entry::Blank | Entry::Comment => continue,
            Entry::Key(key) => {
                assert_eq!(key.line, number);
                assert!(key.comment.start <= key.comment.end && key.comment.end <= raw.len());
                holds_no_control(&printable(&raw[key.comment.clone()]));
                is_told_safely(&format!("{key:?}"));
            }
            Entry::Unparsed(unparsed) => {
                assert_eq!(unparsed.line, number);
                is_told_safely(&unparsed.why.to_string());
            }
        }
        // It is kept, in its order, or it is one of those of which there were too many.
        let left = match &alone {
            Entry::Key(key) if key.kind == LineKey::Foreign => &mut left_out.foreign,
            _ => &mut left_out.unparsed,
        };
        if kept.clone().next() == Some(&alone) {
            kept.next();
        } else {
            assert!(*left > 0, "line {number} is left out");
            *left -= 1;
        }
    }
    assert_eq!((kept.next(), left_out), (None, LeftOut::default()));
    for key in file.keys() {
        assert_eq!(
            file.comment(key),
            &raw[key.line as usize - 1][key.comment.clone()]
        );
    }
}

fn removal(file: &KeyFile, bytes: &[u8]) {
    let holds =
        |file: &KeyFile, key: &KeyLine| file.keys().any(|k| k.fingerprint == key.fingerprint);
    // A file of ten thousand keys has ten thousand of them; a few tell enough.
    for key in file.keys().take(4) {
        let removed = file.remove(&key.fingerprint);
        let gone = file.keys().filter(|k| k.fingerprint == key.fingerprint);
        let gone: Vec<u32> = gone.map(|key| key.line).collect();
        assert_eq!(
            removed
                .removed
                .iter()
                .map(|line| line.line)
                .collect::<Vec<_>>(),
            gone
        );
        let left = KeyFile::parse(removed.new_bytes.clone());
        assert!(!holds(&left, key));
        let lines = |file: &[u8]| file.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(lines(left.bytes()), lines(bytes) - gone.len());
        assert_eq!(left.remove(&key.fingerprint).new_bytes, removed.new_bytes);
        let back = restore(
            &removed.new_bytes,
            &removed.removed,
            &BTreeSet::new(),
            removed.lines,
        );
        assert_eq!(back, bytes, "a removal is undone");
        // Somebody has changed the file meanwhile: what was theirs stays, and every key is there once.
        let changed = [&removed.new_bytes[..], b"\n# later"].concat();
        let back = restore(&changed, &removed.removed, &BTreeSet::new(), removed.lines);
        assert!(back.starts_with(&changed));
        assert_eq!(
            restore(&back, &removed.removed, &BTreeSet::new(), removed.lines),
            back
        );
    }
    let removed = file.remove_all_keys();
    assert!(
        KeyFile::parse(removed.new_bytes.clone())
            .keys()
            .next()
            .is_none()
    );
    assert_eq!(
        restore(
            &removed.new_bytes,
            &removed.removed,
            &BTreeSet::new(),
            removed.lines
        ),
        bytes
    );
    is_told_safely(&format!(
        "{:?} {:?}",
        removed.removed.first(),
        KeyOptions::default()
    ));
}

fn revoked(file: &KeyFile, bytes: &[u8], release: &Release) {
    let plain = plain_keys(bytes, release);
    assert!(plain.iter().is_sorted_by_key(|(line, _)| *line));
    let stops = plain.iter().position(|(_, key)| key.is_err());
    assert!(
        stops.is_none_or(|at| at + 1 == plain.len()),
        "nothing is read behind what stops sshd"
    );
    let list = RevokedKeys::parse(bytes, release);
    for key in file.keys().take(4) {
        // A key that the list holds before anything stops it is revoked.
        let listed = plain
            .iter()
            .any(|(_, k)| k.as_ref().is_ok_and(|k| k.fingerprint == key.fingerprint));
        let found = list.check(key);
        assert!(!listed || found == Revocation::Revoked, "{found:?}");
    }
}

fn words(bytes: &[u8]) {
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    match KeyOptions::parse(line) {
        Ok(options) => {
            let from = options.from.as_deref().unwrap_or_default();
            let met = pattern::matches_host_and_address(b"laptop.example", b"10.1.2.3", from);
            if met == pattern::ListMatch::Present {
                assert!(options.from_can_match());
            }
        }
        Err(why) => is_told_safely(&why.to_string()),
    }
    if let Ok(path) = tokens::expand(line, b"alice", 1000, b"/home/alice") {
        assert!(path.starts_with(b"/") && path.len() < 4096);
    }
}
