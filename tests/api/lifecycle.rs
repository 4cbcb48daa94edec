//! The life of an article: review, archive, trash and the end, and that nothing of it shows outside.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;
use crate::steps::{audit_events, by_account, last_audit_event};

const ARTICLES: &str = "/api/v1/manage/articles";
/// What no delivery answer may hold.
const MARKER: &str = "quetzalcoatlus";

/// Delivery answers in which the marker could show.
const DELIVERY: [&str; 17] = [
    "/api/v1/articles?include=body_markdown,sections&page=1",
    "/api/v1/articles?sort=title&language=*",
    "/api/v1/articles?category=sleep&page=1",
    "/api/v1/articles?author=maya&page=1",
    "/api/v1/articles/public",
    "/api/v1/articles/public/related",
    "/api/v1/authors",
    "/api/v1/authors/maya",
    "/api/v1/categories?include=children",
    "/api/v1/categories/sleep",
    "/api/v1/tags",
    "/api/v1/site",
    "/api/v1/redirects?page=1",
    "/api/v1/redirects?format=netlify",
    "/api/v1/resolve?path=/articles/public",
    "/api/v1/resolve?path=/categories/sleep",
    "/openapi.json",
];

/// An article that somebody works on.
pub(crate) struct Work {
    pub client: Client,
    pub path: String,
    pub id: String,
}

impl Work {
    pub(crate) fn begin(client: Client, body: &Value) -> Self {
        let article = client.post(ARTICLES, body).expect(201).json();
        let id = article["id"].as_str().unwrap().to_owned();
        Self { client, path: format!("{ARTICLES}/{id}"), id }
    }

    /// Tries a move as somebody.
    pub(crate) fn try_as(&self, caller: &Client, step: &str, body: &Value) -> Response {
        caller.post(&format!("{}/{step}", self.path), body)
    }

    /// Makes a move, and gives the working copy.
    #[track_caller]
    pub(crate) fn does(&self, step: &str, body: &Value) -> Value {
        self.try_as(&self.client, step, body).expect(200).json()
    }

    pub(crate) fn now(&self) -> Value {
        self.client.get(&self.path).expect(200).json()
    }

    /// Publishes the working copy.
    #[track_caller]
    pub(crate) fn publish(&self) -> Value {
        self.does("publish", &json!({ "revision": self.now()["revision"] }))
    }

    /// Deletes the version with this entity tag.
    pub(crate) fn delete_tagged(&self, tag: &str) -> Response {
        self.client.delete(&self.path, tag)
    }

    pub(crate) fn delete(&self, caller: &Client, query: &str) -> Response {
        caller.delete(&format!("{}{query}", self.path), "*")
    }
}

/// The ids of the working copies with a status.
fn with_status(client: &Client, status: &str) -> Vec<String> {
    let list = client.get(&format!("{ARTICLES}?status={status}")).expect(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_submitted_is_read_only_for_its_contributor_until_it_is_returned() {
    let server = TestServer::start();
    let (account, editor) = (server.account(Role::Contributor), server.signed_in(Role::Editor));
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "A draft" }));
    assert_eq!((&work.now()["review"], &work.now()["returned"]), (&Value::Null, &Value::Null));
    let submitted = work.does("submit", &json!({ "note": "Please check\nthe doses." }));
    assert_eq!(submitted["review"]["note"], "Please check\nthe doses.");
    assert_eq!(submitted["review"]["by"]["id"], account.id.to_string());
    assert_eq!(last_audit_event(&server, "article.submit").0, by_account(&account));
    assert_eq!(with_status(&editor, "in_review"), [work.id.as_str()]);

    let refused = work.client.patch(&work.path, "*", &json!({ "title": "Changed" }));
    assert!(refused.refused(409, "conflict").detail().contains("return"), "{}", refused.shown());
    work.try_as(&work.client, "submit", &json!({})).refused(409, "conflict");
    work.delete(&work.client, "").refused(409, "conflict");
    work.try_as(&work.client, "return", &json!({ "note": "I changed my mind" })).refused(403, "forbidden");
    editor.patch(&work.path, "*", &json!({ "subtitle": "An editor may" })).expect(200);

    let returned = work.try_as(&editor, "return", &json!({ "note": "It needs a source." })).expect(200).json();
    assert_eq!(returned["review"], Value::Null);
    assert_eq!(returned["returned"]["note"], "It needs a source.");
    work.client.patch(&work.path, "*", &json!({ "title": "With a source" })).expect(200);
    let again = work.does("submit", &json!({}));
    assert_eq!((&again["review"]["note"], &again["returned"]), (&Value::Null, &Value::Null));
    assert!(with_status(&editor, "draft").contains(&work.id));
}

