//! What delivery answers: what caches may hold, stamped with the state that it shows.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, Responder};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::answer::describe_links;
use super::api::Output;
use super::coding::CONTENT_ENCODING;
use super::conditional::{ANY_HEADER, MAX_HEADER};
use super::description::Description;
use super::problem::{Problem, REPRESENTATION_CHANGED};
use super::representation::Representation;
use crate::config::SharedFreshness;
use crate::db::{ContentVersion, Timestamp};

static CONTENT_VERSION: HeaderName = HeaderName::from_static("content-version");

/// How caches may hold delivery, as the settings say.
#[derive(Debug, Clone, Copy)]
pub struct CachePolicy {
    /// For how many seconds an answer is fresh.
    pub max_age: u32,
    /// For how long a CDN holds it; none where there is no CDN.
    pub shared: Option<SharedFreshness>,
}

impl CachePolicy {
    /// The value of `Cache-Control`. What may be served stale for a while can't be what must be asked about first.
    pub fn header(self) -> String {
        let max_age = self.max_age;
        match self.shared {
            None => format!("public, max-age={max_age}, must-revalidate"),
            Some(SharedFreshness { max_age: shared, stale }) => {
                format!("public, max-age={max_age}, s-maxage={shared}, stale-while-revalidate={stale}")
            }
        }
    }

    /// The same for what no CDN is told to purge, or not any more: where there is one, no shared cache holds it.
    pub fn unshared(self) -> String {
        match self.shared {
            None => self.header(),
            Some(_) => format!("private, max-age={}, must-revalidate", self.max_age),
        }
    }
}

/// What a read of what is public has seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which state.
    pub version: ContentVersion,
    /// The header that tells a CDN what the answer is made of; none where there is no CDN.
    pub keys: Option<(HeaderName, HeaderValue)>,
}

/// A public answer, stamped with the state that it shows.
pub struct Delivered<T> {
    value: T,
    seen: Seen,
    links: Option<String>,
    policy: CachePolicy,
    now: Timestamp,
}

impl<T> Delivered<T> {
    /// An answer that shows what was seen.
    pub fn new(value: T, seen: Seen, policy: CachePolicy, now: Timestamp) -> Self {
        Self { value, seen, links: None, policy, now }
    }

    fn without_value(self) -> Delivered<()> {
        let Self { seen, links, policy, now, .. } = self;
        Delivered { value: (), seen, links, policy, now }
    }

    /// Adds a `Link` header.
    #[must_use]
    pub fn with_links(mut self, links: Option<String>) -> Self {
        self.links = links;
        self
    }
}

impl<T: Serialize> Responder for Delivered<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        let bytes = serde_json::to_vec(&self.value);
        match bytes {
            Ok(bytes) => self.without_value().respond_with(req, "application/json", bytes),
            Err(error) => HttpResponse::from_error(Problem::internal(error)),
        }
    }
}

impl Delivered<()> {
    fn respond_with(self, req: &HttpRequest, content_type: &'static str, bytes: Vec<u8>) -> HttpResponse<BoxBody> {
        let finished = Arc::new(Representation::new(content_type, bytes, self.seen, self.policy, self.links));
        let mut response = finished.answer(finished.plain(), req.headers(), self.now);
        // For the cache, which is outside of this, keeps the answer and codes it.
        response.extensions_mut().insert(finished);
        response
    }
}

/// A public answer that is plain text.
pub struct DeliveredText {
    text: String,
    stamp: Delivered<()>,
}

impl DeliveredText {
    /// A text that shows the state of `stamp`.
    pub fn new(text: String, stamp: Delivered<()>) -> Self {
        Self { text, stamp }
    }
}

impl Responder for DeliveredText {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        self.stamp.respond_with(req, "text/plain; charset=utf-8", self.text.into_bytes())
    }
}

impl Output for DeliveredText {
    fn describe(description: &mut Description) {
        description.text("200", "What was asked for.");
        description.optional_header("200", "Link", "As for JSON; a text is whole and has none.");
    }
}

/// A public resource by its slug, or where its former slug leads.
pub enum Resolved<T> {
    /// The slug is the present one.
    Here(Delivered<T>),
    /// The slug is a former one.
    Moved(Moved),
}

