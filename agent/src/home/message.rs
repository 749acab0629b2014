//! What the parent asks of the child, and what the child answers.
//!
//! Both ends are the same program, so the encoding is free to change with it: a length of 4 bytes
//! (little endian) and one CBOR value.

use std::fmt;

use minicbor::{Decode, Decoder, Encode};
use zeroize::Zeroizing;

use crate::stamps::{Ask as StampAsk, Seen as Stamped, Settled};
use crate::sys::fs::{FileStat, FileTime};

pub use crate::sys::fs::FileKind;
pub use crate::sys::ids::Ids;

/// The most looks in one message; the parent splits longer lists.
pub(super) const LOOKS_PER_MESSAGE_MAX: usize = 4096;

/// The most names whose state is asked for in one message.
pub(super) const STAMPS_PER_MESSAGE_MAX: usize = 8192;

/// The names of one answer, which has its own deadline: few enough that a slow disk is not taken
/// for one that hangs.
pub(super) const STAMPS_PER_ANSWER: usize = 128;

/// The most bytes of one request message.
pub(super) const REQUEST_BYTES_MAX: usize = 72 << 20;

/// What an answer may be longer than the bytes asked for: paths, facts, names.
pub(super) const ANSWER_EXTRA_BYTES_MAX: usize = 1 << 20;

