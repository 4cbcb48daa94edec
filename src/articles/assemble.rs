//! From rows to articles: resolves authors, categories, translations and links, each with one query a page.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::delivered::{Article, DeliveredBody, DeliveredRow, Resolved, Translation};
use super::model::{ArticleId, Content};
use super::published;
use super::related;
use super::views::{ArticleSummary, ListInclude};
use crate::authors::{self, AuthorId, AuthorSummary};
use crate::categories::{self, CategoryId, CategorySummary};
use crate::config::Config;
use crate::db::{Conn, Raw};
use crate::http::Problem;
use crate::slugs;
use crate::text;

/// Articles of these rows, in their order, with what `include` asks for.
pub(super) fn articles(
    conn: &mut Conn,
    config: &Config,
    mut rows: Vec<DeliveredRow>,
    include: &[ListInclude],
) -> Result<Vec<Article>, Problem> {
    resolve_replaced(conn, &mut rows)?;
    let taxonomy = Taxonomy::load(conn, &rows)?;
    let translations = translations(conn, config, &rows)?;
    let mut bodies = if include.iter().any(|one| *one != ListInclude::Related) {
        let ids: Vec<ArticleId> = rows.iter().map(|row| row.article_id).collect();
        let bodies = published::bodies(conn, &ids)?;
        linked(conn, config, bodies, include)?
    } else {
        HashMap::new()
    };
    let mut related =
        if include.contains(&ListInclude::Related) { related_to(conn, config, &rows)? } else { HashMap::new() };
    let finished = rows.into_iter().map(|row| {
        let id = row.article_id;
        let mut article = article(config, &taxonomy, &translations, row);
        if let Some(body) = bodies.remove(&id) {
            add_body(&mut article, body, include)?;
        }
        article.related = related.remove(&id);
        Ok(article)
    });
    finished.collect()
}

/// An article that may not be public, with all that delivery could show of it.
pub(super) fn preview(
    conn: &mut Conn,
    config: &Config,
    row: DeliveredRow,
    content: &Content,
    body: DeliveredBody,
) -> Result<Article, Problem> {
    let mut include = ListInclude::ALWAYS_IN_ONE.to_vec();
    include.extend([ListInclude::BodyMarkdown, ListInclude::Sections]);
    let facets = published::facets(conn, content)?;
    let ids = related::by_facets(conn, &row, facets, related::DEFAULT_LIMIT)?;
    let related = published::in_order(conn, &ids)?;
    let related = summaries(conn, config, related)?;
    let (id, rows) = (row.article_id, [row]);
    let taxonomy = Taxonomy::load(conn, &rows)?;
    let translations = translations(conn, config, &rows)?;
    let bodies = linked(conn, config, HashMap::from([(id, body)]), &include)?;
    let [row] = rows;
    let mut article = article(config, &taxonomy, &translations, row);
    for body in bodies.into_values() {
        add_body(&mut article, body, &include)?;
    }
    article.related = Some(related);
    Ok(article)
}

/// Summaries of these rows.
pub(super) fn summaries(
    conn: &mut Conn,
    config: &Config,
    rows: Vec<DeliveredRow>,
) -> Result<Vec<ArticleSummary>, Problem> {
    Ok(articles(conn, config, rows, &[])?.into_iter().map(ArticleSummary).collect())
}

struct Taxonomy {
    authors: HashMap<AuthorId, AuthorSummary>,
    categories: HashMap<CategoryId, CategorySummary>,
}

impl Taxonomy {
    fn load(conn: &mut Conn, rows: &[DeliveredRow]) -> Result<Self, Problem> {
        let contents = || rows.iter().map(|row| &row.summary.0.content);
        let people = contents().flat_map(|content| content.authors.iter().chain(&content.reviewed_by).copied());
        let authors: HashSet<AuthorId> = people.collect();
        let categories: HashSet<CategoryId> =
            contents().flat_map(|content| content.categories.iter().copied()).collect();
        Ok(Self {
            authors: authors::summaries(conn, &authors.into_iter().collect::<Vec<_>>())?,
            categories: categories::summaries(conn, &categories.into_iter().collect::<Vec<_>>())?,
        })
    }
}

