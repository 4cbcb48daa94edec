//! Authors: the people whose names stand over articles. A profile is public; an account is not.
//!
//! An author may belong to an account (`user_id`, shown in management only), which makes that account's
//! articles "own". Lists show names in alphabetical order. Deleting an author in use needs `reassign_to`.

mod store;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::store::{AuthorRow, by_former_slug, by_id, by_slug, check_user, part, remove, save, with_removals};
pub(crate) use self::store::{has_slug, insert, named, of_user, part_from_user, present_slug, public, summaries};
use crate::auth::{Caller, EditTaxonomy, ReadTaxonomy, UserId};
use crate::cdn::keys::{Key, Set};
use crate::db::{Id, Timestamp};
use crate::http::delivered::Resolved;
use crate::http::{
    Created, Delivered, Draft, Editable, IfMatch, ListOf, ListQuery, Managed, MergePatch, NoParameters, Operations,
    Path, Problem, Query, Removed, Strict, Versioned, Warning, WriteOptions,
};
use crate::parts::{Image, Link};
use crate::slugs::Slug;
use crate::state::App;

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
    #[schema(max_length = 20_000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
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
    /// Who the author is, in Markdown as it was written. It may hold HTML that is not safe: `bio_html` is.
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
    #[param(max_length = 120, min_length = 1, pattern = "^[A-Za-z0-9-]+$", example = "maya-ferreira")]
    reassign_to: Option<String>,
    /// Checks everything and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    validate_only: bool,
}

/// List authors
///
/// Every author in alphabetical order, with how many published articles each has. Open to anyone.
#[utoipa::path(get, path = "/api/v1/authors", tag = "Authors")]
pub(crate) async fn list_authors(
    app: Data<App>,
    query: ListQuery<ListAuthors>,
) -> Result<Delivered<ListOf<Author>>, Problem> {
    let ((items, page, links), seen) = app
        .read_public(move |reader| {
            reader.names(|| [Set::Authors.key(), Set::Articles.key()]);
            part(reader.conn, &query, AuthorRow::published)
        })
        .await?;
    Ok(app.delivered(ListOf { items, page }, seen).with_links(links))
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
    let (found, seen) = app
        .read_public(move |reader| {
            if let Some(row) = by_slug(reader.conn, &slug)? {
                let id = row.id;
                reader.names(|| [Key::author(id.uuid()), Key::facet("author", &id.bytes())]);
                return row.published(reader.conn).map(Ok);
            }
            let target = by_former_slug(reader.conn, &slug)?.ok_or_else(Problem::not_found)?;
            Ok(Err(target.slug))
        })
        .await?;
    Ok(match found {
        Ok(author) => Resolved::Here(app.delivered(author, seen)),
        Err(slug) => Resolved::moved(format!("/api/v1/authors/{slug}"), &seen, app.cache_policy()),
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
    let bio = app.render(draft.text("bio_markdown").unwrap_or_default()).await?;
    let author = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let drafted = draft.create(|content| check_user(tx, id, content.user_id))?;
            let warnings = with_removals(&drafted, &bio, strict)?;
            insert(tx, id, drafted.content, bio, who, now)?.managed(tx, warnings)
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
    let bio = app.render(patch.text("bio_markdown").unwrap_or_default()).await?;
    let (author, row_version) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let seen_version = row.row_version;
            let answer = row.clone().managed(tx, Vec::new())?;
            let check = |content: &mut AuthorContent| check_user(tx, id, content.user_id);
            let drafted = patch.apply(&row.content.0, &answer, check)?;
            let warnings = with_removals(&drafted, &bio, strict)?;
            let row = save(tx, row, drafted, bio, who, now)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            Ok((row.managed(tx, warnings)?, row_version))
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
) -> Result<Removed<ManagedAuthor>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let author = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let author = row.clone().managed(tx, Vec::new())?;
            remove(tx, &row, options.reassign_to.as_deref(), who, now)?;
            Ok(author)
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(author) } else { Removed::Done })
}
