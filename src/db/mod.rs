//! The two doors to the database: [`Db::read`] and [`Db::write`].
//!
//! A read runs in one read transaction on a connection that can't write: all it sees is one state. Where it must know which,
//! its first query is the content version ([`Db::snapshot`]). A write runs by itself or with others that wait in one
//! immediate transaction on the one writing connection; what follows its commit happens on the writer's thread
//! before the caller hears of it, since a handler may vanish at any `.await` with its client.
//! Each door is a few threads that own their connections behind a bounded queue; past the bound a
//! caller gets [`Error::Overloaded`] at once instead of waiting without end.
//!
//! Pragmas and files are `SQLite`'s own and live in `sqlite.rs`; the values that columns hold in `types.rs`; which state a
//! read has seen in `present.rs`.

mod among;
mod door;
pub mod list;
mod present;
mod raw;
mod sqlite;
mod types;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use tokio::sync::{Semaphore, watch};

pub use self::among::among;
use self::door::Door;
use self::present::Present;
pub use self::present::{ContentVersion, PresentState, served_with};
pub use self::raw::Raw;
pub use self::types::{Document, Id, Timestamp};
use self::writer::Writer;
use crate::clock::Clock;

/// The connection that every store function takes.
pub type Conn = SqliteConnection;

/// Connections that read at the same time. `SQLite` reads from memory: a few keep all cores busy.
const READERS: usize = 4;
/// Reads that may wait for a connection before the door says that it is overloaded.
const READ_QUEUE: usize = 512;
/// Writes that may wait for the writer.
const WRITE_QUEUE: usize = 512;
/// How many of them may be what anyone sends: the others always find room.
const PUBLIC_WRITES: usize = WRITE_QUEUE / 8;
/// For how long what anyone sends may wait for its turn.
const PUBLIC_PATIENCE: Duration = Duration::from_secs(10);

/// Why a door did not give a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many callers wait already, or another process holds the write lock. Trying again may help.
    #[error("the database is overloaded")]
    Overloaded,
    /// The program is stopping.
    #[error("the database is closed")]
    Closed,
    /// The database refused the query.
    #[error("the query failed: {0}")]
    Query(#[source] QueryError),
    /// The database could not be opened or prepared.
    #[error("{0}")]
    Open(String),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match &error {
            // SQLITE_BUSY and SQLITE_LOCKED have no kind of their own in Diesel.
            QueryError::DatabaseError(DatabaseErrorKind::Unknown, info) if info.message().contains("is locked") => {
                Self::Overloaded
            }
            _ => Self::Query(error),
        }
    }
}

/// One write transaction; dereferences to its connection.
pub struct Tx<'a> {
    conn: &'a mut Conn,
}

impl Tx<'_> {
    /// Runs `work` in a savepoint: where it fails, what it did is taken back, and the transaction goes on.
    ///
    /// # Errors
    /// What `work` returns, or what the database says.
    pub fn attempt<T, E: From<Error>>(&mut self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
        transaction(self.conn, |conn| work(&mut Tx { conn }))
    }
}

impl std::ops::Deref for Tx<'_> {
    type Target = Conn;
    fn deref(&self) -> &Conn {
        self.conn
    }
}
impl std::ops::DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn
    }
}

/// The database, open. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    readers: Arc<Door>,
    writer: Arc<Writer>,
    public_writes: Arc<Semaphore>,
    present: Arc<Present>,
    has_erased: Arc<AtomicBool>,
    file: Arc<sqlite::OpenFile>,
    clock: Clock,
}

impl Db {
    /// Opens the database file, makes it where there is none, and runs the migrations that are due.
    ///
    /// # Errors
    /// [`Error::Open`] where the file can't be opened or a migration fails.
    pub fn open(file: &Path, clock: Clock) -> Result<Self, Error> {
        Self::open_checked(file, clock, |_| Ok(()))
    }

