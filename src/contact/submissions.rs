//! What intake works with: the list, one message, its state, note and assignee, and its end.

use actix_web::web::Data;
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{IsNull, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::forms::store::{self as forms, FormRow};
use super::forms::{ContactFormId, FormContent};
use super::message::FreeFields;
use super::personal::Personal;
use super::spam::SpamReason;
use super::store::{self, Opened, SubmissionRow, Work};
use super::{SubmissionId, erasure, mailing};
use crate::auth::{Caller, HandleSubmissions, Role, UserId};
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Timestamp};
use crate::http::{
    Drafted, Editable, Fault, Found, IfMatch, ListOf, ListQuery, Managed, MergePatch, NoParameters, Operations, Path,
    Problem, Query, Removed, SortKind, Versioned, Warning, WriteOptions, page,
};
use crate::schema::users;
use crate::state::App;

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// How near its end an open message is marked, in days; or a quarter of its retention, where that is less.
const NEAR_DAYS: i64 = 7;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_contact_submissions, list_contact_submissions)
        .operation(__path_list_assignees, list_assignees)
        .operation(__path_get_contact_submission, get_contact_submission)
        .operation(__path_update_contact_submission, update_contact_submission)
        .operation(__path_delete_contact_submission, delete_contact_submission)
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, AsExpression, FromSqlRow)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub(super) enum SubmissionStatus {
    /// Nobody has taken it up.
    #[default]
    New,
    /// Somebody works on it.
    InProgress,
    /// It is done.
    Closed,
    /// It is taken for spam: kept apart, and erased sooner. Another status releases it.
    Spam,
}

impl SubmissionStatus {
    const ALL: [Self; 4] = [Self::New, Self::InProgress, Self::Closed, Self::Spam];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::InProgress => "in_progress",
            Self::Closed => "closed",
            Self::Spam => "spam",
        }
    }

    const fn is_open(self) -> bool {
        matches!(self, Self::New | Self::InProgress)
    }
}

impl ToSql<Text, Sqlite> for SubmissionStatus {
    fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, Sqlite>) -> diesel::serialize::Result {
        out.set_value(self.name());
        Ok(IsNull::No)
    }
}

impl diesel::deserialize::FromSql<Text, Sqlite> for SubmissionStatus {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<Self> {
        let name = value.read_text();
        let known = Self::ALL.into_iter().find(|status| status.name() == name);
        known.ok_or_else(|| "a submission of an unknown status".into())
    }
}

/// A message in the list: nothing of what was written.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ContactSubmissionSummary {
    /// The id.
    pub(super) id: SubmissionId,
    /// How far it has come.
    status: SubmissionStatus,
    /// Whose it is: an intake account; null where it is nobody's.
    assignee: Option<UserId>,
    /// The name of the form that applied.
    #[schema(example = "default")]
    form: String,
    /// When it came.
    pub(super) received_at: Timestamp,
    /// When it was last worked on.
    saved_at: Timestamp,
    /// How suspect it is; from 50 on it was filed as spam.
    #[schema(minimum = 0, maximum = 100)]
    spam_score: i64,
    /// Why.
    spam_reasons: Vec<SpamReason>,
    /// Whether it holds one of the form's urgent phrases.
    urgent: bool,
    /// When it is erased, as the form's retention is now.
    erase_at: Timestamp,
    /// Whether that is near, and nobody has closed it.
    ends_soon: bool,
}

/// What intake writes of a message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct SubmissionWork {
    /// How far it has come. Any other than `spam` releases what was taken for spam, and tells the form's recipients.
    pub status: SubmissionStatus,
    /// Whose it is: an enabled intake account; null where it is nobody's.
    pub assignee: Option<UserId>,
    /// What intake has noted; null where nothing is.
    #[schema(max_length = 10_000, value_type = Option<String>, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
    pub(super) note: Option<Personal<String>>,
}

