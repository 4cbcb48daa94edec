//! `Idempotency-Key` on every `POST` of management (IETF draft `httpapi-idempotency-key-header`): who does not know
//! whether a request arrived sends it again, and it is done once.
//!
//! That a request was done is stored in its own transaction, so neither a crash nor a client that vanishes can come
//! between; how it was answered is added right after. That one runs is known in memory alone, so nothing stays stuck.
//! Failures that changed nothing are not kept. An answer that holds a secret is not kept either, only where its
//! resource is. A body is compared by an HMAC whose key is not in the database.

mod store;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};
use sha2::{Digest, Sha256};
use tracing::Instrument;

use self::store::Answer;
pub(crate) use self::store::prune;
use crate::auth::{self, Actor};
use crate::db::{Timestamp, Tx};
use crate::http::answer::SecretAt;
use crate::http::body::read_in_time;
use crate::http::problem::{ALREADY_DONE, BAD_REQUEST, IDEMPOTENCY_KEY_REUSED, STILL_RUNNING};
use crate::http::{IDEMPOTENCY_KEY, Problem};
use crate::state::App;

/// The purpose of the key that bodies are compared by.
const PURPOSE: &str = "idempotency";
/// The longest key, in characters.
const MAX_KEY: usize = 255;
/// The largest answer that is kept, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

type Hash = [u8; 32];

tokio::task_local! {
    static REQUEST: Arc<Keyed>;
}

/// After how many bytes of new answers the bounds are looked after.
const BYTES_BETWEEN: usize = 8 * 1024 * 1024;

/// The keyed requests that run, and how many bytes of answers were kept since the bounds were looked after.
#[derive(Debug, Default)]
pub struct Running(Mutex<HashSet<Hash>>, AtomicUsize);

impl Running {
    fn begin(&self, hash: Hash) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash)
    }

    /// Whether the bounds should be looked after with this answer.
    fn is_due(&self, row: &store::Row) -> bool {
        let bytes = row.body.as_ref().map_or(0, Vec::len);
        let is_due = self.1.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_BETWEEN;
        if is_due {
            self.1.store(0, Ordering::Relaxed);
        }
        is_due
    }

    fn end(&self, hash: &Hash) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }
}

/// That a keyed request runs, until this is dropped.
struct Turn {
    app: web::Data<App>,
    hash: Hash,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.app.running.end(&self.hash);
    }
}

/// A request with a key that runs.
pub struct Keyed {
    turn: Turn,
    caller: Actor,
    fingerprint: Hash,
    /// Whether something was written on behalf of it.
    recorded: AtomicBool,
    now: Timestamp,
}

impl Keyed {
    /// The keyed request that the present task answers.
    pub(crate) fn present() -> Option<Arc<Self>> {
        REQUEST.try_with(Arc::clone).ok()
    }

    /// Says, in the transaction of what it does, that the request was done.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn record(&self, tx: &mut Tx<'_>) -> Result<(), Problem> {
        self.recorded.store(true, Ordering::Release);
        store::put(tx, self.row(None, None))
    }

    fn row(&self, location: Option<String>, answer: Option<Answer>) -> store::Row {
        store::Row {
            hash: self.turn.hash.to_vec(),
            fingerprint: self.fingerprint.to_vec(),
            caller_id: self.caller.user.bytes(),
            role: self.caller.role.name().to_owned(),
            created_at: self.now,
            location,
            status: answer.as_ref().map(|answer| i64::from(answer.status)),
            headers: answer.as_ref().map(Answer::headers_as_text),
            body: answer.map(|answer| answer.body),
        }
    }
}

/// The middleware of the resources that take keys.
///
/// # Errors
/// What the handler's own services fail with.
pub async fn pass(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let key = request.headers().get(&IDEMPOTENCY_KEY).cloned();
    let (Some(key), Some(app)) = (key, request.app_data::<web::Data<App>>().cloned()) else {
        return next.call(request).await;
    };
    if request.method() != actix_web::http::Method::POST {
        return next.call(request).await;
    }
    // Who may not call is refused by the handler, and no body is read for them.
    let Ok(caller) = auth::identify(&app, request.headers()).await else {
        return next.call(request).await;
    };
    match begin(&app, &mut request, &key, caller).await {
        Err(problem) => Ok(request.error_response(problem)),
        Ok(Begun::Repeated(answer)) => Ok(request.into_response(answer)),
        Ok(Begun::First(keyed)) => {
            // A task of its own: the answer is kept also where the client does not wait for it.
            let handled = REQUEST.scope(Arc::clone(&keyed), next.call(request));
            let task = async move { finish(&keyed, handled.await?).await };
            let answered = actix_web::rt::spawn(task.instrument(tracing::Span::current())).await;
            answered.unwrap_or_else(|error| Err(Problem::internal(error).into()))
        }
    }
}

