//! The writing door: one thread with the one writing connection. What waits is done together and reaches the disk once.
//!
//! Where several wait, each runs in a savepoint of one transaction, so that one which fails leaves the others alone, and
//! hears what came of it after the commit of all: an acknowledged write is on the disk. Where none waits behind it, a job
//! has the transaction for itself and needs no savepoint. A panic, or a transaction that the database has ended, takes
//! the whole transaction back: the others are told that the database is overloaded, and nothing of theirs was stored.

use std::any::Any;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::result::Error as QueryError;
use tokio::sync::oneshot;

use super::{Conn, Error, Rehearsal, transaction};

/// How many jobs one transaction holds.
const MOST_TOGETHER: usize = 64;
/// For how long jobs are added to a transaction: the first of them waits for the last.
const GATHERING: Duration = Duration::from_millis(4);

/// Does its work in the open transaction: in a savepoint, unless it is alone there.
type Write = Box<dyn FnOnce(&mut Conn, bool) -> Ran + Send>;

/// What the thread is given to do.
enum Job {
    /// Something in a transaction.
    Write(Write),
    /// Something between two transactions.
    Between(Box<dyn FnOnce(&mut Conn) + Send>),
}
/// Tells a job's caller what came of it, once it is known whether it is stored.
type Tell = Box<dyn FnOnce(Result<(), Error>)>;
type Panic = Box<dyn Any + Send>;

/// A job that has run.
struct Ran {
    tell: Tell,
    end: End,
}

/// What a job leaves behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// What is to be stored.
    Done,
    /// What is to be taken back: it failed, or was only tried out.
    TakeBack,
    /// A connection in an unknown state.
    Panicked,
}

pub(super) struct Writer {
    jobs: SyncSender<Job>,
}

impl Writer {
    /// Starts the thread; `queue` jobs may wait.
    pub(super) fn new(
        conn: Conn,
        queue: usize,
        reopen: impl Fn() -> Result<Conn, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (jobs, receiver) = sync_channel::<Job>(queue);
        thread::Builder::new()
            .name("db-write".to_owned())
            .spawn(move || serve(conn, &receiver, &reopen))
            .map_err(|error| Error::Open(format!("a database thread did not start: {error}")))?;
        Ok(Self { jobs })
    }

    /// Runs `work`, and where that is stored `stored`, before the caller hears of it.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
        stored: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let work = move |conn: &mut Conn, alone: bool| {
            let outcome = if alone { work(conn) } else { transaction(conn, work) };
            let end = if outcome.is_ok() { End::Done } else { End::TakeBack };
            (outcome, end)
        };
        self.send(work, stored).await
    }

    /// Runs `work` and takes back what it did.
    pub(super) async fn rehearse<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let rehearsed = move |conn: &mut Conn, alone: bool| {
            let outcome = if alone {
                work(conn)
            } else {
                let outcome = conn.transaction::<(), _, _>(|conn| Err(Rehearsal::of(work(conn))));
                outcome.map_or_else(Rehearsal::into_result, |()| Err(Error::Closed.into()))
            };
            (outcome, End::TakeBack)
        };
        self.send(rehearsed, |_| {}).await
    }

    async fn send<T, E>(
        &self,
        work: impl FnOnce(&mut Conn, bool) -> (Result<T, E>, End) + Send + 'static,
        stored: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<Result<T, E>, Panic>>();
        let span = tracing::Span::current();
        let job: Write = Box::new(move |conn, alone| {
            let result = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| work(conn, alone))));
            let (result, end) = match result {
                Ok((result, end)) => (Ok(result), end),
                Err(panic) => (Err(panic), End::Panicked),
            };
            let tell = move |committed: Result<(), Error>| {
                let told = match (result, committed) {
                    (Ok(Ok(_)), Err(error)) => Ok(Err(error.into())),
                    (Ok(Ok(value)), Ok(())) => {
                        stored(&value);
                        Ok(Ok(value))
                    }
                    (failed, _) => failed,
                };
                // The caller may be gone with its client; what was committed stays committed.
                drop(sender.send(told));
            };
            Ran { tell: Box::new(tell), end }
        });
        self.enqueue(Job::Write(job))?;
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            // The transaction could not begin, or the program stops.
            Err(_) => Err(Error::Overloaded.into()),
        }
    }

    /// Runs `work` on the connection while no transaction is open.
    pub(super) async fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel();
        self.enqueue(Job::Between(Box::new(move |conn| drop(sender.send(work(conn))))))?;
        receiver.await.map_err(|_| Error::Closed)?
    }

    fn enqueue(&self, job: Job) -> Result<(), Error> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => Error::Closed,
        })
    }
}

