//! Sections of hosts' surveys: of each the last state that arrived, and the one before it.
//!
//! A section is kept in pieces, each its own row and its own job for the writer, so that a large
//! one holds up nobody's order. It counts only when all of it is here.

use rescind_protocol::message::SectionDigest;
use rescind_protocol::name::{Digest, HostId, SectionName, UnixMillis};
use rescind_protocol::section::SECTIONS_MAX;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::{DbError, bytes};

/// Bytes of a section in one row.
pub const PIECE_BYTES: usize = 256 << 10;

/// Where a state of a section stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is arriving.
    Arriving = 0,
    /// The last that arrived.
    Last = 1,
    /// The one before that.
    Before = 2,
}

/// A state of a section, without its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Its row.
    #[serde(skip)]
    pub id: i64,
    /// Which section.
    pub section: SectionName,
    /// The SHA-256 of its JSON.
    pub digest: Digest,
    /// How long that is.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Rows that the host left out.
    pub left_out: u64,
    /// How much it does not cover.
    pub not_read: u64,
    /// When it arrived.
    pub received_at: UnixMillis,
    /// When another state took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_at: Option<UnixMillis>,
}

/// A state that arrives.
#[derive(Debug, Clone)]
pub struct Arriving {
    /// Which section.
    pub section: SectionName,
    /// The SHA-256 of its JSON.
    pub digest: Digest,
    /// How long that is.
    pub bytes: u64,
    /// How many rows it has.
    pub rows: u64,
    /// Rows that the host left out.
    pub left_out: u64,
    /// How much it does not cover.
    pub not_read: u64,
}

/// Whether a state is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Begun {
    /// Its pieces are to be added to this row.
    Row(i64),
    /// It is the last state already.
    Known,
    /// The host has as many sections as it may have.
    TooMany,
}

/// Which state of each section a host has here.
pub fn digests(conn: &Connection, host: HostId) -> Result<Vec<SectionDigest>, DbError> {
    let states = states(conn, host, Place::Last)?.into_iter();
    let digests = states.map(|state| SectionDigest {
        section: state.section,
        digest: state.digest,
    });
    Ok(digests.collect())
}

