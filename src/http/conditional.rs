//! Conditional requests (RFC 9110, 13): entity tags of management and of delivery.
//!
//! Management's tag is the version of the resource's row, which every save and move raises; a write
//! must name it, so that nobody overwrites anybody. Delivery's tag is made from the bytes.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_128;

use super::api::Input;
use super::description::Description;
use super::problem::{BAD_REQUEST, Fault, PRECONDITION_FAILED, PRECONDITION_REQUIRED, Problem, REPRESENTATION_CHANGED};
use crate::db::{ContentVersion, Timestamp};

/// Base64 for URLs, without padding (RFC 4648, 5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Undoes [`base64url`].
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The entity tag of a row's version.
pub fn version_tag(row_version: i64) -> String {
    format!("\"v{row_version}\"")
}

/// The entity tag of an answer's bytes: 120 bits of `XXH3`. That two answers share one by accident is as unlikely as with
/// any other hash. Who may publish could bring it about on purpose, with much effort, since it is no cryptographic one:
/// what others have published would be shown late to who has a copy of the former state, until the next publication.
pub fn content_tag(bytes: &[u8]) -> String {
    format!("\"{}\"", base64url(&xxh3_128(bytes).to_be_bytes()[..15]))
}

/// Kept by clients, and asked for anew each time it is shown: cheap, since they ask with the entity tag.
pub const REVALIDATED: &str = "public, max-age=0, must-revalidate";

/// Bytes that stay the same while the program runs, unless the client has them.
pub fn lasting(request: &HttpRequest, tag: &str, content_type: &str, bytes: Bytes) -> HttpResponse {
    let has_it = has_tag(request.headers(), tag).unwrap_or(false);
    let mut answer = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, REVALIDATED));
    if has_it { answer.finish() } else { answer.content_type(content_type).body(bytes) }
}

/// What a write says about the version that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever is there.
    Any,
    /// One of these entity tags.
    Tags(Vec<String>),
}

impl IfMatch {
    /// Reads what a header would hold.
    ///
    /// # Errors
    /// `422` where it is neither `*` nor a list of entity tags.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut headers = HeaderMap::new();
        if let Ok(value) = header::HeaderValue::from_str(text) {
            headers.insert(header::IF_MATCH, value);
        }
        match tags(&headers, &header::IF_MATCH) {
            Some(Ok(tags)) if tags.iter().any(|tag| tag == "*") => Ok(Self::Any),
            Some(Ok(tags)) => Ok(Self::Tags(tags)),
            _ => {
                let message = "Give `*` or a list of quoted entity tags.";
                Err(Problem::invalid_body(vec![Fault::body("", "format", message)]))
            }
        }
    }

    /// The version that the caller has read, where it names one.
    pub fn version(&self) -> Option<i64> {
        match self {
            Self::Tags(tags) if tags.len() == 1 => {
                tags[0].strip_prefix("\"v")?.strip_suffix('"')?.parse().ok().filter(|version| *version >= 1)
            }
            _ => None,
        }
    }

    /// That this version is meant and no other.
    pub fn of_version(row_version: i64) -> Self {
        Self::Tags(vec![version_tag(row_version)])
    }

    /// Whether the row's present version is one that the caller means.
    ///
    /// # Errors
    /// `412` with the present entity tag where it is not.
    pub fn check(&self, row_version: i64) -> Result<(), Problem> {
        let present = version_tag(row_version);
        match self {
            Self::Any => Ok(()),
            Self::Tags(tags) if tags.contains(&present) => Ok(()),
            Self::Tags(_) => {
                let detail =
                    "The resource was saved by someone else since you read it; read it again and apply your change.";
                Err(Problem::new(&PRECONDITION_FAILED, detail).with_header(header::ETAG, &present))
            }
        }
    }
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match tags(req.headers(), &header::IF_MATCH) {
            None => Err(Problem::new(
                &PRECONDITION_REQUIRED,
                "Send `If-Match` with the `ETag` that you read, or `If-Match: *` for whatever is there.",
            )),
            Some(Err(())) => Err(Problem::new(&BAD_REQUEST, "`If-Match` must be `*` or a list of quoted entity tags.")),
            Some(Ok(tags)) if tags.iter().any(|tag| tag == "*") => Ok(Self::Any),
            // A weak tag never matches strongly (RFC 9110, 13.1.1); kept, it simply matches nothing.
            Some(Ok(tags)) => Ok(Self::Tags(tags)),
        })
    }
}

