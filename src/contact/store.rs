//! The SQL of submissions, and how a row is sealed and opened.

use std::collections::HashMap;

use diesel::prelude::*;
use uuid::Uuid;

use super::SubmissionId;
use super::forms::ContactFormId;
use super::message::Words;
use super::personal::Personal;
use super::spam::SpamReason;
use super::submissions::SubmissionStatus;
use crate::auth::UserId;
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::{Problem, SortValue, Sorted};
use crate::schema::{contact_lookups, contact_submissions};
use crate::vault::{Envelope, MonthKey, Vault};

/// The parts of a row that are sealed.
const MESSAGE: &str = "message";
const NOTE: &str = "note";

/// What a list shows of a submission.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = contact_submissions)]
pub(super) struct SubmissionRow {
    pub(super) id: SubmissionId,
    pub(super) row_version: i64,
    pub(super) form_id: ContactFormId,
    pub(super) received_at: Timestamp,
    pub(super) saved_at: Timestamp,
    pub(super) status: SubmissionStatus,
    pub(super) spam_score: i64,
    pub(super) spam_reasons: Document<Vec<SpamReason>>,
    pub(super) is_urgent: bool,
    pub(super) is_announced: bool,
    pub(super) assignee_id: Option<UserId>,
}

impl Sorted for SubmissionRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.received_at.unix_millis())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

/// What is sealed of a submission, as it is stored.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = contact_submissions)]
pub(super) struct SealedRow {
    key_name: String,
    wrapped_key: Vec<u8>,
    sealed_note: Option<Vec<u8>>,
    sealed: Vec<u8>,
}

/// A whole submission, readable.
pub(super) struct Opened {
    pub(super) row: SubmissionRow,
    pub(super) message: Words,
    pub(super) note: Option<Personal<String>>,
}

/// A submission that is about to be stored.
pub(super) struct NewSubmission {
    pub(super) id: SubmissionId,
    pub(super) form_id: ContactFormId,
    pub(super) received_at: Timestamp,
    pub(super) status: SubmissionStatus,
    pub(super) spam_score: i64,
    pub(super) spam_reasons: Vec<SpamReason>,
    pub(super) is_urgent: bool,
    pub(super) sealed: SealedMessage,
}

/// A message that only the vault can open.
pub(super) struct SealedMessage {
    key_name: String,
    wrapped_key: Vec<u8>,
    sealed: Vec<u8>,
    tokens: Vec<Vec<u8>>,
}

/// Seals a message for its row.
pub(super) fn seal(key: &MonthKey, id: SubmissionId, message: &Words) -> Result<SealedMessage, Problem> {
    let envelope = key.new_envelope(&id.bytes()).map_err(Problem::internal)?;
    let plain = serde_json::to_vec(message).map_err(|_| Problem::internal("a message can't be written as JSON"))?;
    let sealed = envelope.seal(MESSAGE, &plain).map_err(Problem::internal)?;
    let tokens = message.keys().iter().map(|(kind, value)| key.blind(kind, value).to_vec()).collect();
    Ok(SealedMessage { key_name: key.name(), wrapped_key: envelope.wrapped, sealed, tokens })
}

pub(super) fn insert(tx: &mut Tx<'_>, new: NewSubmission) -> Result<(), Problem> {
    let NewSubmission { id, sealed, .. } = new;
    diesel::insert_into(contact_submissions::table)
        .values((
            contact_submissions::id.eq(id),
            contact_submissions::row_version.eq(1),
            contact_submissions::form_id.eq(new.form_id),
            contact_submissions::received_at.eq(new.received_at),
            contact_submissions::saved_at.eq(new.received_at),
            contact_submissions::status.eq(new.status),
            contact_submissions::spam_score.eq(new.spam_score),
            contact_submissions::spam_reasons.eq(Document(new.spam_reasons)),
            contact_submissions::is_urgent.eq(new.is_urgent),
            contact_submissions::is_announced.eq(new.status != SubmissionStatus::Spam),
            contact_submissions::key_name.eq(sealed.key_name),
            contact_submissions::wrapped_key.eq(sealed.wrapped_key),
            contact_submissions::sealed.eq(sealed.sealed),
        ))
        .execute(&mut **tx)?;
    for token in sealed.tokens {
        diesel::insert_into(contact_lookups::table)
            .values((contact_lookups::token.eq(token), contact_lookups::submission_id.eq(id)))
            .execute(&mut **tx)?;
    }
    Ok(())
}

pub(super) fn by_id(conn: &mut Conn, id: SubmissionId) -> Result<Option<SubmissionRow>, Problem> {
    let row = contact_submissions::table.find(id).select(SubmissionRow::as_select());
    Ok(row.first(conn).optional()?)
}

/// These submissions, in the order of the ids, as far as they are there.
pub(super) fn of_ids(conn: &mut Conn, ids: &[SubmissionId]) -> Result<Vec<SubmissionRow>, Problem> {
    let rows = contact_submissions::table.filter(contact_submissions::id.eq_any(ids));
    let rows: Vec<SubmissionRow> = rows.select(SubmissionRow::as_select()).load(conn)?;
    let mut by_id: HashMap<SubmissionId, SubmissionRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(ids.iter().filter_map(|id| by_id.remove(id)).collect())
}

/// A submission with its words.
pub(super) fn open(conn: &mut Conn, vault: &Vault, id: SubmissionId) -> Result<Option<Opened>, Problem> {
    let found: Option<(SubmissionRow, SealedRow)> = contact_submissions::table
        .find(id)
        .select((SubmissionRow::as_select(), SealedRow::as_select()))
        .first(conn)
        .optional()?;
    found.map(|(row, sealed)| opened(vault, row, &sealed)).transpose()
}

