//! The two logs: what was done (`audit_events`) and what delivery shows of it (`changes`).
//!
//! One function writes both, in the transaction of the change itself: nothing is told that did not
//! happen, and nothing that happened goes untold. `changes` never knows a draft; its position is the
//! content version. Each audit row's hash covers the one before it, so that a row can't be altered
//! or taken out unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::announcements;
use crate::auth::{ApiKeyId, UserId};
use crate::cdn::keys::{Key, Set};
use crate::db::{Conn, Db, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::{audit_events, changes, content_version};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A signed-in account.
    User(UserId),
    /// An account by one of its own API keys.
    OwnKey(UserId, ApiKeyId),
    /// A program by its API key.
    Program(ApiKeyId),
    /// The person at the program's command line.
    CommandLine,
    /// The program itself, at its time.
    System,
    /// Callers who did not say who they are.
    Anonymous,
}

impl Who {
    /// The kind in the log, whose id goes with it, and the API key that was used.
    pub(crate) fn columns(self) -> (&'static str, Option<Uuid>, Option<Uuid>) {
        match self {
            Self::User(user) => ("user", Some(user.uuid()), None),
            Self::OwnKey(user, key) => ("user", Some(user.uuid()), Some(key.uuid())),
            Self::Program(key) => ("api_key", Some(key.uuid()), Some(key.uuid())),
            Self::CommandLine => ("command_line", None, None),
            Self::System => ("system", None, None),
            Self::Anonymous => ("anonymous", None, None),
        }
    }
}

/// What kind of thing it was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// An article.
    Article,
    /// An author.
    Author,
    /// A category.
    Category,
    /// The facts of the site.
    Site,
    /// A redirect.
    Redirect,
    /// An account.
    User,
    /// A sign-in of an account.
    SignIn,
    /// An API key.
    ApiKey,
    /// The key that signs access tokens.
    SigningKey,
    /// A form of the contact form.
    ContactForm,
    /// What a visitor has sent.
    ContactSubmission,
    /// The keys that seal what visitors have sent.
    ContactKey,
}

impl SubjectKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Article,
        Self::Author,
        Self::Category,
        Self::Site,
        Self::Redirect,
        Self::User,
        Self::SignIn,
        Self::ApiKey,
        Self::SigningKey,
        Self::ContactForm,
        Self::ContactSubmission,
        Self::ContactKey,
    ];

    /// The kind's name in both logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Author => "author",
            Self::Category => "category",
            Self::Site => "site",
            Self::Redirect => "redirect",
            Self::User => "user",
            Self::SignIn => "sign_in",
            Self::ApiKey => "api_key",
            Self::SigningKey => "signing_key",
            Self::ContactForm => "contact_form",
            Self::ContactSubmission => "contact_submission",
            Self::ContactKey => "contact_key",
        }
    }
}

/// How something that is public changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicChange {
    /// `created`, `updated` or `removed`.
    pub action: &'static str,
    /// Its slug at the time; none for the site.
    pub slug: Option<String>,
    /// What is touched beside the thing itself and the set of its kind.
    pub touched: Vec<Key>,
}

impl PublicChange {
    /// Something new is public.
    pub fn created(slug: impl Into<String>) -> Self {
        Self { action: "created", slug: Some(slug.into()), touched: Vec::new() }
    }

    /// Something public is different.
    pub fn updated(slug: impl Into<String>) -> Self {
        Self { action: "updated", slug: Some(slug.into()), touched: Vec::new() }
    }

    /// Something is not public any more.
    pub fn removed(slug: impl Into<String>) -> Self {
        Self { action: "removed", slug: Some(slug.into()), touched: Vec::new() }
    }

    /// Touches more than the thing itself and the set of its kind.
    #[must_use]
    pub(crate) fn touching(mut self, keys: impl IntoIterator<Item = Key>) -> Self {
        self.touched.extend(keys);
        self
    }
}

