//! One running child: messages to it and from it, each with a deadline.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use zeroize::Zeroizing;

use super::CHILD_ARGUMENT;
use super::message::Reply;
use super::why::Why;
use crate::sys::process::{self, Until};

/// A child that is running, and what it has sent.
#[derive(Debug)]
pub(super) struct Running {
    pub child: Child,
    pub socket: UnixStream,
    /// `buffer[used..filled]` has come and is not yet an answer; the rest is zeros.
    buffer: Zeroizing<Vec<u8>>,
    used: usize,
    filled: usize,
    /// When something was sent or came last.
    pub last_used: Instant,
}

/// What is received at a time.
const ROOM: usize = 64 << 10;

impl Running {
    /// Starts a program as the child of a host's root directory.
    pub fn start(program: &Path, root: &OwnedFd) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(program)
            .arg0("rescind-agent")
            .arg(CHILD_ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(root.try_clone()?)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            socket: ours,
            buffer: Zeroizing::new(vec![0; ROOM]),
            used: 0,
            filled: 0,
            last_used: Instant::now(),
        })
    }

    /// Sends a message whole.
    pub fn send(&mut self, mut message: &[u8], deadline: Instant) -> Result<(), Why> {
        self.last_used = Instant::now();
        while !message.is_empty() {
            match self.socket.write(message) {
                Ok(sent) => message = &message[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Until::Writable, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Child(error.to_string())),
            }
        }
        Ok(())
    }

    /// Waits for one reply of at most so many bytes.
    pub fn receive(&mut self, most: usize, deadline: Instant) -> Result<Reply, Why> {
        loop {
            let waiting = &mut self.buffer[self.used..self.filled];
            let mut want = 4;
            if let Some(len) = waiting.first_chunk::<4>() {
                let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
                if len > most {
                    return Err(Why::Child(format!("it answered {len} bytes")));
                }
                want = 4 + len;
            }
            if waiting.len() >= want && want > 4 {
                let reply = rescind_protocol::cbor::from_slice(&waiting[4..want]);
                waiting[..want].fill(0);
                self.used += want;
                self.last_used = Instant::now();
                return reply.map_err(|error| Why::Child(error.to_string()));
            }
            self.make_room(want);
            self.receive_more(deadline)?;
        }
    }

    /// Moves what waits to the buffer's beginning, and makes it large enough for `want` bytes.
    fn make_room(&mut self, want: usize) {
        let waiting = self.filled - self.used;
        let len = self.buffer.len();
        if want > len || (len > 4 * ROOM && want <= ROOM && waiting <= ROOM) {
            // A new buffer, not a grown one: growing would leave a copy that nobody erases.
            let mut fresh = Zeroizing::new(vec![0; want.max(ROOM)]);
            fresh[..waiting].copy_from_slice(&self.buffer[self.used..self.filled]);
            self.buffer = fresh;
        } else if self.used > 0 {
            self.buffer.copy_within(self.used..self.filled, 0);
            self.buffer[waiting..self.filled].fill(0);
        }
        self.used = 0;
        self.filled = waiting;
    }

    fn receive_more(&mut self, deadline: Instant) -> Result<(), Why> {
        loop {
            match self.socket.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(Why::Child("it has ended".into())),
                Ok(received) => {
                    self.filled += received;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(Until::Readable, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Why::Child(error.to_string())),
            }
        }
    }

    fn wait(&self, until: Until, deadline: Instant) -> Result<(), Why> {
        match process::wait_for(&self.socket, until, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Why::Hung),
            Err(error) => Err(Why::Child(error.to_string())),
        }
    }
}
