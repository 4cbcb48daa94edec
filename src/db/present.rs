//! Which state of what is public a read has seen, and which one is present.

use std::sync::atomic::{AtomicI64, Ordering};

use diesel::dsl;
use diesel::prelude::*;
use tokio::sync::watch;

use super::{Conn, Timestamp};
use crate::schema::{articles, content_version};

/// Which state of what is public a read has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentVersion {
    /// Counts the changes of what is public, from 0.
    pub number: i64,
    /// When the newest of them was made.
    pub changed_at: Timestamp,
    /// Whether the second of `changed_at` is this state's alone: what a date tells of a state rests on that.
    pub has_own_second: bool,
    /// When what is scheduled makes it another; none where nothing is.
    pub ends_at: Option<Timestamp>,
}

impl ContentVersion {
    /// Whether what is scheduled has made it another by now.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.ends_at.is_some_and(|at| at <= now)
    }

    pub(super) fn current(conn: &mut Conn) -> QueryResult<Self> {
        let row: (i64, Timestamp, bool, Option<Timestamp>) = present().first(conn)?;
        let (number, changed_at, has_own_second, ends_at) = row;
        Ok(Self { number, changed_at, has_own_second, ends_at })
    }

    /// Says when the state that follows this one came into being: at its commit, whenever its request began, and never
    /// before this one, also where the clock was set back. `Last-Modified` rests on that.
    pub(super) fn stamp_next(self, conn: &mut Conn, now: Timestamp) -> QueryResult<()> {
        let changed_at = self.changed_at.max(now);
        let has_own_second = changed_at.unix_seconds() > self.changed_at.unix_seconds();
        diesel::update(content_version::table)
            .set((content_version::changed_at.eq(changed_at), content_version::has_own_second.eq(has_own_second)))
            .execute(conn)
            .map(drop)
    }
}

/// Says with what answers are made from now on. Where that is something else than before, the present state is as new as if it
/// had been published now: `If-Modified-Since` would tell of the answers of before.
///
/// # Errors
/// What the database says.
pub fn served_with(conn: &mut Conn, made_with: &str, now: Timestamp) -> QueryResult<()> {
    let before: Option<String> = content_version::table.select(content_version::served_with).first(conn)?;
    if before.as_deref() == Some(made_with) {
        return Ok(());
    }
    if before.is_some() {
        ContentVersion::current(conn)?.stamp_next(conn, now)?;
    }
    diesel::update(content_version::table).set(content_version::served_with.eq(made_with)).execute(conn).map(drop)
}

/// The present version and when it ends. Every snapshot and every write begins with it, so both are looked up in an index: the
/// condition is what lets the small one of the due times be used.
#[dsl::auto_type]
pub(super) fn present() -> _ {
    let due = articles::table.filter(articles::due_at.is_not_null()).order(articles::due_at.asc());
    let next_due = due.select(articles::due_at).limit(1_i64).single_value();
    content_version::table.select((
        content_version::version,
        content_version::changed_at,
        content_version::has_own_second,
        next_due,
    ))
}

/// The newest state that was committed by this process, and when it ends: what is scheduled may change without the number.
#[derive(Debug)]
pub(super) struct Present {
    number: AtomicI64,
    ends_at: AtomicI64,
    /// For who waits for the next change.
    commits: watch::Sender<i64>,
}

/// The newest state at some moment, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresentState {
    /// The number of the state.
    pub number: i64,
    ends_at: i64,
}

impl PresentState {
    /// Whether what is scheduled has made it another by now.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.ends_at <= now.unix_millis()
    }

    /// The same state with another end.
    #[must_use]
    pub fn ending_at(self, at: Timestamp) -> Self {
        Self { ends_at: at.unix_millis(), ..self }
    }

    /// The state that a read has seen.
    pub fn of(version: ContentVersion) -> Self {
        Self { number: version.number, ends_at: version.ends_at.map_or(i64::MAX, Timestamp::unix_millis) }
    }
}

impl Present {
    pub(super) fn new(version: ContentVersion) -> Self {
        let state = PresentState::of(version);
        let commits = watch::Sender::new(state.number);
        Self { number: state.number.into(), ends_at: state.ends_at.into(), commits }
    }

    /// Tells of each change of what is public.
    pub(super) fn commits(&self) -> watch::Receiver<i64> {
        self.commits.subscribe()
    }

    /// Called by the writer alone, after a commit and before anybody hears of it.
    pub(super) fn store(&self, version: ContentVersion) {
        let state = PresentState::of(version);
        self.number.store(state.number, Ordering::Release);
        self.ends_at.store(state.ends_at, Ordering::Release);
        self.commits.send_if_modified(|number| std::mem::replace(number, state.number) != state.number);
    }

    /// Read in the opposite order: who sees the new end sees the new number, too, so that no state outlives its end.
    pub(super) fn load(&self) -> PresentState {
        let ends_at = self.ends_at.load(Ordering::Acquire);
        PresentState { number: self.number.load(Ordering::Acquire), ends_at }
    }
}