#[test]
fn publishing_what_was_submitted_ends_the_review_and_publishing_another_revision_does_not() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One" }));
    work.client.patch(&work.path, "*", &json!({ "title": "Two" })).expect(200);
    work.does("submit", &json!({}));
    assert_ne!(work.does("publish", &json!({ "revision": 1 }))["review"], Value::Null);
    assert_eq!(work.does("publish", &json!({ "revision": 2 }))["review"], Value::Null);
    work.does("submit", &json!({}));
    assert_eq!(work.does("publish", &json!({ "revision": 2 }))["review"], Value::Null, "it was public already");
    assert_eq!(audit_events(&server, "article.end_review").len(), 1);
}

#[test]
fn a_submission_without_a_body_will_do_and_a_return_needs_a_reason() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Author), &json!({ "title": "A draft" }));
    work.client.request("POST", &format!("{}/submit", work.path)).send().expect(200);
    for (body, pointer) in [(json!({}), "/note"), (json!({ "note": "" }), "/note"), (json!({ "not": "x" }), "/not")] {
        work.try_as(&work.client, "return", &body).refused(422, "invalid-body").fault(pointer);
    }
    let long = json!({ "note": "x".repeat(2001) });
    work.try_as(&work.client, "return", &long).refused(422, "invalid-body").fault("/note");
    work.does("return", &json!({ "note": "An author returns an own article." }));
}

#[test]
fn what_is_archived_stays_as_it_is_until_it_is_restored() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Author), &json!({ "title": "Put away" }));
    work.publish();
    let refused = work.try_as(&work.client, "archive", &json!({}));
    assert!(refused.refused(409, "conflict").detail().contains("unpublish"), "{}", refused.shown());
    work.does("unpublish", &json!({}));
    work.does("submit", &json!({}));
    let archived = work.does("archive", &json!({}));
    assert!(archived["archived_at"].is_string() && archived["review"].is_null(), "{archived}");
    work.client.patch(&work.path, "*", &json!({ "title": "Changed" })).refused(409, "conflict");
    for (step, body) in [
        ("submit", json!({})),
        ("publish", json!({ "revision": 1 })),
        ("archive", json!({})),
        ("return", json!({ "note": "x" })),
        ("unpublish", json!({})),
    ] {
        let refused = work.try_as(&work.client, step, &body);
        assert!(refused.refused(409, "conflict").detail().contains("archive"), "{}", refused.shown());
    }
    assert_eq!(with_status(&work.client, "archived"), [work.id.as_str()]);
    assert!(with_status(&work.client, "withdrawn").is_empty());
    let all = work.client.get(ARTICLES).expect(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "without a filter, all but the trashed");
    server.anonymous().get("/api/v1/articles/put-away").refused(410, "gone");
    assert_eq!(work.does("restore", &json!({}))["archived_at"], Value::Null);
    work.client.patch(&work.path, "*", &json!({ "title": "Changed" })).expect(200);
    work.try_as(&work.client, "restore", &json!({})).refused(409, "conflict");
}

#[test]
fn what_comes_back_from_the_trash_is_where_it_was_but_not_public() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Come back" }));
    work.publish();
    work.delete(&work.client, "?unpublish=true").expect(204);
    let restored = work.does("restore", &json!({}));
    assert_eq!((&restored["trashed_at"], &restored["visibility"]), (&Value::Null, &json!("withdrawn")));
    server.anonymous().get("/api/v1/articles/come-back").refused(410, "gone");
    work.does("archive", &json!({}));
    work.delete(&work.client, "").expect(204);
    assert!(with_status(&work.client, "archived").is_empty());
    assert!(work.does("restore", &json!({}))["archived_at"].is_string(), "it was archived before");
    assert!(work.does("restore", &json!({}))["archived_at"].is_null());
    work.publish();
    server.anonymous().get("/api/v1/articles/come-back").expect(200);
}

#[test]
fn a_contributor_restores_from_the_trash_and_not_from_the_archive() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Contributor), &json!({ "title": "Mine" }));
    work.delete(&work.client, "").expect(204);
    work.does("restore", &json!({}));
    work.try_as(&work.client, "archive", &json!({})).refused(403, "forbidden");
    let editor = server.signed_in(Role::Editor);
    work.try_as(&editor, "archive", &json!({})).expect(200);
    work.try_as(&work.client, "restore", &json!({})).refused(403, "forbidden");
    work.try_as(&editor, "restore", &json!({})).expect(200);
}

#[test]
fn who_may_not_reach_an_article_can_not_move_it() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Not yours" }));
    for role in [Role::Contributor, Role::Author] {
        let other = server.signed_in(role);
        for step in ["submit", "restore"] {
            work.try_as(&other, step, &json!({})).refused(404, "not-found");
        }
        work.delete(&other, "?permanent=true").refused(404, "not-found");
    }
    let author = server.signed_in(Role::Author);
    work.try_as(&author, "archive", &json!({})).refused(404, "not-found");
    work.try_as(&author, "return", &json!({ "note": "x" })).refused(404, "not-found");
}

