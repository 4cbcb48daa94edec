//! Limits of what anyone may send: by network, in two steps, since many people may share one address; and how often
//! the same text has come.
//!
//! Keys are keyed hashes, and every table is bounded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::{LimitKey, Rate, admit_both, make_room};
use crate::db::Timestamp;
use crate::http::{Problem, RateLimit, RatePolicy};

/// For how long the same text is remembered, in seconds: a day.
const TEXT_SECONDS: i64 = 24 * 60 * 60;

/// The limits of the contact form.
pub struct FloodLimits {
    on: bool,
    suspicious: Rate,
    wide_suspicious: Rate,
    most: Rate,
    wide_most: Rate,
    texts: Mutex<HashMap<LimitKey, Seen>>,
    /// What the default form says to who is turned away, as it was last seen.
    fallback_text: RwLock<String>,
}

/// What is known of one text.
struct Seen {
    times: i64,
    last: i64,
}

impl FloodLimits {
    /// Limits by messages a minute: beyond `suspicious` they are suspected, beyond `most` refused. They hold, or do not
    /// where they are switched off.
    pub fn new(on: bool, suspicious: i64, most: i64) -> Self {
        // Whoever has one IPv6 network has thousands of them.
        let rate = |name, quota| Rate::new(RatePolicy { name, quota, window_seconds: 60 });
        Self {
            on,
            suspicious: rate("contact-suspected", suspicious),
            wide_suspicious: rate("contact-suspected-wide", suspicious * 4),
            most: rate("contact", most),
            wide_most: rate("contact-wide", most * 4),
            texts: Mutex::default(),
            fallback_text: RwLock::default(),
        }
    }

    /// Admits a message from a network and the wider one around it; says where the client stands, unless limits are off.
    ///
    /// # Errors
    /// `429` that says when to come again.
    pub fn admit(
        &self,
        network: LimitKey,
        wide: Option<LimitKey>,
        now: Timestamp,
    ) -> Result<Option<RateLimit>, Problem> {
        if !self.on {
            return Ok(None);
        }
        admit_both((&self.most, network), (&self.wide_most, wide), now).map(Some)
    }

    /// Counts a message that is right, and says whether there were too many to believe in all of them.
    pub fn is_suspicious(&self, network: LimitKey, wide: Option<LimitKey>, now: Timestamp) -> bool {
        let beyond = |rate: &Rate, key: LimitKey| rate.admit(key, now).is_err();
        self.on && (beyond(&self.suspicious, network) || wide.is_some_and(|wide| beyond(&self.wide_suspicious, wide)))
    }

    /// Counts a text: how often it came before, within a day each time. Of texts that come together each is counted.
    pub fn count_text(&self, key: LimitKey, now: Timestamp) -> i64 {
        let mut all = self.texts();
        make_room(&mut all, &key, |seen| seen.is_recent(now), |seen| seen.times);
        let seen = all.entry(key).or_insert(Seen { times: 0, last: 0 });
        let before = if seen.is_recent(now) { seen.times } else { 0 };
        *seen = Seen { times: before + 1, last: now.unix_millis() };
        before
    }

    /// Takes a count back: whose message was not stored may try again.
    pub fn uncount_text(&self, key: &LimitKey) {
        if let Some(seen) = self.texts().get_mut(key) {
            seen.times -= 1;
        }
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<LimitKey, Seen>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a visitor is told who is refused before anything is read.
    pub fn fallback_text(&self) -> String {
        self.fallback_text.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers the text of the default form, for visitors that are refused before anything is read.
    pub fn remember_fallback_text(&self, text: &str) {
        if *self.fallback_text.read().unwrap_or_else(PoisonError::into_inner) != text {
            text.clone_into(&mut self.fallback_text.write().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Seen {
    fn is_recent(&self, now: Timestamp) -> bool {
        now.unix_millis() - self.last < TEXT_SECONDS * 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn many_from_one_network_are_suspected_first_and_refused_last() {
        let limits = FloodLimits::new(true, 5, 30);
        let admitted = (0..40).filter(|_| limits.admit([1; 32], None, NOW).is_ok()).count();
        let believed = (0..40).filter(|_| !limits.is_suspicious([1; 32], None, NOW)).count();
        assert_eq!((admitted, believed), (30, 5));
        assert!(limits.admit([2; 32], None, NOW).is_ok() && !limits.is_suspicious([2; 32], None, NOW));
        let later = NOW.plus_seconds(60);
        assert!(limits.admit([1; 32], None, later).is_ok() && !limits.is_suspicious([1; 32], None, later));
    }

    #[test]
    fn a_wide_network_has_four_times_as_much() {
        let limits = FloodLimits::new(true, 5, 30);
        let wide = Some([255; 32]);
        let admitted = (0..200_u8).filter(|number| limits.admit([*number; 32], wide, NOW).is_ok()).count();
        let believed = (0..200_u8).filter(|number| !limits.is_suspicious([*number; 32], wide, NOW)).count();
        assert_eq!((admitted, believed), (120, 20));
    }

    #[test]
    fn who_is_refused_uses_nothing_of_the_wider_network_up() {
        let limits = FloodLimits::new(true, 5, 30);
        let wide = Some([255; 32]);
        for _ in 0..1000 {
            drop(limits.admit([1; 32], wide, NOW));
        }
        assert!(limits.admit([2; 32], wide, NOW).is_ok());
    }

    #[test]
    fn a_text_is_known_again_for_a_day() {
        let limits = FloodLimits::new(true, 5, 30);
        let count = |seconds| limits.count_text([1; 32], NOW.plus_seconds(seconds));
        assert_eq!((count(0), count(1), limits.count_text([2; 32], NOW)), (0, 1, 0));
        assert_eq!(count(TEXT_SECONDS + 2), 0);
    }

    #[test]
    fn of_a_text_that_comes_many_times_at_once_each_is_counted_but_what_was_not_stored() {
        let limits = FloodLimits::new(true, 5, 30);
        let mut counts: Vec<i64> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(|| limits.count_text([1; 32], NOW))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        counts.sort_unstable();
        assert_eq!(counts, (0..8).collect::<Vec<i64>>());
        limits.uncount_text(&[1; 32]);
        limits.uncount_text(&[9; 32]);
        assert_eq!(limits.count_text([1; 32], NOW), 7);
    }
}
