//! Articles in management: working copies, revisions, publication, trash, and who may do what.

use copydesk::auth::Role;
use diesel::RunQueryDsl;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;

const ARTICLES: &str = "/api/v1/manage/articles";

fn create(caller: &Client, body: &Value) -> Response {
    caller.post(ARTICLES, body).expect(201)
}

fn path_of(article: &Value) -> String {
    format!("{ARTICLES}/{}", article["id"].as_str().unwrap())
}

/// Publishes the present revision and gives the working copy.
fn publish(caller: &Client, article: &Value) -> Value {
    let body = json!({ "revision": article["revision"] });
    caller.post(&format!("{}/publish", path_of(article)), &body).expect(200).json()
}

fn named(caller: &Client, resource: &str, name: &str) -> Value {
    caller.post(&format!("/api/v1/manage/{resource}"), &json!({ "name": name })).expect(201).json()
}

fn audit_length(admin: &Client) -> i64 {
    admin.get("/api/v1/manage/audit-events?page=1").expect(200).json()["page"]["total_items"].as_i64().unwrap()
}

#[test]
fn a_title_is_enough_and_the_rest_has_its_defaults() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let response = create(&editor, &json!({ "title": "Überall zu Hause" }));
    let article = response.json();
    assert_eq!(response.header("location"), path_of(&article));
    assert_eq!(response.etag(), "\"v1\"");
    assert_eq!(article["slug"], "uberall-zu-hause");
    assert_eq!((&article["language"], &article["revision"]), (&json!("en"), &json!(1)));
    assert_eq!((&article["visibility"], &article["changed"]), (&json!("none"), &json!(false)));
    assert_eq!((&article["tags"], &article["extra"], &article["published"]), (&json!([]), &json!({}), &Value::Null));
    assert_eq!(article["saved_by"]["name"].as_str().map(str::is_empty), Some(false));
    let read = editor.get(&path_of(&article)).expect(200);
    assert_eq!((read.json(), read.etag()), (article, "\"v1\""));
}

#[test]
fn every_member_comes_back_as_it_went_with_names_resolved_to_ids() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let (maya, category) = (named(&editor, "authors", "Maya"), named(&editor, "categories", "Sleep"));
    let body = json!({
        "slug": "all-of-it", "title": "All of it", "subtitle": "Each member", "excerpt": "In short.",
        "body_markdown": "## One\n\nText.", "hero_image": { "url": "https://images.example.org/a.jpg", "alt": "A quay" },
        "authors": ["maya"], "categories": ["sleep"], "tags": ["early-recovery", "sleep"],
        "seo": { "title": "Sleep", "no_index": true }, "extra": { "layout": { "wide": true } }, "language": "pt-BR",
        "reviewed_by": maya["id"], "reviewed_at": "2026-01-02T03:04:05Z",
        "citations": [{ "text": "A source", "url": "https://example.org/source" }], "published_at": "2026-02-03T04:05:06Z",
    });
    let article = create(&editor, &body).json();
    assert_eq!(article["authors"], json!([maya["id"]]));
    assert_eq!(article["categories"], json!([category["id"]]));
    assert_eq!(article["expanded"]["authors"][0]["slug"], "maya");
    assert_eq!(article["expanded"]["categories"][0]["name"], "Sleep");
    assert_eq!(article["hero_image"]["caption"], Value::Null);
    for member in [
        "slug",
        "title",
        "subtitle",
        "excerpt",
        "body_markdown",
        "tags",
        "extra",
        "language",
        "reviewed_at",
        "citations",
        "published_at",
    ] {
        assert_eq!(article[member], body[member], "{member}");
    }
    assert!(article["body_html"].as_str().unwrap().contains("<h2 id=\"one\">"));
}

