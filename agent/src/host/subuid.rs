//! subuid(5): uids that accounts may use in user namespaces of their own, as rootless containers do.

use std::collections::BTreeMap;

use rescind_protocol::name::AccountName;

/// The file.
pub const SUBUID: &str = "/etc/subuid";

/// The ranges of every account, by the name or uid that the file has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Subuids(BTreeMap<Vec<u8>, Vec<(u32, u32)>>);

impl Subuids {
    /// Reads lines of `owner:first:count`; newuidmap(1) passes over any other.
    pub fn parse(text: &[u8]) -> Self {
        let mut all: BTreeMap<Vec<u8>, Vec<(u32, u32)>> = BTreeMap::new();
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b':');
            let (Some(owner), Some(first), Some(count), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if let (Some(first), Some(count)) = (number(first), number(count)) {
                all.entry(owner.to_vec()).or_default().push((first, count));
            }
        }
        Self(all)
    }

    /// The ranges of an account, first and count.
    pub fn of(&self, name: &AccountName, uid: u32) -> Vec<(u32, u32)> {
        let uid = uid.to_string();
        let owners = [name.as_str().as_bytes(), uid.as_bytes()];
        let ranges = owners.iter().filter_map(|owner| self.0.get(*owner));
        ranges.flatten().copied().collect()
    }
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stand_by_name_or_uid_and_other_lines_are_passed_over() {
        let file = b"alice:100000:65536\n# bob:1:2\nbob:165536\n1000:300000:10\nalice:400000:1\n\
                     alice:x:1\nalice:1:2:3\n\nbob:99999999999:1";
        let subuids = Subuids::parse(file);
        let of = |name: &str, uid| subuids.of(&name.parse().unwrap(), uid);
        assert_eq!(
            of("alice", 1000),
            [(100_000, 65_536), (400_000, 1), (300_000, 10)]
        );
        assert_eq!(of("bob", 1001), []);
    }
}
