//! The floor: the least that a durable change of the same files costs, by a program that does
//! nothing else. It does not check, lock, keep or prove anything.

use crate::Figures;
use crate::people::People;
use rescind_tests::Host;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

/// Closes accounts one after the other: hash locked and expiry set in shadow, the key file emptied,
/// each by a new file, fsync, rename and fsync of its directory, then both read back.
pub fn measure(host: &Host, people: &People, times: usize) -> Figures {
    let mut figures = Figures::default();
    for nth in 0..times {
        if nth > 0 && nth % people.count() == 0 {
            people.reset(host);
        }
        let keys = host.root().join(&people.key_file(nth)[1..]);
        let shadow = host.root().join("etc/shadow");
        let begin = Instant::now();
        let closed = close(&shadow, &keys, &people.name(nth));
        figures.add_time(begin.elapsed());
        match closed {
            Ok(true) => {}
            Ok(false) => panic!("the floor does not read back what it wrote"),
            Err(error) => panic!("the floor: {error}"),
        }
    }
    people.reset(host);
    figures
}

fn close(shadow: &Path, keys: &Path, name: &str) -> io::Result<bool> {
    let before = fs::read(shadow)?;
    let begin = [name.as_bytes(), b":"].concat();
    let mut after = Vec::with_capacity(before.len() + 2);
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(&begin) {
            after.extend_from_slice(line);
            continue;
        }
        let mut fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let locked = [b"!", fields[1]].concat();
        (fields[1], fields[7]) = (&locked, b"1");
        after.extend_from_slice(&fields.join(&b':'));
    }
    replace(shadow, &after)?;
    // As the real thing must, it reads the keys first to know what it takes away.
    let taken = fs::read(keys)?;
    replace(keys, b"")?;
    Ok(!taken.is_empty() && fs::read(shadow)? == after && fs::read(keys)?.is_empty())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("floor");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
