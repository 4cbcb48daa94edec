//! Revisions: every save can be read, compared, named and brought back.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{audit_events, by_account, last_audit_event};

/// An article with as many saves as titles.
fn with_saves(server: &TestServer, titles: &[&str]) -> Work {
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": titles[0] }));
    for title in &titles[1..] {
        work.client.patch(&work.path, "*", &json!({ "title": title })).expect(200);
    }
    work
}

fn numbers(list: &Value) -> Vec<i64> {
    list["items"].as_array().unwrap().iter().map(|item| item["number"].as_i64().unwrap()).collect()
}

#[test]
fn every_save_is_listed_the_newest_first_and_walked_by_cursor() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "One" }));
    for title in ["Two", "Three", "Three", "Four", "Five"] {
        work.client.patch(&work.path, "*", &json!({ "title": title })).expect(200);
    }
    work.does("publish", &json!({ "revision": 2 }));
    let path = format!("{}/revisions", work.path);
    let list = work.client.get(&path).expect(200).json();
    assert_eq!(numbers(&list), [5, 4, 3, 2, 1], "a save that changes nothing makes none");
    let published: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["published"] == true).collect();
    assert_eq!(published, [false, false, false, true, false]);
    assert_eq!(list["items"][0]["saved_by"]["id"], account.id.to_string());
    assert_eq!(list["items"][0]["name"], Value::Null);

    let first = work.client.get(&format!("{path}?limit=2")).expect(200).json();
    let cursor = first["page"]["next_cursor"].as_str().unwrap().to_owned();
    // A save meanwhile moves nothing.
    work.client.patch(&work.path, "*", &json!({ "title": "Six" })).expect(200);
    let second = work.client.get(&format!("{path}?limit=2&cursor={cursor}")).expect(200);
    assert_eq!((numbers(&first), numbers(&second.json())), (vec![5, 4], vec![3, 2]));
    let back = second.header("link").split('<').find(|part| part.contains("rel=\"prev\"")).unwrap().to_owned();
    let back = back.split('>').next().unwrap().split("/api").nth(1).unwrap().to_owned();
    assert_eq!(numbers(&work.client.get(&format!("/api{back}")).expect(200).json()), [5, 4]);
    let numbered = work.client.get(&format!("{path}?limit=4&page=2")).expect(200).json();
    assert_eq!((numbers(&numbered), &numbered["page"]["total_items"]), (vec![2, 1], &json!(6)));
    for query in ["cursor=nonsense", "sort=number", "limit=0"] {
        work.client.get(&format!("{path}?{query}")).refused(400, "invalid-query");
    }
}

#[test]
fn a_revision_shows_what_was_saved() {
    let server = TestServer::start();
    let body = json!({ "title": "One", "body_markdown": "## A\n\nFirst.", "tags": ["sleep"] });
    let work = Work::begin(server.signed_in(Role::Editor), &body);
    work.client.patch(&work.path, "*", &json!({ "title": "Two", "body_markdown": "Second.", "tags": [] })).expect(200);
    let revision = work.client.get(&format!("{}/revisions/1", work.path)).expect(200).json();
    assert_eq!((&revision["title"], &revision["tags"]), (&json!("One"), &json!(["sleep"])));
    assert_eq!((&revision["number"], &revision["published"]), (&json!(1), &json!(false)));
    assert!(revision["body_html"].as_str().unwrap().contains("<h2"), "{revision}");
    for number in ["3", "0", "-1", "01", "one", "9223372036854775808"] {
        work.client.get(&format!("{}/revisions/{number}", work.path)).refused(404, "not-found");
    }
}

#[test]
fn what_differs_is_told_word_by_word() {
    let server = TestServer::start();
    let work = with_saves(&server, &["Call me now"]);
    let patch = json!({ "title": "Call us now", "tags": ["sleep"], "seo": { "no_index": true } });
    work.client.patch(&work.path, "*", &patch).expect(200);
    work.client.patch(&work.path, "*", &json!({ "title": "Call us" })).expect(200);
    let diff = |path: &str| work.client.get(&format!("{}/revisions/{path}", work.path)).expect(200).json();
    let second = diff("2/diff");
    assert_eq!((&second["from"], &second["to"]), (&json!(1), &json!(2)));
    let changes = second["changes"].as_array().unwrap();
    let pointers: Vec<_> = changes.iter().map(|change| change["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/seo/no_index", "/tags", "/title"]);
    assert_eq!(changes[1]["after"], json!(["sleep"]));
    let words = json!([
        { "op": "equal", "text": "Call " }, { "op": "delete", "text": "me" },
        { "op": "insert", "text": "us" }, { "op": "equal", "text": " now" },
    ]);
    assert_eq!(changes[2]["words"], words);
    assert_eq!(diff("3/diff?against=3")["changes"], json!([]));
    assert_eq!(diff("1/diff?against=3")["from"], 3);
    let of_first = diff("1/diff");
    assert_eq!(of_first["from"], Value::Null);
    assert!(of_first["changes"].as_array().unwrap().iter().any(|change| change["pointer"] == "/title"));
    for (query, status) in [("against=9", 400), ("against=0", 400), ("againt=1", 400)] {
        work.client.get(&format!("{}/revisions/2/diff?{query}", work.path)).refused(status, "invalid-query");
    }
}

