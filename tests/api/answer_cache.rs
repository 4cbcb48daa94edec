//! The answer cache: only ever faster, never different. Content codings, and the same answers with and without it.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{LOGGED, TestServer, logged_of};
use crate::steps::{Dice, SLOW_LIST, at_once, eventually, publish_what_is_slow};

const MANAGED: &str = "/api/v1/manage/articles";

fn title_of(article: &Response) -> String {
    article.json()["title"].as_str().unwrap().to_owned()
}

/// Publishes an article with a body of some length; gives its path in management.
fn published(editor: &Client, slug: &str) -> String {
    let draft = json!({ "title": slug, "slug": slug, "body_markdown": "Words that repeat themselves. ".repeat(200) });
    let made = editor.post(MANAGED, &draft).expect(201);
    let path = made.header("location").to_owned();
    editor.post(&format!("{path}/publish"), &json!({ "revision": 1 })).expect(200);
    path
}

fn accepting(client: &Client, path: &str, codings: &str) -> Response {
    client.request("GET", path).header("accept-encoding", codings).send()
}

#[test]
fn each_content_coding_has_the_same_words_and_a_tag_of_its_own() {
    let server = TestServer::start();
    published(&server.signed_in(Role::Editor), "long");
    let anyone = server.anonymous();
    let path = "/api/v1/articles/long";
    let plain = anyone.get(path).expect(200);
    assert_eq!(plain.find_header("content-encoding"), None);
    let mut tags = vec![plain.etag().to_owned()];
    // Twice: made and kept.
    for _ in 0..2 {
        for (accept, coding) in [("gzip, deflate, br", "br"), ("gzip", "gzip")] {
            let answer = accepting(&anyone, path, accept).expect(200);
            assert_eq!(answer.header("content-encoding"), coding);
            assert_eq!(answer.header("vary"), "Accept-Encoding");
            assert!(answer.body.len() * 3 < plain.body.len(), "{} of {}", answer.body.len(), plain.body.len());
            assert_eq!(answer.decoded(), plain.body);
            tags.push(answer.etag().to_owned());
            let head = anyone.request("HEAD", path).header("accept-encoding", accept).send().expect(200);
            assert_eq!((head.etag(), head.header("content-encoding")), (answer.etag(), coding));
            let again = anyone.request("GET", path).header("accept-encoding", accept);
            again.header("if-none-match", &format!("\"other\", W/{}", answer.etag())).send().expect(304);
            let other = anyone.request("GET", path).header("accept-encoding", accept);
            other.header("if-none-match", plain.etag()).send().expect(200);
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 3);
    let small = accepting(&anyone, "/api/v1/tags", "br").expect(200);
    assert_eq!(small.find_header("content-encoding"), None, "what is small is sent as it is");
}

#[test]
fn after_an_acknowledgement_nobody_reads_the_state_before() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let path = published(&editor, "changing");
    for number in 0..50 {
        let title = format!("Title {number}");
        let saved = editor.patch(&path, "*", &json!({ "title": title })).expect(200).json();
        assert_ne!(title_of(&anyone.get("/api/v1/articles/changing")), title, "it is not public yet");
        editor.post(&format!("{path}/publish"), &json!({ "revision": saved["revision"] })).expect(200);
        assert_eq!(title_of(&anyone.get("/api/v1/articles/changing")), title);
        let list = anyone.get("/api/v1/articles").expect(200).json();
        assert_eq!(list["items"][0]["title"], title);
    }
    editor.post(&format!("{path}/unpublish"), &json!({})).expect(200);
    anyone.get("/api/v1/articles/changing").refused(410, "gone");
    assert_eq!(anyone.get("/api/v1/articles").expect(200).json()["items"], json!([]));
}

#[test]
fn what_is_deleted_for_good_is_not_said_to_have_been_there() {
    let server = TestServer::start();
    let (admin, anyone) = (server.signed_in(Role::Admin), server.anonymous());
    let path = published(&server.signed_in(Role::Editor), "gone");
    admin.delete(&format!("{path}?unpublish=true"), "*").expect(204);
    let resolved = || anyone.get("/api/v1/resolve?path=/articles/gone");
    assert_eq!(resolved().expect(200).json()["kind"], "gone");
    assert_eq!(resolved().expect(200).json()["kind"], "gone");
    admin.delete(&format!("{path}?permanent=true"), "*").expect(204);
    resolved().refused(404, "not-found");
}

