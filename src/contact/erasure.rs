//! The end of messages: what is deleted is overwritten (`secure_delete`), the WAL is emptied into the file, and a month
//! key that nothing needs any more is destroyed, so that every copy in whatever backup is noise from then on.
//!
//! A handler may vanish with its client after its commit: what is left to do is done by the clock then.

use std::time::Duration;

use actix_web::web::Data;
use diesel::prelude::*;

use super::SubmissionId;
use super::forms::store as forms;
use super::store;
use super::submissions::{SubmissionStatus, retention_days};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::contact_submissions;
use crate::state::App;
use crate::vault::Vault;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// How many messages are erased in one transaction.
const BATCH: usize = 200;
/// How often the WAL is tried to be emptied before the clock is left to it, and how long each next try waits.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// What came of an erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Whether the WAL was emptied; else the clock does it as soon as no reader keeps it from that.
    pub(super) wal_emptied: bool,
    /// The names of the month keys that were destroyed.
    pub(super) keys_destroyed: Vec<String>,
}

/// Finishes what erasures have begun: destroys the keys that nothing needs, and empties the WAL.
///
/// # Errors
/// What the database says, or that a key can't be destroyed.
pub(crate) async fn finish(app: &App) -> Result<Finished, Problem> {
    let keys_destroyed = destroy_unused_keys(app).await?;
    let mut wal_emptied = false;
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        wal_emptied = app.db.empty_wal().await?;
        if wal_emptied {
            break;
        }
    }
    Ok(Finished { wal_emptied, keys_destroyed })
}

/// Destroys the month keys of which no message remains. Who is about to store one holds its key, so that none is
/// destroyed in between.
async fn destroy_unused_keys(app: &App) -> Result<Vec<String>, Problem> {
    let mut destroyed = Vec::new();
    for name in app.vault.names() {
        if messages_of(app, &name).await? > 0 || !app.vault.close(&name) {
            continue;
        }
        // Counted once more: what held the key a moment ago may have been stored.
        if messages_of(app, &name).await? > 0 {
            app.vault.reopen(&name);
            continue;
        }
        app.vault.destroy(&name).map_err(Problem::internal)?;
        destroyed.push(name);
    }
    if !destroyed.is_empty() {
        let (count, now) = (destroyed.len(), app.clock.now());
        let event = Event {
            at: now,
            who: Who::System,
            action: "contact_key.destroy",
            kind: SubjectKind::ContactKey,
            id: None,
            public: None,
        };
        app.db.write(move |tx| (0..count).try_for_each(|_| record(tx, &event))).await?;
    }
    Ok(destroyed)
}

async fn messages_of(app: &App, key: &str) -> Result<i64, Problem> {
    let key = key.to_owned();
    app.db.read(move |conn| store::count_of_key(conn, &key)).await
}

/// Erases the messages whose retention is over, however many there are, and says so in the audit trail.
///
/// # Errors
/// What the database says.
pub(crate) async fn erase_due(app: &Data<App>) -> Result<(), Problem> {
    let now = app.clock.now();
    loop {
        let due = app.db.read(move |conn| due(conn, now)).await?;
        if due.is_empty() {
            return Ok(());
        }
        let state = app.clone();
        let erased = app.db.write(move |tx| {
            // Somebody may have released one as no spam meanwhile.
            let due = due_of(tx, &due, now)?;
            state.db.note_erasure();
            store::erase(tx, &due, Who::System, "contact_submission.expire", now)
        });
        if erased.await? == 0 {
            return Ok(());
        }
    }
}

/// The oldest messages whose retention is over, some of them.
fn due(conn: &mut Conn, now: Timestamp) -> Result<Vec<SubmissionId>, Problem> {
    let mut due = Vec::new();
    for form in forms::all(conn)? {
        let came_before = |status| now.plus_seconds(-retention_days(&form.content.0, status) * DAY);
        let own = contact_submissions::table.filter(contact_submissions::form_id.eq(form.id));
        let spam = contact_submissions::status
            .eq(SubmissionStatus::Spam)
            .and(contact_submissions::received_at.le(came_before(SubmissionStatus::Spam)));
        let others = contact_submissions::status
            .ne(SubmissionStatus::Spam)
            .and(contact_submissions::received_at.le(came_before(SubmissionStatus::New)));
        let left = i64::try_from(BATCH - due.len()).unwrap_or_default();
        let ids: Vec<SubmissionId> = own
            .filter(spam.or(others))
            .order(contact_submissions::received_at)
            .limit(left)
            .select(contact_submissions::id)
            .load(conn)?;
        due.extend(ids);
        if due.len() >= BATCH {
            break;
        }
    }
    Ok(due)
}

/// Those of the messages that are due in this state.
fn due_of(tx: &mut Tx<'_>, ids: &[SubmissionId], now: Timestamp) -> Result<Vec<SubmissionId>, Problem> {
    let present = due(tx, now)?;
    Ok(ids.iter().copied().filter(|id| present.contains(id)).collect())
}

/// When the last message of these months is erased, as retention is now; none where none is left.
pub(super) fn last_end(conn: &mut Conn, months: &[String]) -> Result<Option<Timestamp>, Problem> {
    let mut last = None;
    for form in forms::all(conn)? {
        let own = contact_submissions::table.filter(contact_submissions::form_id.eq(form.id));
        let rows: Vec<(String, Timestamp, SubmissionStatus)> = own
            .select((contact_submissions::key_name, contact_submissions::received_at, contact_submissions::status))
            .load(conn)?;
        let in_months = |key: &str| months.iter().any(|month| key.starts_with(month.as_str()));
        let end = |(_, at, status): (String, Timestamp, SubmissionStatus)| {
            at.plus_seconds(retention_days(&form.content.0, status) * DAY)
        };
        last = last.max(rows.into_iter().filter(|(key, ..)| in_months(key)).map(end).max());
    }
    Ok(last)
}

/// Erases the messages that no key opens any more: the way on for who has lost keys for good. How many there were.
///
/// # Errors
/// What the database says.
pub(crate) fn forget_unreadable(tx: &mut Tx<'_>, vault: &Vault, now: Timestamp) -> Result<usize, Problem> {
    let mut forgotten = 0;
    for name in store::key_names(tx)? {
        let sample = store::sample(tx, &name)?;
        let opens = |key: &crate::vault::MonthKey| {
            sample.as_ref().is_none_or(|(id, wrapped)| key.open_envelope(&id.bytes(), wrapped).is_some())
        };
        if vault.key(&name).is_some_and(|key| opens(&key)) {
            continue;
        }
        let own = contact_submissions::table.filter(contact_submissions::key_name.eq(&name));
        let ids: Vec<SubmissionId> = own.select(contact_submissions::id).load(&mut **tx)?;
        forgotten += store::erase(tx, &ids, Who::CommandLine, "contact_submission.forget", now)?;
    }
    Ok(forgotten)
}
