//! Everything that is held about a person: found by an email or a phone number, handed out, and erased with a
//! certificate. The address stands in the body of the request, never in its URL.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::addresses::{email_key, is_email, phone, phone_key};
use super::export::{Export, JsonExport};
use super::personal::Personal;
use super::submissions::{ContactSubmission, ContactSubmissionSummary, Forms};
use super::{SubmissionId, erasure, store};
use crate::auth::{Caller, HandleSubmissions, UserId};
use crate::db::{Id, Timestamp};
use crate::http::{Body, Fault, Json, Managed, NoParameters, Operations, Problem, Query, WriteOptions};
use crate::state::App;

/// The most messages that a search shows.
const MOST_SHOWN: usize = 1000;
/// The most messages that are erased in one transaction.
const BATCH: usize = 200;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_search_contact_submissions, search_contact_submissions)
        .operation(__path_export_person, export_person)
        .operation(__path_erase_person, erase_person)
}

/// Marks the id of a certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct CertificateKind;
/// The id of a certificate of erasure.
type CertificateId = Id<CertificateKind>;

/// A person, by an email address or a phone number, or both: what has either of them is found.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonQuery {
    /// An email address, in any case.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, pattern = r"^[^\x00-\x1F\x7F]*$", example = "sam@example.org")]
    email: Option<Personal<String>>,
    /// A phone number, in any usual notation.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 50, pattern = r"^[^\x00-\x1F\x7F]*$", example = "(415) 555-2671")]
    phone: Option<Personal<String>>,
}

impl Body for PersonQuery {}

impl PersonQuery {
    /// What the person is found by.
    fn keys(&self, app: &App) -> Result<Vec<(&'static str, String)>, Problem> {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        if let Some(email) = &self.email {
            match email.reveal().trim() {
                email if is_email(email) => keys.push(("email", email_key(email))),
                _ => faults.push(Fault::body("/email", "format", "This is not an email address.")),
            }
        }
        if let Some(number) = &self.phone {
            match phone(number.reveal(), app.config.country) {
                Some(number) => keys.push(("phone", phone_key(&number))),
                None => faults.push(Fault::body("/phone", "format", "This can't be read as a phone number.")),
            }
        }
        if keys.is_empty() && faults.is_empty() {
            faults.push(Fault::body("/email", "required", "An email address or a phone number is needed."));
        }
        if faults.is_empty() { Ok(keys) } else { Err(Problem::invalid_body(faults)) }
    }
}

/// What is held about a person, without its words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonSubmissions {
    /// How many messages there are.
    #[schema(minimum = 0)]
    total: usize,
    /// The newest thousand of them, the newest first.
    #[schema(max_items = 1000)]
    items: Vec<ContactSubmissionSummary>,
}

/// Search contact submissions by person
///
/// The messages that were sent with an email address or a phone number, spam too. Changes nothing; that somebody
/// searched is in the audit trail, for whom is not. For `intake`.
#[utoipa::path(post, path = "/api/v1/manage/contact-submissions/search", tag = "Contact")]
pub(super) async fn search_contact_submissions(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    _query: Query<NoParameters>,
    Json(person): Json<PersonQuery>,
) -> Result<Managed<PersonSubmissions>, Problem> {
    let (state, who, now, keys) = (app.clone(), caller.who(), app.clock.now(), person.keys(&app)?);
    let found = app.read_audited(caller.actor(), move |tx| {
        let mut ids = store::of_person(tx, &state.vault, &keys)?;
        store::audit(tx, None, who, "contact_submission.search", now)?;
        let total = ids.len();
        ids.reverse();
        ids.truncate(MOST_SHOWN);
        let (forms, rows) = (Forms::read(tx)?, store::of_ids(tx, &ids)?);
        let items = rows.iter().map(|row| forms.summary(row, now)).collect::<Result<_, _>>()?;
        Ok(PersonSubmissions { total, items })
    });
    Ok(Managed::new(found.await?))
}

/// Everything that is held about a person.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonExport {
    /// The messages, the oldest first.
    items: Vec<ContactSubmission>,
}

