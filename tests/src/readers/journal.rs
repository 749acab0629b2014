//! The journal's segments and checkpoints, whatever a bad disk made of them.

use rescind_agent::store::JournalReader;
use rescind_protocol::cbor;
use rescind_protocol::evidence::{ChainHead, SealedRecord};
use rescind_protocol::name::Digest;

use super::Target;
use super::orders::{key, record, signed};
use super::scratch::Scratch;
use super::told::is_told_safely;

pub const TARGET: Target = Target {
    name: "journal",
    read,
    words: &[
        "REC1",
        "rescSEG\u{1}",
        "rescCHK\u{1}",
        "\0\0\0\0\0\0\0\0",
        "\u{1}\0\0\0",
        "\x7f\x7f\x7f\x7f",
        "F",
        "O",
        "K",
        "E",
        "\x58\x40",
        "\x50",
        "\x1b\x7f",
    ],
    made,
    rooms: &[],
};

/// What the first byte asks for.
const MEND_CHECKSUMS: u8 = 1;
const AS_CHECKPOINT: u8 = 2;
const IN_TWO: u8 = 4;

/// A file's header, and a frame's.
const HEADER: usize = 64;
const FRAME: usize = 20;

/// Journals read one file, or its halves as two; with sums that fit, for else nothing but damage is seen.
fn read(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else {
        return;
    };
    let mut file = rest.to_vec();
    if how & MEND_CHECKSUMS != 0 {
        mend(&mut file);
    }
    Scratch::with(|scratch| {
        scratch.remove("journal");
        let first = file
            .get(8..16)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_le_bytes);
        let name = |first: u64| format!("journal/{first:020}.seg");
        if how & AS_CHECKPOINT != 0 {
            scratch.put("journal/checkpoint", &file);
            scratch.put(&name(0), &journal(0, 3));
        } else if how & IN_TWO != 0 {
            let (one, two) = file.split_at(file.len() / 2);
            scratch.put(&name(first), one);
            scratch.put(&name(first.wrapping_add(2)), two);
        } else {
            scratch.put(&name(first), &file);
        }
        look(scratch);
    });
}

fn look(scratch: &Scratch) {
    let journal = match JournalReader::open(scratch.path()) {
        Ok(journal) => journal,
        Err(why) => return is_told_safely(&why.to_string()),
    };
    let (oldest, head) = (journal.oldest(), journal.head());
    let records = journal
        .records(oldest, 1 << 20)
        .expect("what was scanned can be read");
    let mut before = None;
    for record in &records {
        let body = record.body().expect("it was read as a record");
        assert!(
            before.is_none_or(|before| before < body.index),
            "records are in order"
        );
        assert!(
            (oldest..head.next).contains(&body.index),
            "{} of {oldest} to {}",
            body.index,
            head.next
        );
        before = Some(body.index);
        let again = journal.record(body.index).expect("it can be read");
        assert_eq!(again.as_ref(), Some(record));
        if let Err(why) = journal.private(body.index) {
            is_told_safely(&why.to_string());
        }
    }
    for (first, next) in journal.lost() {
        assert!(first <= next, "lost from {first} to {next}");
    }
    let state = journal.state();
    let standing = state.standing().count();
    assert!(standing <= state.orders().count());
    let _sums = (
        state.standing_digest(),
        state.order_cursor(),
        state.unfinished().len(),
    );
    let again = JournalReader::open(scratch.path()).expect("it was opened before");
    assert_eq!((again.head(), again.state()), (head, state));
}

/// Puts checksums that fit where a header or a frame seems to be.
fn mend(file: &mut [u8]) {
    let Some(header) = file.first_chunk_mut::<HEADER>() else {
        return;
    };
    let sum = crc32c(&[&header[..48]]);
    header[48..52].copy_from_slice(&sum.to_le_bytes());
    let number: [u8; 8] = header[8..16].try_into().expect("eight bytes");
    let mut at = HEADER;
    while let Some(found) = file
        .get(at..)
        .and_then(|rest| rest.windows(4).position(|magic| magic == b"REC1"))
    {
        at += found;
        let word = |from: usize| {
            file.get(at + from..at + from + 4)
                .map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
        };
        let (Some(record), Some(private)) = (word(8), word(12)) else {
            return;
        };
        let end = record.saturating_add(private).saturating_add(at + FRAME);
        if end <= file.len() {
            let sum = crc32c(&[&number, &file[at + 8..end]]);
            file[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
            at = end;
        } else {
            at += 1;
        }
    }
}

/// RFC 3720, appendix B.4, bit by bit.
fn crc32c(parts: &[&[u8]]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1))
        })
    };
    !parts
        .iter()
        .flat_map(|part| part.iter())
        .fold(u32::MAX, step)
}

fn frame(number: u64, record: &[u8], private: &[u8]) -> Vec<u8> {
    let word = |len: usize| u32::try_from(len).expect("short").to_le_bytes();
    let rest = [
        &word(record.len())[..],
        &word(private.len()),
        &[0; 4],
        record,
        private,
    ]
    .concat();
    let sum = crc32c(&[&number.to_le_bytes(), &rest]);
    [&b"REC1"[..], &sum.to_le_bytes(), &rest].concat()
}

fn header(magic: &[u8; 7], head: ChainHead) -> Vec<u8> {
    let mut bytes = [
        &magic[..],
        &[1],
        &head.next.to_le_bytes(),
        head.prev.as_bytes(),
    ]
    .concat();
    bytes.extend(crc32c(&[&bytes]).to_le_bytes());
    bytes.resize(HEADER, 0);
    bytes
}

/// A segment with the records from `first` on.
fn journal(first: u64, count: u64) -> Vec<u8> {
    let prev = first
        .checked_sub(1)
        .map_or(Digest::default(), |before| record(before).digest());
    let mut file = header(b"rescSEG", ChainHead { next: first, prev });
    for index in first..first + count {
        file.extend(frame(first, &cbor::to_vec(&record(index)), b""));
    }
    file
}

fn made() -> Vec<Vec<u8>> {
    let kept: SealedRecord = record(1);
    let head = ChainHead {
        next: 3,
        prev: record(2).digest(),
    };
    // Facts, what is acknowledged, what is lost: maps, as the checkpoint's front has them.
    let front = [
        &b"F"[..],
        &[0xa3, 0, 0xa1, 0, 0xa2, 0, 0, 1, 0x80, 1, 1, 2, 0x80],
    ]
    .concat();
    let kept = [&b"K"[..], &cbor::to_vec(&kept)].concat();
    let checkpoint = [
        header(b"rescCHK", head),
        frame(3, &front, b""),
        frame(3, &kept, b"private"),
        frame(3, b"E", b""),
    ]
    .concat();
    assert!(signed().verify(&[key().verifying_key()]).is_ok());
    let file = |how: u8, bytes: Vec<u8>| [&[how][..], &bytes].concat();
    vec![
        file(0, journal(0, 4)),
        file(MEND_CHECKSUMS, journal(0, 4)),
        file(MEND_CHECKSUMS, journal(5, 2)),
        file(
            MEND_CHECKSUMS | IN_TWO,
            [journal(0, 2), journal(2, 2)].concat(),
        ),
        file(MEND_CHECKSUMS | AS_CHECKPOINT, checkpoint.clone()),
        file(AS_CHECKPOINT, checkpoint),
    ]
}
