//! What comes out or goes at its time.
//!
//! A schedule pins a revision. What is due is done by the clock and by whoever reads delivery at or after that time,
//! whoever is first; each in its own transaction, which finds the schedule still standing or does nothing. One that
//! can't be done is taken off, audited and shown in the working copy, and holds up nothing.

use std::collections::HashSet;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use diesel::prelude::*;
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::draft_check;
use super::editing::event;
use super::history;
use super::lifecycle::{Move, Standing};
use super::model::{ArticleId, Content};
use super::publishing::{self, Prepared, Revision};
use super::store::{self, ArticleRow};
use crate::auth::{Actor, UserId};
use crate::changes::{Who, record};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::{Fault, Problem};
use crate::schema::articles;
use crate::state::App;

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The revision that comes out, or came out and goes.
    pub revision: i64,
    /// When it comes out; none where it has.
    pub publish_at: Option<Timestamp>,
    /// When it goes; none where it stays.
    pub unpublish_at: Option<Timestamp>,
    /// Who asked.
    pub by: UserId,
}

impl Scheduled {
    /// When the next of it is due.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.publish_at.or(self.unpublish_at)
    }
}

/// What could not be done at its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleFailure {
    /// The revision that was scheduled.
    #[schema(minimum = 1)]
    pub revision: i64,
    /// When it should have been done.
    pub due_at: Timestamp,
    /// When it was tried.
    pub failed_at: Timestamp,
    /// Why it could not be done.
    pub detail: String,
}

/// What is to happen to a schedule that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScheduleChoice {
    /// It stays: its revision comes out, or what is public goes, at its time.
    Keep,
    /// It goes; what else this request says of times takes its place.
    Cancel,
}

/// When a revision is to come out and go.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// When it comes out; none, or a time that has passed, for now.
    pub publish_at: Option<Timestamp>,
    /// When it goes.
    pub unpublish_at: Option<Timestamp>,
    /// What is to happen to a schedule that stands.
    pub choice: Option<ScheduleChoice>,
}

/// What a request to publish comes to.
pub(super) struct Plan {
    /// The move.
    pub step: Move,
    /// Whether the revision comes out later.
    pub later: bool,
    /// The schedule that stands afterwards.
    pub schedule: Option<Scheduled>,
}

impl Times {
    /// What they mean for an article and the revision that is to be public.
    ///
    /// # Errors
    /// Times that contradict each other or what was chosen.
    pub(super) fn plan(self, row: &ArticleRow, number: i64, by: UserId, now: Timestamp) -> Result<Plan, Problem> {
        let present = row.schedule.as_ref().map(|schedule| &schedule.0);
        let standing = match (self.choice, present) {
            (Some(ScheduleChoice::Keep), _) => Standing::Keep,
            (Some(ScheduleChoice::Cancel), _) => Standing::Cancel,
            (None, Some(schedule)) if schedule.revision != number => Standing::Other,
            (None, _) => Standing::Same,
        };
        let publish_at = self.publish_at.filter(|at| *at > now);
        let stands = present.and_then(|schedule| schedule.unpublish_at).filter(|_| standing == Standing::Same);
        let unpublish_at = self.unpublish_at.or(stands);
        self.check(publish_at, unpublish_at, now)?;
        let schedule = match standing {
            Standing::Keep => present.cloned(),
            _ if publish_at.is_none() && unpublish_at.is_none() => None,
            _ => Some(Scheduled { revision: number, publish_at, unpublish_at, by }),
        };
        let (later, goes) = (publish_at.is_some(), unpublish_at.is_some());
        let step = Move::Publish { present: row.revision == number, later, goes, standing };
        Ok(Plan { step, later, schedule })
    }

    fn check(
        self,
        publish_at: Option<Timestamp>,
        unpublish_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut faults = Vec::new();
        if unpublish_at.is_some_and(|at| at <= publish_at.unwrap_or(now)) {
            let message = "An article goes after it has come out, and not in the past; this time is too early.";
            faults.push(Fault::body("/unpublish_at", "too_early", message));
        }
        if self.choice == Some(ScheduleChoice::Keep) {
            let message = "A schedule that is kept stays as it is; leave this out, or cancel the schedule.";
            for (pointer, time) in [("/publish_at", publish_at), ("/unpublish_at", self.unpublish_at)] {
                faults.extend(time.map(|_| Fault::body(pointer, "contradiction", message)));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_body(faults)) }
    }
}

impl ArticleRow {
    /// The row with another schedule, or with none; `slug` is the one of the revision that comes out.
    pub(super) fn with_schedule(self, schedule: Option<Scheduled>, slug: Option<&str>) -> Self {
        let comes_out = schedule.as_ref().is_some_and(|schedule| schedule.publish_at.is_some());
        Self {
            due_at: schedule.as_ref().and_then(Scheduled::due_at),
            scheduled_slug: slug.filter(|_| comes_out).map(str::to_owned),
            schedule: schedule.map(Document),
            ..self
        }
    }
}

/// Stores a schedule, and says so in the audit trail; where it is the one that stands, a review has ended.
pub(super) fn set(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    schedule: Option<Scheduled>,
    content: &Content,
    who: Who,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    let is_same = row.schedule.as_ref().map(|present| &present.0) == schedule.as_ref();
    let action = match (is_same, &schedule) {
        (true, _) => "article.end_review",
        (false, Some(_)) => "article.schedule",
        (false, None) => "article.unschedule",
    };
    let comes_out = schedule.as_ref().is_some_and(|schedule| schedule.publish_at.is_some());
    let row = ArticleRow { row_version: row.row_version + 1, schedule_failure: None, ..row };
    if let Some(scheduled) = &schedule {
        history::settle(tx, row.id, scheduled.revision)?;
    }
    let row = row.with_schedule(schedule, content.slug.as_deref());
    store::update(tx, &row)?;
    store::write_pinned_references(tx, row.id, "scheduled", Some(content).filter(|_| comes_out))?;
    record(tx, &event(&row, who, action, now, None))?;
    Ok(row)
}

