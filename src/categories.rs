//! Categories: the tree that articles are filed in.
//!
//! A category has at most one parent, and an article in it counts for its ancestors too. Lists show the
//! order that `position` gives, then the alphabetical one. A category that articles or other categories
//! need is deleted only with `reassign_to`. `tree` knows who is above whom, `store` the database.

mod store;
mod tree;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

pub(crate) use self::store::insert;
pub(crate) use self::store::{descendants, has_slug, named, present_slug, public, summaries};
pub(crate) use self::tree::Tree as Lineage;
use crate::auth::{Caller, EditTaxonomy, ReadTaxonomy};
use crate::cdn::keys::{Key, Set};
use crate::db::{Id, Timestamp};
use crate::http::delivered::Resolved;
use crate::http::{
    Created, Delivered, Draft, Drafted, Editable, IfMatch, ListOf, ListQuery, Managed, MergePatch, NoParameters,
    Operations, Path, Problem, Query, Removed, Versioned, Warning, WriteOptions,
};
use crate::slugs::Slug;
use crate::state::App;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_categories, list_categories)
        .operation(__path_get_category, get_category)
        .operation(__path_list_managed_categories, list_managed_categories)
        .operation(__path_create_category, create_category)
        .operation(__path_get_managed_category, get_managed_category)
        .operation(__path_update_category, update_category)
        .operation(__path_delete_category, delete_category)
        .optional_members("Category", &["children"])
}

/// Marks the id of a category.
#[derive(Debug, Clone, Copy)]
pub struct CategoryKind;
/// The id of a category.
pub(crate) type CategoryId = Id<CategoryKind>;

/// What an editor writes of a category.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CategoryContent {
    /// The name in addresses; made from `name` where it is left out or null.
    #[schema(max_length = 120, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "abused-substances")]
    pub slug: Option<String>,
    /// The name as it is printed.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Abused Substances"
    )]
    pub name: String,
    /// What the category is about: plain text, which may have several lines.
    #[schema(
        max_length = 2000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "What particular substances do, and how to stay safer."
    )]
    pub description: String,
    /// The category above this one: its id in answers, its id or slug in requests; null for a root. The tree
    /// has at most ten levels.
    #[schema(
        min_length = 1,
        max_length = 120,
        pattern = "^[A-Za-z0-9-]+$",
        example = "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1"
    )]
    pub parent: Option<String>,
    /// The place among its siblings, the smallest first; those of equal position stand in alphabetical order.
    #[schema(minimum = 0, maximum = 1_000_000, example = 10)]
    pub position: i64,
}

/// A category, as delivery shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Category {
    /// The id.
    pub id: CategoryId,
    /// The name in addresses.
    pub slug: String,
    /// The name as it is printed.
    pub name: String,
    /// What the category is about: plain text, which may have several lines; empty where nothing was written.
    pub description: String,
    /// The slug of the category above this one; null for a root.
    pub parent: Option<String>,
    /// The place among its siblings, the smallest first.
    pub position: i64,
    /// How many articles the list filtered by this category has, in all languages: those of its descendants too.
    #[schema(minimum = 0)]
    pub article_count: i64,
    /// With `include=children`: the categories below this one, in the order of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Category>, no_recursion)]
    pub children: Option<Vec<Category>>,
}

/// A category, as management shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ManagedCategory {
    /// What an editor writes.
    #[serde(flatten)]
    pub content: CategoryContent,
    /// The id.
    pub id: CategoryId,
    /// How many public articles are in the category or below it.
    #[schema(minimum = 0)]
    pub article_count: i64,
    /// What the ids of this category name.
    pub expanded: ExpandedCategory,
    /// When the category was made.
    pub created_at: Timestamp,
    /// When the category was last saved.
    pub saved_at: Timestamp,
    /// What should be looked at after this write; empty on reads.
    pub warnings: Vec<Warning>,
}

impl Editable for CategoryContent {
    const NAME: &'static str = "Category";
    const REQUIRED: &'static [&'static str] = &["name"];
    type Answer = ManagedCategory;
}

/// What the ids of a category name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExpandedCategory {
    /// The category above; null for a root.
    pub parent: Option<CategorySummary>,
}

/// What an article says of a category.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CategorySummary {
    /// The id.
    pub id: CategoryId,
    /// The name in addresses.
    pub slug: String,
    /// The name as it is printed.
    pub name: String,
}

/// What a list of categories adds to its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CategoryInclude {
    /// The categories below, nested.
    Children,
}

/// How categories are listed.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListCategories {
    /// `children`: the items are the roots alone, each with those below it in `children`, and so on.
    #[serde(default)]
    #[param(inline, max_items = 1, example = json!(["children"]))]
    include: Vec<CategoryInclude>,
}

/// How a category is deleted.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteCategory {
    /// The slug or id of the category that takes the deleted one's place, in articles and above other categories.
    #[param(max_length = 120, min_length = 1, pattern = "^[A-Za-z0-9-]+$", example = "treatment")]
    reassign_to: Option<String>,
    /// Checks everything and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    validate_only: bool,
}

