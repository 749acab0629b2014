//! The child's side: takes on the owner's ids, does one thing, takes them off again.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use zeroize::{Zeroize, Zeroizing};

use super::message::{Answer, READS_PER_MESSAGE_MAX, REQUEST_BYTES_MAX, Reply, Request, Why};
use super::walk::{Trust, Walk};
use super::{list, read, replace};
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
    let mut out = Zeroizing::new(Vec::new());
    while receive(socket, &mut message)? {
        let request: Request = rescind_protocol::cbor::from_slice(&message)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let mut answer = |reply: Reply| send(socket, &reply, &mut out);
        match request {
            Request::Read(many) if many.len() > READS_PER_MESSAGE_MAX => {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Request::Read(many) => {
                for one in &many {
                    // Sent one by one: the first that has no answer is the one that hangs.
                    answer(reply(
                        as_owner(root, becomes, &one.owner, |walk| read::read(walk, one)),
                        Answer::Content,
                    ))?;
                }
            }
            Request::Replace(one) => answer(reply(
                as_owner(root, becomes, &one.owner, |walk| {
                    replace::replace(walk, &one)
                }),
                Answer::Replaced,
            ))?,
            Request::List(one) => answer(reply(
                as_owner(root, becomes, &one.owner, |walk| list::list(walk, &one)),
                Answer::Listing,
            ))?,
        }
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

/// Does `work` with the ids of `owner`, and has its own again when this returns.
fn as_owner<T>(
    root: BorrowedFd<'_>,
    becomes: Becomes,
    owner: &Ids,
    work: impl FnOnce(&Walk<'_>) -> Result<T, Why>,
) -> Result<T, Why> {
    let trust = match owner.uid {
        0 => Trust::OnlyRoot,
        _ => Trust::Everyone,
    };
    let (_acting, uid) = match becomes {
        Becomes::Owner => {
            let acting = ids::act_as(owner).map_err(|errno| Why::CannotBecome {
                uid: owner.uid,
                errno: errno as i32,
            })?;
            (Some(acting), owner.uid)
        }
        Becomes::Nobody => (None, ids::effective_uid()),
    };
    work(&Walk { root, trust, uid })
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

fn send(mut socket: &UnixStream, reply: &Reply, out: &mut Zeroizing<Vec<u8>>) -> io::Result<()> {
    if let Reply::Done(Answer::Content(content)) = reply {
        // Room for all of it at once: a buffer that grows leaves copies behind.
        out.reserve(content.bytes.len() + 4096);
    }
    out.extend_from_slice(&[0; 4]);
    // Writing to memory cannot fail.
    minicbor::encode(reply, &mut **out).map_err(io::Error::other)?;
    let len = u32::try_from(out.len() - 4).map_err(io::Error::other)?;
    out[..4].copy_from_slice(&len.to_le_bytes());
    let sent = socket.write_all(out);
    erase(out);
    sent
}

/// Erases a buffer, and gives a large one back: erasing goes over all of its capacity each time.
fn erase(buffer: &mut Zeroizing<Vec<u8>>) {
    match buffer.capacity() > 256 << 10 {
        true => *buffer = Zeroizing::new(Vec::new()),
        false => buffer.zeroize(),
    }
}
