//! Many operations in one transaction, and the rendering of a text that is not saved.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::audit_events;

const BULK: &str = "/api/v1/manage/articles/bulk";
const ARTICLES: &str = "/api/v1/manage/articles";

fn results(client: &Client, body: &Value) -> Vec<Value> {
    client.post(BULK, body).expect(200).json()["results"].as_array().unwrap().clone()
}

fn titles(client: &Client) -> Vec<String> {
    let list = client.get(&format!("{ARTICLES}?sort=title&limit=100")).expect(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn operations_are_done_in_order_and_build_on_each_other() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let work = Work::begin(editor.clone(), &json!({ "title": "One", "body_markdown": "Text." }));
    let other = Work::begin(editor.clone(), &json!({ "title": "Other" }));
    let done = results(
        &editor,
        &json!({ "operations": [
        { "op": "create", "article": { "title": "Made", "slug": "made", "body_markdown": "<script>x</script>Hello" } },
        { "op": "update", "id": work.id, "if_match": "\"v1\"", "changes": { "title": "Two" } },
        { "op": "update", "id": work.id, "if_match": "*", "changes": { "subtitle": "Twice" } },
        { "op": "publish", "id": work.id, "revision": 3 },
        { "op": "submit", "id": other.id, "note": "Please look" },
        { "op": "return", "id": other.id, "note": "Looked" },
        { "op": "archive", "id": other.id },
        { "op": "restore", "id": other.id },
        { "op": "delete", "id": other.id, "if_match": "*" },
    ] }),
    );
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 200, 200, 200, 200, 200, 200, 204]);
    assert_eq!(done[0]["warnings"][0]["pointer"], "/body_markdown");
    assert_eq!((&done[2]["revision"], &done[2]["etag"]), (&json!(3), &json!("\"v3\"")));
    assert!(done.iter().all(|one| one["problem"].is_null()), "{done:?}");
    let made = editor.get(&format!("{ARTICLES}/{}", done[0]["id"].as_str().unwrap())).expect(200);
    assert_eq!((made.etag(), &made.json()["slug"]), (done[0]["etag"].as_str().unwrap(), &json!("made")));
    let public = server.anonymous().get("/api/v1/articles/one").expect(200).json();
    assert_eq!((&public["title"], &public["subtitle"]), (&json!("Two"), &json!("Twice")));
    assert_eq!(public["body_html"], "<p>Text.</p>\n");
    assert_ne!(other.now()["trashed_at"], Value::Null);
    for action in ["article.create", "article.publish", "article.submit", "article.return", "article.trash"] {
        assert!(!audit_events(&server, action).is_empty(), "{action}");
    }
}

#[test]
fn all_is_done_or_nothing_unless_that_is_not_wanted() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let work = Work::begin(editor.clone(), &json!({ "title": "Here", "slug": "here" }));
    let operations = json!([
        { "op": "create", "article": { "title": "A" } },
        { "op": "create", "article": { "title": "B", "slug": "here", "authors": [] } },
        { "op": "create", "article": { "title": "C", "authors": ["nobody"] } },
        { "op": "update", "id": work.id, "if_match": "\"v9\"", "changes": { "title": "x" } },
        { "op": "update", "id": work.id, "if_match": "v9", "changes": { "title": "x" } },
        { "op": "publish", "id": work.id, "revision": 7 },
        { "op": "unpublish", "id": work.id },
        { "op": "restore", "id": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1" },
        { "op": "update", "id": work.id, "if_match": "*", "changes": { "tags": ["sleep"] } },
    ]);
    let refused = editor.post(BULK, &json!({ "operations": operations })).refused(422, "bulk-failed");
    let faults: Vec<_> = refused
        .faults()
        .iter()
        .map(|fault| (fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap()))
        .collect();
    assert_eq!(
        faults,
        [
            ("/operations/1", "slug_taken"),
            ("/operations/2/article/authors/0", "not_found"),
            ("/operations/3", "precondition_failed"),
            ("/operations/4/if_match", "format"),
            ("/operations/5/revision", "not_found"),
            ("/operations/6", "conflict"),
            ("/operations/7", "not_found"),
        ]
    );
    assert_eq!((titles(&editor), work.now()["revision"].clone()), (vec!["Here".to_owned()], json!(1)));
    assert_eq!(audit_events(&server, "article.create").len(), 1);

    let done = results(&editor, &json!({ "atomic": false, "operations": operations }));
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [201, 409, 422, 412, 422, 422, 409, 404, 200]);
    assert_eq!(done[1]["problem"]["type"], "/problems/slug-taken");
    assert_eq!(done[2]["problem"]["errors"][0]["pointer"], "/operations/2/article/authors/0");
    assert_eq!((&done[3]["id"], &done[3]["etag"]), (&json!(work.id), &Value::Null));
    assert_eq!((titles(&editor), &work.now()["tags"]), (vec!["A".to_owned(), "Here".to_owned()], &json!(["sleep"])));
}

#[test]
fn five_hundred_operations_are_one_answer_and_one_more_is_too_many() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let create =
        |number: usize| json!({ "op": "create", "article": { "title": "The same", "tags": [number.to_string()] } });
    let many: Vec<_> = (0..500).map(create).collect();
    let tried = editor.post(&format!("{BULK}?validate_only=true"), &json!({ "operations": many })).expect(200).json();
    assert_eq!(tried["results"].as_array().unwrap().len(), 500);
    assert!(titles(&editor).is_empty());
    assert_eq!(results(&editor, &json!({ "operations": many })).len(), 500);
    let counted = editor.get(&format!("{ARTICLES}?page=1")).expect(200).json();
    assert_eq!(counted["page"]["total_items"], 500);
    let more: Vec<_> = (0..501).map(create).collect();
    editor.post(BULK, &json!({ "operations": more })).refused(422, "invalid-body").fault("/operations");
}

