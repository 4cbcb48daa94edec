//! Jobs that wait for a few threads.
//!
//! Jobs wake as many threads as there are of them, those first that have become idle last: what they need is still in their
//! caches, and the others sleep on. (Threads that share one receiver of a channel wake each other for each job.) Who adds
//! a job says when: the jobs of many requests that came together wake a thread once, and not each of them, for which two
//! threads on one core would take turns.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread, ThreadId};

/// Which of two queues a job waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Before all that is usual.
    First,
    /// After what came before.
    Usual,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// As many wait as may.
    Full,
    /// No thread takes jobs any more.
    Closed,
}

/// The queues, and the threads that wait for a job.
pub(crate) struct JobQueue<J>(Mutex<State<J>>);

struct State<J> {
    first: VecDeque<J>,
    usual: VecDeque<J>,
    idle: Vec<Thread>,
    /// How many were idle, are woken, and have not come yet.
    woken: usize,
    /// Who will wake the idle ones.
    waker: Option<ThreadId>,
    workers: usize,
    is_closed: bool,
}

/// Wakes the threads that are to do the jobs that wait, when it is dropped.
#[must_use = "nobody need do the job before this is dropped"]
pub(crate) struct Wake<J> {
    queue: Arc<JobQueue<J>>,
    own: ThreadId,
}

impl<J> Drop for Wake<J> {
    fn drop(&mut self) {
        self.queue.lock().waker.take_if(|waker| *waker == self.own);
        // One after another, for who is woken first may have done everything by now.
        while let Some(sleeper) = self.queue.sleeper() {
            sleeper.unpark();
        }
    }
}

/// Who takes jobs. Where the last one goes, so do the jobs that wait: nobody would do them.
pub(crate) struct Worker<J>(Arc<JobQueue<J>>);

impl<J> JobQueue<J> {
    /// Nothing waits yet.
    pub(crate) fn new() -> Self {
        let (first, usual) = (VecDeque::new(), VecDeque::new());
        Self(Mutex::new(State { first, usual, idle: Vec::new(), woken: 0, waker: None, workers: 0, is_closed: false }))
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, where fewer than `bound` wait in its queue. None where what this thread added before it will wake the
    /// others: what that gave must be dropped in its time, whatever else the thread does.
    ///
    /// # Errors
    /// Why it was not taken.
    pub(crate) fn add(self: &Arc<Self>, turn: Turn, bound: usize, job: J) -> Result<Option<Wake<J>>, Refused> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Refused::Closed);
        }
        let waiting = if turn == Turn::First { &mut state.first } else { &mut state.usual };
        if waiting.len() >= bound {
            return Err(Refused::Full);
        }
        waiting.push_back(job);
        let own = thread::current().id();
        let is_first = state.waker.replace(own) != Some(own);
        Ok(is_first.then(|| Wake { queue: Arc::clone(self), own }))
    }

    /// Who has become idle last, where there is a job for which nobody is woken.
    fn sleeper(&self) -> Option<Thread> {
        let mut state = self.lock();
        let sleeper = if state.first.len() + state.usual.len() > state.woken { state.idle.pop() } else { None };
        state.woken += usize::from(sleeper.is_some());
        sleeper
    }

    /// One more that takes jobs.
    pub(crate) fn worker(self: &Arc<Self>) -> Worker<J> {
        self.lock().workers += 1;
        Worker(Arc::clone(self))
    }

    /// Takes no more jobs; those that wait are done.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.woken += idle.len();
        drop(state);
        idle.iter().for_each(Thread::unpark);
    }
}

