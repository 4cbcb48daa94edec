//! Authors: the people whose names stand over articles. A profile is public; an account is not.
//!
//! An author may belong to an account (`user_id`, shown in management only), which makes that account's
//! articles "own". Lists show names in alphabetical order. Deleting an author in use needs `reassign_to`.

use std::collections::HashMap;

use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::{Caller, EditTaxonomy, ReadTaxonomy, UserId, UserKind};
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::counts;
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Document, Id, Timestamp, Tx};
use crate::http::answer::Resolved;
use crate::http::problem::IN_USE;
use crate::http::{
    Created, Delivered, Draft, Drafted, Editable, Fault, Found, IfMatch, ListOf, ListQuery, Managed, MergePatch,
    NoContent, NoParameters, Operations, Path, Problem, Query, SortKind, SortValue, Sorted, Strict, Versioned, Warning,
    WriteOptions, page,
};
use crate::parts::{Image, Link};
use crate::schema::{article_references, authors, users};
use crate::slugs::{self, Slug};
use crate::state::App;
use crate::text;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_authors, list_authors)
        .operation(__path_get_author, get_author)
        .operation(__path_list_managed_authors, list_managed_authors)
        .operation(__path_create_author, create_author)
        .operation(__path_get_managed_author, get_managed_author)
        .operation(__path_update_author, update_author)
        .operation(__path_delete_author, delete_author)
}

/// Marks the id of an author.
#[derive(Debug, Clone, Copy)]
pub struct AuthorKind;
/// The id of an author.
pub(crate) type AuthorId = Id<AuthorKind>;

/// What an editor writes of an author.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct AuthorContent {
    /// The name in addresses; made from `name` where it is left out or null.
    #[schema(max_length = 120, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "maya-lindqvist")]
    pub slug: Option<String>,
    /// The name as it is printed.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Maya Lindqvist"
    )]
    pub name: String,
    /// Degrees and titles, as they follow the name.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*$", example = "M.A., Psychology")]
    pub credentials: Option<String>,
    /// Who the author is, in Markdown.
    #[schema(max_length = 20_000)]
    pub bio_markdown: String,
    /// A portrait.
    pub avatar: Option<Image>,
    /// Where else to find the author.
    #[schema(max_items = 20)]
    pub links: Vec<Link>,
    /// The account that the author belongs to; null for a guest. Never shown by delivery.
    pub user_id: Option<UserId>,
}

/// An author, as delivery shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Author {
    /// The id.
    pub id: AuthorId,
    /// The name in addresses.
    pub slug: String,
    /// The name as it is printed.
    pub name: String,
    /// Degrees and titles, as they follow the name; null where there are none.
    pub credentials: Option<String>,
    /// Who the author is, in Markdown.
    pub bio_markdown: String,
    /// The same as sanitised HTML.
    pub bio_html: String,
    /// A portrait; null where there is none.
    pub avatar: Option<Image>,
    /// Where else to find the author.
    pub links: Vec<Link>,
    /// How many articles the list filtered by this author has, in all languages.
    #[schema(minimum = 0)]
    pub article_count: i64,
}

/// An author, as management shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ManagedAuthor {
    /// What an editor writes.
    #[serde(flatten)]
    pub content: AuthorContent,
    /// The id.
    pub id: AuthorId,
    /// The biography as sanitised HTML.
    pub bio_html: String,
    /// How many public articles name the author.
    #[schema(minimum = 0)]
    pub article_count: i64,
    /// When the author was made.
    pub created_at: Timestamp,
    /// When the author was last saved.
    pub saved_at: Timestamp,
    /// What sanitising removed in this write, and what else should be looked at; empty on reads.
    pub warnings: Vec<Warning>,
}

impl Editable for AuthorContent {
    const NAME: &'static str = "Author";
    const REQUIRED: &'static [&'static str] = &["name"];
    type Answer = ManagedAuthor;
}

/// What an article says of an author.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuthorSummary {
    /// The id.
    pub id: AuthorId,
    /// The name in addresses.
    pub slug: String,
    /// The name as it is printed.
    pub name: String,
    /// Degrees and titles, as they follow the name; null where there are none.
    pub credentials: Option<String>,
    /// A portrait; null where there is none.
    pub avatar: Option<Image>,
}

/// The list has no filters.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListAuthors {}

/// How an author is deleted.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteAuthor {
    /// The slug or id of the author who takes the deleted one's place in every article.
    #[param(max_length = 120, min_length = 1)]
    reassign_to: Option<String>,
    /// Checks everything and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    validate_only: bool,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = authors, treat_none_as_null = true)]
