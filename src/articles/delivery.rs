//! Delivery of articles: what anyone may read.

use std::sync::Arc;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::assemble::{self, Item};
use super::bodies;
use super::delivered::Article;
use super::filters::ListArticles;
use super::model::ArticleId;
use super::published::{self, WithdrawnRow};
use super::related;
use super::views::{ArticleInclude, ArticleListItem, ArticleSummary, ListInclude};
use crate::cdn::keys::Key;
use crate::config::Config;
use crate::db::{Conn, Timestamp};
use crate::http::delivered::Resolved;
use crate::http::problem::GONE;
use crate::http::{Delivered, Found, ListOf, ListQuery, Path, Problem, Query, SortValue, Sorted, page};
use crate::slugs::{self, Slug};
use crate::state::{App, PublicReader};

/// What one article may show beyond what it always shows.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GetArticle {
    /// Adds the text as it was written, or in parts.
    #[serde(default)]
    #[param(inline, max_items = 2, example = json!(["sections"]))]
    include: Vec<ArticleInclude>,
}

/// How many related articles are wanted.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRelated {
    /// How many articles at most.
    #[serde(default = "default_related")]
    #[param(minimum = 1, maximum = 100, default = 3, example = 3)]
    limit: u32,
}

fn default_related() -> u32 {
    3
}

/// Related articles, most related first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct RelatedArticles {
    /// The articles.
    #[schema(max_items = 100)]
    pub items: Vec<ArticleSummary>,
    /// The limit that was applied; related articles are not walked page by page.
    pub page: page::Page,
}

/// An article that was published and is withdrawn.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Withdrawal {
    /// Since when it is not public any more.
    withdrawn_at: Timestamp,
    /// Where to go instead; null where there is no such place.
    successor: Option<Successor>,
}

/// Where a withdrawn article's readers should go.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Successor {
    /// The slug of the article that takes the place.
    pub slug: String,
    /// Its page on the public site.
    pub url: String,
}

/// List articles
///
/// Published articles, newest first. A filter may repeat or hold a comma list (any of them); different
/// filters must all hold. A category or author that names nothing is a fault. Open to anyone.
#[utoipa::path(get, path = "/api/v1/articles", tag = "Articles")]
pub(super) async fn list_articles(
    app: Data<App>,
    query: ListQuery<ListArticles, true>,
) -> Result<Delivered<ListOf<ArticleListItem>>, Problem> {
    let ((list, links), seen) = app.read_public(move |reader| list(reader, &query)).await?;
    Ok(app.delivered(list, seen).with_links(links))
}

/// Get an article
///
/// One published article by slug. A slug that it used to have answers `308` to the present one; what was
/// published and is withdrawn answers `410` with when, and a successor if one is set. Open to anyone.
#[utoipa::path(
    get, path = "/api/v1/articles/{slug}", tag = "Articles",
    responses((
        status = 410, description = "It was published and is withdrawn; `withdrawn_at` says when, `successor` where to go (or null).",
    ))
)]
pub(super) async fn get_article(
    app: Data<App>,
    Path(Slug(slug)): Path<Slug>,
    Query(query): Query<GetArticle>,
) -> Result<Resolved<Article>, Problem> {
    let (found, seen) = app.read_public(move |reader| get(reader, &slug, &query)).await?;
    Ok(match found {
        Ok(article) => Resolved::Here(app.delivered(article, seen)),
        Err(slug) => Resolved::moved(format!("/api/v1/articles/{slug}"), &seen, app.cache_policy()),
    })
}

/// List related articles
///
/// Published articles in the same language that share tags and categories with this one, most related
/// first; rarer ones weigh more. The first three stand in the article itself. Open to anyone.
#[utoipa::path(
    get, path = "/api/v1/articles/{slug}/related", tag = "Articles",
    responses((status = 410, description = "The article is withdrawn."))
)]
pub(super) async fn list_related_articles(
    app: Data<App>,
    Path(Slug(slug)): Path<Slug>,
    Query(query): Query<ListRelated>,
) -> Result<Resolved<RelatedArticles>, Problem> {
    let (found, seen) = app
        .read_public(move |reader| match published::by_slug(reader.conn, &slug)? {
            None => moved(reader, &slug).map(Err),
            Some(id) => related_to(reader, id, query.limit).map(Ok),
        })
        .await?;
    Ok(match found {
        Ok(related) => Resolved::Here(app.delivered(related, seen)),
        Err(slug) => Resolved::moved(format!("/api/v1/articles/{slug}/related"), &seen, app.cache_policy()),
    })
}

type Part = (ListOf<ArticleListItem>, Option<String>);

/// An article in a sorted list.
struct Listed {
    item: Arc<Item>,
    keys: Vec<SortValue>,
}

impl Sorted for Listed {
    fn sort_values(&self) -> Vec<SortValue> {
        self.keys.clone()
    }
    fn id(&self) -> Uuid {
        self.item.properties.id.uuid()
    }
}

