//! What makes articles public, changes them in public, and takes them away.

use serde_json::{Value, json};

use super::drafting::{ARTICLES, Drafts};
use super::recorder::{Story, at, delete, get, patch, post};
use crate::client::{Request, Response};

/// An article of the chapter, made and seen.
struct Article {
    path: String,
}

impl Article {
    fn new(story: &Story, draft: &Value) -> Self {
        let made = story.quietly(post(&story.editor(), ARTICLES, draft)).expect(201);
        Self { path: made.header("location").to_owned() }
    }

    /// A step of its life.
    fn step(&self, story: &Story, step: &str, body: &Value) -> Request {
        post(&story.editor(), &format!("{}/{step}", self.path), body)
    }

    fn public(story: &Story, draft: &Value) -> Self {
        let article = Self::new(story, draft);
        story.quietly(article.step(story, "publish", &json!({ "revision": 1 }))).expect(200);
        article
    }
}

fn revision(answer: &Response) -> Value {
    answer.json()["revision"].clone()
}

pub(super) fn tell(story: &Story, drafts: &Drafts) {
    tell_of_a_publication(story, drafts);
    tell_of_translations(story, drafts);
    tell_of_a_correction(story, drafts);
    tell_of_a_withdrawal(story);
    tell_of_archive_and_trash(story);
    tell_of_a_schedule(story);
}

fn tell_of_a_publication(story: &Story, drafts: &Drafts) {
    let nights = Article { path: drafts.nights.clone() };
    let seen = json!({ "revision": revision(&story.editor().get(&nights.path)) });
    let tried = nights.step(story, "publish?validate_only=true", &seen);
    story.record("publish_article", "validated", "Everything is checked and nothing is published", tried).expect(200);
    let now = nights.step(story, "publish", &seen).header("idempotency-key", "6b1e4f0a-0c56-4a0b-8a7e-3c3e1d2f4b5c");
    story.record("publish_article", "now", "The revision that was seen is public", now).expect(200);
    let group = Article { path: drafts.group.clone() };
    story.quietly(group.step(story, "publish", &json!({ "revision": 1 }))).expect(200);
    let more = json!({
        "title": "Talking at the kitchen table", "slug": "talking-at-the-table", "categories": ["for-families"],
        "tags": ["families"], "authors": ["rosa-lind"],
        "body_markdown": format!("Listen first. [Nights are hard](article:{}) at the beginning.", id(&nights.path)),
    });
    Article::public(story, &more);
    let checks = get(&story.editor(), &format!("{}/checks", nights.path));
    story.record("check_article", "linked_from", "Which articles lead to this one", checks).expect(200);
    let unseen = nights.step(story, "publish", &json!({ "revision": 99 }));
    story
        .record("publish_article", "unknown_revision", "There is no such revision", unseen)
        .refused(422, "invalid-body");
}

fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn tell_of_translations(story: &Story, drafts: &Drafts) {
    let spanish = json!({
        "title": "Dormir en las primeras semanas", "slug": "dormir-en-las-primeras-semanas", "language": "es",
        "translation_of": id(&drafts.nights), "categories": ["sleep-and-rest"], "authors": ["tomas"],
        "body_markdown": "## Al principio\n\nLas primeras noches suelen ser cortas. **Pasa.**",
    });
    let made = story
        .record(
            "create_article",
            "translation",
            "The same article in another language",
            post(&story.editor(), ARTICLES, &spanish),
        )
        .expect(201);
    let spanish = Article { path: made.header("location").to_owned() };
    story.quietly(spanish.step(story, "publish", &json!({ "revision": 1 }))).expect(200);
}

fn tell_of_a_correction(story: &Story, drafts: &Drafts) {
    let nights = Article { path: drafts.nights.clone() };
    let rewrite = json!({ "title": "Sleep, from the first night on" });
    story.quietly(patch(&story.editor(), &nights.path, "*", &rewrite)).expect(200);
    let base = story.editor().get(&nights.path).json()["published"]["revision"].clone();
    let correction = json!({
        "base_revision": base,
        "replace": [{ "pointer": "/body_markdown", "find": "three weeks", "with": "two weeks" }],
        "set": { "reviewed_at": at("2026-11-30T00:00:00Z") },
    });
    let tried = nights.step(story, "correct?validate_only=true", &correction);
    story.record("correct_article", "validated", "Everything is checked and nothing is corrected", tried).expect(200);
    let done = nights.step(story, "correct", &correction);
    story.record("correct_article", "corrected", "Public at once, and in the rewrite that waits", done).expect(200);
    let twice =
        json!({ "base_revision": base, "replace": [{ "pointer": "/body_markdown", "find": "weeks", "with": "days" }] });
    let refused = story.record(
        "correct_article",
        "overtaken",
        "Another revision is public by now",
        nights.step(story, "correct", &twice),
    );
    refused.refused(409, "conflict");
}

