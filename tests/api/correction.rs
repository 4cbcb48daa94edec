//! Corrections: what is public is changed at once, and a rewrite that waits in the working copy is not lost.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{audit_events, by_account, eventually, last_audit_event, pass};

const DOSE: &str = "Take at most 20 mg a day.";

/// A public article whose working copy is being rewritten.
fn with_rewrite(server: &TestServer, rewrite: &Value) -> Work {
    let body = json!({ "title": "Doses", "slug": "doses", "body_markdown": format!("{DOSE} Drink water.") });
    let work = Work::begin(server.signed_in(Role::Editor), &body);
    work.publish();
    if *rewrite != json!({}) {
        work.client.patch(&work.path, "*", rewrite).expect(200);
    }
    work
}

fn dose(with: &str) -> Value {
    json!({ "pointer": "/body_markdown", "find": "20 mg", "with": with })
}

fn public_text(server: &TestServer) -> String {
    let article = server.anonymous().get("/api/v1/articles/doses?include=body_markdown").expect(200).json();
    article["body_markdown"].as_str().unwrap().to_owned()
}

fn warned(working_copy: &Value) -> Vec<&str> {
    working_copy["warnings"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect()
}

#[test]
fn a_correction_is_public_at_once_and_in_the_rewrite_too() {
    let server = TestServer::start();
    let rewrite =
        json!({ "title": "Doses, anew", "body_markdown": format!("A new beginning.\n\n{DOSE}\n\nHalf a sen") });
    let work = with_rewrite(&server, &rewrite);
    let account = server.account(Role::Editor);
    let body = json!({ "base_revision": 1, "replace": [dose("2 mg")] });
    let corrected = work.try_as(&server.sign_in(&account), "correct", &body).expect(200);
    assert_eq!(corrected.etag(), work.client.get(&work.path).expect(200).etag());
    let corrected = corrected.json();
    assert_eq!(public_text(&server), "Take at most 2 mg a day. Drink water.");
    assert_eq!(corrected["body_markdown"], "A new beginning.\n\nTake at most 2 mg a day.\n\nHalf a sen");
    assert_eq!((&corrected["title"], &corrected["changed"]), (&json!("Doses, anew"), &json!(true)));
    assert_eq!((&corrected["revision"], &corrected["published"]["revision"]), (&json!(4), &json!(3)));
    assert_eq!(warned(&corrected), Vec::<&str>::new());
    assert_eq!(last_audit_event(&server, "article.correct").0, by_account(&account));
    // Each revision says what it was made from, and differs from that by the correction alone.
    for number in [3, 4] {
        let diff = work.client.get(&format!("{}/revisions/{number}/diff", work.path)).expect(200).json();
        assert_eq!((&diff["from"], diff["changes"].as_array().unwrap().len()), (&json!(number - 2), 1), "{diff}");
    }
    let public = server.anonymous().get("/api/v1/articles/doses").expect(200).json();
    assert_eq!((&public["title"], &public["published_at"]), (&json!("Doses"), &corrected["published"]["published_at"]));
}

#[test]
fn without_a_rewrite_the_corrected_revision_is_the_working_copy() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({}));
    let body =
        json!({ "base_revision": 1, "replace": [dose("2 mg")], "set": { "reviewed_at": "2026-01-01T00:00:00Z" } });
    let corrected = work.does("correct", &body);
    assert_eq!((&corrected["revision"], &corrected["changed"]), (&json!(2), &json!(false)));
    assert_eq!(corrected["published"]["revision"], 2);
    let list = work.client.get(&format!("{}/revisions", work.path)).expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    // What changes nothing makes no revision, and an idle correction is none.
    let again = work.does("correct", &json!({ "base_revision": 2, "set": { "title": "Doses" } }));
    assert_eq!((&again["revision"], audit_events(&server, "article.correct").len()), (&json!(2), 1));
}

