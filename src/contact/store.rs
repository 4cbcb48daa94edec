//! The SQL of submissions, and how a row is sealed and opened.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::dsl::count;
use diesel::prelude::*;
use uuid::Uuid;

use super::SubmissionId;
use super::forms::ContactFormId;
use super::message::Words;
use super::personal::Personal;
use super::spam::SpamReason;
use super::views::SubmissionStatus;
use crate::auth::UserId;
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::{Problem, SortValue, Sorted};
use crate::schema::{contact_keys, contact_lookups, contact_submissions};
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
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) row: SubmissionRow,
    pub(super) words: Words,
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
    /// Whether the form's recipients are told.
    pub(super) is_announced: bool,
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
    let key_name = sealed.key_name;
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
            contact_submissions::is_announced.eq(new.is_announced),
            contact_submissions::key_name.eq(&key_name),
            contact_submissions::wrapped_key.eq(sealed.wrapped_key),
            contact_submissions::sealed.eq(sealed.sealed),
        ))
        .execute(&mut **tx)?;
    let is_new = contact_keys::name.eq(&key_name);
    diesel::insert_or_ignore_into(contact_keys::table).values(is_new).execute(&mut **tx)?;
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
    let words = serde_json::from_slice(&plain).map_err(|_| damaged(row.id))?;
    let unsealed = |note: &Vec<u8>| {
        let text = envelope.unseal(NOTE, note).and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Personal::new).ok_or_else(|| damaged(row.id))
    };
    let note = sealed.sealed_note.as_ref().map(unsealed).transpose()?;
    Ok(Opened { row, words, note })
}

fn envelope(vault: &Vault, id: SubmissionId, sealed: &SealedRow) -> Result<Envelope, Problem> {
    let key = vault.key(&sealed.key_name).ok_or_else(|| {
        Problem::internal(format!("the key {} of submission {id} is not in the key directory", sealed.key_name))
    })?;
    key.open_envelope(&id.bytes(), &sealed.wrapped_key).ok_or_else(|| damaged(id))
}

/// Whether no key at hand opens a submission: its key is missing, or is another one than it was sealed with.
pub(super) fn is_locked(conn: &mut Conn, vault: &Vault, id: SubmissionId) -> Result<bool, Problem> {
    let sealed: Option<SealedRow> =
        contact_submissions::table.find(id).select(SealedRow::as_select()).first(conn).optional()?;
    Ok(sealed.is_some_and(|sealed| envelope(vault, id, &sealed).is_err()))
}

fn damaged(id: SubmissionId) -> Problem {
    Problem::internal(format!("the contact submission {id} can't be opened: its row or its key was altered"))
}

/// What somebody who works on a submission makes of it, with its note sealed.
pub(super) struct Work {
    pub(super) status: SubmissionStatus,
    pub(super) assignee_id: Option<UserId>,
    sealed_note: Option<Vec<u8>>,
}

/// Prepares the work on a submission: the note is sealed with the submission's own key.
pub(super) fn prepare(
    conn: &mut Conn,
    vault: &Vault,
    id: SubmissionId,
    status: SubmissionStatus,
    assignee_id: Option<UserId>,
    note: Option<&Personal<String>>,
) -> Result<Work, Problem> {
    let sealed: Option<SealedRow> =
        contact_submissions::table.find(id).select(SealedRow::as_select()).first(conn).optional()?;
    let envelope = envelope(vault, id, &sealed.ok_or_else(Problem::not_found)?)?;
    let sealed_note = note.map(|note| envelope.seal(NOTE, note.reveal().as_bytes())).transpose();
    Ok(Work { status, assignee_id, sealed_note: sealed_note.map_err(Problem::internal)? })
}

