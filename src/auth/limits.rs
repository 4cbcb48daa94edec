//! Throttling of sign-in: by network, and by email whether an account has it or not.
//!
//! By network a rate holds (the generic cell rate algorithm: one time a network). By email the attempts of the
//! last fifteen minutes are remembered, at most ten; from the third wrong one on each further one must wait,
//! twice as long each time. An attempt is counted before its password is looked at, so parallel ones can't
//! slip by, and given back when it was right; whoever signs in with the right one often and at once need not wait.
//! Attempts from a network where the account has signed in before
//! are counted apart: whoever guesses from elsewhere can't keep the person out. Keys are keyed hashes, and both
//! tables are bounded: in a flood the entries that say least give way.

mod flood;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::flood::FloodLimits;
use super::UserId;
use crate::db::Timestamp;
use crate::http::{Problem, RateLimit, RatePolicy};

/// The most keys of one table: about 3 MB of networks, 12 MB of emails.
const CAPACITY: usize = 50_000;

/// Sign-ins, redemptions and whatever else checks a password: by network.
const LOGIN: RatePolicy = RatePolicy { name: "sign-in", quota: 30, window_seconds: 60 };
/// The same by the wider network of IPv6 addresses: who has one has thousands of the others.
const WIDE_LOGIN: RatePolicy = RatePolicy { name: "sign-in-wide", quota: 120, window_seconds: 60 };
/// Refreshes by network: a whole clinic may share one.
const REFRESH: RatePolicy = RatePolicy { name: "refresh", quota: 300, window_seconds: 60 };
/// Wrong passwords for one email.
const EMAIL: RatePolicy = RatePolicy { name: "email", quota: 10, window_seconds: 15 * 60 };
/// Refused attempts at what is most private that the audit trail tells of one by one: by account.
const REFUSALS: RatePolicy = RatePolicy { name: "refusals", quota: 60, window_seconds: 60 };
/// How many wrong passwords are free of waiting.
const FREE: usize = 3;

/// A keyed hash: nothing that a caller chooses lies in memory as it was sent.
pub type LimitKey = [u8; 32];

/// The limits of sign-in.
pub struct Limits {
    on: bool,
    logins: Rate,
    wide_logins: Rate,
    refreshes: Rate,
    refusals: Rate,
    emails: Arc<Attempts>,
}

/// An attempt whose password is being looked at. It counts as wrong from when it is dropped, unless it is given back.
pub struct Attempt {
    /// None where limits are off.
    all: Option<Arc<Attempts>>,
    key: LimitKey,
    at: i64,
}

impl Attempt {
    /// The password was right, or was not looked at: the attempt does not count.
    pub fn give_back(mut self) {
        if let Some(all) = self.all.take() {
            all.settle(self.key, self.at, false);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(all) = self.all.take() {
            all.settle(self.key, self.at, true);
        }
    }
}

impl Limits {
    /// Limits that hold, or do not where they are switched off.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            logins: Rate::new(LOGIN),
            wide_logins: Rate::new(WIDE_LOGIN),
            refreshes: Rate::new(REFRESH),
            refusals: Rate::new(REFUSALS),
            emails: Arc::default(),
        }
    }

    /// Admits a sign-in, or whatever else checks a password or a link, from a network and the wider one around it.
    ///
    /// # Errors
    /// `429` that says when to come again.
    pub fn admit_login(
        &self,
        network: LimitKey,
        wide: Option<LimitKey>,
        now: Timestamp,
    ) -> Result<Option<RateLimit>, Problem> {
        if !self.on {
            return Ok(None);
        }
        admit_both((&self.logins, network), (&self.wide_logins, wide), now).map(Some)
    }

    /// Admits a refresh from a network.
    ///
    /// # Errors
    /// `429` that says when to come again.
    pub fn admit_refresh(&self, network: LimitKey, now: Timestamp) -> Result<Option<RateLimit>, Problem> {
        if self.on { self.refreshes.admit(network, now).map(Some) } else { Ok(None) }
    }

    /// Whether a refused attempt of an account is told of by itself: many of them are counted, so that nobody fills the
    /// audit trail.
    pub fn has_room_for_refusal(&self, user: UserId, now: Timestamp) -> bool {
        let mut key = [0; 32];
        key[..16].copy_from_slice(user.uuid().as_bytes());
        self.refusals.admit(key, now).is_ok()
    }

    /// Counts an attempt to sign in with an email; give it back unless the password was wrong.
    ///
    /// # Errors
    /// `429` that says when to come again.
    pub fn admit_email(&self, key: LimitKey, now: Timestamp) -> Result<Attempt, Problem> {
        let at = now.unix_millis();
        if self.on {
            self.emails.admit(key, at)?;
        }
        Ok(Attempt { all: self.on.then(|| self.emails.clone()), key, at })
    }
}

