//! Delivery: what anyone reads, how it is listed and cached, and what never shows.

use std::collections::HashSet;
use std::time::Duration;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestServer;

const LIST: &str = "/api/v1/articles";

/// Creates and publishes an article and gives its working copy.
fn published(editor: &Client, body: &Value) -> Value {
    let article = editor.post("/api/v1/manage/articles", body).expect(201).json();
    publish(editor, &article, 1)
}

fn manage(article: &Value) -> String {
    format!("/api/v1/manage/articles/{}", article["id"].as_str().unwrap())
}

fn publish(editor: &Client, article: &Value, revision: i64) -> Value {
    editor.post(&format!("{}/publish", manage(article)), &json!({ "revision": revision })).expect(200).json()
}

/// Changes a public article and publishes the change.
fn republished(editor: &Client, article: &Value, change: &Value) -> Value {
    let saved = editor.patch(&manage(article), "*", change).expect(200).json();
    publish(editor, article, saved["revision"].as_i64().unwrap())
}

fn slugs(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["slug"].as_str().unwrap().to_owned()).collect()
}

/// The target of a relation in a `Link` header.
fn link(header: &str, relation: &str) -> Option<String> {
    let found = header.split(", ").find(|part| part.ends_with(&format!("rel=\"{relation}\"")))?;
    Some(found.split(['<', '>']).nth(1).unwrap().to_owned())
}

#[test]
fn filters_hold_alone_and_together() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for name in ["Ada", "Bo"] {
        editor.post("/api/v1/manage/authors", &json!({ "name": name })).expect(201);
    }
    let parent = editor.post("/api/v1/manage/categories", &json!({ "name": "Parent" })).expect(201).json();
    for (name, parent) in [("Child", &parent["id"]), ("Other", &Value::Null)] {
        editor.post("/api/v1/manage/categories", &json!({ "name": name, "parent": parent })).expect(201);
    }
    for (slug, author, category, tags, language, date) in [
        ("one", "ada", "child", json!(["x", "y"]), "en", "2026-01-01T00:00:00Z"),
        ("two", "bo", "parent", json!(["y"]), "en", "2026-02-01T00:00:00Z"),
        ("three", "ada", "other", json!(["z"]), "en", "2026-03-01T00:00:00Z"),
        ("cuatro", "bo", "other", json!(["x"]), "es", "2026-04-01T00:00:00Z"),
    ] {
        let body = json!({ "title": slug, "slug": slug, "authors": [author], "categories": [category], "tags": tags,
            "language": language, "published_at": date });
        published(&editor, &body);
    }
    for (query, expected) in [
        ("", vec!["three", "two", "one"]),
        ("language=*", vec!["cuatro", "three", "two", "one"]),
        ("language=es,en&sort=published_at", vec!["one", "two", "three", "cuatro"]),
        ("language=es", vec!["cuatro"]),
        ("category=parent", vec!["two", "one"]),
        ("category=child", vec!["one"]),
        ("category=child,other", vec!["three", "one"]),
        ("category=child&category=other", vec!["three", "one"]),
        ("author=ada", vec!["three", "one"]),
        ("author=ada&category=parent", vec!["one"]),
        ("tag=y", vec!["two", "one"]),
        ("tag=x&tag=z", vec!["three", "one"]),
        ("tag=y&author=bo&category=parent", vec!["two"]),
        ("tag=nothing-has-it", vec![]),
        ("published_after=2026-01-01T00:00:00Z", vec!["three", "two"]),
        ("published_before=2026-02-01T00:00:00Z", vec!["one"]),
        ("published_after=2026-01-15T00:00:00Z&published_before=2026-02-15T00:00:00Z", vec!["two"]),
        ("exclude=one,two", vec!["three"]),
        ("exclude=nothing&tag=y", vec!["two", "one"]),
        ("sort=title", vec!["one", "three", "two"]),
        ("sort=-title&category=parent", vec!["two", "one"]),
        ("sort=updated_at", vec!["one", "two", "three"]),
        ("sort=-updated_at,title", vec!["three", "two", "one"]),
    ] {
        let list = anyone.get(&format!("{LIST}?{query}")).expect(200).json();
        assert_eq!(slugs(&list), expected, "{query}");
        let separator = if query.is_empty() { "" } else { "&" };
        let numbered = anyone.get(&format!("{LIST}?{query}{separator}page=1")).expect(200).json();
        assert_eq!(numbered["page"]["total_items"], expected.len(), "{query}");
    }
    let id = anyone.get("/api/v1/articles/one").json()["id"].as_str().unwrap().to_owned();
    assert_eq!(slugs(&anyone.get(&format!("{LIST}?exclude={id}")).json()), ["three", "two"]);
}

