//! The program is killed in the middle of its writes, again and again: what was acknowledged is there, nothing is half
//! there, and what was not acknowledged can be sent again.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};
use ureq::http;

use crate::command_line::{Server, create_user, printed};

const ROUNDS: usize = 50;
const WRITERS: usize = 4;
const ARTICLES: &str = "/api/v1/manage/articles";

/// One who writes until the program is gone, and remembers what was acknowledged.
struct Writer {
    number: usize,
    /// The article that is changed all the time.
    id: String,
    /// The last title, and the last revision that was published, of it.
    titles: usize,
    published: i64,
    /// Articles that were made: how often each may be there, by title.
    made: Vec<String>,
    /// The key and title of a request whose answer never came.
    pending: Option<(String, String)>,
}

/// Sends a request; none where the program was gone before its answer.
fn send(
    address: &str,
    key: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Option<(u16, Value)> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0).proxy(None).build().into();
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = match method {
        "GET" => agent.run(request.body(()).unwrap()),
        _ => agent.run(request.body(body.to_string()).unwrap()),
    };
    let mut answer = answer.ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

impl Writer {
    fn begin(number: usize, address: &str, key: &str) -> Self {
        let body = json!({ "title": "0", "slug": format!("own-{number}") });
        let (status, article) = send(address, key, "POST", ARTICLES, &[], &body).unwrap();
        assert_eq!(status, 201, "{article}");
        let id = article["id"].as_str().unwrap().to_owned();
        Self { number, id, titles: 0, published: 0, made: Vec::new(), pending: None }
    }

    /// Writes until the program is gone.
    fn write(&mut self, round: usize, address: &str, key: &str, acknowledged: &AtomicUsize) {
        for step in 0.. {
            let done = match step % 3 {
                0 => self.make(&format!("{}-{round}-{step}", self.number), address, key),
                1 => self.change(address, key),
                _ => self.publish(address, key),
            };
            if done.is_none() {
                return;
            }
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn make(&mut self, title: &str, address: &str, key: &str) -> Option<()> {
        self.pending = Some((format!("key-{title}"), title.to_owned()));
        self.repeat_pending(address, key)
    }

    /// Sends what was not answered, perhaps once more.
    fn repeat_pending(&mut self, address: &str, key: &str) -> Option<()> {
        let Some((idempotency_key, title)) = self.pending.clone() else { return Some(()) };
        let body = json!({ "title": title, "body_markdown": "Text." });
        let headers = [("idempotency-key", idempotency_key.as_str())];
        let (status, answer) = send(address, key, "POST", ARTICLES, &headers, &body)?;
        assert!(status == 201 || answer["type"] == "/problems/already-done", "{status} {answer}");
        self.made.push(title);
        self.pending = None;
        Some(())
    }

    fn change(&mut self, address: &str, key: &str) -> Option<()> {
        let (path, title) = (format!("{ARTICLES}/{}", self.id), (self.titles + 1).to_string());
        let (status, answer) = send(address, key, "PATCH", &path, &[("if-match", "*")], &json!({ "title": title }))?;
        assert_eq!(status, 200, "{answer}");
        self.titles += 1;
        Some(())
    }

    fn publish(&mut self, address: &str, key: &str) -> Option<()> {
        let path = format!("{ARTICLES}/{}", self.id);
        let revision = send(address, key, "GET", &path, &[], &Value::Null)?.1["revision"].as_i64().unwrap();
        let body = json!({ "revision": revision });
        let (status, answer) = send(address, key, "POST", &format!("{path}/publish"), &[], &body)?;
        assert_eq!(status, 200, "{answer}");
        self.published = revision;
        Some(())
    }

    /// Fails where something that was acknowledged is not there, or more than what was sent.
    fn check(&mut self, round: usize, address: &str, key: &str) {
        let path = format!("{ARTICLES}/{}", self.id);
        let (_, article) = send(address, key, "GET", &path, &[], &Value::Null).unwrap();
        let titles: usize = article["title"].as_str().unwrap().parse().unwrap();
        assert!((self.titles..=self.titles + 1).contains(&titles), "round {round}: {titles} after {}", self.titles);
        self.titles = titles;
        let public = article["published"]["revision"].as_i64().unwrap_or_default();
        assert!(public >= self.published, "round {round}: revision {public} is public after {}", self.published);
        self.published = public;
        let (status, delivered) =
            send(address, key, "GET", &format!("/api/v1/articles/own-{}", self.number), &[], &Value::Null).unwrap();
        assert_eq!(status == 200, public > 0, "round {round}: {delivered}");
        self.repeat_pending(address, key).expect("the program runs again");
    }
}

/// The titles of all articles, however often each is there.
fn all_titles(address: &str, key: &str) -> Vec<String> {
    let (mut titles, mut query) = (Vec::new(), "?limit=100".to_owned());
    loop {
        let (_, list) = send(address, key, "GET", &format!("{ARTICLES}{query}"), &[], &Value::Null).unwrap();
        titles.extend(list["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()));
        match list["page"]["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=100&cursor={cursor}"),
            None => return titles,
        }
    }
}

/// After how many acknowledgements the program is killed: another number each time, and each run.
fn moment() -> usize {
    let bytes = uuid::Uuid::now_v7().into_bytes();
    usize::from(bytes[15]) % 40
}

fn checked(dir: &Path) {
    let told = printed(dir, &["check"]);
    assert_eq!(told.lines().filter(|line| line.contains(" ok")).count(), 5, "{told}");
}

#[test]
fn killed_at_any_moment_it_has_lost_nothing_and_holds_nothing_half_done() {
    let dir = tempfile::tempdir().unwrap();
    assert!(create_user(dir.path(), "ada@example.org").status.success());
    let server = Server::start(dir.path(), &[]);
    let key = server.own_api_key("ada@example.org");
    let mut writers: Vec<_> = (0..WRITERS).map(|number| Writer::begin(number, &server.address, &key)).collect();
    let mut server = Some(server);
    for round in 0..ROUNDS {
        let running = server.take().unwrap();
        let (address, acknowledged, most) = (running.address.clone(), AtomicUsize::new(0), moment());
        thread::scope(|scope| {
            for writer in &mut writers {
                let (address, key, acknowledged) = (&address, &key, &acknowledged);
                scope.spawn(move || writer.write(round, address, key, acknowledged));
            }
            while acknowledged.load(Ordering::SeqCst) < most {
                thread::yield_now();
            }
            // Dropping it is SIGKILL.
            drop(running);
        });
        checked(dir.path());
        let again = Server::start(dir.path(), &[]);
        for writer in &mut writers {
            writer.check(round, &again.address, &key);
        }
        server = Some(again);
    }
    let server = server.unwrap();
    let mut expected: Vec<String> = writers.iter().flat_map(|writer| writer.made.clone()).collect();
    expected.extend(writers.iter().map(|writer| writer.titles.to_string()));
    let mut titles = all_titles(&server.address, &key);
    expected.sort();
    titles.sort();
    assert_eq!(titles, expected, "each article once");
    checked(dir.path());
}
