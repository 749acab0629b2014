//! Changes to an input, the same for the same seed.
//!
//! libFuzzer changes bytes. Readers of configuration care for words and lines, and what is slow is
//! slow because something is there many times: those changes are made here, for both kinds of runs.

use super::random::Random;

/// Bytes that mean something in one format or another.
const BYTES: &[u8] = b"\n\n\0\r\t \"'\\#:,;=@%!*?[]{}()$+-/~0aA\x7f\x80\xff";

/// Changes an input a little, and keeps it within `max` bytes.
pub fn mutate(input: &mut Vec<u8>, words: &[&str], random: &mut Random, max: usize) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(10) {
            0 => insert(input, at, &[BYTES[random.below(BYTES.len())]]),
            1 if at < input.len() => input[at] = BYTES[random.below(BYTES.len())],
            2 if at < input.len() => input[at] ^= 1 << random.below(8),
            3 => {
                let piece = piece(input, random);
                input.drain(piece);
            }
            4 if !words.is_empty() => insert(input, at, random.pick(words).as_bytes()),
            5 if !words.is_empty() => {
                let piece = piece(input, random);
                let word = random.pick(words).bytes();
                input.splice(piece, word);
            }
            6 => {
                let copied = input[piece(input, random)].to_vec();
                insert(input, at, &copied);
            }
            7 => swap_lines(input, random),
            8 => input.truncate(at),
            _ => repeat(input, random, max),
        }
        input.truncate(max);
    }
}

/// A stretch of the input, more often a short one, sometimes a line.
fn piece(input: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(input.len() + 1);
    let rest = input.len() - start;
    let room = if random.chance(70) {
        rest.min(16)
    } else {
        rest
    };
    if random.chance(30) {
        let is_end = |byte: &u8| *byte == b'\n';
        let start = input[..start]
            .iter()
            .rposition(is_end)
            .map_or(0, |at| at + 1);
        let end = input[start..].iter().position(is_end);
        return start..end.map_or(input.len(), |at| start + at + 1);
    }
    start..start + random.below(room + 1)
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}

fn swap_lines(input: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() < 2 {
        return;
    }
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    lines.swap(a, b);
    *input = lines.concat();
}

/// The same again and again: what takes quadratic time shows itself.
fn repeat(input: &mut Vec<u8>, random: &mut Random, max: usize) {
    let piece = piece(input, random);
    let copied = input[piece.clone()].to_vec();
    if copied.is_empty() {
        return;
    }
    let room = max.saturating_sub(input.len()) / copied.len();
    let most = if random.chance(10) {
        room
    } else {
        room.min(64)
    };
    let many = copied.repeat(random.below(most + 1));
    insert(input, piece.end, &many);
}
