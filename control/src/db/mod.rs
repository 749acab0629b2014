//! The control plane's memory: one embedded SQLite file.
//!
//! Knows nothing of HTTP, TLS or sockets. All writing goes through one thread that puts waiting
//! jobs into one transaction (group commit); a job's answer is given only after its commit has
//! reached the disk (`synchronous=FULL`), so what was promised to anybody survives a power cut.

/// Who asked this control plane for what: an append-only, hash-chained list.
pub mod audit;
/// Certificates by their digest: the way from a TLS connection to who is speaking.
pub mod certificates;
/// What is to be sent to a host.
pub mod delivery;
/// The hosts' evidence chains as they arrived.
pub mod evidence;
/// What is not as ordered and needs somebody.
pub mod exceptions;
/// Hosts and their chains' heads.
pub mod hosts;
/// Giving orders.
pub mod issuing;
/// Orders, and where they are in their lives.
pub mod orders;
/// What a record of evidence says about orders.
pub mod progress;
/// Tables and migrations.
mod schema;
/// What hosts' surveys found.
pub mod sections;
/// What happened to an order, and when.
pub mod timeline;
/// Join tokens, of which only digests are kept.
pub mod tokens;
/// Orders that wait for their host.
pub mod waiting;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for the writer; more wait in their callers.
const QUEUE_JOBS_MAX: usize = 1024;
/// Jobs that share one commit at most.
const GROUP_JOBS_MAX: usize = 256;
/// Connections for reading that are kept open.
const READERS_KEPT_MAX: usize = 4;

/// Why the database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// SQLite said no.
    #[error("database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction could not be committed; nothing of it is in force.
    #[error("database: the commit failed: {0}")]
    Commit(String),
    /// The file was made by a later version.
    #[error("{}: made by a later version (schema {found}, this one knows {known})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The latest schema this version knows.
        known: i64,
    },
    /// A stored value is not what this version writes.
    #[error("database: {what} in the database is damaged")]
    Damaged {
        /// Which value.
        what: &'static str,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Closed,
}

/// A handle to the database; it stops with the last of them.
pub struct Database {
    jobs: mpsc::Sender<Box<dyn Job>>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
}

impl Database {
    /// Opens the file, makes or migrates its tables, and starts the writer.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let mut writer = Connection::open(path)?;
        configure(&writer)?;
        schema::migrate(&mut writer, path)?;
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        thread::Builder::new()
            .name("database".into())
            .spawn(move || write_jobs(&writer, queue))
            .map_err(|error| DbError::Commit(format!("cannot start the writer: {error}")))?;
        Ok(Self {
            jobs,
            readers: Mutex::default(),
            path: path.to_owned(),
        })
    }

    /// Runs `work` in a transaction and answers when it is durable. An error undoes it.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let answer = self.submit(work).await?;
        answer.await.map_err(|_| E::from(DbError::Closed))?
    }

    /// Queues `work`; jobs run in the order in which they were queued. The answer may be dropped
    /// by those who need not wait for it.
    pub async fn submit<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, E>>, DbError>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = TypedJob {
            work: Some(work),
            result: None,
            reply,
        };
        self.jobs
            .send(Box::new(job))
            .await
            .map_err(|_| DbError::Closed)?;
        Ok(answer)
    }

    /// Runs `work` on a connection that only reads, off the runtime's own threads. It sees every
    /// commit that was answered before.
    pub async fn read<T, E>(
        self: &std::sync::Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
    {
        let database = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let reader = database.reader()?;
            let result = work(&reader);
            let mut kept = database
                .readers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if kept.len() < READERS_KEPT_MAX {
                kept.push(reader);
            }
            result
        });
        task.await.map_err(|_| E::from(DbError::Closed))?
    }

    fn reader(&self) -> Result<Connection, DbError> {
        let kept = self
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(reader) = kept {
            return Ok(reader);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags)?;
        reader.busy_timeout(std::time::Duration::from_secs(5))?;
        reader.set_prepared_statement_cache_capacity(32);
        Ok(reader)
    }
}

