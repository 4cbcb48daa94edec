//! A door: a few threads, each owning one connection, behind one bounded queue.
//!
//! A job is one blocking hop. It carries the caller's tracing span to the thread and a panic back to
//! the caller; after a panic the connection is opened anew, since its transaction may still be open.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::{Conn, Error};
use crate::job_queue::{JobQueue, Refused, Turn, Worker};

type Job = Box<dyn FnOnce(&mut Conn) -> Outcome + Send>;
/// Whether the connection may be used again.
enum Outcome {
    Done,
    Panicked,
}
type Panic = Box<dyn Any + Send>;

pub(super) struct Door {
    jobs: Arc<JobQueue<Job>>,
    /// How many jobs may wait.
    queue: usize,
}

impl Door {
    /// Starts one thread for each connection; `queue` jobs may wait.
    pub(super) fn new(
        name: &str,
        connections: Vec<Conn>,
        queue: usize,
        reopen: impl Fn() -> Result<Conn, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let door = Self { jobs: Arc::new(JobQueue::new()), queue };
        let reopen = Arc::new(reopen);
        for conn in connections {
            let (worker, reopen) = (door.jobs.worker(), Arc::clone(&reopen));
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || serve(conn, &worker, reopen.as_ref()))
                .map_err(|error| Error::Open(format!("a database thread did not start: {error}")))?;
        }
        Ok(door)
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
        let wake = self.jobs.add(Turn::Usual, self.queue, job).map_err(|refused| match refused {
            Refused::Full => Error::Overloaded,
            Refused::Closed => Error::Closed,
        })?;
        // Run after what is ready: so what other requests ask for that have come already is added before.
        drop(wake.map(|wake| tokio::spawn(async { drop(wake) })));
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Closed),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

fn serve(mut conn: Conn, worker: &Worker<Job>, reopen: &dyn Fn() -> Result<Conn, Error>) {
    while let Some(job) = worker.next() {
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
