//! The SQL of contact forms, and what their schema can't say of them.

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{ConsentText, ContactFormId, DEFAULT, FormContent, ManagedContactForm};
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::contact::addresses::{email_key, is_email};
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::problem::CONFLICT;
use crate::http::{Fault, Found, ListOf, ListQuery, NoParameters, Problem, SortKind, SortValue, Sorted, Warning, page};
use crate::schema::{contact_forms, contact_submissions};

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = contact_forms)]
pub(in crate::contact) struct FormRow {
    pub(in crate::contact) id: ContactFormId,
    pub(super) row_version: i64,
    pub(in crate::contact) name: String,
    pub(in crate::contact) content: Document<FormContent>,
    created_at: Timestamp,
    saved_at: Timestamp,
}

impl Sorted for FormRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(self.name.clone())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl FormRow {
    /// A form that is nowhere stored.
    #[cfg(test)]
    pub(in crate::contact) fn of(content: FormContent) -> Self {
        let (id, now) = (ContactFormId::generate(), Timestamp::from_unix_millis(0));
        let name = content.name.clone();
        Self { id, row_version: 1, name, content: Document(content), created_at: now, saved_at: now }
    }

    /// Whether this is the form of who names none.
    pub(in crate::contact) fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    pub(super) fn managed(self, warnings: Vec<Warning>) -> ManagedContactForm {
        let (created_at, saved_at) = (self.created_at, self.saved_at);
        ManagedContactForm { content: self.content.0, id: self.id, created_at, saved_at, warnings }
    }

    fn event(&self, who: Who, action: &'static str, public: Option<PublicChange>, at: Timestamp) -> Event {
        Event { at, who, action, kind: SubjectKind::ContactForm, id: Some(self.id.uuid()), public }
    }
}

type Part = (ListOf<ManagedContactForm>, Option<String>);

pub(super) fn part(conn: &mut Conn, query: &ListQuery<NoParameters>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let list = List::new("contact_forms", "id", vec![SortKey { column: "name", descending: false }]);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<ContactFormId> = ids.ids.iter().map(|id| ContactFormId::from_uuid(*id)).collect();
    let of_ids = contact_forms::table.filter(contact_forms::id.eq_any(wanted)).order(contact_forms::name);
    let rows: Vec<FormRow> = of_ids.select(FormRow::as_select()).load(conn)?;
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((ListOf { items: found.items.into_iter().map(|row| row.managed(Vec::new())).collect(), page }, links))
}

pub(in crate::contact) fn all(conn: &mut Conn) -> Result<Vec<FormRow>, Problem> {
    Ok(contact_forms::table.order(contact_forms::name).select(FormRow::as_select()).load(conn)?)
}

pub(in crate::contact) fn by_name(conn: &mut Conn, name: &str) -> Result<Option<FormRow>, Problem> {
    let named = contact_forms::table.filter(contact_forms::name.eq(name));
    Ok(named.select(FormRow::as_select()).first(conn).optional()?)
}

/// The form that applies where this one is named.
pub(in crate::contact) fn applying(conn: &mut Conn, name: Option<&str>) -> Result<FormRow, Problem> {
    let named = match name {
        Some(name) => by_name(conn, name)?,
        None => None,
    };
    match named {
        Some(form) => Ok(form),
        None => by_name(conn, DEFAULT)?.ok_or_else(|| Problem::internal("the default contact form is not there")),
    }
}

/// What the form that is always there says to who is turned away.
///
/// # Errors
/// What the database says.
pub(crate) fn fallback_text(conn: &mut Conn) -> Result<String, diesel::result::Error> {
    let default = contact_forms::table.filter(contact_forms::name.eq(DEFAULT));
    let content: Document<FormContent> = default.select(contact_forms::content).first(conn)?;
    Ok(content.0.fallback_text)
}

pub(in crate::contact) fn by_id(conn: &mut Conn, id: ContactFormId) -> Result<Option<FormRow>, Problem> {
    Ok(contact_forms::table.find(id).select(FormRow::as_select()).first(conn).optional()?)
}

