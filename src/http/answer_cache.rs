//! The answer cache: finished delivery answers by their URL, each stamped with the state that it shows.
//!
//! An answer is served only while its state is still the present one, which a writer raises after its commit and before
//! it acknowledges: so nothing must know what depends on what, and an absence is as safe as a presence. The price is one
//! miss for each URL after a change, and many who miss at once wait for one of them. Refusals are never kept. What is kept
//! is bounded by bytes, and a scan of rare URLs does not push out what is asked for again and again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use super::representation::Representation;
use crate::db::Timestamp;
use crate::state::App;

/// The longest URL whose answer is kept, in bytes.
const MOST_KEY: usize = 1024;
/// About how large an answer is, in bytes, to make room for as many as fit.
const USUAL_ANSWER: u64 = 16 * 1024;

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Arc<Representation>> for Weight {
    fn weight(&self, key: &Box<str>, answer: &Arc<Representation>) -> u64 {
        key.len() as u64 + answer.weight()
    }
}

/// The cache.
pub struct AnswerCache {
    /// None where it is switched off.
    answers: Option<Cache<Box<str>, Arc<Representation>, Weight>>,
    /// The URLs whose answers are being made, and who waits for them.
    flights: Mutex<HashMap<Box<str>, watch::Receiver<Made>>>,
    made: AtomicU64,
}

/// What is known of an answer that is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// Nothing yet; where nothing follows, whoever made it has gone.
    NotYet,
    /// It can't be kept, so everybody makes their own.
    NotToKeep,
}

/// Whose turn it is to make an answer.
enum Turn<'c> {
    /// This request's.
    Own(Flight<'c>),
    /// Another's.
    Others(watch::Receiver<Made>),
}

/// That this request makes an answer, until it is dropped.
struct Flight<'c> {
    cache: &'c AnswerCache,
    key: Box<str>,
    sender: watch::Sender<Made>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.cache.flights().remove(&self.key);
    }
}

impl AnswerCache {
    /// A cache of so many bytes; none where they are 0.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL_ANSWER).unwrap_or(usize::MAX).max(16);
        let answers = (bytes > 0).then(|| Cache::with_weighter(items, bytes, Weight));
        Self { answers, flights: Mutex::default(), made: AtomicU64::new(0) }
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.answers.as_ref().map_or(0, Cache::len)
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many answers were made because none was kept that could be served.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// The answer that shows the present state.
    fn fresh(&self, key: &str, version: i64, now: Timestamp) -> Option<Arc<Representation>> {
        let found = self.answers.as_ref()?.get(key)?;
        let seen = found.version();
        (seen.number == version && !seen.is_over(now)).then_some(found)
    }

    fn keep(&self, key: &str, answer: Arc<Representation>) {
        if let Some(answers) = &self.answers {
            answers.insert(key.into(), answer);
        }
    }

    fn turn(&self, key: &str) -> Turn<'_> {
        match self.flights().entry(key.into()) {
            Entry::Occupied(flight) => Turn::Others(flight.get().clone()),
            Entry::Vacant(place) => {
                let (sender, receiver) = watch::channel(Made::NotYet);
                place.insert(receiver);
                Turn::Own(Flight { cache: self, key: key.into(), sender })
            }
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Box<str>, watch::Receiver<Made>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The middleware of delivery.
///
/// # Errors
/// What the handler's own services fail with.
pub async fn pass(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else { return next.call(request).await };
    let cache = &app.answers;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let length = request.path().len() + request.query_string().len();
    if cache.answers.is_none() || !is_read || length > MOST_KEY {
        return next.call(request).await;
    }
    let key = format!("{}?{}", request.path(), request.query_string());
    loop {
        let now = app.clock.now();
        if let Some(answer) = cache.fresh(&key, app.db.content_version(), now) {
            let response = answer.answer(request.headers(), now);
            return Ok(request.into_response(response));
        }
        match cache.turn(&key) {
            Turn::Own(flight) => return make(&flight, request, next).await,
            Turn::Others(mut receiver) => {
                // An error says that whoever made it has gone: it is kept by now, or it is the next one's turn.
                let told = receiver.wait_for(|made| *made == Made::NotToKeep).await.is_ok();
                if told {
                    return next.call(request).await;
                }
            }
        }
    }
}

async fn make(
    flight: &Flight<'_>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await;
    let answer = response.as_ref().ok().and_then(|response| {
        let extensions = response.response().extensions();
        extensions.get::<Arc<Representation>>().cloned()
    });
    match answer {
        Some(answer) => {
            flight.cache.made.fetch_add(1, Ordering::Relaxed);
            flight.cache.keep(&flight.key, answer);
        }
        None => {
            flight.sender.send_replace(Made::NotToKeep);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::ContentVersion;
    use crate::http::CachePolicy;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn answer(number: i64, ends_at: Option<Timestamp>) -> Arc<Representation> {
        let version = ContentVersion { number, changed_at: NOW, ends_at };
        Arc::new(Representation::new("text/plain", vec![b'x'; 1000], version, CachePolicy { max_age: 0 }, None))
    }

    #[test]
    fn an_answer_is_served_while_its_state_is_the_present_one() {
        let cache = AnswerCache::new(1 << 20);
        cache.keep("/a?", answer(7, Some(NOW.plus_seconds(10))));
        assert!(cache.fresh("/a?", 7, NOW).is_some());
        assert!(cache.fresh("/a?", 8, NOW).is_none(), "something was published");
        assert!(cache.fresh("/a?", 6, NOW).is_none(), "it is not known to be the present one yet");
        assert!(cache.fresh("/a?", 7, NOW.plus_seconds(10)).is_none(), "something is due");
        assert!(cache.fresh("/b?", 7, NOW).is_none());
    }

    #[test]
    fn memory_is_bounded_and_a_scan_does_not_push_out_what_is_asked_for_again_and_again() {
        let cache = AnswerCache::new(1 << 20);
        cache.keep("/hot?", answer(1, None));
        for number in 0..200_000 {
            if number % 50 == 0 {
                assert!(cache.fresh("/hot?", 1, NOW).is_some(), "after {number} rare ones");
            }
            cache.keep(&format!("/rare?page={number}"), answer(1, None));
        }
        assert!(cache.answers.as_ref().unwrap().weight() <= 1 << 20);
    }

    #[test]
    fn what_is_switched_off_keeps_nothing() {
        let cache = AnswerCache::new(0);
        cache.keep("/a?", answer(1, None));
        assert!(cache.is_empty() && cache.fresh("/a?", 1, NOW).is_none());
    }

    #[tokio::test]
    async fn who_waits_for_one_that_has_gone_takes_the_turn() {
        let cache = AnswerCache::new(1 << 20);
        let Turn::Own(first) = cache.turn("/a?") else { panic!("nobody makes it") };
        let Turn::Others(mut waiting) = cache.turn("/a?") else { panic!("somebody makes it") };
        drop(first);
        assert!(waiting.wait_for(|made| *made == Made::NotToKeep).await.is_err());
        let Turn::Own(second) = cache.turn("/a?") else { panic!("nobody makes it") };
        let Turn::Others(mut waiting) = cache.turn("/a?") else { panic!("somebody makes it") };
        second.sender.send_replace(Made::NotToKeep);
        assert!(waiting.wait_for(|made| *made == Made::NotToKeep).await.is_ok());
    }
}
