//! Network addresses as sudo's scanner recognises them; longest matches, like [`super::patterns`].

use super::patterns::hex;

fn digits(s: &[u8]) -> usize {
    s.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Lengths at which a decimal octet of an address can end.
fn octet_ends(s: &[u8]) -> [bool; 4] {
    let digits = digits(&s[..s.len().min(3)]);
    let mut ends = [false; 4];
    ends[1] = digits >= 1;
    ends[2] = digits >= 2;
    ends[3] = digits == 3
        && (s[0] == b'1' || (s[0] == b'2' && (s[1] < b'5' || (s[1] == b'5' && s[2] <= b'5'))));
    ends
}

/// All lengths an IPv4 address at the front can have, longest first.
fn ipv4_ends(s: &[u8]) -> Vec<usize> {
    let mut at = 0;
    for _ in 0..3 {
        let digits = digits(&s[at..]);
        if digits > 3 || !octet_ends(&s[at..])[digits] || s.get(at + digits) != Some(&b'.') {
            return Vec::new();
        }
        at += digits + 1;
    }
    let ends = octet_ends(&s[at..]);
    (1..=3).rev().filter(|n| ends[*n]).map(|n| at + n).collect()
}

/// All lengths an IPv6 address at the front can have, longest first, as sudo's pattern sees one.
fn ipv6_ends(s: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    for groups in 0..=7 {
        if groups >= 2 {
            let digits = hex(&s[at..]).min(4);
            ends.extend((0..=digits).map(|n| at + n));
            if groups <= 6 && s.get(at) == Some(&b':') {
                ends.extend(ipv4_ends(&s[at + 1..]).into_iter().map(|n| at + 1 + n));
            }
        }
        let digits = hex(&s[at..]);
        if digits > 4 || s.get(at + digits) != Some(&b':') {
            break;
        }
        at += digits + 1;
    }
    ends.sort_unstable_by(|a, b| b.cmp(a));
    ends.dedup();
    ends
}

/// The longest of `ends`, or of an end followed by `/` and a mask.
fn with_mask(s: &[u8], ends: &[usize], mask: impl Fn(&[u8]) -> usize) -> usize {
    let bare = ends.first().copied().unwrap_or(0);
    ends.iter()
        .filter(|end| s.get(**end) == Some(&b'/'))
        .map(|end| match mask(&s[end + 1..]) {
            0 => bare,
            n => end + 1 + n,
        })
        .fold(bare, usize::max)
}

/// Digits up to `max`, without superfluous zeros.
fn prefix_length(s: &[u8], max: u32) -> usize {
    let digits = digits(&s[..s.len().min(3)]);
    (1..=digits)
        .rev()
        .find(|n| {
            let text = &s[..*n];
            let number = text.iter().fold(0, |sum, c| sum * 10 + u32::from(c - b'0'));
            let zero = text[0] == b'0' && *n > 1;
            number <= max && !zero
        })
        .unwrap_or(0)
}

/// `a.b.c.d`, alone or with `/a.b.c.d` or `/bits`.
pub(super) fn ipv4(s: &[u8]) -> usize {
    let ends = ipv4_ends(s);
    let dotted = with_mask(s, &ends, |m| ipv4_ends(m).first().copied().unwrap_or(0));
    dotted.max(with_mask(s, &ends, |m| prefix_length(m, 32)))
}

/// An IPv6 address, alone or with a mask.
pub(super) fn ipv6(s: &[u8]) -> usize {
    let ends = ipv6_ends(s);
    let address = with_mask(s, &ends, |m| ipv6_ends(m).first().copied().unwrap_or(0));
    address.max(with_mask(s, &ends, |m| prefix_length(m, 128)))
}

/// No part of it has `::` twice.
pub(super) fn ipv6_is_valid(s: &[u8]) -> bool {
    s.split(|c| *c == b'/')
        .all(|part| part.windows(2).filter(|pair| *pair == b"::").count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, length) in [
            ("10.0.0.1 ", 8),
            ("10.0.0.1/8 ", 10),
            ("10.0.0.1/33 ", 10),
            ("10.0.0.1/255.0.0.0 ", 18),
            ("10.0.0.256 ", 9),
            ("10.0.0 ", 0),
            ("1000.0.0.1 ", 0),
        ] {
            assert_eq!(ipv4(text.as_bytes()), length, "{text}");
        }
        for (text, length) in [
            ("fe80::1 ", 7),
            ("fe80::1/64 ", 10),
            ("::1 ", 3),
            (":: ", 2),
            ("a:b:c ", 5),
            ("a:b ", 0),
            ("::ffff:10.0.0.1 ", 9),
            ("alice : ", 0),
        ] {
            assert_eq!(ipv6(text.as_bytes()), length, "{text}");
        }
    }
}
