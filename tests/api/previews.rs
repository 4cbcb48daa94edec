//! Preview links: one article that is not public, for whoever has the link, until it ends or is revoked.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Response;
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{by_account, is_in_database, last_audit_event, pass};

/// A link of an article, and where the API shows it.
fn link(work: &Work, body: &Value) -> (Value, String) {
    let made = work.try_as(&work.client, "preview-links", body).expect(201).json();
    let path = format!("/api/v1/previews/{}", made["token"].as_str().unwrap());
    assert!(made["url"].as_str().unwrap().ends_with(&path), "{made}");
    (made, path)
}

#[track_caller]
fn not_good(answer: &Response) {
    answer.refused(404, "not-found");
    assert_eq!((answer.header("x-robots-tag"), answer.header("referrer-policy")), ("noindex", "no-referrer"));
}

#[test]
fn a_link_shows_the_working_copy_as_delivery_would() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/categories", &json!({ "name": "Sleep" })).expect(201);
    let sibling = Work::begin(editor.clone(), &json!({ "title": "Sibling", "categories": ["sleep"] }));
    sibling.publish();
    let hidden = Work::begin(editor, &json!({ "title": "Hidden" }));
    let body = format!("## Begin\n\n[To](article:{}) and [not](article:{}).", sibling.id, hidden.id);
    let draft = json!({ "title": "A draft", "body_markdown": body, "categories": ["sleep"] });
    let work = Work::begin(server.sign_in(&account), &draft);
    let (made, path) = link(&work, &json!({}));
    assert_eq!((&made["revision"], &made["page_url"]), (&Value::Null, &Value::Null));
    assert_eq!(last_audit_event(&server, "article.make_preview_link").0, by_account(&account));

    let answer = server.anonymous().get(&path).expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!((answer.header("x-robots-tag"), answer.header("referrer-policy")), ("noindex", "no-referrer"));
    let preview = answer.json();
    assert_eq!(
        (&preview["title"], &preview["slug"], &preview["revision"]),
        (&json!("A draft"), &json!("a-draft"), &json!(1))
    );
    assert_eq!((&preview["url"], &preview["published_at"]), (&Value::Null, &Value::Null));
    assert_eq!(preview["categories"][0]["slug"], "sleep");
    assert_eq!(preview["related"][0]["slug"], "sibling");
    assert_eq!(preview["table_of_contents"][0]["id"], "begin");
    let html = preview["body_html"].as_str().unwrap();
    assert!(html.contains("/articles/sibling") && !html.contains(&hidden.id), "{html}");
    assert!(preview["body_markdown"].as_str().unwrap().contains("/articles/sibling)"), "{preview}");
    assert_eq!(preview["sections"].as_array().unwrap().len(), 1);

    // It follows the working copy.
    work.client.patch(&work.path, "*", &json!({ "title": "Rewritten", "slug": "rewritten" })).expect(200);
    let preview = server.anonymous().get(&path).expect(200).json();
    assert_eq!((&preview["title"], &preview["revision"]), (&json!("Rewritten"), &json!(2)));
    work.publish();
    let public = server.anonymous().get("/api/v1/articles/rewritten").expect(200).json();
    let preview = server.anonymous().get(&path).expect(200).json();
    assert_eq!((&preview["url"], &preview["published_at"]), (&public["url"], &public["published_at"]));
    assert_eq!((&preview["body_html"], &preview["related"]), (&public["body_html"], &public["related"]));
}

#[test]
fn a_link_to_a_translation_that_is_not_public_yet_shows_the_original() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let original = Work::begin(editor.clone(), &json!({ "title": "House" }));
    original.publish();
    let spanish = json!({ "title": "Casa", "language": "es", "translation_of": original.id });
    let translation = Work::begin(editor, &spanish);
    let (_, path) = link(&translation, &json!({}));
    let shown = |path: &str| server.anonymous().get(path).expect(200).json()["translations"].clone();
    let house =
        json!([{ "language": "en", "slug": "house", "title": "House", "url": "http://127.0.0.1:8080/articles/house" }]);
    assert_eq!(shown(&path), house);
    assert_eq!(shown("/api/v1/articles/house"), json!([]));
    translation.publish();
    assert_eq!(shown(&path), house);
    assert_eq!(shown("/api/v1/articles/casa"), house);
    assert_eq!(shown("/api/v1/articles/house")[0]["slug"], "casa");
}

#[test]
fn a_link_to_a_revision_shows_that_one_and_keeps_it() {
    let server = TestServer::start_with(|config| {
        config.most_revisions = Some(1);
        config.preview_path = Some("/preview?token={token}".to_owned());
    });
    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "One" }));
    let autosave = |title: &str| {
        work.client.patch(&work.path, "*", &json!({ "title": title, "autosave": true })).expect(200).json()["revision"]
            .clone()
    };
    assert_eq!(autosave("Two"), 2);
    let (made, path) = link(&work, &json!({ "revision": 2, "expires_in": 600 }));
    let page = made["page_url"].as_str().unwrap();
    assert!(page.ends_with(&format!("/preview?token={}", made["token"].as_str().unwrap())), "{page}");
    autosave("Three");
    autosave("Four");
    assert_eq!(server.anonymous().get(&path).expect(200).json()["title"], "Two");
    let list = work.client.get(&format!("{}/revisions", work.path)).expect(200).json();
    let numbers: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| item["number"].clone()).collect();
    assert_eq!(numbers, [4, 2], "neither an autosave nor the bound takes what is previewed");
    let missing = work.try_as(&work.client, "preview-links", &json!({ "revision": 9 }));
    missing.refused(422, "invalid-body").fault("/revision");
}

