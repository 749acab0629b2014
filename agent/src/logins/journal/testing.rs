//! Writes small journals as journald would, for tests.

use std::collections::BTreeMap;

use super::hash;

/// Which form the file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Before systemd 246: Jenkins' hash.
    Old,
    /// Since then: SipHash.
    Keyed,
    /// Since systemd 252: offsets of 32 bits.
    Compact,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Old, Self::Keyed, Self::Compact];
}

pub const MACHINE: [u8; 16] = [0x11; 16];
const TABLE_AT: u64 = 272 + 16;
const BUCKETS: u64 = 7;

#[derive(Debug)]
pub struct Journal {
    kind: Kind,
    file_id: [u8; 16],
    bytes: Vec<u8>,
    /// By text: where it is, and its entries.
    data: BTreeMap<Vec<u8>, (u64, Vec<u64>)>,
    compressed: Vec<Vec<u8>>,
    entries: u64,
}

impl Journal {
    pub fn new(kind: Kind) -> Self {
        let mut journal = Self {
            kind,
            file_id: [0x22; 16],
            bytes: vec![0; (TABLE_AT + 16 * BUCKETS) as usize],
            data: BTreeMap::new(),
            compressed: Vec::new(),
            entries: 0,
        };
        journal.bytes[..8].copy_from_slice(b"LPKSHHRH");
        journal.bytes[12] = match kind {
            Kind::Old => 2,
            Kind::Keyed => 2 | 4,
            Kind::Compact => 4 | 8 | 16,
        };
        journal.bytes[16] = 1;
        journal.bytes[40..56].copy_from_slice(&MACHINE);
        journal.bytes[56..72].copy_from_slice(&[7; 16]);
        journal.id([0x22; 16]);
        for (at, value) in [(88, 272), (104, TABLE_AT), (112, 16 * BUCKETS)] {
            journal.put(at, value);
        }
        journal
    }

    /// Gives the file another id; before anything is added.
    pub fn id(&mut self, id: [u8; 16]) {
        self.file_id = id;
        self.bytes[24..40].copy_from_slice(&id);
    }

    /// No entry is added any more.
    pub fn archive(&mut self) {
        self.bytes[16] = 2;
    }

    /// A field whose text will be stored as compressed.
    pub fn compress(&mut self, text: &[u8]) {
        self.compressed.push(text.to_vec());
    }

    /// Adds an entry.
    pub fn add(&mut self, at_us: u64, fields: &[impl AsRef<str>]) {
        let mut items: Vec<(u64, u64)> = Vec::new();
        for field in fields {
            items.push(self.data(field.as_ref().as_bytes()));
        }
        items.sort_unstable();
        let mut body = Vec::new();
        for word in [self.entries + 1, at_us, at_us % 1_000_000] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        body.extend_from_slice(&[7; 16]);
        body.extend_from_slice(&[0; 8]);
        for (at, hash) in &items {
            match self.kind {
                Kind::Compact => body.extend_from_slice(&(*at as u32).to_le_bytes()),
                _ => {
                    body.extend_from_slice(&at.to_le_bytes());
                    body.extend_from_slice(&hash.to_le_bytes());
                }
            }
        }
        let entry = self.object(3, 0, &body);
        for field in fields {
            if let Some((_, entries)) = self.data.get_mut(field.as_ref().as_bytes()) {
                entries.push(entry);
            }
        }
        self.entries += 1;
        if self.entries == 1 {
            self.put(184, at_us);
        }
        self.put(192, at_us);
    }

    /// The file, with the lists of entries.
    pub fn bytes(&self) -> Vec<u8> {
        let mut whole = Self {
            kind: self.kind,
            file_id: self.file_id,
            bytes: self.bytes.clone(),
            data: BTreeMap::new(),
            compressed: Vec::new(),
            entries: self.entries,
        };
        for (at, entries) in self.data.values() {
            whole.put(at + 40, entries[0]);
            whole.put(at + 56, entries.len() as u64);
            let (mut rest, mut link, mut room) = (&entries[1..], at + 48, 4);
            while !rest.is_empty() {
                let part = &rest[..room.min(rest.len())];
                let mut body = vec![0; 8];
                for n in 0..room {
                    let entry = part.get(n).copied().unwrap_or(0);
                    match self.kind {
                        Kind::Compact => body.extend_from_slice(&(entry as u32).to_le_bytes()),
                        _ => body.extend_from_slice(&entry.to_le_bytes()),
                    }
                }
                let array = whole.object(6, 0, &body);
                whole.put(link, array);
                (rest, link, room) = (&rest[part.len()..], array + 16, room * 2);
            }
        }
        whole.bytes
    }

    fn data(&mut self, text: &[u8]) -> (u64, u64) {
        let hash = match self.kind {
            Kind::Old => hash::jenkins(text),
            _ => hash::sip(&self.file_id, text),
        };
        if let Some((at, _)) = self.data.get(text) {
            return (*at, hash);
        }
        let bucket = TABLE_AT + 16 * (hash % BUCKETS);
        let next = self.get(bucket);
        let mut body = Vec::new();
        for word in [hash, next, 0, 0, 0, 0] {
            body.extend_from_slice(&word.to_le_bytes());
        }
        if self.kind == Kind::Compact {
            body.extend_from_slice(&[0; 8]);
        }
        let squeezed = self.compressed.iter().any(|wanted| wanted == text);
        body.extend_from_slice(if squeezed { b"\x28\xb5\x2f\xfd" } else { text });
        let at = self.object(1, if squeezed { 4 } else { 0 }, &body);
        self.put(bucket, at);
        self.data.insert(text.to_vec(), (at, Vec::new()));
        (at, hash)
    }

    fn object(&mut self, kind: u8, flags: u8, body: &[u8]) -> u64 {
        while !self.bytes.len().is_multiple_of(8) {
            self.bytes.push(0);
        }
        let at = self.bytes.len() as u64;
        self.bytes
            .extend_from_slice(&[kind, flags, 0, 0, 0, 0, 0, 0]);
        self.bytes
            .extend_from_slice(&(body.len() as u64 + 16).to_le_bytes());
        self.bytes.extend_from_slice(body);
        at
    }

    fn get(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[at as usize..at as usize + 8]);
        u64::from_le_bytes(word)
    }

    fn put(&mut self, at: u64, value: u64) {
        self.bytes[at as usize..at as usize + 8].copy_from_slice(&value.to_le_bytes());
    }
}