fn serve(mut conn: Conn, jobs: &Receiver<Job>, reopen: &dyn Fn() -> Result<Conn, Error>) {
    let mut next = None;
    while let Some(job) = next.take().or_else(|| jobs.recv().ok()) {
        match job {
            Job::Between(work) => work(&mut conn),
            Job::Write(first) => match write(conn, first, jobs, reopen) {
                Some((usable, left)) => (conn, next) = (usable, left),
                None => return,
            },
        }
    }
}

/// Does the first job and those that wait behind it in one transaction; gives a connection that can be used, and a job
/// that must not be in a transaction.
fn write(
    mut conn: Conn,
    first: Write,
    jobs: &Receiver<Job>,
    reopen: &dyn Fn() -> Result<Conn, Error>,
) -> Option<(Conn, Option<Job>)> {
    let (mut ran, mut left) = (Vec::new(), None);
    let outcome = conn.immediate_transaction(|conn| gather(conn, first, jobs, &mut ran, &mut left));
    // One that was alone and is taken back as it should be is told what came of it.
    let was_taken_back = matches!(&ran[..], [one] if one.end == End::TakeBack);
    let failure = match outcome {
        Ok(()) => None,
        Err(QueryError::RollbackTransaction) if was_taken_back => None,
        Err(error) => Some(error),
    };
    for one in ran {
        (one.tell)(if failure.is_none() { Ok(()) } else { Err(Error::Overloaded) });
    }
    let usable = match failure {
        Some(error) => after_failure(&error, reopen)?,
        None => conn,
    };
    Some((usable, left))
}

/// Whatever state the connection is in, a new one is in none.
fn after_failure(error: &QueryError, reopen: &dyn Fn() -> Result<Conn, Error>) -> Option<Conn> {
    if !matches!(error, QueryError::RollbackTransaction) {
        tracing::error!(%error, "writes could not be stored");
    }
    reopen().inspect_err(|error| tracing::error!(%error, "the writing database connection is lost")).ok()
}

