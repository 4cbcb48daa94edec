//! The time, from one place: tests move it, and what must not jump is told by whoever keeps it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::db::Timestamp;

/// The one place that time comes from, so that tests can move it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.moved(self.system())
    }

    /// The moment that a time of the system's clock is, by as much as tests have moved the time.
    pub(crate) fn moved(&self, system: Timestamp) -> Timestamp {
        let offset = self.offset_millis.load(Ordering::Relaxed);
        Timestamp::from_unix_millis(system.unix_millis().saturating_add(offset))
    }

    /// What the system's clock says, whether tests have moved the time or not.
    #[expect(clippy::unused_self, reason = "time comes from here alone")]
    pub(crate) fn system(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// A moment that only ever comes after the one before, however the clock is set: for what is measured within
    /// one run of the program.
    pub fn steady(&self) -> Timestamp {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        let millis = i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(millis.saturating_add(self.offset_millis.load(Ordering::Relaxed)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_millis.fetch_add(millis, Ordering::Relaxed);
    }
}
