//! The socket of a connection, which is read from no faster than its answers are taken.
//!
//! The HTTP server reads requests ahead, and makes answers that have no body however many of them wait to be sent; and where
//! much is read ahead, it looks at it again and again until it can go on. A client that asks on and on and reads nothing
//! would have memory and a processor to itself. So nothing is read while anything waits to be sent, and little until all that
//! was read is answered: the client waits, and nothing is lost.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::{Connection, Connections};

/// How much is read before all of it is answered, in bytes: several times what a request takes, and far less than the server
/// would hold.
const MOST_READ: usize = 16 * 1024;
/// How much is read at once where less may be read than there is room for, in bytes.
const CHUNK: usize = 4 * 1024;

/// The socket.
pub struct Stream {
    socket: TcpStream,
    connection: Arc<Connection>,
    /// How much may be read before all that was read is answered.
    may_read: usize,
    /// Whether something waits to be sent.
    is_full: bool,
    /// Whether the server wants to read, and waits until it may.
    is_waiting: bool,
}

impl Stream {
    /// A connection that was opened.
    ///
    /// # Errors
    /// Where the system has no second handle of its socket.
    pub fn opened(socket: TcpStream, connections: &Arc<Connections>) -> io::Result<Self> {
        let connection = connections.opened(&socket)?;
        Ok(Self { socket, connection, may_read: MOST_READ, is_full: false, is_waiting: false })
    }

    /// Who is at the other end, as far as that is known.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    /// Lets the requests of the connection know it.
    pub fn introduce(&self, extensions: &mut Extensions) {
        extensions.insert(Arc::clone(&self.connection));
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
        if this.is_full || this.may_read == 0 {
            this.is_waiting = true;
            // What is full is woken when it is sent.
            if !this.is_full {
                this.connection.wake_reader(cx.waker());
            }
            return Poll::Pending;
        }
        let most = this.may_read;
        let length = if buffer.remaining() <= most {
            ready!(this.read(cx, buffer))?
        } else {
            ready!(this.read_part(cx, buffer, most))?
        };
        this.may_read -= length;
        this.connection.has_heard();
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

    /// The server calls this whenever it has looked at what was read and has written all that it had to send: what still
    /// waits is a request that is being answered, and what came after it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.connection.takes_more() {
            this.may_read = MOST_READ;
        }
        if this.is_waiting && this.may_read > 0 {
            this.is_waiting = false;
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
