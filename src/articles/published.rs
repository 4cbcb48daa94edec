//! The SQL of what is public: delivery reads these tables and the taxonomy, and nothing else.

use std::collections::HashMap;

use diesel::prelude::*;
use uuid::Uuid;

use super::bodies::{self, DeliveredBody};
use super::delivered::DeliveredRow;
use super::model::{ArticleId, Content, PublishedBody, PublishedSummary};
use crate::authors::AuthorId;
use crate::categories::{CategoryId, Lineage};
use crate::cdn::keys::Key;
use crate::counts;
use crate::db::{Conn, Document, Timestamp, Tx, among};
use crate::http::Problem;
use crate::schema::{published_articles, published_bodies, published_facets, withdrawn_articles};
use crate::slugs;
use crate::text::RENDERER_VERSION;

/// A public article without its body.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = published_articles)]
pub struct PublishedRow {
    pub article_id: ArticleId,
    pub slug: String,
    pub language: String,
    pub title_key: String,
    pub translation_root: ArticleId,
    pub published_at: Timestamp,
    pub updated_at: Timestamp,
    pub summary: Document<PublishedSummary>,
}

/// An article that was public and is no more.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = withdrawn_articles)]
pub struct WithdrawnRow {
    pub article_id: ArticleId,
    pub slug: String,
    pub withdrawn_at: Timestamp,
    pub successor_id: Option<ArticleId>,
}

/// The id of the public article of a slug.
pub(super) fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<ArticleId>, Problem> {
    Ok(published_articles::table
        .filter(published_articles::slug.eq(slug))
        .select(published_articles::article_id)
        .first(conn)
        .optional()?)
}

/// The public article of an id.
pub(super) fn by_id(conn: &mut Conn, id: ArticleId) -> Result<Option<PublishedRow>, Problem> {
    Ok(published_articles::table.find(id).select(PublishedRow::as_select()).first(conn).optional()?)
}

/// The public article that an id or a slug, present or former, names.
pub(super) fn named(conn: &mut Conn, name: &str) -> Result<Option<ArticleId>, Problem> {
    if let Ok(id) = name.parse::<ArticleId>() {
        return Ok(by_id(conn, id)?.map(|row| row.article_id));
    }
    if let Some(id) = by_slug(conn, name)? {
        return Ok(Some(id));
    }
    match slugs::former(conn, slugs::Kind::Article, name)? {
        Some(id) => Ok(by_id(conn, ArticleId::from_uuid(id))?.map(|row| row.article_id)),
        None => Ok(None),
    }
}

/// The public article of a slug with its body, in one statement.
pub(super) fn with_body(conn: &mut Conn, slug: &str) -> Result<Option<(DeliveredRow, DeliveredBody)>, Problem> {
    Ok(published_articles::table
        .inner_join(published_bodies::table)
        .filter(published_articles::slug.eq(slug))
        .select((DeliveredRow::as_select(), DeliveredBody::as_select()))
        .first(conn)
        .optional()?)
}

/// The public ones of these articles, in this order.
pub(super) fn in_order(conn: &mut Conn, ids: &[Uuid]) -> Result<Vec<DeliveredRow>, Problem> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows: Vec<DeliveredRow> = published_articles::table
        .filter(among(published_articles::article_id, ids.iter().map(|id| *id.as_bytes())))
        .select(DeliveredRow::as_select())
        .load(conn)?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.article_id.uuid()));
    Ok(rows)
}

/// The slugs of those of these articles that are public.
pub(super) fn slugs_of(conn: &mut Conn, ids: &[ArticleId]) -> Result<HashMap<ArticleId, String>, Problem> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut slugs = HashMap::with_capacity(ids.len());
    // A statement can't bind any number of values.
    for ids in ids.chunks(1000) {
        let rows: Vec<(ArticleId, String)> = published_articles::table
            .filter(among(published_articles::article_id, ids.iter().map(|id| id.bytes())))
            .select((published_articles::article_id, published_articles::slug))
            .load(conn)?;
        slugs.extend(rows);
    }
    Ok(slugs)
}

/// A public article among those that share an original.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = published_articles)]
pub(super) struct TranslationRow {
    pub article_id: ArticleId,
    pub translation_root: ArticleId,
    pub language: String,
    pub slug: String,
}

