//! Authors, the tree of categories, tags and the facts of the site.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::TestServer;

fn create(editor: &Client, kind: &str, body: &Value) -> Value {
    editor.post(&format!("/api/v1/manage/{kind}"), body).expect(201).json()
}

fn path_of(kind: &str, resource: &Value) -> String {
    format!("/api/v1/manage/{kind}/{}", resource["id"].as_str().unwrap())
}

fn article(editor: &Client, body: &Value, publish: bool) -> Value {
    let article = editor.post("/api/v1/manage/articles", body).expect(201).json();
    if publish {
        let path = format!("/api/v1/manage/articles/{}/publish", article["id"].as_str().unwrap());
        editor.post(&path, &json!({ "revision": 1 })).expect(200);
    }
    article
}

fn names(response: &Response) -> Vec<String> {
    let list = response.json();
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn slugs_are_made_from_any_script_and_belong_to_one_resource() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for (kind, name, slug) in [
        ("authors", "Zoë Ångström", "zoe-angstrom"),
        ("authors", "Zoë Ångström", "zoe-angstrom-2"),
        ("authors", "Дмитрий", "dmitrii"),
        ("categories", "Abused Substances", "abused-substances"),
        ("categories", "北京", "bei-jing"),
        ("categories", "!!!", "category"),
    ] {
        assert_eq!(create(&editor, kind, &json!({ "name": name }))["slug"], slug, "{name}");
    }
    for kind in ["authors", "categories"] {
        let first = create(&editor, kind, &json!({ "name": "Holder", "slug": "held" }));
        let body = json!({ "name": "Other", "slug": "held" });
        let problem = editor.post(&format!("/api/v1/manage/{kind}"), &body).refused(409, "slug-taken");
        assert_eq!(problem.document["holder"]["id"], first["id"]);
        for slug in ["Upper", "two--hyphens", "-edge", "ünï", &"x".repeat(121)] {
            let body = json!({ "name": "Bad", "slug": slug });
            editor.post(&format!("/api/v1/manage/{kind}"), &body).refused(422, "invalid-body").fault("/slug");
        }
    }
}

#[test]
fn a_former_slug_leads_to_the_present_one() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for kind in ["authors", "categories"] {
        let path = path_of(kind, &create(&editor, kind, &json!({ "name": "First" })));
        editor.patch(&path, "*", &json!({ "slug": "second" })).expect(200);
        editor.patch(&path, "*", &json!({ "slug": "third" })).expect(200);
        for former in ["first", "second"] {
            let moved = anyone.get(&format!("/api/v1/{kind}/{former}")).expect(308);
            assert_eq!(moved.header("location"), format!("/api/v1/{kind}/third"));
        }
        anyone.get(&format!("/api/v1/{kind}/third")).expect(200);
        anyone.get(&format!("/api/v1/{kind}/fourth")).refused(404, "not-found");
    }
}

#[test]
fn changes_are_merge_patches_of_a_named_version() {
    let server = TestServer::start();
    let (editor, admin) = (server.signed_in(Role::Editor), server.signed_in(Role::Admin));
    for (kind, extra) in [
        ("authors", json!({ "name": "One", "credentials": "M.D." })),
        ("categories", json!({ "name": "One", "position": 3 })),
    ] {
        let resource = create(&editor, kind, &extra);
        let path = path_of(kind, &resource);
        editor.request("PATCH", &path).json(&json!({ "name": "Two" })).send().refused(428, "precondition-required");
        let first = editor.patch(&path, "\"v1\"", &json!({ "name": "Two" })).expect(200);
        assert_eq!((first.etag(), &first.json()["name"]), ("\"v2\"", &json!("Two")));
        let late = editor.patch(&path, "\"v1\"", &json!({ "name": "Three" }));
        late.refused(412, "precondition-failed");
        assert_eq!(late.etag(), "\"v2\"");
        let read = editor.get(&path).expect(200).json();
        assert_eq!(editor.patch(&path, "*", &read).expect(200).etag(), "\"v2\"", "what was read changes nothing");
        let problem =
            editor.patch(&path, "*", &json!({ "name": null, "nmae": 1, "id": "x" })).refused(422, "invalid-body");
        assert_eq!(problem.fault("/name").code, "required");
        assert_eq!(problem.fault("/id").code, "read_only");
        assert!(problem.fault("/nmae").message.contains("`name`"));
        let before = admin.get("/api/v1/manage/audit-events?page=1").json()["page"]["total_items"].clone();
        editor.patch(&format!("{path}?validate_only=true"), "*", &json!({ "name": "Tried" })).expect(200);
        editor.post(&format!("/api/v1/manage/{kind}?validate_only=true"), &json!({ "name": "Tried" })).expect(200);
        assert_eq!(editor.delete(&format!("{path}?validate_only=true"), "*").expect(200).json(), read);
        assert_eq!(editor.get(&path).expect(200).json(), read);
        assert_eq!(admin.get("/api/v1/manage/audit-events?page=1").json()["page"]["total_items"], before);
        let (member, default) = if kind == "authors" { ("credentials", Value::Null) } else { ("position", json!(0)) };
        assert_eq!(editor.patch(&path, "*", &json!({ member: null })).expect(200).json()[member], default);
        editor.delete(&path, "*").expect(204);
        editor.get(&path).refused(404, "not-found");
    }
}