#[test]
fn only_an_admin_deletes_for_good_and_only_what_is_in_the_trash() {
    let server = TestServer::start();
    let (account, editor) = (server.account(Role::Admin), server.signed_in(Role::Editor));
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "For good", "slug": "for-good" }));
    work.publish();
    work.client.patch(&work.path, "*", &json!({ "slug": "for-good-2" })).expect(200);
    work.publish();
    work.delete(&work.client, "?permanent=true").refused(409, "conflict");
    work.delete(&work.client, "?unpublish=true").expect(204);
    work.delete(&editor, "?permanent=true").refused(403, "forbidden");
    work.client
        .request("DELETE", &format!("{}?permanent=true", work.path))
        .send()
        .refused(428, "precondition-required");
    work.client.delete(&format!("{}?permanent=true", work.path), "\"v1\"").refused(412, "precondition-failed");
    work.delete(&work.client, "?permanent=true&validate_only=true").expect(200);
    assert!(work.now()["trashed_at"].is_string());
    work.delete(&work.client, "?permanent=true").expect(204);
    work.client.get(&work.path).refused(404, "not-found");
    for slug in ["for-good", "for-good-2"] {
        server.anonymous().get(&format!("/api/v1/articles/{slug}")).refused(404, "not-found");
    }
    assert_eq!(last_audit_event(&server, "article.delete").0, by_account(&account));
    assert_eq!(audit_events(&server, "article.delete").len(), 1);
    let again = Work::begin(editor, &json!({ "title": "For good", "slug": "for-good" }));
    again.publish();
}

#[test]
fn an_article_that_others_translate_is_not_deleted_for_good() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let original = Work::begin(server.with_token(admin.token()), &json!({ "title": "Original" }));
    let body = json!({ "title": "Traducción", "language": "es", "translation_of": original.id });
    let translation = Work::begin(server.with_token(admin.token()), &body);
    original.delete(&admin, "").expect(204);
    original.delete(&admin, "?permanent=true").refused(409, "in-use");
    admin.patch(&translation.path, "*", &json!({ "translation_of": null })).expect(200);
    original.delete(&admin, "?permanent=true").expect(204);
    admin.get(&translation.path).expect(200);
}

#[test]
fn a_move_that_is_only_tried_changes_nothing() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Tried" }));
    for step in ["submit", "archive"] {
        let tried = work.try_as(&work.client, &format!("{step}?validate_only=true"), &json!({})).expect(200);
        assert_eq!(tried.etag(), "\"v1\"");
    }
    let now = work.now();
    assert_eq!((&now["review"], &now["archived_at"]), (&Value::Null, &Value::Null));
    work.try_as(&work.client, "restore?validate_only=true", &json!({})).refused(409, "conflict");
}

#[test]
fn nothing_that_is_not_public_shows_outside() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    editor.post("/api/v1/manage/categories", &json!({ "name": "Sleep" })).expect(201);
    let body = |number: usize| {
        json!({
            "title": format!("{MARKER} {number}"), "body_markdown": format!("## {MARKER}\n\nSaid by a {MARKER}."),
            "slug": format!("{MARKER}-{number}"), "tags": [MARKER], "authors": ["maya"], "categories": ["sleep"],
            "excerpt": MARKER, "extra": { MARKER: true },
        })
    };
    let works: Vec<_> = (0..6).map(|number| Work::begin(server.signed_in(Role::Editor), &body(number))).collect();
    let public = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Public", "categories": ["sleep"] }));
    public.publish();
    public.client.patch(&public.path, "*", &json!({ "title": MARKER, "tags": [MARKER] })).expect(200);
    works[1].does("submit", &json!({ "note": MARKER }));
    works[2].does("archive", &json!({}));
    works[3].delete(&works[3].client, "").expect(204);
    for withdrawn in &works[4..] {
        withdrawn.publish();
        let former = format!("{MARKER}-again-{}", withdrawn.id);
        withdrawn.client.patch(&withdrawn.path, "*", &json!({ "slug": former })).expect(200);
        withdrawn.publish();
        withdrawn.does("unpublish", &json!({}));
    }
    works[5].does("archive", &json!({}));
    let tomorrow = server.app.clock.now().plus_seconds(24 * 3600);
    works[0].does("publish", &json!({ "revision": 1, "publish_at": tomorrow.to_string() }));

    let reader = server.anonymous();
    for path in DELIVERY {
        let answer = reader.get(path).expect(200);
        let shown = format!("{:?} {}", answer.headers, answer.text());
        assert!(!shown.contains(MARKER), "{path}: {shown}");
    }
    let counted = reader.get("/api/v1/categories/sleep").json();
    assert_eq!(counted["article_count"], 1);
    assert_eq!(reader.get("/api/v1/authors/maya").json()["article_count"], 0);
    for number in 0..4 {
        reader.get(&format!("/api/v1/articles/{MARKER}-{number}")).refused(404, "not-found");
    }
    for number in 4..6 {
        let gone = reader.get(&format!("/api/v1/articles/{MARKER}-{number}"));
        gone.refused(410, "gone");
        let body = gone.text();
        assert_eq!(body.matches(MARKER).count(), 1, "the path that was asked for: {body}");
    }
}