fn tell_of_a_withdrawal(story: &Story) {
    let draft = json!({ "title": "Counting the days", "slug": "counting-the-days", "body_markdown": "One at a time.", "tags": ["habits"] });
    let article = Article::public(story, &draft);
    story.quietly(patch(&story.editor(), &article.path, "*", &json!({ "slug": "counting-days" }))).expect(200);
    let heir = json!({ "successor": "sleeping-in-the-first-weeks" });
    let tried = article.step(story, "unpublish?validate_only=true", &heir);
    story.record("unpublish_article", "validated", "Everything is checked and nothing is withdrawn", tried).expect(200);
    let gone = article.step(story, "unpublish", &heir);
    story.record("unpublish_article", "successor", "Withdrawn, and where to go instead", gone).expect(200);
    let renamed = Article::public(
        story,
        &json!({ "title": "A letter to myself", "slug": "letter-to-myself", "body_markdown": "You slept. You ate. You rang somebody.", "tags": ["habits"], "categories": ["recovery"] }),
    );
    story.quietly(patch(&story.editor(), &renamed.path, "*", &json!({ "slug": "a-letter-to-yourself" }))).expect(200);
    story.quietly(renamed.step(story, "publish", &json!({ "revision": 2 }))).expect(200);
}

fn tell_of_archive_and_trash(story: &Story) {
    let article = Article::new(story, &json!({ "title": "Old opening times", "slug": "old-opening-times" }));
    let move_to = |step: &str| story.editor().request("POST", &format!("{}/{step}", article.path));
    story
        .record(
            "archive_article",
            "validated",
            "Everything is checked and nothing is archived",
            move_to("archive?validate_only=true"),
        )
        .expect(200);
    story.record("archive_article", "archived", "Out of the way, and kept", move_to("archive")).expect(200);
    story
        .record("archive_article", "archived_already", "It is not possible now", move_to("archive"))
        .refused(409, "conflict");
    story.record("restore_article", "from_archive", "A draft again", move_to("restore")).expect(200);
    let tried = delete(&story.editor(), &format!("{}?validate_only=true", article.path), "*");
    story.record("delete_article", "validated", "What would be moved to the trash", tried).expect(200);
    story
        .record("delete_article", "to_trash", "Moved to the trash", delete(&story.editor(), &article.path, "*"))
        .expect(204);
    story
        .record("restore_article", "validated", "What would be there again", move_to("restore?validate_only=true"))
        .expect(200);
    story.record("restore_article", "from_trash", "Out of the trash again", move_to("restore")).expect(200);
    story.quietly(delete(&story.editor(), &article.path, "*")).expect(204);
    let forever = delete(&story.admin(), &format!("{}?permanent=true", article.path), "*");
    story.record("delete_article", "permanent", "An admin deletes what is in the trash for good", forever).expect(204);
    let public = Article::public(story, &json!({ "title": "Closed on Friday", "slug": "closed-on-friday" }));
    let refused = story.record(
        "delete_article",
        "public",
        "What is public is not moved to the trash by chance",
        delete(&story.editor(), &public.path, "*"),
    );
    refused.refused(409, "conflict");
    let both = delete(&story.editor(), &format!("{}?unpublish=true", public.path), "*");
    story.record("delete_article", "unpublish", "Withdrawn and moved to the trash at once", both).expect(204);
}

fn tell_of_a_schedule(story: &Story) {
    let draft = json!({
        "title": "A quiet new year", "slug": "a-quiet-new-year", "categories": ["recovery"], "tags": ["habits"],
        "body_markdown": "Go home early. Nobody minds.",
    });
    let article = Article::new(story, &draft);
    let times =
        json!({ "revision": 1, "publish_at": at("2026-12-03T08:00:00Z"), "unpublish_at": at("2027-01-10T08:00:00Z") });
    let planned = article.step(story, "publish", &times);
    story.record("publish_article", "scheduled", "Comes out at a time, and goes at another", planned).expect(200);
    let list = get(&story.editor(), &format!("{ARTICLES}?status=scheduled"));
    story.record("list_working_copies", "scheduled", "What is going to come out", list).expect(200);
    story.wait_until("2026-12-03T09:00:00Z");
    // Whoever reads first brings it out: here at this very moment, and not when the program next looks by itself.
    story.anyone().get("/api/v1/articles").expect(200);
    story
        .record(
            "get_working_copy",
            "public",
            "A working copy that is public as it is",
            get(&story.editor(), &article.path),
        )
        .expect(200);
}
