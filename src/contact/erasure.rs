//! The end of messages: what is deleted is overwritten (`secure_delete`), the WAL is emptied into the file, and a month
//! key that nothing needs any more is destroyed, so that every copy in whatever backup is noise from then on.
//!
//! A handler may vanish with its client after its commit, and a reader may keep the WAL from being emptied: what is left
//! to do is done by the clock then. Only keys that this database has sealed with are its to destroy: another database
//! with the same key directory keeps its own. A copy of this database has the same keys, though, and whichever of the two
//! erases first makes them void for both: copies need a key directory each.

use std::time::Duration;

use actix_web::web::Data;
use diesel::dsl::exists;
use diesel::prelude::*;

use super::SubmissionId;
use super::forms::store as forms;
use super::store;
use super::views::{SubmissionStatus, retention_days};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::{contact_keys, contact_submissions};
use crate::state::App;
use crate::vault::Vault;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// How many messages are erased in one transaction.
const BATCH: usize = 200;
/// How often a handler tries to empty the WAL before it leaves that to the clock, and how long each next try waits.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(40);

/// What came of an erasure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Whether the WAL was emptied; else the clock does it as soon as no reader keeps it from that.
    pub(super) wal_emptied: bool,
    /// The names of the month keys that were destroyed.
    pub(super) keys_destroyed: Vec<String>,
    /// Whether a key that nothing needs is still there: the clock destroys it.
    pub(super) is_late: bool,
}

/// Finishes what erasures have begun, as far as it can be done now: what was committed is erased whatever comes of this.
pub(crate) async fn finish(app: &App) -> Finished {
    let mut finished = finish_once(app).await;
    for _ in 1..TRIES {
        if finished.wal_emptied && !finished.is_late {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let mut next = finish_once(app).await;
        next.keys_destroyed.append(&mut finished.keys_destroyed);
        finished = next;
    }
    finished
}

/// The same, trying once.
pub(crate) async fn finish_once(app: &App) -> Finished {
    // One at a time, so that each says truly what it did.
    let _turn = app.finishing.lock().await;
    // Until it is done it is to be done, whatever interrupts it.
    let late_before = app.vault.is_late();
    app.vault.set_late(true);
    let wal_emptied = empty_wal(app).await;
    let (keys_destroyed, is_late) = destroy_unused_keys(app).await;
    let has_written = !keys_destroyed.is_empty() || late_before;
    let wal_emptied = if has_written { empty_wal(app).await } else { wal_emptied };
    app.vault.set_late(is_late);
    Finished { wal_emptied, keys_destroyed, is_late }
}

async fn empty_wal(app: &App) -> bool {
    let emptied = app.db.empty_wal().await;
    if let Err(error) = &emptied {
        tracing::error!(%error, "the log of the database could not be emptied; it is tried again");
    }
    emptied.unwrap_or(false)
}

/// Destroys the month keys of which no message remains: those that were, and whether one is still there.
async fn destroy_unused_keys(app: &App) -> (Vec<String>, bool) {
    let (mut destroyed, mut is_late) = (Vec::new(), false);
    let unused = app.db.read(unused_keys).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the keys that nothing needs could not be looked up; it is tried again");
        is_late = true;
        Vec::new()
    });
    for (name, is_marked) in unused {
        // One that was destroyed may come back, from escrow or a backup of the key directory.
        if is_marked && !app.vault.has(&name) {
            continue;
        }
        match destroy_unused_key(app, &name).await {
            Ok(End::Destroyed) => destroyed.push(name),
            Ok(End::Needed) => {}
            Ok(End::Held) => is_late = true,
            Err(error) => {
                tracing::error!(%error, "a month key could not be destroyed; it is tried again");
                is_late = true;
            }
        }
    }
    (destroyed, is_late)
}

/// What came of destroying a key.
enum End {
    Destroyed,
    /// A message has it after all.
    Needed,
    /// Somebody holds it, who may be about to store a message.
    Held,
}

async fn destroy_unused_key(app: &App, name: &str) -> Result<End, Problem> {
    if !app.vault.close(name) {
        return Ok(End::Held);
    }
    let is_marked = mark_destroyed(app, name).await;
    if !matches!(is_marked, Ok(true)) {
        app.vault.reopen(name);
    }
    if !is_marked? {
        return Ok(End::Needed);
    }
    let is_destroyed = app.vault.destroy(name).map_err(Problem::internal)?;
    Ok(if is_destroyed { End::Destroyed } else { End::Needed })
}

/// The keys of this database that no message has, and whether each should be gone already.
fn unused_keys(conn: &mut Conn) -> Result<Vec<(String, bool)>, Problem> {
    let of_key = contact_submissions::table.filter(contact_submissions::key_name.eq(contact_keys::name));
    let unused = contact_keys::table.filter(diesel::dsl::not(exists(of_key)));
    let columns = (contact_keys::name, contact_keys::destroyed_at.is_not_null());
    Ok(unused.order(contact_keys::name).select(columns).load(conn)?)
}

