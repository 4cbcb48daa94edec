//! Redirects: paths of the public site that lead elsewhere, made by hand or left behind by a changed slug.
//!
//! What has an address now always wins over a redirect from there, and one made by hand over a former slug.

pub(crate) mod formats;
mod store;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::formats::RedirectFormat;
use self::store::RedirectRow;
pub(crate) use self::store::{former, made_by_hand};
use crate::auth::{Caller, EditTaxonomy, ReadTaxonomy};
use crate::cdn::keys::{Key, Set};
use crate::db::{Id, Timestamp};
use crate::http::answer::Either;
use crate::http::{
    Created, Delivered, DeliveredText, Draft, Drafted, Editable, Fault, IfMatch, ListOf, ListQuery, Managed,
    MergePatch, NoParameters, Operations, Path, Problem, Query, Removed, Versioned, Warning, WriteOptions,
};
use crate::state::App;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_redirects, list_redirects)
        .operation(__path_list_managed_redirects, list_managed_redirects)
        .operation(__path_create_redirect, create_redirect)
        .operation(__path_get_managed_redirect, get_managed_redirect)
        .operation(__path_update_redirect, update_redirect)
        .operation(__path_delete_redirect, delete_redirect)
}

/// Marks the id of a redirect.
#[derive(Debug, Clone, Copy)]
pub struct RedirectKind;
/// The id of a redirect.
pub(crate) type RedirectId = Id<RedirectKind>;

/// What an editor writes of a redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RedirectContent {
    /// The path on the public site that leads elsewhere, without a query; other characters percent-encoded.
    #[schema(
        min_length = 1,
        max_length = 1000,
        pattern = "^/(([A-Za-z0-9._~!&()+,=@-]|%[0-9A-Fa-f]{2})([A-Za-z0-9._~!&()+,=@/-]|%[0-9A-Fa-f]{2})*)?$",
        example = "/help-line"
    )]
    pub from: String,
    /// Where it leads: a path on the public site, or an https or http URL.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r#"^(https?://[^\x00-\x20\x7F/"'\\<>^`{|}]|/([^\x00-\x20\x7F/"'\\<>^`{|}]|$))[^\x00-\x20\x7F"'\\<>^`{|}]*$"#,
        example = "/contact"
    )]
    pub to: String,
    /// Whether it holds for good (`301` or `308`), so that caches and search engines remember it.
    pub permanent: bool,
}

impl Default for RedirectContent {
    fn default() -> Self {
        Self { from: String::new(), to: String::new(), permanent: true }
    }
}

/// A redirect, as management shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ManagedRedirect {
    /// What an editor writes.
    #[serde(flatten)]
    pub content: RedirectContent,
    /// The id.
    pub id: RedirectId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub saved_at: Timestamp,
    /// What should be looked at after this write; empty on reads.
    pub warnings: Vec<Warning>,
}

impl Editable for RedirectContent {
    const NAME: &'static str = "Redirect";
    const REQUIRED: &'static [&'static str] = &["from", "to"];
    type Answer = ManagedRedirect;
}

/// Why a path leads elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RedirectReason {
    /// An article's slug was changed.
    Article,
    /// An author's slug was changed, or another author took the place.
    Author,
    /// A category's slug was changed, or another category took the place.
    Category,
    /// Somebody made it.
    Manual,
}

/// A path of the public site that leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Redirect {
    /// The path.
    #[schema(example = "/articles/first-steps")]
    pub from: String,
    /// Where it leads: a path on the public site, or an https or http URL.
    #[schema(example = "/articles/the-first-steps")]
    pub to: String,
    /// Whether it holds for good.
    pub permanent: bool,
    /// Why it leads elsewhere.
    pub reason: RedirectReason,
}

/// How redirects are listed.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRedirects {
    /// For whom: JSON page by page or, all at once, the `_redirects` file of Netlify and others, the directives of an
    /// nginx server, or what `redirects()` returns in the configuration of Next.js.
    #[serde(default)]
    #[param(inline)]
    format: RedirectFormat,
}

