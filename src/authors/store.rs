//! Authors in the database: reading them for the two surfaces, and every write with its rules.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{Author, AuthorContent, AuthorId, AuthorSummary, ListAuthors, ManagedAuthor};
use crate::auth::{UserId, UserKind};
use crate::cdn::keys::Set;
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::counts;
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Document, Id, Timestamp, Tx, among};
use crate::http::problem::IN_USE;
use crate::http::{Drafted, Fault, Found, ListQuery, Problem, SortKind, SortValue, Sorted, Strict, Warning, page};
use crate::schema::{article_references, authors, users};
use crate::slugs;
use crate::text::{self, RENDERER_VERSION, Rendered};

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = authors, treat_none_as_null = true)]
pub(crate) struct AuthorRow {
    pub(super) id: AuthorId,
    pub(super) row_version: i64,
    pub(super) slug: String,
    name: String,
    name_key: String,
    user_id: Option<Id<UserKind>>,
    pub(super) content: Document<AuthorContent>,
    bio_html: String,
    renderer_version: i32,
    created_at: Timestamp,
    saved_at: Timestamp,
}

impl Sorted for AuthorRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(self.name_key.clone())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl AuthorRow {
    pub(super) fn published(self, conn: &mut Conn) -> Result<Author, Problem> {
        let content = self.content.0;
        Ok(Author {
            id: self.id,
            slug: self.slug,
            name: self.name,
            credentials: content.credentials,
            bio_html: self.bio_html,
            bio_markdown: content.bio_markdown,
            avatar: content.avatar,
            links: content.links,
            article_count: counts::articles(conn, counts::Facet::Author(self.id), None)?,
        })
    }

    pub(super) fn managed(self, conn: &mut Conn, warnings: Vec<Warning>) -> Result<ManagedAuthor, Problem> {
        Ok(ManagedAuthor {
            bio_html: self.bio_html,
            content: self.content.0,
            id: self.id,
            article_count: counts::articles(conn, counts::Facet::Author(self.id), None)?,
            created_at: self.created_at,
            saved_at: self.saved_at,
            warnings,
        })
    }

    fn event(&self, who: Who, action: &'static str, public: PublicChange) -> Event {
        Event {
            at: self.saved_at,
            who,
            action,
            kind: SubjectKind::Author,
            id: Some(self.id.uuid()),
            public: Some(public),
        }
    }
}

pub(super) type Part<T> = (Vec<T>, page::Page, Option<String>);

pub(super) fn part<T>(
    conn: &mut Conn,
    query: &ListQuery<ListAuthors>,
    show: impl Fn(AuthorRow, &mut Conn) -> Result<T, Problem>,
) -> Result<Part<T>, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let list = List::new("authors", "id", vec![SortKey { column: "name_key", descending: false }]);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<Vec<u8>> = ids.ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    let mut rows: Vec<AuthorRow> =
        authors::table.filter(authors::id.eq_any(wanted)).select(AuthorRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| ids.ids.iter().position(|id| *id == row.id.uuid()));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = found.items.into_iter().map(|row| show(row, conn)).collect::<Result<_, _>>()?;
    Ok((items, page, links))
}

pub(super) fn by_id(conn: &mut Conn, id: AuthorId) -> Result<Option<AuthorRow>, Problem> {
    Ok(authors::table.find(id).select(AuthorRow::as_select()).first(conn).optional()?)
}

pub(super) fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<AuthorRow>, Problem> {
    Ok(authors::table.filter(authors::slug.eq(slug)).select(AuthorRow::as_select()).first(conn).optional()?)
}

/// The author who used to have this slug; none where that one is deleted.
pub(super) fn by_former_slug(conn: &mut Conn, slug: &str) -> Result<Option<AuthorRow>, Problem> {
    match slugs::former(conn, slugs::Kind::Author, slug)? {
        Some(id) => by_id(conn, AuthorId::from_uuid(id)),
        None => Ok(None),
    }
}

/// The author of a present slug, as delivery shows it.
///
/// # Errors
/// What the database says.
pub(crate) fn public(conn: &mut Conn, slug: &str) -> Result<Option<Author>, Problem> {
    by_slug(conn, slug)?.map(|row| row.published(conn)).transpose()
}

