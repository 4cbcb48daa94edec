//! Authors and categories, from their making to their end.

use serde_json::{Value, json};

use super::recorder::{Story, delete, get, patch, patch_json, post};

pub(super) const AUTHORS: &str = "/api/v1/manage/authors";
pub(super) const CATEGORIES: &str = "/api/v1/manage/categories";

pub(super) fn tell(story: &Story) {
    tell_of_authors(story);
    tell_of_categories(story);
}

fn tell_of_authors(story: &Story) {
    let account = story.author().get("/api/v1/auth/me").expect(200).json()["id"].clone();
    let tomas = json!({
        "name": "Tomas Lindqvist", "credentials": "M.Sc., Nursing",
        "bio_markdown": "Tomas has worked **nights** on the ward for eleven years.",
        "avatar": {
            "url": "https://images.example.org/people/tomas.jpg", "alt": "Tomas at his desk", "caption": null,
            "credit": "Rosa Lind", "width": 600, "height": 600,
        },
        "links": [{ "label": "Mastodon", "url": "https://social.example.org/@tomas" }],
        "user_id": account,
    });
    let tried = post(&story.editor(), &format!("{AUTHORS}?validate_only=true"), &tomas);
    story.record("create_author", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = post(&story.editor(), AUTHORS, &tomas).header("idempotency-key", "8a2a4f0e-3f7b-4bb0-9a2c-6f1f2f3d4e5a");
    let made = story.record("create_author", "with_account", "An author who has an account", made).expect(201);
    let guest = json!({ "name": "Rosa Lind", "bio_markdown": "Rosa paints <font color=\"teal\">rivers</font>." });
    let strict = post(&story.editor(), AUTHORS, &guest).header("prefer", "handling=strict");
    story.record("create_author", "strict", "What would be removed is refused", strict).refused(422, "unsafe-content");
    let guest = post(&story.editor(), AUTHORS, &guest);
    story
        .record("create_author", "with_warning", "A guest, and something that is not allowed was removed", guest)
        .expect(201);
    let path = made.header("location").to_owned();
    story.record("get_managed_author", "one", "One author", get(&story.editor(), &path)).expect(200);
    let title = json!({ "credentials": "M.Sc., Nursing; peer supporter" });
    let tried = patch(&story.editor(), &format!("{path}?validate_only=true"), made.etag(), &title);
    story.record("update_author", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let titled = patch(&story.editor(), &path, made.etag(), &title);
    let titled = story.record("update_author", "credentials", "One member; the others stay", titled).expect(200);
    let slug = patch_json(&story.editor(), &path, titled.etag(), &json!({ "slug": "tomas" }));
    story.record("update_author", "slug", "Another slug; the former one leads to it", slug).expect(200);
    let list = get(&story.editor(), &format!("{AUTHORS}?page=1"));
    story.record("list_managed_authors", "numbered", "All authors, as a numbered page", list).expect(200);
}

fn tell_of_categories(story: &Story) {
    let recovery = json!({ "name": "Recovery", "description": "From the first day to the years after." });
    let tried = post(&story.editor(), &format!("{CATEGORIES}?validate_only=true"), &recovery);
    story.record("create_category", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = post(&story.editor(), CATEGORIES, &recovery);
    story.record("create_category", "root", "A category at the top", made).expect(201);
    let sleep = json!({ "name": "Sleep and rest", "slug": "sleep", "parent": "recovery", "position": 2 });
    let sleep = post(&story.editor(), CATEGORIES, &sleep);
    let sleep = story.record("create_category", "child", "A category beneath another", sleep).expect(201);
    create(story, &json!({ "name": "Peer groups", "parent": "recovery", "position": 1 }));
    create(story, &json!({ "name": "For families", "position": 1 }));
    create(story, &json!({ "name": "Rest", "parent": "sleep" }));
    let path = sleep.header("location").to_owned();
    story.record("get_managed_category", "child", "One category", get(&story.editor(), &path)).expect(200);
    let words = json!({ "description": "Nights, naps and everything between." });
    let tried = patch(&story.editor(), &format!("{path}?validate_only=true"), sleep.etag(), &words);
    story.record("update_category", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let described = patch(&story.editor(), &path, sleep.etag(), &words);
    let described =
        story.record("update_category", "description", "One member; the others stay", described).expect(200);
    let slug = patch_json(&story.editor(), &path, described.etag(), &json!({ "slug": "sleep-and-rest" }));
    story.record("update_category", "slug", "Another slug; the former one leads to it", slug).expect(200);
    let list = get(&story.editor(), &format!("{CATEGORIES}?limit=3"));
    story.record("list_managed_categories", "first_part", "The first of the categories", list).expect(200);
}

fn create(story: &Story, category: &Value) {
    story.quietly(post(&story.editor(), CATEGORIES, category)).expect(201);
}

/// Where management has what is called so.
fn path_of(story: &Story, list: &str, name: &str) -> String {
    let all = story.editor().get(&format!("{list}?limit=100")).expect(200).json();
    let found = all["items"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap().clone();
    format!("{list}/{}", found["id"].as_str().unwrap())
}

/// Once articles have them: what is in use needs somebody in its place.
pub(super) fn tell_of_ends(story: &Story) {
    let rosa = path_of(story, AUTHORS, "Rosa Lind");
    let refused =
        story.record("delete_author", "in_use", "Articles have this author", delete(&story.editor(), &rosa, "*"));
    refused.refused(409, "in-use");
    let tried = delete(&story.editor(), &format!("{rosa}?reassign_to=tomas&validate_only=true"), "*");
    story.record("delete_author", "validated", "Which author would be deleted", tried).expect(200);
    let replaced = delete(&story.editor(), &format!("{rosa}?reassign_to=tomas"), "*");
    story.record("delete_author", "reassigned", "Another author takes the place", replaced).expect(204);
    let rest = path_of(story, CATEGORIES, "Rest");
    let refused =
        story.record("delete_category", "in_use", "Articles have this category", delete(&story.editor(), &rest, "*"));
    refused.refused(409, "in-use");
    let tried = delete(&story.editor(), &format!("{rest}?reassign_to=sleep-and-rest&validate_only=true"), "*");
    story.record("delete_category", "validated", "Which category would be deleted", tried).expect(200);
    let replaced = delete(&story.editor(), &format!("{rest}?reassign_to=sleep-and-rest"), "*");
    story.record("delete_category", "reassigned", "Another category takes the place", replaced).expect(204);
}
