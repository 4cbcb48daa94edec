//! The answer cache: finished delivery answers by their URL, each stamped with the state that it shows.
//!
//! An answer is served only while its state is still the present one, which a writer raises after its commit and before
//! it acknowledges: so nothing must know what depends on what, and an absence is as safe as a presence. The price is one
//! miss for each URL after a change, and of many who miss at once one makes the answer for all. Refusals are never kept.
//! What is kept is bounded by bytes, and a scan of rare URLs does not push out what is asked for again and again.
//!
//! What is kept is looked up at the edge, before routing ([`kept`]); what is not is made, coded and kept around the
//! handlers of delivery ([`pass`]).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::sync::watch;

use super::coding::Wanted;
use super::conditional::{check_state, is_bound_to_a_state};
use super::representation::Representation;
use crate::bounded_cache::bounded;
use crate::db::{PresentState, Timestamp};
use crate::state::App;

/// The longest URL whose answer is kept, in bytes.
const MOST_KEY: usize = 1024;
/// About how large an answer is, in bytes, to make room for as many as fit.
const USUAL_ANSWER: u64 = 16 * 1024;
/// How often a request waits for what another one makes, before it makes its own.
const WAITS: usize = 2;

/// An answer that is kept.
pub struct Kept {
    answer: Arc<Representation>,
    /// The template of its route, for the log.
    pub route: Option<String>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Arc<Kept>> for Weight {
    fn weight(&self, key: &Box<str>, kept: &Arc<Kept>) -> u64 {
        let route = kept.route.as_ref().map_or(0, String::len);
        (key.len() + route) as u64 + kept.answer.weight()
    }
}

/// The cache.
pub struct AnswerCache {
    /// None where it is switched off.
    answers: Option<Cache<Box<str>, Arc<Kept>, Weight>>,
    /// The URLs whose answers are being made, and who waits for them.
    flights: Mutex<HashMap<Box<str>, watch::Receiver<Made>>>,
    made: AtomicU64,
}

/// What is known of an answer that is being made.
#[derive(Clone)]
enum Made {
    /// Nothing yet; where nothing follows, whoever made it has gone.
    NotYet,
    /// It is there.
    Done(Arc<Kept>),
    /// It is for nobody else.
    NotToShare,
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

impl Flight<'_> {
    /// Hands the answer to who waits, and keeps it: coding it may take longer, and is not what they wait for.
    fn land(self, kept: Arc<Kept>) {
        self.cache.keep(&self.key, Arc::clone(&kept));
        self.sender.send_replace(Made::Done(kept));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.cache.flights().remove(&self.key);
    }
}

/// When a request came, and what was present then.
#[derive(Clone, Copy)]
struct Arrival {
    state: PresentState,
    at: Timestamp,
}

impl Arrival {
    fn of(app: &App) -> Self {
        let at = app.clock.now();
        Self { state: app.present(at), at }
    }