#[test]
fn all_faults_are_reported_at_once_and_no_value_is_repeated() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({
        "title": "", "tagz": [], "tags": ["a", "a", "b,c"], "authors": ["nobody-secret"], "categories": ["nowhere-secret"],
        "reviewed_by": "someone-secret", "hero_image": { "url": "javascript:secret" }, "published_at": "2999-01-01T00:00:00Z",
        "translation_of": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1", "extra": { "secret": "x".repeat(17_000) }, "revision": 7,
    });
    let response = editor.post(ARTICLES, &body);
    let problem = response.refused(422, "invalid-body");
    for (pointer, code) in [
        ("/title", "blank"),
        ("/tagz", "unknown_field"),
        ("/tags/2", "pattern"),
        ("/authors/0", "not_found"),
        ("/categories/0", "not_found"),
        ("/reviewed_by", "not_found"),
        ("/hero_image/url", "pattern"),
        ("/published_at", "in_future"),
        ("/translation_of", "not_found"),
        ("/extra", "too_long"),
        ("/revision", "read_only"),
    ] {
        assert_eq!(problem.fault(pointer).code, code, "{pointer}");
    }
    assert!(problem.fault("/tagz").message.contains("`tags`"));
    assert!(!response.text().contains("secret"), "{}", response.shown());
    assert_eq!(editor.get(ARTICLES).json()["items"], json!([]));
}

#[test]
fn a_slug_is_made_with_a_number_where_it_is_taken_and_a_given_one_is_refused() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let first = create(&editor, &json!({ "title": "Наркотики" })).json();
    let second = create(&editor, &json!({ "title": "Наркотики" })).json();
    let slug = first["slug"].as_str().unwrap();
    assert_eq!(second["slug"], format!("{slug}-2"));
    let body = json!({ "title": "Other", "slug": slug });
    let problem = editor.post(ARTICLES, &body).refused(409, "slug-taken");
    assert_eq!(problem.document["holder"]["id"], first["id"]);
    let contributor = server.signed_in(Role::Contributor);
    let problem = contributor.post(ARTICLES, &body).refused(409, "slug-taken");
    assert_eq!(problem.document["holder"], Value::Null, "whose draft it is, is not theirs to know");
}

#[test]
fn a_change_names_the_version_that_it_means() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let path = path_of(&create(&editor, &json!({ "title": "One" })).json());
    let change = json!({ "title": "Two" });
    editor.request("PATCH", &path).json(&change).send().refused(428, "precondition-required");
    editor.patch(&path, "W/\"v1\"", &change).refused(412, "precondition-failed");
    assert_eq!(editor.patch(&path, "\"v1\"", &change).expect(200).etag(), "\"v2\"");
    let refused = editor.patch(&path, "\"v1\"", &json!({ "title": "Three" }));
    refused.refused(412, "precondition-failed");
    assert_eq!(refused.etag(), "\"v2\"");
    assert_eq!(editor.patch(&path, "\"v1\", \"v2\"", &json!({ "title": "Four" })).expect(200).etag(), "\"v3\"");
    assert_eq!(editor.patch(&path, "*", &json!({ "title": "Five" })).expect(200).json()["revision"], 4);
    editor.request("DELETE", &path).send().refused(428, "precondition-required");
    editor.delete(&path, "\"v1\"").refused(412, "precondition-failed");
}

#[test]
fn what_was_read_can_be_sent_back_and_makes_no_revision() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "Back and forth", "body_markdown": "Text <script>x</script>", "extra": { "a": [1] } });
    let written = create(&editor, &body).json();
    let path = path_of(&written);
    let read = editor.get(&path).json();
    for document in [&written, &read] {
        let sent = editor.patch(&path, "*", document).expect(200);
        assert_eq!((sent.etag(), &sent.json()["revision"]), ("\"v1\"", &json!(1)));
    }
    let problem =
        editor.patch(&path, "*", &json!({ "revision": 9, "visibility": "public" })).refused(422, "invalid-body");
    assert_eq!(problem.fault("/revision").code, "read_only");
    assert_eq!(problem.fault("/visibility").code, "read_only");
}