impl<J> Worker<J> {
    /// The next job, as soon as there is one; none where the queue is closed and nothing waits any more.
    pub(crate) fn next(&self) -> Option<J> {
        let own = thread::current();
        let mut state = self.0.lock();
        loop {
            let next = state.first.pop_front();
            if let Some(job) = next.or_else(|| state.usual.pop_front()) {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            state.idle.push(own.clone());
            drop(state);
            thread::park();
            state = self.0.lock();
            // A thread may be woken without cause, and stands in the list still.
            match state.idle.iter().position(|idle| idle.id() == own.id()) {
                Some(place) => drop(state.idle.remove(place)),
                None => state.woken -= 1,
            }
        }
    }
}

impl<J> Drop for Worker<J> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.workers -= 1;
        let left = if state.workers == 0 {
            state.is_closed = true;
            (std::mem::take(&mut state.first), std::mem::take(&mut state.usual))
        } else {
            Default::default()
        };
        // What a job drops may ask for the lock.
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_job_is_done_once_whoever_adds_it() {
        let queue = Arc::new(JobQueue::<usize>::new());
        let done: Arc<Vec<AtomicUsize>> = Arc::new((0..4000).map(|_| AtomicUsize::new(0)).collect());
        thread::scope(|scope| {
            for _ in 0..3 {
                let (worker, done) = (queue.worker(), &done);
                scope.spawn(move || {
                    while let Some(job) = worker.next() {
                        done[job].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let adders: Vec<_> = (0..4)
                .map(|number| {
                    let queue = &queue;
                    scope.spawn(move || {
                        for job in number * 1000..(number + 1) * 1000 {
                            let turn = if job % 2 == 0 { Turn::First } else { Turn::Usual };
                            drop(queue.add(turn, usize::MAX, job).unwrap());
                            thread::current().unpark();
                        }
                    })
                })
                .collect();
            for adder in adders {
                adder.join().unwrap();
            }
            queue.close();
        });
        assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn what_is_first_comes_first_and_each_queue_has_its_bound() {
        let queue = Arc::new(JobQueue::new());
        let worker = queue.worker();
        drop(queue.add(Turn::Usual, 1, "usual").unwrap());
        assert_eq!(queue.add(Turn::Usual, 1, "more").err(), Some(Refused::Full));
        drop(queue.add(Turn::First, 1, "first").unwrap());
        queue.close();
        assert_eq!(queue.add(Turn::First, 9, "late").err(), Some(Refused::Closed));
        assert_eq!([worker.next(), worker.next(), worker.next()], [Some("first"), Some("usual"), None]);
    }

    #[test]
    fn who_has_become_idle_last_is_woken_first() {
        let queue = Arc::new(JobQueue::<()>::new());
        let (sender, woken) = std::sync::mpsc::channel();
        let idle = |number: usize| {
            let (worker, sender) = (queue.worker(), sender.clone());
            let thread = thread::spawn(move || {
                while worker.next().is_some() {
                    sender.send(number).unwrap();
                }
            });
            while queue.lock().idle.len() < number {
                thread::yield_now();
            }
            thread
        };
        let threads = [idle(1), idle(2)];
        for _ in 0..20 {
            drop(queue.add(Turn::Usual, 9, ()).unwrap());
            assert_eq!(woken.recv().unwrap(), 2);
            while queue.lock().idle.len() < 2 {
                thread::yield_now();
            }
        }
        queue.close();
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn with_the_last_worker_goes_what_waits() {
        let queue = Arc::new(JobQueue::new());
        let (one, other) = (queue.worker(), queue.worker());
        let job = Arc::new(());
        drop(queue.add(Turn::Usual, 9, Arc::clone(&job)).unwrap());
        drop(one);
        assert_eq!(Arc::strong_count(&job), 2);
        drop(other);
        assert_eq!(Arc::strong_count(&job), 1);
        assert_eq!(queue.add(Turn::Usual, 9, job).err(), Some(Refused::Closed));
    }

    #[test]
    fn jobs_of_one_thread_wake_the_others_once_and_as_many_as_they_need() {
        let queue = Arc::new(JobQueue::<usize>::new());
        let (sender, done) = std::sync::mpsc::channel();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (worker, sender) = (queue.worker(), sender.clone());
                thread::spawn(move || worker.next().map(|job| sender.send(job).unwrap()))
            })
            .collect();
        while queue.lock().idle.len() < 2 {
            thread::yield_now();
        }
        let wake = queue.add(Turn::Usual, 9, 1).unwrap();
        assert!(wake.is_some() && queue.add(Turn::Usual, 9, 2).unwrap().is_none());
        thread::scope(|scope| {
            let other = scope.spawn(|| queue.add(Turn::Usual, 9, 3).unwrap().map(std::mem::forget));
            assert!(other.join().unwrap().is_some(), "another thread may be there sooner");
        });
        assert!(queue.lock().idle.len() == 2 && done.try_recv().is_err());
        drop(wake);
        let mut two = [done.recv().unwrap(), done.recv().unwrap()];
        two.sort_unstable();
        assert_eq!(two, [1, 2]);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Some(()));
        }
    }
}