/// A message with all that was written.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ContactSubmission {
    /// What intake writes of it.
    #[serde(flatten)]
    work: SubmissionWork,
    /// The id.
    id: SubmissionId,
    /// The name of the form that applied.
    #[schema(example = "default")]
    form: String,
    /// When it came.
    received_at: Timestamp,
    /// When it was last worked on.
    saved_at: Timestamp,
    /// How suspect it is; from 50 on it was filed as spam.
    #[schema(minimum = 0, maximum = 100)]
    spam_score: i64,
    /// Why.
    #[schema(value_type = Vec<SpamReason>)]
    spam_reasons: Vec<SpamReason>,
    /// Whether it holds one of the form's urgent phrases.
    urgent: bool,
    /// When it is erased, as the form's retention is now.
    erase_at: Timestamp,
    /// Whether that is near, and nobody has closed it.
    ends_soon: bool,
    /// The visitor's name.
    #[schema(value_type = String)]
    pub(super) name: Personal<String>,
    /// The email address; null where none was given.
    #[schema(value_type = Option<String>)]
    pub(super) email: Option<Personal<String>>,
    /// The phone number as E.164; null where none was given.
    #[schema(value_type = Option<String>, example = "+14155552671")]
    pub(super) phone: Option<Personal<String>>,
    /// What the visitor wrote.
    #[schema(value_type = String)]
    pub(super) message: Personal<String>,
    /// The form as it was named, where there was none of that name; else null.
    #[schema(value_type = Option<String>)]
    pub(super) named_form: Option<Personal<String>>,
    /// The page that the form stood on; null where it was not sent.
    #[schema(value_type = Option<String>)]
    pub(super) page_url: Option<Personal<String>>,
    /// The version of the consent text that was shown.
    pub(super) consent_version: String,
    /// The further fields.
    #[schema(value_type = FreeFields)]
    pub(super) fields: FreeFields,
    /// Which of the form's phrases marked it urgent.
    #[schema(value_type = Vec<String>)]
    urgent_phrases: Vec<Personal<String>>,
    /// What should be looked at after this write; empty on reads.
    warnings: Vec<Warning>,
}

impl Editable for SubmissionWork {
    const NAME: &'static str = "ContactSubmission";
    const REQUIRED: &'static [&'static str] = &[];
    type Answer = ContactSubmission;
}

/// The forms, as far as their submissions need them.
pub(super) struct Forms(Vec<FormRow>);

impl Forms {
    pub(super) fn read(conn: &mut Conn) -> Result<Self, Problem> {
        forms::all(conn).map(Self)
    }

    fn of(&self, id: ContactFormId) -> Result<&FormRow, Problem> {
        let form = self.0.iter().find(|form| form.id == id);
        form.ok_or_else(|| Problem::internal("the form of a contact submission is not there"))
    }

    pub(super) fn summary(&self, row: &SubmissionRow, now: Timestamp) -> Result<ContactSubmissionSummary, Problem> {
        let form = self.of(row.form_id)?;
        let (erase_at, ends_soon) = end(&form.content.0, row, now);
        Ok(ContactSubmissionSummary {
            id: row.id,
            status: row.status,
            assignee: row.assignee_id,
            form: form.name.clone(),
            received_at: row.received_at,
            saved_at: row.saved_at,
            spam_score: row.spam_score,
            spam_reasons: row.spam_reasons.0.clone(),
            urgent: row.is_urgent,
            erase_at,
            ends_soon,
        })
    }

    pub(super) fn whole(&self, opened: Opened, now: Timestamp) -> Result<ContactSubmission, Problem> {
        let Opened { row, message, note } = opened;
        let form = self.of(row.form_id)?;
        let (erase_at, ends_soon) = end(&form.content.0, &row, now);
        Ok(ContactSubmission {
            work: SubmissionWork { status: row.status, assignee: row.assignee_id, note },
            id: row.id,
            form: form.name.clone(),
            received_at: row.received_at,
            saved_at: row.saved_at,
            spam_score: row.spam_score,
            spam_reasons: row.spam_reasons.0,
            urgent: row.is_urgent,
            erase_at,
            ends_soon,
            name: message.name,
            email: message.email,
            phone: message.phone,
            message: message.message,
            named_form: message.named_form,
            page_url: message.page_url,
            consent_version: message.consent_version,
            fields: message.fields,
            urgent_phrases: message.urgent_phrases,
            warnings: Vec::new(),
        })
    }

    /// For each form, from when on what came is near its end.
    fn near(&self, now: Timestamp) -> Vec<(ContactFormId, Timestamp)> {
        let near = |form: &FormRow| {
            let days = form.content.0.retention_days;
            (form.id, now.plus_seconds(near_seconds(days) - days * DAY))
        };
        self.0.iter().map(near).collect()
    }
}