fn list(reader: &mut PublicReader<'_>, query: &ListQuery<ListArticles, true>) -> Result<Part, Problem> {
    let plan = query.filters.plan(reader.conn, &reader.config.language, query.faults.clone())?;
    let (limit, start) = (query.paging.limit, query.paging.start(&query.fingerprint, &plan.kinds())?);
    let ids = plan.list.page(reader.conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(plan.count(reader.conn)?) } else { None };
    reader.names(|| plan.keys());
    let items = assemble::items(reader, &ids.ids)?;
    let listed = items.iter().map(|item| Listed { keys: plan.values(item), item: Arc::clone(item) }).collect();
    let found = Found { items: listed, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = assemble::listed(reader, &items, &query.filters.include)?;
    Ok((ListOf { items, page }, links))
}

fn get(reader: &mut PublicReader<'_>, slug: &str, query: &GetArticle) -> Result<Result<Article, String>, Problem> {
    match whole(reader, slug, &query.include)? {
        Some(article) => Ok(Ok(article)),
        None => moved(reader, slug).map(Err),
    }
}

fn whole(reader: &mut PublicReader<'_>, slug: &str, include: &[ArticleInclude]) -> Result<Option<Article>, Problem> {
    let Some((row, body)) = published::with_body(reader.conn, slug)? else { return Ok(None) };
    let mut wanted = ListInclude::ALWAYS_IN_ONE.to_vec();
    wanted.extend(include.iter().map(|one| ListInclude::from(*one)));
    let id = row.article_id;
    reader.names(|| [Key::article(id.uuid())]);
    let has_forms = bodies::has_forms(&wanted);
    let forms = if has_forms { bodies::forms_of(reader.conn, &[id])?.remove(&id) } else { None };
    assemble::one(reader, row, (body, forms), &wanted).map(Some)
}

/// The public article of a present slug, with all that its own address answers.
///
/// # Errors
/// What the database says.
pub(crate) fn public(reader: &mut PublicReader<'_>, slug: &str) -> Result<Option<Article>, Problem> {
    whole(reader, slug, &[])
}

/// Whether a public article has a slug now.
///
/// # Errors
/// What the database says.
pub(crate) fn is_public(conn: &mut Conn, slug: &str) -> Result<bool, Problem> {
    Ok(published::by_slug(conn, slug)?.is_some())
}

/// The present slug of the public article that used to have this one.
///
/// # Errors
/// What the database says.
pub(crate) fn present_slug(conn: &mut Conn, former: &str) -> Result<Option<String>, Problem> {
    let Some(id) = slugs::former(conn, slugs::Kind::Article, former)? else { return Ok(None) };
    Ok(published::by_id(conn, ArticleId::from_uuid(id))?.map(|row| row.slug))
}

/// The withdrawn article that has or had a slug.
///
/// # Errors
/// What the database says.
pub(crate) fn withdrawal(conn: &mut Conn, config: &Config, slug: &str) -> Result<Option<Withdrawal>, Problem> {
    let by_former = match slugs::former(conn, slugs::Kind::Article, slug)? {
        Some(id) => published::withdrawn_by_id(conn, ArticleId::from_uuid(id))?,
        None => None,
    };
    let row = match by_former {
        Some(row) => Some(row),
        None => published::withdrawn_by_slug(conn, slug)?,
    };
    row.map(|row| withdrawn(conn, config, &row)).transpose()
}

fn related_to(reader: &mut PublicReader<'_>, id: ArticleId, limit: u32) -> Result<RelatedArticles, Problem> {
    reader.names(|| [Key::article(id.uuid())]);
    let article = assemble::unnamed_items(reader, &[id.uuid()])?;
    let ids = related::ids(reader, article.values().map(|item| &item.properties), limit as usize)?.concat();
    let page = page::Page { limit, next_cursor: None, number: None, total_items: None, total_pages: None };
    Ok(RelatedArticles { items: assemble::summaries(reader, &ids)?, page })
}

/// The present slug that a former one leads to.
///
/// # Errors
/// `410` for what is withdrawn, `404` for what never was.
fn moved(reader: &mut PublicReader<'_>, slug: &str) -> Result<String, Problem> {
    let (conn, config) = (&mut *reader.conn, reader.config);
    if let Some(slug) = present_slug(conn, slug)? {
        return Ok(slug);
    }
    match withdrawal(conn, config, slug)? {
        Some(withdrawal) => Err(Problem::new(&GONE, "The article was published and has been withdrawn.")
            .with_member("withdrawn_at", withdrawal.withdrawn_at)
            .with_member("successor", withdrawal.successor)),
        None => Err(Problem::not_found()),
    }
}

fn withdrawn(conn: &mut Conn, config: &Config, row: &WithdrawnRow) -> Result<Withdrawal, Problem> {
    let target = match row.successor_id {
        Some(id) => published::by_id(conn, id)?,
        None => None,
    };
    let successor = target.map(|row| Successor { url: config.article_url(&row.slug), slug: row.slug });
    Ok(Withdrawal { withdrawn_at: row.withdrawn_at, successor })
}
