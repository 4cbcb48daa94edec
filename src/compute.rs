//! Work that keeps a processor busy for long: on threads of its own, so that neither requests nor the database
//! wait for it.
//!
//! A pool is a few threads behind two bounded queues, one of them served first; past the bound a caller is told at
//! once. A job whose caller
//! has gone is not begun, and no more jobs run at a time than there are threads, whoever vanishes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use crate::http::Problem;
use crate::job_queue::{JobQueue, Turn};

type Job = Box<dyn FnOnce() + Send>;
type Panic = Box<dyn Any + Send>;

/// A pool of threads.
pub struct Pool {
    jobs: Arc<JobQueue<Job>>,
    /// How many of each kind may wait.
    bound: usize,
}

impl Pool {
    /// Starts the threads; `queue` jobs of each kind may wait.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn new(name: &str, threads: usize, queue: usize) -> Result<Self, String> {
        let pool = Self { jobs: Arc::new(JobQueue::new()), bound: queue };
        for _ in 0..threads.max(1) {
            let worker = pool.jobs.worker();
            let serve = move || {
                while let Some(job) = worker.next() {
                    job();
                }
            };
            let started = thread::Builder::new().name(name.to_owned()).spawn(serve);
            started.map_err(|error| format!("a thread did not start: {error}"))?;
        }
        Ok(pool)
    }

    /// Runs `work` on one of the threads.
    ///
    /// # Errors
    /// `503` where too many jobs wait already.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        self.run_in(Turn::Usual, self.bound, work).await
    }

    /// Like [`Pool::run`], and never refused: for what follows something that is done already.
    ///
    /// # Errors
    /// `503` where the program stops.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn run_certainly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.run_in(Turn::Usual, usize::MAX, work).await
    }

    /// Like [`Pool::run`], before whatever waits there.
    ///
    /// # Errors
    /// `503` where too many such jobs wait already.
    ///
    /// # Panics
    /// Carries a panic of `work` over to the caller.
    pub async fn run_first<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        self.run_in(Turn::First, self.bound, work).await
    }

    async fn run_in<T: Send + 'static>(
        &self,
        turn: Turn,
        bound: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (sender, receiver) = oneshot::channel::<Result<T, Panic>>();
        let span = tracing::Span::current();
        let job: Job = Box::new(move || {
            if !sender.is_closed() {
                drop(sender.send(span.in_scope(|| catch_unwind(AssertUnwindSafe(work)))));
            }
        });
        drop(self.jobs.add(turn, bound, job).map_err(|_| Problem::overloaded())?);
        match receiver.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Problem::overloaded()),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// Half of the processors, so that the other half answers requests.
pub fn half_of_the_processors() -> usize {
    thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_more_jobs_run_than_there_are_threads_and_who_is_gone_has_none_begun() {
        let pool = Pool::new("test", 1, 8).unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let (release, held) = sync_channel::<()>(0);
        let counter = Arc::clone(&begun);
        let first = pool.run(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            held.recv()
        });
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let counter = Arc::clone(&begun);
                Box::pin(pool.run(move || counter.fetch_add(1, Ordering::SeqCst)))
            })
            .collect();
        let mut first = Box::pin(first);
        assert!((&mut first).now_or_never().is_none());
        for mut job in waiting {
            // Asked once, and gone.
            assert!((&mut job).now_or_never().is_none());
        }
        drop(release);
        assert!(first.await.unwrap().is_err());
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn what_goes_first_waits_for_no_other_queue() {
        let pool = Pool::new("test", 1, 8).unwrap();
        let (release, held) = sync_channel::<()>(0);
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut busy = Box::pin(pool.run(move || held.recv().is_ok()));
        assert!((&mut busy).now_or_never().is_none());
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(name)
        };
        let (mut one, mut two) = (Box::pin(pool.run(note("usual"))), Box::pin(pool.run(note("usual"))));
        assert!((&mut one).now_or_never().is_none() && (&mut two).now_or_never().is_none());
        let mut first = Box::pin(pool.run_first(note("first")));
        assert!((&mut first).now_or_never().is_none());
        drop(release);
        let _ = tokio::join!(busy, one, two, first);
        assert_eq!(*order.lock().unwrap(), ["first", "usual", "usual"]);
    }

    #[tokio::test]
    async fn past_the_bound_a_caller_is_told_at_once() {
        let pool = Pool::new("test", 1, 1).unwrap();
        let (release, held) = sync_channel::<()>(0);
        let held = Arc::new(Mutex::new(held));
        let mut jobs: Vec<_> = (0..4)
            .map(|_| {
                let held = Arc::clone(&held);
                Box::pin(pool.run(move || held.lock().unwrap().recv().is_ok()))
            })
            .collect();
        let mut refused = 0;
        for job in &mut jobs {
            if let Some(answer) = job.now_or_never() {
                assert!(answer.is_err());
                refused += 1;
            }
        }
        assert!(refused >= 2, "one runs, one waits");
        drop(release);
    }
}
