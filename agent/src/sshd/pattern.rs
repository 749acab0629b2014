//! Pattern lists (match.c), and addresses and networks (addrmatch.c, addr.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How a value stands to a list of patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMatch {
    /// A negated pattern matches; that wins over everything.
    Negated,
    /// No pattern matches.
    Absent,
    /// A pattern matches, no negated one does.
    Present,
    /// An entry is not a valid network.
    Invalid,
}

/// `match_pattern`: `*` is any run of bytes, `?` any one byte.
pub fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// The longest pattern in a list that can match (`char sub[1024]`).
const SUBPATTERN_BYTES_MAX: usize = 1022;

/// `match_pattern_list`: patterns separated by commas, `!` negates.
pub fn matches_list(text: &[u8], list: &[u8]) -> ListMatch {
    let mut found = ListMatch::Absent;
    if list.is_empty() {
        return found;
    }
    // A comma at the very end begins no further pattern in C; an empty one elsewhere matches the empty text.
    for entry in list
        .strip_suffix(b",")
        .unwrap_or(list)
        .split(|b| *b == b',')
    {
        let (negated, pattern) = match entry.strip_prefix(b"!") {
            Some(pattern) => (true, pattern),
            None => (false, entry),
        };
        if pattern.len() > SUBPATTERN_BYTES_MAX {
            return ListMatch::Absent;
        }
        if matches(text, pattern) {
            if negated {
                return ListMatch::Negated;
            }
            found = ListMatch::Present;
        }
    }
    found
}

/// `match_hostname`: without regard to case.
pub fn matches_hostname(host: &[u8], list: &[u8]) -> ListMatch {
    matches_list(&host.to_ascii_lowercase(), &list.to_ascii_lowercase())
}

/// `addr_match_list`: networks and wildcards; without an address it only checks the list.
pub fn matches_address(address: Option<&[u8]>, list: &[u8]) -> ListMatch {
    let mut parsed = None;
    if let Some(text) = address {
        parsed = parse_address(text);
        if parsed.is_none() {
            return ListMatch::Absent;
        }
    }
    let mut found = ListMatch::Absent;
    for entry in list.split(|b| *b == b',') {
        let (negated, entry) = match entry.strip_prefix(b"!") {
            Some(entry) => (true, entry),
            None => (false, entry),
        };
        if entry.is_empty() {
            return ListMatch::Invalid;
        }
        let hit = match Network::parse(entry) {
            NetworkParse::Inconsistent => return ListMatch::Invalid,
            NetworkParse::Network(network) => parsed.is_some_and(|a| network.contains(a)),
            NetworkParse::NotOne => address.is_some_and(|text| matches(text, entry)),
        };
        if hit {
            if negated {
                return ListMatch::Negated;
            }
            found = ListMatch::Present;
        }
    }
    found
}

/// `match_host_and_ip`, which decides `from=` and the host part of `AllowUsers user@host`.
pub fn matches_host_and_address(host: &[u8], address: &[u8], list: &[u8]) -> ListMatch {
    let by_address = matches_address(Some(address), list);
    if matches!(by_address, ListMatch::Invalid | ListMatch::Negated) {
        return by_address;
    }
    match matches_hostname(host, list) {
        ListMatch::Negated => ListMatch::Negated,
        ListMatch::Present => ListMatch::Present,
        _ => by_address,
    }
}

/// Whether a list that [`matches_host_and_address`] takes can match anything at all.
pub fn can_match_some_host(list: &[u8]) -> bool {
    matches_address(None, list) != ListMatch::Invalid
        && list
            .split(|b| *b == b',')
            .any(|entry| !entry.is_empty() && entry[0] != b'!')
        && !list.split(|b| *b == b',').any(|entry| entry == b"!*")
}

/// An IP network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub first: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
}

/// What a list entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkParse {
    /// A network, or one address.
    Network(Network),
    /// Written as a network, but with host bits set or a prefix that is too long.
    Inconsistent,
    /// Something else, such as a wildcard.
    NotOne,
}

impl Network {
    /// `addr_pton_cidr`.
    pub fn parse(text: &[u8]) -> NetworkParse {
        // strlcpy into char[64] fails for longer text.
        if text.len() > 63 {
            return NetworkParse::NotOne;
        }
        let (address, prefix) = match text.iter().position(|b| *b == b'/') {
            Some(slash) => {
                let Some(prefix) = parse_strtonum(&text[slash + 1..]) else {
                    return NetworkParse::NotOne;
                };
                (&text[..slash], Some(prefix))
            }
            None => (text, None),
        };
        let Some(first) = parse_address(address) else {
            return NetworkParse::NotOne;
        };
        let bits = if first.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        match u8::try_from(prefix) {
            Ok(length) if prefix <= bits && masked(first, length) == first => {
                NetworkParse::Network(Self {
                    first,
                    prefix: length,
                })
            }
            _ => NetworkParse::Inconsistent,
        }
    }

