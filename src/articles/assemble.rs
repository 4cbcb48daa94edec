//! From rows to articles: resolves authors, categories, translations and links, each with one query a page.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use super::bodies::{self, DeliveredBody, Forms};
use super::body_links::BodyLinks;
use super::delivered::{Article, DeliveredRow, Resolved, Translation};
use super::model::ArticleId;
use super::published;
use super::related;
use super::views::{ArticleListItem, ArticleSummary, ListInclude};
use crate::authors::{self, AuthorId, AuthorSummary};
use crate::categories::{self, CategoryId, CategorySummary};
use crate::cdn::keys::Key;
use crate::config::Config;
use crate::db::{Conn, Id, Raw, Timestamp};
use crate::http::Problem;
use crate::slugs;
use crate::state::PublicReader;

/// A public article in short, finished, as most answers show it.
pub(super) struct Item {
    pub json: Raw<Article>,
    pub properties: Properties,
}

/// What an article is sorted by, related by, and made of.
pub(super) struct Properties {
    pub id: ArticleId,
    pub language: String,
    pub title_key: String,
    pub published_at: Timestamp,
    pub updated_at: Timestamp,
    pub categories: Vec<CategoryId>,
    pub tags: Raw<Vec<String>>,
    /// What it is made of beside the article itself; empty where no CDN asks.
    keys: Vec<Key>,
}

impl Item {
    fn summary(&self) -> ArticleSummary {
        ArticleSummary(self.json.clone())
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let Properties { language, title_key, categories, tags, keys, .. } = &self.properties;
        let text = self.json.text().len() + language.len() + title_key.len() + tags.text().len();
        text + categories.len() * size_of::<Uuid>() + keys.len() * BYTES_OF_KEY + size_of::<Self>()
    }
}

/// About how much memory a key takes.
const BYTES_OF_KEY: usize = 64;

/// The public ones of these articles, in this order.
pub(super) fn items(reader: &mut PublicReader<'_>, ids: &[Uuid]) -> Result<Vec<Arc<Item>>, Problem> {
    let items = items_by_id(reader, ids)?;
    Ok(ids.iter().filter_map(|id| items.get(id).cloned()).collect())
}

