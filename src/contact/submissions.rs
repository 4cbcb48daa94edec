//! What intake works with: one message, its state, note and assignee, and its end.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use super::personal::Personal;
use super::store::{self, Opened, SubmissionRow, Work};
use super::views::{ContactSubmission, ContactSubmissionSummary, Forms, SubmissionWork};
use super::{SubmissionId, erasure, mailing};
use crate::auth::{Actor, Caller, HandleSubmissions, Role, UserId};
use crate::changes::Who;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::problem::PRECONDITION_FAILED;
use crate::http::{
    Drafted, Fault, IfMatch, Managed, MergePatch, NoParameters, Operations, Path, Problem, Query, Removed, Versioned,
    Warning, WriteOptions,
};
use crate::schema::users;
use crate::state::App;

/// How often a change of whatever is there is tried, where somebody else saves at the same time.
const TRIES: u32 = 5;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_assignees, list_assignees)
        .operation(__path_get_contact_submission, get_contact_submission)
        .operation(__path_update_contact_submission, update_contact_submission)
        .operation(__path_delete_contact_submission, delete_contact_submission)
}

/// Somebody whose a message may be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assignee {
    /// The id of the account: send it as `assignee`.
    id: UserId,
    /// The person's name.
    #[schema(example = "Maya Lindqvist")]
    name: String,
}

/// Everybody whose a message may be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Assignees {
    /// The enabled intake accounts, by name.
    items: Vec<Assignee>,
}