    /// Like [`Db::open`], and lets `check` look at the migrated database before anything else does.
    ///
    /// # Errors
    /// What `check` returns, and [`Error::Open`] where the file can't be opened or a migration fails.
    pub fn open_checked(
        file: &Path,
        clock: Clock,
        check: impl FnOnce(&mut Conn) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut writer = sqlite::open(file, sqlite::Access::Write)?;
        sqlite::migrate(&mut writer)?;
        check(&mut writer)?;
        let version = ContentVersion::current(&mut writer)?;
        let readers = (0..READERS).map(|_| sqlite::open(file, sqlite::Access::Read)).collect::<Result<Vec<_>, _>>()?;
        let open_reader = opener(file, sqlite::Access::Read);
        let open_writer = opener(file, sqlite::Access::Write);
        Ok(Self {
            readers: Arc::new(Door::new("db-read", readers, READ_QUEUE, open_reader)?),
            writer: Arc::new(Writer::new(writer, WRITE_QUEUE, open_writer)?),
            public_writes: Arc::new(Semaphore::new(PUBLIC_WRITES)),
            present: Arc::new(Present::new(version)),
            // What was erased before the last stop may still be in the WAL.
            has_erased: Arc::new(AtomicBool::new(true)),
            file: Arc::new(sqlite::OpenFile::of(file)?),
            clock,
        })
    }

    /// Whether migrations of the database file are due; opens nothing else and changes nothing.
    ///
    /// # Errors
    /// [`Error::Open`] where the file can't be read.
    pub fn needs_migration(file: &Path) -> Result<bool, Error> {
        Ok(sqlite::pending(&mut sqlite::open(file, sqlite::Access::Write)?)? > 0)
    }

    /// Runs `work` in one read transaction, which sees the state that its first query finds; the connection refuses to write.
    ///
    /// # Errors
    /// What `work` returns, or an [`Error`] of the door.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.readers.run(move |conn: &mut Conn| transaction(conn, work)).await?
    }

    /// Like [`Db::read`], and tells `work` which state of the public content it sees.
    ///
    /// # Errors
    /// What `work` returns, or an [`Error`] of the door.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn snapshot<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Conn, ContentVersion) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let job = move |conn: &mut Conn| {
            transaction(conn, |conn| {
                // A deferred transaction takes its snapshot with its first read: this one.
                let version = ContentVersion::current(conn).map_err(Error::from)?;
                work(conn, version)
            })
        };
        self.readers.run(job).await?
    }

    /// Runs `work` in one immediate transaction: all of it is stored, durably, or nothing. Others that wait may share the
    /// transaction, each in a savepoint of its own.
    ///
    /// # Errors
    /// What `work` returns (nothing is stored then), or an [`Error`] of the door.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (present, clock) = (Arc::clone(&self.present), self.clock.clone());
        let job = move |conn: &mut Conn| {
            let before = ContentVersion::current(conn).map_err(Error::from)?;
            let value = work(&mut Tx { conn })?;
            let after = ContentVersion::current(conn).map_err(Error::from)?;
            if after.number != before.number {
                before.stamp_next(conn, clock.now()).map_err(Error::from)?;
            }
            Ok::<_, E>((value, after))
        };
        let stored = move |(_, version): &(T, ContentVersion)| present.store(*version);
        self.writer.run(job, stored).await.map(|(value, _)| value)
    }

    /// Like [`Db::write`], for what anyone may send: however much that is, it takes a bounded part of the writer's
    /// queue, and waits for its turn.
    ///
    /// # Errors
    /// What `work` returns, or an [`Error`] of the door: [`Error::Overloaded`] where its turn did not come in time.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn write_public<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let turn = tokio::time::timeout(PUBLIC_PATIENCE, Arc::clone(&self.public_writes).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Overloaded)?.map_err(|_| Error::Closed)?;
        // The turn lasts until the commit, also where the caller has gone.
        self.write(move |tx| Ok::<_, E>((work(tx)?, turn))).await.map(|(value, _)| value)
    }

    /// Empties the WAL into the file, so that what was deleted is in neither; whether that could be done now. A reader
    /// keeps from it for as long as it reads an older state.
    ///
    /// # Errors
    /// An [`Error`] of the door.
    pub async fn empty_wal(&self) -> Result<bool, Error> {
        let has_erased = Arc::clone(&self.has_erased);
        let work = move |conn: &mut Conn| {
            let is_empty = sqlite::empty_wal(conn)?;
            if is_empty {
                // Nothing is committed meanwhile: this is the writer's thread.
                has_erased.store(false, Ordering::Release);
            }
            Ok(is_empty)
        };
        self.writer.between(work).await
    }

    /// Says, within a write, that something was erased: until the WAL is empty it may still be there.
    pub fn note_erasure(&self) {
        self.has_erased.store(true, Ordering::Release);
    }

    /// Whether something that was erased may still be in the WAL.
    pub fn has_erased(&self) -> bool {
        self.has_erased.load(Ordering::Acquire)
    }

    /// Like [`Db::write`], and takes everything back: what `validate_only` asks for.
    ///
    /// # Errors
    /// What `work` returns, or an [`Error`] of the door.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn rehearse<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.writer.rehearse(move |conn| work(&mut Tx { conn })).await
    }

    /// The newest public state that was committed by this process.
    pub fn present(&self) -> PresentState {
        self.present.load()
    }

    /// Tells of each change of what is public, by the number of the state.
    pub fn commits(&self) -> watch::Receiver<i64> {
        self.present.commits()
    }

    /// Whether the database can be read and written, and its file is still the one that was opened.
    ///
    /// # Errors
    /// The [`Error`] that keeps it from answering.
    pub async fn check(&self) -> Result<(), Error> {
        self.file.check()?;
        // Its own query looks into the file, which the transaction alone would not.
        self.snapshot(|_, _| Ok::<_, Error>(())).await?;
        self.rehearse(|_| Ok::<_, Error>(())).await
    }
}