fn configure(writer: &Connection) -> Result<(), DbError> {
    writer.busy_timeout(std::time::Duration::from_secs(5))?;
    writer.pragma_update(None, "journal_mode", "WAL")?;
    writer.pragma_update(None, "synchronous", "FULL")?;
    writer.pragma_update(None, "foreign_keys", "ON")?;
    writer.pragma_update(None, "trusted_schema", "OFF")?;
    writer.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Something to do in a transaction, and somebody to tell.
trait Job: Send {
    /// Does it; whether it may be committed.
    fn run(&mut self, conn: &Connection) -> bool;
    /// Tells the one who waits.
    fn settle(self: Box<Self>, committed: Result<(), DbError>);
}

struct TypedJob<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for TypedJob<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<DbError> + Send,
{
    fn run(&mut self, conn: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(conn));
        matches!(self.result, Some(Ok(_)))
    }
    fn settle(self: Box<Self>, committed: Result<(), DbError>) {
        let result = match (committed, self.result) {
            (Err(error), _) => Err(E::from(error)),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(E::from(DbError::Closed)),
        };
        // Whoever does not wait any more needs no answer.
        let _ = self.reply.send(result);
    }
}

fn write_jobs(writer: &Connection, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP_JOBS_MAX
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        let outcome = commit_group(writer, &mut group);
        if let Err(error) = &outcome {
            tracing::error!(%error, "the database did not commit");
            // Already rolled back when SQLite did so by itself.
            let _ = writer.execute_batch("ROLLBACK");
        }
        for job in group {
            job.settle(match &outcome {
                Ok(()) => Ok(()),
                Err(error) => Err(DbError::Commit(error.to_string())),
            });
        }
    }
    // Leaves one file behind instead of three; not needed for safety.
    let _ = writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
}

fn commit_group(writer: &Connection, group: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    let step = |sql| writer.prepare_cached(sql)?.execute([]).map(drop);
    step("BEGIN IMMEDIATE")?;
    for job in group {
        step("SAVEPOINT job")?;
        if !job.run(writer) {
            step("ROLLBACK TO job")?;
        }
        step("RELEASE job")?;
    }
    step("COMMIT")
}

/// Reads a fixed number of bytes from a column.
fn bytes<const N: usize>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<[u8; N]> {
    let index = row.as_ref().column_index(column)?;
    let blob = row.get_ref(index)?.as_blob()?;
    blob.try_into().map_err(|_| damaged(index, column))
}

/// Reads a JSON column.
fn json<T: serde::de::DeserializeOwned>(
    row: &rusqlite::Row<'_>,
    column: &str,
) -> rusqlite::Result<T> {
    let index = row.as_ref().column_index(column)?;
    let text = row.get_ref(index)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

fn damaged(index: usize, column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        index,
        rusqlite::types::Type::Blob,
        format!("column {column} is damaged").into(),
    )
}

/// JSON of a value whose serialisation cannot fail: no maps with other keys than texts, no
/// failing `Serialize`.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a value could not be written as JSON");
        "null".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_failed_job_is_undone_alone_and_what_was_answered_can_be_read() {
        let dir = std::env::temp_dir().join(format!("rescind-db-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("t.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let db = Arc::new(Database::open(&path).unwrap());
            let insert = |name: &'static str, ok: bool| {
                db.write(move |conn| {
                    conn.execute("INSERT INTO meta (key, value) VALUES (?1, 'x')", [name])
                        .map_err(DbError::from)?;
                    if ok {
                        Ok(())
                    } else {
                        Err(DbError::Damaged { what: "test" })
                    }
                })
            };
            let (a, b, c) = tokio::join!(insert("a", true), insert("b", false), insert("c", true));
            assert!(a.is_ok() && b.is_err() && c.is_ok());
            let names: Vec<String> = db
                .read(|conn| -> Result<_, DbError> {
                    let mut query =
                        conn.prepare("SELECT key FROM meta WHERE value = 'x' ORDER BY key")?;
                    let rows = query.query_map([], |row| row.get(0))?;
                    Ok(rows.collect::<Result<_, _>>()?)
                })
                .await
                .unwrap();
            assert_eq!(names, ["a", "c"]);
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
