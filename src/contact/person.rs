//! Everything that is held about a person: found by an email or a phone number, handed out, and erased with a
//! certificate. The address stands in the body of the request, never in its URL.

use std::sync::Arc;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::addresses::{email_key, is_email, phone, phone_key};
use super::export::{Export, JsonExport, Source};
use super::personal::Personal;
use super::store::SubmissionRow;
use super::views::{ContactSubmission, ContactSubmissionSummary, Forms};
use super::{SubmissionId, erasure, store};
use crate::auth::{Actor, Caller, HandleSubmissions, UserId};
use crate::db::{Conn, Id, Timestamp, Tx};
use crate::http::{Body, Fault, Json, Managed, NoParameters, Operations, Problem, Query, WriteOptions};
use crate::idempotency::Keyed;
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
    /// What the person's messages are found by.
    fn tokens(&self, app: &App) -> Result<Vec<Vec<u8>>, Problem> {
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
        if faults.is_empty() { Ok(store::tokens(&app.vault, &keys)) } else { Err(Problem::invalid_body(faults)) }
    }
}

/// What is held about a person, without its words.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PersonSubmissions {
    /// How many messages there are.
    #[schema(minimum = 0)]
    total: i64,
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
    let tokens = person.tokens(&app)?;
    note_search(&app, caller.actor()).await?;
    let now = app.clock.now();
    let found = app.db.read(move |conn| {
        let (ids, total) = store::newest_found(conn, &tokens, MOST_SHOWN)?;
        let (forms, rows) = (Forms::read(conn)?, store::of_ids(conn, &ids)?);
        let items = rows.iter().map(|row| forms.summary(row, now)).collect::<Result<_, Problem>>()?;
        Ok::<_, Problem>(PersonSubmissions { total, items })
    });
    Ok(Managed::new(found.await?))
}

/// Says in the audit trail that somebody looks for a person: before anything is found.
async fn note_search(app: &Data<App>, caller: Actor) -> Result<(), Problem> {
    let now = app.clock.now();
    let note = move |tx: &mut Tx<'_>| store::audit(tx, None, caller.who(), "contact_submission.search", now);
    app.write_unkeyed(caller, note).await
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
    let tokens = person.tokens(&app)?;
    note_search(&app, caller.actor()).await?;
    Ok(JsonExport::new(Export::new(app, caller.actor(), Source::Person(tokens))))
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
    let (tokens, caller) = (person.tokens(&app)?, caller.actor());
    if options.validate_only {
        note_search(&app, caller).await?;
        let found = app.db.read(move |conn| all_found(conn, &tokens)).await?;
        let (finished, now) = (erasure::Finished::default(), app.clock.now());
        return Ok(Managed::new(ErasureCertificate::of(CertificateId::generate(), caller, now, found, finished, None)));
    }
    // A task of its own: what was begun is brought to its end also where the client does not wait for it.
    let keyed = Keyed::present();
    let erased = actix_web::rt::spawn(async move { erase_all(&app, caller, tokens, keyed).await });
    erased.await.map_err(Problem::internal)?.map(Managed::new)
}

/// All that these tokens find.
fn all_found(conn: &mut Conn, tokens: &[Vec<u8>]) -> Result<Vec<ErasedSubmission>, Problem> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let ids = store::found_after(conn, tokens, after, BATCH)?;
        let Some(last) = ids.last() else { return Ok(found) };
        after = Some(*last);
        found.extend(store::of_ids(conn, &ids)?.iter().map(ErasedSubmission::of));
    }
}

/// Erases all that these tokens find, batch by batch, and certifies it. A request that is sent again goes on where this
/// one broke off: it counts as done with its certificate alone.
async fn erase_all(
    app: &Data<App>,
    caller: Actor,
    tokens: Vec<Vec<u8>>,
    keyed: Option<Arc<Keyed>>,
) -> Result<ErasureCertificate, Problem> {
    let mut erased = Vec::new();
    loop {
        let (state, now, tokens) = (app.clone(), app.clock.now(), tokens.clone());
        let some = app.write_unkeyed(caller, move |tx| {
            let ids = store::found_after(tx, &tokens, None, BATCH)?;
            let rows = store::of_ids(tx, &ids)?;
            store::erase(tx, &ids, caller.who(), "contact_submission.erase", now)?;
            state.db.note_erasure();
            Ok(rows)
        });
        let some = some.await?;
        erased.extend(some.iter().map(ErasedSubmission::of));
        if some.len() < BATCH {
            break;
        }
    }
    let (certificate, now) = (CertificateId::generate(), app.clock.now());
    let certify = move |tx: &mut Tx<'_>| {
        let id = SubmissionId::from_uuid(certificate.uuid());
        store::audit(tx, Some(id), caller.who(), "contact_submission.certify", now)?;
        keyed.map_or(Ok(()), |keyed| keyed.record(tx))
    };
    app.write_unkeyed(caller, certify).await?;
    let (finished, months) = (erasure::finish(app).await, months_of(&erased));
    let end = app.db.read(move |conn| erasure::last_end(conn, &months)).await?;
    // A key that nothing needs and that is still there is destroyed in a moment.
    let until = end.max(finished.is_late.then_some(now));
    Ok(ErasureCertificate::of(certificate, caller, now, erased, finished, until))
}

impl ErasureCertificate {
    fn of(
        id: CertificateId,
        caller: Actor,
        at: Timestamp,
        erased: Vec<ErasedSubmission>,
        finished: erasure::Finished,
        until: Option<Timestamp>,
    ) -> Self {
        Self {
            id,
            erased_at: at,
            erased_by: caller.user,
            erased,
            log_emptied: finished.wal_emptied,
            destroyed_keys: finished.keys_destroyed,
            backups_readable_until: until,
        }
    }
}

impl ErasedSubmission {
    fn of(row: &SubmissionRow) -> Self {
        Self { id: row.id, received_at: row.received_at }
    }
}

/// The months in which messages came.
fn months_of(erased: &[ErasedSubmission]) -> Vec<String> {
    let mut months: Vec<String> = erased.iter().map(|one| one.received_at.month()).collect();
    months.sort();
    months.dedup();
    months
}
