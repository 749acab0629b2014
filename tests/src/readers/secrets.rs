//! Every recogniser of credentials, on any bytes, wherever the file may lie.

use rescind_agent::secrets::label::{host_of_url, user_of_url};
use rescind_agent::secrets::places::{HOME, Place, SYSTEM};
use rescind_agent::secrets::{hollow, recognise};

use super::Target;
use super::notes::read_at;

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
    rooms: &["agent/src/secrets/tests"],
};

/// The first byte chooses the place: any of them, beneath a home or `/`.
fn read(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let places = places();
    let place = places[usize::from(*choice) * places.len() / 256];
    let Some(read) = place.read else { return };
    read_at(read, place.pattern, bytes);
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

/// Each text of the recognisers' tests, in the first place that makes something of it.
fn made() -> Vec<Vec<u8>> {
    let texts = super::fixtures::literals_in(&["agent/src/secrets/tests"]);
    let places = places();
    let mut seeds = Vec::new();
    for text in texts
        .iter()
        .filter(|text| text.contains(&b'\n') || text.len() > 40)
    {
        for (number, place) in places.iter().enumerate() {
            let Some(read) = place.read else { continue };
            let held = read_at(read, place.pattern, text);
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

/// All with a recogniser.
fn places() -> Vec<&'static Place> {
    let all = HOME.iter().chain(SYSTEM);
    all.filter(|place| place.read.is_some()).collect()
}