#[test]
fn a_merge_patch_changes_what_it_names_and_null_gives_the_default() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "Patch", "tags": ["a"], "subtitle": "s", "extra": { "keep": 1, "drop": 2 }, "seo": { "title": "t" } });
    let path = path_of(&create(&editor, &body).json());
    let change =
        json!({ "tags": null, "subtitle": null, "extra": { "drop": null, "new": 3 }, "seo": { "no_index": true } });
    let request = editor.request("PATCH", &path).header("if-match", "*");
    let patched = request.body("application/merge-patch+json", change.to_string()).send().expect(200).json();
    assert_eq!((&patched["tags"], &patched["subtitle"]), (&json!([]), &Value::Null));
    assert_eq!(patched["extra"], json!({ "keep": 1, "new": 3 }));
    assert_eq!((&patched["seo"]["title"], &patched["seo"]["no_index"]), (&json!("t"), &json!(true)));
    let problem = editor.patch(&path, "*", &json!({ "title": null })).refused(422, "invalid-body");
    assert_eq!(problem.fault("/title").code, "required");
    let slugged = editor.patch(&path, "*", &json!({ "slug": null, "title": "Quite another" })).expect(200).json();
    assert_eq!(slugged["slug"], "quite-another");
}

#[test]
fn a_patch_leaves_what_it_does_not_touch_even_where_that_is_at_fault() {
    const LOST_AUTHOR: &str = "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1";
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let article = create(&editor, &json!({ "title": "Kept" })).json();
    // As if the author were gone in a way that the API does not let one go.
    server.write(|conn| {
        let lost = "UPDATE revisions SET content = json_set(content, '$.authors', json_array(?))";
        diesel::sql_query(lost).bind::<diesel::sql_types::Text, _>(LOST_AUTHOR).execute(conn)
    });
    let changed = editor.patch(&path_of(&article), "*", &json!({ "title": "Changed" })).expect(200).json();
    assert_eq!((&changed["title"], &changed["authors"]), (&json!("Changed"), &json!([LOST_AUTHOR])));
    assert_eq!(changed["warnings"][0]["pointer"], "/authors/0");
    let touching = editor.patch(&path_of(&article), "*", &json!({ "authors": [LOST_AUTHOR] }));
    assert_eq!(touching.refused(422, "invalid-body").fault("/authors/0").code, "not_found");
}

#[test]
fn exactly_the_named_revision_becomes_public_and_later_edits_do_not() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = create(&editor, &json!({ "title": "First words", "slug": "words" })).json();
    let path = path_of(&article);
    editor.patch(&path, "*", &json!({ "title": "Second words" })).expect(200);
    anyone.get("/api/v1/articles/words").refused(404, "not-found");
    let unknown = editor.post(&format!("{path}/publish"), &json!({ "revision": 9 })).refused(422, "invalid-body");
    assert_eq!(unknown.fault("/revision").code, "not_found");
    editor.post(&format!("{path}/publish"), &json!({})).refused(422, "invalid-body").fault("/revision");
    let published = publish(&editor, &article);
    assert_eq!((&published["visibility"], &published["changed"]), (&json!("public"), &json!(true)));
    assert_eq!(published["published"]["revision"], 1);
    assert_eq!(anyone.get("/api/v1/articles/words").expect(200).json()["title"], "First words");
    let newest = publish(&editor, &json!({ "id": article["id"], "revision": 2 }));
    assert_eq!(newest["changed"], false);
    assert_eq!(anyone.get("/api/v1/articles/words").json()["title"], "Second words");
    let version = anyone.get("/api/v1/articles").header("content-version").to_owned();
    publish(&editor, &newest);
    assert_eq!(anyone.get("/api/v1/articles").header("content-version"), version, "publishing the same is nothing new");
}

#[test]
fn a_withdrawn_article_is_gone_and_can_come_back() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let old = publish(&editor, &create(&editor, &json!({ "title": "Old", "slug": "old" })).json());
    let new = publish(&editor, &create(&editor, &json!({ "title": "New", "slug": "new" })).json());
    let unpublish = format!("{}/unpublish", path_of(&old));
    let nowhere = editor.post(&unpublish, &json!({ "successor": "nowhere" })).refused(422, "invalid-body");
    assert_eq!(nowhere.fault("/successor").code, "not_found");
    editor.post(&unpublish, &json!({ "successor": "old" })).refused(422, "invalid-body").fault("/successor");
    let withdrawn = editor.post(&unpublish, &json!({ "successor": "new" })).expect(200).json();
    assert_eq!((&withdrawn["visibility"], &withdrawn["published"]), (&json!("withdrawn"), &Value::Null));
    let gone = anyone.get("/api/v1/articles/old").refused(410, "gone");
    assert_eq!(gone.document["successor"]["slug"], "new");
    assert!(gone.document["withdrawn_at"].is_string());
    editor.post(&unpublish, &json!({})).refused(409, "conflict");
    editor.post(&format!("{}/unpublish", path_of(&new)), &json!({})).expect(200);
    assert_eq!(anyone.get("/api/v1/articles/old").refused(410, "gone").document["successor"], Value::Null);
    publish(&editor, &withdrawn);
    anyone.get("/api/v1/articles/old").expect(200);
}