    /// Whether an answer that was made since or before shows everything that was there when the request came.
    fn is_served_by(self, kept: &Kept) -> bool {
        let version = kept.answer.version();
        // Where something was due already, bringing it out has raised the number.
        let is_new = if self.state.is_over(self.at) {
            version.number > self.state.number
        } else {
            version.number >= self.state.number
        };
        is_new && !version.is_over(self.at)
    }
}

impl AnswerCache {
    /// A cache of so many bytes; none where they are 0.
    pub fn new(bytes: u64) -> Self {
        Self { answers: bounded(bytes, USUAL_ANSWER, Weight), flights: Mutex::default(), made: AtomicU64::new(0) }
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
    fn fresh(&self, key: &str, present: PresentState, now: Timestamp) -> Option<Arc<Kept>> {
        let found = self.answers.as_ref()?.get(key)?;
        (found.answer.version().number == present.number && !present.is_over(now)).then_some(found)
    }

    fn keep(&self, key: &str, kept: Arc<Kept>) {
        if let Some(answers) = &self.answers {
            answers.insert(key.into(), kept);
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

/// Under which key the answer to a request is kept; none where it never is. What differs only in its spelling is kept
/// twice: that is harmless, and taking it for one might not be.
fn key(request: &ServiceRequest) -> Option<&str> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let target = request.head().uri.path_and_query()?.as_str();
    (is_read && target.len() <= MOST_KEY).then_some(target)
}

/// The answer to a request, where it is kept, shows the present state and is there in the coding that the client wants.
/// Only what delivery answers everybody is ever kept, so nothing needs to be asked before; but who may have to be refused
/// goes the whole way.
pub fn kept(request: &ServiceRequest) -> Option<(HttpResponse<BoxBody>, Arc<Kept>)> {
    if is_bound_to_a_state(request.headers()) {
        return None;
    }
    let app = request.app_data::<web::Data<App>>()?;
    let now = app.clock.now();
    let kept = app.answers.fresh(key(request)?, app.present(now), now)?;
    let coded = kept.answer.made(Wanted::of(request.headers()))?;
    Some((kept.answer.answer(coded, request.headers(), now), kept))
}

/// The middleware of delivery.
///
/// # Errors
/// What the handler's own services fail with.
pub async fn pass(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else { return next.call(request).await };
    let cache = &app.answers;
    let key = key(&request).filter(|_| cache.answers.is_some()).map(str::to_owned);
    let Some(key) = key else { return make(&app, None, request, next).await };
    let arrival = Arrival::of(&app);
    for _ in 0..WAITS {
        let now = app.clock.now();
        if let Some(kept) = cache.fresh(&key, app.present(now), now) {
            return Ok(served(&app, &kept, request).await);
        }
        match cache.turn(&key) {
            Turn::Own(flight) => return make(&app, Some(flight), request, next).await,
            Turn::Others(mut receiver) => {
                let told = receiver.wait_for(|made| !matches!(made, Made::NotYet)).await.map(|made| made.clone());
                match told {
                    Ok(Made::Done(kept)) if arrival.is_served_by(&kept) => {
                        return Ok(served(&app, &kept, request).await);
                    }
                    Ok(Made::NotToShare) => break,
                    // What was made is too old, or whoever made it has gone.
                    _ => {}
                }
            }
        }
    }
    make(&app, None, request, next).await
}

async fn served(app: &App, kept: &Kept, request: ServiceRequest) -> ServiceResponse<BoxBody> {
    let response = coded(app, &kept.answer, request.headers()).await;
    // What a refusal says would be lost in `into_response`.
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, response)
}

async fn make(
    app: &App,
    flight: Option<Flight<'_>>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let response = next.call(request).await;
    let answer = response.as_ref().ok().and_then(finished);
    if answer.is_some() {
        app.answers.made.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(flight) = flight {
        match &answer {
            // Over already: of those who wait one makes the next.
            Some(answer) if answer.version().is_over(app.clock.now()) => drop(flight),
            Some(answer) => {
                let route = response.as_ref().ok().and_then(|response| response.request().match_pattern());
                flight.land(Arc::new(Kept { answer: Arc::clone(answer), route }));
            }
            None => drop(flight.sender.send_replace(Made::NotToShare)),
        }
    }
    Ok(match answer {
        Some(answer) => {
            let (request, _) = response?.into_parts();
            let response = coded(app, &answer, request.headers()).await;
            ServiceResponse::new(request, response)
        }
        None => response?,
    })
}

/// The finished answer that a handler of delivery has made.
fn finished(response: &ServiceResponse<BoxBody>) -> Option<Arc<Representation>> {
    response.response().extensions().get::<Arc<Representation>>().cloned()
}

/// An answer in the coding that the client wants. What was published while it was made may be purged already: then a CDN
/// may not hold what is older.
async fn coded(app: &App, answer: &Representation, headers: &HeaderMap) -> HttpResponse<BoxBody> {
    let coded = answer.coded(Wanted::of(headers)).await;
    if let Err(refusal) = check_state(headers, coded.tag.to_str().unwrap_or_default(), answer.version()) {
        return HttpResponse::from_error(refusal);
    }
    let now = app.clock.now();
    let mut response = answer.answer(coded, headers, now);
    let present = app.present(now);
    if (answer.version().number < present.number || present.is_over(now))
        && let Ok(unshared) = HeaderValue::try_from(app.cache_policy().unshared())
    {
        response.headers_mut().insert(header::CACHE_CONTROL, unshared);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::ContentVersion;
    use crate::http::{CachePolicy, Seen};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn answer(number: i64) -> Arc<Kept> {
        let version = version(number, None);
        let (seen, policy) = (Seen { version, keys: None }, CachePolicy { max_age: 0, shared: None });
        let answer = Representation::new("text/plain", vec![b'x'; 1000], seen, policy, None);
        Arc::new(Kept { answer: Arc::new(answer), route: None })
    }

    fn version(number: i64, ends_at: Option<Timestamp>) -> ContentVersion {
        ContentVersion { number, changed_at: NOW, has_own_second: true, ends_at }
    }

    fn present(number: i64, ends_at: Option<Timestamp>) -> PresentState {
        PresentState::of(version(number, ends_at))
    }

    #[test]
    fn an_answer_is_served_while_its_state_is_the_present_one() {
        let cache = AnswerCache::new(1 << 20);
        cache.keep("/a", answer(7));
        assert!(cache.fresh("/a", present(7, None), NOW).is_some());
        assert!(cache.fresh("/a", present(8, None), NOW).is_none(), "something was published");
        assert!(cache.fresh("/a", present(6, None), NOW).is_none(), "it is not known to be the present one yet");
        let scheduled = present(7, Some(NOW.plus_seconds(10)));
        assert!(cache.fresh("/a", scheduled, NOW).is_some(), "it was scheduled since");
        assert!(cache.fresh("/a", scheduled, NOW.plus_seconds(10)).is_none(), "and is due now");
        assert!(cache.fresh("/b", present(7, None), NOW).is_none());
    }

    #[test]
    fn what_another_request_made_serves_who_came_before_it_was_out_of_date() {
        let arrival = |number, ends_at| Arrival { state: present(number, ends_at), at: NOW };
        assert!(arrival(7, None).is_served_by(&answer(7)) && arrival(7, None).is_served_by(&answer(8)));
        assert!(!arrival(7, None).is_served_by(&answer(6)), "something was published before the request came");
        assert!(arrival(7, Some(NOW.plus_seconds(1))).is_served_by(&answer(7)));
        assert!(!arrival(7, Some(NOW)).is_served_by(&answer(7)), "something was due");
        assert!(arrival(7, Some(NOW)).is_served_by(&answer(8)), "and was brought out");
    }

    #[test]
    fn memory_is_bounded_and_a_scan_does_not_push_out_what_was_asked_for_again_and_again() {
        // About 800 answers.
        let cache = AnswerCache::new(1 << 20);
        let is_kept = |path: &str| cache.fresh(path, present(1, None), NOW).is_some();
        let hot: Vec<String> = (0..100).map(|number| format!("/hot/{number}")).collect();
        for path in &hot {
            cache.keep(path, answer(1));
        }
        for _ in 0..3 {
            assert!(hot.iter().all(|path| is_kept(path)));
        }
        // Nobody asks for them meanwhile, and the cache could have been filled a thousand times.
        for number in 0..1_000_000 {
            cache.keep(&format!("/rare?page={number}"), answer(1));
        }
        let still = hot.iter().filter(|path| is_kept(path)).count();
        assert!(still >= 95, "{still} of 100 are still there");
        assert!(cache.answers.as_ref().unwrap().weight() <= 1 << 20);
    }

    #[test]
    fn what_is_switched_off_keeps_nothing() {
        let cache = AnswerCache::new(0);
        cache.keep("/a", answer(1));
        assert!(cache.is_empty() && cache.fresh("/a", present(1, None), NOW).is_none());
    }

    #[tokio::test]
    async fn who_waits_for_one_that_has_gone_takes_the_turn() {
        let cache = AnswerCache::new(1 << 20);
        let is_known = |made: &Made| !matches!(made, Made::NotYet);
        let Turn::Own(first) = cache.turn("/a") else { panic!("nobody makes it") };
        let Turn::Others(mut waiting) = cache.turn("/a") else { panic!("somebody makes it") };
        drop(first);
        assert!(waiting.wait_for(is_known).await.is_err());
        let Turn::Own(second) = cache.turn("/a") else { panic!("nobody makes it") };
        let Turn::Others(mut waiting) = cache.turn("/a") else { panic!("somebody makes it") };
        second.land(answer(1));
        assert!(matches!(cache.turn("/a"), Turn::Own(_)), "it has landed");
        assert!(matches!(&*waiting.wait_for(is_known).await.unwrap(), Made::Done(_)));
        assert_eq!(cache.len(), 1);
    }

    #[tokio::test]
    async fn what_is_too_large_to_be_kept_is_shared_all_the_same() {
        let cache = AnswerCache::new(1);
        let Turn::Own(flight) = cache.turn("/a") else { panic!("nobody makes it") };
        let Turn::Others(mut waiting) = cache.turn("/a") else { panic!("somebody makes it") };
        flight.land(answer(1));
        assert!(cache.is_empty());
        assert!(matches!(&*waiting.wait_for(|made| !matches!(made, Made::NotYet)).await.unwrap(), Made::Done(_)));
    }
}