#[test]
fn faults_of_a_query_come_at_once_also_those_that_only_the_database_knows() {
    let server = TestServer::start();
    let query =
        "category=nowhere&author=nobody&limit=0&sort=title,-title&page=1&cursor=x&published_after=yesterday&colour=red";
    let problem = server.anonymous().get(&format!("{LIST}?{query}")).refused(400, "invalid-query");
    for (parameter, code) in [
        ("category", "not_found"),
        ("author", "not_found"),
        ("limit", "too_small"),
        ("sort", "duplicate"),
        ("page", "conflict"),
        ("published_after", "format"),
        ("colour", "unknown_parameter"),
    ] {
        assert_eq!(problem.parameter_fault(parameter).code, code, "{parameter}");
    }
}

#[test]
fn former_slugs_of_authors_and_categories_filter_like_the_present_ones() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let author = editor.post("/api/v1/manage/authors", &json!({ "name": "Ada" })).expect(201).json();
    let category = editor.post("/api/v1/manage/categories", &json!({ "name": "Sleep" })).expect(201).json();
    published(&editor, &json!({ "title": "Rest", "slug": "rest", "authors": ["ada"], "categories": ["sleep"] }));
    for (kind, resource) in [("authors", &author), ("categories", &category)] {
        let path = format!("/api/v1/manage/{kind}/{}", resource["id"].as_str().unwrap());
        editor.patch(&path, "*", &json!({ "slug": "renamed" })).expect(200);
    }
    for query in ["author=ada", "author=renamed", "category=sleep", "category=renamed", "author=ada&category=sleep"] {
        assert_eq!(slugs(&anyone.get(&format!("{LIST}?{query}")).expect(200).json()), ["rest"], "{query}");
    }
}

#[test]
fn a_walk_by_cursor_sees_each_article_once_while_others_write() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let articles: Vec<Value> = (0..23)
        .map(|number| published(&editor, &json!({ "title": format!("Article {number}"), "published_at": format!("2026-01-01T00:{:02}:00Z", number / 2) })))
        .collect();
    let (mut seen, mut path, mut pages) = (Vec::new(), format!("{LIST}?limit=5"), Vec::new());
    let mut leaving = articles[22].clone();
    loop {
        let response = anyone.get(&path).expect(200);
        pages.push(response.clone());
        seen.extend(slugs(&response.json()));
        // What was seen already goes, and something newer comes: neither moves the rest of the walk.
        editor.post(&format!("{}/unpublish", manage(&leaving)), &json!({})).expect(200);
        leaving = published(&editor, &json!({ "title": "Newcomer" }));
        let Some(cursor) = response.json()["page"]["next_cursor"].as_str().map(str::to_owned) else { break };
        assert_eq!(link(response.header("link"), "next").unwrap(), format!("{LIST}?limit=5&cursor={cursor}"));
        path = format!("{LIST}?limit=5&cursor={cursor}");
    }
    assert_eq!(seen.len(), 23, "{seen:?}");
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 23);
    let last = pages.last().unwrap();
    assert_eq!(link(last.header("link"), "next"), None);
    let back = anyone.get(&link(last.header("link"), "prev").unwrap()).expect(200);
    assert_eq!(slugs(&back.json()), slugs(&pages[pages.len() - 2].json()));
}