/// Runs the first job and those that wait behind it, up to one that must not be in a transaction.
fn gather(
    conn: &mut Conn,
    first: Write,
    jobs: &Receiver<Job>,
    ran: &mut Vec<Ran>,
    left: &mut Option<Job>,
) -> QueryResult<()> {
    let begun = Instant::now();
    let mut take = || match jobs.try_recv().ok()? {
        Job::Write(write) => Some(write),
        between @ Job::Between(_) => {
            *left = Some(between);
            None
        }
    };
    let second = take();
    let alone = second.is_none();
    let others = iter::from_fn(|| if alone || begun.elapsed() >= GATHERING { None } else { take() });
    for job in iter::once(first).chain(second).chain(others.fuse()).take(MOST_TOGETHER) {
        let one = job(conn, alone);
        // In a savepoint, what is to be taken back has been.
        let goes_on = one.end == End::Done || one.end == End::TakeBack && !alone;
        ran.push(one);
        if !goes_on {
            return Err(QueryError::RollbackTransaction);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use diesel::sql_types::BigInt;

    use super::super::sqlite;
    use super::*;

    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }

    type Work = Box<dyn FnOnce(&mut Conn) -> Result<(), Error> + Send>;

    struct Fixture {
        dir: tempfile::TempDir,
        writer: Arc<Writer>,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.db");
        let mut conn = sqlite::open(&file, sqlite::Access::Write).unwrap();
        diesel::sql_query("CREATE TABLE numbers (number INTEGER NOT NULL UNIQUE)").execute(&mut conn).unwrap();
        let writer = Writer::new(conn, 512, move || sqlite::open(&file, sqlite::Access::Write)).unwrap();
        Fixture { dir, writer: Arc::new(writer) }
    }

    fn insert(conn: &mut Conn, number: i64) -> Result<(), Error> {
        diesel::sql_query("INSERT INTO numbers VALUES (?)").bind::<BigInt, _>(number).execute(conn)?;
        Ok(())
    }

    async fn count(writer: &Writer) -> i64 {
        let counted = |conn: &mut Conn| {
            let rows: Vec<Count> = diesel::sql_query("SELECT count(*) AS count FROM numbers").load(conn)?;
            Ok::<_, Error>(rows[0].count)
        };
        writer.rehearse(counted).await.unwrap()
    }

    /// Jobs that certainly wait together: the first holds the thread until all are there.
    async fn together(writer: &Arc<Writer>, jobs: Vec<Work>) -> Vec<bool> {
        let barrier = Arc::new(Barrier::new(2));
        let (holder, held) = (Arc::clone(writer), Arc::clone(&barrier));
        let first = tokio::spawn(async move {
            let wait = move |_: &mut Conn| {
                held.wait();
                Ok::<_, Error>(())
            };
            holder.run(wait, |()| {}).await
        });
        tokio::task::yield_now().await;
        let running: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                let writer = Arc::clone(writer);
                tokio::spawn(async move { writer.run(job, |()| {}).await.is_ok() })
            })
            .collect();
        tokio::task::yield_now().await;
        tokio::task::spawn_blocking(move || barrier.wait()).await.unwrap();
        drop(first.await);
        let mut outcomes = Vec::new();
        for one in running {
            outcomes.push(one.await.unwrap_or(false));
        }
        outcomes
    }

    #[tokio::test]
    async fn one_that_fails_or_is_only_tried_leaves_the_others_alone() {
        let fixture = fixture();
        let jobs: Vec<Work> = vec![
            Box::new(|conn| insert(conn, 1)),
            Box::new(|conn| {
                insert(conn, 2)?;
                Err(Error::Closed)
            }),
            Box::new(|conn| insert(conn, 1)),
            Box::new(|conn| insert(conn, 3)),
        ];
        assert_eq!(together(&fixture.writer, jobs).await, [true, false, false, true]);
        assert_eq!(count(&fixture.writer).await, 2);
        let rehearsed = fixture.writer.rehearse(|conn| insert(conn, 9)).await;
        assert!(rehearsed.is_ok());
        let failed = fixture.writer.run(|conn| insert(conn, 8).and(Err::<(), _>(Error::Closed)), |()| {}).await;
        assert!(matches!(failed, Err(Error::Closed)), "alone, it hears why it failed");
        assert_eq!(count(&fixture.writer).await, 2);
    }

    #[tokio::test]
    async fn a_panic_stores_nothing_of_its_transaction_and_the_next_goes_on() {
        let fixture = fixture();
        let stored = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<Work> = vec![
            Box::new(|conn| insert(conn, 1)),
            Box::new(|_| panic!("on purpose")),
            Box::new(|conn| insert(conn, 2)),
        ];
        let outcomes = together(&fixture.writer, jobs).await;
        assert!(!outcomes[1], "{outcomes:?}");
        let acknowledged = outcomes.iter().filter(|done| **done).count();
        assert_eq!(count(&fixture.writer).await, i64::try_from(acknowledged).unwrap());
        let counter = Arc::clone(&stored);
        let noted = move |(): &()| {
            counter.fetch_add(1, Ordering::SeqCst);
        };
        fixture.writer.run(|conn| insert(conn, 7), noted).await.unwrap();
        assert_eq!(stored.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_is_to_be_done_between_transactions_is_in_none() {
        let fixture = fixture();
        let checkpoint = |writer: Arc<Writer>| tokio::spawn(async move { writer.between(sqlite::empty_wal).await });
        let mut running = Vec::new();
        for number in 0..100_i64 {
            let writer = Arc::clone(&fixture.writer);
            running.push(tokio::spawn(async move { writer.run(move |conn| insert(conn, number), |()| {}).await }));
            if number % 10 == 0 {
                assert!(checkpoint(Arc::clone(&fixture.writer)).await.unwrap().unwrap());
            }
        }
        for one in running {
            one.await.unwrap().unwrap();
        }
        assert_eq!(count(&fixture.writer).await, 100);
        assert!(checkpoint(Arc::clone(&fixture.writer)).await.unwrap().unwrap());
        let wal = fixture.dir.path().join("test.db-wal");
        assert_eq!(std::fs::metadata(wal).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn many_at_once_are_each_stored_once() {
        let fixture = fixture();
        let running: Vec<_> = (0..300_i64)
            .map(|number| {
                let writer = Arc::clone(&fixture.writer);
                tokio::spawn(async move { writer.run(move |conn| insert(conn, number), |()| {}).await })
            })
            .collect();
        for one in running {
            one.await.unwrap().unwrap();
        }
        assert_eq!(count(&fixture.writer).await, 300);
    }
}