#[test]
fn where_the_rewrite_has_something_else_it_stays_as_it_is_and_a_warning_says_so() {
    let server = TestServer::start();
    let rewrite =
        json!({ "title": "Mine", "body_markdown": "20 mg in the morning, 20 mg at night.", "tags": ["sleep"] });
    let work = with_rewrite(&server, &rewrite);
    let set = json!({ "title": "Doses of it", "subtitle": "Corrected", "seo": { "title": "Doses" } });
    let corrected = work.does("correct", &json!({ "base_revision": 1, "replace": [dose("2 mg")], "set": set }));
    assert_eq!(warned(&corrected), ["/body_markdown", "/title"]);
    assert_eq!((&corrected["title"], &corrected["body_markdown"]), (&rewrite["title"], &rewrite["body_markdown"]));
    assert_eq!((&corrected["subtitle"], &corrected["seo"]["title"]), (&json!("Corrected"), &json!("Doses")));
    assert_eq!(corrected["tags"], json!(["sleep"]));
    let public = server.anonymous().get("/api/v1/articles/doses").expect(200).json();
    assert_eq!((&public["title"], &public["tags"]), (&json!("Doses of it"), &json!([])));

    // Nothing applies: the working copy keeps its number, and the next save has one of its own.
    let only_text =
        json!({ "base_revision": 3, "replace": [{ "pointer": "/title", "find": "of it", "with": "of that" }] });
    let corrected = work.does("correct", &only_text);
    assert_eq!((&corrected["revision"], &corrected["published"]["revision"]), (&json!(4), &json!(5)));
    let saved = work.client.patch(&work.path, "*", &json!({ "subtitle": "Later" })).expect(200).json();
    assert_eq!(saved["revision"], 6);
    let diff = work.client.get(&format!("{}/revisions/6/diff", work.path)).expect(200).json();
    assert_eq!((&diff["from"], &diff["changes"][0]["pointer"]), (&json!(4), &json!("/subtitle")));
}

#[test]
fn a_correction_that_is_not_exact_changes_nothing() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({ "subtitle": "Rewritten" }));
    let replace = |pointer: &str, find: &str, with: &str| json!({ "pointer": pointer, "find": find, "with": with });
    let try_it = |body: Value| work.try_as(&work.client, "correct", &body);
    let refused = try_it(json!({ "base_revision": 1, "replace": [
        replace("/body_markdown", "40 mg", "x"),
        replace("/body_markdown", " ", "x"),
        replace("/tags", "x", "y"),
        replace("/nothing", "x", "y"),
        replace("/body_markdown", "Drink", "Sip"),
    ] }))
    .refused(422, "invalid-body");
    assert_eq!(refused.fault("/replace/0/find").code, "not_found");
    assert_eq!(refused.fault("/replace/1/find").code, "ambiguous");
    assert_eq!(refused.fault("/replace/2/pointer").code, "not_found");
    assert_eq!((refused.fault("/replace/3/pointer").code, refused.faults().len()), ("not_found".to_owned(), 4));
    let twice = json!({ "base_revision": 1, "replace": [replace("/title", "Doses", " ")] });
    try_it(twice).refused(422, "invalid-body").fault("/replace/0/with");
    for (set, pointer) in [
        (json!({ "title": "" }), "/set/title"),
        (json!({ "titel": "x" }), "/set/titel"),
        (json!({ "authors": ["x"] }), "/set/authors/0"),
    ] {
        try_it(json!({ "base_revision": 1, "set": set })).refused(422, "invalid-body").fault(pointer);
    }
    try_it(json!({ "replace": [] })).refused(422, "invalid-body").fault("/base_revision");
    try_it(json!({ "base_revision": 2, "set": { "title": "x" } })).refused(409, "conflict");
    let image = json!({ "hero_image": { "url": "/a.jpg" } });
    try_it(json!({ "base_revision": 1, "set": image })).refused(409, "conflict").fault("/hero_image/alt");
    let script = json!({ "base_revision": 1, "replace": [replace("/body_markdown", "Drink", "<script>x</script>")] });
    let strict = work.client.request("POST", &format!("{}/correct", work.path)).header("prefer", "handling=strict");
    strict.json(&script).send().refused(422, "unsafe-content");
    let tried = work.try_as(
        &work.client,
        "correct?validate_only=true",
        &json!({ "base_revision": 1, "replace": [dose("2 mg")] }),
    );
    assert!(tried.expect(200).json()["body_markdown"].as_str().unwrap().contains("2 mg a day"));
    assert_eq!((public_text(&server), &work.now()["revision"]), (format!("{DOSE} Drink water."), &json!(2)));
    assert!(audit_events(&server, "article.correct").is_empty());
}

