//! Requests that are sent again with the same `Idempotency-Key`: done once, answered alike.

use std::io::Write;
use std::net::TcpStream;

use copydesk::auth::Role;
use diesel::RunQueryDsl;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{at_once, eventually, is_in_database, pass};

const ARTICLES: &str = "/api/v1/manage/articles";
const USERS: &str = "/api/v1/manage/users";
const KEY: &str = "0b5f9f0e-5c0c-4a51-8d0c-3f6f0f4f4c39";

fn keyed(client: &Client, path: &str, key: &str, body: &Value) -> Response {
    client.request("POST", path).header("idempotency-key", key).json(body).send()
}

fn articles(client: &Client) -> usize {
    client.get(ARTICLES).expect(200).json()["items"].as_array().unwrap().len()
}

/// Fails where two answers differ in anything but the id of the request.
#[track_caller]
fn assert_same(first: &Response, second: &Response) {
    assert_eq!((first.status, &first.body), (second.status, &second.body), "{}", second.shown());
    for name in ["etag", "location", "content-type", "cache-control", "vary"] {
        assert_eq!(first.find_header(name), second.find_header(name), "{name}");
    }
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[test]
fn the_same_request_is_done_once_and_answered_alike() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "Once" });
    let first = keyed(&editor, ARTICLES, KEY, &body).expect(201);
    let second = keyed(&editor, ARTICLES, KEY, &body);
    assert_same(&first, &second);
    assert_eq!(articles(&editor), 1);

    let path = first.header("location").to_owned();
    editor.patch(&path, "*", &json!({ "title": "Twice" })).expect(200);
    assert_same(&first, &keyed(&editor, ARTICLES, KEY, &body));
    // A move answers what it answered, whatever has happened since.
    let publish = format!("{path}/publish");
    let published = keyed(&editor, &publish, KEY, &json!({ "revision": 2 })).expect(200);
    editor.post(&format!("{path}/unpublish"), &json!({})).expect(200);
    assert_same(&published, &keyed(&editor, &publish, KEY, &json!({ "revision": 2 })));
    assert_eq!(editor.get(&path).expect(200).json()["visibility"], "withdrawn");
}

#[test]
fn a_key_belongs_to_one_caller_one_address_and_one_body() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "One" });
    keyed(&editor, ARTICLES, KEY, &body).expect(201);
    keyed(&editor, ARTICLES, KEY, &json!({ "title": "Two" })).refused(422, "idempotency-key-reused");
    let strict = editor.request("POST", ARTICLES).header("idempotency-key", KEY).header("prefer", "handling=strict");
    strict.json(&body).send().refused(422, "idempotency-key-reused");
    keyed(&editor, ARTICLES, "another", &body).expect(201);
    keyed(&server.signed_in(Role::Admin), ARTICLES, KEY, &json!({ "title": "Mine" })).expect(201);
    keyed(&editor, "/api/v1/manage/categories", KEY, &json!({ "name": "One" })).expect(201);
    assert_eq!(articles(&editor), 3);
    // Who has another role now is another caller: what was answered may not be theirs to see.
    let account = server.account(Role::Editor);
    keyed(&server.sign_in(&account), "/api/v1/manage/categories", KEY, &json!({ "name": "Two" })).expect(201);
    server.change_role(&account, Role::Author);
    let demoted = keyed(&server.sign_in(&account), "/api/v1/manage/categories", KEY, &json!({ "name": "Two" }));
    assert!(demoted.header("location").starts_with("/api/v1/manage/categories/"));
    demoted.refused(409, "already-done");
}

#[test]
fn a_key_is_good_after_a_restart_and_for_a_day() {
    let server = TestServer::start();
    let body = json!({ "title": "Once" });
    let first = keyed(&server.signed_in(Role::Editor), ARTICLES, KEY, &body).expect(201);
    let config = server.app.config.clone();
    let server = TestServer::start_in(server.keep(), config);
    let token = || server.with_token(&server.token("editor@example.org", crate::harness::PASSWORD));
    assert_same(&first, &keyed(&token(), ARTICLES, KEY, &body));
    pass(&server, 86_300);
    assert_same(&first, &keyed(&token(), ARTICLES, KEY, &body));
    pass(&server, 200);
    let client = token();
    keyed(&client, ARTICLES, KEY, &json!({ "title": "Another day" })).expect(201);
    assert_eq!(articles(&client), 2);
}

#[test]
fn what_failed_may_be_tried_again_with_the_same_key() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    keyed(&editor, ARTICLES, KEY, &json!({ "title": "" })).refused(422, "invalid-body");
    let work = Work::begin(editor.clone(), &json!({ "title": "Taken", "slug": "taken" }));
    keyed(&editor, ARTICLES, KEY, &json!({ "title": "x", "slug": "taken" })).refused(409, "slug-taken");
    keyed(&editor, ARTICLES, KEY, &json!({ "title": "Right" })).expect(201);
    // What is only tried out is not remembered.
    let tried = format!("{ARTICLES}?validate_only=true");
    keyed(&editor, &tried, "tried", &json!({ "title": "Tried" })).expect(200);
    keyed(&editor, &tried, "tried", &json!({ "title": "Tried again" })).expect(200);
    let tried = format!("{ARTICLES}?validate%5Fonly=true");
    keyed(&editor, &tried, "tried", &json!({ "title": "Tried once more" })).expect(200);
    keyed(&editor, ARTICLES, "tried", &json!({ "title": "Done" })).expect(201);
    assert_eq!(articles(&editor), 3);
    drop(work);
    for key in ["", "with space", "ümlaut", &"k".repeat(256)] {
        let answer = editor.request("POST", ARTICLES).header("idempotency-key", key).json(&json!({ "title": "x" }));
        answer.send().refused(400, "bad-request");
    }
    keyed(&server.anonymous(), ARTICLES, KEY, &json!({ "title": "x" })).refused(401, "unauthenticated");
}

