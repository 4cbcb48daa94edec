//! A door: a few threads, each owning one connection, behind one bounded queue.
//!
//! A job is one blocking hop. It carries the caller's tracing span to the thread and a panic back to
//! the caller; after a panic the connection is opened anew, since its transaction may still be open.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::{Conn, Error};

type Job = Box<dyn FnOnce(&mut Conn) -> Outcome + Send>;
/// Whether the connection may be used again.
enum Outcome {
    Done,
    Panicked,
}
type Panic = Box<dyn Any + Send>;

pub(super) struct Door {
    jobs: SyncSender<Job>,
}

impl Door {
    /// Starts one thread for each connection; `queue` jobs may wait.
    pub(super) fn new(
        name: &str,
        connections: Vec<Conn>,
        queue: usize,
        reopen: impl Fn() -> Result<Conn, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let (jobs, receiver) = sync_channel::<Job>(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        let reopen = Arc::new(reopen);
        for conn in connections {
            let (receiver, reopen) = (Arc::clone(&receiver), Arc::clone(&reopen));
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(conn, &receiver, reopen.as_ref()))
                .map_err(|error| Error::Open(format!("a database thread did not start: {error}")))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on one of the connections.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Conn) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = oneshot::channel::<Result<T, Panic>>();
        let span = tracing::Span::current();
        let job: Job = Box::new(move |conn| {
            let result = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| work(conn))));
            let outcome = if result.is_ok() { Outcome::Done } else { Outcome::Panicked };
            // The caller may be gone with its client; what was committed stays committed.
            drop(sender.send(result));
            outcome
        });
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => Error::Closed,
        })?;
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        }
    }
}

fn serve(mut conn: Conn, jobs: &Mutex<Receiver<Job>>, reopen: &dyn Fn() -> Result<Conn, Error>) {
    loop {
        // The lock is held while waiting: the next idle thread waits for the lock instead.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if let Outcome::Panicked = job(&mut conn) {
            match reopen() {
                Ok(fresh) => conn = fresh,
                Err(error) => {
                    tracing::error!(%error, "a database connection is lost");
                    return;
                }
            }
        }
    }
}