/// Whether an author has a slug now.
///
/// # Errors
/// What the database says.
pub(crate) fn has_slug(conn: &mut Conn, slug: &str) -> Result<bool, Problem> {
    Ok(by_slug(conn, slug)?.is_some())
}

/// The present slug of who used to have this one.
///
/// # Errors
/// What the database says.
pub(crate) fn present_slug(conn: &mut Conn, former: &str) -> Result<Option<String>, Problem> {
    Ok(by_former_slug(conn, former)?.map(|row| row.slug))
}

/// The author that an id or a slug, present or former, names.
///
/// # Errors
/// What the database says.
pub(crate) fn named(conn: &mut Conn, name: &str) -> Result<Option<AuthorId>, Problem> {
    if let Ok(id) = name.parse::<AuthorId>() {
        let id = slugs::replacements(conn, &[id.uuid()])?.get(&id.uuid()).map_or(id, |new| AuthorId::from_uuid(*new));
        if let Some(row) = by_id(conn, id)? {
            return Ok(Some(row.id));
        }
        // A slug may look like an id.
    }
    let row = match by_slug(conn, name)? {
        Some(row) => Some(row),
        None => by_former_slug(conn, name)?,
    };
    Ok(row.map(|row| row.id))
}

/// The author that belongs to an account.
///
/// # Errors
/// What the database says.
pub(crate) fn of_user(conn: &mut Conn, user: UserId) -> Result<Option<AuthorId>, Problem> {
    Ok(authors::table.filter(authors::user_id.eq(user)).select(authors::id).first(conn).optional()?)
}

/// Parts an author from an account that is being deleted: the author stays, as a guest.
///
/// # Errors
/// What the database says.
pub(crate) fn part_from_user(tx: &mut Tx<'_>, user: UserId, who: Who, now: Timestamp) -> Result<(), Problem> {
    let Some(id) = of_user(tx, user)? else { return Ok(()) };
    let Some(mut row) = by_id(tx, id)? else { return Ok(()) };
    row.user_id = None;
    row.content.0.user_id = None;
    (row.row_version, row.saved_at) = (row.row_version + 1, now);
    diesel::update(authors::table.find(id)).set(&row).execute(&mut **tx)?;
    // Delivery shows no account: nothing public has changed.
    let (kind, id) = (SubjectKind::Author, Some(id.uuid()));
    record(tx, &Event { at: now, who, action: "author.update", kind, id, public: None })
}

/// What articles say of these authors.
///
/// # Errors
/// What the database says.
pub(crate) fn summaries(conn: &mut Conn, ids: &[AuthorId]) -> Result<HashMap<AuthorId, AuthorSummary>, Problem> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<AuthorRow> = authors::table
        .filter(among(authors::id, ids.iter().map(|id| id.bytes())))
        .select(AuthorRow::as_select())
        .load(conn)?;
    let summary = |row: AuthorRow| AuthorSummary {
        id: row.id,
        slug: row.slug,
        name: row.name,
        credentials: row.content.0.credentials,
        avatar: row.content.0.avatar,
    };
    Ok(rows.into_iter().map(|row| (row.id, summary(row))).collect())
}

/// The warnings of a request; `bio` is the rendering of the biography that it sent, if it did.
pub(super) fn with_removals(
    drafted: &Drafted<AuthorContent>,
    bio: &Rendered,
    strict: Strict,
) -> Result<Vec<Warning>, Problem> {
    let removed: Vec<Warning> = bio.removed.iter().map(|removed| removed.warning("/bio_markdown")).collect();
    strict.check(&removed)?;
    Ok(drafted.warnings.iter().cloned().chain(removed).collect())
}

/// Stores a new author and says so in both logs.
///
/// # Errors
/// A taken slug.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    id: AuthorId,
    content: AuthorContent,
    bio: Rendered,
    who: Who,
    now: Timestamp,
) -> Result<AuthorRow, Problem> {
    let row = row_of(tx, id, content, (now, now), 1, (bio.html, RENDERER_VERSION))?;
    diesel::insert_into(authors::table).values(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "author.create", PublicChange::created(&row.slug)))?;
    Ok(row)
}

