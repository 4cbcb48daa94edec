//! Paths of the public site that lead elsewhere, and what any path leads to.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{by_account, last_audit_event};

const REDIRECTS: &str = "/api/v1/manage/redirects";

fn resolve(client: &Client, path: &str) -> Value {
    client.get(&format!("/api/v1/resolve?path={path}")).expect(200).json()
}

fn list(client: &Client, query: &str) -> Vec<(String, String)> {
    let list = client.get(&format!("/api/v1/redirects{query}")).expect(200).json();
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    list["items"].as_array().unwrap().iter().map(|item| (text(item, "from"), text(item, "to"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

/// Publishes an article that has had these slugs, one after the other.
fn with_slugs(server: &TestServer, slugs: &[&str]) -> Work {
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "An article", "slug": slugs[0] }));
    work.publish();
    for slug in &slugs[1..] {
        work.client.patch(&work.path, "*", &json!({ "slug": slug })).expect(200);
        work.publish();
    }
    work
}

#[test]
fn each_former_slug_leads_to_the_present_one_also_after_several_changes() {
    let server = TestServer::start();
    let anyone = server.anonymous();
    let work = with_slugs(&server, &["one", "two", "three"]);
    for former in ["one", "two"] {
        let moved = anyone.get(&format!("/api/v1/articles/{former}?include=sections")).expect(308);
        assert_eq!(moved.header("location"), "/api/v1/articles/three?include=sections");
        let resolved = resolve(&anyone, &format!("/articles/{former}"));
        assert_eq!(resolved["kind"], "redirect");
        assert_eq!(resolved["resource"]["to"], "/articles/three");
    }
    assert_eq!(list(&anyone, ""), pairs(&[("/articles/one", "/articles/three"), ("/articles/two", "/articles/three")]));

    // A slug that was freed and taken by another article answers with the new one.
    let other = with_slugs(&server, &["one"]);
    assert_eq!(anyone.get("/api/v1/articles/one").expect(200).json()["id"], other.id);
    assert_eq!(resolve(&anyone, "/articles/one")["resource"]["id"], other.id);
    assert_eq!(list(&anyone, ""), pairs(&[("/articles/two", "/articles/three")]));
    // And back: the article takes a former slug of its own.
    work.client.patch(&work.path, "*", &json!({ "slug": "two" })).expect(200);
    work.publish();
    assert_eq!(list(&anyone, ""), pairs(&[("/articles/three", "/articles/two")]));
    // What is not public leads nowhere.
    work.does("unpublish", &json!({}));
    assert_eq!(list(&anyone, ""), pairs(&[]));
    anyone.get("/api/v1/articles/three").expect(410);
    assert_eq!(resolve(&anyone, "/articles/three")["kind"], "gone");
}

#[test]
fn a_path_resolves_to_whatever_has_its_address_there() {
    let server = TestServer::start_with(|config| config.category_path = "/topics/{slug}/".to_owned());
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let author = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201).json();
    let category = editor.post("/api/v1/manage/categories", &json!({ "name": "Sleep" })).expect(201).json();
    let work = with_slugs(&server, &["one"]);
    for (path, kind, id) in [
        ("/articles/one", "article", &json!(work.id)),
        ("/articles/one/?from=mail%23top", "article", &json!(work.id)),
        ("/authors/maya", "author", &author["id"]),
        ("/topics/sleep", "category", &category["id"]),
        ("/topics/sleep/", "category", &category["id"]),
    ] {
        let resolved = resolve(&anyone, path);
        assert_eq!((&resolved["kind"], &resolved["resource"]["id"]), (&json!(kind), id), "{path}");
    }
    assert_eq!(resolve(&anyone, "/articles/one")["resource"], anyone.get("/api/v1/articles/one").expect(200).json());
    assert_eq!(resolve(&anyone, "/authors/maya")["resource"], anyone.get("/api/v1/authors/maya").expect(200).json());
    editor
        .patch(&format!("/api/v1/manage/authors/{}", author["id"].as_str().unwrap()), "*", &json!({ "slug": "may" }))
        .expect(200);
    editor
        .patch(
            &format!("/api/v1/manage/categories/{}", category["id"].as_str().unwrap()),
            "*",
            &json!({ "slug": "rest" }),
        )
        .expect(200);
    assert_eq!(resolve(&anyone, "/authors/maya")["resource"]["to"], "/authors/may");
    assert_eq!(resolve(&anyone, "/topics/sleep")["resource"]["to"], "/topics/rest/");
    let heir = with_slugs(&server, &["heir"]);
    work.does("unpublish", &json!({ "successor": heir.id }));
    let gone = resolve(&anyone, "/articles/one");
    assert_eq!((&gone["kind"], &gone["resource"]["successor"]["slug"]), (&json!("gone"), &json!("heir")));
    for nothing in ["/", "/articles", "/articles/never", "/articles/a/b", "/elsewhere", "/categories/rest"] {
        anyone.get(&format!("/api/v1/resolve?path={nothing}")).refused(404, "not-found");
    }
    for bad in ["", "?path=", "?path=articles", "?pth=/x"] {
        anyone.get(&format!("/api/v1/resolve{bad}")).refused(400, "invalid-query");
    }
    let without = anyone.get("/api/v1/resolve").refused(400, "invalid-query");
    let fault = &without.faults()[0];
    assert_eq!((&fault["parameter"], &fault["code"]), (&json!("path"), &json!("required")));
}