#[test]
fn only_what_is_public_is_corrected_and_only_by_who_may_publish_it() {
    let server = TestServer::start();
    let draft = Work::begin(server.signed_in(Role::Author), &json!({ "title": "A draft" }));
    let body = json!({ "base_revision": 1, "set": { "title": "x" } });
    assert!(draft.try_as(&draft.client, "correct", &body).refused(409, "conflict").detail().contains("PATCH"));
    draft.publish();
    draft.does("correct", &body);
    let work = with_rewrite(&server, &json!({}));
    work.try_as(&server.signed_in(Role::Author), "correct", &body).refused(404, "not-found");
    work.try_as(&server.signed_in(Role::Contributor), "correct", &body).refused(403, "forbidden");
    work.does("unpublish", &json!({}));
    work.try_as(&work.client, "correct", &body).refused(409, "conflict");
    work.does("archive", &json!({}));
    assert!(work.try_as(&work.client, "correct", &body).refused(409, "conflict").detail().contains("restore"));
}

#[test]
fn a_correction_says_what_happens_to_what_is_scheduled() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({ "title": "Doses, anew" }));
    let at = |seconds: i64| server.app.clock.now().plus_seconds(seconds);
    work.does("publish", &json!({ "revision": 2, "publish_at": at(600) }));
    let correct = |base: i64, find: &str, with: &str, choice: Value| {
        let replace = json!([{ "pointer": "/body_markdown", "find": find, "with": with }]);
        work.try_as(&work.client, "correct", &json!({ "base_revision": base, "replace": replace, "schedule": choice }))
    };
    let refused = correct(1, "20 mg", "2 mg", Value::Null).refused(409, "conflict");
    assert!(refused.detail().contains("keep") && refused.detail().contains("cancel"), "{}", refused.detail());
    let kept = correct(1, "20 mg", "2 mg", json!("keep")).expect(200).json();
    assert_eq!(kept["schedule"]["revision"], kept["revision"], "what comes out has the correction, too");
    let cancelled = correct(3, "2 mg", "3 mg", json!("cancel")).expect(200).json();
    assert_eq!(cancelled["schedule"], Value::Null);
    // What only goes at its time still does, whatever was corrected.
    let public = cancelled["published"]["revision"].as_i64().unwrap();
    work.does("publish", &json!({ "revision": public, "unpublish_at": at(600) }));
    let corrected = correct(public, "3 mg", "4 mg", Value::Null).expect(200).json();
    assert_eq!(corrected["schedule"]["revision"], corrected["published"]["revision"]);
    assert_eq!(public_text(&server), "Take at most 4 mg a day. Drink water.");
    pass(&server, 601);
    eventually("it goes", || (server.anonymous().get("/api/v1/articles/doses").status == 410).then_some(()));
}

#[test]
fn a_corrected_slug_leads_on_from_the_former_one() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({ "subtitle": "Rewritten" }));
    let corrected = work.does("correct", &json!({ "base_revision": 1, "set": { "slug": "doses-of-it" } }));
    assert_eq!((&corrected["slug"], &corrected["published"]["slug"]), (&json!("doses-of-it"), &json!("doses-of-it")));
    let moved = server.anonymous().get("/api/v1/articles/doses").expect(308);
    assert_eq!(moved.header("location"), "/api/v1/articles/doses-of-it");
    work.client.post("/api/v1/manage/articles", &json!({ "title": "x", "slug": "taken" })).expect(201);
    let taken = json!({ "base_revision": 3, "set": { "slug": "taken" } });
    work.try_as(&work.client, "correct", &taken).refused(409, "slug-taken");
}

#[test]
fn a_correction_without_a_slug_makes_one_and_one_without_a_title_changes_nothing() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({ "subtitle": "Rewritten" }));
    let corrected = work.does("correct", &json!({ "base_revision": 1, "set": { "slug": null, "title": "New doses" } }));
    assert_eq!(corrected["published"]["slug"], "new-doses");
    server.anonymous().get("/api/v1/articles/new-doses").expect(200);
    let refused = work.try_as(&work.client, "correct", &json!({ "base_revision": 3, "set": { "title": null } }));
    refused.refused(422, "invalid-body").fault("/set/title");
}

