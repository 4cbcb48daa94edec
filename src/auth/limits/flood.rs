//! Limits of what anyone may send: by network, in two steps, since many people may share one address; and how often
//! the same text has come.
//!
//! Keys are keyed hashes, and every table is bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{LimitKey, Rate, make_room};
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
}

/// What is known of one text.
struct Seen {
    times: i64,
    last: i64,
}

/// That a message may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Where the client stands with the limit beyond which it is refused; none where limits are off.
    pub limit: Option<RateLimit>,
    /// Whether there were too many to believe in all of them.
    pub is_suspicious: bool,
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
        }
    }

    /// Admits a message from a network and the wider one around it.
    ///
    /// # Errors
    /// `429` that says when to come again.
    pub fn admit(&self, network: LimitKey, wide: Option<LimitKey>, now: Timestamp) -> Result<Admission, Problem> {
        if !self.on {
            return Ok(Admission { limit: None, is_suspicious: false });
        }
        if let Some(wide) = wide {
            self.wide_most.admit(wide, now)?;
        }
        let limit = Some(self.most.admit(network, now)?);
        let beyond = |rate: &Rate, key: LimitKey| rate.admit(key, now).is_err();
        let is_suspicious =
            beyond(&self.suspicious, network) || wide.is_some_and(|wide| beyond(&self.wide_suspicious, wide));
        Ok(Admission { limit, is_suspicious })
    }

    /// Counts a text, and says how often it came before, within a day each time.
    pub fn count_text(&self, key: LimitKey, now: Timestamp) -> i64 {
        let now = now.unix_millis();
        let is_recent = |seen: &Seen| now - seen.last < TEXT_SECONDS * 1000;
        let mut all = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut all, &key, is_recent, |seen| seen.times);
        let seen = all.entry(key).or_insert(Seen { times: 0, last: now });
        if !is_recent(seen) {
            seen.times = 0;
        }
        let before = seen.times;
        *seen = Seen { times: before + 1, last: now };
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    #[test]
    fn many_from_one_network_are_suspected_first_and_refused_last() {
        let limits = FloodLimits::new(true, 5, 30);
        let outcomes: Vec<_> = (0..40).map(|_| limits.admit([1; 32], None, NOW)).collect();
        assert!(outcomes[..5].iter().all(|one| one.as_ref().is_ok_and(|one| !one.is_suspicious)));
        assert!(outcomes[5..30].iter().all(|one| one.as_ref().is_ok_and(|one| one.is_suspicious)));
        assert!(outcomes[30..].iter().all(Result::is_err));
        assert!(limits.admit([2; 32], None, NOW).is_ok_and(|one| !one.is_suspicious));
        assert!(limits.admit([1; 32], None, NOW.plus_seconds(60)).is_ok_and(|one| !one.is_suspicious));
    }

    #[test]
    fn a_wide_network_has_four_times_as_much() {
        let limits = FloodLimits::new(true, 5, 30);
        let outcomes = (0..200_u8).map(|number| limits.admit([number; 32], Some([255; 32]), NOW));
        let admitted: Vec<_> = outcomes.filter_map(Result::ok).collect();
        assert_eq!(admitted.len(), 120);
        assert_eq!(admitted.iter().filter(|one| !one.is_suspicious).count(), 20);
    }

    #[test]
    fn a_text_is_known_again_for_a_day() {
        let limits = FloodLimits::new(true, 5, 30);
        assert_eq!([0, 1, 2].map(|second| limits.count_text([1; 32], NOW.plus_seconds(second))), [0, 1, 2]);
        assert_eq!(limits.count_text([2; 32], NOW), 0);
        assert_eq!(limits.count_text([1; 32], NOW.plus_seconds(TEXT_SECONDS + 3)), 0);
    }
}
