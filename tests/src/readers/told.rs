//! What is told to people, and what of a file a line number means.

/// Fails when a text that goes to a terminal, a log or a report holds a control character, or is
/// longer than anybody reads.
///
/// # Panics
/// Then.
pub fn is_told_safely(text: &str) {
    holds_no_control(text);
    assert!(
        text.len() <= TOLD_BYTES_MAX,
        "{} bytes are told",
        text.len()
    );
}

/// The same for a text that may be long, such as what `Debug` shows.
///
/// # Panics
/// When there is a control character in it.
pub fn holds_no_control(text: &str) {
    let control = text.chars().find(|c| c.is_control());
    assert!(control.is_none(), "{control:?} in {text:?}");
}

/// The same for a text of several lines, which may hold tabs.
///
/// # Panics
/// When there is another control character in it, or it is too long.
pub fn is_told_in_lines(text: &str) {
    is_told_safely(&text.replace(['\n', '\t'], " "));
}

/// A path of 4096 bytes, each of which is shown as four, and words around it; some texts hold two.
const TOLD_BYTES_MAX: usize = 64 * 1024;

/// How many lines a file has, a last one without its end included.
pub fn lines_in(file: &[u8]) -> u32 {
    let ended = file.iter().filter(|byte| **byte == b'\n').count();
    let unended = usize::from(!file.is_empty() && !file.ends_with(b"\n"));
    u32::try_from(ended + unended).expect("a fuzzed file is not that long")
}