/// The public articles that share one of these originals.
pub(super) fn translations(conn: &mut Conn, roots: &[ArticleId]) -> Result<Vec<TranslationRow>, Problem> {
    if roots.is_empty() {
        return Ok(Vec::new());
    }
    Ok(published_articles::table
        .filter(among(published_articles::translation_root, roots.iter().map(|id| id.bytes())))
        .order((published_articles::language, published_articles::article_id))
        .select(TranslationRow::as_select())
        .load(conn)?)
}

/// The public article in a language that shares this original, other than `id`.
pub(super) fn translation_in(
    conn: &mut Conn,
    root: ArticleId,
    language: &str,
    id: ArticleId,
) -> Result<Option<PublishedRow>, Problem> {
    Ok(published_articles::table
        .filter(published_articles::translation_root.eq(root))
        .filter(published_articles::language.eq(language))
        .filter(published_articles::article_id.ne(id))
        .select(PublishedRow::as_select())
        .first(conn)
        .optional()?)
}

/// The withdrawn article of a slug.
pub(super) fn withdrawn_by_slug(conn: &mut Conn, slug: &str) -> Result<Option<WithdrawnRow>, Problem> {
    Ok(withdrawn_articles::table
        .filter(withdrawn_articles::slug.eq(slug))
        .order(withdrawn_articles::withdrawn_at.desc())
        .select(WithdrawnRow::as_select())
        .first(conn)
        .optional()?)
}

/// The withdrawn article of an id.
pub(super) fn withdrawn_by_id(conn: &mut Conn, id: ArticleId) -> Result<Option<WithdrawnRow>, Problem> {
    Ok(withdrawn_articles::table.find(id).select(WithdrawnRow::as_select()).first(conn).optional()?)
}

/// Makes an article public, in the place of what was public of it before; gives what that touches.
pub(super) fn put(tx: &mut Tx<'_>, row: &PublishedRow, body: &PublishedBody) -> Result<Vec<Key>, Problem> {
    let id = row.article_id;
    let former_slug = by_id(tx, id)?.map(|before| before.slug).or(withdrawn_by_id(tx, id)?.map(|before| before.slug));
    if let Some(slug) = former_slug.filter(|slug| *slug != row.slug) {
        slugs::retire(tx, slugs::Kind::Article, &slug, id.uuid(), row.updated_at)?;
    }
    let mut touched = remove(tx, id)?;
    // Whoever used to have this slug has lost it for good, also where this article is withdrawn one day.
    slugs::forget(tx, slugs::Kind::Article, &row.slug)?;
    diesel::delete(withdrawn_articles::table.find(id)).execute(&mut **tx)?;
    diesel::insert_into(published_articles::table).values(row).execute(&mut **tx)?;
    let (body, forms) = bodies::stored(body)?;
    diesel::insert_into(published_bodies::table)
        .values((
            published_bodies::article_id.eq(id),
            published_bodies::renderer_version.eq(RENDERER_VERSION),
            body,
            forms,
        ))
        .execute(&mut **tx)?;
    counts::add(tx, "all", &[], &row.language, 1)?;
    let lineage = Lineage::load(tx)?;
    let facets = facets_of(tx, &row.summary.0.content, &lineage)?;
    touched.push(Key::article(row.translation_root.uuid()));
    touched.extend(keys(&facets));
    set_facets(tx, row, facets)?;
    Ok(touched)
}

/// Takes an article out of what is public; gives what that touches.
pub(super) fn remove(tx: &mut Tx<'_>, id: ArticleId) -> Result<Vec<Key>, Problem> {
    let Some(row) = by_id(tx, id)? else { return Ok(Vec::new()) };
    let facets = set_facets(tx, &row, Vec::new())?;
    let touched = keys(&facets).chain([Key::article(row.translation_root.uuid())]).collect();
    counts::add(tx, "all", &[], &row.language, -1)?;
    diesel::delete(published_bodies::table.find(id)).execute(&mut **tx)?;
    diesel::delete(published_articles::table.find(id)).execute(&mut **tx)?;
    Ok(touched)
}

