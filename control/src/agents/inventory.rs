//! Sections of a host's survey: put together, checked, kept, answered.
//!
//! What a host sends here is believed by nobody before it is whole, and costs others little: a
//! connection holds one section at a time, all connections together so many bytes, and a section is
//! checked and written beside the connection's loop, in small pieces, so that no order waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rescind_protocol::message::{InventoryAck, InventoryPart};
use rescind_protocol::name::{Digest, HostId, SectionName};
use rescind_protocol::section::{Document, PIECE_BYTES_MAX, SECTION_BYTES_MAX, SECTIONS_MAX};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::{End, Session};
use super::presence::Slot;
use crate::clock;
use crate::db::sections::{self, Begun};
use crate::db::{DbError, sections::PIECE_BYTES};
use crate::plane::Plane;

/// Pieces written in one transaction.
const PIECES_PER_COMMIT: usize = 4;

/// The section whose pieces come.
#[derive(Debug, Default)]
pub(super) enum Coming {
    /// None has begun.
    #[default]
    Nothing,
    /// This one.
    Section(Arriving),
    /// This one was refused; what else comes of it is passed over.
    Refused(SectionName, Digest),
}

/// A section that is not whole yet.
#[derive(Debug)]
pub(super) struct Arriving {
    section: SectionName,
    digest: Digest,
    json: Vec<u8>,
    /// The bytes it takes of what all connections may hold.
    room: OwnedSemaphorePermit,
}

