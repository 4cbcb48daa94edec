//! Contact forms, what visitors write, and what intake does with it. Everybody here is invented.

use serde_json::{Value, json};

use super::people::Intake;
use super::recorder::{Story, delete, get, get_again, patch, patch_json, post};
use crate::client::Response;
use crate::contact::{MANAGED, SUBMISSIONS};
use crate::contact_forms::{FORMS, default_form};

const FORM: &str = "application/x-www-form-urlencoded";

/// Before the month ends: the only message of that month, so that erasing it destroys the month's key.
pub(super) fn tell_of_a_visitor(story: &Story) {
    tell_of_forms(story);
    let shown = get(&story.anyone(), "/api/v1/contact-forms/sidebar");
    let shown = story.record("get_contact_form", "shown", "What a visitor is asked and agrees to", shown).expect(200);
    let again = get_again(&story.anyone(), "/api/v1/contact-forms/sidebar", &shown);
    story.record("get_contact_form", "unchanged", "The client has it already", again).expect(304);
    let spanish = get(&story.anyone(), "/api/v1/contact-forms/sidebar?language=es-MX");
    story.record("get_contact_form", "language", "The consent text in another language", spanish).expect(200);
    let token = get(&story.anyone(), "/api/v1/contact-forms/sidebar/token");
    let token = story.record("get_form_token", "token", "When the form was shown, signed", token).expect(200);
    let message = json!({
        "name": "Sam Sample", "email": "sam@example.org", "phone": "(202) 555-0143",
        "message": "I stopped drinking in spring and cannot sleep. May I come by on Thursday?",
        "form": "sidebar", "form_token": token.json()["form_token"], "page_url": "https://www.example.org/contact",
        "consent": true, "consent_version": "2026-11", "fields": { "insurance": "private" },
    });
    story
        .record(
            "create_contact_submission",
            "message",
            "A message with everything",
            post(&story.anyone(), SUBMISSIONS, &message),
        )
        .expect(202);
    let faulty =
        json!({ "name": "Sam Sample", "email": "sam@", "message": "Hello?", "consent": false, "form": "sidebar" });
    let refused = story.record(
        "create_contact_submission",
        "faults",
        "All that is wrong is told at once",
        post(&story.anyone(), SUBMISSIONS, &faulty),
    );
    refused.refused(422, "invalid-body");
}

fn sidebar() -> Value {
    json!({
        "name": "sidebar",
        "fields": [{
            "name": "insurance", "label": "Insurance", "required": true,
            "choices": [{ "value": "private", "label": "Private" }, { "value": "none", "label": "None" }],
        }],
        "consent_version": "2026-11",
        "consent_texts": [
            { "version": "2026-11", "language": "en", "text": "You may read this message in order to answer me." },
            { "version": "2026-11", "language": "es", "text": "Pueden leer este mensaje para responderme." },
        ],
        "recipients": ["desk@example.org"], "redirect_origins": ["https://www.example.org"],
        "retention_days": 90, "spam_retention_days": 14, "fallback_text": "Please ring +1 202 555 0178.",
        "requires_token": false, "least_seconds": 3, "urgent_phrases": ["overdose"],
        "crisis_text": "If somebody is in danger, ring 112 now.",
    })
}