/// `308` to the address of the present slug, the query kept.
pub struct Moved {
    path: String,
    version: ContentVersion,
    cache_control: String,
}

impl<T> Resolved<T> {
    /// The resource has moved to `path`.
    pub fn moved(path: String, seen: &Seen, policy: CachePolicy) -> Self {
        // A former slug may be somebody else's tomorrow, and nothing would purge its copies.
        Self::Moved(Moved { path, version: seen.version, cache_control: policy.unshared() })
    }
}

impl<T: Serialize> Responder for Resolved<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        let moved = match self {
            Self::Here(delivered) => return delivered.respond_to(req),
            Self::Moved(moved) => moved,
        };
        let query = req.query_string();
        let location = if query.is_empty() { moved.path } else { format!("{}?{query}", moved.path) };
        let mut response = HttpResponse::build(StatusCode::PERMANENT_REDIRECT);
        cache_headers(&mut response, moved.version, moved.cache_control);
        response.insert_header((header::LOCATION, location)).finish()
    }
}

impl<T: Serialize + ToSchema> Output for Resolved<T> {
    fn describe(description: &mut Description) {
        Delivered::<T>::describe(description);
        description.response("308", "The slug is a former one; `Location` has the present address, the query kept. `fetch` follows it silently: compare `slug` and redirect the visitor.", None);
        description.header("308", "Location", "The present address, a relative reference.");
        description.header("308", "Last-Modified", "When the published state that is shown came into being.");
        description.header("308", "Cache-Control", "How long the answer is fresh.");
        description.header("308", "Content-Version", "Counts the changes of what is public.");
    }
}

/// The headers that say what a cache may do with a delivery answer and which state it shows.
fn cache_headers(response: &mut HttpResponseBuilder, version: ContentVersion, cache_control: String) {
    response
        .insert_header((header::CACHE_CONTROL, cache_control))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::LAST_MODIFIED, version.changed_at.http_date()))
        .insert_header((CONTENT_VERSION.clone(), version.number.to_string()));
}

impl<T: Serialize + ToSchema> Output for Delivered<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("200", "What was asked for.", Some(&schema));
        description.response("304", "Nothing has changed since the answer that the client has.", None);
        for status in ["200", "304"] {
            description.header(status, "ETag", "Made from the bytes of the answer; send it as `If-None-Match`.");
            description.header(status, "Cache-Control", "How long the answer is fresh.");
            description.header(status, "Content-Version", "Counts the changes of what is public.");
        }
        description.header("200", "Last-Modified", "When the published state that is shown came into being.");
        description.optional_header("200", "Content-Encoding", CONTENT_ENCODING);
        describe_links(description);
        describe_conditions(description);
    }
}

/// What a client may say of the answer that it has (RFC 9110, 13).
fn describe_conditions(description: &mut Description) {
    for (name, text, example) in [
        (
            "If-None-Match",
            "The `ETag` of the answer that the client has; where it is still right, the answer is `304`. What is none is ignored.",
            "\"FXxCiVan9XaM4Ab80DQV\"",
        ),
        (
            "If-Modified-Since",
            "The `Last-Modified` of the answer that the client has; what is no date is ignored.",
            "Mon, 23 Nov 2026 09:30:00 GMT",
        ),
        (
            "If-Match",
            "The `ETag` of the only answer that the client wants, a list of them, or `*` for any. A weak one (`W/`) matches nothing, nor does a list with anything that is no entity tag.",
            "*",
        ),
        (
            "If-Unmodified-Since",
            "A `Last-Modified`: the answer is wanted only where nothing that is public has changed since, here or elsewhere. What is no date is ignored, and so is this header beside `If-Match`.",
            "Mon, 23 Nov 2026 09:30:00 GMT",
        ),
    ] {
        description.parameter(json!({
            "name": name, "in": "header", "required": false, "description": text,
            "schema": { "type": "string", "maxLength": MAX_HEADER, "pattern": ANY_HEADER }, "example": example,
        }));
    }
    description.problem_of(
        &REPRESENTATION_CHANGED,
        "`If-Match` does not name what is served now, or what is public has changed since `If-Unmodified-Since`.",
    );
    description.header("412", "ETag", "Of the present answer, in the coding that the client accepts.");
}
