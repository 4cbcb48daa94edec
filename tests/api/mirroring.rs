//! Programs that mirror a folder or another system: articles by external id.

use std::path::Path;
use std::process::Command;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;
use crate::steps::at_once;

const ARTICLES: &str = "/api/v1/manage/articles";

fn put(client: &Client, id: &str, condition: (&str, &str), body: &Value) -> Response {
    let path = format!("{ARTICLES}/by-external-id/{id}");
    client.request("PUT", &path).header(condition.0, condition.1).json(body).send()
}

const NEW: (&str, &str) = ("if-none-match", "*");
const ANY: (&str, &str) = ("if-match", "*");

#[test]
fn what_was_read_can_be_sent_back_and_changes_nothing() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let maya = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201).json()["id"].clone();
    let body = json!({
        "title": "First steps", "body_markdown": "Breathe.", "tags": ["sleep"], "authors": ["maya"],
        "seo": { "title": "Steps" }, "extra": { "a": { "b": null } }, "citations": [{ "text": "A book" }],
    });
    let made = put(&editor, "guides%2Ffirst%20steps.md", NEW, &body).expect(201);
    let article = made.json();
    assert_eq!((&article["external_id"], &article["authors"]), (&json!("guides/first steps.md"), &json!([maya])));
    assert_eq!(made.header("location"), format!("{ARTICLES}/{}", article["id"].as_str().unwrap()));
    let path = format!("{ARTICLES}/by-external-id/guides%2Ffirst%20steps.md");
    let read = editor.get(&path).expect(200);
    assert_eq!(read.etag(), made.etag());
    let again = put(&editor, "guides%2Ffirst%20steps.md", ("if-match", read.etag()), &read.json()).expect(200);
    assert_eq!((again.etag(), &again.json()["revision"]), (read.etag(), &json!(1)));
    put(&editor, "guides%2Ffirst%20steps.md", ANY, &body).expect(200);
    editor.patch(made.header("location"), "*", &read.json()).expect(200);
    assert_eq!(editor.get(&path).expect(200).etag(), made.etag());
    let found = editor.get(&format!("{ARTICLES}?external_id=guides/first%20steps.md")).expect(200).json();
    assert_eq!(found["items"][0]["id"], article["id"]);
    let none = editor.get(&format!("{ARTICLES}?external_id=other")).expect(200).json();
    assert_eq!(none["items"], json!([]));
}

#[test]
fn a_replacement_takes_the_place_of_everything_but_the_slug() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body =
        json!({ "title": "One", "tags": ["sleep"], "seo": { "title": "S" }, "extra": { "a": 1 }, "subtitle": "x" });
    put(&editor, "one", NEW, &body).expect(201);
    let replaced = put(&editor, "one", ANY, &json!({ "title": "Two", "extra": { "b": 2 } })).expect(200).json();
    assert_eq!((&replaced["title"], &replaced["slug"]), (&json!("Two"), &json!("one")));
    assert_eq!((&replaced["tags"], &replaced["subtitle"]), (&json!([]), &Value::Null));
    assert_eq!((&replaced["seo"]["title"], &replaced["extra"]), (&Value::Null, &json!({ "b": 2 })));
    assert_eq!(replaced["revision"], 2);
    put(&editor, "one", ANY, &json!({ "subtitle": "x" })).refused(422, "invalid-body").fault("/title");
    put(&editor, "one", ANY, &json!({ "title": "x", "titel": "y" })).refused(422, "invalid-body").fault("/titel");
    put(&editor, "one", ANY, &json!({ "title": "x", "revision": 7 })).refused(422, "invalid-body").fault("/revision");
    put(&editor, "one", ANY, &json!({ "title": "x", "autosave": true }))
        .refused(422, "invalid-body")
        .fault("/autosave");
    put(&editor, "two", NEW, &json!({ "title": "x", "revision": 7 })).refused(422, "invalid-body").fault("/revision");
    put(&editor, "two", NEW, &json!({ "title": "x", "external_id": "two" })).expect(201);
    editor
        .patch(&format!("{ARTICLES}/{}", replaced["id"].as_str().unwrap()), "*", &json!({ "external_id": "x" }))
        .refused(422, "invalid-body")
        .fault("/external_id");
}