#[test]
fn a_cursor_belongs_to_its_filters_and_sort() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for number in 0..3 {
        published(&editor, &json!({ "title": format!("A {number}"), "tags": ["t"] }));
    }
    let list = anyone.get(&format!("{LIST}?limit=1&tag=t")).expect(200).json();
    let cursor = list["page"]["next_cursor"].as_str().unwrap();
    anyone.get(&format!("{LIST}?limit=2&tag=t&cursor={cursor}")).expect(200);
    for query in [
        format!("cursor={cursor}"),
        format!("tag=u&cursor={cursor}"),
        format!("tag=t&sort=title&cursor={cursor}"),
        format!("tag=t&cursor={}", &cursor[..cursor.len() - 3]),
        "tag=t&cursor=bm90IGEgY3Vyc29y".to_owned(),
        "tag=t&cursor=%F0%9F%8D%8E".to_owned(),
    ] {
        anyone.get(&format!("{LIST}?{query}")).refused(400, "invalid-query").parameter_fault("cursor");
    }
    anyone.get(&format!("/api/v1/authors?cursor={cursor}")).refused(400, "invalid-query").parameter_fault("cursor");
}

#[test]
fn numbered_pages_count_and_link_to_their_neighbours() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for number in 0..5 {
        published(&editor, &json!({ "title": format!("P {number}"), "tags": ["a<b>\"c"] }));
    }
    let response = anyone.get(&format!("{LIST}?limit=2&page=2&tag=a%3Cb%3E%22c")).expect(200);
    let page = &response.json()["page"];
    assert_eq!(*page, json!({ "limit": 2, "next_cursor": null, "number": 2, "total_items": 5, "total_pages": 3 }));
    for (relation, number) in [("first", 1), ("prev", 1), ("next", 3), ("last", 3)] {
        let target = link(response.header("link"), relation).unwrap();
        assert_eq!(target, format!("{LIST}?tag=a%3Cb%3E%22c&limit=2&page={number}"));
        anyone.get(&target).expect(200);
    }
    let beyond = anyone.get(&format!("{LIST}?limit=2&page=9")).expect(200);
    assert_eq!(beyond.json()["items"], json!([]));
    assert_eq!(link(beyond.header("link"), "prev").unwrap(), format!("{LIST}?limit=2&page=3"));
    for query in ["limit=0", "limit=101", "limit=abc", "page=0", "limit=5&limit=6"] {
        anyone.get(&format!("{LIST}?{query}")).refused(400, "invalid-query");
    }
}

#[test]
fn lists_leave_out_what_is_large_and_include_adds_it() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    published(
        &editor,
        &json!({ "title": "Large", "slug": "large", "body_markdown": "Intro\n\n## A\n\ntext\n\n### B\n\nmore" }),
    );
    let large = ["body_html", "body_markdown", "sections", "table_of_contents", "related", "seo", "citations", "extra"];
    let plain = anyone.get(LIST).expect(200).json()["items"][0].clone();
    assert!(large.iter().all(|member| plain.get(member).is_none()), "{plain}");
    for member in large {
        let item = anyone.get(&format!("{LIST}?include={member}")).expect(200).json()["items"][0].clone();
        assert!(large.iter().all(|other| item.get(other).is_some() == (*other == member)), "{member}: {item}");
    }
    let one = anyone.get("/api/v1/articles/large?include=sections,body_markdown").expect(200).json();
    let html: String =
        one["sections"].as_array().unwrap().iter().map(|section| section["html"].as_str().unwrap()).collect();
    assert_eq!(one["body_html"], html);
    assert_eq!(one["sections"][0]["heading"], Value::Null);
    assert_eq!(one["table_of_contents"][0]["children"][0]["text"], "B");
    for id in ["a", "b"] {
        assert!(html.contains(&format!("id=\"{id}\"")), "{html}");
    }
    assert_eq!((&one["word_count"], &one["reading_minutes"]), (&json!(5), &json!(1)));
    assert!(one["excerpt"].as_str().unwrap().starts_with("Intro"));
    anyone.get("/api/v1/articles/large?include=seo").refused(400, "invalid-query").parameter_fault("include");
}

