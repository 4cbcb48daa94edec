//! Two edits of one article: nobody overwrites anybody, and who comes second is told all that helps to go on.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{at_once, eventually, pass};

/// The refusal of a second edit, as its members.
#[track_caller]
fn second(answer: Response) -> Value {
    answer.refused(412, "precondition-failed").document
}

fn pointers(problem: &Value) -> Vec<&str> {
    problem["changes"].as_array().unwrap().iter().map(|change| change["pointer"].as_str().unwrap()).collect()
}

/// The members that the sentence of a refusal speaks of; each tells something.
#[track_caller]
fn speaks_of(problem: &Value) -> Vec<&'static str> {
    let detail = problem["detail"].as_str().unwrap();
    let mut named = vec!["changed_by", "changes", "conflicts", "merged"];
    named.retain(|member| detail.contains(&format!("`{member}`")));
    for member in &named {
        assert!(!problem[member].is_null() && problem[member] != json!([]), "{member}: {problem}");
    }
    named
}

#[test]
fn edits_of_different_members_come_back_merged_and_ready_to_send() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let begun = json!({ "title": "One", "body_markdown": "Call me now.", "extra": { "a": 1, "b": { "c": 2 } } });
    let work = Work::begin(server.signed_in(Role::Editor), &begun);
    let seen = work.client.get(&work.path).expect(200);
    let first = json!({ "body_markdown": "Call us now.", "extra": { "a": 3 }, "seo": { "title": "Calls" } });
    server.sign_in(&account).patch(&work.path, seen.etag(), &first).expect(200);

    // A whole working copy is sent back with what was changed in it, as many clients do.
    let mut whole = seen.json();
    whole["title"] = json!("Two");
    whole["seo"]["description"] = json!("How to call");
    whole["extra"]["b"] = Value::Null;
    let answer = work.client.patch(&work.path, seen.etag(), &whole);
    let etag = answer.etag().to_owned();
    let problem = second(answer);
    assert_eq!(pointers(&problem), ["/body_markdown", "/extra/a", "/seo/title"]);
    assert_eq!(problem["changes"][0]["words"][1], json!({ "op": "delete", "text": "me" }));
    assert_eq!(problem["changed_by"]["id"], account.id.to_string());
    assert_eq!(problem["changed_at"], work.now()["saved_at"]);
    assert_eq!(problem["conflicts"], json!([]));
    assert_eq!(etag, work.client.get(&work.path).expect(200).etag());

    let merged = work.client.patch(&work.path, &etag, &problem["merged"]).expect(200).json();
    assert_eq!((&merged["title"], &merged["body_markdown"]), (&json!("Two"), &json!("Call us now.")));
    assert_eq!((&merged["seo"]["title"], &merged["seo"]["description"]), (&json!("Calls"), &json!("How to call")));
    assert_eq!(merged["extra"], json!({ "a": 3 }));
}

#[test]
fn edits_of_one_member_conflict_unless_they_are_the_same() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One", "tags": ["sleep"] }));
    work.client.patch(&work.path, "\"v1\"", &json!({ "title": "Two", "tags": ["rest"] })).expect(200);
    let problem = second(work.client.patch(&work.path, "\"v1\"", &json!({ "title": "Three", "subtitle": "x" })));
    assert_eq!((&problem["conflicts"], &problem["merged"]), (&json!(["/title"]), &Value::Null));
    assert_eq!(speaks_of(&problem), ["changed_by", "changes", "conflicts"]);
    let problem = second(work.client.patch(&work.path, "\"v1\"", &json!({ "title": "Two", "subtitle": "x" })));
    assert_eq!((&problem["conflicts"], &problem["merged"]["subtitle"]), (&json!([]), &json!("x")));
    // What can't be merged is refused all the same, and with what is known.
    for (tag, patch) in [("\"v9\"", json!({ "title": "x" })), ("\"abc\"", json!({})), ("\"v1\", \"v0\"", json!({}))] {
        let problem = second(work.client.patch(&work.path, tag, &patch));
        assert_eq!((&problem["changes"], &problem["merged"]), (&Value::Null, &Value::Null), "{tag}");
        assert!(problem["changed_by"]["name"].is_string(), "{problem}");
        assert_eq!(speaks_of(&problem), ["changed_by"], "{problem}");
    }
    let problem = second(work.client.patch(&work.path, "\"v1\"", &json!({ "title": "" })));
    assert_eq!((pointers(&problem), &problem["merged"]), (vec!["/tags", "/title"], &Value::Null));
    let problem = second(work.delete_tagged("\"v1\""));
    assert_eq!((pointers(&problem), &problem["merged"]), (vec!["/tags", "/title"], &Value::Null));
    assert_eq!(speaks_of(&problem), ["changed_by", "changes"]);
}