/// Remembers that an article was public.
pub(super) fn put_withdrawn(tx: &mut Tx<'_>, row: &WithdrawnRow) -> Result<(), Problem> {
    diesel::insert_into(withdrawn_articles::table).values(row).execute(&mut **tx)?;
    Ok(())
}

/// Files these articles anew, after the taxonomy has changed under them; only what differs is written.
pub(super) fn refresh_facets(tx: &mut Tx<'_>, ids: &[ArticleId]) -> Result<(), Problem> {
    let lineage = Lineage::load(tx)?;
    for id in ids {
        if let Some(row) = by_id(tx, *id)? {
            let wanted = facets_of(tx, &row.summary.0.content, &lineage)?;
            set_facets(tx, &row, wanted)?;
        }
    }
    Ok(())
}

/// The public articles that have a facet.
pub(super) fn with_facet(conn: &mut Conn, kind: &str, target: &[u8]) -> Result<Vec<ArticleId>, Problem> {
    Ok(published_facets::table
        .filter(published_facets::kind.eq(kind))
        .filter(published_facets::target.eq(target))
        .select(published_facets::article_id)
        .load(conn)?)
}

/// What an article is filed under: a kind and which one.
pub(super) type Facet = (String, Vec<u8>);

/// What a public article is filed under.
pub(super) fn filed(conn: &mut Conn, id: ArticleId) -> Result<Vec<Facet>, Problem> {
    Ok(published_facets::table
        .filter(published_facets::article_id.eq(id))
        .select((published_facets::kind, published_facets::target))
        .load(conn)?)
}

/// By which keys a CDN knows facets.
pub(super) fn keys(facets: &[Facet]) -> impl Iterator<Item = Key> {
    facets.iter().map(|(kind, target)| Key::facet(kind, target))
}

/// Gives an article these facets and no others, and counts what has changed; gives those that it had.
fn set_facets(tx: &mut Tx<'_>, row: &PublishedRow, wanted: Vec<Facet>) -> Result<Vec<Facet>, Problem> {
    let present = filed(tx, row.article_id)?;
    for (kind, target) in present.iter().filter(|facet| !wanted.contains(facet)) {
        diesel::delete(published_facets::table.find((row.article_id, kind, target))).execute(&mut **tx)?;
        counts::add(tx, kind, target, &row.language, -1)?;
    }
    let added: Vec<Facet> = wanted.into_iter().filter(|facet| !present.contains(facet)).collect();
    let values: Vec<_> = added
        .iter()
        .map(|(kind, target)| {
            (
                published_facets::article_id.eq(row.article_id),
                published_facets::kind.eq(kind.clone()),
                published_facets::target.eq(target.clone()),
                published_facets::language.eq(row.language.clone()),
                published_facets::published_at.eq(row.published_at),
            )
        })
        .collect();
    diesel::insert_into(published_facets::table).values(values).execute(&mut **tx)?;
    for (kind, target) in &added {
        counts::add(tx, kind, target, &row.language, 1)?;
    }
    Ok(present)
}

/// What an article would be filed under.
pub(super) fn facets(conn: &mut Conn, content: &Content) -> Result<Vec<Facet>, Problem> {
    let lineage = Lineage::load(conn)?;
    facets_of(conn, content, &lineage)
}

fn facets_of(conn: &mut Conn, content: &Content, lineage: &Lineage) -> Result<Vec<Facet>, Problem> {
    let mut contents = [content.clone()];
    super::store::resolve_replaced(conn, &mut contents)?;
    let [content] = contents;
    Ok(facets_naming(&content.author_ids(), &content.category_ids(), &content.tags, lineage))
}

/// The facets of an article: its authors, its categories with their ancestors, its tags; each once.
pub(super) fn facets_naming(
    authors: &[AuthorId],
    categories: &[CategoryId],
    tags: &[String],
    lineage: &Lineage,
) -> Vec<Facet> {
    let authors = authors.iter().map(|id| ("author", id.bytes()));
    let categories = lineage.with_ancestors(categories).into_iter().map(|id| ("category", id.bytes()));
    let tags = tags.iter().map(|tag| ("tag", tag.as_bytes().to_vec()));
    let mut facets: Vec<Facet> =
        authors.chain(categories).chain(tags).map(|(kind, target)| (kind.to_owned(), target)).collect();
    facets.sort_unstable();
    facets.dedup();
    facets
}