#[test]
fn an_answer_that_the_client_has_is_not_sent_again() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = published(&editor, &json!({ "title": "Cached", "slug": "cached" }));
    let path = "/api/v1/articles/cached";
    let first = anyone.get(path).expect(200);
    let (tag, modified) = (first.etag().to_owned(), first.header("last-modified").to_owned());
    assert!(!tag.starts_with("W/"));
    assert_eq!(first.header("cache-control"), "public, max-age=0, must-revalidate");
    assert!(first.header("vary").contains("Accept-Encoding"));
    for known in [tag.clone(), format!("\"other\", {tag}"), format!("W/{tag}"), "*".to_owned()] {
        let again = anyone.request("GET", path).header("if-none-match", &known).send().expect(304);
        assert_eq!((again.etag(), again.body.len()), (tag.as_str(), 0));
    }
    let unchanged = || anyone.request("GET", path).header("if-none-match", &tag);
    let short = unchanged().send().expect(304);
    for repeated in ["last-modified", "content-type", "x-content-type-options", "access-control-allow-origin"] {
        assert_eq!(short.find_header(repeated), None, "a cache has it already");
    }
    assert_eq!(
        (short.header("cache-control"), short.header("vary")),
        (first.header("cache-control"), "Accept-Encoding")
    );
    let across = unchanged().header("origin", "https://elsewhere.example.org").send().expect(304);
    assert_eq!(across.header("access-control-allow-origin"), "*", "a page that asks with a tag of its own may read it");
    let since = |value: &str| anyone.request("GET", path).header("if-modified-since", value).send().status;
    assert_eq!(since(&modified), 200, "within two seconds two states may share the date");
    server.app.clock.advance(Duration::from_secs(5));
    assert_eq!(since(&modified), 304);
    assert_eq!(since("Thu, 01 Jan 2015 00:00:00 GMT"), 200);
    let head = anyone.head(path).expect(200);
    assert_eq!((head.etag(), head.body.len()), (tag.as_str(), 0));
    republished(&editor, &article, &json!({ "subtitle": "new" }));
    let fresh = anyone.request("GET", path).header("if-none-match", &tag).send().expect(200);
    assert_ne!(fresh.etag(), tag);
    assert_eq!(since(&modified), 200);
}

#[test]
fn a_read_that_is_bound_to_a_state_is_refused_where_another_is_present() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = published(&editor, &json!({ "title": "Bound", "slug": "bound" }));
    let path = "/api/v1/articles/bound";
    let asked = |method: &str, name: &str, value: &str| anyone.request(method, path).header(name, value).send();
    let cold = asked("GET", "if-match", "\"other\"");
    assert_eq!(cold.header("cache-control"), "no-store");
    let tag = cold.etag().to_owned();
    assert!(cold.refused(412, "representation-changed").detail().contains("`If-Match`"));
    let first = anyone.get(path).expect(200);
    assert_eq!(first.etag(), tag);
    let modified = first.header("last-modified");
    let kept = asked("GET", "if-match", "\"other\"");
    assert_eq!(kept.etag(), tag);
    let refused = kept.refused(412, "representation-changed");
    assert!(refused.detail().contains("`If-Match`") && refused.document.get("changed_by").is_none(), "{refused:?}");
    let known = format!("\"other\", {tag}");
    for method in ["GET", "HEAD"] {
        for (name, value, status) in [
            ("if-match", tag.as_str(), 200),
            ("if-match", "*", 200),
            ("if-match", &known, 200),
            ("if-match", &format!("W/{tag}"), 412),
            ("if-match", "\"other\"", 412),
            ("if-match", "nonsense", 412),
            ("if-unmodified-since", modified, 200),
            ("if-unmodified-since", "nonsense", 200),
            ("if-unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT", 412),
        ] {
            assert_eq!(asked(method, name, value).status, status, "{method} {name}: {value}");
        }
    }
    let both = |matched: &str, other: &str| {
        let request = anyone.request("GET", path).header("if-match", matched);
        request.header("if-none-match", other).send().status
    };
    assert_eq!((both(&tag, &tag), both("\"other\"", &tag), both(&tag, "\"other\"")), (304, 412, 200));
    anyone.request("GET", "/api/v1/articles/nothing").header("if-match", "*").send().refused(404, "not-found");
    server.app.clock.advance(Duration::from_secs(5));
    republished(&editor, &article, &json!({ "subtitle": "new" }));
    assert_eq!(asked("GET", "if-match", &tag).status, 412);
    let late = asked("GET", "if-unmodified-since", modified);
    assert!(late.refused(412, "representation-changed").detail().contains("`If-Unmodified-Since`"));
    assert_eq!(anyone.get(path).expect(200).json()["subtitle"], "new");
}