/// What is wrong with the file itself and with what its rows refer to, a sentence each.
///
/// # Errors
/// Where the database can't be read.
pub fn check_file(conn: &mut Conn) -> Result<Vec<String>, Error> {
    sqlite::check_file(conn)
}

/// How a door opens a connection anew after a panic has left one in an unknown state.
fn opener(file: &Path, access: sqlite::Access) -> impl Fn() -> Result<Conn, Error> + Send + Sync + 'static {
    let file = file.to_owned();
    move || sqlite::open(&file, access)
}

/// Diesel asks that a transaction's error can hold its own; ours converts by way of [`Error`].
enum Failure<E> {
    Work(E),
    Query(QueryError),
}

impl<E> From<QueryError> for Failure<E> {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl<E: From<Error>> Failure<E> {
    fn into_error(self) -> E {
        match self {
            Self::Work(error) => error,
            Self::Query(error) => Error::from(error).into(),
        }
    }
}

/// A rehearsal ends its transaction with an error always, so that it is rolled back.
enum Rehearsal<T, E> {
    Done(T),
    Failed(Failure<E>),
}

impl<T, E: From<Error>> Rehearsal<T, E> {
    fn of(outcome: Result<T, E>) -> Self {
        outcome.map_or_else(|error| Self::Failed(Failure::Work(error)), Self::Done)
    }

    fn into_result(self) -> Result<T, E> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Failed(failure) => Err(failure.into_error()),
        }
    }
}

impl<T, E> From<QueryError> for Rehearsal<T, E> {
    fn from(error: QueryError) -> Self {
        Self::Failed(Failure::Query(error))
    }
}

fn transaction<T, E: From<Error>>(conn: &mut Conn, work: impl FnOnce(&mut Conn) -> Result<T, E>) -> Result<T, E> {
    conn.transaction(|conn| work(conn).map_err(Failure::Work)).map_err(Failure::into_error)
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::Text;
    use diesel::sqlite::Sqlite;

    use super::*;

    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Text)]
        detail: String,
    }

    #[tokio::test]
    async fn what_a_snapshot_begins_with_scans_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let sql = diesel::debug_query::<Sqlite, _>(&super::present::present()).to_string();
        let statement = sql.split(" -- binds").next().unwrap().replace('?', "1");
        let plan: Vec<Step> = db
            .read(move |conn| {
                let explained = diesel::sql_query(format!("EXPLAIN QUERY PLAN {statement}"));
                explained.load(conn).map_err(Error::from)
            })
            .await
            .unwrap();
        let plan: Vec<_> = plan.into_iter().map(|step| step.detail).collect();
        assert!(plan.iter().any(|step| step.contains("articles_by_due_at")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
    }
}
