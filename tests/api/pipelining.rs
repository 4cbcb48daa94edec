//! Clients that ask on and on and read nothing, before the running program: it hears them no further, and that costs nothing.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::command_line::Server;

/// For how long the program is watched: time that passes is what this is about.
const WATCHED: Duration = Duration::from_secs(1);
/// By when it has made as many answers as the buffers of the system hold, however slow it is.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of a second, as the system counts a process's time.
const TICKS: u64 = 100;

/// Asks without end, and reads nothing, until the connection is closed.
fn ask_without_end(mut stream: TcpStream, request: &str) {
    let requests = request.repeat(1000).into_bytes();
    while stream.write_all(&requests).is_ok() {}
}

/// The processor time of a process in ticks, and its memory in MiB.
fn cost(process: u32) -> (u64, u64) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory: u64 = memory.split_whitespace().next().unwrap().parse().unwrap();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap(), memory / 1024)
}

#[test]
fn whatever_is_asked_without_end_costs_nothing_once_its_answers_are_not_taken() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path(), &["--demo", "--rate-limits", "off"]);
    // Kept with and without a body, never kept, and with a body that is empty, that nobody reads, or that is read.
    for request in [
        "GET /api/v1/articles HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /api/v1/articles HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nIf-None-Match: *\r\n\r\n",
        "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        "GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
        // Where it ends, a body is still to come.
        "POST /api/v1/contact-submissions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "POST /api/v1/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let before = cost(server.process());
        let stream = TcpStream::connect(&server.address).unwrap();
        let asking = stream.try_clone().unwrap();
        let asking = thread::spawn(move || ask_without_end(asking, request));
        let begun = Instant::now();
        loop {
            let (then, _) = cost(server.process());
            thread::sleep(WATCHED);
            let (now, memory) = cost(server.process());
            assert!(memory < before.1 + 100, "it holds {memory} MiB after {}: {request}", before.1);
            if now - then < WATCHED.as_secs() * TICKS / 4 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "it is busy with nothing: {request}");
        }
        // The HTTP server ends a connection where a body that nobody has read is still to come.
        assert!(!asking.is_finished() || request.contains("Length: 2"), "it was closed: {request}");
        assert_eq!(server.request_with("", "GET", "/healthz", None).0, 200);
        // One that was closed has no other end any more.
        drop(stream.shutdown(Shutdown::Both));
        asking.join().unwrap();
    }
}
