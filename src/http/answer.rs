//! What management answers: what caches may never hold.

use std::future::{Ready, ready};

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, Responder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::api::{Input, Output};
use super::conditional::{ANY_HEADER, MAX_HEADER, version_tag};
use super::description::Description;
use super::draft::Warning;
use super::problem::{Fault, Problem, UNSAFE_CONTENT};

static LINK: HeaderName = header::LINK;

/// An answer of one kind or of another.
pub enum Either<A, B> {
    /// Of the one.
    First(A),
    /// Of the other.
    Second(B),
}

impl<A: Responder<Body = BoxBody>, B: Responder<Body = BoxBody>> Responder for Either<A, B> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        match self {
            Self::First(answer) => answer.respond_to(req),
            Self::Second(answer) => answer.respond_to(req),
        }
    }
}

impl<A: Output<Body = BoxBody>, B: Output<Body = BoxBody>> Output for Either<A, B> {
    fn describe(description: &mut Description) {
        A::describe(description);
        B::describe(description);
    }
}

/// A list says where its neighbouring parts are.
pub(super) fn describe_links(description: &mut Description) {
    if description.takes_parameter("cursor") {
        description.header(
            "200",
            "Link",
            "`first`, `prev`, `next` and, on numbered pages, `last` (RFC 8288), as relative references.",
        );
    }
}

/// Says of a response that it holds a secret, so that it is kept nowhere, and where its resource is.
#[derive(Debug, Clone)]
pub struct SecretAt(pub String);

/// An answer that no cache may hold.
pub struct Managed<T> {
    value: T,
    links: Option<String>,
    secret: Option<SecretAt>,
}

impl<T> Managed<T> {
    /// An answer without an entity tag.
    pub fn new(value: T) -> Self {
        Self { value, links: None, secret: None }
    }

    /// Says that the answer holds a secret of the resource at `location`.
    #[must_use]
    pub fn with_secret_at(mut self, location: String) -> Self {
        self.secret = Some(SecretAt(location));
        self
    }

    /// Adds a `Link` header.
    #[must_use]
    pub fn with_links(mut self, links: Option<String>) -> Self {
        self.links = links;
        self
    }
}

fn private(status: StatusCode, row_version: Option<i64>) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if let Some(row_version) = row_version {
        response.insert_header((header::ETAG, version_tag(row_version)));
    }
    response
}

impl<T: Serialize> Responder for Managed<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        let mut response = private(StatusCode::OK, None);
        if let Some(links) = self.links {
            response.insert_header((LINK.clone(), links));
        }
        if let Some(secret) = self.secret {
            response.extensions_mut().insert(secret);
        }
        response.json(self.value)
    }
}

impl<T: Serialize + ToSchema> Output for Managed<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("200", "What was asked for.", Some(&schema));
        description.header("200", "Cache-Control", "Always `no-store`.");
        describe_links(description);
    }
}

/// One resource of management, whose `ETag` is the version of its row.
pub struct Versioned<T> {
    value: T,
    row_version: i64,
}

impl<T> Versioned<T> {
    /// The resource at this version of its row.
    pub fn new(value: T, row_version: i64) -> Self {
        Self { value, row_version }
    }

    /// The resource as a write left it, at its new version; or as one that was only tried out would leave it, at
    /// the version `seen` that it still has: a tag of what is not there could match what someone else saves.
    pub fn tried(value: T, row_version: i64, seen: Option<i64>) -> Self {
        Self { value, row_version: seen.unwrap_or(row_version) }
    }
}

impl<T: Serialize> Responder for Versioned<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        private(StatusCode::OK, Some(self.row_version)).json(self.value)
    }
}

impl<T: Serialize + ToSchema> Output for Versioned<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("200", "The resource.", Some(&schema));
        description.header("200", "ETag", "The version of the resource, for `If-Match`.");
        description.header("200", "Cache-Control", "Always `no-store`.");
    }
}

/// What a `POST` made: `201` with `Location`, or `200` with what would be where it was only tried out.
pub struct Created<T> {
    value: T,
    location: Option<String>,
    row_version: i64,
    holds_secret: bool,
}

/// What a `POST` made that has no version, since it is never changed: `201` with `Location`.
pub struct Made<T> {
    value: T,
    location: String,
}

impl<T> Made<T> {
    /// Something at `location`.
    pub fn new(value: T, location: String) -> Self {
        Self { value, location }
    }
}

impl<T: Serialize> Responder for Made<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        private(StatusCode::CREATED, None).insert_header((header::LOCATION, self.location)).json(self.value)
    }
}

impl<T: Serialize + ToSchema> Output for Made<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("201", "What was made.", Some(&schema));
        description.header("201", "Location", "The address of the new resource, a relative reference.");
        description.header("201", "Cache-Control", "Always `no-store`.");
    }
}

impl<T> Created<T> {
    /// A resource at `location`; `None` where `validate_only` was asked for.
    pub fn new(value: T, location: Option<String>, row_version: i64) -> Self {
        Self { value, location, row_version, holds_secret: false }
    }

