//! What happens without a request, at its time.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::web::Data;
use futures_util::FutureExt;

use crate::auth::{password_links, sign_ins};
use crate::clock_watch::ClockWatch;
use crate::db::Timestamp;
use crate::http::Problem;
use crate::idempotency;
use crate::state::App;
use crate::{announcements, articles, contact, notices};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often messages whose retention is over are looked for, in seconds of the program's clock.
const ERASE_SECONDS: i64 = 60;
/// How often an erasure that could not be finished is tried to be.
const FINISH_SECONDS: i64 = 2;
/// How often everything else that is over is deleted, in seconds of the program's clock.
const PRUNE_SECONDS: i64 = 3600;

/// Does what is due, again and again, until the program stops.
pub(crate) async fn run(app: Data<App>) {
    let mut rounds = Rounds::default();
    loop {
        survived(AssertUnwindSafe(turn(&app, &mut rounds)).catch_unwind().await);
        tokio::time::sleep(TICK).await;
    }
}

/// When what was last done, by a clock that nobody sets.
#[derive(Default)]
struct Rounds {
    pruned_at: Option<Timestamp>,
    erased_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    watch: ClockWatch,
}

/// Whether so many seconds have passed since something was last done; then it is to be done now.
fn is_time(last: &mut Option<Timestamp>, steady: Timestamp, seconds: i64) -> bool {
    let is_time = last.is_none_or(|at| steady >= at.plus_seconds(seconds));
    if is_time {
        *last = Some(steady);
    }
    is_time
}

async fn turn(app: &Data<App>, rounds: &mut Rounds) {
    let (now, steady) = (app.clock.now(), app.clock.steady());
    told(app.anonymous.write(&app.db, now, false).await, "writing what anonymous callers did");
    if is_time(&mut rounds.erased_at, steady, ERASE_SECONDS) {
        match rounds.watch.believed(app).await {
            Ok(Some(now)) => delete_what_is_over(app, rounds, now, steady).await,
            Ok(None) => {}
            Err(error) => told(Err(error), "looking at the clock"),
        }
    }
    let is_unfinished = app.db.has_erased() || app.vault.is_late();
    if is_unfinished && is_time(&mut rounds.finished_at, steady, FINISH_SECONDS) {
        contact::finish_erasures(app).await;
    }
}

async fn delete_what_is_over(app: &Data<App>, rounds: &mut Rounds, now: Timestamp, steady: Timestamp) {
    told(contact::erase_due(app, now).await, "erasing messages whose retention is over");
    if is_time(&mut rounds.pruned_at, steady, PRUNE_SECONDS) {
        told(prune(app, now).await, "deleting what is over");
    }
}

/// A job that panics must not end the others.
fn survived(outcome: Result<(), Box<dyn Any + Send>>) {
    if outcome.is_err() {
        tracing::error!("a job panicked; standard error says where");
    }
}

/// Brings out what is due, again and again, until the program stops: what takes long elsewhere keeps nothing back.
pub(crate) async fn promote(app: Data<App>) {
    loop {
        survived(AssertUnwindSafe(app.promotions.run(&app)).catch_unwind().await);
        tokio::time::sleep(TICK).await;
    }
}

/// Mails what is due, again and again, until the program stops.
pub(crate) async fn mail(app: Data<App>) {
    loop {
        let turn = async { told(contact::send_due_notices(&app).await, "mailing notices") };
        survived(AssertUnwindSafe(turn).catch_unwind().await);
        tokio::time::sleep(TICK).await;
    }
}

/// Does what must not be lost when the program stops.
pub(crate) async fn finish(app: &App) {
    let now = app.clock.now();
    told(app.anonymous.write(&app.db, now, true).await, "writing what anonymous callers did");
}

async fn prune(app: &Data<App>, now: Timestamp) -> Result<(), Problem> {
    let state = app.clone();
    app.db
        .write(move |tx| {
            sign_ins::prune(tx, &state.config, now)?;
            password_links::prune(tx, now)?;
            articles::prune(tx, now)?;
            announcements::prune(tx, now)?;
            notices::prune(tx, now)?;
            idempotency::prune(tx, now)
        })
        .await
}

/// A job that fails is told of and tried again with the next turn.
fn told(outcome: Result<(), Problem>, job: &'static str) {
    if let Err(error) = outcome {
        tracing::error!(%error, job, "a job failed");
    }
}