/// Export everything about a person
///
/// Every message that was sent with an email address or a phone number, with all that was written and noted, as a
/// stream: for who asks what is held about them. Each message is in the audit trail before it is sent. For `intake`.
#[utoipa::path(post, path = "/api/v1/manage/contact-submissions/export", tag = "Contact")]
pub(super) async fn export_person(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    _query: Query<NoParameters>,
    Json(person): Json<PersonQuery>,
) -> Result<JsonExport<PersonExport>, Problem> {
    let (state, keys) = (app.clone(), person.keys(&app)?);
    let ids = app.db.read(move |conn| store::of_person(conn, &state.vault, &keys)).await?;
    Ok(JsonExport::new(Export::new(app, caller.actor(), ids)))
}

/// That everything about a person was erased.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasureCertificate {
    /// The id under which the audit trail knows the erasure.
    id: CertificateId,
    /// When it was done.
    erased_at: Timestamp,
    /// By which account.
    erased_by: UserId,
    /// Each message that was erased.
    erased: Vec<ErasedSubmission>,
    /// Whether the database's log was emptied into its file, so that neither holds what was erased. Where a reader kept
    /// from it, it is done as soon as that has ended.
    log_emptied: bool,
    /// The month keys that were destroyed since nothing needs them any more: what they sealed can be read in no backup.
    destroyed_keys: Vec<String>,
    /// When the keys of the other months are destroyed at the latest, as retention is now; until then, whoever has both an
    /// older backup and the keys can read what was erased there. Null where none is left.
    backups_readable_until: Option<Timestamp>,
}

/// A message that was erased.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasedSubmission {
    /// The id that it had.
    id: SubmissionId,
    /// When it had come.
    received_at: Timestamp,
}

/// Erase everything about a person
///
/// Every message that was sent with an email address or a phone number, spam too, for good; the answer is a certificate
/// of what was done. With `validate_only` it tells what would be erased. For `intake`.
#[utoipa::path(post, path = "/api/v1/manage/contact-submissions/erase", tag = "Contact")]
pub(super) async fn erase_person(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    Json(person): Json<PersonQuery>,
) -> Result<Managed<ErasureCertificate>, Problem> {
    let keys = person.keys(&app)?;
    let (certificate, user) = (CertificateId::generate(), caller.user());
    let mut erased = Vec::new();
    loop {
        let (state, who, now, keys) = (app.clone(), caller.who(), app.clock.now(), keys.clone());
        let is_tried = options.validate_only;
        let some = app.write(caller.actor(), is_tried, move |tx| {
            let mut ids = store::of_person(tx, &state.vault, &keys)?;
            if !is_tried {
                ids.truncate(BATCH);
            }
            let rows = store::of_ids(tx, &ids)?;
            store::erase(tx, &ids, who, "contact_submission.erase", now)?;
            if !ids.is_empty() {
                state.db.note_erasure();
            }
            Ok(rows)
        });
        let some = some.await?;
        let is_last = some.len() < BATCH || is_tried;
        erased.extend(some);
        if is_last {
            break;
        }
    }
    let (who, now) = (caller.who(), app.clock.now());
    let months: Vec<String> = months_of(&erased);
    let (finished, until) = if options.validate_only {
        (erasure::Finished { wal_emptied: false, keys_destroyed: Vec::new() }, None)
    } else {
        let noted = app.write(caller.actor(), false, move |tx| {
            store::audit(tx, Some(SubmissionId::from_uuid(certificate.uuid())), who, "contact_submission.certify", now)
        });
        noted.await?;
        let finished = erasure::finish(&app).await?;
        let until = app.db.read(move |conn| erasure::last_end(conn, &months)).await?;
        (finished, until)
    };
    let erased = erased.into_iter().map(|row| ErasedSubmission { id: row.id, received_at: row.received_at });
    Ok(Managed::new(ErasureCertificate {
        id: certificate,
        erased_at: now,
        erased_by: user,
        erased: erased.collect(),
        log_emptied: finished.wal_emptied,
        destroyed_keys: finished.keys_destroyed,
        backups_readable_until: until,
    }))
}

/// The months in which messages came.
fn months_of(rows: &[store::SubmissionRow]) -> Vec<String> {
    let mut months: Vec<String> = rows.iter().map(|row| row.received_at.month()).collect();
    months.sort();
    months.dedup();
    months
}
