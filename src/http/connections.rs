//! An end to connections that hold on without asking for anything.
//!
//! The HTTP server ends one whose first head is late, or that is silent for too long after an answer. Between the two is
//! a gap: after an answer, bytes that never become a request hold a connection for good. So each connection has a time
//! by which it must have sent its next request, and what is later is closed: the time of keep-alive, the time that a head
//! may take, and what the answer needs at the least rate; and from its first byte on the time of a head.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;

use crate::config;

/// The slowest that an answer may be read, in bytes a second: an old phone at the edge of its network.
const LEAST_RATE: u64 = 8 * 1024;
/// How much is read of what comes after a request while it is answered, in bytes.
const MOST_AHEAD: usize = 32 * 1024;
/// How often connections are looked through.
pub const SWEEP: Duration = Duration::from_secs(1);

/// The connections that are open.
pub struct Connections {
    started: Instant,
    limits: config::Connections,
    open: Mutex<Vec<Weak<Connection>>>,
}

/// A connection that is open.
pub struct Connection {
    /// A second handle of its socket.
    socket: TcpStream,
    connections: Arc<Connections>,
    /// By when it must have sent its next request, in milliseconds since the program started; the greatest while one is
    /// being answered.
    next_by: AtomicU64,
    /// Whether something has come since the last request or answer.
    is_heard: AtomicBool,
    /// How much may be read before the next answer.
    may_read: AtomicUsize,
}

impl Connections {
    /// None is open yet.
    pub fn new(limits: config::Connections) -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), limits, open: Mutex::default() })
    }

    /// A connection was opened; none where the system has no second handle of its socket.
    pub fn opened(self: &Arc<Self>, socket: &actix_web::rt::net::TcpStream) -> Option<Arc<Connection>> {
        let socket = socket.as_fd().try_clone_to_owned().ok()?;
        // The server itself answers a first head that is late, and closes then: this comes after it.
        let next_by = self.next_by(Instant::now(), 0);
        let connection = Arc::new(Connection {
            socket: socket.into(),
            connections: Arc::clone(self),
            next_by: next_by.into(),
            is_heard: AtomicBool::new(false),
            may_read: AtomicUsize::new(usize::MAX),
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&connection));
        Some(connection)
    }

    /// Closes those whose next request is late, and forgets those that have ended.
    pub fn close_late(&self) {
        let now = Instant::now();
        // One sweep later, since the server itself answers the first that is late.
        let (now, head_by) = (self.millis(now), self.millis(now + self.limits.head + SWEEP));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            let is_late = connection.next_by(head_by) < now;
            if is_late {
                // Where it has gone meanwhile there is nothing to close.
                drop(connection.socket.shutdown(Shutdown::Both));
            }
            !is_late
        });
    }

    /// By when the next request must have come, where an answer of so many bytes was made.
    fn next_by(&self, now: Instant, length: u64) -> u64 {
        let reading = Duration::from_secs(length / LEAST_RATE);
        self.millis(now + self.limits.keep_alive + self.limits.head + reading)
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    /// The connection of a request.
    pub fn of(request: &ServiceRequest) -> Option<&Arc<Self>> {
        request.conn_data::<Arc<Self>>()
    }

    /// A request has come and is being answered, however long that takes.
    ///
    /// `is_whole` says that nothing of it is still to come.
    pub fn is_busy(&self, is_whole: bool) {
        self.next_by.store(u64::MAX, Ordering::Relaxed);
        self.is_heard.store(false, Ordering::Relaxed);
        self.may_read.store(if is_whole { MOST_AHEAD } else { usize::MAX }, Ordering::Relaxed);
    }

    /// An answer of so many bytes has been made.
    pub fn has_answered(&self, length: u64, now: Instant) {
        self.next_by.store(self.connections.next_by(now, length), Ordering::Relaxed);
        self.is_heard.store(false, Ordering::Relaxed);
        self.may_read.store(usize::MAX, Ordering::Relaxed);
    }

    /// So many bytes have come.
    pub fn has_read(&self, length: usize) {
        self.is_heard.store(true, Ordering::Relaxed);
        let may_read = self.may_read();
        if may_read != usize::MAX {
            self.may_read.store(may_read.saturating_sub(length), Ordering::Relaxed);
        }
    }

    /// How many bytes may be read before something is answered.
    pub fn may_read(&self) -> usize {
        self.may_read.load(Ordering::Relaxed)
    }

    /// By when it must have sent its next request, where a head that has begun by now must be whole by `head_by`.
    fn next_by(&self, head_by: u64) -> u64 {
        let next_by = self.next_by.load(Ordering::Relaxed);
        if next_by == u64::MAX || next_by <= head_by || !self.is_heard.swap(false, Ordering::Relaxed) {
            return next_by;
        }
        // Where the request has become whole meanwhile, that counts.
        match self.next_by.compare_exchange(next_by, head_by, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => head_by,
            Err(newer) => newer,
        }
    }
}
