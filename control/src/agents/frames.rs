//! Frames over TLS. An idle stream keeps no buffer; a frame's size is checked before anything is
//! allocated for it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use rescind_protocol::frame::{BadFrame, Frame, FrameBuffer};
use rescind_protocol::message::Message;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls::ServerStream;

/// A peer that does not take what is sent for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read at once; on the stack, never in the task.
const READ_BYTES: usize = 8 * 1024;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The peer closed it as it should.
    #[error("closed by the peer")]
    Closed,
    /// The network or TLS.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer sent what is not a frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// The peer sent more than it may at this point.
    #[error("more than {0} bytes before the peer said who it is")]
    TooMuch(usize),
    /// The peer does not take what is sent.
    #[error("the peer takes nothing for {} s", WRITE_TIMEOUT.as_secs())]
    Stuck,
}

/// A TLS stream that carries frames.
pub struct FrameStream {
    stream: ServerStream<TcpStream>,
    buffer: FrameBuffer,
    /// Bytes held that are not yet a whole frame.
    held: usize,
    /// How many there may be.
    limit: usize,
}

impl FrameStream {
    /// Frames over `stream`; until [`FrameStream::trust`] only small ones.
    pub fn new(stream: ServerStream<TcpStream>, limit: usize) -> Self {
        Self {
            stream,
            buffer: FrameBuffer::default(),
            held: 0,
            limit,
        }
    }

    /// The peer has said who it is: frames may have any size the protocol allows.
    pub const fn trust(&mut self) {
        self.limit = usize::MAX;
    }

    /// The TLS stream beneath.
    pub const fn tls(&self) -> &ServerStream<TcpStream> {
        &self.stream
    }

    /// The next frame. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Frame, StreamError> {
        loop {
            if let Some(frame) = self.buffer.next_frame()? {
                self.held = self.held.saturating_sub(frame.body.len() + 5);
                return Ok(frame);
            }
            if self.held > self.limit {
                return Err(StreamError::TooMuch(self.limit));
            }
            let (stream, buffer) = (&mut self.stream, &mut self.buffer);
            let read = poll_fn(|context| {
                let mut bytes = [0; READ_BYTES];
                let mut into = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut into))?;
                buffer.extend(into.filled());
                std::task::Poll::Ready(io::Result::Ok(into.filled().len()))
            })
            .await?;
            if read == 0 {
                return Err(StreamError::Closed);
            }
            self.held += read;
        }
    }

    /// Sends a message and waits until it has left.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), StreamError> {
        let bytes = message.into().to_frame().to_bytes();
        self.send_bytes(&bytes).await
    }

    /// Sends the bytes of whole frames.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            // rustls keeps what does not fit into the socket; without this it would stay there.
            self.stream.flush().await
        };
        timeout(WRITE_TIMEOUT, write)
            .await
            .map_err(|_| StreamError::Stuck)??;
        Ok(())
    }

    /// Says goodbye, as far as the peer still listens.
    pub async fn close(&mut self) {
        // The connection ends either way.
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }
}