#[test]
fn what_is_scheduled_comes_out_of_a_warm_cache_at_its_time() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let made = editor.post(MANAGED, &json!({ "title": "Later", "slug": "later" })).expect(201);
    let at = server.app.clock.now().plus_seconds(60);
    let path = format!("{}/publish", made.header("location"));
    editor.post(&path, &json!({ "revision": 1, "publish_at": at })).expect(200);
    let shown = || anyone.get("/api/v1/articles").expect(200).json()["items"].as_array().unwrap().len();
    assert_eq!((shown(), shown()), (0, 0));
    server.app.clock.advance(Duration::from_secs(61));
    assert_eq!((shown(), shown()), (1, 1));
}

#[test]
fn what_is_due_and_can_not_be_brought_out_costs_readers_nothing_and_comes_out_when_it_can() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    published(&editor, "public");
    let made = editor.post(MANAGED, &json!({ "title": "Stuck" })).expect(201);
    let at = server.app.clock.now().plus_seconds(60);
    editor
        .post(&format!("{}/publish", made.header("location")), &json!({ "revision": 1, "publish_at": at }))
        .expect(200);
    let failing = "CREATE TRIGGER failing BEFORE INSERT ON published_articles \
                   BEGIN SELECT abs(-9223372036854775807 - 1); END";
    server.write(move |conn| diesel::RunQueryDsl::execute(diesel::sql_query(failing), conn));
    server.app.clock.advance(Duration::from_mins(1));
    let slugs = || {
        let list = anyone.get("/api/v1/articles").expect(200).json();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["slug"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for _ in 0..3 {
        assert!(at_once(16, |_| slugs()).iter().all(|slugs| *slugs == ["public"]));
    }
    assert!((1..=2).contains(&server.app.answers.made()), "made {} times", server.app.answers.made());
    server.write(|conn| diesel::RunQueryDsl::execute(diesel::sql_query("DROP TRIGGER failing"), conn));
    eventually("it has come out", || (slugs().len() == 2).then_some(()));
}

#[test]
fn the_line_in_the_log_has_the_id_of_the_answer_whether_that_was_kept_or_not() {
    let server = TestServer::start();
    let anyone = server.anonymous();
    for turn in ["made", "kept"] {
        let id = format!("{LOGGED}{turn}");
        let answer = anyone.request("GET", "/api/v1/articles").header("x-request-id", &id).send().expect(200);
        assert_eq!(answer.header("x-request-id"), id);
        let line = eventually("it is told of", || logged_of(&id).into_iter().find(|line| line.contains("answered")));
        assert!(line.contains("http.status=200") && line.contains("http.route=/api/v1/articles"), "{line}");
    }
    assert_eq!(server.app.answers.made(), 1);
}

#[test]
fn what_is_scheduled_while_an_answer_is_warm_comes_and_goes_at_its_time() {
    let server = TestServer::start();
    let anyone = server.anonymous();
    let made = server.signed_in(Role::Editor).post(MANAGED, &json!({ "title": "Later", "slug": "later" })).expect(201);
    let shown = || anyone.get("/api/v1/articles").expect(200).json()["items"].as_array().unwrap().len();
    for _ in 0..20 {
        let editor = server.signed_in(Role::Editor);
        assert_eq!((shown(), shown()), (0, 0));
        let at = |seconds| server.app.clock.now().plus_seconds(seconds);
        let body = json!({ "revision": 1, "publish_at": at(60), "unpublish_at": at(120) });
        editor.post(&format!("{}/publish", made.header("location")), &body).expect(200);
        assert_eq!((shown(), shown()), (0, 0));
        server.app.clock.advance(Duration::from_secs(61));
        assert_eq!((shown(), shown()), (1, 1));
        server.app.clock.advance(Duration::from_mins(1));
        assert_eq!((shown(), shown()), (0, 0));
    }
}

#[test]
fn who_asks_for_the_headers_alone_warms_the_answer_for_all() {
    let server = TestServer::start();
    published(&server.signed_in(Role::Editor), "asked-for");
    let (anyone, path) = (server.anonymous(), "/api/v1/articles/asked-for");
    let head = anyone.request("HEAD", path).send().expect(200);
    assert!(head.body.is_empty());
    let whole = anyone.get(path).expect(200);
    assert_eq!(whole.body.len().to_string(), head.header("content-length"));
    assert_eq!((whole.etag(), server.app.answers.made()), (head.etag(), 1));
    let kept = anyone.request("HEAD", path).send().expect(200);
    assert_eq!((kept.header("content-length"), kept.body.len()), (head.header("content-length"), 0));
    let unchanged = anyone.request("HEAD", path).header("if-none-match", "*").send().expect(304);
    assert_eq!(unchanged.etag(), whole.etag());
}

/// Sends a request and does not wait for its answer: who drops the connection has vanished.
fn sent(server: &TestServer, client: &Client, path: &str, body: &Value) -> TcpStream {
    let (body, token) = (body.to_string(), client.token());
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn who_vanishes_has_published_all_the_same_and_everybody_sees_it() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let shown = || anyone.get("/api/v1/articles?limit=100").expect(200).json()["items"].as_array().unwrap().len();
    for number in 0..20 {
        let draft = json!({ "title": "Sudden", "slug": format!("sudden-{number}") });
        let path = editor.post(MANAGED, &draft).expect(201).header("location").to_owned();
        assert_eq!((shown(), shown()), (number, number));
        let is_public = || editor.get(&path).json()["visibility"] == "public";
        let mut patience = number % 4;
        eventually("it is public", || {
            let request = sent(&server, &editor, &format!("{path}/publish"), &json!({ "revision": 1 }));
            // Sooner or later, so that it vanishes before its turn, during it and after it.
            let was_seen = (0..patience).any(|_| is_public());
            drop(request);
            patience += 1;
            (was_seen || is_public()).then_some(())
        });
        assert_eq!(shown(), number + 1);
    }
}

#[test]
fn an_answer_that_there_is_no_room_for_is_the_same_for_all_who_ask_together() {
    let server = TestServer::start_with(|config| {
        config.cache_bytes = 1;
        config.workers = 4;
    });
    published(&server.signed_in(Role::Editor), "large");
    let bodies = at_once(64, |_| accepting(&server.anonymous(), "/api/v1/articles/large", "br").expect(200).decoded());
    assert!(bodies.windows(2).all(|two| two[0] == two[1]));
    assert!(server.app.answers.is_empty() && (1..=64).contains(&server.app.answers.made()));
}

#[test]
fn a_read_that_is_bound_to_a_state_is_judged_alike_whether_or_not_its_answer_is_kept() {
    let kept = TestServer::start();
    let unkept = TestServer::start_with(|config| config.cache_bytes = 0);
    // No answer is kept by an address of this length.
    let tags = vec!["a".repeat(60); 20].join(",");
    let listed = format!("/api/v1/articles?tag={tags}");
    for server in [&kept, &unkept] {
        published(&server.signed_in(Role::Editor), "long");
        let anyone = server.anonymous();
        for (path, codings) in [
            ("/api/v1/articles/long", "identity"),
            ("/api/v1/articles/long", "br"),
            ("/api/v1/articles/long", "gzip"),
            ("/api/v1/redirects?format=nginx", "identity"),
            (&listed, "identity"),
        ] {
            let bound = |tag: &str| {
                let asked = anyone.request("GET", path).header("accept-encoding", codings);
                asked.header("if-match", tag).send()
            };
            for _ in 0..2 {
                let refused = bound("\"other\"");
                let tag = refused.etag().to_owned();
                refused.refused(412, "representation-changed");
                assert_eq!(bound(&tag).expect(200).etag(), tag, "{path} {codings}");
            }
            assert_eq!(accepting(&anyone, path, codings).expect(200).etag(), bound("*").expect(200).etag());
        }
        let [plain, packed] = ["identity", "br"].map(|codings| accepting(&anyone, "/api/v1/articles/long", codings));
        let other = anyone.request("GET", "/api/v1/articles/long").header("if-match", plain.etag());
        let refused = other.header("accept-encoding", "br").send();
        refused.refused(412, "representation-changed");
        assert_eq!(refused.etag(), packed.etag(), "the tag is the coding's");
    }
    assert!(!kept.app.answers.is_empty() && unkept.app.answers.is_empty());
}

#[test]
fn refusals_fill_nothing_and_many_who_miss_at_once_wait_for_one() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    published(&editor, "asked-for");
    for path in ["/api/v1/articles/none", "/api/v1/articles?nonsense=1", "/api/v1/resolve?path=/none", "/api/v1/none"] {
        assert!(anyone.get(path).status >= 400);
    }
    let long = format!("/api/v1/articles?tag={}", "x".repeat(2000));
    assert!([200, 400].contains(&anyone.get(&long).status));
    assert_eq!((server.app.answers.len(), server.app.answers.made()), (0, 0));
    let answers = at_once(1000, |_| anyone.get("/api/v1/articles/asked-for").expect(200).body);
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    assert_eq!(server.app.answers.made(), 1, "one query for all of them");
    assert_eq!(at_once(64, |_| anyone.get("/api/v1/articles/none").status), [404; 64]);
    assert_eq!(server.app.answers.len(), 1);
}

