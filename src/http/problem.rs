//! Errors as RFC 9457 problem details: one type for every error that a client can meet.
//!
//! A problem says two things: to the client a stable kind with its page and a sentence that says what
//! to do; to the log, once and at the boundary, the cause. What is not listed here is an opaque `500`.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::db;

/// The most faults that one problem lists; more than one beyond it are not looked for.
pub const MAX_FAULTS: usize = 100;

/// What kind of error it is: its stable name, status, title, and what its page says.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last part of `/problems/<name>`.
    pub name: &'static str,
    /// The same as the code of a fault, where one operation of many fails with it.
    pub code: &'static str,
    /// The status that it is answered with.
    pub status: StatusCode,
    /// A short summary, the same each time.
    pub title: &'static str,
    /// What it means and what to do: the text of its page.
    pub explanation: &'static str,
}

impl Kind {
    /// The reference of its page, relative to this server: the `type` of its problems.
    pub fn reference(&self) -> String {
        format!("/problems/{}", self.name)
    }
}

macro_rules! kinds {
    ($($constant:ident $name:literal $code:literal $status:ident $title:literal $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub static $constant: Kind = Kind {
                name: $name,
                code: $code,
                status: StatusCode::$status,
                title: $title,
                explanation: $explanation,
            };
        )*
        /// Every kind, for the pages under `/problems/`.
        pub static KINDS: &[&Kind] = &[$(&$constant),*];
    };
}

