//! Under overload and before slow clients: what is refused says so, and everybody else is answered.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use copydesk::auth::Role;
use copydesk::config::Connections;
use copydesk::db::Db;
use copydesk::http::Problem;
use copydesk::http::problem::OVERLOADED;
use futures_util::future::join_all;
use serde_json::json;

use crate::contact::{message_with, send};
use crate::harness::{MARKER, TestServer, block_on};
use crate::steps::eventually;

const LIST: &str = "/api/v1/articles";
const HEAD: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
/// Nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a slow client sends something.
const PAUSE: Duration = Duration::from_millis(50);

fn connect(server: &TestServer) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A server that is soon tired of slow clients, and counts nobody's requests.
fn impatient() -> TestServer {
    TestServer::start_with(|config| {
        let second = Duration::from_secs(1);
        config.rate_limits = false;
        config.connections = Connections { keep_alive: second, head: second, body: second, ..config.connections };
    })
}

/// Sends `a` again and again until the server has closed the connection; gives what it said before.
fn trickle(mut stream: TcpStream) -> String {
    let (mut reader, begun) = (stream.try_clone().unwrap(), Instant::now());
    let reading = thread::spawn(move || {
        let mut answer = Vec::new();
        // A reset is as good an end as any.
        drop(reader.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    });
    while !reading.is_finished() {
        assert!(begun.elapsed() < PATIENCE, "it goes on for ever");
        drop(stream.write_all(b"a"));
        thread::sleep(PAUSE);
    }
    reading.join().unwrap()
}

/// The same with the head of a request.
fn trickle_a_head(mut stream: TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").unwrap();
    trickle(stream)
}

/// The same after a first request.
fn trickle_a_second_head(server: &TestServer) -> String {
    let mut stream = connect(server);
    stream.write_all(HEAD).unwrap();
    read_health(&mut stream);
    trickle_a_head(stream)
}

/// Reads a `200` whose last bytes are these.
fn read_to(stream: &mut TcpStream, end: &[u8]) {
    let mut answer = Vec::new();
    while !answer.ends_with(end) {
        let mut bytes = [0; 512];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

/// Reads the answer to [`HEAD`].
fn read_health(stream: &mut TcpStream) {
    read_to(stream, b"}");
}

/// What a database does for one of a crowd.
type Work = Box<dyn FnOnce() -> Result<(), Problem> + Send>;

/// Many who ask a door of the database at once, where nobody gets on before the gate is opened.
#[derive(Clone, Default)]
struct Crowd {
    gate: Arc<Mutex<()>>,
    begun: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
}

impl Crowd {
    /// Reads so many times at once.
    fn read(&self, server: &TestServer, times: usize) -> JoinHandle<()> {
        let read = |work: Work, db: Db| async move { db.read(|_| work()).await };
        let db = server.app.db.clone();
        self.ask(times, move |work| read(work, db.clone()))
    }

    /// Writes so many times at once.
    fn write(&self, server: &TestServer, times: usize) -> JoinHandle<()> {
        let write = |work: Work, db: Db| async move { db.write(|_| work()).await };
        let db = server.app.db.clone();
        self.ask(times, move |work| write(work, db.clone()))
    }

    /// Asks so many times at once, on a thread of its own.
    fn ask<A, R>(&self, times: usize, asked: A) -> JoinHandle<()>
    where
        A: Fn(Work) -> R + Send + 'static,
        R: Future<Output = Result<(), Problem>>,
    {
        let crowd = self.clone();
        thread::spawn(move || {
            let all = (0..times).map(|_| async {
                match asked(crowd.work()).await {
                    Ok(()) => crowd.done.fetch_add(1, Ordering::SeqCst),
                    Err(problem) if problem.is(&OVERLOADED) => crowd.refused.fetch_add(1, Ordering::SeqCst),
                    Err(problem) => panic!("{problem:?}"),
                };
            });
            block_on(join_all(all));
        })
    }

    fn work(&self) -> Work {
        let (gate, begun) = (Arc::clone(&self.gate), Arc::clone(&self.begun));
        Box::new(move || {
            begun.fetch_add(1, Ordering::SeqCst);
            drop(gate.lock());
            Ok(())
        })
    }

    fn counts(&self) -> [usize; 3] {
        [&self.begun, &self.done, &self.refused].map(|count| count.load(Ordering::SeqCst))
    }
}

#[test]
fn where_too_many_reads_wait_more_are_refused_and_what_needs_no_database_is_answered() {
    let server = TestServer::start();
    let anyone = server.anonymous();
    anyone.get(LIST).expect(200);
    let crowd = Crowd::default();
    let closed = crowd.gate.lock().unwrap();
    let first = crowd.read(&server, 4);
    eventually("every connection reads", || (crowd.counts()[0] == 4).then_some(()));
    let waiting = crowd.read(&server, 600);
    eventually("the queue is full", || (crowd.counts()[2] > 0).then_some(()));
    let refused = anyone.get("/api/v1/authors/nobody");
    assert_eq!(refused.header("retry-after"), "1");
    refused.refused(503, "overloaded");
    for _ in 0..20 {
        anyone.get(LIST).expect(200);
        anyone.get("/healthz").expect(200);
    }
    anyone.get("/api/v1/tags").refused(503, "overloaded");
    assert!(!waiting.is_finished());
    drop(closed);
    first.join().unwrap();
    waiting.join().unwrap();
    let [begun, done, refused] = crowd.counts();
    assert_eq!((begun, done + refused), (done, 604), "what was refused never begins, the rest is answered");
    anyone.get("/api/v1/tags").expect(200);
}

#[test]
fn where_too_many_writes_wait_more_are_refused_and_what_was_refused_is_not_done() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = editor.post("/api/v1/manage/articles", &json!({ "title": "Before" })).expect(201);
    let path = format!("/api/v1/manage/articles/{}", article.json()["id"].as_str().unwrap());
    anyone.get(LIST).expect(200);
    let crowd = Crowd::default();
    let closed = crowd.gate.lock().unwrap();
    let first = crowd.write(&server, 1);
    eventually("the one connection writes", || (crowd.counts()[0] == 1).then_some(()));
    let waiting = crowd.write(&server, 600);
    eventually("the queue is full", || (crowd.counts()[2] > 0).then_some(()));
    let refusal = editor.patch(&path, "*", &json!({ "title": "After" }));
    assert_eq!(refusal.header("retry-after"), "1");
    refusal.refused(503, "overloaded");
    for path in [LIST, "/healthz", "/api/v1/tags"] {
        anyone.get(path).expect(200);
    }
    assert!(!waiting.is_finished());
    drop(closed);
    first.join().unwrap();
    waiting.join().unwrap();
    let [begun, done, refused] = crowd.counts();
    assert_eq!((begun, done + refused), (done, 601), "what was refused never begins, the rest is done");
    assert_eq!(editor.get(&path).expect(200).json()["title"], "Before");
    editor.patch(&path, "*", &json!({ "title": "After" })).expect(200);
}

#[test]
fn a_head_that_does_not_come_in_time_ends_its_connection() {
    let server = impatient();
    assert!(trickle_a_head(connect(&server)).starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_second_head_that_does_not_come_in_time_ends_its_connection_as_well() {
    assert_eq!(trickle_a_second_head(&impatient()), "");
}

#[test]
fn a_second_head_has_no_longer_than_the_first_however_long_a_connection_may_be_silent() {
    let server = TestServer::start_with(|config| {
        let (long, short) = (Duration::from_mins(10), Duration::from_secs(1));
        config.connections = Connections { keep_alive: long, head: short, body: short, ..config.connections };
    });
    assert_eq!(trickle_a_second_head(&server), "");
}

#[test]
fn who_asks_on_and_reads_nothing_is_not_heard_any_further_and_gets_every_answer_in_the_end() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let padding = "x".repeat(150);
    let request = format!(
        "GET {LIST} HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nIf-None-Match: *\r\nX-Padding: {padding}\r\n\r\n"
    );
    server.anonymous().get(LIST).expect(200);
    let mut stream = connect(&server);
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let requests = request.repeat(500).into_bytes();
    let mut sent = 0;
    // Until the buffers of the system are full, in both directions.
    loop {
        match stream.write(&requests[sent % request.len()..]) {
            Ok(length) => sent += length,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                break;
            }
        }
        assert!(sent < 40_000_000, "it is heard without end");
    }
    let mut reader = stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut answers = Vec::new();
        reader.read_to_end(&mut answers).unwrap();
        answers
    });
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let rest = (request.len() - sent % request.len()) % request.len();
    stream.write_all(&request.as_bytes()[request.len() - rest..]).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let answers = reading.join().unwrap();
    let count = String::from_utf8_lossy(&answers).matches("HTTP/1.1 304 ").count();
    assert_eq!(count, (sent + rest) / request.len());
    assert!(answers.ends_with(b"}"), "and the last one");
}