fn opened(vault: &Vault, row: SubmissionRow, sealed: &SealedRow) -> Result<Opened, Problem> {
    let envelope = envelope(vault, row.id, sealed)?;
    let plain = envelope.unseal(MESSAGE, &sealed.sealed).ok_or_else(|| damaged(row.id))?;
    // The error of the parser may repeat what it read.
    let message = serde_json::from_slice(&plain).map_err(|_| damaged(row.id))?;
    let unsealed = |note: &Vec<u8>| {
        let text = envelope.unseal(NOTE, note).and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Personal::new).ok_or_else(|| damaged(row.id))
    };
    let note = sealed.sealed_note.as_ref().map(unsealed).transpose()?;
    Ok(Opened { row, message, note })
}

fn envelope(vault: &Vault, id: SubmissionId, sealed: &SealedRow) -> Result<Envelope, Problem> {
    let key = vault.key(&sealed.key_name).ok_or_else(|| {
        Problem::internal(format!("the key {} of submission {id} is not in the key directory", sealed.key_name))
    })?;
    key.open_envelope(&id.bytes(), &sealed.wrapped_key).ok_or_else(|| damaged(id))
}

fn damaged(id: SubmissionId) -> Problem {
    Problem::internal(format!("the contact submission {id} can't be opened: its row or its key was altered"))
}

/// What somebody who works on a submission changes of it.
pub(super) struct Work {
    pub(super) status: SubmissionStatus,
    pub(super) assignee_id: Option<UserId>,
    pub(super) note: Option<Personal<String>>,
}

/// Stores the work on a submission.
pub(super) fn save(
    tx: &mut Tx<'_>,
    vault: &Vault,
    before: &Opened,
    work: &Work,
    who: Who,
    now: Timestamp,
) -> Result<SubmissionRow, Problem> {
    let id = before.row.id;
    if work.note != before.note {
        let sealed: SealedRow = contact_submissions::table.find(id).select(SealedRow::as_select()).first(&mut **tx)?;
        let envelope = envelope(vault, id, &sealed)?;
        let note = work.note.as_ref().map(|note| envelope.seal(NOTE, note.reveal().as_bytes()));
        let note = note.transpose().map_err(Problem::internal)?;
        diesel::update(contact_submissions::table.find(id))
            .set(contact_submissions::sealed_note.eq(note))
            .execute(&mut **tx)?;
    }
    let row = SubmissionRow {
        row_version: before.row.row_version + 1,
        saved_at: now,
        status: work.status,
        assignee_id: work.assignee_id,
        is_announced: before.row.is_announced || work.status != SubmissionStatus::Spam,
        ..before.row.clone()
    };
    diesel::update(contact_submissions::table.find(id))
        .set((
            contact_submissions::row_version.eq(row.row_version),
            contact_submissions::saved_at.eq(row.saved_at),
            contact_submissions::status.eq(row.status),
            contact_submissions::assignee_id.eq(row.assignee_id),
            contact_submissions::is_announced.eq(row.is_announced),
        ))
        .execute(&mut **tx)?;
    audit(tx, Some(id), who, "contact_submission.update", now)?;
    Ok(row)
}

/// Erases submissions for good, with an event for each.
pub(super) fn erase(
    tx: &mut Tx<'_>,
    ids: &[SubmissionId],
    who: Who,
    action: &'static str,
    now: Timestamp,
) -> Result<usize, Problem> {
    let mut erased = 0;
    for id in ids {
        let gone = diesel::delete(contact_submissions::table.find(id)).execute(&mut **tx)?;
        if gone > 0 {
            audit(tx, Some(*id), who, action, now)?;
        }
        erased += gone;
    }
    Ok(erased)
}

/// The submissions that were sent with this email or phone, the oldest first.
pub(super) fn of_person(
    conn: &mut Conn,
    vault: &Vault,
    keys: &[(&'static str, String)],
) -> Result<Vec<SubmissionId>, Problem> {
    let months = vault.all();
    let tokens: Vec<Vec<u8>> =
        months.iter().flat_map(|key| keys.iter().map(|(kind, value)| key.blind(kind, value).to_vec())).collect();
    let mut ids: Vec<SubmissionId> = contact_lookups::table
        .filter(contact_lookups::token.eq_any(tokens))
        .select(contact_lookups::submission_id)
        .load(conn)?;
    // An id begins with the time at which it was made.
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// The month keys that submissions have.
pub(super) fn key_names(conn: &mut Conn) -> Result<Vec<String>, diesel::result::Error> {
    contact_submissions::table.select(contact_submissions::key_name).distinct().load(conn)
}

/// How many submissions have a month key.
pub(super) fn count_of_key(conn: &mut Conn, name: &str) -> Result<i64, Problem> {
    let own = contact_submissions::table.filter(contact_submissions::key_name.eq(name));
    Ok(own.count().get_result(conn)?)
}

/// One submission of each month key, to try the key on.
pub(super) fn sample(conn: &mut Conn, name: &str) -> Result<Option<(SubmissionId, Vec<u8>)>, diesel::result::Error> {
    contact_submissions::table
        .filter(contact_submissions::key_name.eq(name))
        .select((contact_submissions::id, contact_submissions::wrapped_key))
        .first(conn)
        .optional()
}

/// Says in the audit trail what was done with a submission: never what is in it.
pub(super) fn audit(
    tx: &mut Tx<'_>,
    id: Option<SubmissionId>,
    who: Who,
    action: &'static str,
    at: Timestamp,
) -> Result<(), Problem> {
    let id = id.map(SubmissionId::uuid);
    record(tx, &Event { at, who, action, kind: SubjectKind::ContactSubmission, id, public: None })
}