#[test]
fn delivery_ignores_authorization() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/articles", &json!({ "title": "Draft", "slug": "draft" })).expect(201);
    editor.get("/api/v1/articles/draft").refused(404, "not-found");
    server.with_token("nonsense").get(LIST).expect(200);
}

#[test]
fn every_former_slug_leads_to_the_present_one_until_another_takes_it() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let article = published(&editor, &json!({ "title": "T", "slug": "first" }));
    republished(&editor, &article, &json!({ "slug": "second" }));
    republished(&editor, &article, &json!({ "slug": "third" }));
    for former in ["first", "second"] {
        let asked = || anyone.request("GET", &format!("/api/v1/articles/{former}?include=sections"));
        asked().header("if-match", "\"other\"").send().expect(308);
        let moved = asked().send().expect(308);
        assert_eq!(moved.header("location"), "/api/v1/articles/third?include=sections");
        let related = anyone.get(&format!("/api/v1/articles/{former}/related")).expect(308);
        assert_eq!(related.header("location"), "/api/v1/articles/third/related");
    }
    published(&editor, &json!({ "title": "Newcomer", "slug": "first" }));
    assert_eq!(anyone.get("/api/v1/articles/first").expect(200).json()["title"], "Newcomer");
    editor.post(&format!("{}/unpublish", manage(&article)), &json!({})).expect(200);
    anyone.get("/api/v1/articles/second").refused(410, "gone");
    anyone.get("/api/v1/articles/third").refused(410, "gone");
    anyone.get("/api/v1/articles/never").refused(404, "not-found");
    anyone.get("/api/v1/articles/Not_A_Slug").refused(404, "not-found");
}

#[test]
fn links_by_identity_follow_their_target_and_become_text_without_it() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let target = published(&editor, &json!({ "title": "Target", "slug": "target" }));
    let body = format!("See [the *other* one](article:{}).", target["id"].as_str().unwrap());
    published(&editor, &json!({ "title": "Source", "slug": "source", "body_markdown": body }));
    let source = || anyone.get("/api/v1/articles/source?include=body_markdown,sections").expect(200).json();
    republished(&editor, &target, &json!({ "slug": "renamed" }));
    let url = anyone.get("/api/v1/articles/renamed").json()["url"].as_str().unwrap().to_owned();
    let shown = source();
    assert!(shown["body_html"].as_str().unwrap().contains(&format!("href=\"{url}\"")), "{shown}");
    assert!(shown["body_markdown"].as_str().unwrap().contains(&format!("]({url})")), "{shown}");
    editor.post(&format!("{}/unpublish", manage(&target)), &json!({})).expect(200);
    let shown = source();
    assert_eq!(shown["body_html"].as_str().unwrap().trim(), "<p>See the <em>other</em> one.</p>");
    assert!(!shown["body_markdown"].as_str().unwrap().contains("article:"), "{shown}");
}

#[test]
fn related_articles_share_what_is_rare_and_never_are_the_article_itself() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for number in 0..6 {
        published(
            &editor,
            &json!({ "title": format!("Common {number}"), "slug": format!("common-{number}"), "tags": ["common"] }),
        );
    }
    published(
        &editor,
        &json!({ "title": "Rare", "slug": "rare", "tags": ["rare"], "published_at": "2020-01-01T00:00:00Z" }),
    );
    published(&editor, &json!({ "title": "Raro", "slug": "raro", "tags": ["rare"], "language": "es" }));
    published(&editor, &json!({ "title": "Unrelated", "slug": "unrelated", "tags": ["else"] }));
    published(&editor, &json!({ "title": "Subject", "slug": "subject", "tags": ["common", "rare"] }));
    let related = anyone.get("/api/v1/articles/subject/related?limit=100").expect(200).json();
    let found = slugs(&related);
    assert_eq!(found[..2], ["rare", "common-5"], "{found:?}");
    assert_eq!(found.len(), 7, "{found:?}");
    let three = anyone.get("/api/v1/articles/subject/related").expect(200).json()["items"].clone();
    assert_eq!(anyone.get("/api/v1/articles/subject").json()["related"], three);
    let listed = anyone.get("/api/v1/articles?include=related&language=*").expect(200).json();
    assert!(listed["items"].as_array().unwrap().len() >= 8);
    for item in listed["items"].as_array().unwrap() {
        let alone = anyone.get(&format!("/api/v1/articles/{}", item["slug"].as_str().unwrap())).expect(200).json();
        assert_eq!(item["related"], alone["related"], "{item}");
    }
}

