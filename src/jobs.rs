//! What happens without a request, at its time.

use std::time::Duration;

use actix_web::web::Data;

use crate::auth::{password_links, sign_ins};
use crate::db::Timestamp;
use crate::http::Problem;
use crate::idempotency;
use crate::state::App;
use crate::{announcements, articles, contact, notices};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often messages whose retention is over are looked for, in seconds of the program's clock.
const ERASE_SECONDS: i64 = 60;
/// How often what is over is deleted, in seconds of the program's clock.
const PRUNE_SECONDS: i64 = 3600;

/// Does what is due, again and again, until the program stops.
pub(crate) async fn run(app: Data<App>) {
    let mut pruned_at: Option<Timestamp> = None;
    let mut erased_at: Option<Timestamp> = None;
    loop {
        let now = app.clock.now();
        (app.promote_due)(&app).await;
        told(app.anonymous.write(&app.db, now, false).await, "writing what anonymous callers did");
        if pruned_at.is_none_or(|at| now >= at.plus_seconds(PRUNE_SECONDS)) {
            pruned_at = Some(now);
            told(prune(&app, now).await, "deleting what is over");
        }
        if erased_at.is_none_or(|at| now >= at.plus_seconds(ERASE_SECONDS)) {
            erased_at = Some(now);
            told(contact::erase_due(&app).await, "erasing messages whose retention is over");
        }
        if app.db.has_erased() {
            told(contact::finish_erasures(&app).await.map(drop), "finishing what was erased");
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Mails what is due, again and again, until the program stops.
pub(crate) async fn mail(app: Data<App>) {
    loop {
        told(contact::send_due_notices(&app).await, "mailing notices");
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
