//! Capabilities of a program's file (capabilities(7)): `security.capability`.

use std::io;

/// Those that make root of whoever has them, by their numbers.
const AS_GOOD_AS_ROOT: [(u32, &str); 14] = [
    (0, "cap_chown"),
    (1, "cap_dac_override"),
    (2, "cap_dac_read_search"),
    (3, "cap_fowner"),
    (6, "cap_setgid"),
    (7, "cap_setuid"),
    (8, "cap_setpcap"),
    (16, "cap_sys_module"),
    (17, "cap_sys_rawio"),
    (18, "cap_sys_chroot"),
    (19, "cap_sys_ptrace"),
    (21, "cap_sys_admin"),
    (27, "cap_mknod"),
    (31, "cap_setfcap"),
];

/// The names of those that make root, by the value that a file has, if it has one.
///
/// # Errors
/// A value that is not understood is not none: it may hold any.
pub(super) fn of_file(value: Option<&[u8]>) -> io::Result<Vec<&'static str>> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "its capabilities are unknown");
    that_make_root(value).ok_or_else(odd)
}

/// The names of those that a file has and that make root; `None` for a value that is not understood.
///
/// The value is `struct vfs_cap_data` (linux/capability.h), of revision 1, 2 or 3, little endian.
pub fn that_make_root(value: &[u8]) -> Option<Vec<&'static str>> {
    let word = |at: usize| {
        let bytes = value.get(at * 4..at * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    match word(0)? >> 24 {
        1..=3 => {}
        _ => return None,
    }
    let permitted = word(1)?;
    let has = |number: u32| permitted >> number & 1 == 1;
    let names = AS_GOOD_AS_ROOT.iter().filter(|(number, _)| has(*number));
    Some(names.map(|(_, name)| *name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let value = |permitted: u32| {
            let words = [0x0200_0001, permitted, 0, 0, 0];
            words
                .iter()
                .flat_map(|word: &u32| word.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        assert_eq!(
            that_make_root(&value(1 << 7 | 1 << 13)),
            Some(vec!["cap_setuid"])
        );
        assert_eq!(that_make_root(&value(1 << 13)), Some(vec![]));
        assert_eq!(that_make_root(b"\0\0\0\x09\x01"), None);
        assert_eq!(that_make_root(b""), None);
        assert_eq!(of_file(None).unwrap(), [""; 0]);
        assert_eq!(of_file(Some(&value(1 << 7))).unwrap(), ["cap_setuid"]);
        let odd = of_file(Some(b"")).unwrap_err();
        assert_eq!(odd.to_string(), "its capabilities are unknown");
    }
}