impl ContactSubmission {
    pub(super) fn work(&self) -> &SubmissionWork {
        &self.work
    }

    /// The columns of a list of messages that tell nothing of what was written.
    pub(super) fn facts(&self) -> [String; 7] {
        [
            self.id.to_string(),
            self.received_at.to_string(),
            self.form.clone(),
            self.work.status.name().to_owned(),
            self.spam_score.to_string(),
            self.urgent.to_string(),
            self.work.assignee.map(|id| id.to_string()).unwrap_or_default(),
        ]
    }
}

/// For how many days what came by a form is kept.
pub(super) fn retention_days(form: &FormContent, status: SubmissionStatus) -> i64 {
    if status == SubmissionStatus::Spam { form.spam_retention_days } else { form.retention_days }
}

/// When a message is erased, and whether that should worry somebody.
fn end(form: &FormContent, row: &SubmissionRow, now: Timestamp) -> (Timestamp, bool) {
    let days = retention_days(form, row.status);
    let erase_at = row.received_at.plus_seconds(days * DAY);
    (erase_at, row.status.is_open() && now >= erase_at.plus_seconds(-near_seconds(days)))
}

/// For how many seconds before its end an open message is marked.
fn near_seconds(retention_days: i64) -> i64 {
    (NEAR_DAYS * DAY).min(retention_days * DAY / 4)
}

/// Which messages are listed.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSubmissions {
    /// Only messages of these states: any of them; without it all but spam.
    #[serde(default)]
    #[param(inline)]
    status: Vec<SubmissionStatus>,
    /// Only what came by these forms: any of them.
    #[serde(default)]
    #[param(max_items = 100, example = json!(["default"]))]
    form: Vec<String>,
    /// Only what is these accounts': any of them.
    #[serde(default)]
    #[param(inline, max_items = 100)]
    assignee: Vec<UserId>,
    /// Only what is urgent, or what is not.
    urgent: Option<bool>,
    /// Only what is open and erased soon, or what is not.
    ends_soon: Option<bool>,
    /// Only what came at this time or later.
    #[param(inline)]
    received_after: Option<Timestamp>,
    /// Only what came before this time.
    #[param(inline)]
    received_before: Option<Timestamp>,
}

impl ListSubmissions {
    /// The list of the ids that these filters let through, the newest first.
    ///
    /// # Errors
    /// A fault of `form` where there is none of that name.
    pub(super) fn list(&self, all: &Forms, now: Timestamp) -> Result<List, Problem> {
        let keys = vec![SortKey { column: "received_at", descending: true }];
        let mut list = List::new("contact_submissions", "id", keys);
        if self.status.is_empty() {
            list.filter("status <> 'spam'", []);
        } else {
            let names = self.status.iter().map(|status| Bind::Text(status.name().to_owned()));
            list.filter(format!("status IN ({})", placeholders(self.status.len())), names);
        }
        if !self.form.is_empty() {
            let id = |name: &String| all.0.iter().find(|form| form.name == *name).map(|form| form.id);
            let ids: Option<Vec<ContactFormId>> = self.form.iter().map(id).collect();
            let ids = ids.ok_or_else(|| {
                Problem::invalid_query(vec![Fault::query("form", "not_found", "There is no form of this name.")])
            })?;
            let binds = ids.iter().map(|id| Bind::Bytes(id.bytes()));
            list.filter(format!("form_id IN ({})", placeholders(ids.len())), binds);
        }
        if !self.assignee.is_empty() {
            let binds = self.assignee.iter().map(|id| Bind::Bytes(id.bytes()));
            list.filter(format!("assignee_id IN ({})", placeholders(self.assignee.len())), binds);
        }
        if let Some(urgent) = self.urgent {
            list.filter("is_urgent = ?", [Bind::Integer(urgent.into())]);
        }
        if let Some(at) = self.received_after {
            list.filter("received_at >= ?", [Bind::Integer(at.unix_millis())]);
        }
        if let Some(at) = self.received_before {
            list.filter("received_at < ?", [Bind::Integer(at.unix_millis())]);
        }
        if let Some(soon) = self.ends_soon {
            let near = all.near(now);
            let any = vec!["(form_id = ? AND received_at <= ?)"; near.len()].join(" OR ");
            let not = if soon { "" } else { "NOT " };
            let binds =
                near.into_iter().flat_map(|(id, at)| [Bind::Bytes(id.bytes()), Bind::Integer(at.unix_millis())]);
            list.filter(format!("{not}(status IN ('new', 'in_progress') AND ({any}))"), binds);
        }
        Ok(list)
    }
}

