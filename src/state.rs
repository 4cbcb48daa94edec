//! What a handler can reach: settings, database, clock and keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::auth::address::UntrustedProxy;
use crate::auth::limits::Limits;
use crate::auth::passwords::Passwords;
use crate::auth::secrets::ServerSecret;
use crate::auth::tokens::Tokens;
use crate::changes::AnonymousEvents;
use crate::config::Config;
use crate::db::{ContentVersion, Db, Error, Timestamp, Tx};
use crate::http::{CachePolicy, Delivered};
use crate::mail::Mailer;

/// The running program's shared state.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The two doors to the database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Signs and verifies access tokens.
    pub tokens: Tokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// The server's own secret.
    pub secret: ServerSecret,
    /// The limits of sign-in.
    pub limits: Limits,
    /// What anonymous callers did and the audit trail does not know yet.
    pub anonymous: AnonymousEvents,
    /// Whether a proxy that nobody trusts has sent forwarding headers.
    pub untrusted_proxy: UntrustedProxy,
    /// Sends mail, where a server is set.
    pub mailer: Option<Mailer>,
}

impl App {
    /// A delivery answer that shows this state.
    pub fn delivered<T>(&self, value: T, version: ContentVersion) -> Delivered<T> {
        Delivered::new(value, version, self.cache_policy(), self.clock.now())
    }

    /// How caches may hold delivery.
    pub fn cache_policy(&self) -> CachePolicy {
        CachePolicy { max_age: self.config.cache_max_age }
    }

    /// Runs a write, or only rehearses it where `validate_only` was asked for.
    ///
    /// # Errors
    /// What the work returns, or an error of the door.
    pub async fn write<T, E, F>(&self, validate_only: bool, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if validate_only { self.db.rehearse(work).await } else { self.db.write(work).await }
    }
}

/// The one place that time comes from, so that tests can move it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(millis.saturating_add(self.offset_millis.load(Ordering::Relaxed)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_millis.fetch_add(millis, Ordering::Relaxed);
    }
}
