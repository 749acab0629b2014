//! What a path leads to, with all that decides about it: the question and the answer.

use minicbor::{Decode, Decoder, Encode};

use crate::sys::fs::FileKind;

/// Look, as root, at what the path leads to, and at all that decides about it: nothing is read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Trace {
    /// Absolute, as the host names it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
}

/// Directories and links come by in one path.
pub(super) const PARTS_MAX: usize = 512;

/// What a path leads to, and all that decides about it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Looked {
    /// The directories and links on the way and, where there is one, what is at its end, in the
    /// order in which they are come by. The first is `/`.
    #[cbor(n(0), decode_with = "parts_in_order")]
    pub parts: Vec<Part>,
    /// Which of the parts is the end; `None` where there is nothing.
    #[n(1)]
    pub end: Option<u32>,
    /// The directory in which the end is or, with that name, would be.
    #[n(2)]
    pub directory: u32,
    /// That name.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub name: Vec<u8>,
}

/// A directory or link on a way, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    /// Its name.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// Which of the parts is the directory that holds it; `None` for `/`.
    #[n(1)]
    pub within: Option<u32>,
    /// What it is.
    #[n(2)]
    pub kind: FileKind,
    /// Owner.
    #[n(3)]
    pub uid: u32,
    /// Group.
    #[n(4)]
    pub gid: u32,
    /// Permission bits (07777).
    #[n(5)]
    pub mode: u32,
    /// `system.posix_acl_access`, where the mode leaves room for one (acl(5)); empty without.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub acl: Vec<u8>,
}

/// Parts, so many and no more, each within one that came before it: whoever follows them upwards
/// comes to an end.
fn parts_in_order<C>(
    decoder: &mut Decoder<'_>,
    context: &mut C,
) -> Result<Vec<Part>, minicbor::decode::Error> {
    let parts = Vec::<Part>::decode(decoder, context)?;
    let in_order = (0..).zip(&parts).all(|(place, part)| {
        let within: Option<u32> = part.within;
        within.is_none_or(|within| within < place)
    });
    match in_order && parts.len() <= PARTS_MAX {
        true => Ok(parts),
        false => Err(minicbor::decode::Error::message("this is not a way")),
    }
}

impl Looked {
    /// The path of a part.
    pub fn path(&self, part: u32) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = Some(part);
        // Each is within one that came before it.
        while let Some(part) = at.and_then(|at| self.parts.get(at as usize)) {
            if part.within.is_some() {
                names.push(part.name.as_slice());
            }
            at = part.within;
        }
        match names.is_empty() {
            true => b"/".to_vec(),
            false => names.iter().rev().fold(Vec::new(), |path, name| {
                [path.as_slice(), b"/", name].concat()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_goes_in_circles() {
        let part = |within| Part {
            name: b"a".to_vec(),
            within,
            kind: FileKind::Directory,
            uid: 0,
            gid: 0,
            mode: 0o755,
            acl: Vec::new(),
        };
        let read = |parts: Vec<Part>| {
            let looked = Looked {
                parts,
                end: Some(1),
                directory: 0,
                name: b"a".to_vec(),
            };
            let bytes = rescind_protocol::cbor::to_vec(&looked);
            rescind_protocol::cbor::from_slice::<Looked>(&bytes)
        };
        let good = read(vec![part(None), part(Some(0))]).unwrap();
        assert_eq!(good.path(1), b"/a");
        for circle in [
            vec![part(Some(0)), part(Some(0))],
            vec![part(None), part(Some(1))],
            vec![part(None), part(Some(2)), part(Some(1))],
            vec![part(None); PARTS_MAX + 1],
        ] {
            assert!(read(circle).is_err());
        }
    }
}