pub(crate) struct AuthorRow {
    id: AuthorId,
    row_version: i64,
    slug: String,
    name: String,
    name_key: String,
    user_id: Option<Id<UserKind>>,
    content: Document<AuthorContent>,
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
    fn published(self, conn: &mut Conn) -> Result<Author, Problem> {
        let content = self.content.0;
        Ok(Author {
            id: self.id,
            slug: self.slug,
            name: self.name,
            credentials: content.credentials,
            bio_html: text::render(&content.bio_markdown).html,
            bio_markdown: content.bio_markdown,
            avatar: content.avatar,
            links: content.links,
            article_count: counts::articles(conn, counts::Facet::Author(self.id), None)?,
        })
    }

    fn managed(self, conn: &mut Conn, warnings: Vec<Warning>) -> Result<ManagedAuthor, Problem> {
        Ok(ManagedAuthor {
            bio_html: text::render(&self.content.0.bio_markdown).html,
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

/// List authors
///
/// Every author in alphabetical order, with how many published articles each has. Open to anyone.
#[utoipa::path(get, path = "/api/v1/authors", tag = "Authors")]
pub(crate) async fn list_authors(
    app: Data<App>,
    query: ListQuery<ListAuthors>,
) -> Result<Delivered<ListOf<Author>>, Problem> {
    let ((items, page, links), version) = app
        .db
        .snapshot(move |conn, version| Ok::<_, Problem>((part(conn, &query, AuthorRow::published)?, version)))
        .await?;
    Ok(app.delivered(ListOf { items, page }, version).with_links(links))
}

/// Get an author
///
/// One author by slug. A former slug answers `308` to the present one. Open to anyone.
#[utoipa::path(get, path = "/api/v1/authors/{slug}", tag = "Authors")]
pub(crate) async fn get_author(
    app: Data<App>,
    Path(Slug(slug)): Path<Slug>,
    _query: Query<NoParameters>,
) -> Result<Resolved<Author>, Problem> {
    let (found, version) = app
        .db
        .snapshot(move |conn, version| {
            if let Some(row) = by_slug(conn, &slug)? {
                return Ok::<_, Problem>((Ok(row.published(conn)?), version));
            }
            let target = by_former_slug(conn, &slug)?.ok_or_else(Problem::not_found)?;
            Ok((Err(target.slug), version))
        })
        .await?;
    Ok(match found {
        Ok(author) => Resolved::Here(app.delivered(author, version)),
        Err(slug) => Resolved::moved(format!("/api/v1/authors/{slug}"), version, app.cache_policy()),
    })
}

/// List authors in management
///
/// Every author in alphabetical order, as it can be edited. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/authors", tag = "Authors")]
pub(crate) async fn list_managed_authors(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    query: ListQuery<ListAuthors>,
) -> Result<Managed<ListOf<ManagedAuthor>>, Problem> {
    let (items, page, links) =
        app.db.read(move |conn| part(conn, &query, |row, conn| row.managed(conn, Vec::new()))).await?;
    Ok(Managed::new(ListOf { items, page }).with_links(links))
}

/// Get an author in management
///
/// One author by id, with the `ETag` that a change of it needs. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/authors/{id}", tag = "Authors")]
pub(crate) async fn get_managed_author(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    Path(id): Path<AuthorId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ManagedAuthor>, Problem> {
    let (author, row_version) = app
        .db
        .read(move |conn| {
            let row = by_id(conn, id)?.ok_or_else(Problem::not_found)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((row.managed(conn, Vec::new())?, row_version))
        })
        .await?;
    Ok(Versioned::new(author, row_version))
}

/// Create an author
///
/// The author is public at once, with no articles. For `editor` and `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/authors", tag = "Authors",
    responses((status = 409, description = "The slug is taken; `holder` names who has it."))
)]
pub(crate) async fn create_author(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    strict: Strict,
    draft: Draft<AuthorContent>,
) -> Result<Created<ManagedAuthor>, Problem> {
    let (who, now, id) = (caller.who(), app.clock.now(), AuthorId::generate());
    let author = app
        .write(options.validate_only, move |tx| {
            let Drafted { content, warnings } = draft.create(|content| check_user(tx, id, content.user_id))?;
            let warnings = with_removals(&content, warnings, strict)?;
            insert(tx, id, content, who, now)?.managed(tx, warnings)
        })
        .await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/authors/{}", author.id));
    Ok(Created::new(author, location, 1))
}

/// Change an author
///
/// A JSON Merge Patch (RFC 7396). A changed slug leaves the old one leading to the new. For `editor` and `admin`.
#[utoipa::path(
    patch, path = "/api/v1/manage/authors/{id}", tag = "Authors",
    responses((status = 409, description = "The slug is taken; `holder` names who has it."))
)]
pub(crate) async fn update_author(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<AuthorId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    strict: Strict,
    patch: MergePatch<AuthorContent>,
) -> Result<Versioned<ManagedAuthor>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let (author, row_version) = app
        .write(options.validate_only, move |tx| {
            let row = by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let answer = row.clone().managed(tx, Vec::new())?;
            let check = |content: &mut AuthorContent| check_user(tx, id, content.user_id);
            let Drafted { content, warnings } = patch.apply(&row.content.0, &answer, check)?;
            let warnings = with_removals(&content, warnings, strict)?;
            let row = save(tx, row, content, who, now)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((row.managed(tx, warnings)?, row_version))
        })
        .await?;
    Ok(Versioned::new(author, row_version))
}

