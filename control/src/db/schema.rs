//! Tables and migrations: `user_version` counts the steps that were taken.

use std::path::Path;

use rusqlite::Connection;

use super::DbError;

/// Each step is one transaction; steps are only ever added.
const STEPS: &[&str] = &[
    "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE hosts (
    id            BLOB PRIMARY KEY,
    name          TEXT NOT NULL,
    enrolled_at   INTEGER NOT NULL, -- unix ms, as all times but order_events.at_us
    removed_at    INTEGER,
    last_seen     INTEGER,
    agent_version TEXT NOT NULL,
    os            TEXT NOT NULL,
    boot_id       TEXT NOT NULL DEFAULT '',
    order_seq     INTEGER NOT NULL DEFAULT 0, -- the last sequence number given to an order
    order_cursor  INTEGER NOT NULL DEFAULT 0, -- what the host said it has seen
    gap_accepted_by TEXT -- an operator gave up the evidence that the host cannot send any more
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX hosts_name ON hosts (name) WHERE removed_at IS NULL;

-- A host has one chain, and another one after its store was lost; the last is the current one.
CREATE TABLE chains (
    host         BLOB NOT NULL REFERENCES hosts (id),
    number       INTEGER NOT NULL, -- from 1
    evidence_key BLOB NOT NULL,
    began_at     INTEGER NOT NULL,
    why          TEXT NOT NULL,
    start_next   INTEGER NOT NULL, -- the first record of this chain, and the one before it
    start_prev   BLOB NOT NULL,
    next         INTEGER NOT NULL,
    prev         BLOB NOT NULL,
    PRIMARY KEY (host, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    host   BLOB NOT NULL,
    chain  INTEGER NOT NULL,
    idx    INTEGER NOT NULL,
    digest BLOB NOT NULL,
    sealed BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (host, chain, idx),
    FOREIGN KEY (host, chain) REFERENCES chains (host, number)
) STRICT;

CREATE TABLE certificates (
    digest     BLOB PRIMARY KEY, -- SHA-256 of the DER
    host       BLOB REFERENCES hosts (id),
    operator   TEXT,
    issued_at  INTEGER NOT NULL,
    not_after  INTEGER NOT NULL,
    first_used INTEGER,
    CHECK ((host IS NULL) <> (operator IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_host ON certificates (host);

CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    host_name  TEXT, -- the only host that may use it
    uses_left  INTEGER NOT NULL,
    made_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    made_by    TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
    id            BLOB PRIMARY KEY,
    host          BLOB NOT NULL REFERENCES hosts (id),
    seq           INTEGER NOT NULL,
    action        TEXT NOT NULL, -- JSON
    authority     TEXT NOT NULL, -- JSON
    operator      TEXT NOT NULL,
    issued_us     INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    signed        BLOB NOT NULL,
    digest        BLOB NOT NULL,
    state         TEXT NOT NULL,
    ended         INTEGER NOT NULL DEFAULT 0, -- nothing of it is to be delivered any more
    acked         INTEGER NOT NULL DEFAULT 0, -- the host has said that it has it
    in_force      INTEGER NOT NULL DEFAULT 0, -- a standing order that the host has accepted
    outcome       TEXT,                       -- JSON
    released_by   BLOB,
    superseded_by BLOB,
    UNIQUE (host, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_open ON orders (host, seq) WHERE ended = 0;
CREATE INDEX orders_in_force ON orders (host) WHERE in_force = 1;
CREATE INDEX orders_issued ON orders (issued_us);

CREATE TABLE order_events (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id BLOB NOT NULL REFERENCES orders (id),
    at_us    INTEGER NOT NULL, -- when this server learnt it, unix microseconds
    host_at  INTEGER,          -- the host's own clock
    boot_us  INTEGER,          -- the host's CLOCK_BOOTTIME
    kind     TEXT NOT NULL,
    detail   TEXT NOT NULL     -- JSON
) STRICT;
CREATE INDEX order_events_order ON order_events (order_id, id);

CREATE TABLE exceptions (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    host      BLOB REFERENCES hosts (id),
    order_id  BLOB REFERENCES orders (id),
    owner     TEXT NOT NULL,
    detail    TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    last_at   INTEGER NOT NULL,
    times     INTEGER NOT NULL DEFAULT 1,
    due_at    INTEGER NOT NULL,
    closed_at INTEGER,
    closed_by TEXT
) STRICT;
CREATE INDEX exceptions_open ON exceptions (host, kind) WHERE closed_at IS NULL;

CREATE TABLE audit (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    operator TEXT NOT NULL,
    via      TEXT NOT NULL,
    action   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    digest   BLOB NOT NULL -- over the one before it and this one, see audit.rs
) STRICT;
",
    "
CREATE TABLE sections (
    id          INTEGER PRIMARY KEY AUTOINCREMENT, -- an id that is gone never means another row
    host        BLOB NOT NULL REFERENCES hosts (id),
    name        TEXT NOT NULL,
    place       INTEGER NOT NULL, -- 0 arriving, 1 the last, 2 the one before it
    digest      BLOB NOT NULL,
    bytes       INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    left_out    INTEGER NOT NULL,
    not_read    INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    replaced_at INTEGER,
    UNIQUE (host, name, place)
) STRICT;

CREATE TABLE section_pieces (
    section INTEGER NOT NULL REFERENCES sections (id) ON DELETE CASCADE,
    nth     INTEGER NOT NULL,
    json    BLOB NOT NULL,
    UNIQUE (section, nth)
) STRICT;
",
];

/// Brings the file to this version's schema.
pub fn migrate(writer: &mut Connection, path: &Path) -> Result<(), DbError> {
    let found: i64 = writer.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = STEPS.len() as i64;
    if found > known {
        return Err(DbError::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    for (step, sql) in STEPS.iter().enumerate().skip(found.max(0) as usize) {
        let transaction = writer.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", step as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// A database for a test.
#[cfg(test)]
pub fn in_memory() -> Connection {
    let mut conn = Connection::open_in_memory().unwrap();
    conn.pragma_update(None, "foreign_keys", "ON").unwrap();
    migrate(&mut conn, Path::new(":memory:")).unwrap();
    conn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let mut conn = in_memory();
        migrate(&mut conn, Path::new("x")).unwrap();
        conn.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut conn, Path::new("x")).unwrap_err();
        assert!(matches!(error, DbError::Newer { found: 99, .. }), "{error}");
    }
}