/// List redirects
///
/// Every path of the public site that leads elsewhere, in the order of the paths: former slugs of what is public, and
/// redirects that were made by hand. The formats for servers have all of them, and take no paging. Open to anyone.
#[utoipa::path(get, path = "/api/v1/redirects", tag = "Redirects")]
pub(crate) async fn list_redirects(
    app: Data<App>,
    query: ListQuery<ListRedirects>,
) -> Result<Either<Delivered<ListOf<Redirect>>, DeliveredText>, Problem> {
    let format = query.filters.format;
    if format == RedirectFormat::Json {
        let ((list, links), seen) = app
            .read_public(move |reader| {
                reader.names(keys);
                store::part(reader.conn, reader.config, &query)
            })
            .await?;
        return Ok(Either::First(app.delivered(list, seen).with_links(links)));
    }
    if query.paging.cursor.is_some() || query.paging.page.is_some() {
        let message = "This format has all redirects at once.";
        let name = if query.paging.page.is_some() { "page" } else { "cursor" };
        return Err(Problem::invalid_query(vec![Fault::query(name, "conflict", message)]));
    }
    let (all, seen) = app
        .read_public(|reader| {
            reader.names(keys);
            store::all(reader.conn, reader.config)
        })
        .await?;
    Ok(Either::Second(app.delivered_text(format.write(&all), seen)))
}

/// What redirects are made of: those by hand, and the former slugs of whatever has one.
fn keys() -> [Key; 4] {
    [Set::Redirects, Set::Articles, Set::Authors, Set::Categories].map(Set::key)
}

/// List redirects in management
///
/// The redirects that were made by hand, in the order of their paths. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/redirects", tag = "Redirects")]
pub(crate) async fn list_managed_redirects(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<ManagedRedirect>>, Problem> {
    let (list, links) = app.db.read(move |conn| store::managed_part(conn, &query)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Get a redirect in management
///
/// One redirect by id, with the `ETag` that a change of it needs. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/redirects/{id}", tag = "Redirects")]
pub(crate) async fn get_managed_redirect(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    Path(id): Path<RedirectId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ManagedRedirect>, Problem> {
    let row = app.db.read(move |conn| store::by_id(conn, id)?.ok_or_else(Problem::not_found)).await?;
    let row_version = row.row_version;
    Ok(Versioned::new(row.managed(Vec::new()), row_version))
}

/// Create a redirect
///
/// Public at once. A path where something has its address now leads there all the same. For `editor` and `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/redirects", tag = "Redirects",
    responses((status = 409, description = "There is a redirect from this path; `holder` names it."))
)]
pub(crate) async fn create_redirect(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    draft: Draft<RedirectContent>,
) -> Result<Created<ManagedRedirect>, Problem> {
    let (who, now, id, state) = (caller.who(), app.clock.now(), RedirectId::generate(), app.clone());
    let redirect = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let Drafted { content, warnings, .. } =
                draft.create(|content| store::faults(tx, &state.config, id, content))?;
            Ok(store::insert(tx, id, content, who, now)?.managed(warnings))
        })
        .await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/redirects/{id}"));
    Ok(Created::new(redirect, location, 1))
}

/// Change a redirect
///
/// A JSON Merge Patch (RFC 7396). Public at once. For `editor` and `admin`.
#[utoipa::path(
    patch, path = "/api/v1/manage/redirects/{id}", tag = "Redirects",
    responses((status = 409, description = "There is a redirect from this path; `holder` names it."))
)]
pub(crate) async fn update_redirect(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<RedirectId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<RedirectContent>,
) -> Result<Versioned<ManagedRedirect>, Problem> {
    let (who, now, state) = (caller.who(), app.clock.now(), app.clone());
    let (redirect, row_version) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let (seen_version, answer) = (row.row_version, row.clone().managed(Vec::new()));
            let Drafted { content, warnings, .. } =
                patch.apply(&row.content.0, &answer, |content| store::faults(tx, &state.config, id, content))?;
            let row: RedirectRow = store::save(tx, row, content, who, now)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            Ok((row.managed(warnings), row_version))
        })
        .await?;
    Ok(Versioned::new(redirect, row_version))
}

/// Delete a redirect
///
/// Its path leads nowhere from then on, unless something has its address there. For `editor` and `admin`.
#[utoipa::path(delete, path = "/api/v1/manage/redirects/{id}", tag = "Redirects")]
pub(crate) async fn delete_redirect(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<RedirectId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<ManagedRedirect>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let redirect = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            store::remove(tx, &row, who, now)?;
            Ok(row.managed(Vec::new()))
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(redirect) } else { Removed::Done })
}