#[test]
fn a_public_article_goes_to_the_trash_only_with_consent_and_is_not_changed_there() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = publish(&editor, &create(&editor, &json!({ "title": "Out", "slug": "out" })).json());
    let path = path_of(&article);
    editor.delete(&path, "*").refused(409, "conflict");
    let tried = editor.delete(&format!("{path}?unpublish=true&validate_only=true"), "*").expect(200).json();
    assert!(tried["trashed_at"].is_string() && tried["visibility"] == "withdrawn");
    anyone.get("/api/v1/articles/out").expect(200);
    editor.delete(&format!("{path}?unpublish=true"), "*").expect(204);
    anyone.get("/api/v1/articles/out").refused(410, "gone");
    assert!(editor.get(&path).expect(200).json()["trashed_at"].is_string());
    assert_eq!(editor.get(ARTICLES).json()["items"], json!([]));
    assert_eq!(editor.get(&format!("{ARTICLES}?status=trashed")).json()["items"][0]["id"], article["id"]);
    editor.patch(&path, "*", &json!({ "title": "Back" })).refused(409, "conflict");
    editor.post(&format!("{path}/publish"), &json!({ "revision": 1 })).refused(409, "conflict");
    editor.delete(&path, "*").refused(409, "conflict");
}

#[test]
fn contributors_and_authors_reach_their_own_articles_alone() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let foreign = create(&editor, &json!({ "title": "Not yours" })).json();
    for role in [Role::Contributor, Role::Author] {
        let caller = server.signed_in(role);
        let path = path_of(&foreign);
        caller.get(&path).refused(404, "not-found");
        caller.patch(&path, "*", &json!({ "title": "Mine" })).refused(404, "not-found");
        caller.delete(&path, "*").refused(404, "not-found");
        let own = create(&caller, &json!({ "title": "Mine" })).json();
        let listed = caller.get(ARTICLES).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(listed["items"][0]["id"], own["id"]);
        let hidden = caller.post(ARTICLES, &json!({ "title": "T", "translation_of": foreign["id"] }));
        assert_eq!(hidden.refused(422, "invalid-body").fault("/translation_of").code, "not_found");
        let publish = caller.post(&format!("{}/publish", path_of(&own)), &json!({ "revision": 1 }));
        if role == Role::Contributor {
            publish.refused(403, "forbidden");
        } else {
            publish.expect(200);
            caller.post(&format!("{path}/publish"), &json!({ "revision": 1 })).refused(404, "not-found");
        }
    }
}

#[test]
fn an_article_of_my_author_is_my_own_and_my_author_is_set_where_none_is_named() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let account = server.account(Role::Author);
    let writer = server.sign_in(&account);
    let mine =
        editor.post("/api/v1/manage/authors", &json!({ "name": "Me", "user_id": account.id })).expect(201).json();
    let written = create(&writer, &json!({ "title": "By me" })).json();
    assert_eq!(written["authors"], json!([mine["id"]]));
    let shared = create(&editor, &json!({ "title": "For me", "authors": ["me"] })).json();
    writer.patch(&path_of(&shared), "*", &json!({ "title": "Mine too" })).expect(200);
    assert_eq!(writer.get(ARTICLES).json()["items"].as_array().unwrap().len(), 2);
    editor.patch(&path_of(&shared), "*", &json!({ "authors": [] })).expect(200);
    writer.get(&path_of(&shared)).refused(404, "not-found");
}