#[test]
fn a_put_says_whether_it_makes_or_replaces() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "One" });
    let missing = put(&editor, "one", ANY, &body);
    assert_eq!(missing.find_header("etag"), None);
    missing.refused(412, "precondition-failed");
    let made = put(&editor, "one", NEW, &body).expect(201);
    let there = put(&editor, "one", NEW, &body);
    assert_eq!(there.etag(), made.etag());
    there.refused(412, "precondition-failed");
    let path = format!("{ARTICLES}/by-external-id/one");
    editor.request("PUT", &path).json(&body).send().refused(428, "precondition-required");
    let both = editor.request("PUT", &path).header("if-match", "*").header("if-none-match", "*").json(&body);
    both.send().refused(400, "bad-request");
    put(&editor, "one", ("if-none-match", "\"v1\""), &body).refused(400, "bad-request");
    let tried = editor.request("PUT", &format!("{path}?validate_only=true")).header("if-match", "*");
    assert_eq!(tried.json(&json!({ "title": "Tried" })).send().expect(200).json()["title"], "Tried");
    let tried = format!("{ARTICLES}/by-external-id/two?validate_only=true");
    editor.request("PUT", &tried).header("if-none-match", "*").json(&body).send().expect(200);
    editor.get(&format!("{ARTICLES}/by-external-id/two")).refused(404, "not-found");
    // Two edits of different members merge as those of a patch do.
    let mut whole = made.json();
    whole["subtitle"] = json!("Mine");
    editor.patch(made.header("location"), "*", &json!({ "tags": ["sleep"] })).expect(200);
    let refused = put(&editor, "one", ("if-match", made.etag()), &whole).refused(412, "precondition-failed");
    let merged = &refused.document["merged"];
    assert_eq!((&merged["subtitle"], &merged["tags"]), (&json!("Mine"), &json!(["sleep"])));

    let answers = at_once(8, |_| put(&editor, "race", NEW, &json!({ "title": "Race" })).status);
    assert_eq!(answers.iter().filter(|status| **status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [201, 412].contains(status)), "{answers:?}");
    for name in ["", "a%00b", "a%ff", &"x".repeat(256), "a/b"] {
        let answer = put(&editor, name, NEW, &body);
        assert_eq!(answer.status, 404, "{name}: {}", answer.shown());
    }
}

#[test]
fn who_may_not_edit_an_article_does_not_reach_it_by_its_external_id() {
    let server = TestServer::start();
    let (editor, author) = (server.signed_in(Role::Editor), server.signed_in(Role::Author));
    put(&editor, "one", NEW, &json!({ "title": "One" })).expect(201);
    for condition in [NEW, ANY] {
        let refused = put(&author, "one", condition, &json!({ "title": "Mine" })).refused(409, "conflict");
        assert_eq!(refused.document["holder"], Value::Null);
    }
    author.get(&format!("{ARTICLES}/by-external-id/one")).refused(404, "not-found");
    let own = put(&author, "own", NEW, &json!({ "title": "Mine" })).expect(201);
    editor.delete(own.header("location"), "*").expect(204);
    put(&author, "own", ANY, &json!({ "title": "Mine" })).refused(409, "conflict");
}

fn publish(server: &TestServer, key: &str, folder: &Path) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/publish_folder.py");
    let ran = Command::new("python3")
        .arg(script)
        .arg(folder)
        .env("COPYDESK_URL", format!("http://{}", server.address))
        .env("COPYDESK_KEY", key)
        .output()
        .expect("python3 is there");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn the_example_publishes_a_folder_twice_without_a_second_revision() {
    let server = TestServer::start();
    let key = json!({ "name": "The folder", "role": "editor" });
    let key = server.signed_in(Role::Admin).post("/api/v1/manage/api-keys", &key).expect(201).json()["key"].clone();
    let folder = tempfile::tempdir().unwrap();
    let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/articles"));
    std::fs::create_dir(folder.path().join("guides")).unwrap();
    let files = ["keeping-a-sleep-diary.md", "guides/asking-for-time-off.md"];
    for file in files {
        std::fs::copy(samples.join(file), folder.path().join(file)).unwrap();
    }
    let run = || publish(&server, key.as_str().unwrap(), folder.path());
    let first = run();
    assert_eq!((first.lines().count(), first.matches("is revision 1").count()), (2, 2), "{first}");
    assert_eq!(run(), first);
    let article = server.anonymous().get("/api/v1/articles/keeping-a-sleep-diary").expect(200).json();
    assert_eq!(article["tags"], json!(["sleep", "habits"]));
    let changed = folder.path().join(files[0]);
    let text = std::fs::read_to_string(&changed).unwrap().replace("Two weeks", "Three weeks");
    std::fs::write(changed, text).unwrap();
    let third = run();
    assert!(
        third.contains("keeping-a-sleep-diary is revision 2") && third.contains("time-off-to-get-well is revision 1")
    );
}