/// Takes an article off the schedule, where it is on it: it goes the way of a move that ends that.
pub(super) fn clear(tx: &mut Tx<'_>, row: ArticleRow) -> Result<ArticleRow, Problem> {
    if row.schedule.is_some() {
        store::write_pinned_references(tx, row.id, "scheduled", None)?;
    }
    Ok(row.with_schedule(None, None))
}

/// Does what is due, in order; whether nothing is left of it.
pub(crate) fn promote_due(app: &App) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
    Box::pin(async move {
        let mut held_up = HashSet::new();
        loop {
            let (now, skipped) = (app.clock.now(), held_up.clone());
            let row = match app.db.read(move |conn| first_due(conn, now, &skipped)).await {
                Ok(Some(row)) => row,
                Ok(None) => return held_up.is_empty(),
                Err(problem) => {
                    tracing::error!(%problem, "what is due could not be read");
                    return false;
                }
            };
            let id = row.id;
            if let Err(problem) = promote_or_take_off(app, row, now).await {
                tracing::error!(%problem, article = %id, "what is due could not be done; it is tried again");
                held_up.insert(id);
            }
        }
    })
}

fn first_due(conn: &mut Conn, now: Timestamp, skipped: &HashSet<ArticleId>) -> Result<Option<ArticleRow>, Problem> {
    let due = articles::table
        .filter(articles::due_at.le(now))
        .filter(articles::id.ne_all(skipped.iter().copied().collect::<Vec<_>>()))
        .order((articles::due_at, articles::id));
    Ok(due.select(ArticleRow::as_select()).first(conn).optional()?)
}

/// What is the article's fault takes it off the schedule; what is the machine's is tried again.
async fn promote_or_take_off(app: &App, row: ArticleRow, now: Timestamp) -> Result<(), Problem> {
    let (id, seen) = (row.id, row.schedule.clone());
    let detail = match AssertUnwindSafe(promote(app, row, now)).catch_unwind().await {
        Ok(Err(problem)) if problem.is_clients() => problem.detail().to_owned(),
        Ok(outcome) => return outcome,
        // It would do so each time.
        Err(_) => "The program failed at this article; its standard error says where.".to_owned(),
    };
    tracing::warn!(detail, article = %id, "a scheduled article could not be published");
    app.db.write(move |tx| take_off(tx, id, seen, detail, now)).await
}

async fn promote(app: &App, row: ArticleRow, now: Timestamp) -> Result<(), Problem> {
    let Some(Document(schedule)) = row.schedule else { return Ok(()) };
    let (id, number) = (row.id, schedule.revision);
    let Some(at) = schedule.publish_at else {
        return app.db.write(move |tx| go(tx, id, schedule, now)).await;
    };
    let content = app.db.read(move |conn| history::content(conn, id, number)).await?;
    let content = content.ok_or_else(|| Problem::conflict("The scheduled revision is not there any more."))?;
    publishing::not_ready(content.publication_faults())?;
    let rendered = app.render(&content.body_markdown).await?;
    let prepared = Revision { id, number, content }.with(rendered);
    app.db.write(move |tx| come_out(tx, prepared, schedule, at, now)).await
}

/// The article, where it still stands on this schedule.
fn still(tx: &mut Tx<'_>, id: ArticleId, schedule: &Scheduled) -> Result<Option<ArticleRow>, Problem> {
    let row = store::by_id(tx, id)?;
    Ok(row.filter(|row| row.schedule.as_ref().is_some_and(|present| present.0 == *schedule)))
}

fn come_out(
    tx: &mut Tx<'_>,
    prepared: Prepared,
    schedule: Scheduled,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(row) = still(tx, prepared.revision().id, &schedule)? else { return Ok(()) };
    let program = Actor::program();
    let mut content = prepared.revision().content.clone();
    publishing::not_ready(draft_check::recheck(tx, &mut content, row.id, program)?)?;
    draft_check::settle_slug(tx, &mut content, row.id, program)?;
    publishing::check_translation(tx, prepared.revision())?;
    let rest = schedule.unpublish_at.map(|_| Scheduled { publish_at: None, ..schedule });
    let row = clear(tx, row)?.with_schedule(rest, None);
    publishing::put(tx, row, prepared, Who::System, "article.publish", (at, now))?;
    Ok(())
}

fn go(tx: &mut Tx<'_>, id: ArticleId, schedule: Scheduled, now: Timestamp) -> Result<(), Problem> {
    let Some(row) = still(tx, id, &schedule)? else { return Ok(()) };
    publishing::withdraw(tx, row, None, Who::System, now)?;
    Ok(())
}

fn take_off(
    tx: &mut Tx<'_>,
    id: ArticleId,
    seen: Option<Document<Scheduled>>,
    detail: String,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(Document(schedule)) = seen else { return Ok(()) };
    let Some(row) = still(tx, id, &schedule)? else { return Ok(()) };
    let due_at = schedule.due_at().unwrap_or(now);
    let failure = ScheduleFailure { revision: schedule.revision, due_at, failed_at: now, detail };
    let row = clear(tx, row)?;
    let row = ArticleRow { row_version: row.row_version + 1, schedule_failure: Some(Document(failure)), ..row };
    store::update(tx, &row)?;
    record(tx, &event(&row, Who::System, "article.schedule_fail", now, None))
}