#[test]
fn an_author_is_checked_and_the_biography_is_sanitised() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let account = server.account(Role::Author);
    create(&editor, "authors", &json!({ "name": "Taken", "user_id": account.id }));
    let body = json!({ "name": "", "user_id": account.id, "links": [{ "label": "x", "url": "javascript:x" }], "avatar": { "url": "x" } });
    let problem = editor.post("/api/v1/manage/authors", &body).refused(422, "invalid-body");
    for (pointer, code) in
        [("/name", "blank"), ("/user_id", "taken"), ("/links/0/url", "pattern"), ("/avatar/url", "pattern")]
    {
        assert_eq!(problem.fault(pointer).code, code);
    }
    let unknown = json!({ "name": "N", "user_id": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1" });
    let problem = editor.post("/api/v1/manage/authors", &unknown).refused(422, "invalid-body");
    assert_eq!(problem.fault("/user_id").code, "not_found");
    let hostile = json!({ "name": "Bio", "bio_markdown": "**Hi** <script>x</script>" });
    let author = create(&editor, "authors", &hostile);
    assert!(author["warnings"][0]["removed"].as_str().unwrap().contains("script"));
    let strict =
        editor.request("POST", "/api/v1/manage/authors").header("prefer", "handling=strict").json(&hostile).send();
    strict.refused(422, "unsafe-content").fault("/bio_markdown");
    let shown = anyone.get("/api/v1/authors/bio").expect(200).json();
    assert_eq!(shown["bio_html"].as_str().unwrap().trim(), "<p><strong>Hi</strong> </p>".trim());
    assert!(shown.get("user_id").is_none());
    assert_eq!(names(&anyone.get("/api/v1/authors")), ["Bio", "Taken"]);
}

#[test]
fn categories_are_a_tree_without_cycles() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let root = create(&editor, "categories", &json!({ "name": "Root", "position": 2 }));
    let child = create(&editor, "categories", &json!({ "name": "Child", "parent": "root" }));
    let leaf = create(&editor, "categories", &json!({ "name": "Leaf", "parent": child["id"] }));
    create(&editor, "categories", &json!({ "name": "Another", "position": 1 }));
    assert_eq!(child["parent"], root["id"]);
    assert_eq!(anyone.get("/api/v1/categories/leaf").json()["parent"], "child");
    for parent in [&root["id"], &leaf["id"], &json!("child")] {
        let problem =
            editor.patch(&path_of("categories", &root), "*", &json!({ "parent": parent })).refused(422, "invalid-body");
        assert_eq!(problem.fault("/parent").code, "cycle");
    }
    let problem = editor
        .post("/api/v1/manage/categories", &json!({ "name": "", "parent": "nowhere" }))
        .refused(422, "invalid-body");
    assert_eq!((problem.fault("/parent").code.as_str(), problem.fault("/name").code.as_str()), ("not_found", "blank"));
    let tree = anyone.get("/api/v1/categories?include=children").expect(200);
    assert_eq!(names(&tree), ["Another", "Root"]);
    assert_eq!(tree.json()["items"][1]["children"][0]["children"][0]["slug"], "leaf");
    assert!(anyone.get("/api/v1/categories").json()["items"][0].get("children").is_none());
    let mut parent = leaf["id"].clone();
    for level in 4..=10 {
        parent =
            create(&editor, "categories", &json!({ "name": format!("Level {level}"), "parent": parent }))["id"].clone();
    }
    let deep = editor.post("/api/v1/manage/categories", &json!({ "name": "Level 11", "parent": parent }));
    assert_eq!(deep.refused(422, "invalid-body").fault("/parent").code, "too_deep");
}

