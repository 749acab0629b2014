//! A file in, what is said of it out. Nothing here is anybody's secret.

mod clouds;
mod containers;
mod environments;
mod forges;
mod keytabs;
mod networks;
mod odd;
mod services;
mod tools;

use super::note::{File, Mark, Note};
use super::recognise;
use crate::random::Random;

/// What is said of a file below a home: a line for each credential, `-` for what was passed over,
/// `?` for what is unclear, `>` for another file it names.
fn home(path: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let read = recognise::in_home(path.as_bytes()).unwrap_or_else(|| panic!("no place: {path}"));
    say(read, &format!("/home/alice/{path}"), text.as_ref())
}

/// The same for a file below `/`.
fn system(path: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let read = recognise::of_system(path.as_bytes()).unwrap_or_else(|| panic!("no place: {path}"));
    say(read, &format!("/{path}"), text.as_ref())
}

/// The same, and that no damage to the file makes its reader panic or go on for ever.
pub(super) fn say(read: recognise::Recogniser, path: &str, bytes: &[u8]) -> Vec<String> {
    for turn in 0..DAMAGES {
        read_once(read, path, &damaged(bytes, turn));
    }
    read_once(read, path, bytes)
}

const DAMAGES: u64 = 100;

/// A copy with some bytes changed, cut, doubled, or put elsewhere; the same for the same turn.
fn damaged(bytes: &[u8], turn: u64) -> Vec<u8> {
    let mut random = Random::new(turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut below = |limit: usize| random.below(limit);
    const ODD: &[u8] = b"\0\n\r\t \"'\\:=#;[]{}<>/@$%-\xff\x80\x300";
    let mut copy = bytes.to_vec();
    for _ in 0..=below(4) {
        let (at, to) = (below(copy.len() + 1), below(copy.len() + 1));
        match below(5) {
            0 => copy.truncate(at),
            1 => copy.insert(at, ODD[below(ODD.len())]),
            2 if at < copy.len() => copy[at] ^= 1 << below(8),
            3 if at < to => {
                let part = copy[at..to].to_vec();
                copy.splice(at..at, part);
            }
            _ if at < to => drop(copy.drain(at..to)),
            _ => {}
        }
    }
    copy
}

fn read_once(read: recognise::Recogniser, path: &str, bytes: &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut said = Vec::new();
    let path = path.as_bytes();
    read(&File { path, bytes }, &mut |note| {
        said.push(match note {
            Note::Held(held) => {
                let mark = match held.mark {
                    Mark::Public(mark) => mark.to_string(),
                    Mark::Value(value) => text(value),
                };
                let sealed = if held.encrypted { " sealed" } else { "" };
                format!("{} {}={mark}{sealed}", held.kind, text(held.label))
            }
            Note::PassedOver { kind, label, why } => {
                format!("- {kind} {} {}", text(label), why.as_str())
            }
            Note::Unclear { kind, why } => format!("? {kind} {why}"),
            Note::Refers { path, .. } => format!("> {}", text(path)),
        });
    });
    said
}
