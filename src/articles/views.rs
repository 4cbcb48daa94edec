//! What lists show: an article or a working copy without what is large, unless `include` asks for it.
//!
//! Their schemas are made from those of the whole resources, so that a new member is written once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::delivered::Article;
use super::model::WorkingCopy;
use crate::db::Raw;
use crate::http::Problem;
use crate::http::draft::object;
use crate::http::openapi::flattened;

/// The members of an article that lists leave out.
pub(super) const LARGE: &[&str] =
    &["body_html", "body_markdown", "sections", "table_of_contents", "related", "seo", "citations", "extra"];
/// The members that one article has only where `include` asks for them.
pub(super) const LARGEST: &[&str] = &["body_markdown", "sections"];
/// The members of a working copy that lists leave out.
const LARGE_IN_WORKING_COPY: &[&str] = &["body_html", "body_markdown", "seo", "citations", "extra"];

/// What `include` adds to lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListInclude {
    /// The text as HTML.
    BodyHtml,
    /// The text as it was written.
    BodyMarkdown,
    /// The text in parts.
    Sections,
    /// The headings.
    TableOfContents,
    /// Related articles.
    Related,
    /// What search engines are told.
    Seo,
    /// Sources.
    Citations,
    /// The free object.
    Extra,
}

impl ListInclude {
    /// What one article shows without being asked.
    pub(super) const ALWAYS_IN_ONE: [Self; 6] =
        [Self::BodyHtml, Self::TableOfContents, Self::Related, Self::Seo, Self::Citations, Self::Extra];
}

/// What `include` adds to one article.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArticleInclude {
    /// The text as it was written.
    BodyMarkdown,
    /// The text in parts.
    Sections,
}

impl From<ArticleInclude> for ListInclude {
    fn from(include: ArticleInclude) -> Self {
        match include {
            ArticleInclude::BodyMarkdown => Self::BodyMarkdown,
            ArticleInclude::Sections => Self::Sections,
        }
    }
}

/// An article in a list: what is large is there only where `include` asks for it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct ArticleListItem(pub Raw<Article>);

impl PartialSchema for ArticleListItem {
    fn schema() -> RefOr<Schema> {
        Article::schema()
    }
}

impl ToSchema for ArticleListItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Article::schemas(schemas);
    }
}

/// An article in short.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ArticleSummary(pub Raw<Article>);

impl PartialSchema for ArticleSummary {
    fn schema() -> RefOr<Schema> {
        reduced(serde_json::to_value(Article::schema()).unwrap_or_default(), LARGE)
    }
}

/// What it refers to comes with [`Article`], which holds summaries itself: naming it here would go in circles.
impl ToSchema for ArticleSummary {}

/// A working copy in a list, without what is large.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct WorkingCopyListItem(Map<String, Value>);

impl WorkingCopyListItem {
    /// Leaves out what is large.
    ///
    /// # Errors
    /// Where the working copy can't be written as JSON.
    pub(super) fn new(working_copy: &WorkingCopy) -> Result<Self, Problem> {
        let mut members = object(working_copy)?;
        members.retain(|name, _| !LARGE_IN_WORKING_COPY.contains(&name.as_str()));
        Ok(Self(members))
    }
}

impl PartialSchema for WorkingCopyListItem {
    fn schema() -> RefOr<Schema> {
        let content = || serde_json::to_value(super::model::Content::schema()).ok();
        let whole = flattened(&serde_json::to_value(WorkingCopy::schema()).unwrap_or_default(), &|_| content());
        reduced(whole, LARGE_IN_WORKING_COPY)
    }
}

impl ToSchema for WorkingCopyListItem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        WorkingCopy::schemas(schemas);
    }
}

/// The schema without some members.
fn reduced(mut schema: Value, without: &[&str]) -> RefOr<Schema> {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| !without.contains(&name.as_str()));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name.as_str().is_none_or(|name| !without.contains(&name)));
    }
    serde_json::from_value(schema).unwrap_or_else(|_| Article::schema())
}