/// What is wrong with a form that its schema can't say; `present` is what it is now.
pub(super) fn faults(content: &FormContent, present: Option<&FormContent>) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !content.consent_version.is_empty() && !content.knows_consent(&content.consent_version) {
        faults.push(Fault::body("/consent_version", "not_found", "No consent text has this version."));
    }
    let mut seen = BTreeSet::new();
    for (index, text) in content.consent_texts.iter().enumerate() {
        if !seen.insert((&text.version, text.language.to_ascii_lowercase())) {
            let message = "There is a text of this version and language already.";
            faults.push(Fault::body(format!("/consent_texts/{index}"), "repeated", message));
        }
    }
    let mut names = BTreeSet::new();
    for (index, field) in content.fields.iter().enumerate() {
        if !names.insert(&field.name) {
            let message = "There is a field of this name already.";
            faults.push(Fault::body(format!("/fields/{index}/name"), "repeated", message));
        }
    }
    let mut recipients = BTreeSet::new();
    for (index, recipient) in content.recipients.iter().enumerate() {
        let mut say = |code, message| faults.push(Fault::body(format!("/recipients/{index}"), code, message));
        if !is_email(&recipient.0) {
            say("format", "This is not an email address.");
        } else if !recipients.insert(email_key(&recipient.0)) {
            say("repeated", "This address is there already.");
        }
    }
    faults.extend(present.into_iter().flat_map(|present| faults_of_change(content, present)));
    faults
}

/// What may not be changed of a form.
fn faults_of_change(content: &FormContent, present: &FormContent) -> Vec<Fault> {
    let mut faults = Vec::new();
    if present.name == DEFAULT && content.name != DEFAULT {
        faults.push(Fault::body("/name", "read_only", "The form `default` keeps its name."));
    }
    let is_kept = |shown: &&ConsentText| content.consent_texts.contains(shown);
    if !present.consent_texts.iter().all(|shown| is_kept(&shown)) {
        let message = "A consent text that may have been shown is neither changed nor taken away; add a new version.";
        faults.push(Fault::body("/consent_texts", "read_only", message));
    }
    faults
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: ContactFormId,
    content: FormContent,
    who: Who,
    now: Timestamp,
) -> Result<FormRow, Problem> {
    check_free(tx, id, &content.name)?;
    let name = content.name.clone();
    let row = FormRow { id, row_version: 1, name, content: Document(content), created_at: now, saved_at: now };
    diesel::insert_into(contact_forms::table).values(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "contact_form.create", Some(PublicChange::created(row.name.clone())), now))?;
    Ok(row)
}

pub(super) fn save(
    tx: &mut Tx<'_>,
    before: FormRow,
    content: FormContent,
    who: Who,
    now: Timestamp,
) -> Result<FormRow, Problem> {
    if content == before.content.0 {
        return Ok(before);
    }
    check_free(tx, before.id, &content.name)?;
    let is_seen = is_seen_differently(&before.content.0, &content);
    let (row_version, name) = (before.row_version + 1, content.name.clone());
    let row = FormRow { row_version, name, content: Document(content), saved_at: now, ..before };
    diesel::update(contact_forms::table.find(row.id)).set(&row).execute(&mut **tx)?;
    let public = is_seen.then(|| PublicChange::updated(row.name.clone()));
    record(tx, &row.event(who, "contact_form.update", public, now))?;
    Ok(row)
}

/// Whether visitors see something else.
fn is_seen_differently(before: &FormContent, after: &FormContent) -> bool {
    before.name != after.name
        || before.fields != after.fields
        || before.consent_version != after.consent_version
        || before.consent_texts != after.consent_texts
}

pub(super) fn remove(tx: &mut Tx<'_>, row: &FormRow, who: Who, now: Timestamp) -> Result<(), Problem> {
    if row.name == DEFAULT {
        return Err(Problem::conflict("The form `default` is always there; change it instead."));
    }
    let own = contact_submissions::table.filter(contact_submissions::form_id.eq(row.id));
    let is_used: bool = diesel::select(diesel::dsl::exists(own)).get_result(&mut **tx)?;
    if is_used {
        let detail = "Messages that came by this form are still there, and what their senders agreed to is evidence; \
                      delete the form when they have been erased.";
        return Err(Problem::conflict(detail));
    }
    diesel::delete(contact_forms::table.find(row.id)).execute(&mut **tx)?;
    record(tx, &row.event(who, "contact_form.delete", Some(PublicChange::removed(row.name.clone())), now))
}

fn check_free(conn: &mut Conn, id: ContactFormId, name: &str) -> Result<(), Problem> {
    match by_name(conn, name)?.filter(|holder| holder.id != id) {
        None => Ok(()),
        Some(holder) => Err(Problem::new(&CONFLICT, "There is a contact form of this name; change that one.")
            .with_member("holder", json!({ "kind": "contact_form", "id": holder.id, "name": holder.name }))),
    }
}