#[test]
fn a_body_that_is_wrong_is_told_so_by_operation() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let refused = editor.post(
        BULK,
        &json!({ "atomic": "yes", "operations": [
        { "op": "create", "article": { "titel": "x" } },
        { "op": "erase", "id": "x" },
        { "op": "archive", "id": "x", "note": "y" },
        { "op": "update", "id": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1", "changes": { "title": "", "autosave": true } },
        "archive",
    ] }),
    );
    let refused = refused.refused(422, "invalid-body");
    for (pointer, code) in [
        ("/atomic", "type"),
        ("/operations/0/article/titel", "unknown_field"),
        ("/operations/0/article/title", "required"),
        ("/operations/1/op", "not_allowed"),
        ("/operations/2/id", "format"),
        ("/operations/2/note", "unknown_field"),
        ("/operations/3/if_match", "required"),
        ("/operations/3/changes/title", "blank"),
        ("/operations/3/changes/autosave", "unknown_field"),
        ("/operations/4", "type"),
    ] {
        assert_eq!(refused.fault(pointer).code, code, "{pointer}");
    }
    assert!(refused.fault("/operations/1/op").message.contains("\"archive\""));
    let untagged = editor.post(BULK, &json!({ "operations": [{ "id": "x" }] })).refused(422, "invalid-body");
    assert_eq!((untagged.fault("/operations/0/op").code, untagged.faults().len()), ("required".to_owned(), 1));
    let imageless = Work::begin(editor.clone(), &json!({ "title": "x", "hero_image": { "url": "/a.jpg" } }));
    let publish = json!({ "operations": [{ "op": "publish", "id": imageless.id, "revision": 1 }] });
    editor.post(BULK, &publish).refused(422, "bulk-failed").fault("/operations/0");
    let long = "x".repeat(1_000_000);
    let long = Work::begin(editor.clone(), &json!({ "title": "Long", "body_markdown": long }));
    let many: Vec<_> = (0..9)
        .map(|number| {
            let body = json!({ "body_markdown": format!("{number}{}", "x".repeat(1_000_000)) });
            let revision = editor.patch(&long.path, "*", &body).expect(200).json()["revision"].clone();
            json!({ "op": "publish", "id": long.id, "revision": revision })
        })
        .collect();
    let refused = editor.post(BULK, &json!({ "operations": many })).refused(422, "invalid-body");
    assert_eq!(refused.fault("/operations").code, "too_long");
    editor.post(BULK, &json!({ "operations": [] })).refused(422, "invalid-body").fault("/operations");
}

#[test]
fn each_operation_asks_for_what_it_asks_for_alone() {
    let server = TestServer::start();
    let (account, editor) = (server.account(Role::Contributor), server.signed_in(Role::Editor));
    let own = Work::begin(server.sign_in(&account), &json!({ "title": "Own" }));
    let foreign = Work::begin(editor, &json!({ "title": "Foreign" }));
    let done = results(
        &own.client,
        &json!({ "atomic": false, "operations": [
        { "op": "publish", "id": own.id, "revision": 1 },
        { "op": "archive", "id": own.id },
        { "op": "submit", "id": own.id },
        { "op": "update", "id": own.id, "if_match": "*", "changes": { "title": "x" } },
        { "op": "update", "id": foreign.id, "if_match": "*", "changes": { "title": "x" } },
        { "op": "publish", "id": foreign.id, "revision": 1 },
        { "op": "delete", "id": foreign.id, "if_match": "*" },
    ] }),
    );
    let statuses: Vec<_> = done.iter().map(|one| one["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [403, 403, 200, 409, 404, 404, 404]);
    let strict = own.client.request("POST", BULK).header("prefer", "handling=strict");
    let script = json!({ "operations": [{ "op": "create", "article": { "title": "x", "body_markdown": "<script>x</script>" } }] });
    strict.json(&script).send().refused(422, "bulk-failed").fault("/operations/0/article/body_markdown");
}

#[test]
fn a_text_is_rendered_without_being_saved() {
    let server = TestServer::start();
    let author = server.signed_in(Role::Author);
    let public = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Public" }));
    public.publish();
    let body = format!("## Begin\n\nSee [this](article:{}).<script>x</script>", public.id);
    let rendered = author.post("/api/v1/manage/render", &json!({ "body_markdown": body })).expect(200).json();
    assert!(rendered["body_html"].as_str().unwrap().contains("/articles/public\""), "{rendered}");
    assert_eq!(rendered["table_of_contents"][0]["text"], "Begin");
    assert_eq!(rendered["warnings"][0]["pointer"], "/body_markdown");
    assert_eq!((&rendered["reading_minutes"], &rendered["word_count"]), (&json!(1), &json!(3)));
    assert_eq!(rendered["excerpt"], "See this.");
    assert!(titles(&author).is_empty());
    author.post("/api/v1/manage/render", &json!({})).refused(422, "invalid-body").fault("/body_markdown");
    let large = json!({ "body_markdown": "ü".repeat(600_000) });
    author.post("/api/v1/manage/render", &large).refused(422, "invalid-body").fault("/body_markdown");
}