#[test]
fn translations_know_each_other() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let english = published(&editor, &json!({ "title": "Home", "slug": "home" }));
    let casa = json!({ "title": "Casa", "slug": "casa", "language": "es", "translation_of": english["id"] });
    published(&editor, &casa);
    let of = |slug: &str| anyone.get(&format!("/api/v1/articles/{slug}")).expect(200).json()["translations"].clone();
    assert_eq!(of("home")[0]["slug"], "casa");
    assert_eq!((&of("casa")[0]["language"], &of("casa")[0]["title"]), (&json!("en"), &json!("Home")));
    editor.post(&format!("{}/unpublish", manage(&english)), &json!({})).expect(200);
    assert_eq!(of("casa"), json!([]));
}

#[test]
fn nothing_outside_shows_a_trace_of_what_is_not_public() {
    const MARKER: &str = "zzmarkerzz";
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let marked = json!({
        "title": MARKER, "subtitle": MARKER, "excerpt": MARKER, "body_markdown": MARKER, "tags": [MARKER],
        "extra": { MARKER: MARKER }, "seo": { "title": MARKER }, "citations": [{ "text": MARKER }],
    });
    editor.post("/api/v1/manage/articles", &marked).expect(201);
    let changed = published(&editor, &json!({ "title": "Innocent", "slug": "innocent" }));
    editor.patch(&manage(&changed), "*", &marked).expect(200);
    let withdrawn = published(&editor, &marked);
    editor.post(&format!("{}/unpublish", manage(&withdrawn)), &json!({})).expect(200);
    let trashed = published(&editor, &json!({ "title": format!("{MARKER} two"), "tags": [MARKER] }));
    editor.delete(&format!("{}?unpublish=true", manage(&trashed)), "*").expect(204);
    let document: Value = serde_json::from_str(&copydesk::server::openapi_json().unwrap()).unwrap();
    let public = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|path| !path.contains("/manage/") && !path.contains("/auth/"));
    let mut asked = 0;
    for path in public {
        for suffix in [
            "",
            "?language=*&include=body_html,body_markdown,sections,extra,seo,citations,related",
            "?page=1",
            "?language=*",
        ] {
            let response = anyone.get(&format!(
                "{}{suffix}",
                path.replace("{slug}", "innocent").replace("{token}", "none").replace("{form}", "default")
            ));
            let headers = format!("{:?}", response.headers);
            assert!(!response.text().contains(MARKER) && !headers.contains(MARKER), "{}", response.shown());
            asked += 1;
        }
    }
    assert!(asked >= 40, "{asked}");
    assert_eq!(anyone.get("/api/v1/tags").json()["items"], json!([]));
    assert_eq!(anyone.get(&format!("{LIST}?language=*&page=1")).json()["page"]["total_items"], 1);
}

#[test]
fn a_slug_that_another_article_took_leads_to_the_first_one_no_more() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let first = published(&editor, &json!({ "title": "First", "slug": "xx" }));
    republished(&editor, &first, &json!({ "slug": "yy" }));
    anyone.get("/api/v1/articles/xx").expect(308);
    let second = published(&editor, &json!({ "title": "Second", "slug": "xx" }));
    anyone.get("/api/v1/articles/xx").expect(200);
    editor.post(&format!("{}/unpublish", manage(&second)), &json!({})).expect(200);
    anyone.get("/api/v1/articles/xx").refused(410, "gone");
}

#[test]
fn a_former_slug_is_as_good_as_the_present_one_to_exclude_and_to_succeed() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let first = published(&editor, &json!({ "title": "First", "slug": "xx" }));
    republished(&editor, &first, &json!({ "slug": "yy" }));
    assert_eq!(slugs(&anyone.get("/api/v1/articles?exclude=xx").expect(200).json()), [""; 0]);
    let second = published(&editor, &json!({ "title": "Second", "slug": "zz" }));
    editor.post(&format!("{}/unpublish", manage(&second)), &json!({ "successor": "xx" })).expect(200);
    assert_eq!(anyone.get("/api/v1/articles/zz").refused(410, "gone").document["successor"]["slug"], "yy");
}

