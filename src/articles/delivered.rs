//! What delivery shows of an article, made of what was stored when it was published.
//!
//! What delivery does not look into is handed on as the JSON text that it was stored as ([`Raw`]): a list of twenty
//! articles would else be read and written anew with every miss. A member that is added to a stored part must therefore
//! be added to the stored documents, too, by a migration that publishes nothing.

use diesel::dsl;
use diesel::prelude::*;
use diesel::query_source::{Alias, AliasedField};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::model::{ArticleId, Citation, Seo, ids};
use crate::authors::{AuthorId, AuthorSummary};
use crate::categories::{CategoryId, CategorySummary};
use crate::db::{Document, Id, Raw, Timestamp};
use crate::http::Problem;
use crate::parts::Image;
use crate::schema::published_articles;
use crate::text::{Section, TableOfContentsEntry, reading_minutes};

/// A public article without its body, as delivery reads it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = published_articles)]
pub(super) struct DeliveredRow {
    pub article_id: ArticleId,
    pub slug: String,
    pub language: String,
    pub title_key: String,
    pub translation_root: ArticleId,
    pub published_at: Timestamp,
    pub updated_at: Timestamp,
    /// Whether another public article shares its original.
    #[diesel(select_expression = has_translations(), select_expression_type = HasTranslations)]
    pub has_translations: bool,
    pub summary: Document<ListedSummary>,
}

diesel::alias!(published_articles as in_other_language: InOtherLanguage);

type HasTranslations = dsl::exists<
    dsl::Filter<
        dsl::Filter<
            Alias<InOtherLanguage>,
            dsl::Eq<
                AliasedField<InOtherLanguage, published_articles::translation_root>,
                published_articles::translation_root,
            >,
        >,
        dsl::NotEq<AliasedField<InOtherLanguage, published_articles::language>, published_articles::language>,
    >,
>;

/// Of those that share an original each has a language of its own: an index says it.
fn has_translations() -> HasTranslations {
    let root = in_other_language.field(published_articles::translation_root);
    let language = in_other_language.field(published_articles::language);
    let sharing = in_other_language.filter(root.eq(published_articles::translation_root));
    dsl::exists(sharing.filter(language.ne(published_articles::language)))
}

/// A stored [`PublishedSummary`](super::model::PublishedSummary).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ListedSummary {
    pub content: ListedContent,
    pub excerpt: Raw<String>,
    pub word_count: u32,
}

/// What lists show of the stored content, and whom it names by id.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ListedContent {
    pub title: Raw<String>,
    #[serde(default)]
    pub subtitle: Raw<Option<String>>,
    #[serde(default)]
    pub hero_image: Raw<Option<Image>>,
    #[serde(default)]
    pub tags: Raw<Vec<String>>,
    #[serde(default)]
    pub reviewed_at: Raw<Option<Timestamp>>,
    #[serde(default, deserialize_with = "read_ids")]
    pub authors: Vec<AuthorId>,
    #[serde(default, deserialize_with = "read_ids")]
    pub categories: Vec<CategoryId>,
    #[serde(default, deserialize_with = "read_id")]
    pub reviewed_by: Option<AuthorId>,
}

fn read_ids<'de, D: Deserializer<'de>, K>(deserializer: D) -> Result<Vec<Id<K>>, D::Error> {
    Vec::deserialize(deserializer).map(|texts| ids(&texts))
}

fn read_id<'de, D: Deserializer<'de>, K>(deserializer: D) -> Result<Option<Id<K>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// What delivery would read of a part of an article, were it stored.
///
/// # Errors
/// Where it can't be written as JSON.
pub(super) fn as_if_stored<T: DeserializeOwned>(part: &impl Serialize) -> Result<T, Problem> {
    let text = serde_json::to_string(part).map_err(Problem::internal)?;
    serde_json::from_str(&text).map_err(Problem::internal)
}