#[test]
fn the_same_words_in_another_sentence_are_not_corrected() {
    let server = TestServer::start();
    let work = with_rewrite(&server, &json!({ "body_markdown": "Drug B: up to 20 mg a day." }));
    let corrected = work.does("correct", &json!({ "base_revision": 1, "replace": [dose("2 mg")] }));
    assert_eq!(
        (warned(&corrected), &corrected["body_markdown"]),
        (vec!["/body_markdown"], &json!("Drug B: up to 20 mg a day."))
    );
    assert_eq!(public_text(&server), "Take at most 2 mg a day. Drink water.");
}

#[test]
fn what_comes_out_later_comes_out_corrected() {
    let server = TestServer::start();
    for is_working_copy in [true, false] {
        let slug = format!("doses-{is_working_copy}");
        let body = json!({ "title": "Doses", "slug": slug, "body_markdown": format!("{DOSE} Drink water.") });
        let work = Work::begin(server.signed_in(Role::Editor), &body);
        work.publish();
        work.client.patch(&work.path, "*", &json!({ "title": "Doses, anew" })).expect(200);
        work.does("publish", &json!({ "revision": 2, "publish_at": server.app.clock.now().plus_seconds(600) }));
        if !is_working_copy {
            work.client.patch(&work.path, "*", &json!({ "title": "Half done", "body_markdown": "Half" })).expect(200);
        }
        let body = json!({ "base_revision": 1, "replace": [dose("2 mg")], "schedule": "keep" });
        let corrected = work.does("correct", &body);
        assert_ne!(corrected["schedule"]["revision"], 2);
        pass(&server, 601);
        let article = eventually("it comes out", || {
            let article =
                server.anonymous().get(&format!("/api/v1/articles/{slug}?include=body_markdown")).expect(200).json();
            Some(article).filter(|article| article["title"] == "Doses, anew")
        });
        assert_eq!(article["body_markdown"], "Take at most 2 mg a day. Drink water.");
    }
    // Where it can't be corrected there, a warning says so.
    let work = with_rewrite(&server, &json!({ "body_markdown": "Something else." }));
    work.does("publish", &json!({ "revision": 2, "publish_at": server.app.clock.now().plus_seconds(600) }));
    let body = json!({ "base_revision": 1, "replace": [dose("2 mg")], "schedule": "keep" });
    assert!(warned(&work.does("correct", &body)).contains(&"/schedule"));
}

#[test]
fn a_bound_on_revisions_spares_what_is_corrected_and_checks_ask_about_what_is_new() {
    let server = TestServer::start_with(|config| {
        config.most_revisions = Some(1);
        config.blocking_checks = vec![copydesk::config::Check::EmptyLink];
    });
    let work = with_rewrite(&server, &json!({ "subtitle": "Rewritten" }));
    let corrected = work.does("correct", &json!({ "base_revision": 1, "replace": [dose("2 mg")] }));
    let public = corrected["published"]["revision"].as_i64().unwrap();
    work.client.get(&format!("{}/revisions/{public}", work.path)).expect(200);
    let corrected = work.does(
        "correct",
        &json!({ "base_revision": public, "replace": [
        { "pointer": "/body_markdown", "find": "2 mg", "with": "3 mg" },
    ] }),
    );
    let public = corrected["published"]["revision"].clone();
    let broken = json!({ "base_revision": public, "set": { "body_markdown": "[](/x)" } });
    let refused = work.try_as(&work.client, "correct", &broken).refused(409, "conflict");
    assert_eq!(refused.fault("/body_markdown").code, "empty_link");
}

#[test]
fn strictness_is_about_what_is_corrected() {
    let server = TestServer::start();
    let body = json!({ "title": "Doses", "body_markdown": "<script>x</script>Text." });
    let work = Work::begin(server.signed_in(Role::Editor), &body);
    work.publish();
    let strict = |body: &Value| {
        let request =
            work.client.request("POST", &format!("{}/correct", work.path)).header("prefer", "handling=strict");
        request.json(body).send()
    };
    strict(&json!({ "base_revision": 1, "set": { "title": "Other" } })).expect(200);
    let touching =
        json!({ "base_revision": 2, "replace": [{ "pointer": "/body_markdown", "find": "Text", "with": "Words" }] });
    strict(&touching).refused(422, "unsafe-content");
}
