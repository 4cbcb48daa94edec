//! An end to connections that hold on without asking for anything.
//!
//! The HTTP server ends one whose first head is late, or that is silent for too long after an answer. Between the two is
//! a gap: after an answer, bytes that never become a request hold a connection for good. So each connection has a time
//! by which it must have sent its next request, and what is later is closed: the time of keep-alive, the time that a head
//! may take, and what the answer needs at the least rate; and from its first byte on the time of a head.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::task::AtomicWaker;

use crate::config;

/// The slowest that an answer may be read, in bytes a second: an old phone at the edge of its network.
const LEAST_RATE: u64 = 8 * 1024;
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
    /// Whether the request that is being answered waits for more of its body.
    wants_body: AtomicBool,
    /// Who reads, where it waits.
    reader: AtomicWaker,
}

impl Connections {
    /// None is open yet.
    pub fn new(limits: config::Connections) -> Arc<Self> {
        Arc::new(Self { started: Instant::now(), limits, open: Mutex::default() })
    }

    /// A connection was opened.
    ///
    /// # Errors
    /// Where the system has no second handle of its socket.
    pub fn opened(self: &Arc<Self>, socket: &actix_web::rt::net::TcpStream) -> io::Result<Arc<Connection>> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        // The server itself answers a first head that is late, and closes then: this comes after it.
        let next_by = self.next_by(Instant::now(), 0);
        let connection = Arc::new(Connection {
            socket: socket.into(),
            connections: Arc::clone(self),
            next_by: next_by.into(),
            is_heard: AtomicBool::new(false),
            wants_body: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&connection));
        Ok(connection)
    }

    /// Closes those whose next request is late, and forgets those that have ended.
    pub fn close_late(&self) {
        let now = Instant::now();
        // One sweep later, since the server itself answers the first that is late.
        let (now, head_by) = (self.millis(now), self.millis(now + self.limits.head + SWEEP));
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|connection| {
            let Some(connection) = connection.upgrade() else { return false };
            let is_late = connection.deadline(head_by) < now;
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
    pub fn answers(self: &Arc<Self>, request: &mut ServiceRequest) {
        self.is_busy();
        match request.take_payload() {
            Payload::None => {}
            body => {
                let body = RequestBody { body, connection: Arc::clone(self) };
                request.set_payload(Payload::Stream { payload: Box::pin(body) });
            }
        }
    }

    /// The answer, or the error that is answered, is ready. What is made while it is sent keeps the connection busy until its
    /// end.
    ///
    /// # Errors
    /// That error.
    pub fn sends<E>(
        self: Arc<Self>,
        response: Result<ServiceResponse<BoxBody>, E>,
    ) -> Result<ServiceResponse<BoxBody>, E> {
        let now = Instant::now();
        match response.as_ref().map_or(BodySize::None, |response| response.response().body().size()) {
            BodySize::None => self.has_answered(0, now),
            BodySize::Sized(length) => self.has_answered(length, now),
            BodySize::Stream => {
                self.is_busy();
                return response.map(|response| {
                    response.map_body(|_, body| BoxBody::new(StreamedBody { body, connection: self }))
                });
            }
        }
        response
    }

    fn is_busy(&self) {
        self.next_by.store(u64::MAX, Ordering::Relaxed);
        self.is_heard.store(false, Ordering::Relaxed);
        self.wants_body.store(false, Ordering::Relaxed);
    }

    /// An answer of so many bytes has been made.
    pub fn has_answered(&self, length: u64, now: Instant) {
        self.next_by.store(self.connections.next_by(now, length), Ordering::Relaxed);
        self.is_heard.store(false, Ordering::Relaxed);
    }

    fn is_answering(&self) -> bool {
        self.next_by.load(Ordering::Relaxed) == u64::MAX
    }

    /// Something has come.
    pub fn has_heard(&self) {
        self.is_heard.store(true, Ordering::Relaxed);
    }

    /// Whether more may be read: nothing is being answered, or what is waits for its body.
    pub fn takes_more(&self) -> bool {
        !self.is_answering() || self.wants_body.swap(false, Ordering::Relaxed)
    }

    /// Wakes who would read and may not: at once where nothing is being answered, else when what is waits for its body.
    pub fn wake_reader(&self, reader: &Waker) {
        if self.is_answering() {
            self.reader.register(reader);
        } else {
            reader.wake_by_ref();
        }
    }

    /// By when it must have sent its next request, where a head that has begun by now must be whole by `head_by`.
    fn deadline(&self, head_by: u64) -> u64 {
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

/// The body of a request, which is read as far as it is asked for.
struct RequestBody {
    body: Payload,
    connection: Arc<Connection>,
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.body).poll_next(cx);
        if next.is_pending() {
            // Once, or who reads and who waits would wake each other while nothing can be read.
            if !self.connection.wants_body.swap(true, Ordering::Relaxed) {
                self.connection.reader.wake();
            }
        }
        next
    }
}

/// A body that is made while it is sent.
struct StreamedBody {
    body: BoxBody,
    connection: Arc<Connection>,
}

impl MessageBody for StreamedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

impl Drop for StreamedBody {
    fn drop(&mut self) {
        self.connection.has_answered(0, Instant::now());
    }
}