/// One thing that was done.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub who: Who,
    /// What, as `noun.verb`.
    pub action: &'static str,
    /// To which kind of thing.
    pub kind: SubjectKind,
    /// To which one; none for a singleton.
    pub id: Option<Uuid>,
    /// What delivery shows of it, if anything.
    pub public: Option<PublicChange>,
}

/// Writes an event to the audit trail and, where it is public, to `changes`.
///
/// # Errors
/// What the database says.
pub fn record(tx: &mut Tx<'_>, event: &Event) -> Result<(), Problem> {
    append_audit(tx, event, 1)?;
    announcements::note(tx, event)?;
    if let Some(public) = &event.public {
        let version = next_version(tx)?;
        diesel::insert_into(changes::table)
            .values((
                changes::version.eq(version),
                changes::at.eq(event.at),
                changes::kind.eq(event.kind.name()),
                changes::action.eq(public.action),
                changes::resource_id.eq(event.id.map(|id| id.as_bytes().to_vec())),
                changes::keys.eq(json!({ "slug": public.slug, "touched": touched(event, public) }).to_string()),
            ))
            .execute(&mut **tx)?;
    }
    Ok(())
}

/// What a change touches: which copies of a CDN may show something else since.
fn touched(event: &Event, public: &PublicChange) -> BTreeSet<Key> {
    let (set, own) = match event.kind {
        SubjectKind::Article => (Set::Articles, event.id.map(Key::article)),
        SubjectKind::Author => (Set::Authors, event.id.map(Key::author)),
        SubjectKind::Category => (Set::Categories, event.id.map(Key::category)),
        SubjectKind::Site => (Set::Site, None),
        SubjectKind::Redirect => (Set::Redirects, None),
        SubjectKind::ContactForm => (Set::ContactForms, None),
        _ => (Set::Everything, None),
    };
    own.into_iter().chain([set.key()]).chain(public.touched.iter().cloned()).collect()
}

