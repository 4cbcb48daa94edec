//! How rate limits are told: `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and `429`.

use actix_web::body::BoxBody;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, Responder};

use super::api::Output;
use super::description::Description;
use super::problem::{Problem, TOO_MANY_REQUESTS};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePolicy {
    /// Its name.
    pub name: &'static str,
    /// How many requests a window has.
    pub quota: i64,
    /// The window, in seconds.
    pub window_seconds: i64,
}

/// Where a client stands with a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The limit.
    pub policy: RatePolicy,
    /// How many requests are left at once.
    pub remaining: i64,
    /// In how many seconds there is more room, or all of it again.
    pub reset_seconds: i64,
}

impl RateLimit {
    /// The two headers.
    fn headers(&self) -> [(HeaderName, String); 2] {
        let RatePolicy { name, quota, window_seconds } = self.policy;
        [
            (RATE_LIMIT_POLICY.clone(), format!("\"{name}\";q={quota};w={window_seconds}")),
            (RATE_LIMIT.clone(), format!("\"{name}\";r={};t={}", self.remaining, self.reset_seconds)),
        ]
    }

    /// Adds the headers to a problem, unless it tells of another limit, which is then the one that counts.
    fn tell(self, problem: Problem) -> Problem {
        if problem.has_header(&RATE_LIMIT) {
            return problem;
        }
        self.headers().into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, &value))
    }

    /// The limit is reached.
    pub fn exceeded(self) -> Problem {
        let detail = format!("Too many attempts; try again in {} seconds.", self.reset_seconds);
        let problem = Problem::new(&TOO_MANY_REQUESTS, detail);
        self.tell(problem.with_header(RETRY_AFTER, &self.reset_seconds.to_string()))
    }
}

/// An answer of an operation that is limited.
pub struct Limited<T> {
    answer: T,
    limit: Option<RateLimit>,
}

impl<T> Limited<T> {
    /// The answer, and where the client stands; none where limits are switched off.
    pub fn new(answer: T, limit: Option<RateLimit>) -> Self {
        Self { answer, limit }
    }

    /// An answer or a problem, with where the client stands.
    ///
    /// # Errors
    /// The problem.
    pub fn of(outcome: Result<T, Problem>, limit: Option<RateLimit>) -> Result<Self, Problem> {
        match (outcome, limit) {
            (Ok(answer), limit) => Ok(Self::new(answer, limit)),
            (Err(problem), Some(limit)) => Err(limit.tell(problem)),
            (Err(problem), None) => Err(problem),
        }
    }
}

impl<T: Responder<Body = BoxBody>> Responder for Limited<T> {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        let mut response = self.answer.respond_to(req);
        for (name, value) in self.limit.iter().flat_map(RateLimit::headers) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl<T: Output<Body = BoxBody>> Output for Limited<T> {
    fn describe(description: &mut Description) {
        T::describe(description);
        description.problem("429", "Too many attempts; `Retry-After` says when to try again.");
        description.header("429", "Retry-After", "In how many seconds to try again.");
        for status in description.statuses() {
            description.optional_header(
                &status,
                "RateLimit",
                "What is left of the limit (IETF draft); absent where limits are off.",
            );
            description.optional_header(
                &status,
                "RateLimit-Policy",
                "The limit (IETF draft); absent where limits are off.",
            );
        }
    }
}
