//! XML, as far as settings files need it: elements, attributes, texts. Comments, instructions and
//! the document's type are passed over; nothing is ever fetched or expanded.

/// Deeper than this nothing is read.
const DEPTH_MAX: usize = 32;

/// What comes next in a file.
pub enum Event<'e, 'f> {
    /// An element begins; the path ends with its name.
    Open {
        /// The names of the elements it is in, and its own.
        path: &'e [&'f [u8]],
        /// Its attributes as they stand.
        attributes: Attributes<'f>,
    },
    /// Text inside an element, blanks around it taken off, as it stands.
    Text {
        /// The names of the elements it is in.
        path: &'e [&'f [u8]],
        /// The text.
        text: &'f [u8],
    },
}

/// `a="b" c='d'`.
#[derive(Clone, Copy)]
pub struct Attributes<'f>(&'f [u8]);

impl<'f> Attributes<'f> {
    /// The value of one.
    pub fn get(self, name: &str) -> Option<&'f [u8]> {
        let mut rest = self.0;
        loop {
            let equals = rest.iter().position(|b| *b == b'=')?;
            let found = rest[..equals].trim_ascii();
            let value = rest[equals + 1..].trim_ascii_start();
            let quote = *value.first().filter(|b| matches!(b, b'"' | b'\''))?;
            let end = value[1..].iter().position(|b| *b == quote)?;
            if found.eq_ignore_ascii_case(name.as_bytes()) {
                return Some(&value[1..=end]);
            }
            rest = &value[end + 2..];
        }
    }
}

/// Hands over what stands in a file, up to the first thing that is not XML.
pub fn events<'f>(text: &'f [u8], mut each: impl FnMut(Event<'_, 'f>)) {
    let mut path: Vec<&[u8]> = Vec::with_capacity(DEPTH_MAX);
    let mut rest = text;
    while let Some(open) = memchr::memchr(b'<', rest) {
        let words = rest[..open].trim_ascii();
        if !words.is_empty() && !path.is_empty() {
            each(Event::Text {
                path: &path,
                text: words,
            });
        }
        rest = &rest[open + 1..];
        let skipped = match rest {
            [b'!', b'-', b'-', ..] => Some(&b"-->"[..]),
            [b'!' | b'?', ..] => Some(&b">"[..]),
            _ => None,
        };
        if let Some(until) = skipped {
            let Some(end) = memchr::memmem::find(rest, until) else {
                return;
            };
            rest = &rest[end + until.len()..];
            continue;
        }
        let Some(close) = end_of_tag(rest) else {
            return;
        };
        let tag = &rest[..close];
        rest = &rest[close + 1..];
        if tag.first() == Some(&b'/') {
            path.pop();
            continue;
        }
        let (tag, empty) = match tag.strip_suffix(b"/") {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name_end = tag
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(tag.len());
        if path.len() == DEPTH_MAX {
            return;
        }
        path.push(&tag[..name_end]);
        let attributes = Attributes(&tag[name_end..]);
        each(Event::Open {
            path: &path,
            attributes,
        });
        if empty {
            path.pop();
        }
    }
}

/// A `>` inside quotes does not end a tag.
fn end_of_tag(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    text.iter().position(|byte| {
        match (quote, *byte) {
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
        *byte == b'>' && quote.is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_attributes_and_texts() {
        let text = br#"<?xml version="1.0"?><!-- <a>no</a> --><s><server><id>x</id>
            <password> p&amp;w </password></server><add key="k" value='a>b' /></s>"#;
        let mut found = Vec::new();
        events(text, |event| {
            let join = |path: &[&[u8]]| {
                let names: Vec<_> = path.iter().map(|n| String::from_utf8_lossy(n)).collect();
                names.join("/")
            };
            match event {
                Event::Text { path, text } => {
                    found.push(format!("{}={}", join(path), String::from_utf8_lossy(text)));
                }
                Event::Open { path, attributes } => {
                    if let Some(value) = attributes.get("value") {
                        found.push(format!(
                            "{}@value={}",
                            join(path),
                            String::from_utf8_lossy(value)
                        ));
                    }
                }
            }
        });
        assert_eq!(
            found,
            [
                "s/server/id=x",
                "s/server/password=p&amp;w",
                "s/add@value=a>b"
            ]
        );
    }

    #[test]
    fn what_is_no_xml_ends_it() {
        for text in [
            "<",
            "<a",
            "<!--",
            "</a></b>",
            "<a b='>",
            "text",
            "<a b=c><d/>",
        ] {
            events(text.as_bytes(), |event| {
                if let Event::Open { attributes, .. } = event {
                    let _ = attributes.get("b");
                }
            });
        }
    }
}