#[test]
fn a_slow_answer_that_began_before_a_write_serves_nobody_who_came_after_it() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let path = published(&editor, "changing");
    publish_what_is_slow(&editor);
    let titles = |answer: &Response| {
        answer.json()["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect::<Vec<_>>()
    };
    let mut overlapped = 0;
    for number in 0..8 {
        let title = json!(format!("Title {number}"));
        let saved = editor.patch(&path, "*", &json!({ "title": title })).expect(200).json();
        let publication = json!({ "revision": saved["revision"] });
        thread::scope(|scope| {
            let slow = scope.spawn(|| titles(&anyone.get(SLOW_LIST).expect(200)));
            editor.post(&format!("{path}/publish"), &publication).expect(200);
            // While the slow one is under way, if it still is, and after it.
            assert!(titles(&anyone.get(SLOW_LIST).expect(200)).contains(&title), "round {number}");
            overlapped += usize::from(!slow.join().unwrap().contains(&title));
        });
        assert!(titles(&anyone.get(SLOW_LIST).expect(200)).contains(&title), "round {number}, afterwards");
    }
    assert!(overlapped > 0, "no slow answer began before its write");
}

/// All that a client can see of an answer, but for what differs with each request.
fn seen(answer: &Response) -> (u16, Vec<(String, String)>, Vec<u8>) {
    // The last is a set that each server writes in an order of its own.
    let of_request = ["date", "x-request-id", "access-control-expose-headers"];
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| !of_request.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let body = if answer.status < 400 { answer.body.clone() } else { Vec::new() };
    (answer.status, headers, body)
}

