//! What recognisers of credentials say of a file.

use rescind_agent::secrets::Marker;
use rescind_agent::secrets::label::tellable;
use rescind_agent::secrets::note::{File, Mark, Note};
use rescind_agent::secrets::recognise::Recogniser;

use super::told::is_told_safely;

/// Has a file read that may lie at `path`, a pattern in which `*` stands for a name, beneath a home;
/// says whether anything is held in it.
///
/// # Panics
/// When more is said than there is, or what is said is not to be told.
pub fn read_at(read: Recogniser, path: &str, bytes: &[u8]) -> bool {
    let path = format!("/home/alice/{}", path.replace('*', "x"));
    let path = path.as_bytes();
    let marker = Marker::new(&[7; 32]);
    let (mut notes, mut held) = (0_usize, false);
    read(&File { path, bytes }, &mut |note| {
        notes += 1;
        held |= matches!(note, Note::Held(_));
        told(&note, &marker, bytes);
    });
    assert!(
        notes <= bytes.len() + 1,
        "{notes} notes of {} bytes",
        bytes.len()
    );
    held
}

fn told(note: &Note<'_>, marker: &Marker, bytes: &[u8]) {
    match note {
        Note::Held(held) => {
            let (mark, value) = match held.mark {
                Mark::Public(mark) => (mark.to_string(), None),
                Mark::Value(value) => (marker.mark(value).to_string(), Some(value)),
            };
            is_told_safely(&mark);
            is_told_safely(held.key_type.0);
            assert!(held.key_type.1 <= 1 << 24, "{} bits", held.key_type.1);
            // Nothing is found that is not there, and what is told of it is no part of it.
            let value = value.unwrap_or_default();
            assert!(value.len() <= bytes.len().saturating_mul(3));
            if let Some(label) = tellable(held.label, Some(value)) {
                is_told_safely(&label);
                assert!(label.len() <= 130);
                let shown = label.as_bytes();
                let holds =
                    value.len() >= 8 && shown.windows(value.len()).any(|part| part == value);
                assert!(!holds, "a label holds the value");
            }
        }
        Note::PassedOver { label, .. } => {
            tellable(label, None)
                .iter()
                .for_each(|label| is_told_safely(label));
        }
        Note::Unclear { why, .. } => is_told_safely(why),
        Note::Refers { path, .. } => assert!(path.len() <= bytes.len()),
    }
}