/// What began before another write and is committed after it must not look older than that.
#[test]
fn the_time_of_a_state_never_goes_back() {
    // The time is altered behind the cache's back.
    let server = TestServer::start_with(|config| config.cache_bytes = 0);
    let editor = server.signed_in(Role::Editor);
    let modified = || server.anonymous().get("/api/v1/articles").header("last-modified").to_owned();
    published(&editor, &json!({ "title": "One" }));
    let before = modified();
    // As if the clock were set back by an hour.
    server.write(|conn| {
        diesel::RunQueryDsl::execute(
            diesel::sql_query("UPDATE content_version SET changed_at = changed_at + 3600000"),
            conn,
        )
    });
    let ahead = modified();
    assert_ne!(before, ahead);
    published(&editor, &json!({ "title": "Two" }));
    assert_eq!(modified(), ahead);
    let asked = server.anonymous().request("GET", "/api/v1/articles").header("if-modified-since", &ahead).send();
    assert_eq!(asked.status, 200, "a date that lies ahead of the clock settles nothing");
}

#[test]
fn a_date_from_before_other_settings_says_nothing_of_the_answers_since() {
    let server = TestServer::start();
    published(&server.signed_in(Role::Editor), &json!({ "title": "One" }));
    let before = server.anonymous().get("/api/v1/articles/one").expect(200);
    let date = before.header("last-modified").to_owned();
    let mut config = server.app.config.clone();
    // What the client has is as long ago for each of the servers.
    let ask_again = |server: &TestServer| {
        server.app.clock.advance(Duration::from_secs(10));
        server.anonymous().request("GET", "/api/v1/articles/one").header("if-modified-since", &date).send()
    };
    let server = TestServer::start_in(server.keep(), config.clone());
    assert_eq!(ask_again(&server).status, 304);
    // A tag says more than a date (RFC 9110, 13.1.3).
    for (tag, old, status) in
        [("\"another\"", date.as_str(), 200), (before.etag(), "Fri, 01 Jan 2021 00:00:00 GMT", 304)]
    {
        let asked = server.anonymous().request("GET", "/api/v1/articles/one").header("if-modified-since", old);
        assert_eq!(asked.header("if-none-match", tag).send().status, status, "{tag} {old}");
    }
    config.article_path = "/elsewhere/{slug}".to_owned();
    let server = TestServer::start_in(server.keep(), config);
    let after = ask_again(&server);
    assert_eq!(after.status, 200);
    assert_ne!(after.json(), before.json());
}

#[test]
fn what_another_version_stored_without_its_lists_is_shown_with_empty_ones() {
    let server = TestServer::start();
    published(&server.signed_in(Role::Editor), &json!({ "title": "Old", "tags": ["sleep"] }));
    server.write(|conn| {
        let shorter = "UPDATE published_articles SET summary = \
                       json_remove(summary, '$.content.tags', '$.content.authors', '$.content.categories')";
        diesel::RunQueryDsl::execute(diesel::sql_query(shorter), conn)
    });
    let shown = server.anonymous().get("/api/v1/articles/old").expect(200).json();
    assert_eq!((&shown["tags"], &shown["authors"], &shown["categories"]), (&json!([]), &json!([]), &json!([])));
}

#[test]
fn a_cursor_does_not_mind_what_the_items_show() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for title in ["One", "Two", "Three"] {
        published(&editor, &json!({ "title": title }));
    }
    let anyone = server.anonymous();
    let cursor = anyone.get("/api/v1/articles?limit=1").json()["page"]["next_cursor"].as_str().unwrap().to_owned();
    anyone.get(&format!("/api/v1/articles?limit=1&include=seo&cursor={cursor}")).expect(200);
    let encoded = anyone.get("/api/v1/articles?%6Cimit=1").expect(200);
    let next = link(encoded.header("link"), "next").unwrap();
    anyone.get(&next).expect(200);
}