kinds! {
    BAD_REQUEST "bad-request" "bad_request" BAD_REQUEST "The request can't be understood"
        "The request line, a header or the way the body was sent breaks HTTP's rules. Nothing was changed.";
    INVALID_JSON "invalid-json" "invalid_json" BAD_REQUEST "The body is not JSON"
        "The body can't be read as JSON in UTF-8 (RFC 8259), or it is nested more than 128 levels deep. Nothing was changed.";
    INVALID_QUERY "invalid-query" "invalid_query" BAD_REQUEST "The query has faults"
        "One or more query parameters are unknown, malformed or don't go together. `errors` names each of them; a name that is nearly right is followed by the one that was probably meant. The list of parameters is in the OpenAPI document.";
    UNAUTHENTICATED "unauthenticated" "unauthenticated" UNAUTHORIZED "Sign in first"
        "This address needs `Authorization: Bearer` with an access token or an API key, and the request had none or one that is not valid any more. Get a token from `POST /api/v1/auth/login`, or a new one from `POST /api/v1/auth/refresh`; it lasts fifteen minutes.";
    INVALID_CREDENTIALS "invalid-credentials" "invalid_credentials" UNAUTHORIZED "The email or the password is wrong"
        "No enabled account has this email and this password. The answer is the same whichever of them is wrong.";
    SECOND_FACTOR_REQUIRED "second-factor-required" "second_factor_required" UNAUTHORIZED "A code of the second factor is needed"
        "The email and the password are right, and the account has a second factor: send the present code of the authenticator app, or a recovery code, as `code` along with them. Each code works once.";
    SECOND_FACTOR_SETUP_REQUIRED "second-factor-setup-required" "second_factor_setup_required" FORBIDDEN "Set up a second factor first"
        "Your role may only sign in with a second factor, and your account has none yet. This sign-in is good for setting it up: `POST /api/v1/auth/me/second-factor`, then `POST /api/v1/auth/me/second-factor/confirm`.";
    FORBIDDEN "forbidden" "forbidden" FORBIDDEN "Your role does not allow this"
        "You are signed in, but your role may not do this. `detail` names the permission that is needed; an admin can change your role.";
    NOT_FOUND "not-found" "not_found" NOT_FOUND "There is nothing here"
        "No resource has this address, or you may not know that it has. Addresses are case-sensitive.";
    METHOD_NOT_ALLOWED "method-not-allowed" "method_not_allowed" METHOD_NOT_ALLOWED "This address does not take that method"
        "The `Allow` header lists the methods that the address takes.";
    REQUEST_TIMEOUT "request-timeout" "request_timeout" REQUEST_TIMEOUT "The request took too long to arrive"
        "The request was not complete in time. Send it again.";
    CONFLICT "conflict" "conflict" CONFLICT "That is not possible now"
        "The request is well-formed, but the present state of the resource forbids it. `detail` says why and what would make it possible.";
    SLUG_TAKEN "slug-taken" "slug_taken" CONFLICT "The slug is taken"
        "A slug belongs to one resource at a time. `holder` names the one that has it, where you may see it. Choose another slug, or leave it out and one is made from the title.";
    IN_USE "in-use" "in_use" CONFLICT "It is still in use"
        "Something still refers to the resource, so it is not deleted. Send `reassign_to` with the slug or id of what takes its place.";
    STILL_RUNNING "still-running" "still_running" CONFLICT "The first request with this key still runs"
        "A request with the same `Idempotency-Key` has not been answered yet. Wait as long as `Retry-After` says and send it again: the answer is the first one's.";
    ALREADY_DONE "already-done" "already_done" CONFLICT "The request was done and its answer is not kept"
        "A request with the same `Idempotency-Key` and body was done, so it is not done again; but its answer holds a secret, is too large to keep, or was lost when the program stopped. `Location` says where the result is, where that is known.";
    GONE "gone" "gone" GONE "It was published and has been withdrawn"
        "The article was public and is no more. `withdrawn_at` says since when, and `successor` where to go instead, if there is such a place.";
    PRECONDITION_FAILED "precondition-failed" "precondition_failed" PRECONDITION_FAILED "Someone else saved first"
        "The resource has changed since you read it, so nothing was changed. The `ETag` header has the present version: read the resource again, apply your change to it, and send that.";
    REPRESENTATION_CHANGED "representation-changed" "representation_changed" PRECONDITION_FAILED "It has changed since"
        "`If-Match` or `If-Unmodified-Since` asks for one state of what is public, and another is served now: a tag stands for the answer itself, a date for all that is public. The `ETag` header has the present tag; read without these headers to have what is served now.";
    PAYLOAD_TOO_LARGE "payload-too-large" "payload_too_large" PAYLOAD_TOO_LARGE "The body is too large"
        "The body exceeds the limit that `detail` names. Nothing was changed.";
    URI_TOO_LONG "uri-too-long" "uri_too_long" URI_TOO_LONG "The address is too long"
        "The address with its query exceeds the limit that `detail` names.";
    UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE "The body has a media type that is not taken here"
        "Send the body with one of the `Content-Type`s that `detail` names.";
    INVALID_BODY "invalid-body" "invalid_body" UNPROCESSABLE_ENTITY "The body has faults"
        "The body is JSON, but one or more of its members are unknown, missing, malformed or refer to what doesn't exist. `errors` names all of them, each with a JSON Pointer (RFC 6901). Nothing was changed.";
    UNSAFE_CONTENT "unsafe-content" "unsafe_content" UNPROCESSABLE_ENTITY "Something would have to be removed"
        "With `Prefer: handling=strict`, content that sanitising would alter is refused. `errors` names what would be removed. Nothing was changed.";
    BULK_FAILED "bulk-failed" "bulk_failed" UNPROCESSABLE_ENTITY "An operation failed, so none was done"
        "With `atomic`, many operations are done together or not at all. `errors` names every one that failed, by its place in `operations`, and why. Nothing was changed; leave those out or put them right, or send `atomic` as `false`.";
    IDEMPOTENCY_KEY_REUSED "idempotency-key-reused" "idempotency_key_reused" UNPROCESSABLE_ENTITY "The key was used for another request"
        "For 24 hours an `Idempotency-Key` belongs to one request: the same address, query and body. Take a new key, such as a random UUID, for each new request. Nothing was changed.";
    PRECONDITION_REQUIRED "precondition-required" "precondition_required" PRECONDITION_REQUIRED "Say which version you mean"
        "This method needs `If-Match` with the `ETag` that you read, so that nobody's work is overwritten (RFC 6585). `If-Match: *` means: whatever is there.";
    TOO_MANY_REQUESTS "too-many-requests" "too_many_requests" TOO_MANY_REQUESTS "Too many attempts"
        "Signing in is limited by network and by email, the contact form by network. `Retry-After` says in how many seconds to try again; `RateLimit` and `RateLimit-Policy` tell of the limit; `fallback_text` how else to reach the people of the site, where a contact form says so.";
    HEADERS_TOO_LARGE "headers-too-large" "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "The headers are too large"
        "The request's header fields exceed the limit.";
    INTERNAL "internal" "internal" INTERNAL_SERVER_ERROR "Something went wrong on the server"
        "The fault is ours. The server's log has the cause under the `request_id` of this answer.";
    OVERLOADED "overloaded" "overloaded" SERVICE_UNAVAILABLE "The server is overloaded"
        "Too many requests wait already, or the database is locked by another program. `Retry-After` says when to try again.";
}

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where in the body, as a JSON Pointer (RFC 6901); null for a fault of the query.
    #[schema(required)]
    pub pointer: Option<String>,
    /// Which query parameter; null for a fault of the body.
    #[schema(required)]
    pub parameter: Option<String>,
    /// What is wrong, as a stable name that programs can compare.
    pub code: &'static str,
    /// What is wrong, for a person. Never repeats the value that was sent.
    pub message: String,
}

