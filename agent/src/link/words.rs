//! Words that came over the wire, made fit for a log.

/// The longest text of the peer that is repeated, in characters.
const CHARS_MAX: usize = 300;

/// The peer's words without control characters, cut to a length that fits a log line.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '�' } else { c })
        .take(CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable("a\x1b[2J\nb\u{9b}"), "a�[2J�b�");
        assert_eq!(printable(&"é".repeat(1000)).chars().count(), CHARS_MAX);
    }
}
