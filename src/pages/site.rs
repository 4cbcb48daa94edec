//! The example site (`serve --demo`): the files of `examples/site`, which make pages of what the API answers.

use actix_web::http::Method;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};

use super::{HTML, file};
use crate::http::api::page;
use crate::http::{Problem, guarded};
use crate::state::App;

/// What the pages need and nothing else. Images of articles may lie anywhere; the contact form comes back here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const PAGE: &[u8] = include_bytes!("../../examples/site/index.html");
/// The addresses of its pages: the same file, of which its script makes what the address says.
const PAGES: [&str; 8] =
    ["/", "/articles", "/articles/{slug}", "/authors", "/authors/{slug}", "/categories/{slug}", "/contact", "/preview"];

const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal $content_type:expr;)*) => {
        &[$((concat!("/", $path), $content_type, include_bytes!(concat!("../../examples/site/", $path)))),*]
    };
}

/// The other files: their addresses, media types and bytes.
const FILES: &[(&str, &str, &[u8])] = files! {
    "style.css" "text/css; charset=utf-8";
    "site.js" "text/javascript; charset=utf-8";
    "favicon.svg" SVG;
    "images/after-a-return-to-use.svg" SVG;
    "images/alcohol-withdrawal-safety.svg" SVG;
    "images/caring-for-someone-caring-for-yourself.svg" SVG;
    "images/dev-ramanathan.svg" SVG;
    "images/finding-a-peer-group.svg" SVG;
    "images/first-week-in-treatment.svg" SVG;
    "images/going-back-to-work.svg" SVG;
    "images/lucia-ferrandiz.svg" SVG;
    "images/maren-oyelaran.svg" SVG;
    "images/medication-for-opioid-use-disorder.svg" SVG;
    "images/naloxone-at-home.svg" SVG;
    "images/sleeping-in-early-recovery.svg" SVG;
    "images/taking-a-break-from-cannabis.svg" SVG;
    "images/talking-with-your-teenager.svg" SVG;
    "images/tomas-brezina.svg" SVG;
    "images/trauma-and-substance-use.svg" SVG;
    "images/words-that-help.svg" SVG;
};

/// Registers the site.
pub(super) fn register(config: &mut web::ServiceConfig) {
    for address in PAGES {
        config.service(page(address, |request: HttpRequest| async move { file(&request, HTML, POLICY, PAGE) }));
    }
    for (address, content_type, bytes) in FILES {
        let answer = move |request: HttpRequest| async move { file(&request, content_type, POLICY, bytes) };
        config.service(page(address, answer));
    }
}

/// What any other address answers: where the site is shown, its page for a browser that looks for a page, since it may
/// be a former address; else that there is nothing.
///
/// # Errors
/// `404` where no page is looked for.
pub(crate) async fn fallback(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, Problem> {
    // The address as the routes take it, however its characters are spelled.
    let address = request.match_info().as_str();
    let is_of_others = ["/api/", "/docs/", "/guides/", "/problems/"].iter().any(|other| address.starts_with(other));
    let looks = [Method::GET, Method::HEAD].contains(request.method());
    if !app.config.shows_site || is_of_others || !looks {
        return Err(Problem::not_found());
    }
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let vary = header::ACCEPT.as_str();
    if !accepts.contains("text/html") {
        return Err(Problem::not_found().with_header(header::VARY, vary));
    }
    let mut answer = HttpResponse::NotFound();
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((header::VARY, vary)).content_type(HTML);
    Ok(guarded(answer.body(PAGE), POLICY))
}