/// Stores the work on a submission.
pub(super) fn save(
    tx: &mut Tx<'_>,
    before: &SubmissionRow,
    work: Work,
    who: Who,
    now: Timestamp,
) -> Result<SubmissionRow, Problem> {
    let row = SubmissionRow {
        row_version: before.row_version + 1,
        saved_at: now,
        status: work.status,
        assignee_id: work.assignee_id,
        is_announced: before.is_announced || work.status != SubmissionStatus::Spam,
        ..before.clone()
    };
    diesel::update(contact_submissions::table.find(row.id))
        .set((
            contact_submissions::row_version.eq(row.row_version),
            contact_submissions::saved_at.eq(row.saved_at),
            contact_submissions::status.eq(row.status),
            contact_submissions::assignee_id.eq(row.assignee_id),
            contact_submissions::is_announced.eq(row.is_announced),
            contact_submissions::sealed_note.eq(work.sealed_note),
        ))
        .execute(&mut **tx)?;
    audit(tx, Some(row.id), who, "contact_submission.update", now)?;
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

/// What submissions of a person are found by, in every month of which there is a key.
pub(super) fn tokens(vault: &Vault, keys: &[(&'static str, String)]) -> Vec<Vec<u8>> {
    let months = vault.all();
    let of_month = |key: &Arc<MonthKey>| -> Vec<Vec<u8>> {
        keys.iter().map(|(kind, value)| key.blind(kind, value).to_vec()).collect()
    };
    months.iter().flat_map(of_month).collect()
}

/// Some of the submissions that these tokens find after one, the oldest first: an id begins with the time at which it was
/// made.
pub(super) fn found_after(
    conn: &mut Conn,
    tokens: &[Vec<u8>],
    after: Option<SubmissionId>,
    most: usize,
) -> Result<Vec<SubmissionId>, Problem> {
    let after = after.unwrap_or(SubmissionId::from_uuid(Uuid::nil()));
    Ok(contact_lookups::table
        .filter(contact_lookups::token.eq_any(tokens))
        .filter(contact_lookups::submission_id.gt(after))
        .order(contact_lookups::submission_id)
        .select(contact_lookups::submission_id)
        .distinct()
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .load(conn)?)
}

/// The newest submissions that these tokens find, and how many they find.
pub(super) fn newest_found(
    conn: &mut Conn,
    tokens: &[Vec<u8>],
    most: usize,
) -> Result<(Vec<SubmissionId>, i64), Problem> {
    let found = || contact_lookups::table.filter(contact_lookups::token.eq_any(tokens.to_vec()));
    let total = found().select(count(contact_lookups::submission_id).aggregate_distinct()).first(conn)?;
    let newest = found()
        .order(contact_lookups::submission_id.desc())
        .select(contact_lookups::submission_id)
        .distinct()
        .limit(i64::try_from(most).unwrap_or(i64::MAX));
    Ok((newest.load(conn)?, total))
}

/// Some ids of submissions after one, in their order.
pub(super) fn ids_after(
    conn: &mut Conn,
    after: Option<SubmissionId>,
    most: usize,
) -> Result<Vec<SubmissionId>, Problem> {
    let after = after.unwrap_or(SubmissionId::from_uuid(Uuid::nil()));
    Ok(contact_submissions::table
        .filter(contact_submissions::id.gt(after))
        .order(contact_submissions::id)
        .select(contact_submissions::id)
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .load(conn)?)
}

/// The month keys that submissions have.
pub(super) fn key_names(conn: &mut Conn) -> Result<Vec<String>, diesel::result::Error> {
    contact_submissions::table.select(contact_submissions::key_name).distinct().load(conn)
}

/// Some wrapped keys of a month, to try its key on.
pub(super) fn samples(
    conn: &mut Conn,
    name: &str,
    most: i64,
) -> Result<Vec<(SubmissionId, Vec<u8>)>, diesel::result::Error> {
    contact_submissions::table
        .filter(contact_submissions::key_name.eq(name))
        .select((contact_submissions::id, contact_submissions::wrapped_key))
        .limit(most)
        .load(conn)
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
