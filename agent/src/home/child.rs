//! The child's side: takes on the owner's ids, does one thing, takes them off again.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use zeroize::{Zeroize, Zeroizing};

use super::message::{
    Answer, LOOKS_PER_MESSAGE_MAX, Look, REQUEST_BYTES_MAX, Reply, Request, STAMPS_PER_ANSWER,
    STAMPS_PER_MESSAGE_MAX, Seen, Sending,
};
use super::walk::{Trust, Walk};
use super::why::Why;
use super::{list, read, replace, trace};
use crate::stamps;
use crate::sys::ids::{self, Ids};
use crate::sys::process::{self, Limits};

/// What the child may use. A path has at most 2048 components, each a descriptor.
const LIMITS: Limits = Limits {
    descriptors: 2560,
    address_space: 512 << 20,
    file_size: 128 << 20,
};

/// The program as the child: requests come on descriptor 0, the root directory is descriptor 1.
pub(super) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE, // the parent sees the socket close; nobody else listens
    }
}

fn run() -> io::Result<()> {
    process::confine(LIMITS)?;
    // Own descriptors instead of the standard streams, which std guards with locks.
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let root: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
    let ids = match ids::is_root() {
        true => Becomes::Owner,
        false => Becomes::Nobody,
    };
    serve(&socket, root.as_fd(), ids)
}

/// Whether the child takes on the ids of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It is root and becomes each owner in turn.
    Owner,
    /// It was started by a user and works as that user.
    Nobody,
}

/// Serves requests until the parent closes the socket.
pub(super) fn serve(socket: &UnixStream, root: BorrowedFd<'_>, becomes: Becomes) -> io::Result<()> {
    let mut message = Zeroizing::new(Vec::new());
    let mut out = Outbox::new(socket);
    while receive(socket, &mut message)? {
        let request: Request = rescind_protocol::cbor::from_slice(&message)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        match request {
            Request::Look(many, _) if many.len() > LOOKS_PER_MESSAGE_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Request::Look(many, sending) => {
                for of_one in many.chunk_by(|one, next| one.owner() == next.owner()) {
                    as_owner(root, becomes, of_one[0].owner(), |walk| {
                        of_one.iter().try_for_each(|one| {
                            out.put(&reply(look(walk.clone(), one), Answer::Seen))?;
                            out.send_if(sending == Sending::OneByOne)
                        })
                    })?;
                }
            }
            Request::Replace(one) => out.put(&reply(
                as_owner(root, becomes, &one.owner, |walk| {
                    replace::replace(walk?, &one)
                }),
                Answer::Replaced,
            ))?,
            Request::Trace(many) if many.len() > LOOKS_PER_MESSAGE_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Request::Trace(many) => {
                for one in &many {
                    out.put(&reply(trace::trace(root, one), Answer::Traced))?;
                    out.send()?;
                }
            }
            Request::Stamp(many, _) if many.len() > STAMPS_PER_MESSAGE_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Request::Stamp(many, settled) => {
                let mut seen = Vec::with_capacity(STAMPS_PER_ANSWER);
                stamps::look(root, &many, settled, |one| {
                    seen.push(one);
                    if seen.len() < STAMPS_PER_ANSWER {
                        return Ok(());
                    }
                    let seen = std::mem::take(&mut seen);
                    out.put(&Reply::Done(Answer::Stamped(seen)))?;
                    out.send()
                })?;
                if !seen.is_empty() {
                    out.put(&Reply::Done(Answer::Stamped(seen)))?;
                }
            }
        }
        out.send()?;
        erase(&mut message);
    }
    Ok(())
}

fn reply<T>(done: Result<T, Why>, answer: impl FnOnce(T) -> Answer) -> Reply {
    match done {
        Ok(done) => Reply::Done(answer(done)),
        Err(why) => Reply::Not(why),
    }
}

fn look(walk: Result<&Walk<'_>, Why>, one: &Look) -> Result<Seen, Why> {
    match one {
        Look::Read(one) => read::read(walk?, one).map(Seen::Content),
        Look::List(one) => list::list(walk?, one).map(Seen::Listing),
    }
}

/// Does `work` with the ids of `owner`, or with why it could not take them on, and has its own
/// again when this returns.
fn as_owner<T>(
    root: BorrowedFd<'_>,
    becomes: Becomes,
    owner: &Ids,
    work: impl FnOnce(Result<&Walk<'_>, Why>) -> T,
) -> T {
    let trust = match owner.uid {
        0 => Trust::OnlyRoot,
        _ => Trust::Everyone,
    };
    let (_acting, uid) = match becomes {
        Becomes::Owner => match ids::act_as(owner) {
            Ok(acting) => (Some(acting), owner.uid),
            Err(errno) => {
                return work(Err(Why::CannotBecome {
                    uid: owner.uid,
                    errno: errno as i32,
                }));
            }
        },
        Becomes::Nobody => (None, ids::effective_uid()),
    };
    work(Ok(&Walk::new(root, trust, uid)))
}

/// Receives one message; false when the parent is done.
fn receive(mut socket: &UnixStream, message: &mut Zeroizing<Vec<u8>>) -> io::Result<bool> {
    let mut len = [0; 4];
    match socket.read_exact(&mut len) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error),
    }
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > REQUEST_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    message.clear();
    message.resize(len, 0);
    socket.read_exact(message)?;
    Ok(true)
}

/// Answers on their way.
struct Outbox<'s> {
    socket: &'s UnixStream,
    bytes: Zeroizing<Vec<u8>>,
}

/// Answers wait for each other up to so many bytes.
const TOGETHER_BYTES: usize = 32 << 10;

impl<'s> Outbox<'s> {
    fn new(socket: &'s UnixStream) -> Self {
        Self {
            socket,
            bytes: Zeroizing::new(Vec::with_capacity(2 * TOGETHER_BYTES)),
        }
    }

    fn put(&mut self, reply: &Reply) -> io::Result<()> {
        let content = match reply {
            Reply::Done(Answer::Seen(Seen::Content(content))) => content.bytes.len(),
            _ => 0,
        };
        if self.bytes.len() + content + 4096 > self.bytes.capacity() {
            // Room for all of it at once: a buffer that grows leaves copies behind.
            self.send()?;
            self.bytes.reserve(content + 4096);
        }
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        // Writing to memory cannot fail.
        minicbor::encode(reply, &mut *self.bytes).map_err(io::Error::other)?;
        let len = self.bytes.len() - begin - 4;
        let len = u32::try_from(len).map_err(io::Error::other)?;
        self.bytes[begin..begin + 4].copy_from_slice(&len.to_le_bytes());
        Ok(())
    }

    fn send_if(&mut self, now: bool) -> io::Result<()> {
        match now || self.bytes.len() >= TOGETHER_BYTES {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.socket.write_all(&self.bytes);
        // What lies behind has been erased before.
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        if self.bytes.capacity() > 256 << 10 {
            self.bytes.shrink_to(2 * TOGETHER_BYTES);
        }
        sent
    }
}

/// Erases a buffer, and gives a large one back: erasing goes over all of its capacity each time.
fn erase(buffer: &mut Zeroizing<Vec<u8>>) {
    match buffer.capacity() > 256 << 10 {
        true => *buffer = Zeroizing::new(Vec::new()),
        false => buffer.zeroize(),
    }
}