/// Says, before it is done, that a key is destroyed; `false` where a message has it after all.
async fn mark_destroyed(app: &App, name: &str) -> Result<bool, Problem> {
    let (name, now) = (name.to_owned(), app.clock.now());
    let marked = app.db.write(move |tx| {
        let own = contact_submissions::table.filter(contact_submissions::key_name.eq(&name));
        if diesel::select(exists(own)).get_result(&mut **tx)? {
            return Ok::<_, Problem>(false);
        }
        let fresh = contact_keys::table.find(&name).filter(contact_keys::destroyed_at.is_null());
        if diesel::update(fresh).set(contact_keys::destroyed_at.eq(now)).execute(&mut **tx)? > 0 {
            let (who, kind, action) = (Who::System, SubjectKind::ContactKey, "contact_key.destroy");
            record(tx, &Event { at: now, who, action, kind, id: None, public: None })?;
        }
        Ok(true)
    });
    marked.await
}

/// Erases the messages whose retention is over at `now`, however many there are, and says so in the audit trail.
///
/// # Errors
/// What the database says.
pub(crate) async fn erase_due(app: &Data<App>, now: Timestamp) -> Result<(), Problem> {
    loop {
        let due = app.db.read(move |conn| due(conn, now)).await?;
        if due.is_empty() {
            return Ok(());
        }
        let state = app.clone();
        let erased = app.db.write(move |tx| {
            // Somebody may have released one as no spam meanwhile.
            let due = still_due(tx, &due, now)?;
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
        for status in SubmissionStatus::ALL {
            let latest = now.plus_seconds(-retention_days(&form.content.0, status) * DAY);
            let left = i64::try_from(BATCH.saturating_sub(due.len())).unwrap_or_default();
            // Each is one range of an index.
            let own = contact_submissions::table
                .filter(contact_submissions::form_id.eq(form.id))
                .filter(contact_submissions::status.eq(status))
                .filter(contact_submissions::received_at.le(latest));
            let oldest = own.order(contact_submissions::received_at).limit(left);
            due.extend(oldest.select(contact_submissions::id).load::<SubmissionId>(conn)?);
        }
    }
    Ok(due)
}

/// Those of the messages that are due in this state.
fn still_due(tx: &mut Tx<'_>, ids: &[SubmissionId], now: Timestamp) -> Result<Vec<SubmissionId>, Problem> {
    let (forms, mut due) = (forms::all(tx)?, Vec::new());
    for row in store::of_ids(tx, ids)? {
        let form = forms.iter().find(|form| form.id == row.form_id);
        let days = form.map(|form| retention_days(&form.content.0, row.status));
        if days.is_some_and(|days| row.received_at.plus_seconds(days * DAY) <= now) {
            due.push(row.id);
        }
    }
    Ok(due)
}

/// When the last message of these months is erased, as retention is now; none where none is left.
pub(super) fn last_end(conn: &mut Conn, months: &[String]) -> Result<Option<Timestamp>, Problem> {
    let mut last = None;
    let names: Vec<String> = contact_keys::table.select(contact_keys::name).load(conn)?;
    let of_months = |name: &&String| months.iter().any(|month| name.starts_with(month.as_str()));
    let forms = forms::all(conn)?;
    for name in names.iter().filter(of_months) {
        for form in &forms {
            for status in SubmissionStatus::ALL {
                let own = contact_submissions::table
                    .filter(contact_submissions::key_name.eq(name))
                    .filter(contact_submissions::form_id.eq(form.id))
                    .filter(contact_submissions::status.eq(status));
                let newest: Option<Timestamp> =
                    own.select(diesel::dsl::max(contact_submissions::received_at)).first(conn)?;
                let days = retention_days(&form.content.0, status);
                last = last.max(newest.map(|at| at.plus_seconds(days * DAY)));
            }
        }
    }
    Ok(last)
}

/// The messages that no key opens any more, from one id on, some of them.
///
/// # Errors
/// What the database says.
pub(crate) fn unreadable(
    conn: &mut Conn,
    vault: &Vault,
    after: Option<SubmissionId>,
) -> Result<(Vec<SubmissionId>, Option<SubmissionId>), Problem> {
    let ids = store::ids_after(conn, after, BATCH)?;
    let (last, mut unreadable) = (ids.last().copied(), Vec::new());
    for id in ids {
        if store::is_locked(conn, vault, id)? {
            unreadable.push(id);
        }
    }
    Ok((unreadable, last))
}

/// Erases messages that no key opens any more: the way on for who has lost keys for good.
///
/// # Errors
/// What the database says.
pub(crate) fn forget(tx: &mut Tx<'_>, ids: &[SubmissionId], now: Timestamp) -> Result<usize, Problem> {
    store::erase(tx, ids, Who::CommandLine, "contact_submission.forget", now)
}