/// Writes to the audit trail what was done `count` times: one row, so that nobody can fill the disk.
fn record_counted(
    tx: &mut Tx<'_>,
    (action, who): (&'static str, Who),
    kind: SubjectKind,
    at: Timestamp,
    count: i64,
) -> Result<(), Problem> {
    append_audit(tx, &Event { at, who, action, kind, id: None, public: None }, count)
}

/// By minute, action and who did it: to what kind of thing, and how often.
type Counts = BTreeMap<(i64, &'static str, Who), (SubjectKind, i64)>;

/// What anonymous callers did, and what others tried again and again, counted by kind and minute until it is written.
#[derive(Debug, Default)]
pub struct AnonymousEvents(Mutex<Counts>);

impl AnonymousEvents {
    /// Counts one; `action` is one of a few fixed names, so the map is small.
    pub fn note(&self, action: &'static str, kind: SubjectKind, at: Timestamp) {
        self.note_of(Who::Anonymous, action, kind, at);
    }

    /// Counts one of somebody who is known.
    pub fn note_of(&self, who: Who, action: &'static str, kind: SubjectKind, at: Timestamp) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.entry((at.unix_seconds().div_euclid(60), action, who)).or_insert((kind, 0)).1 += 1;
    }

    /// Takes the counts of the minutes that are over, or of all.
    fn take(&self, now: Timestamp, all: bool) -> Counts {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all {
            return std::mem::take(&mut counts);
        }
        let minute = now.unix_seconds().div_euclid(60);
        let all = std::mem::take(&mut *counts);
        let (over, open): (Counts, Counts) = all.into_iter().partition(|((at, ..), _)| *at < minute);
        *counts = open;
        over
    }

    /// Writes the counts of the minutes that are over to the audit trail, or at the end of the program all.
    ///
    /// # Errors
    /// What the database says; the counts are kept then.
    pub async fn write(&self, db: &Db, now: Timestamp, all: bool) -> Result<(), Problem> {
        let counts = self.take(now, all);
        if counts.is_empty() {
            return Ok(());
        }
        let rows = counts.clone();
        let written = db.write(move |tx| {
            rows.iter().try_for_each(|((minute, action, who), (kind, count))| {
                record_counted(tx, (action, *who), *kind, Timestamp::from_unix_millis(minute * 60_000), *count)
            })
        });
        written.await.inspect_err(|_| {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, (kind, count)) in counts {
                kept.entry(key).or_insert((kind, 0)).1 += count;
            }
        })
    }
}

fn next_version(tx: &mut Tx<'_>) -> Result<i64, Problem> {
    Ok(diesel::update(content_version::table)
        .set(content_version::version.eq(content_version::version + 1))
        .returning(content_version::version)
        .get_result(&mut **tx)?)
}

fn append_audit(tx: &mut Tx<'_>, event: &Event, count: i64) -> Result<(), Problem> {
    let previous: Option<Vec<u8>> = audit_events::table
        .select(audit_events::hash)
        .order(audit_events::position.desc())
        .first(&mut **tx)
        .optional()?;
    let id = Uuid::now_v7();
    let (actor_kind, actor_id, api_key_id) = event.who.columns();
    let bytes = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec());
    let hash = chain(
        previous.as_deref().unwrap_or_default(),
        &[
            id.as_bytes(),
            &event.at.unix_millis().to_be_bytes(),
            actor_kind.as_bytes(),
            &bytes(actor_id).unwrap_or_default(),
            &bytes(api_key_id).unwrap_or_default(),
            event.action.as_bytes(),
            event.kind.name().as_bytes(),
            &bytes(event.id).unwrap_or_default(),
            &count.to_be_bytes(),
        ],
    );
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::id.eq(id.as_bytes().to_vec()),
            audit_events::at.eq(event.at),
            audit_events::actor_id.eq(bytes(actor_id)),
            audit_events::actor_kind.eq(actor_kind),
            audit_events::api_key_id.eq(bytes(api_key_id)),
            audit_events::action.eq(event.action),
            audit_events::subject_kind.eq(event.kind.name()),
            audit_events::subject_id.eq(bytes(event.id)),
            audit_events::count.eq(count),
            audit_events::hash.eq(hash),
        ))
        .execute(&mut **tx)?;
    Ok(())
}

/// When something was last done to a thing, and by which account or API key; what `except` names does not count.
///
/// # Errors
/// What the database says.
pub fn last(
    conn: &mut Conn,
    kind: SubjectKind,
    id: Uuid,
    except: &[&str],
) -> Result<Option<(Timestamp, Option<Uuid>)>, Problem> {
    let found: Option<(Timestamp, Option<Vec<u8>>)> = audit_events::table
        .filter(audit_events::subject_kind.eq(kind.name()))
        .filter(audit_events::subject_id.eq(id.as_bytes().to_vec()))
        .filter(audit_events::action.ne_all(except))
        .order(audit_events::position.desc())
        .select((audit_events::at, audit_events::actor_id))
        .first(conn)
        .optional()?;
    Ok(found.map(|(at, who)| (at, who.and_then(|bytes| Uuid::from_slice(&bytes).ok()))))
}

/// Whether the content version is the position of the last change, a sentence where it is not.
///
/// # Errors
/// What the database says.
pub fn verify(conn: &mut Conn) -> Result<Vec<String>, Problem> {
    let version: i64 = content_version::table.select(content_version::version).first(conn)?;
    let last: Option<i64> = changes::table.select(diesel::dsl::max(changes::version)).first(conn)?;
    let last = last.unwrap_or_default();
    Ok((version != last).then(|| format!("it is {version}, and the last change is {last}")).into_iter().collect())
}

/// SHA-256 over the previous hash and the fields, each with its length, so that no two rows look alike.
pub fn chain(previous: &[u8], fields: &[&[u8]]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    for field in fields {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize().to_vec()
}
