//! What the parent asks of the child, and what the child answers.
//!
//! Both ends are the same program, so the encoding is free to change with it: a length of 4 bytes
//! (little endian) and one CBOR value.

use std::fmt;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::looked::{Looked, Trace};
use super::why::Why;
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