/// List categories
///
/// Every category by `position` and then in alphabetical order, with how many published articles each has.
/// With `include=children` the pages are of the roots, and the whole tree hangs from them. Open to anyone.
#[utoipa::path(get, path = "/api/v1/categories", tag = "Categories")]
pub(crate) async fn list_categories(
    app: Data<App>,
    query: ListQuery<ListCategories>,
) -> Result<Delivered<ListOf<Category>>, Problem> {
    let ((items, page, links), seen) = app
        .read_public(move |reader| {
            reader.names(|| [Set::Categories.key(), Set::Articles.key()]);
            match query.filters.include.first() {
                Some(CategoryInclude::Children) => store::part(reader.conn, &store::roots(), &query, store::nested),
                None => store::part(reader.conn, &store::all(), &query, store::published),
            }
        })
        .await?;
    Ok(app.delivered(ListOf { items, page }, seen).with_links(links))
}

/// Get a category
///
/// One category by slug. A former slug answers `308` to the present one. Open to anyone.
#[utoipa::path(get, path = "/api/v1/categories/{slug}", tag = "Categories")]
pub(crate) async fn get_category(
    app: Data<App>,
    Path(Slug(slug)): Path<Slug>,
    _query: Query<NoParameters>,
) -> Result<Resolved<Category>, Problem> {
    let (found, seen) = app
        .read_public(move |reader| {
            if let Some(row) = store::by_slug(reader.conn, &slug)? {
                let id = row.id;
                reader.names(|| [Set::Categories.key(), Key::facet("category", &id.bytes())]);
                return store::published_one(reader.conn, row).map(Ok);
            }
            let target = store::by_former_slug(reader.conn, &slug)?.ok_or_else(Problem::not_found)?;
            Ok(Err(target.slug))
        })
        .await?;
    Ok(match found {
        Ok(category) => Resolved::Here(app.delivered(category, seen)),
        Err(slug) => Resolved::moved(format!("/api/v1/categories/{slug}"), &seen, app.cache_policy()),
    })
}

/// List categories in management
///
/// Every category by `position` and then in alphabetical order, as it can be edited. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/categories", tag = "Categories")]
pub(crate) async fn list_managed_categories(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<ManagedCategory>>, Problem> {
    let (items, page, links) =
        app.db.read(move |conn| store::part(conn, &store::all(), &query, store::managed)).await?;
    Ok(Managed::new(ListOf { items, page }).with_links(links))
}

/// Get a category in management
///
/// One category by id, with the `ETag` that a change of it needs. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/categories/{id}", tag = "Categories")]
pub(crate) async fn get_managed_category(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    Path(id): Path<CategoryId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ManagedCategory>, Problem> {
    let (category, row_version) = app
        .db
        .read(move |conn| {
            let row = store::by_id(conn, id)?.ok_or_else(Problem::not_found)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((store::managed_one(conn, row, Vec::new())?, row_version))
        })
        .await?;
    Ok(Versioned::new(category, row_version))
}

/// Create a category
///
/// The category is public at once, with no articles. For `editor` and `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/categories", tag = "Categories",
    responses((status = 409, description = "The slug is taken; `holder` names who has it."))
)]
pub(crate) async fn create_category(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    draft: Draft<CategoryContent>,
) -> Result<Created<ManagedCategory>, Problem> {
    let (who, now, id) = (caller.who(), app.clock.now(), CategoryId::generate());
    let category = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let Drafted { content, warnings, .. } = draft.create(|content| store::resolve_parent(tx, id, content))?;
            let row = insert(tx, id, content, who, now)?;
            store::managed_one(tx, row, warnings)
        })
        .await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/categories/{}", category.id));
    Ok(Created::new(category, location, 1))
}

/// Change a category
///
/// A JSON Merge Patch (RFC 7396). A changed slug leaves the old one leading to the new; a changed parent moves
/// all that is below along. For `editor` and `admin`.
#[utoipa::path(
    patch, path = "/api/v1/manage/categories/{id}", tag = "Categories",
    responses((status = 409, description = "The slug is taken; `holder` names who has it."))
)]
pub(crate) async fn update_category(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<CategoryId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<CategoryContent>,
) -> Result<Versioned<ManagedCategory>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let (category, row_version) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let seen_version = row.row_version;
            let answer = store::managed_one(tx, row.clone(), Vec::new())?;
            let Drafted { content, warnings, .. } =
                patch.apply(&row.content.0, &answer, |content| store::resolve_parent(tx, id, content))?;
            let row = store::save(tx, row, content, who, now)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            Ok((store::managed_one(tx, row, warnings)?, row_version))
        })
        .await?;
    Ok(Versioned::new(category, row_version))
}

/// Delete a category
///
/// A category that any article names, also a draft, or that others stand under, is deleted only with
/// `reassign_to`: that category takes the deleted one's place, and the old slug leads there. For `editor` and
/// `admin`.
#[utoipa::path(
    delete, path = "/api/v1/manage/categories/{id}", tag = "Categories",
    responses((status = 409, description = "Articles name the category, or others stand under it; send `reassign_to`."))
)]
pub(crate) async fn delete_category(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Path(id): Path<CategoryId>,
    Query(options): Query<DeleteCategory>,
    if_match: IfMatch,
) -> Result<Removed<ManagedCategory>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let category = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let category = store::managed_one(tx, row.clone(), Vec::new())?;
            store::remove(tx, &row, options.reassign_to.as_deref(), who, now)?;
            Ok(category)
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(category) } else { Removed::Done })
}
