//! Pages for people, which are not in the `OpenAPI` document: where things are, the documentation, the guides, what
//! each problem means, and the example site.

use actix_cors::Cors;
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::http::api::page;
use crate::http::conditional::{self, REVALIDATED};
use crate::http::guarded;
use crate::state::App;

mod docs;
mod guides;
mod problems;
mod site;

pub(crate) use self::site::fallback;

/// Nothing but what comes with the page: its style and its images.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = include_str!("style.css");

/// Registers the pages; `cors` is for those that an answer of the API names.
pub(crate) fn register(config: &mut web::ServiceConfig, shows_site: bool, cors: impl Fn() -> Cors) {
    config.service(page("/pages.css", style));
    docs::register(config);
    guides::register(config);
    problems::register(config, cors);
    if shows_site {
        site::register(config);
    } else {
        config.service(page("/", where_things_are));
    }
}

/// The address without the slash that its relative links need leads to the one with it.
fn to(address: &'static str) -> HttpResponse {
    HttpResponse::Found().insert_header((header::LOCATION, address)).finish()
}

async fn style(request: HttpRequest) -> HttpResponse {
    file(&request, "text/css; charset=utf-8", PAGE_POLICY, STYLE.as_bytes())
}

/// Where things are, for who opens the address to see what it is.
async fn where_things_are(app: Data<App>) -> HttpResponse {
    let public = &app.config.public_url;
    let places = json!({
        "name": "copydesk",
        "version": env!("CARGO_PKG_VERSION"),
        "articles": format!("{public}/api/v1/articles"),
        "documentation": format!("{public}/docs/"),
        "openapi": format!("{public}/openapi.json"),
        "guides": format!("{public}/guides/"),
        "health": format!("{public}/healthz"),
    });
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, REVALIDATED)).json(places)
}

/// A file that came with the program, unless the client has it.
fn file(request: &HttpRequest, content_type: &str, policy: &'static str, bytes: &'static [u8]) -> HttpResponse {
    let tag = conditional::content_tag(bytes);
    guarded(conditional::lasting(request, &tag, content_type, Bytes::from_static(bytes)), policy)
}

/// A page in the look of all of them.
fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · copydesk</title>\n\
         <link rel=\"stylesheet\" href=\"/pages.css\">\n</head>\n<body>\n\
         <nav aria-label=\"copydesk\"><a href=\"/guides/\">Guides</a> <a href=\"/docs/\">API documentation</a> \
         <a href=\"/problems\">Problems</a></nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
}