enum Begun {
    /// It was not done yet.
    First(Arc<Keyed>),
    /// It was, and answered so.
    Repeated(HttpResponse),
}

async fn begin(
    app: &web::Data<App>,
    request: &mut ServiceRequest,
    key: &HeaderValue,
    caller: Actor,
) -> Result<Begun, Problem> {
    let key = key.as_bytes();
    if key.is_empty() || key.len() > MAX_KEY || !key.iter().all(u8::is_ascii_graphic) {
        let detail = format!("`Idempotency-Key` must have 1 to {MAX_KEY} visible ASCII characters, such as a UUID.");
        return Err(Problem::new(&BAD_REQUEST, detail));
    }
    let hash = key_hash(caller, request.path(), key);
    if !app.running.begin(hash) {
        let detail = "The first request with this key has not been answered yet; send it again in a moment.";
        return Err(Problem::new(&STILL_RUNNING, detail).with_header(header::RETRY_AFTER, "1"));
    }
    let turn = Turn { app: app.clone(), hash };
    let payload = request.take_payload();
    let body = read_in_time(request.request(), payload).await?.freeze();
    let fingerprint = app.secret.keyed_hash(PURPOSE, &compared(request, &body));
    request.set_payload(whole(body));
    let (recorded, now) = (AtomicBool::new(false), app.clock.now());
    match app.db.read(move |conn| store::find(conn, &hash, now)).await? {
        None => Ok(Begun::First(Arc::new(Keyed { turn, caller, fingerprint, recorded, now }))),
        Some(row) if row.fingerprint != fingerprint => {
            let detail = "This key was used for another request to this address; take a new key for a new request.";
            Err(Problem::new(&IDEMPOTENCY_KEY_REUSED, detail))
        }
        // What was answered to another role may not be this one's to see.
        Some(row) if row.role != caller.role.name() => repeated(store::Row { body: None, ..row }).map(Begun::Repeated),
        Some(row) => repeated(row).map(Begun::Repeated),
    }
}

/// A key belongs to a caller and to an address.
fn key_hash(caller: Actor, path: &str, key: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    for part in [caller.user.bytes().as_slice(), path.as_bytes(), key] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// What two requests with one key must have in common.
fn compared(request: &ServiceRequest, body: &[u8]) -> Vec<u8> {
    let header = |name: &HeaderName| request.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut compared = Vec::with_capacity(body.len() + 128);
    for part in [request.query_string().as_bytes(), header(&header::CONTENT_TYPE), header(&PREFER), body] {
        compared.extend((part.len() as u64).to_be_bytes());
        compared.extend(part);
    }
    compared
}

static PREFER: HeaderName = HeaderName::from_static("prefer");

/// A body that has been read, to be read again.
fn whole(body: web::Bytes) -> Payload {
    Payload::Stream { payload: Box::pin(futures_util::stream::iter([Ok(body)])) }
}

fn repeated(row: store::Row) -> Result<HttpResponse, Problem> {
    let location = row.location.clone();
    if let Some(answer) = Answer::of(row) {
        return Ok(answer.into());
    }
    let detail = "This request was done, and its answer is not kept: it holds a secret, is too large, or the program \
                  stopped before it. See what is there; `Location` has the address where one is known.";
    let problem = Problem::new(&ALREADY_DONE, detail);
    Err(match location {
        Some(location) => problem.with_header(header::LOCATION, &location),
        None => problem,
    })
}

/// Keeps the answer of what was done; what failed may be tried again with the same key.
async fn finish(
    keyed: &Keyed,
    response: ServiceResponse<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // What failed before its commit left no record. What failed after it has one, without an answer: it was done. And
    // what writes nothing may be done again.
    if !response.status().is_success() || !keyed.recorded.load(Ordering::Acquire) {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let secret = response.extensions().get::<SecretAt>().map(|at| at.0.clone());
    let location = secret.clone().or_else(|| response.headers().get(header::LOCATION).and_then(text));
    let (answer, body) = match body.try_into_bytes() {
        Ok(bytes) => {
            let kept = secret.is_none() && bytes.len() <= MAX_ANSWER;
            (kept.then(|| Answer::new(response.status(), response.headers(), &bytes)), BoxBody::new(bytes))
        }
        Err(body) => (None, body),
    };
    let row = keyed.row(location, answer);
    let (prunes, now) = (keyed.turn.app.running.is_due(&row), keyed.now);
    let kept = keyed.turn.app.db.write(move |tx| {
        store::put(tx, row)?;
        if prunes { store::prune(tx, now) } else { Ok(()) }
    });
    told(kept.await);
    Ok(ServiceResponse::new(request, response.set_body(body)))
}

/// The request was done whether or not its answer could be kept.
fn told(outcome: Result<(), Problem>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the answer of a request with an Idempotency-Key could not be kept");
    }
}