/// `*`, or a list of strong entity tags (RFC 9110, 8.8.3); a weak one is taken and matches nothing.
const TAGS: &str = r#"^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$"#;
/// The longest of these headers that is read, in bytes; the edge refuses a longer one.
pub(super) const MAX_HEADER: usize = 8192;
/// What a header that is ignored where it makes no sense may hold (RFC 9110, 5.5).
pub(super) const ANY_HEADER: &str = r"^[^\x00-\x08\x0A-\x1F\x7F]*$";

impl Input for IfMatch {
    fn describe(description: &mut Description) {
        description.parameter(json!({
            "name": "If-Match",
            "in": "header",
            "required": true,
            "description": "The `ETag` that was read, or `*` for whatever is there (RFC 9110, 13.1.1).",
            "schema": { "type": "string", "maxLength": MAX_HEADER, "pattern": TAGS },
            "example": "\"v3\"",
        }));
        description.problem("428", "`If-Match` is missing.");
        description.problem(
            "412",
            "Someone else saved first; `ETag` has the present version, and of an article the members say what changed.",
        );
        description.header("412", "ETag", "The present version.");
    }
}

/// What a `PUT` says about the resource that it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// `If-None-Match: *`: there must be none yet.
    Create,
    /// `If-Match`: there must be one, at a version that the caller means.
    Replace(IfMatch),
}

impl FromRequest for Put {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bad = |detail| Err(Problem::new(&BAD_REQUEST, detail));
        let none = tags(req.headers(), &header::IF_NONE_MATCH);
        ready(match (none, req.headers().contains_key(header::IF_MATCH)) {
            (None, true) => return ready(IfMatch::from_request(req, payload).into_inner().map(Self::Replace)),
            (None, false) => Err(Problem::new(
                &PRECONDITION_REQUIRED,
                "Send `If-None-Match: *` to make the resource, or `If-Match` with its `ETag` (or `*`) to replace it.",
            )),
            (Some(_), true) => bad("Send either `If-None-Match` or `If-Match`, not both."),
            (Some(Ok(tags)), false) if tags.iter().all(|tag| tag == "*") => Ok(Self::Create),
            (Some(_), false) => bad("`If-None-Match` must be `*` here."),
        })
    }
}

impl Input for Put {
    fn describe(description: &mut Description) {
        let replaces = "The `ETag` that was read, or `*` for whatever is there, to replace the resource.";
        let tags = json!({ "type": "string", "maxLength": MAX_HEADER, "pattern": TAGS });
        let creates = "`*` to make the resource: there must be none yet. Not together with `If-Match`.";
        for (name, text, schema, example) in [
            ("If-None-Match", creates, json!({ "type": "string", "enum": ["*"] }), "*"),
            ("If-Match", replaces, tags, "\"v3\""),
        ] {
            description.parameter(json!({
                "name": name, "in": "header", "required": false, "description": text,
                "schema": schema, "example": example,
            }));
        }
        description.problem("428", "Neither `If-None-Match` nor `If-Match` was sent.");
        description.problem("412", "The resource is there already, is not there, or someone else saved first.");
        description.optional_header("412", "ETag", "The present version, where there is one.");
    }
}

/// The entity tags of a header; `None` without it, an error where it is malformed.
fn tags(headers: &HeaderMap, name: &header::HeaderName) -> Option<Result<Vec<String>, ()>> {
    let mut all = headers.get_all(name).peekable();
    all.peek()?;
    let mut tags = Vec::new();
    for value in all {
        for tag in EntityTags(value.as_bytes()) {
            let Some(tag) = tag.and_then(|tag| std::str::from_utf8(tag).ok()) else { return Some(Err(())) };
            tags.push(tag.to_owned());
        }
    }
    Some(if tags.is_empty() { Err(()) } else { Ok(tags) })
}

