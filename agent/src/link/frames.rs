//! Whole frames from a byte stream, within bounds.
//!
//! A frame is kept as the bytes it came in, so that it can be passed on unread. Memory is taken as
//! bytes arrive, never because a length field asks for it, and none is held between frames.

use std::io;

use rescind_protocol::frame::{BadFrame, LENGTH_BYTES, checked_len};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// A frame as it travels: length, kind, body.
pub struct WireFrame(Vec<u8>);

impl WireFrame {
    /// The kind byte.
    pub fn kind(&self) -> u8 {
        self.0[LENGTH_BYTES]
    }
    /// The message's CBOR.
    pub fn body(&self) -> &[u8] {
        &self.0[LENGTH_BYTES + 1..]
    }
    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why no frame came.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no frame.
    #[error(transparent)]
    Bad(#[from] BadFrame),
    /// The stream ended within a frame.
    #[error("the connection ended in the middle of a frame")]
    Torn,
}

/// Reads frames from a stream.
pub struct FrameReader<R> {
    from: R,
    held: Vec<u8>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads frames from `from`.
    pub const fn new(from: R) -> Self {
        Self {
            from,
            held: Vec::new(),
        }
    }

    /// The size of the frame that is arriving, as far as it is known.
    pub fn arriving(&self) -> usize {
        self.wanted().unwrap_or(0)
    }

    /// The next frame, `None` at the end of the stream.
    ///
    /// Cancel safe: what had arrived is kept for the next call.
    pub async fn next(&mut self) -> Result<Option<WireFrame>, FrameError> {
        loop {
            let wanted = self.wanted()?;
            if wanted > LENGTH_BYTES && self.held.len() == wanted {
                return Ok(Some(WireFrame(std::mem::take(&mut self.held))));
            }
            let missing = wanted - self.held.len();
            self.held
                .reserve_exact(missing.min(READ_BYTES.max(self.held.len())));
            let mut limited = (&mut self.from).take(missing as u64);
            if limited.read_buf(&mut self.held).await? == 0 {
                return match self.held.len() {
                    0 => Ok(None),
                    _ => Err(FrameError::Torn),
                };
            }
        }
    }

    /// How many bytes there must be before something can be done with them.
    fn wanted(&self) -> Result<usize, BadFrame> {
        match self.held.first_chunk::<LENGTH_BYTES>() {
            None => Ok(LENGTH_BYTES),
            Some(field) => Ok(LENGTH_BYTES + checked_len(*field)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rescind_protocol::frame::{FRAME_BYTES_MAX, Frame};
    use tokio::io::AsyncWriteExt;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        block_on(async {
            let frames =
                [(1u8, 0), (0x81, 1), (3, 100_000), (4, FRAME_BYTES_MAX - 1)].map(|(kind, len)| {
                    Frame {
                        kind,
                        body: vec![kind; len],
                    }
                    .to_bytes()
                });
            let wire = frames.concat();
            for step in [7, 4096, wire.len()] {
                let (mut tx, rx) = tokio::io::duplex(step);
                let wire = wire.clone();
                let sender = tokio::spawn(async move { tx.write_all(&wire).await });
                let mut reader = FrameReader::new(rx);
                for frame in &frames {
                    let got = reader.next().await.unwrap().unwrap();
                    assert!(got.bytes() == frame);
                    assert_eq!(got.kind(), frame[4]);
                    assert_eq!(got.body(), &frame[5..]);
                }
                assert!(reader.next().await.unwrap().is_none());
                sender.await.unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        block_on(async {
            for (bytes, error) in [
                (&[0xff; 4][..], "the limit is 1048576"),
                (&[0, 0, 0, 0], "a frame of no bytes"),
                (&[0, 0x10, 0, 0], "middle of a frame"),
                (&[0, 0x10, 0, 0, 1, 2], "middle of a frame"),
                (&[0], "middle of a frame"),
            ] {
                let mut reader = FrameReader::new(bytes);
                let got = reader.next().await.err().unwrap().to_string();
                assert!(got.contains(error), "{got}");
                assert!(reader.held.capacity() <= 2 * READ_BYTES);
            }
        });
    }
}