#[test]
fn redirects_are_made_by_hand_changed_and_deleted() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let (editor, anyone) = (server.sign_in(&account), server.anonymous());
    let made = editor.post(REDIRECTS, &json!({ "from": "/help-line/", "to": "/contact" })).expect(201);
    let path = made.header("location").to_owned();
    assert_eq!((&made.json()["permanent"], made.etag()), (&json!(true), "\"v1\""));
    assert_eq!(last_audit_event(&server, "redirect.create").0, by_account(&account));
    assert_eq!(
        resolve(&anyone, "/help-line"),
        json!({ "kind": "redirect", "resource": {
        "from": "/help-line/", "to": "/contact", "permanent": true, "reason": "manual",
    } })
    );
    let taken = editor.post(REDIRECTS, &json!({ "from": "/help%2Dline", "to": "/x" })).refused(409, "conflict");
    assert_eq!(taken.document["holder"]["id"], made.json()["id"]);
    let before = anyone.get("/api/v1/redirects").expect(200);
    let changed =
        editor.patch(&path, made.etag(), &json!({ "to": "https://example.org/call", "permanent": false })).expect(200);
    assert_eq!(editor.patch(&path, "*", &changed.json()).expect(200).etag(), changed.etag());
    let after = anyone.get("/api/v1/redirects").expect(200);
    assert_ne!((before.etag(), before.header("content-version")), (after.etag(), after.header("content-version")));
    assert_eq!(resolve(&anyone, "/help-line")["resource"]["permanent"], false);
    for (body, pointer) in [
        (json!({ "from": "x", "to": "/y" }), "/from"),
        (json!({ "from": "//evil.example", "to": "/y" }), "/from"),
        (json!({ "from": "/a b", "to": "/y" }), "/from"),
        (json!({ "from": "/a?b", "to": "/y" }), "/from"),
        (json!({ "from": "/a" }), "/to"),
        (json!({ "from": "/a", "to": "javascript:alert(1)" }), "/to"),
        (json!({ "from": "/a", "to": "//evil.example" }), "/to"),
        (json!({ "from": "/a", "to": "/b\n/c" }), "/to"),
        (json!({ "from": "/a", "to": "/a/" }), "/to"),
        (json!({ "from": "/a%", "to": "/b" }), "/from"),
        (json!({ "from": "/%FF", "to": "/b" }), "/from"),
        (json!({ "from": "/a", "to": "/x\u{1}y" }), "/to"),
        (json!({ "from": "/a", "to": "/b", "id": "x" }), "/id"),
    ] {
        editor.post(REDIRECTS, &body).refused(422, "invalid-body").fault(pointer);
    }
    // Two that would lead to each other.
    editor.post(REDIRECTS, &json!({ "from": "/a", "to": "/b" })).expect(201);
    editor.post(REDIRECTS, &json!({ "from": "/b", "to": "/c?x=1" })).expect(201);
    let looped = editor.post(REDIRECTS, &json!({ "from": "/c", "to": "/a" })).refused(422, "invalid-body");
    assert_eq!(looped.fault("/to").code, "loop");
    editor.post(REDIRECTS, &json!({ "from": "/c", "to": "https://example.org/a" })).expect(201);
    let own = format!("{}/d", server.app.config.site_url);
    let looped = editor.post(REDIRECTS, &json!({ "from": "/d", "to": own })).refused(422, "invalid-body");
    assert_eq!(looped.fault("/to").code, "loop");
    // One that is turned round does not follow itself.
    let turned = editor.post(REDIRECTS, &json!({ "from": "/e", "to": "/f" })).expect(201);
    editor.patch(turned.header("location"), "*", &json!({ "from": "/f", "to": "/e" })).expect(200);
    editor.delete(&path, "\"v1\"").refused(412, "precondition-failed");
    editor.delete(&format!("{path}?validate_only=true"), "*").expect(200);
    editor.delete(&path, "*").expect(204);
    anyone.get("/api/v1/resolve?path=/help-line").refused(404, "not-found");
    let managed = editor.get(&format!("{REDIRECTS}?limit=2")).expect(200).json();
    let next = managed["page"]["next_cursor"].as_str().unwrap().to_owned();
    let rest = editor.get(&format!("{REDIRECTS}?limit=2&cursor={next}")).expect(200).json();
    assert_eq!((managed["items"][0]["from"].clone(), rest["items"][0]["from"].clone()), (json!("/a"), json!("/c")));
}