#[test]
fn who_sends_much_more_than_is_read_can_read_why_it_is_refused() {
    let server = TestServer::start();
    for path in ["/api/v1/auth/login", "/api/v1/manage/articles", "/api/v1/none"] {
        let mut stream = connect(&server);
        let length = 6_000_000;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b' '; length]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
}

#[test]
fn a_body_that_does_not_come_in_time_is_a_408() {
    let server = impatient();
    let mut stream = connect(&server);
    let head =
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = trickle(stream);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 1 seconds"), "{answer}");
}

#[test]
fn a_connection_serves_one_request_after_the_other_and_ends_where_it_is_silent() {
    let server = impatient();
    let mut stream = connect(&server);
    let begun = Instant::now();
    // Longer than any of the times, together.
    while begun.elapsed() < Duration::from_secs(4) {
        stream.write_all(HEAD).unwrap();
        read_health(&mut stream);
        thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it was silent for too long");
}

#[test]
fn what_takes_long_to_answer_is_answered_all_the_same() {
    let server = impatient();
    let crowd = Crowd::default();
    let closed = crowd.gate.lock().unwrap();
    let held = crowd.read(&server, 4);
    eventually("every connection reads", || (crowd.counts()[0] == 4).then_some(()));
    thread::scope(|scope| {
        let slow = scope.spawn(|| server.anonymous().get("/api/v1/tags").status);
        thread::sleep(Duration::from_secs(4));
        assert!(!slow.is_finished());
        drop(closed);
        assert_eq!(slow.join().unwrap(), 200);
    });
    held.join().unwrap();
}

#[test]
fn what_is_made_while_it_is_sent_is_sent_whole_however_slowly_it_is_read() {
    let server = impatient();
    // More than the buffers of a connection hold.
    let (messages, length) = (150, 10_000);
    for number in 0..messages {
        let text = format!("{MARKER} {number} {}", "\u{1f30a}".repeat(length - 40));
        send(&server, &message_with(&json!({ "message": text })));
    }
    let intake = server.signed_in(Role::Intake);
    let mut stream = connect(&server);
    let token = intake.token();
    let request = format!(
        "GET /api/v1/manage/contact-submissions/export.csv?status=new,spam HTTP/1.1\r\nHost: x\r\n\
         Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; 1024];
    stream.read_exact(&mut answer).unwrap();
    // Longer than a silent connection is kept.
    thread::sleep(Duration::from_secs(4));
    stream.read_to_end(&mut answer).unwrap();
    let waves = answer.windows(4).filter(|bytes| *bytes == "\u{1f30a}".as_bytes()).count();
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"), "it was cut off");
    assert!(waves >= messages * (length - 40) - 4 * messages, "{waves}");
}

/// Reads an export to its end on a connection that goes on.
fn read_export(server: &TestServer) -> TcpStream {
    let intake = server.signed_in(Role::Intake);
    let mut stream = connect(server);
    let head = format!(
        "GET /api/v1/manage/contact-submissions/export.csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        intake.token()
    );
    stream.write_all(head.as_bytes()).unwrap();
    read_to(&mut stream, b"\r\n0\r\n\r\n");
    stream
}

#[test]
fn after_what_is_made_while_it_is_sent_a_connection_is_like_any_other() {
    let server = TestServer::start_with(|config| {
        config.connections.keep_alive = Duration::from_mins(10);
        config.connections.head = Duration::from_secs(1);
    });
    let mut stream = read_export(&server);
    let large = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(60_000));
    stream.write_all(large.as_bytes()).unwrap();
    read_health(&mut stream);
    assert_eq!(trickle_a_head(read_export(&server)), "");
}

#[test]
fn more_connections_than_are_allowed_wait_until_one_ends() {
    let server = TestServer::start_with(|config| config.connections.most = 2);
    // The harness has closed its own.
    let mut open: Vec<TcpStream> = (0..2).map(|_| connect(&server)).collect();
    for stream in &mut open {
        stream.write_all(HEAD).unwrap();
        read_health(stream);
    }
    let mut waits = connect(&server);
    waits.write_all(HEAD).unwrap();
    waits.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let refused = waits.read(&mut [0; 1]).unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    drop(open.pop());
    waits.set_read_timeout(Some(PATIENCE)).unwrap();
    read_health(&mut waits);
}

#[test]
fn many_slow_clients_leave_the_others_alone() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let mut slow: Vec<TcpStream> = (0..300).map(|_| connect(&server)).collect();
    for byte in b"GET /api" {
        for stream in &mut slow {
            stream.write_all(&[*byte]).unwrap();
        }
        server.anonymous().get("/api/v1/authors/maya").expect(200);
    }
}
