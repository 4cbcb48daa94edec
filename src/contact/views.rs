//! A message as intake sees it: in the list, and with all that was written.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::serialize::{IsNull, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::SubmissionId;
use super::forms::store::{self as forms, FormRow};
use super::forms::{ContactFormId, FormContent};
use super::message::FreeFields;
use super::personal::Personal;
use super::spam::SpamReason;
use super::store::{Opened, SubmissionRow};
use crate::auth::UserId;
use crate::db::{Conn, Timestamp};
use crate::http::{Editable, Problem, Warning};

/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;
/// How near its end an open message is marked, in days; or a quarter of its retention, where that is less.
const NEAR_DAYS: i64 = 7;

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
    pub(super) const ALL: [Self; 4] = [Self::New, Self::InProgress, Self::Closed, Self::Spam];

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
    pub(super) warnings: Vec<Warning>,
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

    pub(super) fn of(&self, id: ContactFormId) -> Result<&FormRow, Problem> {
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
        let Opened { row, words, note } = opened;
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
            name: words.name,
            email: words.email,
            phone: words.phone,
            message: words.message,
            named_form: words.named_form,
            page_url: words.page_url,
            consent_version: words.consent_version,
            fields: words.fields,
            urgent_phrases: words.urgent_phrases,
            warnings: Vec::new(),
        })
    }

    /// The form of this name.
    pub(super) fn id_of(&self, name: &str) -> Option<ContactFormId> {
        self.0.iter().find(|form| form.name == name).map(|form| form.id)
    }

    /// For each form, from when on what came is near its end.
    pub(super) fn near(&self, now: Timestamp) -> Vec<(ContactFormId, Timestamp)> {
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

    pub(super) fn id(&self) -> SubmissionId {
        self.id
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