fn items_by_id(reader: &mut PublicReader<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Arc<Item>>, Problem> {
    let items = unnamed_items(reader, ids)?;
    reader.names(|| items.values().flat_map(|item| item.properties.keys.iter().cloned()));
    Ok(items)
}

/// The same for an answer that shows nothing of them.
pub(super) fn unnamed_items(reader: &mut PublicReader<'_>, ids: &[Uuid]) -> Result<HashMap<Uuid, Arc<Item>>, Problem> {
    reader.parts("item", ids, Item::bytes, |reader, unknown| {
        let rows = published::in_order(reader.conn, unknown)?;
        let finished = in_short(reader, rows)?.into_iter().map(|(article, properties)| {
            let json = Raw::of(&article).map_err(Problem::internal)?;
            Ok((article.id.uuid(), Item { json, properties }))
        });
        finished.collect()
    })
}

/// Articles without what is large.
fn in_short(reader: &mut PublicReader<'_>, mut rows: Vec<DeliveredRow>) -> Result<Vec<(Article, Properties)>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut taxonomy = Taxonomy::load(reader, &rows)?;
    // What was replaced is gone, so it is asked for only where something is not there.
    if !taxonomy.missing.is_empty() {
        resolve_replaced(reader.conn, &taxonomy.missing, &mut rows)?;
        taxonomy = Taxonomy::load(reader, &rows)?;
    }
    let translations = translations(reader.conn, reader.config, &rows)?;
    let shorts = rows.into_iter().map(|row| {
        let keys = if reader.names_keys() { keys(&row) } else { Vec::new() };
        let content = &row.summary.0.content;
        let properties = Properties {
            id: row.article_id,
            language: row.language.clone(),
            title_key: row.title_key.clone(),
            published_at: row.published_at,
            updated_at: row.updated_at,
            categories: content.categories.clone(),
            tags: content.tags.clone(),
            keys,
        };
        let resolved = resolved(reader.config, &taxonomy, &translations, &row);
        (Article::new(row, resolved), properties)
    });
    Ok(shorts.collect())
}

/// What an article in short is made of beside its own text. Translations touch the original that they share.
fn keys(row: &DeliveredRow) -> Vec<Key> {
    let content = &row.summary.0.content;
    let authors = content.authors.iter().chain(&content.reviewed_by).map(|id| Key::author(id.uuid()));
    let categories = content.categories.iter().map(|id| Key::category(id.uuid()));
    authors.chain(categories).chain([Key::article(row.translation_root.uuid())]).collect()
}

/// What lists show of these articles.
pub(super) fn listed(
    reader: &mut PublicReader<'_>,
    items: &[Arc<Item>],
    include: &[ListInclude],
) -> Result<Vec<ArticleListItem>, Problem> {
    if include.is_empty() {
        return Ok(items.iter().map(|item| ArticleListItem(item.json.clone())).collect());
    }
    let articles = with_included(reader, items, include)?;
    articles.iter().map(|article| Raw::of(article).map(ArticleListItem).map_err(Problem::internal)).collect()
}

/// These articles with what `include` asks for.
fn with_included(
    reader: &mut PublicReader<'_>,
    items: &[Arc<Item>],
    include: &[ListInclude],
) -> Result<Vec<Article>, Problem> {
    let articles = items.iter().map(|item| item.json.value().map_err(Problem::internal));
    let mut articles: Vec<Article> = articles.collect::<Result<_, _>>()?;
    if include.iter().any(|one| *one != ListInclude::Related) {
        let ids: Vec<ArticleId> = articles.iter().map(|article| article.id).collect();
        let mut bodies = bodies::of(reader.conn, &ids)?;
        let mut forms = if bodies::has_forms(include) { bodies::forms_of(reader.conn, &ids)? } else { HashMap::new() };
        let links = links(reader, bodies.values(), include)?;
        for article in &mut articles {
            if let Some(body) = bodies.remove(&article.id) {
                let forms = forms.remove(&article.id);
                add_body(article, body, forms, include, &links)?;
            }
        }
    }
    if include.contains(&ListInclude::Related) {
        let related = related::ids(reader, items.iter().map(|item| &item.properties), related::DEFAULT_LIMIT)?;
        let distinct: HashSet<Uuid> = related.iter().flatten().copied().collect();
        let known = items_by_id(reader, &distinct.into_iter().collect::<Vec<_>>())?;
        for (article, related) in articles.iter_mut().zip(related) {
            article.related = Some(related.iter().filter_map(|id| known.get(id)).map(|item| item.summary()).collect());
        }
    }
    Ok(articles)
}

/// One article with what `include` asks for of its body, and with those that are related to it. It need not be public.
pub(super) fn one(
    reader: &mut PublicReader<'_>,
    row: DeliveredRow,
    (body, forms): (DeliveredBody, Option<Forms>),
    include: &[ListInclude],
) -> Result<Article, Problem> {
    let (mut article, properties) = in_short(reader, vec![row])?.pop().ok_or_else(Problem::not_found)?;
    let related = related::ids(reader, [&properties], related::DEFAULT_LIMIT)?.concat();
    article.related = Some(summaries(reader, &related)?);
    reader.names(|| properties.keys);
    let links = links(reader, [&body], include)?;
    add_body(&mut article, body, forms, include, &links)?;
    Ok(article)
}

/// Summaries of the public ones of these articles.
pub(super) fn summaries(reader: &mut PublicReader<'_>, ids: &[Uuid]) -> Result<Vec<ArticleSummary>, Problem> {
    Ok(items(reader, ids)?.iter().map(|item| item.summary()).collect())
}

/// What articles show of their authors and categories, finished.
struct Taxonomy {
    authors: HashMap<Uuid, Arc<Raw<AuthorSummary>>>,
    categories: HashMap<Uuid, Arc<Raw<CategorySummary>>>,
    /// Whom the articles name and who is not there.
    missing: Vec<Uuid>,
}

impl Taxonomy {
    fn load(reader: &mut PublicReader<'_>, rows: &[DeliveredRow]) -> Result<Self, Problem> {
        let contents = || rows.iter().map(|row| &row.summary.0.content);
        let people = contents().flat_map(|content| content.authors.iter().chain(&content.reviewed_by));
        let people: HashSet<Uuid> = people.map(|id| id.uuid()).collect();
        let filed: HashSet<Uuid> = contents().flat_map(|content| &content.categories).map(|id| id.uuid()).collect();
        let authors = finished(reader, "author", &people, authors::summaries)?;
        let categories = finished(reader, "category", &filed, categories::summaries)?;
        let people = people.into_iter().filter(|id| !authors.contains_key(id));
        let missing = people.chain(filed.into_iter().filter(|id| !categories.contains_key(id))).collect();
        Ok(Self { authors, categories, missing })
    }
}

/// The summaries of these ids as JSON.
fn finished<K: 'static, T: Serialize + 'static>(
    reader: &mut PublicReader<'_>,
    kind: &str,
    ids: &HashSet<Uuid>,
    load: impl FnOnce(&mut Conn, &[Id<K>]) -> Result<HashMap<Id<K>, T>, Problem>,
) -> Result<HashMap<Uuid, Arc<Raw<T>>>, Problem> {
    let weight = |json: &Raw<T>| json.text().len();
    reader.parts(kind, &ids.iter().copied().collect::<Vec<_>>(), weight, |reader, unknown| {
        let summaries = load(reader.conn, &unknown.iter().map(|id| Id::from_uuid(*id)).collect::<Vec<_>>())?;
        let json = |(id, summary): (Id<K>, T)| Ok((id.uuid(), Raw::of(&summary).map_err(Problem::internal)?));
        summaries.into_iter().map(json).collect()
    })
}

/// Puts who took their place where these articles name those that are `missing`.
fn resolve_replaced(conn: &mut Conn, missing: &[Uuid], rows: &mut [DeliveredRow]) -> Result<(), Problem> {
    let replacements = slugs::replacements(conn, missing)?;
    if replacements.is_empty() {
        return Ok(());
    }
    for content in rows.iter_mut().map(|row| &mut row.summary.0.content) {
        content.authors = slugs::resolve(&content.authors, &replacements);
        content.categories = slugs::resolve(&content.categories, &replacements);
        content.reviewed_by = content.reviewed_by.map(|id| slugs::resolve_one(id, &replacements));
    }
    Ok(())
}

fn resolved(config: &Config, taxonomy: &Taxonomy, translations: &Translations, row: &DeliveredRow) -> Resolved {
    let content = &row.summary.0.content;
    let author = |id: &AuthorId| taxonomy.authors.get(&id.uuid()).map(|json| Raw::clone(json));
    let category = |id: &CategoryId| taxonomy.categories.get(&id.uuid()).map(|json| Raw::clone(json));
    Resolved {
        authors: content.authors.iter().filter_map(author).collect(),
        categories: content.categories.iter().filter_map(category).collect(),
        reviewed_by: content.reviewed_by.as_ref().and_then(author),
        translations: translations
            .get(&row.translation_root)
            .into_iter()
            .flatten()
            .filter(|(id, _)| *id != row.article_id)
            .map(|(_, translation)| translation.clone())
            .collect(),
        url: config.article_url(&row.slug),
    }
}

type Translations = HashMap<ArticleId, Vec<(ArticleId, Translation)>>;

/// The public articles that share an original, by that original, where there are several.
fn translations(conn: &mut Conn, config: &Config, rows: &[DeliveredRow]) -> Result<Translations, Problem> {
    let translated = rows.iter().filter(|row| row.has_translations);
    let roots: HashSet<ArticleId> = translated.map(|row| row.translation_root).collect();
    let sharing = published::translations(conn, &roots.into_iter().collect::<Vec<_>>())?;
    let ids: Vec<Uuid> = sharing.iter().map(|row| row.article_id.uuid()).collect();
    let titles = published::in_order(conn, &ids)?.into_iter().map(|row| row.summary.0.content.title);
    let mut by_root = Translations::new();
    for (row, title) in sharing.into_iter().zip(titles) {
        let url = config.article_url(&row.slug);
        let translation = Translation { language: row.language, slug: row.slug, title, url };
        by_root.entry(row.translation_root).or_default().push((row.article_id, translation));
    }
    Ok(by_root)
}

/// Where the links by identity of these bodies lead, asked for at once.
fn links<'c, 'b>(
    reader: &mut PublicReader<'c>,
    bodies: impl IntoIterator<Item = &'b DeliveredBody>,
    include: &[ListInclude],
) -> Result<BodyLinks<'c>, Problem> {
    let targets: HashSet<ArticleId> = bodies.into_iter().flat_map(|body| &body.linked_articles.0).copied().collect();
    reader.names(|| targets.iter().map(|id| Key::article(id.uuid())));
    let shows_links = [ListInclude::BodyHtml, ListInclude::BodyMarkdown, ListInclude::Sections];
    let targets = if include.iter().any(|one| shows_links.contains(one)) { targets } else { HashSet::new() };
    BodyLinks::to(reader.conn, reader.config, &targets.into_iter().collect::<Vec<_>>())
}

