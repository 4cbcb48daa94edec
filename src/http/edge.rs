//! The edge that every request passes once: its id, panics, errors as problems, and one line in the log.
//!
//! The log holds route templates, never paths, query values or addresses.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use futures_util::FutureExt;

use super::answer_cache;
use super::api::{Surface, surface};
use super::conditional::MAX_HEADER;
use super::connections::Connection;
use super::deprecation::Deprecations;
use super::problem::{BAD_REQUEST, Occurrence, PROBLEM_JSON, Problem, kind_of_status};
use super::request_id::{X_REQUEST_ID, request_id};

/// The headers that a page of another origin may read.
pub const EXPOSED_HEADERS: &str = "etag, link, location, retry-after, ratelimit, ratelimit-policy, x-request-id, \
    content-version, deprecation, sunset";

const PREFER: HeaderName = HeaderName::from_static("prefer");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// The middleware.
///
/// # Errors
/// Where routing itself panicked or failed; the error is a complete problem then.
pub async fn pass<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let started = Instant::now();
    let id = request_id(&request);
    let kept = if too_long(request.headers()).is_none() { answer_cache::kept(&request) } else { None };
    if let Some(kept) = kept {
        return Ok(answer_kept(request, kept, id, started));
    }
    let connection = Connection::of(&request).cloned();
    if let Some(connection) = &connection {
        connection.answers(&mut request);
    }
    let request_id = id.to_str().unwrap_or_default().to_owned();
    let occurrence = Occurrence { instance: request.path().to_owned(), request_id };
    // By the address as routing reads it, with its letters decoded.
    let surface = surface(request.match_info().as_str());
    let method = request.method().clone();
    let span = tracing::info_span!("request", request.id = %occurrence.request_id);
    let future = {
        let _entered = span.enter();
        next.call(request)
    };
    let outcome = AssertUnwindSafe(tracing::Instrument::instrument(future, span.clone())).catch_unwind().await;
    let _entered = span.enter();
    let response = match outcome {
        Ok(Ok(response)) => Ok(answered(response.map_into_boxed_body(), &occurrence, id, surface)),
        Ok(Err(error)) => Err(failed(&error, &occurrence)),
        Err(_) => Err(logged(Problem::internal("routing panicked")).at(occurrence)),
    };
    let mut response = match connection {
        Some(connection) => connection.sends(response)?,
        None => response?,
    };
    let request = response.request().clone();
    tell_deprecation(request.app_data(), &method, || request.match_pattern(), response.headers_mut());
    told(&method, || request.match_pattern(), response.status(), started);
    Ok(response)
}

/// An answer that is kept is handed out before there is anything of a request but its id.
fn answer_kept(
    request: ServiceRequest,
    (mut response, kept): (HttpResponse<BoxBody>, Arc<answer_cache::Kept>),
    id: HeaderValue,
    started: Instant,
) -> ServiceResponse<BoxBody> {
    if let (Some(connection), BodySize::Sized(length)) = (Connection::of(&request), response.body().size()) {
        connection.has_answered(length, started);
    }
    let _entered = tracing::enabled!(tracing::Level::INFO)
        .then(|| tracing::info_span!("request", request.id = id.to_str().unwrap_or_default()).entered());
    dress(&mut response, id, Surface::Public, request.headers().contains_key(header::ORIGIN));
    tell_deprecation(request.app_data(), request.method(), || kept.route.clone(), response.headers_mut());
    told(request.method(), || kept.route.clone(), response.status(), started);
    request.into_response(response)
}

/// Refuses headers that are too long. It stands behind CORS, so that a page may read the refusal where it may read the
/// answer.
///
/// # Errors
/// Where the answer behind it fails.
pub async fn bound_headers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match too_long(request.headers()) {
        Some(refusal) => Ok(request.error_response(refusal)),
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

/// What is wrong with a header that no sane client sends so long: comparing it would only cost time. Several lines of a
/// header are one list (RFC 9110, 5.2).
fn too_long(headers: &HeaderMap) -> Option<Problem> {
    let conditions = [header::IF_NONE_MATCH, header::IF_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];
    let length = |name: &HeaderName| headers.get_all(name).map(HeaderValue::len).sum::<usize>();
    let name = conditions.into_iter().chain([PREFER]).find(|name| length(name) > MAX_HEADER)?;
    Some(Problem::new(&BAD_REQUEST, format!("`{name}` may have at most {MAX_HEADER} bytes.")))
}

fn tell_deprecation(
    known: Option<&Data<Deprecations>>,
    method: &Method,
    route: impl FnOnce() -> Option<String>,
    headers: &mut HeaderMap,
) {
    if let Some(known) = known {
        known.tell(method, route, headers);
    }
}

/// One line in the log.
fn told(method: &Method, route: impl FnOnce() -> Option<String>, status: StatusCode, started: Instant) {
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let route = route().unwrap_or_else(|| "unmatched".to_owned());
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    tracing::info!(
        http.method = %method, http.route = %route, http.status = status.as_u16(), duration.micros = micros, "answered"
    );
}

fn answered(
    mut response: ServiceResponse<BoxBody>,
    occurrence: &Occurrence,
    id: HeaderValue,
    surface: Surface,
) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_refusal = (status.is_client_error() || status.is_server_error()) && !is_page(response.headers());
    let body = is_refusal.then(|| match response.response().error() {
        Some(error) => match error.as_error::<Problem>() {
            Some(problem) => {
                log_cause(problem);
                problem.body(occurrence)
            }
            None => foreign(status, error).body(occurrence),
        },
        None => Problem::new(kind_of_status(status), "The request could not be answered.").body(occurrence),
    });
    if let Some(body) = body {
        response = response.map_body(|_, _| BoxBody::new(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
    }
    let asks_across = response.request().headers().contains_key(header::ORIGIN);
    dress(response.response_mut(), id, surface, asks_across);
    response
}

/// Whether an answer is a page for people, which says by itself what is wrong.
fn is_page(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
}

/// The headers that every answer has. What is public says so whoever asks: an answer that a cache got without `Origin`
/// must serve a page as well. But what a cache has of an answer already, a `304` need not repeat: only a page that
/// asks with a tag of its own is shown the `304` as it is, and that sends `Origin`.
fn dress(response: &mut HttpResponse<BoxBody>, id: HeaderValue, surface: Surface, asks_across: bool) {
    let is_short = response.status() == StatusCode::NOT_MODIFIED && !asks_across;
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID.clone(), id);
    if is_short {
        return;
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if surface == Surface::Public {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

/// An error that actix or a library made: its status is right, its words may not be.
fn foreign(status: StatusCode, error: &actix_web::Error) -> Problem {
    if status.is_server_error() {
        return logged(Problem::internal(error));
    }
    Problem::new(kind_of_status(status), "The request could not be understood.")
}

fn failed(error: &actix_web::Error, occurrence: &Occurrence) -> Problem {
    let problem = match error.as_error::<Problem>() {
        Some(problem) => Problem::internal(problem),
        None => foreign(error.as_response_error().status_code(), error),
    };
    problem.at(occurrence.clone())
}

fn logged(problem: Problem) -> Problem {
    log_cause(&problem);
    problem
}

fn log_cause(problem: &Problem) {
    if let Some(cause) = problem.cause() {
        tracing::error!(error.cause = cause, "a request failed");
    }
}