#[test]
fn a_link_ends_at_its_time_and_when_it_is_revoked() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "A draft" }));
    let ((short, short_path), (_, usual_path)) = (link(&work, &json!({ "expires_in": 60 })), link(&work, &json!({})));
    let (long, long_path) = link(&work, &json!({ "expires_in": 2_592_000 }));
    let list = work.client.get(&format!("{}/preview-links", work.path)).expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert!(
        list["items"].as_array().unwrap().iter().all(|item| item.get("token").is_none() && item.get("url").is_none())
    );
    let one = format!("{}/preview-links/{}", work.path, long["id"].as_str().unwrap());
    let got = work.client.get(&one).expect(200);
    assert_eq!((got.json()["id"].clone(), got.json().get("token")), (long["id"].clone(), None));

    pass(&server, 61);
    not_good(&server.anonymous().get(&short_path));
    work.client
        .get(&format!("{}/preview-links/{}", work.path, short["id"].as_str().unwrap()))
        .refused(404, "not-found");
    server.anonymous().get(&usual_path).expect(200);
    work.client.delete(&format!("{one}?validate_only=true"), "*").expect(200);
    work.client.delete(&one, "\"v2\"").refused(412, "precondition-failed");
    work.client.delete(&one, got.etag()).expect(204);
    not_good(&server.anonymous().get(&long_path));
    assert_eq!(last_audit_event(&server, "article.revoke_preview_link").0, by_account(&account));
    pass(&server, 86_400);
    not_good(&server.anonymous().get(&usual_path));

    let work = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Another" }));
    let (_, path) = link(&work, &json!({}));
    work.delete(&work.client, "").expect(204);
    not_good(&server.anonymous().get(&path));
    work.try_as(&work.client, "preview-links", &json!({})).refused(409, "conflict");
    work.does("restore", &json!({}));
    server.anonymous().get(&path).expect(200);
    for (body, pointer) in
        [(json!({ "expires_in": 59 }), "/expires_in"), (json!({ "expires_in": 2_592_001 }), "/expires_in")]
    {
        work.try_as(&work.client, "preview-links", &body).refused(422, "invalid-body").fault(pointer);
    }
}

#[test]
fn a_link_is_good_for_one_article_and_can_t_be_made_up() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Author), &json!({ "title": "Mine" }));
    let (made, path) = link(&work, &json!({}));
    let token = made["token"].as_str().unwrap();
    assert!(!is_in_database(&server, token.as_bytes()));
    // A link whose id is known is no good without the signature.
    let other = Work::begin(server.signed_in(Role::Author), &json!({ "title": "Other" }));
    let (second, _) = link(&other, &json!({}));
    let mixed = format!("{}{}", &token[..26], &second["token"].as_str().unwrap()[26..]);
    let last = if token.ends_with('A') { 'E' } else { 'A' };
    let flipped = format!("{}{last}", &token[..token.len() - 1]);
    for forged in [mixed.as_str(), flipped.as_str(), &token[..token.len() - 2], "cdv_", "x"] {
        server.anonymous().get(&format!("/api/v1/previews/{forged}")).refused(404, "not-found");
    }
    // It is not a way into management, and who may not edit the article sees no link of it.
    server.with_token(token).get(&work.path).refused(401, "unauthenticated");
    let foreign = server.sign_in(&server.account(Role::Author));
    let links = format!("{}/preview-links", work.path);
    foreign.get(&links).refused(404, "not-found");
    foreign.post(&links, &json!({})).refused(404, "not-found");
    let one = format!("{links}/{}", made["id"].as_str().unwrap());
    foreign.get(&one).refused(404, "not-found");
    foreign.delete(&one, "*").refused(404, "not-found");
    let crossed = format!("{}/preview-links/{}", other.path, made["id"].as_str().unwrap());
    other.client.get(&crossed).refused(404, "not-found");
    other.client.delete(&crossed, "*").refused(404, "not-found");
    server.anonymous().get(&path).expect(200);
    for number in 1..100 {
        link(&work, &json!({ "expires_in": 60 + number }));
    }
    work.try_as(&work.client, "preview-links", &json!({})).refused(409, "conflict");
}

#[test]
fn a_link_shows_no_more_than_who_made_it_may_see() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let work = Work::begin(server.sign_in(&account), &json!({ "title": "Mine" }));
    let (_, path) = link(&work, &json!({}));
    server.anonymous().get(&path).expect(200);
    server.disable(&account);
    not_good(&server.anonymous().get(&path));
    // A link that a program has made stands as long as its key.
    let admin = server.signed_in(Role::Admin);
    let key = admin.post("/api/v1/manage/api-keys", &json!({ "name": "Build", "role": "editor" })).expect(201);
    let program = server.with_token(key.json()["key"].as_str().unwrap());
    let links = format!("{}/preview-links", work.path);
    let token = program.post(&links, &json!({})).expect(201).json()["token"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/previews/{token}");
    server.anonymous().get(&path).expect(200);
    admin.delete(key.header("location"), "*").expect(204);
    not_good(&server.anonymous().get(&path));
}