fn add_body(
    article: &mut Article,
    body: DeliveredBody,
    forms: Option<Forms>,
    include: &[ListInclude],
    links: &BodyLinks<'_>,
) -> Result<(), Problem> {
    let wants = |one| include.contains(&one);
    let is_linked = !body.linked_articles.0.is_empty();
    let linked = |html| if is_linked { links.in_raw_html(&html).map_err(Problem::internal) } else { Ok(html) };
    if let Some(forms) = forms {
        if wants(ListInclude::Sections) {
            article.sections = Some(forms.sections(&body.body_html.0, linked)?);
        }
        if wants(ListInclude::BodyMarkdown) {
            let markdown = forms.body_markdown.0;
            let linked = || links.in_raw_markdown(&markdown).map_err(Problem::internal);
            article.body_markdown = Some(if is_linked { linked()? } else { markdown });
        }
    }
    if wants(ListInclude::BodyHtml) {
        article.body_html = Some(linked(body.body_html.0)?);
    }
    article.table_of_contents = wants(ListInclude::TableOfContents).then_some(body.table_of_contents.0);
    article.seo = wants(ListInclude::Seo).then_some(body.seo.0);
    article.citations = wants(ListInclude::Citations).then_some(body.citations.0);
    article.extra = wants(ListInclude::Extra).then_some(body.extra.0);
    Ok(())
}
