//! What operators and integrators need: health, and the `OpenAPI` document.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio::sync::OnceCell;
use utoipa::ToSchema;

use crate::db;
use crate::http::coding::{CONTENT_ENCODING, Coded, Codings, Wanted};
use crate::http::openapi::Info;
use crate::http::{Managed, NoParameters, Operations, Problem, Query, conditional};
use crate::state::App;

/// Requests and what they were answered, as a test has recorded them.
pub(crate) const EXAMPLES: &str = include_str!("../openapi/examples.json");

/// What the document says of the program as a whole.
pub(crate) static INFO: Info = Info {
    description: include_str!("openapi.md"),
    examples: EXAMPLES,
    links: include_str!("../openapi/links.json"),
    tags: &[
        ("Articles", "Articles: published ones for everybody, working copies for who writes them."),
        ("Authors", "The people whose names stand over articles."),
        ("Categories", "The tree that articles are filed in."),
        ("Tags", "The free words that articles carry."),
        ("Site", "The facts of the whole site."),
        ("Redirects", "Paths of the public site that lead elsewhere, and what any path leads to."),
        ("Contact", "The contact form: what visitors send, and what becomes of it."),
        ("Sign-in", "Access tokens, sign-ins and the own account."),
        ("Users", "Accounts and their roles."),
        ("API keys", "How programs call."),
        ("Audit", "Who did what, and when."),
        ("Operation", "Whether the program is alive and ready."),
    ],
};

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .operation(__path_get_health, get_health)
        .operation(__path_get_readiness, get_readiness)
        .operation(__path_get_openapi, get_openapi)
}

/// The `OpenAPI` document, made when it is first asked for: most programs that run are never asked.
pub(crate) struct Documents {
    operations: fn() -> Operations,
    openapi: OnceCell<Codings>,
}

impl Documents {
    /// The document of these operations.
    pub(crate) fn new(operations: fn() -> Operations) -> Self {
        Self { operations, openapi: OnceCell::new() }
    }

    /// The document as JSON, in the coding that a client wants.
    async fn openapi(&self, wanted: Wanted) -> Result<Coded, Problem> {
        let operations = self.operations;
        let make = move || serde_json::to_vec(&crate::http::openapi::document(&operations(), &INFO));
        let codings = self.openapi.get_or_try_init(|| async move {
            let bytes = web::block(make).await.map_err(Problem::internal)?.map_err(Problem::internal)?;
            Ok::<_, Problem>(Codings::new(bytes))
        });
        Ok(codings.await?.coded(wanted).await)
    }
}

/// That the program runs, or can serve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

const HEALTHY: Health = Health { status: "ok", version: env!("CARGO_PKG_VERSION") };

/// Alive
///
/// Answers as soon as the program runs; touches nothing else. Open to anyone.
#[utoipa::path(get, path = "/healthz", tag = "Operation")]
pub(crate) async fn get_health(_query: Query<NoParameters>) -> Managed<Health> {
    Managed::new(HEALTHY)
}

/// That the program can serve, and what its settings leave to be wished for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// The program's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// What should be looked at by whoever runs the program.
    warnings: Vec<&'static str>,
}

/// Ready
///
/// Answers `200` while the database can be read and written and its migrations are done, else `503`. `warnings`
/// tells of settings that should be looked at. Open to anyone.
#[utoipa::path(get, path = "/readyz", tag = "Operation")]
pub(crate) async fn get_readiness(app: Data<App>, _query: Query<NoParameters>) -> Result<Managed<Readiness>, Problem> {
    app.db.check().await.map_err(|error| {
        tracing::error!(%error, "the database does not answer");
        Problem::from(db::Error::Overloaded)
    })?;
    let untrusted = app.untrusted_proxy.was_seen().then_some(
        "A proxy on a private address sends forwarding headers and is not in COPYDESK_TRUSTED_PROXIES: all its clients share one limit.",
    );
    let Health { status, version } = HEALTHY;
    Ok(Managed::new(Readiness { status, version, warnings: untrusted.into_iter().collect() }))
}

/// An answer that is the `OpenAPI` document.
pub(crate) struct OpenApiDocument(Coded);

impl actix_web::Responder for OpenApiDocument {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse {
        let content_encoding = self.0.content_encoding();
        let tag = self.0.tag.to_str().unwrap_or_default();
        let mut answer = conditional::lasting(req, tag, "application/json", self.0.bytes);
        let is_whole = answer.status() == StatusCode::OK;
        let headers = answer.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        if let Some(content_encoding) = content_encoding.filter(|_| is_whole) {
            headers.insert(header::CONTENT_ENCODING, content_encoding);
        }
        answer
    }
}

impl crate::http::Output for OpenApiDocument {
    fn describe(description: &mut crate::http::Description) {
        let schema = serde_json::json!({ "type": "object" });
        description.response("200", "The document, OpenAPI 3.1.", Some(&schema));
        description.response("304", "The client has this document already.", None);
        for status in ["200", "304"] {
            description.header(status, "ETag", "Made from the bytes of the document.");
            description.header(status, "Cache-Control", "How long the answer is fresh.");
        }
        description.optional_header("200", "Content-Encoding", CONTENT_ENCODING);
    }
}

/// Get the `OpenAPI` document
///
/// This document, generated from the code that answers. Open to anyone.
#[utoipa::path(get, path = "/openapi.json", tag = "Operation")]
pub(crate) async fn get_openapi(
    documents: Data<Documents>,
    wanted: Wanted,
    _query: Query<NoParameters>,
) -> Result<OpenApiDocument, Problem> {
    documents.openapi(wanted).await.map(OpenApiDocument)
}