    /// The first address behind it, where there is one.
    pub fn next(&self) -> Option<IpAddr> {
        match self.first {
            IpAddr::V4(a) => {
                let size = 1u64 << (32 - u32::from(self.prefix));
                let next = u32::try_from(u64::from(u32::from(a)) + size).ok()?;
                Some(Ipv4Addr::from(next).into())
            }
            IpAddr::V6(a) => {
                let size = 1u128.checked_shl(128 - u32::from(self.prefix))?;
                let next = u128::from(a).checked_add(size)?;
                Some(Ipv6Addr::from(next).into())
            }
        }
    }

    /// Whether an address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.prefix) == self.first
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(a) => {
            Ipv4Addr::from(u32::from(a) & u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
                .into()
        }
        IpAddr::V6(a) => Ipv6Addr::from(
            u128::from(a) & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0),
        )
        .into(),
    }
}

/// `strtonum(…, 0, INT_MAX)`: blanks before, a sign, digits, nothing behind.
fn parse_strtonum(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok()?.trim_start();
    let value: i64 = text.parse().ok()?;
    u32::try_from(value).ok().filter(|v| *v <= i32::MAX as u32)
}

/// `getaddrinfo` with `AI_NUMERICHOST`: IPv6 text, or IPv4 in any form that inet_aton(3) takes.
pub fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.into());
    }
    let parts: Vec<u32> = text
        .split('.')
        .map(parse_aton_part)
        .collect::<Option<_>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|b| *b > 255) {
        return None;
    }
    let room = 32 - 8 * bytes.len() as u32;
    if u64::from(*last) >= 1u64 << room {
        return None;
    }
    let high = bytes
        .iter()
        .zip([24, 16, 8])
        .fold(0, |sum, (byte, shift)| sum | byte << shift);
    Some(Ipv4Addr::from(high | last).into())
}

fn parse_aton_part(part: &str) -> Option<u32> {
    if part.is_empty() || !part.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(hex) = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        return u32::from_str_radix(hex, 16).ok();
    }
    if part.len() > 1 && part.starts_with('0') {
        return u32::from_str_radix(&part[1..], 8).ok();
    }
    part.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ListMatch::*;

    #[test]
    fn wildcards() {
        for (text, pattern, expected) in [
            ("alice", "alice", true),
            ("alice", "al*", true),
            ("alice", "*e", true),
            ("alice", "a?ice", true),
            ("alice", "a??ice", false),
            ("alice", "*l*i*", true),
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
            ("aab", "*ab", true),
            ("alice", "", false),
            ("abc", "*?", true),
        ] {
            assert_eq!(
                matches(text.as_bytes(), pattern.as_bytes()),
                expected,
                "{text} {pattern}"
            );
        }
    }

    #[test]
    fn lists() {
        for (text, list, expected) in [
            ("alice", "bob,alice", Present),
            ("alice", "a*,!alice", Negated),
            ("alice", "!alice,a*", Negated),
            ("alice", "!bob", Absent),
            ("alice", "!bob,*", Present),
            ("alice", "", Absent),
            ("alice", "bob,", Absent),
            ("Alice", "alice", Absent),
        ] {
            assert_eq!(
                matches_list(text.as_bytes(), list.as_bytes()),
                expected,
                "{text} {list}"
            );
        }
        assert_eq!(
            matches_hostname(b"WWW.Example.com", b"*.EXAMPLE.com"),
            Present
        );
    }

    #[test]
    fn networks() {
        for (address, list, expected) in [
            ("10.1.2.3", "10.0.0.0/8", Present),
            ("10.1.2.3", "10.0.0.1/8", Invalid),
            ("10.1.2.3", "!10.1.0.0/16,10.0.0.0/8", Negated),
            ("10.1.2.3", "10.*", Present),
            ("10.1.2.3", "10.1.2.3", Present),
            ("10.1.2.3", "10.66051", Present),
            ("10.1.2.3", "0x0a010203", Present),
            ("10.1.2.3", "0.0.0.0/0", Present),
            ("fe80::1", "fe80::/10", Present),
            ("fe80::1", "10.0.0.0/8", Absent),
            ("10.1.2.3", "10.0.0.0/33", Invalid),
            ("10.1.2.3", "10.0.0.0/x", Absent),
            ("10.1.2.3", "10.1.2.3,", Invalid),
            ("host", "*", Absent),
        ] {
            assert_eq!(
                matches_address(Some(address.as_bytes()), list.as_bytes()),
                expected,
                "{address} {list}"
            );
        }
        assert!(can_match_some_host(b"10.0.0.0/8,!10.1.1.1"));
        assert!(!can_match_some_host(b"!10.1.1.1"));
        assert!(!can_match_some_host(b"10.0.0.1/8"));
        assert!(!can_match_some_host(b""));
    }
}