/// The elements of a list of entity tags, or `*` (RFC 9110, 8.8.3 and 13.1): what is quoted may hold commas, and bytes
/// that are no ASCII. None within where it is malformed, and nothing after that.
struct EntityTags<'t>(&'t [u8]);

impl<'t> Iterator for EntityTags<'t> {
    type Item = Option<&'t [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let begins = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = &self.0[begins..];
        let length = Self::length(rest);
        self.0 = length.map_or(&[], |length| &rest[length..]);
        Some(length.map(|length| &rest[..length]))
    }
}

impl EntityTags<'_> {
    /// How long the element is that the text begins with; none where it is malformed.
    fn length(text: &[u8]) -> Option<usize> {
        let length = match text {
            [b'*', ..] => 1,
            [b'W', b'/', b'"', rest @ ..] => 3 + rest.iter().position(|byte| *byte == b'"')? + 1,
            [b'"', rest @ ..] => 1 + rest.iter().position(|byte| *byte == b'"')? + 1,
            _ => return None,
        };
        let after = text[length..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
        after.is_none_or(|byte| *byte == b',').then_some(length)
    }
}

/// What `If-None-Match` says of a tag: whether the client has it; `None` without the header. Comparison is
/// weak here (RFC 9110, 13.1.2).
pub fn has_tag(headers: &HeaderMap, tag: &str) -> Option<bool> {
    names(headers, &header::IF_NONE_MATCH, |one| one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}

/// Whether a list of entity tags is `*` or names one that is meant; `None` without the header.
fn names(headers: &HeaderMap, name: &header::HeaderName, is_meant: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let mut values = headers.get_all(name).peekable();
    values.peek()?;
    let mut is_named = false;
    for value in values {
        for one in EntityTags(value.as_bytes()) {
            // What can't be read says nothing.
            let Some(one) = one else { return Some(false) };
            is_named |= one == b"*" || is_meant(one);
        }
    }
    Some(is_named)
}

/// Whether a read is asked for one state alone.
pub fn is_bound_to_a_state(headers: &HeaderMap) -> bool {
    headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Whether a read may be answered: `If-Match` names the tag of the answer or, where there is no such header, the answer
/// is no newer than `If-Unmodified-Since`. Tags are compared strongly (RFC 9110, 13.1.1, 13.1.4 and 13.2.2).
///
/// # Errors
/// `412` with the present entity tag where it may not.
pub fn check_state(headers: &HeaderMap, tag: &str, version: ContentVersion) -> Result<(), Problem> {
    let detail = match names(headers, &header::IF_MATCH, |one| one == tag.as_bytes()) {
        Some(true) => return Ok(()),
        Some(false) => "`If-Match` does not name the entity tag of what is served here now.",
        None => {
            let since = date(headers, &header::IF_UNMODIFIED_SINCE);
            if since.is_none_or(|since| version.changed_at.unix_seconds() <= since.unix_seconds()) {
                return Ok(());
            }
            "What is public has changed since the date of `If-Unmodified-Since`, here or elsewhere."
        }
    };
    Err(Problem::new(&REPRESENTATION_CHANGED, detail).with_header(header::ETAG, tag))
}

/// The date of a header; none where it has not just one that can be read, which is ignored (RFC 9110, 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: &header::HeaderName) -> Option<Timestamp> {
    let mut all = headers.get_all(name);
    let only = all.next().filter(|_| all.next().is_none());
    only.and_then(|value| value.to_str().ok()).and_then(Timestamp::from_http_date)
}

/// Whether a `GET` may be answered with `304`: the tag is one that the client has, or, where it names
/// none, nothing has changed since its date. A date counts only where it is the present state's alone, and when it is
/// more than two seconds old: within those, the next state may come to share it.
pub fn is_not_modified(headers: &HeaderMap, tag: &str, version: ContentVersion, now: Timestamp) -> bool {
    let changed_at = version.changed_at;
    if let Some(has_it) = has_tag(headers, tag) {
        return has_it;
    }
    let since = date(headers, &header::IF_MODIFIED_SINCE);
    let settled = now.unix_seconds() - changed_at.unix_seconds() > 2;
    version.has_own_second && settled && since.is_some_and(|since| changed_at.unix_seconds() <= since.unix_seconds())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn has(value: &[u8]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_bytes(value).unwrap());
        has_tag(&headers, "\"tag\"").unwrap()
    }

    #[test]
    fn a_tag_is_found_in_whatever_list_it_stands() {
        for value in ["*", "\"tag\"", "W/\"tag\"", " ,, \"a,b\" ,\t\"tag\",", "\"\", W/\"x\",\"tag\"", "\"tag\", *"] {
            assert!(has(value.as_bytes()), "{value}");
        }
        assert!(has(b"\"\xe9\", \"tag\""), "bytes that are no ASCII");
        for value in
            ["", "tag", "\"tag", "\"other\"", "w/\"tag\"", "\"tag\" \"x\"", "\"x\" \"tag\"", "\"a\",tag", "\"Tag\""]
        {
            assert!(!has(value.as_bytes()), "{value}");
        }
        assert_eq!(has_tag(&HeaderMap::new(), "\"tag\""), None);
    }

    #[test]
    fn a_date_counts_where_it_is_one_states_alone_and_has_passed() {
        let at = |seconds| Timestamp::from_unix_millis(1_800_000_000_500).plus_seconds(seconds);
        let version = ContentVersion { number: 1, changed_at: at(0), has_own_second: true, ends_at: None };
        let is_unchanged = |since: Timestamp, now: Timestamp, version: ContentVersion| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MODIFIED_SINCE, HeaderValue::from_str(&since.http_date()).unwrap());
            is_not_modified(&headers, "\"tag\"", version, now)
        };
        assert!(is_unchanged(at(0), at(3), version) && is_unchanged(at(60), at(99), version));
        assert!(!is_unchanged(at(-1), at(3), version), "it has another state");
        assert!(!is_unchanged(at(0), at(2), version), "the next state may share the second");
        let shared = ContentVersion { has_own_second: false, ..version };
        assert!(!is_unchanged(at(0), at(99), shared), "it may have the state before");
    }

    #[test]
    fn a_read_is_bound_to_the_tag_or_the_date_that_it_names() {
        let changed_at = Timestamp::from_unix_millis(1_800_000_000_500);
        let version = ContentVersion { number: 1, changed_at, has_own_second: true, ends_at: None };
        let is_met = |all: &[(header::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in all {
                headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
            }
            check_state(&headers, "\"tag\"", version).is_ok()
        };
        let (tag, date) = (header::IF_MATCH, header::IF_UNMODIFIED_SINCE);
        let at = |seconds| changed_at.plus_seconds(seconds).http_date();
        assert!(is_met(&[]) && is_met(&[(tag.clone(), "*")]) && is_met(&[(tag.clone(), "\"x\", \"tag\"")]));
        assert!(is_met(&[(tag.clone(), "\"x\""), (tag.clone(), "\"tag\"")]), "several lines are one list");
        for other in ["\"x\"", "W/\"tag\"", "tag", ""] {
            assert!(!is_met(&[(tag.clone(), other)]), "{other}");
        }
        assert!(is_met(&[(date.clone(), &at(0))]) && is_met(&[(date.clone(), &at(9))]));
        assert!(is_met(&[(date.clone(), "yesterday")]), "what is no date is ignored");
        assert!(!is_met(&[(date.clone(), &at(-1))]));
        assert!(is_met(&[(date.clone(), &at(-1)), (date.clone(), &at(-1))]), "two dates are none");
        assert!(is_met(&[(tag, "\"tag\""), (date, &at(-1))]), "a tag says more than a date");
    }
}