/// List assignees
///
/// The enabled intake accounts: whose a message may be. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-submissions/assignees", tag = "Contact")]
pub(super) async fn list_assignees(
    _caller: Caller<HandleSubmissions>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<Managed<Assignees>, Problem> {
    let rows = app.db.read(|conn| {
        let all = users::table.filter(users::role.eq(Role::Intake)).filter(users::disabled_at.is_null());
        let rows = all.order((users::name, users::id)).select((users::id, users::name));
        Ok::<Vec<(UserId, String)>, Problem>(rows.load(conn)?)
    });
    Ok(Managed::new(Assignees { items: rows.await?.into_iter().map(|(id, name)| Assignee { id, name }).collect() }))
}

/// Get a contact submission
///
/// One message with all that was written, and the `ETag` that a change of it needs. The reading is in the audit trail.
/// For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-submissions/{id}", tag = "Contact")]
pub(super) async fn get_contact_submission(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Path(id): Path<SubmissionId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ContactSubmission>, Problem> {
    let opened = open(&app, caller.actor(), id).await?;
    let (row_version, now) = (opened.row.row_version, app.clock.now());
    let whole = app.db.read(move |conn| Forms::read(conn)?.whole(opened, now)).await?;
    Ok(Versioned::new(whole, row_version))
}

/// Opens a message, beside the writer; that it was read is in the audit trail before anybody sees it.
async fn open(app: &Data<App>, caller: Actor, id: SubmissionId) -> Result<Opened, Problem> {
    let (state, now) = (app.clone(), app.clock.now());
    let opened = app.db.read(move |conn| store::open(conn, &state.vault, id)).await?.ok_or_else(Problem::not_found)?;
    let note = move |tx: &mut Tx<'_>| {
        // What was erased meanwhile is not shown.
        store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
        store::audit(tx, Some(id), caller.who(), "contact_submission.read", now)
    };
    app.write_unkeyed(caller, note).await?;
    Ok(opened)
}

/// Change a contact submission
///
/// A JSON Merge Patch (RFC 7396) of `status`, `assignee` and `note`. The answer is the whole message, so the reading is in
/// the audit trail as well as the change. For `intake`.
#[utoipa::path(patch, path = "/api/v1/manage/contact-submissions/{id}", tag = "Contact")]
pub(super) async fn update_contact_submission(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Path(id): Path<SubmissionId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<SubmissionWork>,
) -> Result<Versioned<ContactSubmission>, Problem> {
    let mut tries = if matches!(if_match, IfMatch::Any) { TRIES } else { 1 };
    loop {
        tries -= 1;
        let changed = change(&app, caller.actor(), id, options, &if_match, patch.clone()).await;
        match changed {
            // Whatever is there was meant, and somebody else has just saved.
            Err(problem) if tries > 0 && problem.is(&PRECONDITION_FAILED) => {}
            other => return other,
        }
    }
}

async fn change(
    app: &Data<App>,
    caller: Actor,
    id: SubmissionId,
    options: WriteOptions,
    if_match: &IfMatch,
    patch: MergePatch<SubmissionWork>,
) -> Result<Versioned<ContactSubmission>, Problem> {
    let opened = open(app, caller, id).await?;
    if_match.check(opened.row.row_version)?;
    let (state, now) = (app.clone(), app.clock.now());
    let drafted = app.db.read(move |conn| draft(conn, &state, opened, patch, now)).await?;
    let Draft { opened, note, warnings, work } = drafted;
    let seen = opened.row.clone();
    let row = match work {
        None => seen.clone(),
        Some(work) => {
            let (before, who) = (seen.clone(), caller.who());
            let save = move |tx: &mut Tx<'_>| save(tx, &before, work, who, now);
            app.write(caller, options.validate_only, save).await?
        }
    };
    let row_version = if options.validate_only { seen.row_version } else { row.row_version };
    let opened = Opened { row, words: opened.words, note };
    let mut whole = app.db.read(move |conn| Forms::read(conn)?.whole(opened, now)).await?;
    whole.warnings = warnings;
    Ok(Versioned::new(whole, row_version))
}

/// What a patch makes of a message.
struct Draft {
    opened: Opened,
    note: Option<Personal<String>>,
    warnings: Vec<Warning>,
    /// None where it changes nothing.
    work: Option<Work>,
}

fn draft(
    conn: &mut Conn,
    app: &App,
    opened: Opened,
    patch: MergePatch<SubmissionWork>,
    now: Timestamp,
) -> Result<Draft, Problem> {
    let answer = Forms::read(conn)?.whole(opened.clone(), now)?;
    let present = answer.work().clone();
    let Drafted { content, warnings, .. } =
        patch.apply(&present, &answer, |work| assignee_faults(conn, work.assignee, present.assignee))?;
    let SubmissionWork { status, assignee, note } = content.clone();
    let is_changed = content != present;
    let work = is_changed.then(|| store::prepare(conn, &app.vault, opened.row.id, status, assignee, note.as_ref()));
    Ok(Draft { opened, note, warnings, work: work.transpose()? })
}

/// Stores the work on a message where it is still the one that was seen; who is released as no spam is told of.
fn save(
    tx: &mut Tx<'_>,
    before: &SubmissionRow,
    work: Work,
    who: Who,
    now: Timestamp,
) -> Result<SubmissionRow, Problem> {
    let present = store::by_id(tx, before.id)?.ok_or_else(Problem::not_found)?;
    IfMatch::of_version(before.row_version).check(present.row_version)?;
    // The account may have lost its role meanwhile.
    let faults = assignee_faults(tx, work.assignee_id, present.assignee_id)?;
    if !faults.is_empty() {
        return Err(Problem::invalid_body(faults));
    }
    let row = store::save(tx, &present, work, who, now)?;
    if row.is_announced && !before.is_announced {
        let forms = Forms::read(tx)?;
        mailing::announce(tx, forms.of(row.form_id)?, row.is_urgent, now)?;
    }
    Ok(row)
}

/// An assignee is an enabled intake account; who has been one may stay it.
fn assignee_faults(conn: &mut Conn, wanted: Option<UserId>, present: Option<UserId>) -> Result<Vec<Fault>, Problem> {
    let Some(id) = wanted.filter(|_| wanted != present) else { return Ok(Vec::new()) };
    let account = users::table.find(id).filter(users::role.eq(Role::Intake)).filter(users::disabled_at.is_null());
    let is_there: bool = diesel::select(diesel::dsl::exists(account)).get_result(conn)?;
    let fault = || Fault::body("/assignee", "not_found", "No enabled intake account has this id.");
    Ok((!is_there).then(fault).into_iter().collect())
}

/// Erase a contact submission
///
/// For good: its words are overwritten in the database, its key is gone, and it is in the audit trail that it was. A copy
/// in an older backup can be read until the key of its month is destroyed, which happens with the last message of that
/// month. For `intake`.
#[utoipa::path(delete, path = "/api/v1/manage/contact-submissions/{id}", tag = "Contact")]
pub(super) async fn delete_contact_submission(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Path(id): Path<SubmissionId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<ContactSubmissionSummary>, Problem> {
    let (state, who, now) = (app.clone(), caller.who(), app.clock.now());
    let erased = app.write(caller.actor(), options.validate_only, move |tx| {
        let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
        if_match.check(row.row_version)?;
        let summary = Forms::read(tx)?.summary(&row, now)?;
        store::erase(tx, &[id], who, "contact_submission.erase", now)?;
        state.db.note_erasure();
        Ok(summary)
    });
    let summary = erased.await?;
    if options.validate_only {
        return Ok(Removed::Tried(summary));
    }
    // A task of its own: it is brought to its end also where the client does not wait for it.
    let finished = actix_web::rt::spawn(async move { erasure::finish(&app).await });
    finished.await.map_err(Problem::internal)?;
    Ok(Removed::Done)
}