fn tell_of_forms(story: &Story) {
    let tried = post(&story.admin(), &format!("{FORMS}?validate_only=true"), &sidebar());
    story.record("create_contact_form", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = story
        .record("create_contact_form", "full", "A form with everything", post(&story.admin(), FORMS, &sidebar()))
        .expect(201);
    let path = made.header("location").to_owned();
    story.record("get_managed_contact_form", "one", "One form", get(&story.admin(), &path)).expect(200);
    let tried =
        patch(&story.admin(), &format!("{path}?validate_only=true"), made.etag(), &json!({ "retention_days": 60 }));
    story.record("update_contact_form", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let usual = default_form(&story.admin());
    let tag = story.admin().get(&usual).etag().to_owned();
    let change =
        json!({ "fallback_text": "Please ring +1 202 555 0178.", "redirect_origins": ["https://www.example.org"] });
    let changed = patch(&story.admin(), &usual, &tag, &change);
    let changed = story.record("update_contact_form", "default", "The form that is always there", changed).expect(200);
    let urgent =
        json!({ "urgent_phrases": ["overdose", "not safe"], "crisis_text": "If somebody is in danger, ring 112 now." });
    let urgent = patch_json(&story.admin(), &usual, changed.etag(), &urgent);
    story
        .record("update_contact_form", "crisis", "What marks a message urgent, and what its sender is told", urgent)
        .expect(200);
    let old = json!({
        "name": "old-page", "consent_version": "1", "consent_texts": [{ "version": "1", "language": "en", "text": "I agree." }],
    });
    let old = story.quietly(post(&story.admin(), FORMS, &old)).expect(201);
    story
        .record(
            "list_contact_forms",
            "first_two",
            "The first two forms",
            get(&story.admin(), &format!("{FORMS}?limit=2")),
        )
        .expect(200);
    let (path, tag) = (old.header("location").to_owned(), old.etag().to_owned());
    let tried = delete(&story.admin(), &format!("{path}?validate_only=true"), &tag);
    story.record("delete_contact_form", "validated", "Which form would be deleted", tried).expect(200);
    story
        .record("delete_contact_form", "deleted", "A form that nobody has used", delete(&story.admin(), &path, &tag))
        .expect(204);
}

pub(super) fn tell_of_intake(story: &Story, intake: &Intake) {
    let first = tell_of_html_forms(story);
    tell_of_lists(story, intake);
    tell_of_work(story, intake, &id_of(&first));
    tell_of_a_person(story, intake);
}

fn id_of(receipt: &Response) -> String {
    receipt.json()["id"].as_str().unwrap().to_owned()
}

/// Sends messages as browsers do; gives the receipt of the first.
fn tell_of_html_forms(story: &Story) -> Response {
    let form = |text: &str| story.anyone().request("POST", SUBMISSIONS).body(FORM, text);
    let plain = form(
        "name=Lee+Sample&email=lee%40example.org&phone=&message=Are+visitors+welcome+on+Sundays%3F&consent=on&fields%5Bdiagnosis%5D=none&website=",
    );
    let first = story.record("create_contact_submission", "html_form", "From a plain HTML form", plain).expect(202);
    let led = form(
        "name=Ana+Sample&phone=%2B1+202+555+0198&message=Please+call+me+after+five.&consent=true&redirect_to=https%3A%2F%2Fwww.example.org%2Fthanks",
    );
    story
        .record("create_contact_submission", "html_form_redirected", "The visitor is led to a page that thanks", led)
        .expect(303);
    let urgent = json!({
        "name": "Jo Sample", "email": "jo@example.org", "message": "My brother took too much. I think it is an overdose.", "consent": true,
    });
    story
        .record(
            "create_contact_submission",
            "urgent",
            "An emergency: the answer says what to do at once",
            post(&story.anyone(), SUBMISSIONS, &urgent),
        )
        .expect(202);
    let spam = json!({
        "name": "Best Offers", "email": "offers@example.org", "message": "Cheap watches, today only.", "consent": true,
        "website": "https://offers.example.org",
    });
    story
        .record(
            "create_contact_submission",
            "honeypot",
            "A field that people leave empty is filled: kept apart, and answered alike",
            post(&story.anyone(), SUBMISSIONS, &spam),
        )
        .expect(202);
    first
}

fn tell_of_lists(story: &Story, intake: &Intake) {
    let list = |query: &str| get(&intake.client(story), &format!("{MANAGED}{query}"));
    story
        .record("list_contact_submissions", "waiting", "What came last, without its words", list("?limit=2"))
        .expect(200);
    story
        .record("list_contact_submissions", "urgent", "What is urgent, as a numbered page", list("?urgent=true&page=1"))
        .expect(200);
    story.record("list_contact_submissions", "spam", "What is taken for spam", list("?status=spam")).expect(200);
    story.record("list_assignees", "one", "Whose a message may be", list("/assignees")).expect(200);
    let table = list("/export.csv?status=new");
    story.record("export_contact_submissions", "new", "What is new, as a table", table).expect(200);
}

fn tell_of_work(story: &Story, intake: &Intake, id: &str) {
    let path = format!("{MANAGED}/{id}");
    let read = story
        .record(
            "get_contact_submission",
            "read",
            "A message; that it was read is audited",
            get(&intake.client(story), &path),
        )
        .expect(200);
    let kim = intake.client(story).get("/api/v1/auth/me").expect(200).json()["id"].clone();
    let taken = json!({ "status": "in_progress", "assignee": kim });
    let tried = patch(&intake.client(story), &format!("{path}?validate_only=true"), read.etag(), &taken);
    story
        .record("update_contact_submission", "validated", "Everything is checked and nothing is saved", tried)
        .expect(200);
    let saved = patch(&intake.client(story), &path, read.etag(), &taken);
    let saved = story.record("update_contact_submission", "assigned", "Somebody takes care of it", saved).expect(200);
    let closed = patch_json(
        &intake.client(story),
        &path,
        saved.etag(),
        &json!({ "status": "closed", "note": "Answered by email." }),
    );
    let closed = story.record("update_contact_submission", "closed", "Done, with a note", closed).expect(200);
    let tried = delete(&intake.client(story), &format!("{path}?validate_only=true"), closed.etag());
    story.record("delete_contact_submission", "validated", "Which message would be erased", tried).expect(200);
    let erased = delete(&intake.client(story), &path, closed.etag());
    story.record("delete_contact_submission", "erased", "Erased for good", erased).expect(204);
}

fn tell_of_a_person(story: &Story, intake: &Intake) {
    let sam = json!({ "email": "SAM@example.org", "phone": "+1 202 555 0143" });
    let ask = |what: &str, person: &Value| post(&intake.client(story), &format!("{MANAGED}/{what}"), person);
    story
        .record(
            "search_contact_submissions",
            "person",
            "Everything of a person, without its words",
            ask("search", &sam),
        )
        .expect(200);
    story
        .record(
            "export_person",
            "person",
            "Everything that is held about a person",
            ask("export", &json!({ "email": "sam@example.org" })),
        )
        .expect(200);
    story
        .record("erase_person", "validated", "What would be erased", ask("erase?validate_only=true", &sam))
        .expect(200);
    story.record("erase_person", "erased", "A certificate of what was erased", ask("erase", &sam)).expect(200);
}