    /// Says whether the answer holds a secret.
    #[must_use]
    pub fn holding_secret(mut self, holds_secret: bool) -> Self {
        self.holds_secret = holds_secret;
        self
    }
}

impl<T: Serialize> Responder for Created<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        match self.location {
            None => private(StatusCode::OK, None).json(self.value),
            Some(location) => {
                let mut response = private(StatusCode::CREATED, Some(self.row_version));
                if self.holds_secret {
                    response.extensions_mut().insert(SecretAt(location.clone()));
                }
                response.insert_header((header::LOCATION, location)).json(self.value)
            }
        }
    }
}

impl<T: Serialize + ToSchema> Output for Created<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("201", "What was made.", Some(&schema));
        description.header("201", "Location", "The address of the new resource, a relative reference.");
        description.header("201", "ETag", "The version of the new resource, for `If-Match`.");
        description.header("201", "Cache-Control", "Always `no-store`.");
        description.response("200", "With `validate_only`: what would be made. Nothing was changed.", Some(&schema));
        description.header("200", "Cache-Control", "Always `no-store`.");
    }
}

/// What a `PUT` stored: made anew, or replaced.
pub enum Stored<T> {
    /// It was made.
    Created(Created<T>),
    /// It took the place of what was there.
    Replaced(Versioned<T>),
}

impl<T: Serialize> Responder for Stored<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        match self {
            Self::Created(created) => created.respond_to(req),
            Self::Replaced(versioned) => versioned.respond_to(req),
        }
    }
}

impl<T: Serialize + ToSchema> Output for Stored<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        let replaced = "It was replaced; with `validate_only`, what would be stored. Nothing was changed then.";
        description.response("200", replaced, Some(&schema));
        description.optional_header("200", "ETag", "The version of the resource, for `If-Match`, where there is one.");
        Created::<T>::describe(description);
    }
}

/// What was taken away: `204`; where it was only tried out, `200` with it.
pub enum Removed<T> {
    /// It is gone.
    Done,
    /// It would be gone: what it is, or would be in the trash.
    Tried(T),
}

impl<T: Serialize> Responder for Removed<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        match self {
            Self::Done => private(StatusCode::NO_CONTENT, None).finish(),
            Self::Tried(value) => private(StatusCode::OK, None).json(value),
        }
    }
}

impl<T: Serialize + ToSchema> Output for Removed<T> {
    fn describe(description: &mut Description) {
        NoContent::describe(description);
        let schema = description.schema::<T>();
        description.response("200", "With `validate_only`: what would be gone. Nothing was changed.", Some(&schema));
        description.header("200", "Cache-Control", "Always `no-store`.");
    }
}

/// Done, and nothing to say: `204`.
pub struct NoContent;

impl Responder for NoContent {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        private(StatusCode::NO_CONTENT, None).finish()
    }
}

impl Output for NoContent {
    fn describe(description: &mut Description) {
        description.response("204", "Done.", None);
        description.header("204", "Cache-Control", "Always `no-store`.");
    }
}

/// What every write may be asked.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WriteOptions {
    /// Checks everything, changes nothing, and answers `200` with what would be.
    #[serde(default)]
    #[param(default = false)]
    pub validate_only: bool,
}

/// Whether a write that would have to remove something is refused (`Prefer: handling=strict`, RFC 7240).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strict(pub bool);

impl Strict {
    /// Refuses what sanitising removed, where the caller asked for that.
    ///
    /// # Errors
    /// `422` that names all that would be removed.
    pub fn check(self, warnings: &[Warning]) -> Result<(), Problem> {
        let removed: Vec<_> = warnings.iter().filter(|warning| warning.removed.is_some()).collect();
        if !self.0 || removed.is_empty() {
            return Ok(());
        }
        let faults = removed
            .iter()
            .map(|warning| {
                let what = warning.removed.as_deref().unwrap_or_default();
                Fault::body(&warning.pointer, "removed", format!("{what} would be removed: {}", warning.reason))
            })
            .collect();
        let detail =
            "Sanitising would remove something; send the content without it, or without `Prefer: handling=strict`.";
        Err(Problem::new(&UNSAFE_CONTENT, detail).with_faults(faults))
    }
}

impl FromRequest for Strict {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let strict = req
            .headers()
            .get_all("prefer")
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|preference| {
                let plain: String = preference.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
                plain.split(';').next().is_some_and(|one| one.eq_ignore_ascii_case("handling=strict"))
            });
        ready(Ok(Self(strict)))
    }
}

impl Input for Strict {
    fn describe(description: &mut Description) {
        description.parameter(json!({
            "name": "Prefer",
            "in": "header",
            "required": false,
            "description": "With `handling=strict` (RFC 7240), content that sanitising would alter is a `422` instead of a warning.",
            "schema": { "type": "string", "maxLength": MAX_HEADER, "pattern": ANY_HEADER },
            "example": "handling=strict",
        }));
    }
}