/// What the clock brings out nobody moved.
#[test]
fn a_refusal_speaks_of_no_member_that_tells_nothing() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Admin), &json!({ "title": "One" }));
    let soon = server.app.clock.now().plus_seconds(150).to_string();
    work.does("publish", &json!({ "revision": 1, "publish_at": soon }));
    let tag = work.client.get(&work.path).expect(200).etag().to_owned();
    pass(&server, 150);
    eventually("the clock has brought it out", || (work.now()["visibility"] == "public").then_some(()));
    let problem = second(work.client.patch(&work.path, &tag, &json!({ "title": "Two" })));
    assert_eq!(problem["changed_by"], Value::Null, "{problem}");
    assert_eq!(speaks_of(&problem), ["merged"]);
    let problem = second(work.client.patch(&work.path, "\"v9\"", &json!({ "title": "Two" })));
    assert_eq!(speaks_of(&problem), Vec::<&str>::new(), "{problem}");
}

#[test]
fn a_move_is_no_edit_so_the_edit_merges_with_it() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One" }));
    let publisher = server.account(Role::Admin);
    work.try_as(&server.sign_in(&publisher), "publish", &json!({ "revision": 1 })).expect(200);
    let problem = second(work.client.patch(&work.path, "\"v1\"", &json!({ "title": "Two" })));
    assert_eq!((&problem["changes"], &problem["changed_by"]["id"]), (&json!([]), &json!(publisher.id.to_string())));
    assert_eq!(problem["merged"]["title"], "Two");
    assert_eq!(speaks_of(&problem), ["changed_by", "merged"]);
    assert!(problem["detail"].as_str().unwrap().contains("what you read"), "{problem}");
    // What other resources can't tell is null.
    let author = work.client.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let path = author.header("location").to_owned();
    work.client.patch(&path, author.etag(), &json!({ "credentials": "M.A." })).expect(200);
    let problem = second(work.client.patch(&path, author.etag(), &json!({ "name": "May" })));
    assert_eq!((&problem["changed_at"], &problem["merged"]), (&Value::Null, &Value::Null));
}

/// Everybody sends the same version; who loses takes the merged document and tries again.
#[test]
fn of_fifty_editors_one_wins_each_round_and_no_text_is_lost() {
    const EDITORS: usize = 50;
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One", "extra": {} }));
    let mut pending: Vec<(usize, Value)> = (0..EDITORS)
        .map(|n| (n, json!({ "extra": { format!("editor_{n}"): format!("The words of {n}.") } })))
        .collect();
    let mut rounds = 0;
    while !pending.is_empty() {
        let tag = work.client.get(&work.path).expect(200).etag().to_owned();
        let answers = at_once(pending.len(), |n| work.client.patch(&work.path, &tag, &pending[n].1));
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "round {rounds}");
        let losers = answers.into_iter().zip(pending).filter(|(answer, _)| answer.status != 200);
        pending = losers.map(|(answer, (n, _))| (n, second(answer)["merged"].clone())).collect();
        rounds += 1;
    }
    let now = work.now();
    assert_eq!((rounds, &now["revision"]), (EDITORS, &json!(EDITORS + 1)));
    for n in 0..EDITORS {
        assert_eq!(now["extra"][format!("editor_{n}")], format!("The words of {n}."));
    }
}

fn numbers(work: &Work) -> Vec<i64> {
    let list = work.client.get(&format!("{}/revisions?limit=100", work.path)).expect(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["number"].as_i64().unwrap()).collect()
}

fn autosave(work: &Work, tag: &str, title: &str) -> Value {
    work.client.patch(&work.path, tag, &json!({ "title": title, "autosave": true })).expect(200).json()
}

