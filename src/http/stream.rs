//! The socket of a connection, which is read from no faster than its answers are taken.
//!
//! The HTTP server reads requests ahead, and makes answers that have no body however many of them wait to be sent; and where
//! much is read ahead, it looks at it again and again until it can go on. A client that asks on and on and reads nothing
//! would have memory and a processor to itself. So nothing is read while anything waits to be sent, and not more than
//! little while a request is answered: the client waits, and nothing is lost.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::{Connection, Connections};

/// How much is read before it is looked at, in bytes.
const MOST_READ: usize = 32 * 1024;
/// How much is read at once where less may be read than there is room for, in bytes.
const CHUNK: usize = 4 * 1024;

/// The socket.
pub struct Stream {
    socket: TcpStream,
    connection: Option<Arc<Connection>>,
    /// How much may be read before the server has looked at it.
    unseen: usize,
    /// Whether something waits to be sent.
    is_full: bool,
    /// Whether the server wants to read, and waits until it may.
    is_waiting: bool,
}

impl Stream {
    /// A connection that was opened.
    pub fn opened(socket: TcpStream, connections: &Arc<Connections>) -> Self {
        let connection = connections.opened(&socket);
        Self { socket, connection, unseen: MOST_READ, is_full: false, is_waiting: false }
    }

    /// Who is at the other end, as far as that is known.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Lets the requests of the connection know it.
    pub fn introduce(&self, extensions: &mut Extensions) {
        if let Some(connection) = &self.connection {
            extensions.insert(Arc::clone(connection));
        }
    }

    /// How much may be read until something is answered or sent.
    fn may_read(&self) -> usize {
        if self.is_full {
            return 0;
        }
        self.connection.as_ref().map_or(usize::MAX, |connection| connection.may_read())
    }

    fn read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        Poll::Ready(Ok(buffer.filled().len() - before))
    }

    /// Reads at most so much.
    fn read_part(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
        let mut chunk = [0; CHUNK];
        let mut part = ReadBuf::new(&mut chunk[..most.min(CHUNK)]);
        let length = ready!(self.read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(length))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let may_read = this.may_read();
        if may_read == 0 {
            this.is_waiting = true;
            return Poll::Pending;
        }
        if this.unseen == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = may_read.min(this.unseen);
        let length = if buffer.remaining() <= most {
            ready!(this.read(cx, buffer))?
        } else {
            ready!(this.read_part(cx, buffer, most))?
        };
        this.unseen -= length;
        if let Some(connection) = &this.connection {
            connection.has_read(length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.is_full = written.is_pending();
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.is_full = written.is_pending();
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// The server calls this whenever it has looked at what was read and has written all that it had to send.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.unseen = MOST_READ;
        if this.is_waiting && this.may_read() > 0 {
            this.is_waiting = false;
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