/// One step of somebody who writes.
fn step(dice: &mut Dice, server: &TestServer, twin: &TestServer, editor: &Client, articles: &[String], people: &str) {
    let path = &articles[dice.roll(articles.len())];
    match dice.roll(7) {
        0 => drop(editor.patch(path, "*", &json!({ "title": format!("Title {}", dice.roll(1000)) }))),
        1 | 2 => {
            let revision = editor.get(path).json()["revision"].clone();
            drop(editor.post(&format!("{path}/publish"), &json!({ "revision": revision, "schedule": "cancel" })));
        }
        3 => drop(editor.post(&format!("{path}/unpublish"), &json!({}))),
        4 => {
            let revision = editor.get(path).json()["revision"].clone();
            let at = server.app.clock.now().plus_seconds(i64::try_from(dice.roll(90)).unwrap() + 1);
            let body = json!({ "revision": revision, "publish_at": at, "schedule": "cancel" });
            drop(editor.post(&format!("{path}/publish"), &body));
        }
        5 => drop(editor.patch(people, "*", &json!({ "name": format!("Name {}", dice.roll(1000)) }))),
        _ => {
            let by = Duration::from_secs(dice.roll(40) as u64);
            server.app.clock.advance(by);
            twin.app.clock.advance(by);
        }
    }
}

/// What an answer shows, but for what repeats its address as it was spelled.
fn shown(answer: &Response) -> (u16, Option<&str>, Value) {
    let mut body: Value =
        if answer.status < 400 { serde_json::from_slice(&answer.decoded()).unwrap() } else { Value::Null };
    if let Some(members) = body.as_object_mut() {
        members.remove("page");
    }
    (answer.status, answer.find_header("content-version"), body)
}

/// The same address as nobody has written it before, so that its answer is not kept.
fn respelled(path: &str, number: usize) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut letters = 0;
    let spelled: String = path
        .chars()
        .map(|letter| {
            letters += u32::from(letter.is_ascii_lowercase());
            let is_coded = letter.is_ascii_lowercase() && number >> (letters - 1) & 1 == 1;
            if is_coded { format!("%{:x}", u32::from(letter)) } else { letter.to_string() }
        })
        .collect();
    format!("{spelled}?{query}")
}

