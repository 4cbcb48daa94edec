//! Articles before they are public: drafts, two edits that meet, reviews, revisions, previews.

use serde_json::{Value, json};

use super::recorder::{Story, at, delete, get, patch, patch_json, post};
use crate::client::{Client, Request, Response};

pub(super) const ARTICLES: &str = "/api/v1/manage/articles";
const KEY: &str = "3d9a1c1e-6a0e-4f0c-8f55-0a9d4a1b7c2f";
const BODY: &str = "## What changes at first\n\nThe first nights are often short. **It passes.**\n\n## What helps\n\n\
                    - Get up at the same hour each day.\n- Walk outside before noon.\n\n\
                    ## When to ask for help\n\nAfter three weeks without rest, talk to your nurse.";

/// Where the articles of this chapter are.
pub(super) struct Drafts {
    /// The one with everything.
    pub nights: String,
    /// One that a contributor wrote.
    pub group: String,
}

pub(super) fn tell(story: &Story) -> Drafts {
    let nights = tell_of_a_draft(story);
    tell_of_edits(story, &nights);
    tell_of_two_editors(story, &nights);
    tell_of_revisions(story, &nights);
    tell_of_checks(story, &nights);
    tell_of_previews(story, &nights);
    let group = tell_of_a_review(story);
    tell_of_a_mirror(story);
    tell_of_bulk(story);
    tell_of_lists(story);
    Drafts { nights, group }
}

/// An article with something in every member.
fn nights() -> Value {
    json!({
        "title": "Sleeping in the first weeks", "slug": "sleeping-in-the-first-weeks",
        "subtitle": "Why nights are hard, and what makes them easier",
        "excerpt": "The first nights are often short. A few habits bring rest back.",
        "body_markdown": BODY,
        "hero_image": {
            "url": "https://images.example.org/articles/window.jpg", "alt": "A window at dawn",
            "caption": "Five in the morning.", "credit": "Rosa Lind", "width": 1600, "height": 900,
        },
        "authors": ["tomas"], "categories": ["sleep-and-rest", "recovery"], "tags": ["first-weeks", "habits"],
        "seo": {
            "title": "Sleep in early recovery", "description": "What helps when the nights are short.",
            "canonical_url": "https://www.example.org/articles/sleeping-in-the-first-weeks", "no_index": false,
            "image": { "url": "https://images.example.org/articles/window-wide.jpg", "alt": "A window at dawn" },
        },
        "extra": { "audio": "https://media.example.org/sleeping.mp3" },
        "language": "en", "reviewed_by": "rosa-lind", "reviewed_at": at("2026-10-12T09:00:00Z"),
        "citations": [{ "text": "Millford Sleep Survey, 2025", "url": "https://surveys.example.org/sleep" }],
    })
}

