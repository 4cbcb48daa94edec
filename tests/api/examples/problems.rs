//! What is refused, where no other chapter has it.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::drafting::ARTICLES;
use super::recorder::{Story, delete, get, patch, post};
use crate::client::Client;
use crate::contact::SUBMISSIONS;
use crate::steps::{LOGIN, ME, eventually};

const KEY: &str = "0b5f9f0e-5c0c-4a51-8d0c-3f6f0f4f4c39";

/// The usual ones, told first: the first problem of a status stands for all operations that have none of their own.
pub(super) fn tell_what_is_common(story: &Story) {
    let misspelt = get(&story.anyone(), "/api/v1/articles?catgory=sleep&limit=500");
    story
        .record(
            "list_articles",
            "misspelt_parameter",
            "A name that is nearly right, and a number that is too large",
            misspelt,
        )
        .refused(400, "invalid-query");
    story
        .record("get_me", "not_signed_in", "Without a token", get(&story.anyone(), ME))
        .refused(401, "unauthenticated");
    let site = patch(&story.contributor(), "/api/v1/manage/site", "*", &json!({ "name": "Mine" }));
    story.record("update_site", "forbidden", "The role does not allow it", site).refused(403, "forbidden");
    let nowhere = get(&story.anyone(), "/api/v1/articles/no-such-article");
    story.record("get_article", "never_there", "No article has or had this slug", nowhere).refused(404, "not-found");
    let faulty = json!({ "titel": "A title", "slug": "Not A Slug", "tags": ["a", 5], "authors": ["nobody"] });
    let faulty = story.record(
        "create_article",
        "several_faults",
        "All that is wrong is told at once",
        post(&story.editor(), ARTICLES, &faulty),
    );
    faulty.refused(422, "invalid-body");
    let made = story.quietly(post(&story.editor(), ARTICLES, &json!({ "title": "A bench in the sun" }))).expect(201);
    let path = made.header("location").to_owned();
    let submit = || story.editor().request("POST", &format!("{path}/submit"));
    story.quietly(submit()).expect(200);
    story
        .record("submit_article", "submitted_already", "It waits for a review already", submit())
        .refused(409, "conflict");
    let unnamed = story.editor().request("DELETE", &path);
    story
        .record("delete_article", "version_missing", "Which version is meant is not said", unnamed)
        .refused(428, "precondition-required");
    let stale = delete(&story.editor(), &path, "\"v1\"");
    story
        .record("delete_article", "stale", "Somebody else saved since it was read", stale)
        .refused(412, "precondition-failed");
    story.quietly(delete(&story.editor(), &path, "*")).expect(204);
    story.quietly(delete(&story.admin(), &format!("{path}?permanent=true"), "*")).expect(204);
}

pub(super) fn tell(story: &Story) {
    tell_of_requests(story);
    tell_of_keys(story);
    tell_of_a_flood(story);
}

fn tell_of_requests(story: &Story) {
    let login = |media_type: &str, body: &str| story.anyone().request("POST", LOGIN).body(media_type, body);
    let broken = login("application/json", "{\"email\": \"ada@example.org\", ");
    story.record("log_in", "not_json", "The body breaks off", broken).refused(400, "invalid-json");
    let text = login("text/plain", "ada@example.org");
    story
        .record("log_in", "media_type", "The body is no JSON and says so", text)
        .refused(415, "unsupported-media-type");
    let large = json!({ "email": "ada@example.org", "password": "a".repeat(20_000) });
    let large = post(&story.anyone(), LOGIN, &large);
    story.record("log_in", "too_large", "Longer than any email and password", large).refused(413, "payload-too-large");
    let long = get(&story.anyone(), &format!("/api/v1/articles?exclude={}", "a-slug,".repeat(3_000)));
    story.record("list_articles", "too_long", "An address that is too long", long).refused(414, "uri-too-long");
    let unquoted = patch(&story.editor(), "/api/v1/manage/site", "v1", &json!({ "name": "Alder Bank" }));
    story
        .record("update_site", "malformed_tag", "An entity tag stands in quotes", unquoted)
        .refused(400, "bad-request");
    let method = story.anyone().request("POST", "/api/v1/tags").json(&json!({ "name": "sleep" }));
    story
        .record("list_tags", "wrong_method", "Tags can be read and nothing else", method)
        .refused(405, "method-not-allowed");
    let list = story.anyone().get("/api/v1/articles?limit=1").expect(200).json();
    let cursor = list["page"]["next_cursor"].as_str().unwrap();
    let foreign = get(&story.anyone(), &format!("/api/v1/articles?limit=1&tag=habits&cursor={cursor}"));
    let foreign = story.record("list_articles", "foreign_cursor", "A cursor belongs to its filters and sort", foreign);
    foreign.refused(400, "invalid-query");
}

fn tell_of_keys(story: &Story) {
    let keyed = |client: &Client, body: &Value| post(client, ARTICLES, body).header("idempotency-key", KEY);
    let editor = story.editor();
    // The place of the key is taken as long as the first request is on its way.
    let first = begin(story, &editor, "{\"title\":\"A letter home\"}");
    let running = keyed(&editor, &json!({ "title": "A letter home" }));
    let running =
        story.record("create_article", "still_running", "The first request with this key is not answered yet", running);
    running.refused(409, "still-running");
    drop(first);
    let repeat = || keyed(&editor, &json!({ "title": "" })).send().status;
    eventually("the first request is given up", || (repeat() == 422).then_some(()));
    story.quietly(keyed(&editor, &json!({ "title": "A letter home" }))).expect(201);
    let other = keyed(&editor, &json!({ "title": "Another letter" }));
    let other = story.record("create_article", "key_reused", "The key was used for another request", other);
    other.refused(422, "idempotency-key-reused");
}

/// Sends a request all but its body, which the server waits for when this comes back.
fn begin(story: &Story, client: &Client, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(story.server.address).unwrap();
    let head = format!(
        "POST {ARTICLES} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {KEY}\r\n\
         Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        client.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
    stream
}

/// More messages from one address than people write: as many as it takes, however slow the machine is.
fn tell_of_a_flood(story: &Story) {
    let message = json!({ "name": "Pat Sample", "email": "pat@example.org", "message": "Hello?", "consent": true });
    let told = ("create_contact_submission", "too_many", "Too many from one address, and how else to reach the site");
    let refused = story.record_when(429, told, || post(&story.anyone(), SUBMISSIONS, &message));
    refused.refused(429, "too-many-requests");
}
