//! Who brings out what is due: one at a time, and what could not be brought out is left alone for a while.
//!
//! The clock tries each second whatever came of the last time; readers, who come by the thousand, do not try again
//! within five seconds. Meanwhile they share what is public without it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync;

use crate::db::{ContentVersion, PresentState, Timestamp};
use crate::state::App;

/// For how long readers do not try again what could not be done, in seconds.
const PAUSE_SECONDS: i64 = 5;

/// A feature's work that the kernel calls at its time: does what is due, and says whether nothing is left of it.
pub type PromoteDue = fn(&App) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;

/// What is due, and who does it.
pub struct Promotions {
    work: PromoteDue,
    turn: sync::Mutex<()>,
    pause: Mutex<Option<Pause>>,
}

/// The time in which what could not be done is not tried again by readers.
#[derive(Debug, Clone, Copy)]
struct Pause {
    from: Timestamp,
    until: Timestamp,
}

impl Promotions {
    /// Nothing has been tried yet.
    pub fn new(work: PromoteDue) -> Self {
        Self { work, turn: sync::Mutex::default(), pause: Mutex::default() }
    }

    /// Does what is due. Readers that come at the same time wait for the first of them instead of rendering all the same.
    pub async fn run(&self, app: &App) {
        let _turn = self.turn.lock().await;
        self.run_in_turn(app).await;
    }

    /// The same, unless somebody has just tried in vain.
    pub async fn run_unless_paused(&self, app: &App) {
        let _turn = self.turn.lock().await;
        if self.paused_until(app.clock.now()).is_none() {
            self.run_in_turn(app).await;
        }
    }

    async fn run_in_turn(&self, app: &App) {
        let is_done = (self.work)(app).await;
        let now = app.clock.now();
        let pause = Pause { from: now, until: now.plus_seconds(PAUSE_SECONDS) };
        *self.pause() = (!is_done).then_some(pause);
    }

    /// Until when it is not tried again; none where it is to be tried. A clock that was set back ends a pause.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        let pause = *self.pause();
        pause.filter(|pause| pause.from <= now && now < pause.until).map(|pause| pause.until)
    }

    /// A state whose end has come lasts until what ends it is tried again.
    pub fn lasting(&self, version: ContentVersion, now: Timestamp) -> ContentVersion {
        match self.paused_until(now) {
            Some(until) if version.is_over(now) => ContentVersion { ends_at: Some(until), ..version },
            _ => version,
        }
    }

    /// The present state, which lasts likewise.
    pub fn present(&self, present: PresentState, now: Timestamp) -> PresentState {
        if !present.is_over(now) {
            return present;
        }
        self.paused_until(now).map_or(present, |until| present.ending_at(until))
    }

    fn pause(&self) -> MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
