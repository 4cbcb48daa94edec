//! Quality checks, what links to an article, and what keeps one from being published.

use copydesk::auth::Role;
use copydesk::config::Check;
use serde_json::{Value, json};

use crate::harness::TestServer;
use crate::lifecycle::Work;

fn checks(work: &Work) -> Value {
    work.client.get(&format!("{}/checks", work.path)).expect(200).json()
}

fn found(checks: &Value) -> Vec<(&str, &str)> {
    let findings = checks["findings"].as_array().unwrap();
    findings.iter().map(|one| (one["check"].as_str().unwrap(), one["pointer"].as_str().unwrap())).collect()
}

#[test]
fn what_should_be_looked_at_is_told() {
    let server = TestServer::start();
    let editor = || server.signed_in(Role::Editor);
    let public = Work::begin(editor(), &json!({ "title": "Public", "slug": "public" }));
    public.publish();
    public.client.patch(&public.path, "*", &json!({ "slug": "renamed" })).expect(200);
    public.publish();
    let draft = Work::begin(editor(), &json!({ "title": "Draft", "slug": "draft" }));
    let site = &server.app.config.site_url;
    let body = format!(
        "#### Deep\n\n![](/a.png)\n\n[](/about) [ok](article:{}) [former](/articles/public?x=1) [hidden](article:{}) \
         [hidden too]({site}/articles/draft) [gone](article:019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1) \
         [never](/articles/never#top) [page](/about) [away](https://example.org/articles/never)",
        public.id, draft.id
    );
    let article = json!({
        "title": "x".repeat(61), "slug": "checked", "body_markdown": body, "hero_image": { "url": "/h.jpg" },
        "seo": { "description": "x".repeat(161) }, "reviewed_at": "2020-01-01T00:00:00Z",
    });
    let work = Work::begin(editor(), &article);
    let told = checks(&work);
    let body = "/body_markdown";
    assert_eq!(
        found(&told),
        [
            ("no_author", "/authors"),
            ("missing_alt", "/hero_image/alt"),
            ("missing_alt", body),
            ("heading_skip", body),
            ("empty_link", body),
            ("long_seo_title", "/title"),
            ("long_seo_description", "/seo/description"),
            ("overdue_review", "/reviewed_at"),
            ("link_to_not_public", body),
            ("link_to_not_public", body),
            ("broken_link", body),
            ("broken_link", body),
        ]
    );
    assert!(told["findings"].as_array().unwrap().iter().all(|one| one["blocking"] == false));
    assert_eq!((&told["revision"], &told["linked_from"]["public_count"]), (&json!(1), &json!(0)));
    work.client.patch(&work.path, "*", &json!({ "title": "Short", "body_markdown": "## Fine" })).expect(200);
    assert_eq!(found(&checks(&work)).len(), 4);
    work.client.patch(&work.path, "*", &json!({ "body_markdown": "" })).expect(200);
    assert_eq!(found(&checks(&work))[0], ("no_text", body));
    let first = work.client.get(&format!("{}/checks?revision=1", work.path)).expect(200).json();
    assert_eq!(found(&first).len(), 12);
    for query in ["revision=9", "revision=0", "rev=1"] {
        work.client.get(&format!("{}/checks?{query}", work.path)).refused(400, "invalid-query");
    }
    server.signed_in(Role::Author).get(&format!("{}/checks", work.path)).refused(404, "not-found");
}

#[test]
fn what_a_setting_marks_as_blocking_is_not_published() {
    let server = TestServer::start_with(|config| config.blocking_checks = vec![Check::EmptyLink, Check::BrokenLink]);
    let body = json!({ "title": "One", "body_markdown": "#### Deep [](/x) [never](/articles/never)" });
    let work = Work::begin(server.signed_in(Role::Editor), &body);
    let told = checks(&work);
    let blocking: Vec<_> = told["findings"].as_array().unwrap().iter().map(|one| one["blocking"] == true).collect();
    assert_eq!(blocking, [false, false, true, true]);
    let later = server.app.clock.now().plus_seconds(600);
    for publish in [json!({ "revision": 1 }), json!({ "revision": 1, "publish_at": later })] {
        let refused = work.try_as(&work.client, "publish", &publish).refused(409, "conflict");
        let codes: Vec<_> = refused.faults().iter().map(|fault| fault["code"].as_str().unwrap()).collect();
        assert_eq!(codes, ["empty_link", "broken_link"]);
    }
    let bulk = json!({ "operations": [{ "op": "publish", "id": work.id, "revision": 1 }] });
    work.client.post("/api/v1/manage/articles/bulk", &bulk).refused(422, "bulk-failed");
    work.client.patch(&work.path, "*", &json!({ "body_markdown": "#### Deep [x](/x)" })).expect(200);
    work.does("publish", &json!({ "revision": 2 }));
}