/// List contact submissions
///
/// What visitors have sent, the newest first: nothing of what they wrote. Without `status`, all but spam. To find what
/// somebody has sent, use `POST /api/v1/manage/contact-submissions/search`: no address belongs into a URL. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-submissions", tag = "Contact")]
pub(super) async fn list_contact_submissions(
    _caller: Caller<HandleSubmissions>,
    app: Data<App>,
    query: ListQuery<ListSubmissions>,
) -> Result<Managed<ListOf<ContactSubmissionSummary>>, Problem> {
    let now = app.clock.now();
    let (list, links) = app.db.read(move |conn| part(conn, &query, now)).await?;
    Ok(Managed::new(list).with_links(links))
}

type Part = (ListOf<ContactSubmissionSummary>, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<ListSubmissions>, now: Timestamp) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let (limit, forms) = (query.paging.limit, Forms::read(conn)?);
    let list = query.filters.list(&forms, now)?;
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<SubmissionId> = ids.ids.iter().map(|id| SubmissionId::from_uuid(*id)).collect();
    let found = Found { items: store::of_ids(conn, &wanted)?, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = found.items.iter().map(|row| forms.summary(row, now)).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
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
    let (state, who, now) = (app.clone(), caller.who(), app.clock.now());
    let read = app.read_audited(caller.actor(), move |tx| {
        let opened = store::open(tx, &state.vault, id)?.ok_or_else(Problem::not_found)?;
        store::audit(tx, Some(id), who, "contact_submission.read", now)?;
        let row_version = opened.row.row_version;
        Ok((Forms::read(tx)?.whole(opened, now)?, row_version))
    });
    let (submission, row_version) = read.await?;
    Ok(Versioned::new(submission, row_version))
}

/// Change a contact submission
///
/// A JSON Merge Patch (RFC 7396) of `status`, `assignee` and `note`. The answer is the whole message, and the change is
/// in the audit trail. For `intake`.
#[utoipa::path(patch, path = "/api/v1/manage/contact-submissions/{id}", tag = "Contact")]
pub(super) async fn update_contact_submission(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Path(id): Path<SubmissionId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<SubmissionWork>,
) -> Result<Versioned<ContactSubmission>, Problem> {
    let (state, who, now) = (app.clone(), caller.who(), app.clock.now());
    let changed = app.write(caller.actor(), options.validate_only, move |tx| {
        let before = store::open(tx, &state.vault, id)?.ok_or_else(Problem::not_found)?;
        if_match.check(before.row.row_version)?;
        let (seen_version, forms) = (before.row.row_version, Forms::read(tx)?);
        let answer = forms.whole(
            Opened { row: before.row.clone(), message: before.message.clone(), note: before.note.clone() },
            now,
        )?;
        let present = answer.work().clone();
        let Drafted { content, warnings, .. } = patch.apply(&present, &answer, |work| faults(tx, work, &present))?;
        let mut row = before.row.clone();
        if content != present {
            let work = Work { status: content.status, assignee_id: content.assignee, note: content.note.clone() };
            row = store::save(tx, &state.vault, &before, &work, who, now)?;
        }
        if row.is_announced && !before.row.is_announced {
            mailing::announce(tx, forms.of(row.form_id)?, row.is_urgent, now)?;
        }
        let row_version = row.row_version;
        let mut submission = forms.whole(Opened { row, message: before.message, note: content.note }, now)?;
        submission.warnings = warnings;
        Ok((submission, if options.validate_only { seen_version } else { row_version }))
    });
    let (submission, row_version) = changed.await?;
    Ok(Versioned::new(submission, row_version))
}

/// An assignee is an enabled intake account; who has been one may stay it.
fn faults(conn: &mut Conn, work: &SubmissionWork, present: &SubmissionWork) -> Result<Vec<Fault>, Problem> {
    let Some(id) = work.assignee.filter(|_| work.assignee != present.assignee) else { return Ok(Vec::new()) };
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
    erasure::finish(&app).await?;
    Ok(Removed::Done)
}
