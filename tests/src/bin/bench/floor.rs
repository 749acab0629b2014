//! The floor: the least that a durable change of the same files costs, by a program that does
//! nothing else. It does not check, lock, keep or prove anything.
//!
//! It is measured between the orders, on copies of the files beside them, so that whatever slows
//! the machine down slows both.

use crate::Figures;
use crate::people::People;
use rescind_tests::Host;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the copies are, on the file system of the host's root.
const DIR: &str = "var/tmp/rescind-floor";

/// Copies of a host's account and key files, and what changing them took.
pub struct Floor {
    dir: PathBuf,
    names: Vec<String>,
    next: usize,
    figures: Figures,
}

impl Floor {
    /// Copies the files of a host that has no agent yet.
    pub fn of(host: &Host, people: &People, times: usize) -> Self {
        let mut floor = Self {
            dir: host.root().join(DIR),
            names: Vec::new(),
            next: 0,
            figures: Figures::default(),
        };
        if let Err(error) = floor.copy(host, people, times) {
            panic!("the floor: {error}");
        }
        floor
    }

    fn copy(&mut self, host: &Host, people: &People, times: usize) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        fs::copy(host.root().join("etc/shadow"), self.dir.join("shadow"))?;
        // One directory for each change, as there is one for each account.
        for nth in 0..times {
            let dir = self.dir.join(nth.to_string());
            fs::create_dir(&dir)?;
            let keys = host.root().join(&people.key_file(nth)[1..]);
            fs::copy(keys, dir.join("authorized_keys"))?;
            self.names.push(people.name(nth));
        }
        File::open(&self.dir)?.sync_all()
    }

    /// Closes the next account: hash locked and expiry set in shadow, the key file emptied, each
    /// by a new file, fsync, rename and fsync of its directory, then both read back.
    pub fn measure(&mut self) {
        let Some(name) = self.names.get(self.next) else {
            return;
        };
        let keys = self.dir.join(self.next.to_string()).join("authorized_keys");
        let begin = Instant::now();
        let closed = close(&self.dir.join("shadow"), &keys, name);
        self.figures.add_time(begin.elapsed());
        self.next += 1;
        match closed {
            Ok(true) => {}
            Ok(false) => panic!("the floor does not read back what it wrote"),
            Err(error) => panic!("the floor: {error}"),
        }
    }

    /// All that was measured.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }
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