fn tell_of_a_draft(story: &Story) -> String {
    let tried =
        post(&story.editor(), &format!("{ARTICLES}?validate_only=true"), &json!({ "title": "A walk before noon" }));
    story.record("create_article", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = post(&story.editor(), ARTICLES, &nights());
    let made = story.record("create_article", "full", "A draft with everything", made).expect(201);
    let path = made.header("location").to_owned();
    let short = json!({ "title": "A walk before noon", "authors": ["rosa-lind"], "categories": ["rest"] });
    let short = || post(&story.editor(), ARTICLES, &short).header("idempotency-key", KEY);
    let made = story.record("create_article", "short", "A draft with little more than a title", short()).expect(201);
    let again =
        story.record("create_article", "sent_again", "Sent again with its key: done once, answered alike", short());
    assert_eq!(again.expect(201).json(), made.json());
    let taken =
        post(&story.editor(), ARTICLES, &json!({ "title": "Other nights", "slug": "sleeping-in-the-first-weeks" }));
    story.record("create_article", "slug_taken", "Another article has the slug", taken).refused(409, "slug-taken");
    story.record("get_working_copy", "draft", "A draft, ready to be edited", get(&story.editor(), &path)).expect(200);
    path
}

fn tell_of_edits(story: &Story, path: &str) {
    let tag = story.editor().get(path).etag().to_owned();
    let change = json!({ "subtitle": "What makes the nights easier", "seo": { "description": null }, "extra": { "minutes": 4 } });
    let tried = patch(&story.editor(), &format!("{path}?validate_only=true"), &tag, &change);
    story.record("update_article", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let merged = patch(&story.editor(), path, &tag, &change);
    let merged = story
        .record("update_article", "merge_patch", "Members of objects are merged, and null takes one away", merged)
        .expect(200);
    let saved = patch_json(
        &story.editor(),
        path,
        merged.etag(),
        &json!({ "tags": ["first-weeks", "habits", "sleep"], "autosave": true }),
    );
    story
        .record("update_article", "autosave", "A list is replaced; an autosave takes the place of the last one", saved)
        .expect(200);
    let unsafe_text = format!("{BODY}\n\n<iframe src=\"https://ads.example.org\"></iframe>");
    let warned = json!({ "body_markdown": unsafe_text });
    let tried = patch(&story.editor(), &format!("{path}?validate_only=true"), "*", &warned);
    story.record("update_article", "with_warning", "Something that is not allowed would be removed", tried).expect(200);
}

fn tell_of_two_editors(story: &Story, path: &str) {
    let seen = story.editor().get(path).etag().to_owned();
    story.quietly(patch(&story.admin(), path, &seen, &json!({ "title": "Sleep in the first weeks" }))).expect(200);
    let late = patch(&story.editor(), path, &seen, &json!({ "subtitle": "Small habits for short nights" }));
    let late =
        story.record("update_article", "saved_meanwhile", "Somebody else saved first; `merged` has both edits", late);
    let merged = late.refused(412, "precondition-failed").document["merged"].clone();
    assert!(merged.is_object());
    let same = patch(&story.editor(), path, &seen, &json!({ "title": "Nights in the first weeks" }));
    let same = story.record("update_article", "conflict", "Both changed the same member", same);
    same.refused(412, "precondition-failed");
    let again = patch(&story.editor(), path, same.etag(), &json!({ "subtitle": merged["subtitle"] }));
    story.record("update_article", "merged", "What was merged, sent for the present version", again).expect(200);
}

fn tell_of_revisions(story: &Story, path: &str) {
    let all = format!("{path}/revisions");
    let list = story
        .record("list_revisions", "all", "Every revision, the newest first", get(&story.editor(), &all))
        .expect(200);
    let newest = list.json()["items"][0]["number"].as_i64().unwrap();
    let one = format!("{all}/{newest}");
    story.record("get_revision", "newest", "A revision as it was saved", get(&story.editor(), &one)).expect(200);
    story
        .record(
            "diff_revisions",
            "before",
            "What differs from the revision that it was made from",
            get(&story.editor(), &format!("{one}/diff")),
        )
        .expect(200);
    story
        .record(
            "diff_revisions",
            "against",
            "What differs from another revision",
            get(&story.editor(), &format!("{one}/diff?against=1")),
        )
        .expect(200);
    let name = |query: &str| {
        story.editor().request("PUT", &format!("{one}/name{query}")).json(&json!({ "name": "For the winter issue" }))
    };
    story
        .record("name_revision", "validated", "Everything is checked and nothing is saved", name("?validate_only=true"))
        .expect(200);
    story.record("name_revision", "named", "A name to find it by", name("")).expect(200);
    let restore = |number: i64, query: &str| story.editor().request("POST", &format!("{all}/{number}/restore{query}"));
    story
        .record("restore_revision", "validated", "What would be there again", restore(1, "?validate_only=true"))
        .expect(200);
    story
        .record("restore_revision", "restored", "An earlier revision is the working copy again", restore(1, ""))
        .expect(200);
    story.quietly(restore(newest, "")).expect(200);
}

fn tell_of_checks(story: &Story, path: &str) {
    let text = json!({ "body_markdown": "## Begin\n\nBreathe out. Count to four.\n\n<b onclick=\"x()\">Again.</b>" });
    story
        .record(
            "render_text",
            "with_warning",
            "A text that is not saved, and what would be removed of it",
            post(&story.editor(), "/api/v1/manage/render", &text),
        )
        .expect(200);
    let broken = json!({
        "title": "A list of groups",
        "body_markdown": "#### Where\n\n![](https://images.example.org/map.png) [Times](/articles/no-such-article)",
    });
    let broken = story.quietly(post(&story.editor(), ARTICLES, &broken)).expect(201).header("location").to_owned();
    story
        .record(
            "check_article",
            "findings",
            "What should be looked at",
            get(&story.editor(), &format!("{broken}/checks")),
        )
        .expect(200);
    story.quietly(delete(&story.editor(), &broken, "*")).expect(204);
    story
        .record(
            "check_article",
            "revision",
            "Nothing to complain about in a revision",
            get(&story.editor(), &format!("{path}/checks?revision=1")),
        )
        .expect(200);
}

fn tell_of_previews(story: &Story, path: &str) {
    let links = format!("{path}/preview-links");
    let tried = post(&story.editor(), &format!("{links}?validate_only=true"), &json!({}));
    story
        .record("create_preview_link", "validated", "Everything is checked and the link is good for nothing", tried)
        .expect(200);
    let usual = story
        .record("create_preview_link", "usual", "The working copy for a day", post(&story.editor(), &links, &json!({})))
        .expect(201);
    let made = post(&story.editor(), &links, &json!({ "revision": 1, "expires_in": 3600 }));
    let made = story.record("create_preview_link", "revision", "One revision for an hour", made).expect(201);
    let preview = format!("/api/v1/previews/{}", usual.json()["token"].as_str().unwrap());
    story
        .record("get_preview", "draft", "A draft as delivery would show it", get(&story.anyone(), &preview))
        .expect(200);
    story.record("list_preview_links", "two", "The links that are good now", get(&story.editor(), &links)).expect(200);
    let one = made.header("location").to_owned();
    let tag = story
        .record("get_preview_link", "revision", "One link, without its token", get(&story.editor(), &one))
        .expect(200)
        .etag()
        .to_owned();
    let tried = delete(&story.editor(), &format!("{one}?validate_only=true"), &tag);
    story.record("revoke_preview_link", "validated", "Which link would be revoked", tried).expect(200);
    story
        .record(
            "revoke_preview_link",
            "revoked",
            "The link is good for nothing any more",
            delete(&story.editor(), &one, &tag),
        )
        .expect(204);
}

fn tell_of_a_review(story: &Story) -> String {
    let draft = json!({
        "title": "Finding a group near you", "slug": "finding-a-group", "categories": ["peer-groups"], "tags": ["first-weeks"],
        "body_markdown": "## Three evenings a week\n\nCome early, sit where you like, say nothing if you prefer.",
    });
    let made = story
        .record("create_article", "contributor", "A contributor's draft", post(&story.contributor(), ARTICLES, &draft))
        .expect(201);
    let path = made.header("location").to_owned();
    let step = |client: Client, step: &str, body: &Value| post(&client, &format!("{path}/{step}"), body);
    let note = json!({ "note": "Could you check the times?" });
    story
        .record(
            "submit_article",
            "validated",
            "Everything is checked and nothing is submitted",
            step(story.contributor(), "submit?validate_only=true", &note),
        )
        .expect(200);
    story
        .record(
            "submit_article",
            "submitted",
            "For somebody else to look at",
            step(story.contributor(), "submit", &note),
        )
        .expect(200);
    let back = json!({ "note": "The Tuesday group meets at seven now." });
    story
        .record(
            "return_article",
            "validated",
            "Everything is checked and nothing is returned",
            step(story.editor(), "return?validate_only=true", &back),
        )
        .expect(200);
    story
        .record("return_article", "returned", "With what is to be changed", step(story.editor(), "return", &back))
        .expect(200);
    path
}

fn put(client: &Client, id: &str, condition: (&str, &str), body: &Value) -> Request {
    client.request("PUT", &format!("{ARTICLES}/by-external-id/{id}")).header(condition.0, condition.1).json(body)
}

fn tell_of_a_mirror(story: &Story) {
    const ID: &str = "guides%2Fgood-company.md";
    let new = ("if-none-match", "*");
    let guide =
        json!({ "title": "Good company", "body_markdown": "Eat with somebody once a day.", "tags": ["habits"] });
    let tried = put(&story.editor(), &format!("{ID}?validate_only=true"), new, &guide);
    story
        .record("put_article_by_external_id", "validated", "Everything is checked and nothing is saved", tried)
        .expect(200);
    let made = story
        .record(
            "put_article_by_external_id",
            "created",
            "A program makes an article under an id of its own",
            put(&story.editor(), ID, new, &guide),
        )
        .expect(201);
    let path = format!("{ARTICLES}/by-external-id/{ID}");
    let read = story.record(
        "get_article_by_external_id",
        "one",
        "An article by the id that a program gave it",
        get(&story.editor(), &path),
    );
    assert_eq!(read.expect(200).etag(), made.etag());
    let changed = json!({ "title": "Good company", "body_markdown": "Eat with somebody once a day. Cook if you can." });
    let replaced = put(&story.editor(), ID, ("if-match", made.etag()), &changed);
    story
        .record("put_article_by_external_id", "replaced", "All of it is replaced; what is not sent is empty", replaced)
        .expect(200);
    let there = put(&story.editor(), ID, new, &guide);
    story
        .record("put_article_by_external_id", "there_already", "It was to be made and is there", there)
        .refused(412, "precondition-failed");
}

fn id_of(answer: &Response) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn tell_of_bulk(story: &Story) {
    const BULK: &str = "/api/v1/manage/articles/bulk";
    let one = id_of(&story.quietly(post(&story.editor(), ARTICLES, &json!({ "title": "Tea instead" }))).expect(201));
    let other = id_of(&story.quietly(post(&story.editor(), ARTICLES, &json!({ "title": "A cold room" }))).expect(201));
    let operations = json!({ "operations": [
        { "op": "create", "article": { "title": "A diary by the bed", "tags": ["habits"] } },
        { "op": "update", "id": one, "if_match": "\"v1\"", "changes": { "tags": ["habits"] } },
        { "op": "submit", "id": one, "note": "Ready." },
        { "op": "delete", "id": other, "if_match": "*" },
    ] });
    let tried = post(&story.editor(), &format!("{BULK}?validate_only=true"), &operations);
    story.record("bulk_articles", "validated", "Every operation is tried and nothing is done", tried).expect(200);
    let done =
        post(&story.editor(), BULK, &operations).header("idempotency-key", "e2b6a3c4-52a0-4c0f-9d57-1f8f2f7a9b10");
    story.record("bulk_articles", "done", "Several operations, all or none", done).expect(200);
    let failing = json!({ "operations": [
        { "op": "restore", "id": other },
        { "op": "publish", "id": one, "revision": 7 },
        { "op": "update", "id": one, "if_match": "\"v1\"", "changes": { "title": "Tea" } },
    ] });
    let failed = story.record(
        "bulk_articles",
        "failed",
        "Two of three can't be done, so none is",
        post(&story.editor(), BULK, &failing),
    );
    failed.refused(422, "bulk-failed");
    let mut each = failing;
    each["atomic"] = json!(false);
    story
        .record("bulk_articles", "each_alone", "Those that can be done are", post(&story.editor(), BULK, &each))
        .expect(200);
}

fn tell_of_lists(story: &Story) {
    let list = |query: &str| get(&story.editor(), &format!("{ARTICLES}?{query}"));
    let first =
        story.record("list_working_copies", "newest", "What was saved last", list("limit=2")).expect(200).json();
    let cursor = first["page"]["next_cursor"].as_str().unwrap();
    story
        .record(
            "list_working_copies",
            "second_part",
            "The next ones, by cursor",
            list(&format!("limit=2&cursor={cursor}")),
        )
        .expect(200);
    story
        .record(
            "list_working_copies",
            "in_review",
            "What waits for a review, as a numbered page",
            list("status=in_review&page=1"),
        )
        .expect(200);
    let own = get(&story.contributor(), &format!("{ARTICLES}?sort=title&limit=1"));
    story.record("list_working_copies", "own", "A contributor sees own articles alone", own).expect(200);
    let mirrored = list("external_id=guides/good-company.md");
    story.record("list_working_copies", "by_external_id", "By the id of another system", mirrored).expect(200);
}
