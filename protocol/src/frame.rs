//! Length-limited frames over a byte stream.
//!
//! A frame is a 4-byte big-endian length of what follows (1 to [`FRAME_BYTES_MAX`]), one byte that
//! says which message it is, and the message's CBOR.

use std::io::{self, Read};

/// The largest frame, kind byte included, length field not: 1 MiB.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// The length field's size.
pub const LENGTH_BYTES: usize = 4;

/// A frame's kind byte and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which message the body is, see [`crate::message`].
    pub kind: u8,
    /// The message's CBOR.
    pub body: Vec<u8>,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// The length field is 0.
    #[error("a frame of no bytes")]
    Empty,
    /// The length field is larger than [`FRAME_BYTES_MAX`]; nothing was allocated for it.
    #[error("a frame of {0} bytes, the limit is {FRAME_BYTES_MAX}")]
    TooLarge(usize),
}

impl Frame {
    /// The bytes to send.
    ///
    /// Panics if the frame is larger than [`FRAME_BYTES_MAX`]: senders split what can grow.
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = self.body.len() + 1;
        assert!(len <= FRAME_BYTES_MAX, "a frame of {len} bytes was built");
        let mut out = Vec::with_capacity(LENGTH_BYTES + len);
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.body);
        out
    }
}

/// Checks a length field before anything is allocated for it.
pub fn checked_len(field: [u8; LENGTH_BYTES]) -> Result<usize, BadFrame> {
    match u32::from_be_bytes(field) as usize {
        0 => Err(BadFrame::Empty),
        len if len > FRAME_BYTES_MAX => Err(BadFrame::TooLarge(len)),
        len => Ok(len),
    }
}

/// Collects bytes as they arrive and gives out whole frames.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl FrameBuffer {
    /// Adds bytes that arrived. At most one frame and one read are ever held.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame from a stream that blocks, with what came before; `None` at its end.
    pub fn read_from(&mut self, stream: &mut impl Read) -> io::Result<Option<Frame>> {
        let mut chunk = [0; 16 * 1024];
        loop {
            match self.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            match stream.read(&mut chunk) {
                Ok(0) if self.start == self.bytes.len() => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.extend(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole frame, or `None` until more bytes arrive.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, BadFrame> {
        let held = &self.bytes[self.start..];
        let Some((field, rest)) = held.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let len = checked_len(*field)?;
        let Some(payload) = rest.get(..len) else {
            return Ok(None);
        };
        let frame = Frame {
            kind: payload[0],
            body: payload[1..].to_vec(),
        };
        self.start += LENGTH_BYTES + len;
        if self.start == self.bytes.len() {
            // An idle connection keeps no buffer.
            self.bytes = Vec::new();
            self.start = 0;
        }
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let frames: Vec<Frame> = [(1, 0), (2, 1), (3, 70_000)]
            .map(|(kind, len)| Frame {
                kind,
                body: vec![kind; len],
            })
            .into();
        let wire: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
        for step in [1, 3, 4096, wire.len()] {
            let mut buffer = FrameBuffer::default();
            let mut got = Vec::new();
            for piece in wire.chunks(step) {
                buffer.extend(piece);
                while let Some(frame) = buffer.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames);
        }
    }

    #[test]
    fn a_stream_ends_between_frames_or_is_cut_off() {
        let frame = Frame {
            kind: 7,
            body: vec![1; 40_000],
        };
        let wire = [frame.to_bytes(), frame.to_bytes()].concat();
        let mut buffer = FrameBuffer::default();
        let mut stream = wire.as_slice();
        for _ in 0..2 {
            let next = buffer.read_from(&mut stream).unwrap();
            assert_eq!(next, Some(frame.clone()));
        }
        assert_eq!(buffer.read_from(&mut stream).unwrap(), None);
        let mut cut = &wire[..wire.len() - 1];
        buffer.read_from(&mut cut).unwrap();
        let error = buffer.read_from(&mut cut).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_its_bytes_arrive() {
        for (field, error) in [
            (0u32, BadFrame::Empty),
            (u32::MAX, BadFrame::TooLarge(u32::MAX as usize)),
            (
                FRAME_BYTES_MAX as u32 + 1,
                BadFrame::TooLarge(FRAME_BYTES_MAX + 1),
            ),
        ] {
            let mut buffer = FrameBuffer::default();
            buffer.extend(&field.to_be_bytes());
            assert_eq!(buffer.next_frame(), Err(error));
        }
    }
}