pub(super) fn save(
    tx: &mut Tx<'_>,
    before: AuthorRow,
    drafted: Drafted<AuthorContent>,
    bio: Rendered,
    who: Who,
    now: Timestamp,
) -> Result<AuthorRow, Problem> {
    let kept = (before.bio_html.clone(), before.renderer_version);
    let bio = if drafted.touches("bio_markdown") { (bio.html, RENDERER_VERSION) } else { kept };
    let row = row_of(tx, before.id, drafted.content, (before.created_at, now), before.row_version + 1, bio)?;
    if row.content == before.content {
        return Ok(before);
    }
    if row.slug != before.slug {
        slugs::retire(tx, slugs::Kind::Author, &before.slug, row.id.uuid(), now)?;
    }
    diesel::update(authors::table.find(row.id)).set(&row).execute(&mut **tx)?;
    let mut event = row.event(who, "author.update", PublicChange::updated(&row.slug));
    let without_user = AuthorContent { user_id: before.user_id, ..row.content.0.clone() };
    if without_user == before.content.0 {
        // Delivery shows no account: nothing public has changed.
        event.public = None;
    }
    record(tx, &event)?;
    Ok(row)
}

/// The row of an author; makes the slug where there is none and checks what a schema can't.
fn row_of(
    tx: &mut Tx<'_>,
    id: AuthorId,
    mut content: AuthorContent,
    (created_at, saved_at): (Timestamp, Timestamp),
    row_version: i64,
    (bio_html, renderer_version): (String, i32),
) -> Result<AuthorRow, Problem> {
    let slug = match &content.slug {
        Some(slug) => {
            if let Some(holder) = by_slug(tx, slug)?.filter(|row| row.id != id) {
                return Err(slugs::taken(Some(json!({ "kind": "author", "id": holder.id, "name": holder.name }))));
            }
            slug.clone()
        }
        None => {
            slugs::made_from(&content.name, "author", |slug| Ok(by_slug(tx, slug)?.is_some_and(|row| row.id != id)))?
        }
    };
    content.slug = Some(slug.clone());
    Ok(AuthorRow {
        id,
        row_version,
        slug,
        name: content.name.clone(),
        name_key: text::sort_key(&content.name),
        user_id: content.user_id,
        content: Document(content),
        bio_html,
        renderer_version,
        created_at,
        saved_at,
    })
}

/// An account belongs to one author at most.
pub(super) fn check_user(conn: &mut Conn, author: AuthorId, user: Option<UserId>) -> Result<Vec<Fault>, Problem> {
    let Some(user) = user else { return Ok(Vec::new()) };
    let fault = |code, message: &str| Ok(vec![Fault::body("/user_id", code, message)]);
    if users::table.find(user).select(users::id).first::<UserId>(conn).optional()?.is_none() {
        return fault("not_found", "There is no account with this id.");
    }
    match of_user(conn, user)? {
        Some(other) if other != author => fault("taken", "This account belongs to another author already."),
        _ => Ok(Vec::new()),
    }
}

pub(super) fn remove(
    tx: &mut Tx<'_>,
    row: &AuthorRow,
    reassign_to: Option<&str>,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    let heir = reassign_to.map(|name| heir(tx, row.id, name)).transpose()?;
    let in_use: i64 = article_references::table
        .filter(article_references::target.eq(row.id.bytes()))
        .count()
        .get_result(&mut **tx)?;
    match heir {
        Some(heir) => {
            slugs::replace(tx, slugs::Kind::Author, row.id.uuid(), &row.slug, heir.uuid(), now)?;
            crate::articles::reassign_author(tx, row.id, heir)?;
        }
        None if in_use > 0 => {
            let detail = "Articles name this author; send `reassign_to` with the slug or id of who takes the place.";
            return Err(Problem::new(&IN_USE, detail));
        }
        None => {}
    }
    diesel::delete(authors::table.find(row.id)).execute(&mut **tx)?;
    // Another one may have taken their place in articles, wherever they are shown.
    let change = PublicChange::removed(&row.slug).touching([Set::Everything.key()]);
    let mut event = row.event(who, "author.delete", change);
    event.at = now;
    record(tx, &event)
}

fn heir(conn: &mut Conn, deleted: AuthorId, name: &str) -> Result<AuthorId, Problem> {
    let fault = |message| Err(Problem::invalid_query(vec![Fault::query("reassign_to", "not_found", message)]));
    match named(conn, name)? {
        None => fault("There is no author of this slug or id."),
        Some(heir) if heir == deleted => fault("This is the author to be deleted; name another one."),
        Some(heir) => Ok(heir),
    }
}