#[test]
fn what_links_to_an_article_is_told_before_it_goes() {
    let server = TestServer::start();
    let editor = || server.signed_in(Role::Editor);
    let target = Work::begin(editor(), &json!({ "title": "Target", "slug": "target" }));
    target.publish();
    let site = server.app.config.site_url.clone();
    let linking = |title: &str, link: &str| {
        Work::begin(editor(), &json!({ "title": title, "body_markdown": format!("See [this]({link}).") }))
    };
    let by_id = linking("By id", &format!("article:{}", target.id));
    let by_path = linking("By path", "/articles/target#top");
    linking("By address", &format!("{site}/articles/target?from=here"));
    linking("Elsewhere", "/articles/other");
    by_id.publish();
    by_path.publish();
    // What is public keeps its link, although the working copy has lost it.
    by_path.client.patch(&by_path.path, "*", &json!({ "body_markdown": "No more." })).expect(200);
    target.client.patch(&target.path, "*", &json!({ "slug": "renamed" })).expect(200);
    target.publish();
    let linked_from = checks(&target)["linked_from"].clone();
    let items: Vec<_> = linked_from["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["title"].as_str().unwrap(), one["public"] == true, one["working_copy"] == true))
        .collect();
    assert_eq!(items, [("By id", true, true), ("By path", true, false), ("By address", false, true)]);
    assert_eq!(linked_from["public_count"], 2);

    let tried =
        target.client.delete(&format!("{}?unpublish=true&validate_only=true", target.path), "*").expect(200).json();
    assert!(tried["warnings"][0]["reason"].as_str().unwrap().starts_with("2 public articles"), "{tried}");
    by_path.does("unpublish", &json!({}));
    let gone = target.does("unpublish", &json!({}));
    assert!(gone["warnings"][0]["reason"].as_str().unwrap().starts_with("One public article"), "{gone}");

    // An author sees what is public, and of drafts the own ones.
    let author = server.sign_in(&server.account(Role::Author));
    let own = Work::begin(author.clone(), &json!({ "title": "Own" }));
    let public = linking("Public", &format!("article:{}", own.id));
    public.publish();
    linking("Hidden", &format!("article:{}", own.id));
    let mine = Work::begin(author, &json!({ "title": "Mine", "body_markdown": format!("[x](article:{})", own.id) }));
    let told = checks(&own)["linked_from"].clone();
    let titles: Vec<_> = told["items"].as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Public", "Mine"]);
    mine.delete(&mine.client, "").expect(204);
    assert_eq!(checks(&own)["linked_from"]["items"].as_array().unwrap().len(), 1);
}

#[test]
fn checks_tell_nothing_of_what_one_may_not_know() {
    let server = TestServer::start();
    let hidden = Work::begin(server.signed_in(Role::Editor), &json!({ "title": "Hidden", "slug": "hidden" }));
    let body = format!("[a](/articles/hidden) [b](/articles/nothing) [c](article:{})", hidden.id);
    let work = Work::begin(server.signed_in(Role::Contributor), &json!({ "title": "Mine", "body_markdown": body }));
    let body = "/body_markdown";
    let nowhere = ("broken_link", body);
    assert_eq!(found(&checks(&work)), [("no_author", "/authors"), nowhere, nowhere, nowhere]);
    hidden.publish();
    hidden.does("unpublish", &json!({}));
    assert_eq!(found(&checks(&work))[1], ("link_to_not_public", body), "everybody knows that it was there");
}

#[test]
fn a_text_full_of_links_is_checked_in_time() {
    let server = TestServer::start();
    let body = (0..20_000).map(|number| format!("[](/articles/x{number})")).collect::<Vec<_>>().join(" ");
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let work = Work::begin(editor, &json!({ "title": "Links", "body_markdown": body, "authors": ["maya"] }));
    let told = checks(&work);
    assert!(told["findings"].as_array().unwrap().len() <= 100);
    work.publish();
}
