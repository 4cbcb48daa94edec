//! How long the texts, lists and numbers of answers may become, and what stands in them.
//!
//! The same name means the same wherever it is answered, so its bounds are written once. They are for who reads
//! answers: what a request may hold is checked, and its bounds stand on its own schema. The tests hold every answer that
//! they get against them.

use serde_json::{Map, Value, json};

use crate::http::schema::{LINES, ONE_LINE, SLUG, has_type};

/// What a text holds.
enum Holds {
    /// What matches a regular expression (ECMA-262).
    Pattern(&'static str),
    /// What has a format of the `OpenAPI` format registry.
    Format(&'static str),
    /// One word, always the same.
    Always(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
}

use Holds::{Always, Format, OneOf, Pattern};

/// Names of members, the most characters of their text, and what it holds.
type Texts = &'static [(&'static [&'static str], u64, Holds)];

const LANGUAGE: &str = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$";
const WORD: &str = "^[a-z_]+$";
const DOTTED_WORDS: &str = "^[a-z_]+\\.[a-z_]+$";
const BASE64URL: &str = "^[A-Za-z0-9_-]+$";
const VISIBLE: &str = "^[!-~]+$";
const ENTITY_TAG: &str = r#"^"[!#-~]*"$"#;

/// HTML of an article's body: Markdown of 1 MiB, which grows where short marks become long elements.
const HTML_LENGTH: u64 = 64 << 20;
/// What an integer of JSON is exact up to (RFC 8259, 6).
const EXACT_INTEGER: i64 = (1 << 53) - 1;
/// Lists that nothing bounds but how much there is; so many are never there.
const LONGEST_LIST: u64 = 1_000_000;

/// Who is sent elsewhere takes a query of 16 KiB along.
const MOVED_LENGTH: u64 = 20_000;

const TEXTS: Texts = &[
    (&["slug", "parent"], 120, Pattern(SLUG)),
    (&["title"], 300, Pattern(ONE_LINE)),
    (&["subtitle"], 500, Pattern(ONE_LINE)),
    (
        &["name", "subject_name", "credentials", "user_agent", "label", "caption", "credit", "alt"],
        500,
        Pattern(ONE_LINE),
    ),
    (&["email"], 254, Pattern(ONE_LINE)),
    (&["phone"], 50, Pattern(ONE_LINE)),
    (&["form", "named_form", "parameter"], 100, Pattern(ONE_LINE)),
    (&["consent_version", "destroyed_keys[]"], 40, Pattern(ONE_LINE)),
    (&["excerpt", "fallback_text", "warnings[]"], 1000, Pattern(LINES)),
    (&["description", "crisis_text", "detail", "removed"], 2000, Pattern(LINES)),
    (&["reason"], 500, Pattern(LINES)),
    (&["message", "note"], 10_000, Pattern(LINES)),
    (&["heading", "text"], 1 << 20, Pattern(LINES)),
    (&["language"], 35, Pattern(LANGUAGE)),
    (&["body_html", "html"], HTML_LENGTH, Format("html")),
    (&["bio_html"], 1_310_720, Format("html")),
    (&["body_markdown"], 16 << 20, Format("commonmark")),
    (&["bio_markdown"], 20_000, Format("commonmark")),
    // Addresses that people write may have letters of any script (RFC 3987).
    (&["url", "page_url", "canonical_url", "to"], 4000, Pattern(ONE_LINE)),
    (&["from"], 1000, Pattern("^/")),
    (&["otpauth_url"], 2000, Format("uri")),
    (&["instance"], 16_384, Format("uri-reference")),
    (&["type"], 100, Format("uri-reference")),
    (&["request_id"], 64, Pattern("^[A-Za-z0-9._-]+$")),
    (&["code"], 40, Pattern(WORD)),
    (&["kind"], 40, Pattern(WORD)),
    (&["action"], 60, Pattern(DOTTED_WORDS)),
    // A member of `extra` may have a name of 16 KiB, of which a pointer writes some characters as two.
    (&["pointer", "conflicts[]"], 33_000, Format("json-pointer")),
    (&["version"], 40, Pattern("^[0-9A-Za-z._+-]+$")),
    (&["external_id"], 255, Pattern(ONE_LINE)),
    (&["next_cursor"], 2000, Pattern(BASE64URL)),
    (&["access_token"], 4096, Pattern("^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$")),
    (&["refresh_token", "token", "key"], 100, Pattern(VISIBLE)),
    (&["form_token"], 200, Pattern("^cdf_[A-Za-z0-9_-]+$")),
    (&["token_type"], 6, Always("Bearer")),
    (&["secret"], 64, Pattern("^[A-Z2-7]+$")),
    (&["recovery_codes[]"], 40, Pattern("^[A-Za-z0-9-]+$")),
    (&["etag"], 100, Pattern(ENTITY_TAG)),
    (&["status"], 2, Always("ok")),
    (&["kty"], 3, Always("OKP")),
    (&["crv"], 7, Always("Ed25519")),
    (&["use"], 3, Always("sig")),
    (&["alg"], 5, Always("EdDSA")),
    (&["kid"], 16, Pattern("^[A-Za-z0-9_-]{16}$")),
    (&["x"], 43, Pattern("^[A-Za-z0-9_-]{43}$")),
    (&["tags[]"], 60, Pattern(ONE_LINE)),
    (&["urgent_phrases[]"], 100, Pattern(ONE_LINE)),
];

/// Names of members, and the most entries of their list.
const LISTS: &[(&[&str], u64)] = &[
    (&["authors", "categories", "links", "fields", "spam_reasons"], 20),
    (&["tags"], 30),
    (&["related"], 100),
    (&["citations", "urgent_phrases"], 200),
    (&["keys"], 100),
    (&["warnings"], 1000),
    // `extra` has 16 KiB, and a member of it takes five bytes at least.
    (&["changes", "conflicts"], 10_000),
    // A heading takes two characters of a body.
    (&["sections", "table_of_contents"], 1 << 19),
    (&["words"], 1 << 21),
];

/// Names of members, and the greatest number.
const NUMBERS: &[(&str, i64)] =
    &[("reading_minutes", 10_000), ("word_count", 1 << 20), ("expires_in", 900), ("position", 1_000_000), ("level", 6)];

/// A response header: its schema, and an example. What it is said to hold decides where it holds different things.
pub fn header(name: &str, description: &str) -> Option<(Value, Value)> {
    if let Some(word) = description.strip_prefix("Always `").and_then(|rest| rest.split('`').next()) {
        return Some((json!({ "type": "string", "const": word }), json!(word)));
    }
    let says = |words: &str| description.contains(words);
    let (most, holds, example) = match name {
        "Cache-Control" if says("keys may be held") => (200, Pattern("^[a-z0-9=, -]+$"), "public, max-age=300"),
        "Cache-Control" => (200, Pattern("^[a-z0-9=, -]+$"), "public, max-age=0, must-revalidate"),
        "Retry-After" => (10, Pattern("^[0-9]+$"), "1"),
        "ETag" if says("Made from the bytes") => (100, Pattern(ENTITY_TAG), "\"sx8aUv0PBuPOhwXq5CuK\""),
        "ETag" if says("new resource") => (100, Pattern(ENTITY_TAG), "\"v1\""),
        "ETag" => (100, Pattern(ENTITY_TAG), "\"v3\""),
        "Last-Modified" => (29, Format("http-date"), "Mon, 23 Nov 2026 09:30:00 GMT"),
        "Content-Version" => (19, Pattern("^[0-9]+$"), "42"),
        "Content-Encoding" => (4, OneOf(&["br", "gzip"]), "br"),
        "Content-Disposition" => {
            (200, Pattern("^attachment; filename=\"[^\"]+\"$"), "attachment; filename=\"contact-submissions.csv\"")
        }
        "Link" => (
            100_000,
            Pattern("^<[^>]*>; rel=\"[a-z]+\"(; type=\"[a-z/]+\")?(, <[^>]*>; rel=\"[a-z]+\"(; type=\"[a-z/]+\")?)*$"),
            "</api/v1/articles?limit=20>; rel=\"first\"",
        ),
        "Location" => (MOVED_LENGTH, Format("uri-reference"), location(description)),
        "Deprecation" => (20, Pattern("^@[0-9]+$"), "@1800000000"),
        "Sunset" => (29, Format("http-date"), "Tue, 28 Dec 2027 13:20:00 GMT"),
        "RateLimit" => (100, Pattern("^\"[a-z-]+\";r=[0-9]+;t=[0-9]+$"), "\"contact\";r=29;t=60"),
        "RateLimit-Policy" => (100, Pattern("^\"[a-z-]+\";q=[0-9]+;w=[0-9]+$"), "\"contact\";q=30;w=60"),
        "WWW-Authenticate" => (100, Pattern("^Bearer"), "Bearer"),
        "X-Request-Id" => (64, Pattern("^[A-Za-z0-9._-]+$"), "9395f2a4087944c60000000000000000"),
        _ => return None,
    };
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("string"));
    restrict(&mut schema, most, &holds);
    Some((Value::Object(schema), json!(example)))
}

fn location(description: &str) -> &'static str {
    if description.contains("present address") {
        "/api/v1/articles/first-steps"
    } else if description.contains("redirect_to") {
        "https://www.example.org/thank-you"
    } else {
        "/api/v1/manage/articles/01a22b77-c800-7000-8000-000000000001"
    }
}

/// What `text/plain`, `text/csv` and the like hold.
pub fn whole_text() -> Value {
    json!({ "type": "string", "maxLength": HTML_LENGTH, "pattern": LINES })
}

/// Bounds a schema of an answer, and all that is in it, where it does not say its bounds itself.
pub fn bound(schema: &mut Value, name: &str) {
    let [is_text, is_list, is_number] = ["string", "array", "integer"].map(|kind| has_type(schema, kind));
    let Value::Object(schema) = schema else { return };
    if is_text {
        bound_text(schema, name);
    }
    if is_list && !schema.contains_key("maxItems") {
        let most = LISTS.iter().find(|(names, _)| names.contains(&name)).map_or(LONGEST_LIST, |(_, most)| *most);
        schema.insert("maxItems".to_owned(), json!(most));
    }
    if is_number {
        let most = NUMBERS.iter().find(|(of, _)| *of == name).map_or(EXACT_INTEGER, |(_, most)| *most);
        schema.entry("minimum").or_insert(json!(0));
        schema.entry("maximum").or_insert(json!(most));
    }
    for (member, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        bound(property, member);
    }
    for choice in ["oneOf", "anyOf"] {
        schema.get_mut(choice).and_then(Value::as_array_mut).into_iter().flatten().for_each(|one| bound(one, name));
    }
    if let Some(items) = schema.get_mut("items") {
        bound(items, &format!("{name}[]"));
    }
}

fn bound_text(schema: &mut Map<String, Value>, name: &str) {
    let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
    match format.as_deref() {
        Some("uuid") => drop(schema.entry("maxLength").or_insert(json!(36))),
        Some("date-time") => drop(schema.entry("maxLength").or_insert(json!(40))),
        _ => {
            if let Some((_, most, holds)) = TEXTS.iter().find(|(names, ..)| names.contains(&name)) {
                restrict(schema, *most, holds);
            }
        }
    }
}

/// Adds what a text schema does not say itself.
fn restrict(schema: &mut Map<String, Value>, most: u64, holds: &Holds) {
    let is_closed = schema.contains_key("enum") || schema.contains_key("const");
    if is_closed {
        return;
    }
    let is_restricted = schema.contains_key("pattern") || schema.contains_key("format");
    match holds {
        Always(word) if !is_restricted => drop(schema.insert("const".to_owned(), json!(word))),
        OneOf(words) if !is_restricted => drop(schema.insert("enum".to_owned(), json!(words))),
        Pattern(pattern) if !is_restricted => drop(schema.insert("pattern".to_owned(), json!(pattern))),
        Format(format) if !is_restricted => drop(schema.insert("format".to_owned(), json!(format))),
        _ => {}
    }
    if matches!(holds, Pattern(_) | Format(_)) {
        schema.entry("maxLength").or_insert(json!(most));
    }
}