/// An article as delivery shows it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Article {
    /// The id.
    pub id: ArticleId,
    /// The name in addresses.
    pub slug: String,
    /// The title.
    #[schema(value_type = String)]
    pub title: Raw<String>,
    /// A line under the title; null where there is none.
    #[schema(value_type = Option<String>)]
    pub subtitle: Raw<Option<String>>,
    /// What lists show of the text.
    #[schema(value_type = String)]
    pub excerpt: Raw<String>,
    /// The picture at the top; null where there is none.
    #[schema(value_type = Option<Image>)]
    pub hero_image: Raw<Option<Image>>,
    /// Who wrote it, in order.
    #[schema(value_type = Vec<AuthorSummary>)]
    pub authors: Vec<Raw<AuthorSummary>>,
    /// Where it is filed; the first is the primary category.
    #[schema(value_type = Vec<CategorySummary>)]
    pub categories: Vec<Raw<CategorySummary>>,
    /// Free words.
    #[schema(value_type = Vec<String>)]
    pub tags: Raw<Vec<String>>,
    /// The language, a BCP 47 tag.
    pub language: String,
    /// The same article in other languages.
    pub translations: Vec<Translation>,
    /// Which expert checked it; null where none did.
    #[schema(value_type = Option<AuthorSummary>)]
    pub reviewed_by: Option<Raw<AuthorSummary>>,
    /// When it was checked; null where it was not.
    #[schema(value_type = Option<Timestamp>)]
    pub reviewed_at: Raw<Option<Timestamp>>,
    /// Words of the body.
    #[schema(minimum = 0)]
    pub word_count: u32,
    /// Minutes to read it, at least 1.
    #[schema(minimum = 1)]
    pub reading_minutes: u32,
    /// Its page on the public site.
    pub url: String,
    /// The first publication, or the date that was set.
    pub published_at: Timestamp,
    /// The last publication.
    pub updated_at: Timestamp,
    /// The text as sanitised HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub body_html: Option<Raw<String>>,
    /// The text as it was written, links by identity filled in. It may hold HTML that is not safe: `body_html` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub body_markdown: Option<Raw<String>>,
    /// The text in parts, one for each heading; together they are `body_html`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Section>)]
    pub sections: Option<Raw<Vec<Section>>>,
    /// The headings; each `id` is an anchor in `body_html`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<TableOfContentsEntry>)]
    pub table_of_contents: Option<Raw<Vec<TableOfContentsEntry>>>,
    /// What search engines are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seo)]
    pub seo: Option<Raw<Seo>>,
    /// What the text rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Citation>)]
    pub citations: Option<Raw<Vec<Citation>>>,
    /// Whatever else the front end needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub extra: Option<Raw<Map<String, Value>>>,
    /// Published articles that share tags and categories, most related first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<super::views::ArticleSummary>)]
    pub related: Option<Vec<super::views::ArticleSummary>>,
}

/// The same article in another language.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Translation {
    /// The language, a BCP 47 tag.
    pub language: String,
    /// The slug.
    pub slug: String,
    /// The title.
    #[schema(value_type = String)]
    pub title: Raw<String>,
    /// The page on the public site.
    pub url: String,
}

/// What delivery resolves for an article beside its own row.
pub(super) struct Resolved {
    /// Its authors.
    pub authors: Vec<Raw<AuthorSummary>>,
    /// Its categories.
    pub categories: Vec<Raw<CategorySummary>>,
    /// Its expert.
    pub reviewed_by: Option<Raw<AuthorSummary>>,
    /// Its translations.
    pub translations: Vec<Translation>,
    /// Its page.
    pub url: String,
}

impl Article {
    /// What lists show; what is large is not there yet.
    pub(super) fn new(row: DeliveredRow, resolved: Resolved) -> Self {
        let ListedSummary { content, excerpt, word_count } = row.summary.0;
        Self {
            id: row.article_id,
            slug: row.slug,
            title: content.title,
            subtitle: content.subtitle,
            excerpt,
            hero_image: content.hero_image,
            authors: resolved.authors,
            categories: resolved.categories,
            tags: content.tags,
            language: row.language,
            translations: resolved.translations,
            reviewed_by: resolved.reviewed_by,
            reviewed_at: content.reviewed_at,
            word_count,
            reading_minutes: reading_minutes(word_count),
            url: resolved.url,
            published_at: row.published_at,
            updated_at: row.updated_at,
            body_html: None,
            body_markdown: None,
            sections: None,
            table_of_contents: None,
            seo: None,
            citations: None,
            extra: None,
            related: None,
        }
    }
}