/// The bytes of a request with the key.
fn request(client: &Client, body: &str) -> String {
    format!(
        "POST {ARTICLES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        client.token(),
        body.len()
    )
}

/// Whether something has come back already.
fn has_answer(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let has = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    has
}

#[test]
fn while_the_first_runs_the_repeat_is_told_to_wait() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let whole = request(&editor, "{\"title\":\"Slow\"}");
    let begin = || {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&whole.as_bytes()[..whole.len() - 5]).unwrap();
        stream
    };
    let mut stream = begin();
    let repeat = || keyed(&editor, ARTICLES, KEY, &json!({ "title": "" }));
    // Until the first has arrived, the repeat is one that fails and leaves nothing behind; and where the first comes
    // while that runs, it is itself told to wait, and begins anew.
    let waits = eventually("the first runs", || {
        if has_answer(&stream) {
            stream = begin();
        }
        Some(repeat()).filter(|answer| answer.status == 409)
    });
    assert_eq!(waits.header("retry-after"), "1");
    waits.refused(409, "still-running");
    stream.write_all(&whole.as_bytes()[whole.len() - 5..]).unwrap();
    eventually("the first is done", || (articles(&editor) == 1).then_some(()));
    eventually("the first is answered", || {
        Some(keyed(&editor, ARTICLES, KEY, &json!({ "title": "Slow" }))).filter(|answer| answer.status == 201)
    });
    assert_eq!(articles(&editor), 1);
}

#[test]
fn a_client_that_vanishes_finds_its_answer_when_it_comes_back() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for round in 0..20 {
        let title = format!("Round {round}");
        let body = json!({ "title": title }).to_string();
        let key = format!("{KEY}-{round}");
        let bytes = request(&editor, &body).replace(KEY, &key);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        drop(stream);
        let answer = eventually("it is answered", || {
            let again = editor.request("POST", ARTICLES).header("idempotency-key", &key);
            Some(again.body("application/json", body.clone()).send()).filter(|answer| answer.status != 409)
        });
        assert_eq!(answer.expect(201).json()["title"], title);
    }
    assert_eq!(editor.get(&format!("{ARTICLES}?limit=100")).expect(200).json()["items"].as_array().unwrap().len(), 20);
}

#[test]
fn of_many_at_once_one_is_done() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let answers = at_once(20, |_| keyed(&editor, ARTICLES, KEY, &json!({ "title": "Once" })));
    let ids: Vec<Value> =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.json()["id"].clone()).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "still-running");
    }
    assert_eq!(articles(&editor), 1);
}

#[test]
fn an_answer_that_holds_a_secret_is_not_kept_and_neither_is_a_password() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let key = json!({ "name": "Build", "role": "editor" });
    let made = keyed(&admin, "/api/v1/manage/api-keys", KEY, &key).expect(201);
    let again = keyed(&admin, "/api/v1/manage/api-keys", KEY, &key);
    assert_eq!(again.header("location"), made.header("location"));
    again.refused(409, "already-done");
    assert!(!is_in_database(&server, made.json()["key"].as_str().unwrap().as_bytes()));

    let invited = json!({ "email": "maya@example.org", "name": "Maya", "role": "author" });
    let made = keyed(&admin, USERS, KEY, &invited).expect(201);
    let token = made.json()["invitation"]["url"].as_str().unwrap().split('#').nth(1).unwrap().to_owned();
    let again = keyed(&admin, USERS, KEY, &invited);
    assert_eq!(again.header("location"), made.header("location"));
    again.refused(409, "already-done");
    let links = format!("{}/password-links", made.header("location"));
    keyed(&admin, &links, KEY, &json!({})).expect(200);
    let again = keyed(&admin, &links, KEY, &json!({}));
    assert_eq!(again.header("location"), made.header("location"));
    again.refused(409, "already-done");
    assert!(!is_in_database(&server, token.as_bytes()));

    let password = "a long enough passphrase of mine";
    let own = json!({ "email": "noor@example.org", "name": "Noor", "role": "author", "password": password });
    let made = keyed(&admin, USERS, "own", &own).expect(201);
    assert_same(&made, &keyed(&admin, USERS, "own", &own));
    assert!(!is_in_database(&server, password.as_bytes()));
}

/// What a program that stops between its write and the keeping of the answer leaves behind.
#[test]
fn what_was_done_before_a_crash_is_not_done_again() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    keyed(&editor, ARTICLES, KEY, &json!({ "title": "Once" })).expect(201);
    server.write(|conn| {
        diesel::sql_query("UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL, location = NULL")
            .execute(conn)
    });
    let again = keyed(&editor, ARTICLES, KEY, &json!({ "title": "Once" }));
    assert_eq!(again.find_header("location"), None);
    again.refused(409, "already-done");
    assert_eq!(articles(&editor), 1);
}