fn resolve_replaced(conn: &mut Conn, rows: &mut [DeliveredRow]) -> Result<(), Problem> {
    let mut ids: HashSet<Uuid> = HashSet::new();
    for content in rows.iter().map(|row| &row.summary.0.content) {
        ids.extend(content.authors.iter().chain(&content.reviewed_by).map(|id| id.uuid()));
        ids.extend(content.categories.iter().map(|id| id.uuid()));
    }
    let replacements = slugs::replacements(conn, &ids.into_iter().collect::<Vec<_>>())?;
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

fn article(config: &Config, taxonomy: &Taxonomy, translations: &Translations, row: DeliveredRow) -> Article {
    let content = &row.summary.0.content;
    let resolved = Resolved {
        authors: content.authors.iter().filter_map(|id| taxonomy.authors.get(id).cloned()).collect(),
        categories: content.categories.iter().filter_map(|id| taxonomy.categories.get(id).cloned()).collect(),
        reviewed_by: content.reviewed_by.and_then(|id| taxonomy.authors.get(&id).cloned()),
        translations: translations
            .get(&row.translation_root)
            .into_iter()
            .flatten()
            .filter(|(id, _)| *id != row.article_id)
            .map(|(_, translation)| translation.clone())
            .collect(),
        url: config.article_url(&row.slug),
    };
    Article::new(row, resolved)
}

type Translations = HashMap<ArticleId, Vec<(ArticleId, Translation)>>;

/// The public articles that share an original, by that original, where there are several.
fn translations(conn: &mut Conn, config: &Config, rows: &[DeliveredRow]) -> Result<Translations, Problem> {
    let roots: HashSet<ArticleId> = rows.iter().map(|row| row.translation_root).collect();
    let mut sharing = published::translations(conn, &roots.into_iter().collect::<Vec<_>>())?;
    let mut sizes: HashMap<ArticleId, usize> = HashMap::new();
    for row in &sharing {
        *sizes.entry(row.translation_root).or_default() += 1;
    }
    sharing.retain(|row| sizes.get(&row.translation_root).is_some_and(|size| *size > 1));
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

fn related_to(
    conn: &mut Conn,
    config: &Config,
    rows: &[DeliveredRow],
) -> Result<HashMap<ArticleId, Vec<ArticleSummary>>, Problem> {
    rows.iter()
        .map(|row| {
            let ids = related::ids(conn, row, related::DEFAULT_LIMIT)?;
            let rows = published::in_order(conn, &ids)?;
            Ok((row.article_id, summaries(conn, config, rows)?))
        })
        .collect()
}

/// Fills in the links by identity of all bodies of a page with one query.
fn linked(
    conn: &mut Conn,
    config: &Config,
    mut bodies: HashMap<ArticleId, DeliveredBody>,
    include: &[ListInclude],
) -> Result<HashMap<ArticleId, DeliveredBody>, Problem> {
    let shows_links = [ListInclude::BodyHtml, ListInclude::BodyMarkdown, ListInclude::Sections];
    if !include.iter().any(|one| shows_links.contains(one)) {
        return Ok(bodies);
    }
    let targets: HashSet<ArticleId> = bodies.values().flat_map(|body| body.linked_articles.iter().copied()).collect();
    if targets.is_empty() {
        return Ok(bodies);
    }
    let slugs = published::slugs_of(conn, &targets.into_iter().collect::<Vec<_>>())?;
    let resolve = |id: Uuid| slugs.get(&ArticleId::from_uuid(id)).map(|slug| config.article_url(slug));
    for body in bodies.values_mut().filter(|body| !body.linked_articles.is_empty()) {
        let mut sections = body.sections.value().map_err(Problem::internal)?;
        for section in &mut sections {
            section.html = text::link_articles_html(&section.html, resolve);
        }
        body.sections = Raw::of(&sections).map_err(Problem::internal)?;
        if include.contains(&ListInclude::BodyMarkdown) {
            let markdown = body.body_markdown.value().map_err(Problem::internal)?;
            let linked = text::link_articles_markdown(&markdown, resolve);
            body.body_markdown = Raw::of(&linked).map_err(Problem::internal)?;
        }
    }
    Ok(bodies)
}

fn add_body(article: &mut Article, body: DeliveredBody, include: &[ListInclude]) -> Result<(), Problem> {
    let wants = |one| include.contains(&one);
    if wants(ListInclude::BodyHtml) {
        article.body_html = Some(body.html()?);
    }
    article.body_markdown = wants(ListInclude::BodyMarkdown).then_some(body.body_markdown);
    article.sections = wants(ListInclude::Sections).then_some(body.sections);
    article.table_of_contents = wants(ListInclude::TableOfContents).then_some(body.table_of_contents);
    article.seo = wants(ListInclude::Seo).then_some(body.seo);
    article.citations = wants(ListInclude::Citations).then_some(body.citations);
    article.extra = wants(ListInclude::Extra).then_some(body.extra);
    Ok(())
}

/// The address of an article's page by its id, where it is public: how management shows links by identity.
pub(super) fn resolve_links(conn: &mut Conn, config: &Config, html: &str, linked: &[Uuid]) -> Result<String, Problem> {
    let ids: Vec<ArticleId> = linked.iter().map(|id| ArticleId::from_uuid(*id)).collect();
    let slugs = published::slugs_of(conn, &ids)?;
    Ok(text::link_articles_html(html, |id| slugs.get(&ArticleId::from_uuid(id)).map(|slug| config.article_url(slug))))
}
