//! What a page for people may do.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderValue};

/// Says what a page may load (`policy`, a Content-Security-Policy), and that it tells nobody where a reader came from.
pub fn guarded(mut answer: HttpResponse, policy: &'static str) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}