/// A rate by network.
struct Rate {
    policy: RatePolicy,
    /// When the next request of each would be on time.
    next: Mutex<HashMap<LimitKey, i64>>,
}

impl Rate {
    fn new(policy: RatePolicy) -> Self {
        Self { policy, next: Mutex::default() }
    }

    fn admit(&self, key: LimitKey, now: Timestamp) -> Result<RateLimit, Problem> {
        let now = now.unix_millis();
        let window = self.policy.window_seconds * 1000;
        let interval = window / self.policy.quota;
        let mut all = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let on_time = all.get(&key).copied().unwrap_or(now).max(now);
        let ahead = on_time - now;
        if ahead + interval > window {
            let wait = seconds(ahead + interval - window);
            return Err(RateLimit { policy: self.policy, remaining: 0, reset_seconds: wait }.exceeded());
        }
        make_room(&mut all, &key, |next| *next > now, |next| *next);
        all.insert(key, on_time + interval);
        let remaining = (window - ahead - interval) / interval;
        Ok(RateLimit { policy: self.policy, remaining, reset_seconds: seconds(ahead + interval) })
    }
}

/// Admits something from a network and the wider one around it. What the narrower one refuses uses nothing of the wider
/// one up, which others share.
fn admit_both(
    (narrow, network): (&Rate, LimitKey),
    (wide, around): (&Rate, Option<LimitKey>),
    now: Timestamp,
) -> Result<RateLimit, Problem> {
    let limit = narrow.admit(network, now)?;
    if let Some(around) = around {
        wide.admit(around, now)?;
    }
    Ok(limit)
}

/// The attempts of the last minutes by email.
#[derive(Default)]
struct Attempts {
    recent: Mutex<HashMap<LimitKey, Recent>>,
}

/// The attempts for one email.
#[derive(Default)]
struct Recent {
    /// When each began, in milliseconds.
    times: Vec<i64>,
    /// How many of them are being looked at.
    open: usize,
}

impl Recent {
    fn count(&self) -> i64 {
        i64::try_from(self.times.len()).unwrap_or(i64::MAX)
    }

    /// From when on there may be another. Those that are being looked at count as wrong for the quota, not for the
    /// waits: many may turn out right at once.
    fn free_at(&self, now: i64, window: i64) -> i64 {
        if self.count() >= EMAIL.quota {
            return self.times.first().map_or(now, |oldest| oldest + window);
        }
        let wrong = self.times.len().saturating_sub(self.open);
        // Requests take the time when they begin, so the last one here may have begun after this one.
        match (wait_after(wrong), self.times.iter().max()) {
            (0, _) | (_, None) => now,
            (wait, Some(latest)) => latest + wait,
        }
    }
}

impl Attempts {
    fn admit(&self, key: LimitKey, now: i64) -> Result<(), Problem> {
        let window = EMAIL.window_seconds * 1000;
        let mut all = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |recent: &Recent| recent.times.last().is_some_and(|last| now - last < window);
        make_room(&mut all, &key, is_recent, Recent::count);
        let recent = all.entry(key).or_default();
        recent.times.retain(|at| now - at < window);
        let free_at = recent.free_at(now, window);
        if free_at > now {
            let reset_seconds = seconds(free_at - now);
            return Err(RateLimit { policy: EMAIL, remaining: 0, reset_seconds }.exceeded());
        }
        recent.times.push(now);
        recent.open += 1;
        Ok(())
    }

    /// An attempt is not being looked at any more: it was wrong, or it does not count.
    fn settle(&self, key: LimitKey, at: i64, was_wrong: bool) {
        let mut all = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(recent) = all.get_mut(&key) else { return };
        recent.open = recent.open.saturating_sub(1);
        if was_wrong {
            return;
        }
        if let Some(index) = recent.times.iter().rposition(|time| *time == at) {
            recent.times.remove(index);
        }
        if recent.times.is_empty() {
            all.remove(&key);
        }
    }
}

/// How long to wait after this many wrong passwords, in milliseconds: 1, 2, 4 … seconds after the third.
fn wait_after(wrong: usize) -> i64 {
    match wrong.checked_sub(FREE) {
        Some(further) => 1000 << further.min(16),
        None => 0,
    }
}

/// Keeps the table bounded: what is over goes first, then a tenth of what weighs least.
fn make_room<K: Copy + Eq + Hash, V>(
    all: &mut HashMap<K, V>,
    key: &K,
    is_needed: impl Fn(&V) -> bool,
    weight: impl Fn(&V) -> i64,
) {
    if all.len() < CAPACITY || all.contains_key(key) {
        return;
    }
    all.retain(|_, value| is_needed(value));
    if all.len() < CAPACITY {
        return;
    }
    let mut weights: Vec<(i64, K)> = all.iter().map(|(key, value)| (weight(value), *key)).collect();
    let (lightest, ..) = weights.select_nth_unstable_by_key(CAPACITY / 10, |(weight, _)| *weight);
    for (_, key) in lightest {
        all.remove(key);
    }
}