#[test]
fn a_contributor_does_not_withdraw_what_is_public_by_way_of_the_trash() {
    let server = TestServer::start();
    let (editor, contributor) = (server.signed_in(Role::Editor), server.signed_in(Role::Contributor));
    let own = create(&contributor, &json!({ "title": "Mine", "slug": "mine" })).json();
    publish(&editor, &own);
    contributor.delete(&format!("{}?unpublish=true", path_of(&own)), "*").refused(403, "forbidden");
    server.anonymous().get("/api/v1/articles/mine").expect(200);
}

#[test]
fn an_image_needs_alt_before_it_is_public() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let article = create(&editor, &json!({ "title": "Image", "hero_image": { "url": "/a.jpg" } })).json();
    let problem =
        editor.post(&format!("{}/publish", path_of(&article)), &json!({ "revision": 1 })).refused(409, "conflict");
    assert_eq!(problem.fault("/hero_image/alt").code, "required");
    let saved = editor.patch(&path_of(&article), "*", &json!({ "hero_image": { "alt": "" } })).expect(200).json();
    publish(&editor, &saved);
}

#[test]
fn sanitising_is_told_and_refused_where_that_is_asked_for() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({ "title": "Hostile", "body_markdown": "Hi <b onclick=\"x()\">there</b> <script>alert(1)</script> [a](javascript:alert(1))" });
    let article = create(&editor, &body).json();
    let removed: Vec<&str> =
        article["warnings"].as_array().unwrap().iter().filter_map(|warning| warning["removed"].as_str()).collect();
    assert!(
        removed.iter().any(|what| what.contains("script")) && removed.iter().any(|what| what.contains("onclick")),
        "{removed:?}"
    );
    assert!(!article["body_html"].as_str().unwrap().contains("javascript:"));
    assert_eq!(editor.get(&path_of(&article)).json()["warnings"], json!([]));
    let strict = editor.request("POST", ARTICLES).header("prefer", "respond-async, handling=strict").json(&body).send();
    strict.refused(422, "unsafe-content").fault("/body_markdown");
    let clean = json!({ "title": "Clean", "body_markdown": "Hi **there**" });
    editor.request("POST", ARTICLES).header("prefer", "handling=strict").json(&clean).send().expect(201);
}

#[test]
fn validate_only_says_what_would_be_and_changes_nothing() {
    let server = TestServer::start();
    let (editor, admin) = (server.signed_in(Role::Editor), server.signed_in(Role::Admin));
    let article = create(&editor, &json!({ "title": "Here", "slug": "here" })).json();
    let (path, before) = (path_of(&article), audit_length(&admin));
    let tried = editor.post(&format!("{ARTICLES}?validate_only=true"), &json!({ "title": "There" })).expect(200);
    assert_eq!((&tried.json()["slug"], tried.find_header("location")), (&json!("there"), None));
    let tried = editor.patch(&format!("{path}?validate_only=true"), "*", &json!({ "title": "Gone" })).expect(200);
    // The tag is that of what is still there: another one could be what someone else's save gets.
    assert_eq!(tried.etag(), "\"v1\"");
    let tried = tried.json();
    assert_eq!((&tried["revision"], &tried["title"]), (&json!(2), &json!("Gone")));
    let publish =
        editor.post(&format!("{path}/publish?validate_only=true"), &json!({ "revision": 1 })).expect(200).json();
    assert_eq!(publish["visibility"], "public");
    editor.patch(&format!("{path}?validate_only=true"), "*", &json!({ "title": "" })).refused(422, "invalid-body");
    assert!(editor.delete(&format!("{path}?validate_only=true"), "*").expect(200).json()["trashed_at"].is_string());
    assert_eq!(editor.get(&path).expect(200).json(), article);
    assert_eq!(audit_length(&admin), before);
    server.anonymous().get("/api/v1/articles/here").refused(404, "not-found");
    assert_eq!(editor.get(ARTICLES).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn of_one_original_there_is_one_public_article_in_each_language() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let original = create(&editor, &json!({ "title": "Home", "slug": "home" })).json();
    let spanish =
        create(&editor, &json!({ "title": "Casa", "language": "es", "translation_of": original["id"] })).json();
    let of_spanish =
        create(&editor, &json!({ "title": "Maison", "language": "fr", "translation_of": spanish["id"] })).json();
    assert_eq!(of_spanish["translation_of"], original["id"], "a translation of a translation translates the original");
    let second =
        create(&editor, &json!({ "title": "Hogar", "language": "es", "translation_of": original["id"] })).json();
    for (member, value) in [("translation_of", &original["id"]), ("translation_of", &spanish["id"])] {
        editor
            .patch(&path_of(&original), "*", &json!({ member: value }))
            .refused(422, "invalid-body")
            .fault("/translation_of");
    }
    publish(&editor, &spanish);
    let refused =
        editor.post(&format!("{}/publish", path_of(&second)), &json!({ "revision": 1 })).refused(409, "conflict");
    assert_eq!(refused.document["holder"]["id"], spanish["id"]);
    editor.post(&format!("{}/unpublish", path_of(&spanish)), &json!({})).expect(200);
    publish(&editor, &second);
}

#[test]
fn every_write_is_in_the_audit_trail_and_only_public_changes_count() {
    let server = TestServer::start();
    let (editor, admin, anyone) = (server.signed_in(Role::Editor), server.signed_in(Role::Admin), server.anonymous());
    let version = || anyone.get("/api/v1/site").header("content-version").parse::<i64>().unwrap();
    let start = version();
    let article = create(&editor, &json!({ "title": "Logged" })).json();
    let path = path_of(&article);
    let saved = editor.patch(&path, "*", &json!({ "title": "Logged twice" })).expect(200).json();
    assert_eq!(version(), start);
    publish(&editor, &saved);
    assert_eq!(version(), start + 1);
    editor.delete(&format!("{path}?unpublish=true"), "*").expect(204);
    assert_eq!(version(), start + 2);
    let events = admin.get("/api/v1/manage/audit-events?subject_kind=article").json();
    let actions: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["article.trash", "article.unpublish", "article.publish", "article.update", "article.create"]);
    assert!(events["items"].as_array().unwrap().iter().all(|event| event["subject"]["id"] == article["id"]));
}