#[test]
fn what_has_its_address_there_wins_then_what_was_made_by_hand() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let work = with_slugs(&server, &["one", "two"]);
    for from in ["/articles/one", "/articles/two"] {
        editor.post(REDIRECTS, &json!({ "from": from, "to": "/elsewhere" })).expect(201);
    }
    assert_eq!(resolve(&anyone, "/articles/two")["kind"], "article");
    assert_eq!(resolve(&anyone, "/articles/one")["resource"]["to"], "/elsewhere");
    assert_eq!(list(&anyone, ""), pairs(&[("/articles/one", "/elsewhere")]));
    work.does("unpublish", &json!({}));
    assert_eq!(resolve(&anyone, "/articles/two")["resource"]["to"], "/elsewhere");
}

#[test]
fn the_list_is_walked_and_written_for_servers() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for name in ["a", "b", "c", "d", "e"] {
        let body = json!({ "from": format!("/{name}"), "to": format!("/to-{name}"), "permanent": name != "c" });
        editor.post(REDIRECTS, &body).expect(201);
    }
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let part = anyone.get(&format!("/api/v1/redirects{query}")).expect(200).json();
        seen.extend(part["items"].as_array().unwrap().iter().map(|item| item["from"].as_str().unwrap().to_owned()));
        match part["page"]["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["/a", "/b", "/c", "/d", "/e"]);
    let numbered = anyone.get("/api/v1/redirects?limit=2&page=3").expect(200).json();
    assert_eq!((&numbered["items"][0]["from"], &numbered["page"]["total_items"]), (&json!("/e"), &json!(5)));
    let second = anyone.get("/api/v1/redirects?limit=2&page=2").expect(200).json();
    assert_eq!(second["page"]["total_pages"], 3);

    let text = |format: &str| anyone.get(&format!("/api/v1/redirects?format={format}")).expect(200);
    let netlify = text("netlify");
    assert!(netlify.header("content-type").starts_with("text/plain"));
    assert!(netlify.text().starts_with("/a /to-a 301\n/b /to-b 301\n/c /to-c 302\n"), "{}", netlify.text());
    assert!(text("nginx").text().contains("location = \"/c\" { return 307 \"/to-c\"; }\n"));
    let next: Value = serde_json::from_str(&text("next").text()).unwrap();
    assert_eq!(next[2], json!({ "source": "/c", "destination": "/to-c", "permanent": false }));
    let known = netlify.etag().to_owned();
    let again = anyone.request("GET", "/api/v1/redirects?format=netlify").header("if-none-match", &known).send();
    assert_eq!(again.expect(304).etag(), known);
    for query in ["format=apache", "format=nginx&page=1"] {
        anyone.get(&format!("/api/v1/redirects?{query}")).refused(400, "invalid-query");
    }
}
