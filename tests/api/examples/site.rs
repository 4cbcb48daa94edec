//! The server and the facts of the site.

use serde_json::json;

use super::recorder::{Story, get, get_again, patch, patch_json};

const MANAGED: &str = "/api/v1/manage/site";
const SITE: &str = "/api/v1/site";

pub(super) fn tell(story: &Story) {
    tell_of_the_server(story);
    let before = story
        .record("get_managed_site", "empty", "Before anybody has written it", get(&story.editor(), MANAGED))
        .expect(200);
    let facts = json!({
        "name": "Alder Bank",
        "description": "A small centre by the river for people who stop drinking or using, and for those who love them.",
        "contact": { "phone": "+1 202 555 0143", "email": "hello@example.org", "address": "4 Alder Bank, Millford" },
        "accreditations": [{ "name": "Millford Board of Care", "url": "https://care.example.org/centres/alder-bank" }],
        "calls_to_action": [{
            "id": "talk", "heading": "Not sure where to begin?", "text": "Ring us. You need no referral and no plan.",
            "label": "Ways to reach us", "url": "/contact",
        }],
        "navigation": [{ "label": "Articles", "url": "/articles" }, { "label": "Contact", "url": "/contact" }],
        "social_links": [{ "label": "Mastodon", "url": "https://social.example.org/@alderbank" }],
    });
    let tried = patch(&story.editor(), &format!("{MANAGED}?validate_only=true"), before.etag(), &facts);
    story.record("update_site", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let saved = patch(&story.editor(), MANAGED, before.etag(), &facts);
    let saved = story.record("update_site", "filled", "All facts of a site", saved).expect(200);
    // Alone so that a patch is seen to leave the rest of an object as it is.
    let phone = json!({ "contact": { "phone": "+1 202 555 0178" } });
    let phone = patch_json(&story.editor(), MANAGED, saved.etag(), &phone);
    story.record("update_site", "one_member", "A new phone number, and nothing else", phone).expect(200);
    story.record("get_managed_site", "filled", "As it is now", get(&story.editor(), MANAGED)).expect(200);
    let shown = story.record("get_site", "shown", "The facts for every page", get(&story.anyone(), SITE)).expect(200);
    let again = get_again(&story.anyone(), SITE, &shown);
    story.record("get_site", "unchanged", "The client has it already", again).expect(304);
}

fn tell_of_the_server(story: &Story) {
    story.record("get_health", "alive", "The program runs", get(&story.anyone(), "/healthz")).expect(200);
    story
        .record("get_readiness", "ready", "The database can be read and written", get(&story.anyone(), "/readyz"))
        .expect(200);
    let document = "/openapi.json";
    let head = Some(&["openapi", "info"][..]);
    let whole = get(&story.anyone(), document);
    story.record_part(head, "get_openapi", "document", "The document, of which this is the head", whole).expect(200);
    let tag = story.quietly(get(&story.anyone(), document)).expect(200);
    let again = get_again(&story.anyone(), document, &tag);
    story.record("get_openapi", "unchanged", "The client has it already", again).expect(304);
    let keys = get(&story.anyone(), "/.well-known/jwks.json");
    story.record("get_key_set", "one_key", "The key that signs access tokens", keys).expect(200);
}
