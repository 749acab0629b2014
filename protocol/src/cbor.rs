//! CBOR (RFC 8949) as this protocol uses it: maps with integer keys, so that fields can be added
//! and a reader skips those it does not know; one value fills its buffer exactly.

use minicbor::{Decode, Decoder, Encode};

/// Why bytes were not the value they should be.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not CBOR, or not of the expected shape.
    #[error("malformed CBOR: {0}")]
    Cbor(#[from] minicbor::decode::Error),
    /// A value was followed by bytes that belong to nothing.
    #[error("{0} bytes after the end of the value")]
    Trailing(usize),
}

/// Encodes a value. Encoding to memory cannot fail for the types of this crate.
pub fn to_vec<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    match minicbor::encode(value, &mut out) {
        Ok(()) => out,
        // `Vec` as a writer is infallible and no type here has a failing `Encode`.
        Err(error) => unreachable!("encoding to memory failed: {error}"),
    }
}

/// Decodes a value that must fill `bytes` exactly.
pub fn from_slice<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let value = decoder.decode()?;
    match bytes.len() - decoder.position() {
        0 => Ok(value),
        rest => Err(Malformed::Trailing(rest)),
    }
}

/// Implements `Encode` and `Decode` for a newtype over a fixed byte array.
macro_rules! bytes_codec {
    ($type:ident, $len:literal) => {
        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(self.as_bytes())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                let bytes: [u8; $len] = d.bytes()?.try_into().map_err(|_| {
                    minicbor::decode::Error::message(concat!("want ", $len, " bytes")).at(at)
                })?;
                Ok(Self::from_bytes(bytes))
            }
        }
    };
}
pub(crate) use bytes_codec;

/// Implements `Encode`, `Decode`, serde and `Debug` for a newtype whose text form is checked by
/// `FromStr` and printed by `Display`.
macro_rules! text_codec {
    ($type:ident) => {
        impl<C> minicbor::Encode<C> for $type {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(self.as_str())?.ok()
            }
        }
        impl<'b, C> minicbor::Decode<'b, C> for $type {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let at = d.position();
                d.str()?
                    .parse()
                    .map_err(|error| minicbor::decode::Error::custom(error).at(at))
            }
        }
    };
}
pub(crate) use text_codec;

/// Implements serde through `Display` and `FromStr`, and `Debug` through `Display`.
macro_rules! serde_as_text {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}
pub(crate) use serde_as_text;