#[test]
fn working_copies_are_filtered_and_sorted() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    named(&editor, "authors", "Ada");
    let parent = named(&editor, "categories", "Parent");
    editor.post("/api/v1/manage/categories", &json!({ "name": "Child", "parent": parent["id"] })).expect(201);
    let draft =
        create(&editor, &json!({ "title": "B draft", "authors": ["ada"], "tags": ["x"], "categories": ["child"] }))
            .json();
    let public = publish(&editor, &create(&editor, &json!({ "title": "A public", "language": "es" })).json());
    editor.patch(&path_of(&public), "*", &json!({ "subtitle": "new" })).expect(200);
    let ids = |query: &str| -> Vec<Value> {
        let list = editor.get(&format!("{ARTICLES}?{query}")).expect(200).json();
        list["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect()
    };
    let (draft, public) = (draft["id"].clone(), public["id"].clone());
    for query in
        ["status=draft", "author=ada", "tag=x", "category=parent", "slug=b-draft", "language=en", "changed=false"]
    {
        assert_eq!(ids(query), std::slice::from_ref(&draft), "{query}");
    }
    for query in ["status=published", "language=es", "changed=true", "status=published,withdrawn&changed=true"] {
        assert_eq!(ids(query), std::slice::from_ref(&public), "{query}");
    }
    assert_eq!(ids("sort=title"), [public.clone(), draft.clone()]);
    assert_eq!(ids("sort=-title"), [draft.clone(), public.clone()]);
    assert_eq!(ids("sort=created_at"), [draft.clone(), public.clone()]);
    assert_eq!(ids("sort=-published_at,title"), [public, draft]);
    let problem =
        editor.get(&format!("{ARTICLES}?author=nobody&category=nowhere&status=lost")).refused(400, "invalid-query");
    for parameter in ["author", "category", "status"] {
        problem.parameter_fault(parameter);
    }
}