/// What the child is asked to do, as the parent says it.
#[derive(Debug, Clone, Copy, Encode)]
pub enum Ask<'a> {
    /// Look at files and directories; one answer for each, in order, and each as soon as it is
    /// known, or several together, which costs less.
    #[n(0)]
    Look(#[n(0)] &'a [Look], #[n(1)] Sending),
    /// Replace a file.
    #[n(1)]
    Replace(#[n(0)] &'a Replace),
    /// Look at what decides about paths; one answer for each, in order.
    #[n(2)]
    Trace(#[n(0)] &'a [Trace]),
    /// Look at the state of names; an answer for so many at a time, in order.
    #[n(3)]
    Stamp(#[n(0)] &'a [StampAsk], #[n(1)] Option<Settled>),
}

/// [`Ask`], as the child hears it.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub enum Request {
    /// Look at files and directories.
    #[n(0)]
    Look(#[n(0)] Vec<Look>, #[n(1)] Sending),
    /// Replace a file.
    #[n(1)]
    Replace(#[n(0)] Replace),
    /// Look at what decides about paths.
    #[n(2)]
    Trace(#[n(0)] Vec<Trace>),
    /// Look at the state of names.
    #[n(3)]
    Stamp(#[n(0)] Vec<StampAsk>, #[n(1)] Option<Settled>),
}

/// When answers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Sending {
    /// Each at once: the first that does not come is the one that hangs.
    #[n(0)]
    OneByOne,
    /// Several at a time.
    #[n(1)]
    Together,
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Look {
    /// A file.
    #[n(0)]
    Read(#[n(0)] Read),
    /// A directory.
    #[n(1)]
    List(#[n(0)] List),
}

impl Look {
    /// As whom.
    pub fn owner(&self) -> &Ids {
        match self {
            Self::Read(read) => &read.owner,
            Self::List(list) => &list.owner,
        }
    }

    /// At what.
    pub fn path(&self) -> &[u8] {
        match self {
            Self::Read(read) => &read.path,
            Self::List(list) => &list.path,
        }
    }

    /// The most bytes of what is seen.
    pub(super) fn bytes_max(&self) -> u64 {
        match self {
            Self::Read(read) => read.max_bytes,
            Self::List(list) => u64::from(list.max_entries).saturating_mul(400),
        }
    }
}

/// Read the file `path` as `owner`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Read {
    /// Who the child becomes; [`Ids::ROOT`] to read as root, following only links that nobody but
    /// root can have made.
    #[n(0)]
    pub owner: Ids,
    /// Absolute, as the host names it (below the host's root directory).
    #[cbor(n(1), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// The home directory as passwd(5) names it, when it is to be found among the directories of
    /// the way: sshd(8)'s StrictModes looks no higher.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub home: Option<Vec<u8>>,
    /// Longer files are refused.
    #[n(3)]
    pub max_bytes: u64,
}

/// Replace the file `path` as `owner`, in one step and durably.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Replace {
    /// Who the child becomes; [`Ids::ROOT`] to write as root: the new file then gets the old
    /// one's owner.
    #[n(0)]
    pub owner: Ids,
    /// Absolute, as the host names it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// What the file was when it was read; another file, or a newer content, is not replaced.
    #[n(2)]
    pub expected: FileFacts,
    /// The new content.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replace")
            .field("owner", &self.owner)
            .field("path", &self.path.escape_ascii().to_string())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// List the directory `path` as `owner`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct List {
    /// Who the child becomes.
    #[n(0)]
    pub owner: Ids,
    /// Absolute, as the host names it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub path: Vec<u8>,
    /// The most names.
    #[n(2)]
    pub max_entries: u32,
}

/// Look, as root, at what the path leads to, and at all that decides about it: nothing is read.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Trace {
    /// Absolute, as the host names it.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub path: Vec<u8>,
}

/// What the child has done.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// To each [`Look`].
    #[n(0)]
    Seen(#[n(0)] Seen),
    /// To [`Replace`]: the new file.
    #[n(1)]
    Replaced(#[n(0)] FileFacts),
    /// To each [`Trace`].
    #[n(2)]
    Traced(#[n(0)] Looked),
    /// To so many names: [`STAMPS_PER_ANSWER`].
    #[n(3)]
    Stamped(#[n(0)] Vec<Stamped>),
}

/// What was seen of a [`Look`].
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Seen {
    /// Of [`Look::Read`].
    #[n(0)]
    Content(#[n(0)] Content),
    /// Of [`Look::List`].
    #[n(1)]
    Listing(#[n(0)] Listing),
}

/// A file's content, and how it was reached.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Content {
    /// The whole content.
    #[n(0)]
    pub bytes: FileBytes,
    /// The file.
    #[n(1)]
    pub facts: FileFacts,
    /// Where it really is, after all links, as realpath(3) would say it.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub real_path: Vec<u8>,
    /// How many symbolic links were followed.
    #[n(3)]
    pub links: u32,
    /// The directories of `real_path`, from `/` down to the one that holds the file.
    #[n(4)]
    pub dirs: Vec<DirFacts>,
    /// Which of `dirs` is the home directory asked for, if one is.
    #[n(5)]
    pub home_at: Option<u32>,
}

/// Bytes of a user's file: erased when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FileBytes(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for FileBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
impl std::ops::Deref for FileBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}
impl<C> Encode<C> for FileBytes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}
impl<'b, C> Decode<'b, C> for FileBytes {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(Zeroizing::new(d.bytes()?.to_vec())))
    }
}

/// What stat(2) says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct FileFacts {
    /// Owner.
    #[n(0)]
    pub uid: u32,
    /// Group.
    #[n(1)]
    pub gid: u32,
    /// Permission bits (07777).
    #[n(2)]
    pub mode: u32,
    /// Hard links.
    #[n(3)]
    pub nlink: u64,
    /// Bytes.
    #[n(4)]
    pub size: u64,
    /// Device.
    #[n(5)]
    pub dev: u64,
    /// Inode number.
    #[n(6)]
    pub inode: u64,
    /// Last change of the content.
    #[n(7)]
    pub mtime: FileTime,
    /// Last change of anything.
    #[n(8)]
    pub ctime: FileTime,
}

impl FileFacts {
    /// Whether this is the same file with the same content as `other`, as far as stat(2) can say.
    /// The number of links does not count: it changes with what others do elsewhere.
    pub fn same_content(&self, other: &Self) -> bool {
        (self.dev, self.inode, self.size) == (other.dev, other.inode, other.size)
            && (self.mtime, self.ctime) == (other.mtime, other.ctime)
    }
}

impl From<FileStat> for FileFacts {
    fn from(s: FileStat) -> Self {
        Self {
            uid: s.uid,
            gid: s.gid,
            mode: s.mode,
            nlink: s.nlink,
            size: s.size,
            dev: s.dev,
            inode: s.ino,
            mtime: s.mtime,
            ctime: s.ctime,
        }
    }
}

/// What matters of a directory on the way to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct DirFacts {
    /// Owner.
    #[n(0)]
    pub uid: u32,
    /// Group.
    #[n(1)]
    pub gid: u32,
    /// Permission bits (07777).
    #[n(2)]
    pub mode: u32,
}

/// The names in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Listing {
    /// Each name with what it is; a name that vanished meanwhile is left out.
    #[n(0)]
    pub entries: Vec<Entry>,
    /// There are more than were asked for.
    #[n(1)]
    pub more: bool,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// The name.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub name: Vec<u8>,
    /// What it is; a link is not followed.
    #[n(1)]
    pub kind: FileKind,
    /// What stat(2) says of it, as far as that is known without asking a server.
    #[n(2)]
    pub facts: FileFacts,
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

/// One message of the child.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// It is done.
    #[n(0)]
    Done(#[n(0)] Answer),
    /// It is not.
    #[n(1)]
    Not(#[n(0)] Why),
}

/// Why something asked for was not done. Only `Missing` says that there is no such file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Why {
    /// No such file, or a part of the way to it is missing or no directory.
    #[n(0)]
    #[error("does not exist")]
    Missing,
    /// It is something else than a regular file.
    #[n(1)]
    #[error("is not a regular file but {0}")]
    NotRegular(#[n(0)] FileKind),
    /// A symbolic link on the way is not followed.
    #[n(2)]
    #[error("{0}")]
    Links(#[n(0)] LinkTrouble),
    /// The file has other names, so it is not replaced: the others would keep the old content.
    #[n(3)]
    #[error("has {0} hard links; remove the others first")]
    HardLinks(#[n(0)] u64),
    /// It is longer than asked for.
    #[n(4)]
    #[error("is longer than {0} bytes, the most that is read")]
    TooLarge(#[n(0)] u64),
    /// Its owner may not do that.
    #[n(5)]
    #[error("permission denied to uid {uid}")]
    Denied {
        /// As whom it was tried.
        #[n(0)]
        uid: u32,
    },
    /// The owner cannot replace it, but root may.
    #[n(6)]
    #[error("cannot be replaced by its user: {0}")]
    NotOwners(#[n(0)] NotOwners),
    /// It is not the file, or not the content, that was read before.
    #[n(7)]
    #[error("has changed since it was read")]
    Changed,
    /// It changed while it was read, again and again.
    #[n(8)]
    #[error("keeps changing while it is read")]
    Unsteady,
    /// The file system is read-only.
    #[n(9)]
    #[error("is on a read-only file system")]
    ReadOnly,
    /// The path is longer than the kernel accepts.
    #[n(10)]
    #[error("has a path that is too long")]
    PathTooLong,
    /// The file or its directory is marked immutable or append-only.
    #[n(11)]
    #[error("may not be changed even by root (immutable or append-only? see lsattr)")]
    Immutable,
    /// The child could not take on the owner's ids.
    #[n(12)]
    #[error("could not act as uid {uid}: {}", errno_in_words(.errno))]
    CannotBecome {
        /// Whose.
        #[n(0)]
        uid: u32,
        /// errno(3).
        #[n(1)]
        errno: i32,
    },
    /// Another error of the system.
    #[n(13)]
    #[error("{}: {}", step, errno_in_words(.errno))]
    Io {
        /// What was being done.
        #[n(0)]
        step: Step,
        /// errno(3).
        #[n(1)]
        errno: i32,
    },
    /// No answer in time; the child was left behind. Said by the parent.
    #[n(14)]
    #[error("did not answer in time (a dead network or FUSE file system?)")]
    Hung,
    /// The child is gone or answered nonsense. Said by the parent.
    #[n(15)]
    #[error("the child that reads users' files failed: {}", in_print(.0))]
    Child(#[n(0)] String),
}

impl Why {
    /// Whether the path's own state is the reason, so that it stays as long as that does.
    pub const fn is_of_the_path(&self) -> bool {
        matches!(
            self,
            Self::Missing
                | Self::NotRegular(_)
                | Self::Links(_)
                | Self::TooLarge(_)
                | Self::Denied { .. }
                | Self::PathTooLong
        )
    }
}

/// Why a symbolic link was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[cbor(index_only)]
pub enum LinkTrouble {
    /// More than the kernel would follow (40, path_resolution(7)), or a loop.
    #[n(0)]
    #[error("is reached through too many symbolic links, or a loop of them")]
    TooMany,
    /// It leads into /proc, where names are not files.
    #[n(1)]
    #[error("is reached through a symbolic link into /proc")]
    Proc,
    /// Root follows only links in directories that nobody else can write.
    #[n(2)]
    #[error("is reached through a symbolic link that others than root can change")]
    Untrusted,
}

/// Why a file cannot be replaced by its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum NotOwners {
    /// The file belongs to somebody else.
    #[n(0)]
    #[error("the file belongs to uid {0}")]
    File(#[n(0)] u32),
    /// The user may not make files in the directory.
    #[n(1)]
    #[error("the user may not write in its directory")]
    Directory,
    /// The user may not give the new file the group of the old one.
    #[n(2)]
    #[error("the user may not give a file to group {0}")]
    Group(#[n(0)] u32),
    /// The user may not give the new file an attribute of the old one.
    #[n(3)]
    #[error("the user may not copy its extended attributes")]
    Attributes,
}

/// What was being done when the system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[expect(missing_docs, reason = "the words are the names")]
pub enum Step {
    #[n(0)]
    Walk,
    #[n(1)]
    Open,
    #[n(2)]
    Read,
    #[n(3)]
    Create,
    #[n(4)]
    Write,
    #[n(5)]
    Attributes,
    #[n(6)]
    Sync,
    #[n(7)]
    Rename,
    #[n(8)]
    List,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Walk => "cannot follow the path",
            Self::Open => "cannot open",
            Self::Read => "cannot read",
            Self::Create => "cannot make a new file beside it",
            Self::Write => "cannot write the new file",
            Self::Attributes => "cannot copy owner, mode or attributes",
            Self::Sync => "cannot sync",
            Self::Rename => "cannot rename the new file",
            Self::List => "cannot list",
        })
    }
}

/// The words of a child, which may be in the hands of the owner of a home.
fn in_print(words: &str) -> String {
    let some = words.chars().take(300);
    some.map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn errno_in_words(errno: &i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(*errno)
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

    #[test]
    fn what_a_child_says_is_cut_and_holds_no_control_characters() {
        let why = Why::Child(format!("a\u{1b}[2J\n{}", "x".repeat(100_000)));
        let told = why.to_string();
        assert!(told.contains("failed: a\u{fffd}[2J\u{fffd}xxx"), "{told}");
        assert!(told.len() < 400 && !told.contains(char::is_control));
    }
}