/// What the twin without a cache answers before and after `read`, where that is the same: what becomes due meanwhile
/// changes an answer by right, and all is read anew then.
fn while_nothing_is_due<T>(uncached: impl Fn() -> Response, read: impl Fn() -> T) -> (Response, T) {
    for _ in 0..10 {
        let (before, between) = (uncached(), read());
        if seen(&before) == seen(&uncached()) {
            return (before, between);
        }
    }
    panic!("something is always due");
}

#[test]
fn with_and_without_the_cache_everybody_reads_the_same() {
    let server = TestServer::start();
    let mut config = server.app.config.clone();
    config.cache_bytes = 0;
    let twin = TestServer::start_in(tempfile::tempdir().unwrap(), config);
    // The twin is behind, so that it brings nothing out by itself: one program writes to a database.
    server.app.clock.advance(Duration::from_mins(1));
    let editor = server.signed_in(Role::Editor);
    let person = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let people = person.header("location").to_owned();
    let articles: Vec<String> = (0..6)
        .map(|number| {
            let slug = format!("article-{number}");
            let draft = json!({
                "title": slug, "slug": slug, "authors": ["maya"], "tags": ["a", "b"],
                "body_markdown": "Some words. ".repeat(100),
            });
            editor.post(MANAGED, &draft).expect(201).header("location").to_owned()
        })
        .collect();
    let reads = [
        "/api/v1/articles",
        "/api/v1/articles?limit=2&sort=title",
        "/api/v1/articles?page=1&tag=a",
        "/api/v1/articles/article-0",
        "/api/v1/articles/article-1?include=sections",
        "/api/v1/articles/article-2/related",
        "/api/v1/authors",
        "/api/v1/authors/maya",
        "/api/v1/tags",
        "/api/v1/redirects",
    ];
    let (cached, uncached, mut dice, mut spellings) = (server.anonymous(), twin.anonymous(), Dice(7), 0);
    // The token of the editor ends before the steps do.
    for round in 0..40 {
        let editor = server.signed_in(Role::Editor);
        for _ in 0..5 {
            step(&mut dice, &server, &twin, &editor, &articles, &people);
            for _ in 0..4 {
                let path = reads[dice.roll(reads.len())];
                let codings = ["", "gzip", "br"][dice.roll(3)];
                spellings += 1;
                let respelled = respelled(path, spellings);
                let (other, (one, again)) = while_nothing_is_due(
                    || accepting(&uncached, path, codings),
                    || (accepting(&cached, path, codings), accepting(&cached, &respelled, codings)),
                );
                assert_eq!(seen(&one), seen(&other), "round {round}: {path} {codings}");
                assert_eq!(shown(&one), shown(&again), "round {round}: {path} {codings}");
            }
        }
    }
    assert!(server.app.answers.made() > 0 && twin.app.answers.is_empty());
}

const WRITERS: usize = 8;
const READERS: usize = 32;
const WRITES: usize = 20;

#[test]
fn many_who_write_and_many_who_read_meet_no_answer_that_is_older_than_its_acknowledgement() {
    let server = TestServer::start_with(|config| config.workers = 4);
    let editor = server.signed_in(Role::Editor);
    let slugs: Vec<String> = (0..WRITERS).map(|number| format!("own-{number}")).collect();
    let paths: Vec<String> = slugs.iter().map(|slug| published(&editor, slug)).collect();
    let (acknowledged, over): (Vec<AtomicUsize>, _) =
        ((0..WRITERS).map(|_| AtomicUsize::new(0)).collect(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let anyone = server.anonymous();
                while !over.load(Ordering::SeqCst) {
                    for (slug, known) in slugs.iter().zip(&acknowledged) {
                        let least = known.load(Ordering::SeqCst);
                        let title = title_of(&anyone.get(&format!("/api/v1/articles/{slug}")).expect(200));
                        let shown: usize = title.parse().unwrap_or_default();
                        assert!(shown >= least, "{slug}: {shown} after {least} was acknowledged");
                    }
                }
            });
        }
        let writing: Vec<_> = (0..WRITERS)
            .map(|number| {
                let (editor, path, known) = (editor.clone(), &paths[number], &acknowledged[number]);
                scope.spawn(move || {
                    for write in 1..=WRITES {
                        let change = json!({ "title": write.to_string() });
                        let saved: Value = editor.patch(path, "*", &change).expect(200).json();
                        let body = json!({ "revision": saved["revision"] });
                        editor.post(&format!("{path}/publish"), &body).expect(200);
                        known.store(write, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for one in writing {
            one.join().unwrap();
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(server.app.answers.made() > 0);
}