#[test]
fn a_large_text_is_compared_in_time() {
    let server = TestServer::start();
    let text = |seed: usize| (0..60_000).map(|word| format!("w{}", word * seed % 7919)).collect::<Vec<_>>().join(" ");
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Long", "body_markdown": text(3) }));
    work.client.patch(&work.path, "*", &json!({ "body_markdown": text(5) })).expect(200);
    let diff = work.client.get(&format!("{}/revisions/2/diff", work.path)).expect(200).json();
    let words = diff["changes"][0]["words"].as_array().unwrap();
    let joined = |left_out: &str| {
        words.iter().filter(|one| one["op"] != left_out).map(|one| one["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!((joined("insert"), joined("delete")), (text(3), text(5)));
}

#[test]
fn a_revision_gets_a_name_and_loses_it() {
    let server = TestServer::start();
    let (account, work) = (server.account(Role::Editor), with_saves(&server, &["One", "Two"]));
    let editor = server.sign_in(&account);
    let version = work.client.get(&work.path).expect(200).etag().to_owned();
    let put = |body: &Value| editor.request("PUT", &format!("{}/revisions/1/name", work.path)).json(body).send();
    assert_eq!(put(&json!({ "name": "Approved" })).expect(200).json()["name"], "Approved");
    assert_eq!(put(&json!({ "name": "Approved" })).expect(200).json()["name"], "Approved");
    let list = work.client.get(&format!("{}/revisions", work.path)).expect(200).json();
    assert_eq!((&list["items"][1]["name"], &list["items"][0]["name"]), (&json!("Approved"), &Value::Null));
    assert_eq!(put(&json!({ "name": null })).expect(200).json()["name"], Value::Null);
    assert_eq!(work.client.get(&work.path).expect(200).etag(), version, "the working copy is what it was");
    assert_eq!(audit_events(&server, "article.name_revision").len(), 2);
    assert_eq!(last_audit_event(&server, "article.name_revision").0, by_account(&account));
    for (body, pointer) in
        [(json!({ "name": "" }), "/name"), (json!({ "name": "a\nb" }), "/name"), (json!({}), "/name")]
    {
        put(&body).refused(422, "invalid-body").fault(pointer);
    }
}

#[test]
fn what_is_restored_is_the_next_revision_and_nothing_is_lost() {
    let server = TestServer::start();
    let work = with_saves(&server, &["One", "Two"]);
    work.publish();
    let restore = |number: i64| work.try_as(&work.client, &format!("revisions/{number}/restore"), &json!({}));
    let restored = restore(1).expect(200);
    assert_eq!(restored.etag(), work.client.get(&work.path).expect(200).etag());
    let restored = restored.json();
    assert_eq!((&restored["title"], &restored["revision"]), (&json!("One"), &json!(3)));
    assert_eq!((&restored["published"]["revision"], &restored["changed"]), (&json!(2), &json!(true)));
    assert_eq!(restore(1).expect(200).json()["revision"], 3, "it is so already");
    let list = work.client.get(&format!("{}/revisions", work.path)).expect(200).json();
    assert_eq!(numbers(&list), [3, 2, 1]);
    assert_eq!(audit_events(&server, "article.restore_revision").len(), 1);
    restore(9).refused(404, "not-found");
    let tried = work.try_as(&work.client, "revisions/2/restore?validate_only=true", &json!({})).expect(200).json();
    assert_eq!(tried["title"], "Two");
    assert_eq!(work.now()["title"], "One");
    work.delete(&work.client, "?unpublish=true").expect(204);
    restore(2).refused(409, "conflict");
}

#[test]
fn a_revision_that_names_what_is_gone_is_not_restored() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let author = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201).json();
    let work =
        Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One", "authors": ["maya"], "slug": "one" }));
    work.client.patch(&work.path, "*", &json!({ "authors": [], "slug": "two" })).expect(200);
    editor.delete(&format!("/api/v1/manage/authors/{}", author["id"].as_str().unwrap()), "*").expect(204);
    let refused = work.try_as(&work.client, "revisions/1/restore", &json!({}));
    assert_eq!(refused.refused(409, "conflict").fault("/authors/0").code, "not_found");
    work.client.patch(&work.path, "*", &json!({ "subtitle": "x", "slug": "three" })).expect(200);
    editor.post("/api/v1/manage/articles", &json!({ "title": "x", "slug": "two" })).expect(201);
    work.try_as(&work.client, "revisions/2/restore", &json!({})).refused(409, "slug-taken");
    assert_eq!(work.now()["revision"], 3);
}

#[test]
fn revisions_of_what_one_may_not_reach_are_not_there() {
    let server = TestServer::start();
    let work = with_saves(&server, &["One", "Two"]);
    for role in [Role::Contributor, Role::Author] {
        let other = server.signed_in(role);
        for path in ["revisions", "revisions/1", "revisions/2/diff"] {
            other.get(&format!("{}/{path}", work.path)).refused(404, "not-found");
        }
        work.try_as(&other, "revisions/1/restore", &json!({})).refused(404, "not-found");
        let name = json!({ "name": "Mine" });
        other.request("PUT", &format!("{}/revisions/1/name", work.path)).json(&name).send().refused(404, "not-found");
    }
}