/// Why a section is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// A piece is longer than pieces may be, or empty.
    #[error("a piece of {0} bytes, want 1 to {PIECE_BYTES_MAX}")]
    Piece(usize),
    /// A piece that does not follow the one before it.
    #[error("a piece from byte {found} on, expected from byte {want} on")]
    Order { want: usize, found: u64 },
    /// Another section began before this one had ended.
    #[error("another section began before it had ended")]
    CutOff,
    /// More than a section may have.
    #[error("it is longer than {SECTION_BYTES_MAX} bytes")]
    TooLong,
    /// Its bytes are not those it was said to be.
    #[error("its digest is {0}, not the one that was sent with it")]
    Digest(Digest),
    /// It is no section.
    #[error(transparent)]
    Section(#[from] rescind_protocol::section::BadSection),
    /// The host has too many.
    #[error("a host has at most {SECTIONS_MAX} sections")]
    TooMany,
    /// All connections together hold too much.
    #[error("there is no room for it at this moment")]
    NoRoom,
    /// The host sends more than hosts may.
    #[error("the host sends more than hosts may send in this time")]
    TooMuch,
    /// Another connection of the host sent it at the same time.
    #[error("the same section came over another connection")]
    Twice,
    /// The database.
    #[error("it could not be written")]
    Db(#[from] DbError),
}

impl NotKept {
    /// Whether the same section may be kept at another time.
    const fn may_come_again(&self) -> bool {
        matches!(
            self,
            Self::NoRoom | Self::TooMuch | Self::Twice | Self::Db(_)
        )
    }

    fn answer(&self, section: SectionName, digest: Digest) -> InventoryAck {
        InventoryAck {
            section,
            digest,
            refused: Some(self.to_string()),
            again: self.may_come_again(),
        }
    }
}

impl Session {
    /// Takes a piece.
    pub(super) async fn take_piece(&mut self, part: InventoryPart) -> Result<(), End> {
        let (section, digest) = (part.section.clone(), part.digest);
        self.plane.sections.pieces.fetch_add(1, Ordering::Relaxed);
        let coming = std::mem::take(&mut self.coming);
        match self.put_together(coming, part).await? {
            Ok(coming) => {
                self.coming = coming;
                Ok(())
            }
            Err(why) => {
                tracing::warn!(host = %self.host, %section, %why, "a section is not kept");
                self.coming = Coming::Refused(section.clone(), digest);
                self.plane.sections.refused.fetch_add(1, Ordering::Relaxed);
                self.send(why.answer(section, digest)).await
            }
        }
    }

    async fn put_together(
        &mut self,
        coming: Coming,
        part: InventoryPart,
    ) -> Result<Result<Coming, NotKept>, End> {
        let mut arriving = match coming {
            Coming::Refused(section, digest)
                if part.at > 0 && section == part.section && digest == part.digest =>
            {
                return Ok(Ok(Coming::Refused(section, digest)));
            }
            Coming::Section(arriving)
                if part.at > 0
                    && arriving.section == part.section
                    && arriving.digest == part.digest =>
            {
                arriving
            }
            other => {
                if let Coming::Section(cut) = other {
                    let answer = NotKept::CutOff.answer(cut.section, cut.digest);
                    self.send(answer).await?;
                }
                match Arriving::begin(&self.plane, &part) {
                    Ok(arriving) => arriving,
                    Err(why) => return Ok(Err(why)),
                }
            }
        };
        let last = part.last;
        Ok(match arriving.add(&self.plane, self.host, part) {
            Err(why) => Err(why),
            Ok(()) if !last => Ok(Coming::Section(arriving)),
            Ok(()) => {
                let (plane, slot, host) = (self.plane.clone(), self.slot.clone(), self.host);
                tokio::spawn(keep(plane, slot, host, arriving));
                Ok(Coming::Nothing)
            }
        })
    }
}

impl Arriving {
    fn begin(plane: &Plane, part: &InventoryPart) -> Result<Self, NotKept> {
        let room = plane.section_room.clone().try_acquire_many_owned(0);
        Ok(Self {
            section: part.section.clone(),
            digest: part.digest,
            json: Vec::new(),
            room: room.map_err(|_| NotKept::NoRoom)?,
        })
    }

    fn add(&mut self, plane: &Plane, host: HostId, part: InventoryPart) -> Result<(), NotKept> {
        let len = part.json.len();
        if len == 0 || len > PIECE_BYTES_MAX {
            return Err(NotKept::Piece(len));
        }
        if part.at != self.json.len() as u64 {
            return Err(NotKept::Order {
                want: self.json.len(),
                found: part.at,
            });
        }
        if self.json.len() + len > SECTION_BYTES_MAX {
            return Err(NotKept::TooLong);
        }
        if !plane.presence.may_send(host, len) {
            return Err(NotKept::TooMuch);
        }
        // A piece is much shorter than what fits into 32 bits.
        let room = plane
            .section_room
            .clone()
            .try_acquire_many_owned(len as u32);
        self.room.merge(room.map_err(|_| NotKept::NoRoom)?);
        self.json.extend_from_slice(&part.json);
        Ok(())
    }
}

/// Checks a section that came whole, writes it down, and has the connection say so.
async fn keep(plane: Arc<Plane>, slot: Arc<Slot>, host: HostId, arriving: Arriving) {
    let (section, digest) = (arriving.section.clone(), arriving.digest);
    let kept = check_and_write(&plane, host, arriving).await;
    let counted = match &kept {
        Ok(()) => &plane.sections.kept,
        Err(_) => &plane.sections.refused,
    };
    counted.fetch_add(1, Ordering::Relaxed);
    let answer = match kept {
        Ok(()) => InventoryAck {
            section,
            digest,
            refused: None,
            again: false,
        },
        Err(why) => {
            tracing::warn!(%host, %section, %why, "a section is not kept");
            why.answer(section, digest)
        }
    };
    slot.answer_section(answer);
}

async fn check_and_write(
    plane: &Arc<Plane>,
    host: HostId,
    arriving: Arriving,
) -> Result<(), NotKept> {
    // A few at a time: the writer has orders to write, too.
    let _turn = plane.section_writes.acquire().await;
    let Arriving {
        section,
        digest,
        json,
        room,
    } = arriving;
    let checked = tokio::task::spawn_blocking(move || -> Result<_, NotKept> {
        let found = Digest::of(&json);
        if found != digest {
            return Err(NotKept::Digest(found));
        }
        let document = Document::parse(&section, &json)?;
        let new = sections::Arriving {
            digest,
            bytes: json.len() as u64,
            rows: document.rows.len() as u64,
            left_out: document.left_out,
            not_read: document.not_read.total,
            section,
        };
        Ok((new, json))
    });
    let (new, json) = checked.await.map_err(|_| DbError::Closed)??;
    let section = new.section.clone();
    let begun = plane
        .db
        .write(move |conn| sections::begin(conn, host, &new, clock::now()))
        .await?;
    let id = match begun {
        Begun::Known => return Ok(()),
        Begun::TooMany => return Err(NotKept::TooMany),
        Begun::Row(id) => id,
    };
    let json = Arc::new(json);
    let pieces = json.len().div_ceil(PIECE_BYTES);
    for first in (0..pieces).step_by(PIECES_PER_COMMIT) {
        let json = json.clone();
        plane
            .db
            .write(move |conn| {
                let pieces = json.chunks(PIECE_BYTES).enumerate();
                let mut some = pieces.skip(first).take(PIECES_PER_COMMIT);
                some.try_for_each(|(nth, piece)| sections::add(conn, id, nth as u64, piece))
            })
            .await?;
    }
    drop((json, room));
    let finished = plane
        .db
        .write(move |conn| sections::finish(conn, host, &section, id, clock::now()))
        .await?;
    match finished {
        true => Ok(()),
        false => Err(NotKept::Twice),
    }
}
