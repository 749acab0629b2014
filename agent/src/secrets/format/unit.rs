//! systemd's unit files (systemd.syntax(7), systemd.exec(5)).

use zeroize::{Zeroize, Zeroizing};

/// Hands over every assignment of a unit file: its section, its name, its value. Lines that end
/// with a backslash go on in the next one.
pub fn settings<'f>(text: &'f [u8], mut each: impl FnMut(&'f [u8], &'f [u8], &[u8])) {
    let mut section: &[u8] = b"";
    let mut lines = super::ini::lines(text);
    while let Some(line) = lines.next() {
        let line = line.trim_ascii();
        match line.first() {
            None | Some(b'#' | b';') => continue,
            Some(b'[') => {
                let end = line.iter().position(|b| *b == b']').unwrap_or(line.len());
                section = &line[1..end];
                continue;
            }
            Some(_) => {}
        }
        let Some(equals) = line.iter().position(|b| *b == b'=') else {
            continue;
        };
        let (name, value) = (line[..equals].trim_ascii(), line[equals + 1..].trim_ascii());
        let Some(first) = value.strip_suffix(b"\\") else {
            each(section, name, value);
            continue;
        };
        // Room for all that follows: a buffer that grows leaves copies behind.
        let mut room = value.len();
        for more in lines.clone() {
            room += more.len() + 1;
            if !goes_on(more) {
                break;
            }
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(room));
        whole.extend_from_slice(first);
        for more in lines.by_ref() {
            // Comments between the parts are left out.
            if matches!(more.trim_ascii_start().first(), Some(b'#' | b';')) {
                continue;
            }
            let more = more.trim_ascii_end();
            whole.push(b' ');
            match more.strip_suffix(b"\\") {
                Some(part) => whole.extend_from_slice(part),
                None => {
                    whole.extend_from_slice(more);
                    break;
                }
            }
        }
        each(section, name, whole.trim_ascii());
    }
}

/// Whether the line after this one belongs to it, too: it ends with a backslash, or is a comment
/// between two that do.
fn goes_on(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"\\")
        || matches!(line.trim_ascii_start().first(), Some(b'#' | b';'))
}

/// Hands over the words of a value: separated by blanks, in quotes of both kinds, with C escapes.
pub fn words(value: &[u8], mut each: impl FnMut(&[u8])) {
    let mut word = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut quote = None;
    let mut any = false;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (_, b'\\') => {
                any = true;
                match bytes.next() {
                    Some(b'n') => word.push(b'\n'),
                    Some(b't') => word.push(b'\t'),
                    Some(b's') => word.push(b' '),
                    Some(other) => word.push(other),
                    None => word.push(b'\\'),
                }
            }
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                any = true;
            }
            (Some(open), byte) if open == byte => quote = None,
            (None, b' ' | b'\t') => {
                if any || !word.is_empty() {
                    each(&word);
                }
                word.zeroize(); // keeps its room
                any = false;
            }
            (_, byte) => word.push(byte),
        }
    }
    if any || !word.is_empty() {
        each(&word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_go_on_and_words_in_quotes() {
        let text = b"[Unit]\nDescription=x\n[Service]\nEnvironment=A=b \"C=d e\" \\\n# no\n  'F=g\"h' I=j\\x\n; X=y\nExecStart=/bin/x --password=y\nLast=\\\n";
        let mut found = Vec::new();
        settings(text, |section, name, value| {
            let mut all = Vec::new();
            words(value, |word| {
                all.push(String::from_utf8_lossy(word).into_owned())
            });
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            found.push(format!(
                "{}.{}: {}",
                text(section),
                text(name),
                all.join("|")
            ));
        });
        assert_eq!(
            found,
            [
                "Unit.Description: x",
                "Service.Environment: A=b|C=d e|F=g\"h|I=jx",
                "Service.ExecStart: /bin/x|--password=y",
                "Service.Last: ",
            ]
        );
    }
}