#[test]
fn who_is_in_use_is_deleted_only_for_an_heir_and_no_revision_is_made() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for (kind, member) in [("authors", "authors"), ("categories", "categories")] {
        let old = create(&editor, kind, &json!({ "name": "Old" }));
        create(&editor, kind, &json!({ "name": "Heir" }));
        let (title, slug) = (format!("Of {kind}"), format!("of-{kind}"));
        let written = article(&editor, &json!({ "title": title, member: ["old"] }), true);
        let draft = article(&editor, &json!({ "title": "Draft", member: ["old"] }), false);
        let updated = anyone.get(&format!("/api/v1/articles/{slug}")).json()["updated_at"].clone();
        let path = path_of(kind, &old);
        editor.delete(&path, "*").refused(409, "in-use");
        for heir in ["nobody", "old"] {
            editor
                .delete(&format!("{path}?reassign_to={heir}"), "*")
                .refused(400, "invalid-query")
                .parameter_fault("reassign_to");
        }
        editor.delete(&format!("{path}?reassign_to=heir"), "*").expect(204);
        assert_eq!(
            anyone.get(&format!("/api/v1/{kind}/old")).expect(308).header("location"),
            format!("/api/v1/{kind}/heir")
        );
        assert_eq!(anyone.get(&format!("/api/v1/{kind}/heir")).json()["article_count"], 1);
        let shown = anyone.get(&format!("/api/v1/articles/{slug}")).json();
        assert_eq!((&shown[member][0]["slug"], &shown["updated_at"]), (&json!("heir"), &updated));
        let filter = if kind == "authors" { "author" } else { "category" };
        assert_eq!(anyone.get(&format!("/api/v1/articles?{filter}=old&page=1")).json()["page"]["total_items"], 1);
        for copy in [&written, &draft] {
            let read =
                editor.get(&format!("/api/v1/manage/articles/{}", copy["id"].as_str().unwrap())).expect(200).json();
            assert_eq!((&read["expanded"][member][0]["slug"], &read["revision"]), (&json!("heir"), &json!(1)));
        }
    }
}

#[test]
fn a_draft_alone_keeps_its_author_from_being_deleted() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let author = create(&editor, "authors", &json!({ "name": "Needed" }));
    article(&editor, &json!({ "title": "Draft", "reviewed_by": "needed" }), false);
    editor.delete(&path_of("authors", &author), "*").refused(409, "in-use");
}

#[test]
fn counts_follow_a_category_that_moves() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let left = create(&editor, "categories", &json!({ "name": "Left" }));
    create(&editor, "categories", &json!({ "name": "Right" }));
    let child = create(&editor, "categories", &json!({ "name": "Child", "parent": "left" }));
    create(&editor, "categories", &json!({ "name": "Leaf", "parent": "child" }));
    article(&editor, &json!({ "title": "A", "categories": ["leaf", "child"] }), true);
    let counts = || {
        ["left", "right", "child", "leaf"]
            .map(|slug| anyone.get(&format!("/api/v1/categories/{slug}")).json()["article_count"].as_i64().unwrap())
    };
    assert_eq!(counts(), [1, 0, 1, 1]);
    editor.patch(&path_of("categories", &child), "*", &json!({ "parent": "right" })).expect(200);
    assert_eq!(counts(), [0, 1, 1, 1]);
    assert_eq!(anyone.get("/api/v1/articles?category=right").json()["items"].as_array().unwrap().len(), 1);
    editor.delete(&path_of("categories", &left), "*").expect(204);
    editor.delete(&path_of("categories", &child), "*").refused(409, "in-use");
    let below = editor.delete(&format!("{}?reassign_to=leaf", path_of("categories", &child)), "*");
    below.refused(400, "invalid-query").parameter_fault("reassign_to");
    editor.delete(&format!("{}?reassign_to=right", path_of("categories", &child)), "*").expect(204);
    assert_eq!(anyone.get("/api/v1/categories/leaf").json()["parent"], "right");
    assert_eq!(anyone.get("/api/v1/categories/right").json()["article_count"], 1);
}