/// Whole seconds, rounded up.
fn seconds(millis: i64) -> i64 {
    (millis + 999).div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    fn key(number: usize) -> LimitKey {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn a_network_may_burst_and_then_keeps_its_rate() {
        let limits = Limits::new(true);
        let admitted = (0..100).filter(|_| limits.admit_login(key(1), None, NOW).is_ok()).count();
        assert_eq!(admitted, 30);
        assert!(limits.admit_login(key(2), None, NOW).is_ok());
        assert!(limits.admit_login(key(1), None, NOW.plus_seconds(2)).is_ok());
        assert!(limits.admit_login(key(1), None, NOW.plus_seconds(2)).is_err());
        assert_eq!((0..100).filter(|_| limits.admit_login(key(1), None, NOW.plus_seconds(300)).is_ok()).count(), 30);
    }

    #[test]
    fn a_wide_network_shares_a_limit_however_many_others_it_has() {
        let limits = Limits::new(true);
        let admitted =
            (0..1000).filter(|number| limits.admit_login(key(*number), Some(key(5000)), NOW).is_ok()).count();
        assert_eq!(admitted, 120);
        assert!(limits.admit_login(key(5001), Some(key(5002)), NOW).is_ok());
    }

    #[test]
    fn ten_wrong_passwords_in_fifteen_minutes_and_ever_longer_waits() {
        let limits = Limits::new(true);
        let mut wrong = 0;
        for second in 0..15 * 60 {
            for _ in 0..3 {
                wrong += u32::from(limits.admit_email(key(1), NOW.plus_seconds(second)).is_ok());
            }
        }
        assert_eq!(wrong, 10);
        assert!((0..3).all(|_| limits.admit_email(key(2), NOW).is_ok()));
        assert!(limits.admit_email(key(2), NOW).is_err());
        assert!(limits.admit_email(key(2), NOW.plus_seconds(1)).is_ok());
        assert!(limits.admit_email(key(2), NOW.plus_seconds(2)).is_err());
        assert!(limits.admit_email(key(2), NOW.plus_seconds(3)).is_ok());
        assert!(limits.admit_email(key(1), NOW.plus_seconds(16 * 60)).is_ok());
    }

    #[test]
    fn a_right_password_does_not_count() {
        let limits = Limits::new(true);
        for _ in 0..100 {
            limits.admit_email(key(1), NOW).unwrap().give_back();
        }
        assert!(limits.emails.recent.lock().unwrap().is_empty());
    }

    #[test]
    fn who_began_earlier_and_comes_later_need_not_wait() {
        let limits = Limits::new(true);
        let later = limits.admit_email(key(1), NOW.plus_seconds(1)).unwrap();
        assert!(limits.admit_email(key(1), NOW).is_ok());
        later.give_back();
        assert!(limits.admit_email(key(1), NOW).is_ok());
    }

    #[test]
    fn ten_may_be_looked_at_at_once_and_wait_as_soon_as_they_were_wrong() {
        let limits = Limits::new(true);
        let mut open: Vec<_> = (0..12).filter_map(|_| limits.admit_email(key(1), NOW).ok()).collect();
        assert_eq!(open.len(), 10);
        for right in open.drain(..6) {
            right.give_back();
        }
        open.push(limits.admit_email(key(1), NOW).unwrap());
        drop(open);
        assert!(limits.admit_email(key(1), NOW.plus_seconds(3)).is_err(), "five were wrong");
        assert!(limits.admit_email(key(1), NOW.plus_seconds(4)).is_ok());
    }

    #[test]
    fn a_flood_of_networks_and_emails_takes_bounded_memory_and_frees_nobody_who_is_waiting() {
        let limits = Limits::new(true);
        while limits.admit_login(key(0), None, NOW).is_ok() {}
        for second in 0..120 {
            drop(limits.admit_email(key(0), NOW.plus_seconds(second)));
        }
        for number in 1..3 * CAPACITY {
            limits.admit_login(key(number), None, NOW).unwrap();
            limits.admit_email(key(number), NOW.plus_seconds(120)).unwrap();
        }
        assert!(limits.logins.next.lock().unwrap().len() <= CAPACITY);
        assert!(limits.emails.recent.lock().unwrap().len() <= CAPACITY);
        assert!(limits.admit_login(key(0), None, NOW).is_err());
        assert!(limits.admit_email(key(0), NOW.plus_seconds(120)).is_err());
    }

    #[test]
    fn what_is_switched_off_does_not_limit() {
        let limits = Limits::new(false);
        assert!((0..100).all(|_| limits.admit_login(key(1), None, NOW).is_ok_and(|told| told.is_none())));
        assert!((0..100).all(|_| limits.admit_email(key(1), NOW).is_ok()));
    }
}