#[test]
fn an_autosave_takes_the_place_of_the_persons_last_one() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One" }));
    assert_eq!(autosave(&work, "*", "Two")["revision"], 2);
    assert_eq!(autosave(&work, "*", "Three")["revision"], 3);
    assert_eq!(autosave(&work, "*", "Three")["revision"], 3, "what changes nothing makes none");
    assert_eq!(numbers(&work), [3, 1]);
    work.client.get(&format!("{}/revisions/2", work.path)).refused(404, "not-found");
    work.client.get(&format!("{}/revisions/3/diff?against=2", work.path)).refused(400, "invalid-query");
    work.try_as(&work.client, "publish", &json!({ "revision": 2 })).refused(422, "invalid-body").fault("/revision");
    work.try_as(&work.client, "revisions/2/restore", &json!({})).refused(404, "not-found");
    let revision = work.client.get(&format!("{}/revisions/3", work.path)).expect(200).json();
    assert_eq!((&revision["autosave"], &revision["based_on"]), (&json!(true), &Value::Null));
    let diff = work.client.get(&format!("{}/revisions/3/diff", work.path)).expect(200).json();
    assert_eq!(diff["from"], 1, "the one that it was made from has left the list");

    // Another person's autosaves are their own.
    let other = server.sign_in(&server.account(Role::Editor));
    other.patch(&work.path, "*", &json!({ "title": "Four", "autosave": true })).expect(200);
    assert_eq!(numbers(&work), [4, 3, 1]);
    assert_eq!(autosave(&work, "*", "Five")["revision"], 5);
    assert_eq!(autosave(&work, "*", "Six")["revision"], 6);
    assert_eq!(numbers(&work), [6, 4, 3, 1]);
    // Who saves what was saved by itself means to keep it.
    work.client.patch(&work.path, "*", &json!({ "title": "Six", "autosave": false })).expect(200);
    assert_eq!(autosave(&work, "*", "Seven")["revision"], 7);
    assert_eq!(numbers(&work), [7, 6, 4, 3, 1]);
    let wrong = work.client.patch(&work.path, "*", &json!({ "title": "x", "autosave": "yes" }));
    assert_eq!(wrong.refused(422, "invalid-body").fault("/autosave").code, "type");
}

#[test]
fn no_autosave_takes_the_place_of_what_is_published_scheduled_or_named() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One" }));
    autosave(&work, "*", "Two");
    work.does("publish", &json!({ "revision": 2 }));
    autosave(&work, "*", "Three");
    let name = json!({ "name": "Approved" });
    work.client.request("PUT", &format!("{}/revisions/3/name", work.path)).json(&name).send().expect(200);
    autosave(&work, "*", "Four");
    let later = copydesk::db::Timestamp::plus_seconds(server.app.clock.now(), 600);
    work.does("publish", &json!({ "revision": 4, "publish_at": later }));
    autosave(&work, "*", "Five");
    autosave(&work, "*", "Six");
    assert_eq!(numbers(&work), [6, 4, 3, 2, 1]);
}

#[test]
fn what_an_autosave_replaced_is_a_base_for_merging_for_a_day() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "One" }));
    autosave(&work, "*", "Two");
    let seen = work.client.get(&work.path).expect(200).etag().to_owned();
    autosave(&work, "*", "Three");
    assert_eq!(numbers(&work), [3, 1]);
    let other = server.account(Role::Editor);
    let merged =
        |client: &Client| second(client.patch(&work.path, &seen, &json!({ "subtitle": "x" })))["merged"].clone();
    let both = merged(&server.sign_in(&other));
    assert_eq!((&both["title"], &both["subtitle"]), (&json!("Three"), &json!("x")));
    pass(&server, 86_000);
    assert_eq!(merged(&server.sign_in(&other))["title"], "Three");
    pass(&server, 401 + 3600);
    let client = server.sign_in(&other);
    eventually("the base is deleted", || merged(&client).is_null().then_some(()));
}

#[test]
fn revisions_beyond_the_bound_go_unless_something_points_at_them() {
    let server = TestServer::start_with(|config| config.most_revisions = Some(3));
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "1" }));
    let save = |title: i32| work.client.patch(&work.path, "*", &json!({ "title": title.to_string() })).expect(200);
    save(2);
    work.does("publish", &json!({ "revision": 2 }));
    save(3);
    let name = json!({ "name": "Approved" });
    work.client.request("PUT", &format!("{}/revisions/3/name", work.path)).json(&name).send().expect(200);
    (4..=9).for_each(|title| drop(save(title)));
    assert_eq!(numbers(&work), [9, 8, 7, 3, 2]);
    assert_eq!(work.now()["title"], "9");
    // What is not public any more is a revision like any other.
    work.does("publish", &json!({ "revision": 9 }));
    save(10);
    assert_eq!(numbers(&work), [10, 9, 8, 3]);
}

#[test]
fn an_autosave_that_somebody_has_saved_upon_stays() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One", "body_markdown": "" }));
    let words = json!({ "body_markdown": "Two hours of words.", "autosave": true });
    work.client.patch(&work.path, "*", &words).expect(200);
    let other = server.sign_in(&server.account(Role::Editor));
    other.patch(&work.path, "*", &json!({ "body_markdown": "Replaced." })).expect(200);
    work.client.patch(&work.path, "*", &json!({ "subtitle": "x", "autosave": true })).expect(200);
    let kept = work.client.get(&format!("{}/revisions/2", work.path)).expect(200).json();
    assert_eq!(kept["body_markdown"], "Two hours of words.");
    work.does("revisions/2/restore", &json!({}));
    work.client.patch(&work.path, "*", &json!({ "subtitle": "y", "autosave": true })).expect(200);
    assert_eq!(numbers(&work), [6, 5, 4, 3, 2, 1]);
}