#[test]
fn hostile_bodies_are_refused_clearly_and_lose_nothing() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let deep = format!("{{\"title\":\"x\",\"extra\":{}{}}}", "{\"a\":".repeat(500), "1".to_owned() + &"}".repeat(500));
    for body in
        [r#"{"title":"a\u0000b"}"#, r#"{"title":"a\u0007b"}"#, r#"{"title":7}"#, r#"["title"]"#, "null", "{", &deep]
    {
        let response = editor.request("POST", ARTICLES).body("application/json", body).send();
        assert!([400, 422].contains(&response.status), "{}", response.shown());
        response.problem();
    }
    let long = "x".repeat(1_048_577);
    let problem =
        editor.post(ARTICLES, &json!({ "title": "y".repeat(301), "body_markdown": long })).refused(422, "invalid-body");
    assert_eq!(
        (problem.fault("/title").code.as_str(), problem.fault("/body_markdown").code.as_str()),
        ("too_long", "too_long")
    );
    assert_eq!(editor.get(ARTICLES).json()["items"], json!([]));
    for markdown in ["[".repeat(100_000), "<div>".repeat(50_000), "> ".repeat(50_000), "\u{202e}\u{feff}👩‍👩‍👧".to_owned()]
    {
        create(&editor, &json!({ "title": "Fine", "body_markdown": markdown }));
    }
}

#[test]
fn parallel_editors_never_overwrite_each_other() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let path = path_of(&create(&editor, &json!({ "title": "Contested" })).json());
    for round in 1..=3 {
        let tag = format!("\"v{round}\"");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..12)
                .map(|number| {
                    let (editor, path, tag) = (editor.clone(), &path, &tag);
                    let change = json!({ "subtitle": format!("{round}-{number}") });
                    scope.spawn(move || editor.patch(path, tag, &change).status)
                })
                .collect();
            tries.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
    }
}

#[test]
fn whatever_is_there_is_never_refused_for_having_changed() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let path = path_of(&create(&editor, &json!({ "title": "Busy" })).json());
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (editor, path) = (editor.clone(), &path);
            scope.spawn(move || {
                for round in 0..4 {
                    let change = json!({ "extra": { format!("{thread}-{round}"): true } });
                    editor.patch(path, "*", &change).expect(200);
                }
            });
        }
    });
    let extra = editor.get(&path).expect(200).json()["extra"].clone();
    assert_eq!(extra.as_object().unwrap().len(), 24, "no save overwrote another: {extra}");
}

#[test]
fn times_that_can_not_be_written_back_are_refused() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for time in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
        let body = json!({ "title": "Never", "reviewed_at": time });
        editor.post(ARTICLES, &body).refused(422, "invalid-body");
    }
    editor.get(ARTICLES).expect(200);
}

#[test]
fn an_older_revision_is_not_published_with_what_is_gone() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let (ghost, doomed) = (named(&editor, "authors", "Ghost"), named(&editor, "categories", "Doomed"));
    let body = json!({ "title": "Older", "authors": ["ghost"], "categories": ["doomed"], "reviewed_by": "ghost" });
    let article = create(&editor, &body).json();
    let path = path_of(&article);
    editor.patch(&path, "*", &json!({ "authors": null, "categories": null, "reviewed_by": null })).expect(200);
    for (kind, gone) in [("authors", &ghost), ("categories", &doomed)] {
        editor.delete(&format!("/api/v1/manage/{kind}/{}", gone["id"].as_str().unwrap()), "*").expect(204);
    }
    let problem = editor.post(&format!("{path}/publish"), &json!({ "revision": 1 })).refused(409, "conflict");
    for pointer in ["/authors/0", "/categories/0", "/reviewed_by"] {
        assert_eq!(problem.fault(pointer).code, "not_found");
    }
    editor.post(&format!("{path}/publish"), &json!({ "revision": 2 })).expect(200);
}

#[test]
fn a_taken_slug_tells_no_more_than_what_is_public_of_anothers_article() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let contributor = server.signed_in(Role::Contributor);
    let article = publish(&editor, &create(&editor, &json!({ "title": "Known", "slug": "known" })).json());
    let secret = json!({ "title": "SECRET merger", "slug": "secret-merger" });
    editor.patch(&path_of(&article), "*", &secret).expect(200);
    let problem = contributor.post(ARTICLES, &json!({ "title": "A", "slug": "secret-merger" }));
    assert_eq!(problem.refused(409, "slug-taken").document["holder"], Value::Null);
    let problem = contributor.post(ARTICLES, &json!({ "title": "A", "slug": "known" })).refused(409, "slug-taken");
    assert_eq!(problem.document["holder"]["title"], "Known");
}