/// All sections of a host, in the order of their names.
pub fn states(conn: &Connection, host: HostId, place: Place) -> Result<Vec<State>, DbError> {
    let mut query =
        conn.prepare_cached("SELECT * FROM sections WHERE host = ?1 AND place = ?2 ORDER BY name")?;
    let rows = query.query_map(params![host.as_bytes(), place as i64], state)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One section of a host.
pub fn find(
    conn: &Connection,
    host: HostId,
    section: &SectionName,
    place: Place,
) -> Result<Option<State>, DbError> {
    let mut query =
        conn.prepare_cached("SELECT * FROM sections WHERE host = ?1 AND name = ?2 AND place = ?3")?;
    let key = params![host.as_bytes(), section.as_str(), place as i64];
    Ok(query.query_row(key, state).optional()?)
}

/// The JSON of a state.
pub fn json(conn: &Connection, state: &State) -> Result<Vec<u8>, DbError> {
    let mut query =
        conn.prepare_cached("SELECT json FROM section_pieces WHERE section = ?1 ORDER BY nth")?;
    let mut rows = query.query([state.id])?;
    let mut json = Vec::new();
    while let Some(row) = rows.next()? {
        json.extend_from_slice(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    }
    match Digest::of(&json) == state.digest {
        true => Ok(json),
        false => Err(DbError::Damaged {
            what: "a section of a host",
        }),
    }
}

/// Begins to take a state in.
pub fn begin(
    conn: &Connection,
    host: HostId,
    new: &Arriving,
    now: UnixMillis,
) -> Result<Begun, DbError> {
    let last = states(conn, host, Place::Last)?;
    let known = last.iter().find(|state| state.section == new.section);
    match known {
        Some(known) if known.digest == new.digest => return Ok(Begun::Known),
        None if last.len() >= SECTIONS_MAX => return Ok(Begun::TooMany),
        _ => {}
    }
    conn.prepare_cached("DELETE FROM sections WHERE host = ?1 AND name = ?2 AND place = ?3")?
        .execute(params![
            host.as_bytes(),
            new.section.as_str(),
            Place::Arriving as i64
        ])?;
    conn.prepare_cached(
        "INSERT INTO sections (host, name, place, digest, bytes, rows, left_out, not_read, received_at)
         VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    )?
    .execute(params![
        host.as_bytes(),
        new.section.as_str(),
        Place::Arriving as i64,
        new.digest.as_bytes(),
        number(new.bytes),
        number(new.rows),
        number(new.left_out),
        number(new.not_read),
        number(now.0),
    ])?;
    Ok(Begun::Row(conn.last_insert_rowid()))
}

/// Adds a piece to a state that arrives.
pub fn add(conn: &Connection, id: i64, nth: u64, json: &[u8]) -> Result<(), DbError> {
    conn.prepare_cached("INSERT INTO section_pieces (section, nth, json) VALUES (?1,?2,?3)")?
        .execute(params![id, number(nth), json])?;
    Ok(())
}

/// All of it is here: it is the last state from now on; whether it still was arriving.
pub fn finish(
    conn: &Connection,
    host: HostId,
    section: &SectionName,
    id: i64,
    now: UnixMillis,
) -> Result<bool, DbError> {
    let (host, name) = (host.as_bytes(), section.as_str());
    let still: bool = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM sections WHERE id = ?1 AND place = ?2)")?
        .query_row(params![id, Place::Arriving as i64], |row| row.get(0))?;
    if !still {
        return Ok(false);
    }
    conn.prepare_cached("DELETE FROM sections WHERE host = ?1 AND name = ?2 AND place = ?3")?
        .execute(params![host, name, Place::Before as i64])?;
    conn.prepare_cached(
        "UPDATE sections SET place = ?4, replaced_at = ?5 WHERE host = ?1 AND name = ?2 AND place = ?3",
    )?
    .execute(params![
        host,
        name,
        Place::Last as i64,
        Place::Before as i64,
        number(now.0)
    ])?;
    conn.prepare_cached("UPDATE sections SET place = ?2 WHERE id = ?1")?
        .execute(params![id, Place::Last as i64])?;
    Ok(true)
}

/// Forgets what was arriving when the server stopped.
pub fn forget_arriving(conn: &Connection) -> Result<(), DbError> {
    let place = Place::Arriving as i64;
    conn.execute("DELETE FROM sections WHERE place = ?1", [place])?;
    Ok(())
}

/// Forgets all that is known of a host that was removed.
pub fn forget(conn: &Connection, host: HostId) -> Result<(), DbError> {
    conn.execute("DELETE FROM sections WHERE host = ?1", [host.as_bytes()])?;
    Ok(())
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn state(row: &rusqlite::Row<'_>) -> rusqlite::Result<State> {
    let count = |column: &str| -> rusqlite::Result<u64> {
        Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
    };
    let index = row.as_ref().column_index("name")?;
    let section = row
        .get_ref(index)?
        .as_str()?
        .parse()
        .map_err(|_| super::damaged(index, "name"))?;
    let replaced_at: Option<i64> = row.get("replaced_at")?;
    Ok(State {
        id: row.get("id")?,
        section,
        digest: Digest::from_bytes(bytes(row, "digest")?),
        bytes: count("bytes")?,
        rows: count("rows")?,
        left_out: count("left_out")?,
        not_read: count("not_read")?,
        received_at: UnixMillis(count("received_at")?),
        replaced_at: replaced_at.map(|at| UnixMillis(u64::try_from(at).unwrap_or(0))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::schema::in_memory;

    const HOST: HostId = HostId::from_bytes([1; 16]);

    fn keep(conn: &Connection, name: &str, json: &str, at: u64) -> Begun {
        let new = Arriving {
            section: name.parse().unwrap(),
            digest: Digest::of(json.as_bytes()),
            bytes: json.len() as u64,
            rows: 1,
            left_out: 0,
            not_read: 0,
        };
        let begun = begin(conn, HOST, &new, UnixMillis(at)).unwrap();
        if let Begun::Row(id) = begun {
            for (nth, piece) in json.as_bytes().chunks(2).enumerate() {
                add(conn, id, nth as u64, piece).unwrap();
            }
            assert!(finish(conn, HOST, &new.section, id, UnixMillis(at)).unwrap());
        }
        begun
    }

    fn kept(conn: &Connection, name: &str, place: Place) -> Option<(String, u64, Option<u64>)> {
        let state = find(conn, HOST, &name.parse().unwrap(), place).unwrap()?;
        let text = String::from_utf8(json(conn, &state).unwrap()).unwrap();
        Some((text, state.received_at.0, state.replaced_at.map(|at| at.0)))
    }

    #[test]
    fn the_last_two_states_of_each_section_are_kept() {
        let conn = in_memory();
        conn.execute(
            "INSERT INTO hosts (id, name, enrolled_at, agent_version, os) VALUES (?1,'h',0,'','')",
            [HOST.as_bytes()],
        )
        .unwrap();
        let _ = keep(&conn, "sudo", "first", 1);
        assert_eq!(keep(&conn, "sudo", "first", 2), Begun::Known);
        let _ = keep(&conn, "sudo", "second", 3);
        let _ = keep(&conn, "sudo", "third", 4);
        let _ = keep(&conn, "host", "x", 5);
        assert_eq!(
            kept(&conn, "sudo", Place::Last),
            Some(("third".into(), 4, None))
        );
        assert_eq!(
            kept(&conn, "sudo", Place::Before),
            Some(("second".into(), 3, Some(4)))
        );
        let names: Vec<String> = digests(&conn, HOST)
            .unwrap()
            .into_iter()
            .map(|one| one.section.to_string())
            .collect();
        assert_eq!(names, ["host", "sudo"]);
        let pieces: i64 = conn
            .query_row("SELECT count(*) FROM section_pieces", [], |row| row.get(0))
            .unwrap();
        assert_eq!(pieces, 3 + 3 + 1, "the first state is gone");
    }

    #[test]
    fn what_did_not_arrive_whole_is_not_there() {
        let conn = in_memory();
        conn.execute(
            "INSERT INTO hosts (id, name, enrolled_at, agent_version, os) VALUES (?1,'h',0,'','')",
            [HOST.as_bytes()],
        )
        .unwrap();
        let _ = keep(&conn, "sudo", "old", 1);
        let new = Arriving {
            section: "sudo".parse().unwrap(),
            digest: Digest::of(b"new"),
            bytes: 3,
            rows: 0,
            left_out: 0,
            not_read: 0,
        };
        let Begun::Row(first) = begin(&conn, HOST, &new, UnixMillis(2)).unwrap() else {
            panic!()
        };
        add(&conn, first, 0, b"ne").unwrap();
        // Another connection of the same host begins again.
        let Begun::Row(second) = begin(&conn, HOST, &new, UnixMillis(3)).unwrap() else {
            panic!()
        };
        assert!(add(&conn, first, 1, b"w").is_err());
        assert!(!finish(&conn, HOST, &new.section, first, UnixMillis(4)).unwrap());
        assert_eq!(kept(&conn, "sudo", Place::Last).unwrap().0, "old");
        add(&conn, second, 0, b"new").unwrap();
        forget_arriving(&conn).unwrap();
        assert!(!finish(&conn, HOST, &new.section, second, UnixMillis(4)).unwrap());
        // A host cannot have more sections than these.
        for nth in 1..SECTIONS_MAX {
            let name: String = "a".repeat(nth);
            assert!(matches!(keep(&conn, &name, "x", 5), Begun::Row(_)));
        }
        assert_eq!(keep(&conn, "more", "x", 5), Begun::TooMany);
        assert!(matches!(keep(&conn, "sudo", "y", 5), Begun::Row(_)));
        forget(&conn, HOST).unwrap();
        assert_eq!(digests(&conn, HOST).unwrap(), []);
    }
}
