//! Paths of the public site that lead elsewhere, and what a path leads to.

use serde_json::json;

use super::recorder::{Story, delete, get, get_again, patch, patch_json, post};

const MANAGED: &str = "/api/v1/manage/redirects";
const LIST: &str = "/api/v1/redirects";

pub(super) fn tell(story: &Story) {
    tell_of_managing(story);
    tell_of_lists(story);
    tell_of_paths(story);
}

fn tell_of_managing(story: &Story) {
    let draft = json!({ "from": "/help-line", "to": "/contact" });
    let tried = post(&story.editor(), &format!("{MANAGED}?validate_only=true"), &draft);
    story.record("create_redirect", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = story
        .record(
            "create_redirect",
            "created",
            "A path that leads elsewhere for good",
            post(&story.editor(), MANAGED, &draft),
        )
        .expect(201);
    let path = made.header("location").to_owned();
    story.record("get_managed_redirect", "one", "One redirect", get(&story.editor(), &path)).expect(200);
    let away = json!({ "to": "https://help.example.org/call" });
    let tried = patch(&story.editor(), &format!("{path}?validate_only=true"), made.etag(), &away);
    story.record("update_redirect", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let saved = patch(&story.editor(), &path, made.etag(), &away);
    let saved = story.record("update_redirect", "target", "It leads to another site now", saved).expect(200);
    let soft = patch_json(&story.editor(), &path, saved.etag(), &json!({ "permanent": false }));
    story.record("update_redirect", "temporary", "It does not hold for good", soft).expect(200);
    let winter = json!({ "from": "/winter", "to": "/articles/a-quiet-new-year", "permanent": false });
    let winter = story.quietly(post(&story.editor(), MANAGED, &winter)).expect(201);
    story
        .record("list_managed_redirects", "all", "Those that were made by hand", get(&story.editor(), MANAGED))
        .expect(200);
    let (path, tag) = (winter.header("location").to_owned(), winter.etag().to_owned());
    let tried = delete(&story.editor(), &format!("{path}?validate_only=true"), &tag);
    story.record("delete_redirect", "validated", "Which redirect would be deleted", tried).expect(200);
    story
        .record("delete_redirect", "deleted", "The path leads nowhere any more", delete(&story.editor(), &path, &tag))
        .expect(204);
}

fn tell_of_lists(story: &Story) {
    let all = story
        .record("list_redirects", "json", "Former slugs, and what was made by hand", get(&story.anyone(), LIST))
        .expect(200);
    story
        .record("list_redirects", "unchanged", "The client has it already", get_again(&story.anyone(), LIST, &all))
        .expect(304);
    for (format, summary) in [
        ("netlify", "As the file `_redirects` of Netlify"),
        ("nginx", "As directives of nginx"),
        ("next", "As the configuration of Next.js has it"),
    ] {
        let list = get(&story.anyone(), &format!("{LIST}?format={format}"));
        story.record("list_redirects", format, summary, list).expect(200);
    }
}

fn tell_of_paths(story: &Story) {
    let resolve = |path: &str| format!("/api/v1/resolve?path={path}");
    for (name, summary, path) in [
        ("article", "An article is there", "/articles/a-quiet-new-year"),
        ("author", "An author is there", "/authors/tomas"),
        ("category", "A category is there", "/categories/sleep-and-rest"),
        ("redirect", "It leads elsewhere", "/articles/letter-to-myself"),
        ("gone", "An article was there", "/articles/counting-the-days"),
    ] {
        let resolved = story.record("resolve_path", name, summary, get(&story.anyone(), &resolve(path))).expect(200);
        assert_eq!(resolved.json()["kind"], name);
    }
    let author = resolve("/authors/tomas");
    let seen = story.quietly(get(&story.anyone(), &author)).expect(200);
    story
        .record("resolve_path", "unchanged", "The client has it already", get_again(&story.anyone(), &author, &seen))
        .expect(304);
    let nothing = get(&story.anyone(), &resolve("/nowhere"));
    story.record("resolve_path", "nothing", "Nothing is there, nor was", nothing).refused(404, "not-found");
}