impl Fault {
    /// A fault at a place in the body.
    pub fn body(pointer: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let (pointer, parameter) = (Some(pointer.into()), None);
        Self { pointer, parameter, code, message: message.into() }
    }

    /// A fault of a query parameter.
    pub fn query(parameter: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        let (pointer, parameter) = (None, Some(parameter.into()));
        Self { pointer, parameter, code, message: message.into() }
    }
}

/// A problem as a client sees it (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// What kind of problem it is: a reference, relative to this server, to a page that explains it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid-body", format = "uri-reference")]
    pub kind: String,
    /// A short summary of the kind.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    pub status: u16,
    /// What went wrong this time and what to do about it.
    pub detail: String,
    /// The path that was requested, or the beginning of one that is longer than any resource has.
    #[schema(format = "uri-reference")]
    pub instance: String,
    /// The id under which the server's log tells of this request.
    pub request_id: String,
    /// All faults of the input, at most 100; empty where the input is not at fault.
    #[schema(max_items = 100)]
    pub errors: Vec<Fault>,
    /// Whether there were more faults than `errors` lists.
    pub truncated: bool,
    /// Members that only some kinds have.
    #[serde(flatten)]
    #[schema(ignore)]
    pub members: Map<String, Value>,
}

/// Which request a problem belongs to.
#[derive(Debug, Clone, Default)]
pub struct Occurrence {
    /// The path of the request, as it was sent.
    pub instance: String,
    /// Its id.
    pub request_id: String,
}

/// An error that is answered as a problem.
#[derive(Debug)]
pub struct Problem {
    kind: &'static Kind,
    detail: String,
    faults: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
    cause: Option<String>,
    occurrence: Occurrence,
}