#[test]
fn lists_are_walked_by_cursor_and_by_page() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    for number in 0..7 {
        create(&editor, "authors", &json!({ "name": format!("Author {number}") }));
        create(&editor, "categories", &json!({ "name": format!("Category {number}"), "position": 7 - number }));
    }
    article(&editor, &json!({ "title": "T", "tags": ["a", "b", "c", "d", "e", "f", "g"] }), true);
    for kind in ["authors", "categories", "tags"] {
        let all = names(&anyone.get(&format!("/api/v1/{kind}")));
        let (mut walked, mut path) = (Vec::new(), format!("/api/v1/{kind}?limit=3"));
        loop {
            let part = anyone.get(&path).expect(200);
            walked.extend(names(&part));
            match part.json()["page"]["next_cursor"].as_str() {
                Some(cursor) => path = format!("/api/v1/{kind}?limit=3&cursor={cursor}"),
                None => break,
            }
        }
        assert_eq!((walked.len(), &walked), (7, &all), "{kind}");
        let third = anyone.get(&format!("/api/v1/{kind}?limit=3&page=3")).expect(200);
        assert_eq!(names(&third), all[6..]);
        assert_eq!(third.json()["page"]["total_pages"], 3);
    }
}

#[test]
fn tags_come_and_go_with_the_articles_that_have_them() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let first = article(&editor, &json!({ "title": "One", "tags": ["b", "a"] }), true);
    article(&editor, &json!({ "title": "Uno", "tags": ["b"], "language": "es" }), true);
    let tags = || anyone.get("/api/v1/tags").expect(200).json()["items"].clone();
    assert_eq!(tags(), json!([{ "name": "a", "article_count": 1 }, { "name": "b", "article_count": 2 }]));
    let path = format!("/api/v1/manage/articles/{}/unpublish", first["id"].as_str().unwrap());
    editor.post(&path, &json!({})).expect(200);
    assert_eq!(tags(), json!([{ "name": "b", "article_count": 1 }]));
}

#[test]
fn the_site_is_one_resource_that_editors_change() {
    let server = TestServer::start();
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    let path = "/api/v1/manage/site";
    let tag = editor.get(path).expect(200).etag().to_owned();
    let facts = json!({
        "name": "Harbour", "contact": { "phone": "+1 555 010 0142" }, "accreditations": [{ "name": "Board" }],
        "calls_to_action": [{ "id": "call", "heading": "Talk", "text": "Any time.", "label": "Call", "url": "/contact" }],
        "navigation": [{ "label": "Articles", "url": "/articles" }], "social_links": [],
    });
    let changed = editor.patch(path, &tag, &facts).expect(200);
    editor.patch(path, &tag, &facts).refused(412, "precondition-failed");
    assert_eq!(editor.patch(path, changed.etag(), &facts).expect(200).etag(), changed.etag());
    let shown = anyone.get("/api/v1/site").expect(200);
    assert_eq!(
        (&shown.json()["name"], &shown.json()["contact"]["phone"]),
        (&json!("Harbour"), &json!("+1 555 010 0142"))
    );
    assert_eq!(shown.json()["contact"]["email"], Value::Null);
    let call = &facts["calls_to_action"][0];
    let problem = editor
        .patch(path, "*", &json!({ "calls_to_action": [call, call], "name": "x".repeat(201) }))
        .refused(422, "invalid-body");
    assert_eq!(problem.fault("/calls_to_action/1/id").code, "duplicate");
    assert_eq!(problem.fault("/name").code, "too_long");
    let again = anyone.request("GET", "/api/v1/site").header("if-none-match", shown.etag()).send();
    assert_eq!(again.status, 304);
}

#[test]
fn an_account_that_an_author_gets_is_no_public_change() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let account = server.account(Role::Author);
    let author = create(&editor, "authors", &json!({ "name": "Maya" }));
    let version = || server.anonymous().get("/api/v1/authors/maya").header("content-version").to_owned();
    let before = version();
    editor.patch(&path_of("authors", &author), "*", &json!({ "user_id": account.id })).expect(200);
    assert_eq!(version(), before);
    editor.patch(&path_of("authors", &author), "*", &json!({ "credentials": "M.D." })).expect(200);
    assert_ne!(version(), before);
}

#[test]
fn what_was_read_can_be_sent_back_also_after_counts_have_moved() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let author = create(&editor, "authors", &json!({ "name": "Maya" }));
    article(&editor, &json!({ "title": "New", "authors": ["maya"] }), true);
    editor.patch(&path_of("authors", &author), "*", &author).expect(200);
}