/// Delete an author
///
/// An author whom any article names, also a draft, is deleted only with `reassign_to`: that author takes
/// the deleted one's place, and the old slug leads there. For `editor` and `admin`.
#[utoipa::path(
    delete, path = "/api/v1/manage/authors/{id}", tag = "Authors",
    responses((status = 409, description = "Articles name the author; send `reassign_to`."))
)]
pub(crate) async fn delete_author(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<AuthorId>,
    Query(options): Query<DeleteAuthor>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    app.write(options.validate_only, move |tx| {
        let row = by_id(tx, id)?.ok_or_else(Problem::not_found)?;
        if_match.check(row.row_version)?;
        remove(tx, &row, options.reassign_to.as_deref(), who, now)
    })
    .await?;
    Ok(NoContent)
}

type Part<T> = (Vec<T>, page::Page, Option<String>);

fn part<T>(
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

fn by_id(conn: &mut Conn, id: AuthorId) -> Result<Option<AuthorRow>, Problem> {
    Ok(authors::table.find(id).select(AuthorRow::as_select()).first(conn).optional()?)
}

fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<AuthorRow>, Problem> {
    Ok(authors::table.filter(authors::slug.eq(slug)).select(AuthorRow::as_select()).first(conn).optional()?)
}

/// The author who used to have this slug; none where that one is deleted.
fn by_former_slug(conn: &mut Conn, slug: &str) -> Result<Option<AuthorRow>, Problem> {
    match slugs::former(conn, slugs::Kind::Author, slug)? {
        Some(id) => by_id(conn, AuthorId::from_uuid(id)),
        None => Ok(None),
    }
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
    let rows: Vec<AuthorRow> =
        authors::table.filter(authors::id.eq_any(ids)).select(AuthorRow::as_select()).load(conn)?;
    let summary = |row: AuthorRow| AuthorSummary {
        id: row.id,
        slug: row.slug,
        name: row.name,
        credentials: row.content.0.credentials,
        avatar: row.content.0.avatar,
    };
    Ok(rows.into_iter().map(|row| (row.id, summary(row))).collect())
}

fn with_removals(content: &AuthorContent, mut warnings: Vec<Warning>, strict: Strict) -> Result<Vec<Warning>, Problem> {
    let removed = text::render(&content.bio_markdown).removed;
    warnings.extend(removed.into_iter().map(|removed| removed.warning("/bio_markdown")));
    strict.check(&warnings)?;
    Ok(warnings)
}

/// Stores a new author and says so in both logs.
///
/// # Errors
/// A taken slug.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    id: AuthorId,
    content: AuthorContent,
    who: Who,
    now: Timestamp,
) -> Result<AuthorRow, Problem> {
    let row = row_of(tx, id, content, now, now, 1)?;
    diesel::insert_into(authors::table).values(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "author.create", PublicChange::created(&row.slug)))?;
    Ok(row)
}

fn save(
    tx: &mut Tx<'_>,
    before: AuthorRow,
    content: AuthorContent,
    who: Who,
    now: Timestamp,
) -> Result<AuthorRow, Problem> {
    let row = row_of(tx, before.id, content, before.created_at, now, before.row_version + 1)?;
    if row.content == before.content {
        return Ok(before);
    }
    if row.slug != before.slug {
        slugs::retire(tx, slugs::Kind::Author, &before.slug, row.id.uuid(), now)?;
    }
    diesel::update(authors::table.find(row.id)).set(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "author.update", PublicChange::updated(&row.slug)))?;
    Ok(row)
}

/// The row of an author; makes the slug where there is none and checks what a schema can't.
fn row_of(
    tx: &mut Tx<'_>,
    id: AuthorId,
    mut content: AuthorContent,
    created_at: Timestamp,
    now: Timestamp,
    row_version: i64,
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
        created_at,
        saved_at: now,
    })
}

/// An account belongs to one author at most.
fn check_user(conn: &mut Conn, author: AuthorId, user: Option<UserId>) -> Result<Vec<Fault>, Problem> {
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

fn remove(
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
    let mut event = row.event(who, "author.delete", PublicChange::removed(&row.slug));
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