impl Problem {
    /// A problem of this kind; `detail` is a whole sentence that says what to do.
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            faults: Vec::new(),
            headers: Vec::new(),
            members: Map::new(),
            cause: None,
            occurrence: Occurrence::default(),
        }
    }

    /// A fault of ours: the client learns nothing, the log the cause.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let mut problem = Self::new(&INTERNAL, "The request could not be completed; trying again later may help.");
        problem.cause = Some(cause.to_string());
        problem
    }

    /// Nothing has this address.
    pub fn not_found() -> Self {
        Self::new(&NOT_FOUND, "No resource was found at this address.")
    }

    /// Faults of the body, all at once.
    pub fn invalid_body(faults: Vec<Fault>) -> Self {
        Self::new(&INVALID_BODY, count(faults.len(), "member of the body is", "members of the body are"))
            .with_faults(faults)
    }

    /// Faults of the query, all at once.
    pub fn invalid_query(faults: Vec<Fault>) -> Self {
        Self::new(&INVALID_QUERY, count(faults.len(), "query parameter is", "query parameters are")).with_faults(faults)
    }

    /// The present state forbids it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(&CONFLICT, detail)
    }

    /// Too much is going on.
    pub fn overloaded() -> Self {
        Self::new(&OVERLOADED, "The server has too much to do; try again in a second.")
            .with_header(header::RETRY_AFTER, "1")
    }

    /// Says it in other words.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Adds faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Fault>) -> Self {
        self.faults = faults;
        self
    }

    /// Whether it has a response header.
    pub fn has_header(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|(own, _)| own == name)
    }

    /// Adds a response header; a value that no header can hold is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds a member that only this kind has.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Serialize) -> Self {
        self.members.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }

    /// Says of its faults that they are in a part of the body.
    #[must_use]
    pub fn beneath(self, pointer: &str) -> Self {
        self.with_pointers(|own| format!("{pointer}{own}"))
    }

    /// Says of its faults in the body that they are elsewhere.
    #[must_use]
    pub fn with_pointers(mut self, place: impl Fn(&str) -> String) -> Self {
        for own in self.faults.iter_mut().filter_map(|fault| fault.pointer.as_mut()) {
            *own = place(own);
        }
        self
    }

    /// Says which request it belongs to.
    #[must_use]
    pub fn at(mut self, occurrence: Occurrence) -> Self {
        self.occurrence = occurrence;
        self
    }

    /// What the log must know and the client must not.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The kind of problem.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: &'static Kind) -> bool {
        self.kind == kind
    }

    /// Whether the fault is in what was asked, not in the server.
    pub fn is_clients(&self) -> bool {
        self.kind.status.is_client_error()
    }

    /// What happened, in a sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The faults that it lists.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The headers that go with it.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The members that only its kind has; what is not known of them is null.
    fn members(&self) -> Map<String, Value> {
        let mut members = self.members.clone();
        let own: &[&str] = match self.kind.status {
            StatusCode::CONFLICT => &["holder"],
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => &["fallback_text"],
            StatusCode::PRECONDITION_FAILED if self.is(&PRECONDITION_FAILED) => {
                &["changed_at", "changed_by", "changes", "conflicts", "merged"]
            }
            _ => &[],
        };
        for name in own {
            members.entry(*name).or_insert(Value::Null);
        }
        members
    }

    /// The body, `application/problem+json`.
    pub fn body(&self, occurrence: &Occurrence) -> String {
        let document = ProblemDocument {
            kind: self.kind.reference(),
            title: self.kind.title,
            status: self.kind.status.as_u16(),
            detail: self.detail.clone(),
            instance: uri_reference(&occurrence.instance),
            request_id: occurrence.request_id.clone(),
            errors: self.faults.iter().take(MAX_FAULTS).cloned().collect(),
            truncated: self.faults.len() > MAX_FAULTS,
            members: self.members(),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

/// What a path may hold as it is (RFC 3986, 3.3), besides letters and digits.
const PATH_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The most bytes of a path that a problem repeats, before what has to be is percent-encoded.
const MAX_INSTANCE: usize = 5000;

/// A path as it was sent, with what no URI may hold percent-encoded: servers take more than there should be.
fn uri_reference(path: &str) -> String {
    let mut parts = beginning(path).split('%');
    let mut reference = utf8_percent_encode(parts.next().unwrap_or_default(), PATH_CHARACTERS).to_string();
    for part in parts {
        let is_escape = part.len() >= 2 && part.as_bytes().iter().take(2).all(u8::is_ascii_hexdigit);
        reference.push_str(if is_escape { "%" } else { "%25" });
        reference.extend(utf8_percent_encode(part, PATH_CHARACTERS));
    }
    reference
}

/// As much of a path as a problem repeats, without a part of an escape.
fn beginning(path: &str) -> &str {
    if path.len() <= MAX_INSTANCE {
        return path;
    }
    let whole = &path[..path.floor_char_boundary(MAX_INSTANCE)];
    match whole.rfind('%') {
        Some(escape) if whole.len() - escape < 3 => &whole[..escape],
        _ => whole,
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one} not right; `errors` says what is expected."),
        2..=MAX_FAULTS => format!("{number} {many} not right; `errors` says what is expected."),
        _ => format!("More than {MAX_FAULTS} {many} not right; `errors` says what is expected of the first."),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title, self.cause.as_deref().unwrap_or(&self.detail))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.kind.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        if let Ok(id) = HeaderValue::from_str(&self.occurrence.request_id) {
            response.insert_header(("x-request-id", id));
        }
        response
            .insert_header((header::CONTENT_TYPE, PROBLEM_JSON))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(self.body(&self.occurrence))
    }
}

/// The media type of a problem (RFC 9457, 3).
pub const PROBLEM_JSON: &str = "application/problem+json";

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Overloaded | db::Error::Closed => Self::overloaded(),
            other => Self::internal(other),
        }
    }
}

impl From<diesel::result::Error> for Problem {
    fn from(error: diesel::result::Error) -> Self {
        db::Error::from(error).into()
    }
}

/// The kind that fits an error which actix answered by itself.
pub fn kind_of_status(status: StatusCode) -> &'static Kind {
    KINDS.iter().find(|kind| kind.status == status).copied().unwrap_or(if status.is_client_error() {
        &BAD_REQUEST
    } else {
        &INTERNAL
    })
}
