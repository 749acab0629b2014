//! Every recogniser of credentials, on any bytes, wherever the file may lie.

use rescind_agent::secrets::label::{host_of_url, tellable, user_of_url};
use rescind_agent::secrets::note::{File, Mark, Note};
use rescind_agent::secrets::places::{HOME, Place, SYSTEM};
use rescind_agent::secrets::{Marker, hollow, recognise};

use super::Target;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "secrets",
    read,
    words: &[
        "{\"",
        "\":\"",
        "\\u00e9",
        "[default]\n",
        "aws_secret_access_key = ",
        "token: ",
        "- ",
        "  ",
        "password=",
        "PASSWORD=\"$(x)\"\n",
        "<password>",
        "</",
        "<!--",
        "-->",
        "&amp;",
        "machine h login l password p\n",
        "https://u:p@h/",
        "_authToken=",
        "[registry]\n",
        "ghp_0123456789012345678901234567890123456",
        "export A_TOKEN='x'\n",
        "Environment=\"A_SECRET=b c\"\n",
        "EnvironmentFile=-/etc/x\n",
        "LoadCredential=",
        "BEGIN PRIVATE KEY",
        "PrivateKey = ",
        "psk=\"",
        "network={\n",
        "h:5432:*:u:p\n",
        "SQLite format 3\0",
        "\x05\x02",
        "!vault |\n",
        "|\n",
        "${VAR}",
        "changeme",
        "ENC[",
        "key \"a\" {\n secret \"b\";\n};\n",
        "auth\":\"YTpi\"",
        "client-key-data: ",
    ],
    made,
    rooms: &["agent/src/secrets/tests.rs"],
};

/// The first byte chooses the place: any of them, beneath a home or `/`.
fn read(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let places: Vec<&Place> = HOME
        .iter()
        .chain(SYSTEM)
        .filter(|place| place.read.is_some())
        .collect();
    let place = places[usize::from(*choice) * places.len() / 256];
    let (Some(read), path) = (place.read, place.pattern.replace('*', "x")) else {
        return;
    };
    let path = format!("/home/alice/{path}");
    let marker = Marker::new(&[7; 32]);
    let mut notes = 0_usize;
    read(
        &File {
            path: path.as_bytes(),
            bytes,
        },
        &mut |note| {
            notes += 1;
            told(&note, &marker, bytes);
        },
    );
    assert!(
        notes <= bytes.len() + 1,
        "{notes} notes of {} bytes",
        bytes.len()
    );
    let line = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    assert!(host_of_url(line).len() <= 253);
    if let Some((user, password)) = user_of_url(line) {
        assert!(user.len() + password.len() <= line.len());
    }
    let _any = (
        recognise::in_home(line),
        recognise::of_system(line),
        hollow::judge(line),
    );
}

fn told(note: &Note<'_>, marker: &Marker, bytes: &[u8]) {
    match note {
        Note::Held(held) => {
            let (mark, value) = match held.mark {
                Mark::Public(mark) => (mark.to_string(), None),
                Mark::Value(value) => (marker.mark(value).to_string(), Some(value)),
            };
            is_told_safely(&mark);
            is_told_safely(held.key_type.0);
            // Nothing is found that is not there, and what is told of it is no part of it.
            let value = value.unwrap_or_default();
            assert!(value.len() <= bytes.len().saturating_mul(3));
            if let Some(label) = tellable(held.label, Some(value)) {
                is_told_safely(&label);
                assert!(label.len() <= 130);
                let shown = label.as_bytes();
                let holds =
                    value.len() >= 8 && shown.windows(value.len()).any(|part| part == value);
                assert!(!holds, "a label holds the value");
            }
        }
        Note::PassedOver { label, .. } => {
            tellable(label, None)
                .iter()
                .for_each(|label| is_told_safely(label));
        }
        Note::Unclear { why, .. } => is_told_safely(why),
        Note::Refers { path, .. } => assert!(path.len() <= bytes.len()),
    }
}

/// Each text of the recognisers' tests, in the first place that makes something of it.
fn made() -> Vec<Vec<u8>> {
    let texts = super::fixtures::literals_in(&["agent/src/secrets/tests.rs"]);
    let places: Vec<&Place> = HOME
        .iter()
        .chain(SYSTEM)
        .filter(|place| place.read.is_some())
        .collect();
    let mut seeds = Vec::new();
    for text in texts
        .iter()
        .filter(|text| text.contains(&b'\n') || text.len() > 40)
    {
        for (number, place) in places.iter().enumerate() {
            let Some(read) = place.read else { continue };
            let path = format!("/home/alice/{}", place.pattern.replace('*', "x"));
            let mut held = false;
            read(
                &File {
                    path: path.as_bytes(),
                    bytes: text,
                },
                &mut |note| held |= matches!(note, Note::Held(_)),
            );
            // The smallest byte that chooses this place.
            let choice = (number * 256).div_ceil(places.len());
            if held && let Ok(choice) = u8::try_from(choice) {
                seeds.push([&[choice][..], text].concat());
                break;
            }
        }
    }
    seeds
}