#[test]
fn a_translation_does_not_disclose_what_anothers_draft_translates() {
    let server = TestServer::start();
    let (editor, contributor) = (server.signed_in(Role::Editor), server.signed_in(Role::Contributor));
    let draft = create(&editor, &json!({ "title": "Secret draft" })).json();
    let public = publish(&editor, &create(&editor, &json!({ "title": "Public" })).json());
    editor.patch(&path_of(&public), "*", &json!({ "translation_of": draft["id"] })).expect(200);
    let body = json!({ "title": "Mine", "language": "fr", "translation_of": public["id"] });
    assert_eq!(create(&contributor, &body).json()["translation_of"], public["id"]);
}

#[test]
fn two_articles_never_become_translations_of_each_other() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for round in 0..5 {
        let [a, b] = ["a", "b"].map(|name| create(&editor, &json!({ "title": format!("{name}{round}") })).json());
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let pairs = [(&a, &b), (&b, &a)];
            let tries = pairs.map(|(one, other)| {
                let (editor, change) = (editor.clone(), json!({ "translation_of": other["id"] }));
                scope.spawn(move || editor.patch(&path_of(one), "*", &change).status)
            });
            tries.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert!(statuses.contains(&422), "{statuses:?}");
    }
}

#[test]
fn languages_are_kept_in_one_case() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let original = publish(&editor, &create(&editor, &json!({ "title": "Original" })).json());
    let mut drafts = ["pt-br", "PT-BR"].map(|language| {
        let body = json!({ "title": language, "language": language, "translation_of": original["id"] });
        create(&editor, &body).json()
    });
    assert!(drafts.iter().all(|draft| draft["language"] == "pt-BR"));
    publish(&editor, &drafts[0]);
    drafts[1] = editor.get(&path_of(&drafts[1])).json();
    let body = json!({ "revision": drafts[1]["revision"] });
    editor.post(&format!("{}/publish", path_of(&drafts[1])), &body).refused(409, "conflict");
    let listed = server.anonymous().get("/api/v1/articles?language=pt-br").expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[test]
fn control_characters_are_refused_wherever_text_goes_to_readers() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({
        "title": "A", "excerpt": "e\u{1}x", "body_markdown": "a\u{7}b", "extra": { "deep": ["x\u{1b}"] },
    });
    let problem = editor.post(ARTICLES, &body).refused(422, "invalid-body");
    for pointer in ["/excerpt", "/body_markdown", "/extra/deep/0"] {
        assert_eq!(problem.fault(pointer).code, "control_character", "{}", problem.document);
    }
    create(&editor, &json!({ "title": "A", "excerpt": "two\nlines\tand a tab", "body_markdown": "a\r\nb" }));
}

#[test]
fn a_patch_is_strict_about_what_it_touches_alone() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let article = create(&editor, &json!({ "title": "A", "body_markdown": "<script>x</script>b" })).json();
    let patch = |body: &Value| {
        let request = editor.request("PATCH", &path_of(&article)).header("if-match", "*");
        request.header("prefer", "handling=strict").json(body).send()
    };
    patch(&json!({ "subtitle": "Fine" })).expect(200);
    patch(&json!({ "body_markdown": "<script>y</script>c" })).refused(422, "unsafe-content");
}

#[test]
fn a_withdrawal_needs_no_body() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let article = publish(&editor, &create(&editor, &json!({ "title": "Out" })).json());
    let answer = editor.request("POST", &format!("{}/unpublish", path_of(&article))).send().expect(200);
    assert_eq!(answer.json()["visibility"], "withdrawn");
}

#[test]
fn many_links_in_one_article_break_no_list() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let link = |number| format!("[a](article:{})\n", uuid::Uuid::from_u128(number));
    let links = (0..17_000).map(link).collect::<Vec<_>>().concat();
    for title in ["One", "Two"] {
        let body = json!({ "title": title, "body_markdown": format!("{links}{title}") });
        publish(&editor, &create(&editor, &body).json());
    }
    for include in ["body_html", "seo", "body_markdown"] {
        server.anonymous().get(&format!("/api/v1/articles?include={include}")).expect(200);
    }
}
