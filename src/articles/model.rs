//! What an article is, without I/O: its content, its states and moves, and what each surface shows of it.
//!
//! A member is written once in [`Content`], which is the stored document, the merge-patch target and,
//! closed, the schema of requests; what delivery shows of it is one line more in `Article`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::lifecycle::Visibility;
use super::schedule::ScheduleFailure;
use crate::authors::{AuthorId, AuthorSummary};
use crate::categories::{CategoryId, CategorySummary};
use crate::db::{Id, Timestamp};
use crate::http::schema::join;
use crate::http::{Editable, Fault, Problem, Warning};
use crate::parts::{IdOrSlug, Image, TagName};
use crate::text::{Rendered, Section, TableOfContentsEntry, excerpt};

/// Marks the id of an article.
#[derive(Debug, Clone, Copy)]
pub struct ArticleKind;
/// The id of an article.
pub(crate) type ArticleId = Id<ArticleKind>;

/// The form of stored documents; raised when [`lift`] learns a new step.
pub(super) const SCHEMA_VERSION: u64 = 1;
/// The longest body, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 1_048_576;
const MAX_EXTRA_BYTES: usize = 16 * 1024;
/// How long an excerpt is that is made from the body, in characters.
pub(super) const EXCERPT_CHARS: usize = 280;

/// What an editor writes of an article.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Content {
    /// The name in addresses; made from `title` where it is left out or null.
    #[schema(max_length = 120, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "first-steps")]
    pub slug: Option<String>,
    /// The title.
    #[schema(
        min_length = 1,
        max_length = 300,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "First steps"
    )]
    pub title: String,
    /// A line under the title.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub subtitle: Option<String>,
    /// What lists show of the text; made from the body where it is null.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
    pub excerpt: Option<String>,
    /// The text in `CommonMark` with tables, footnotes, strikethrough and task lists, at most 1 MiB.
    /// `[text](article:<id>)` links to another article whatever its slug becomes.
    #[schema(
        max_length = 1_048_576,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "## Where to begin\n\nBreathe."
    )]
    pub body_markdown: String,
    /// The picture at the top.
    pub hero_image: Option<Image>,
    /// Who wrote it, in order: ids or slugs of authors. Without any, the caller's own author.
    #[schema(max_items = 20, value_type = Vec<IdOrSlug>)]
    pub authors: Vec<String>,
    /// Where it is filed: ids or slugs of categories, the primary one first.
    #[schema(max_items = 20, value_type = Vec<IdOrSlug>)]
    pub categories: Vec<String>,
    /// Free words, each without commas and at most 60 characters.
    #[schema(max_items = 30, value_type = Vec<TagName>)]
    pub tags: Vec<String>,
    /// What search engines are told.
    pub seo: Seo,
    /// Whatever else the front end needs: a JSON object of at most 16 KiB.
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
    /// The language, a BCP 47 tag in any case; the site's where it is null.
    #[schema(max_length = 35, pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", example = "en")]
    pub language: Option<String>,
    /// The article that this one translates; null for an original.
    pub translation_of: Option<ArticleId>,
    /// Which expert checked it: the id or slug of an author.
    #[schema(min_length = 1, max_length = 120, pattern = "^[A-Za-z0-9-]+$")]
    pub reviewed_by: Option<String>,
    /// When it was checked.
    pub reviewed_at: Option<Timestamp>,
    /// What the text rests on.
    #[schema(max_items = 200)]
    pub citations: Vec<Citation>,
    /// The date that readers see; the first publication's where it is null. Never in the future.
    pub published_at: Option<Timestamp>,
}

/// What search engines are told of an article; null means: take it from the article.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Seo {
    /// The title of the page.
    #[schema(max_length = 300, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub title: Option<String>,
    /// The description of the page.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub description: Option<String>,
    /// The address that counts where the text stands in several places.
    #[schema(max_length = 2000, pattern = r"^https?://[^\s/][^\s]*$")]
    pub canonical_url: Option<String>,
    /// Whether search engines should leave the page out.
    pub no_index: bool,
    /// The picture that is shown where the page is shared.
    pub image: Option<Image>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// How it is cited.
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$")]
    pub text: String,
    /// Where it can be read; null where nowhere.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = r"^https?://[^\s/][^\s]*$")]
    pub url: Option<String>,
}

/// What a patch says that is sent by itself.
pub(super) const AUTOSAVE: &str = "autosave";

impl Editable for Content {
    const NAME: &'static str = "Article";
    const REQUIRED: &'static [&'static str] = &["title"];
    const PATCH_FLAGS: &'static [(&'static str, &'static str)] = &[(
        AUTOSAVE,
        "Whether this is saved by itself: the revision takes the place of the one that it was made from, where that is of this kind and the same person's, and nobody has published, scheduled, named or previewed it.",
    )];
    type Answer = WorkingCopy;
}

impl Content {
    /// The authors by id; what names none is left out.
    pub fn author_ids(&self) -> Vec<AuthorId> {
        ids(&self.authors)
    }

    /// The categories by id; what names none is left out.
    pub fn category_ids(&self) -> Vec<CategoryId> {
        ids(&self.categories)
    }

    /// The expert by id.
    pub fn reviewer_id(&self) -> Option<AuthorId> {
        self.reviewed_by.as_deref().and_then(|id| id.parse().ok())
    }

    /// The faults that neither a schema nor the database can tell.
    pub fn faults(&self, now: Timestamp) -> Vec<Fault> {
        let mut faults = Vec::new();
        if serde_json::to_vec(&self.extra).is_ok_and(|bytes| bytes.len() > MAX_EXTRA_BYTES) {
            faults.push(Fault::body("/extra", "too_long", "The object must have at most 16 KiB as JSON."));
        }
        if self.body_markdown.len() > MAX_BODY_BYTES {
            faults.push(Fault::body("/body_markdown", "too_long", "The text must have at most 1 MiB."));
        }
        if self.published_at.is_some_and(|at| at > now) {
            let message = "The date must not be in the future.";
            faults.push(Fault::body("/published_at", "in_future", message));
        }
        control_characters(&Value::Object(self.extra.clone()), "/extra", &mut faults);
        for (index, tag) in self.tags.iter().enumerate() {
            if self.tags[..index].contains(tag) {
                faults.push(Fault::body(format!("/tags/{index}"), "duplicate", "A tag may stand once."));
            }
        }
        faults
    }

    /// Why the content can't be published, if it can't: faults of what the page would show.
    pub fn publication_faults(&self) -> Vec<Fault> {
        let image = |pointer: &str, image: Option<&Image>| {
            image.filter(|image| image.alt.is_none()).map(|_| {
                let message = "Say what the image shows, or give an empty text for a mere ornament.";
                Fault::body(format!("{pointer}/alt"), "required", message)
            })
        };
        [image("/hero_image", self.hero_image.as_ref()), image("/seo/image", self.seo.image.as_ref())]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Finds control characters, but tabs and line ends, in the texts of a free object.
fn control_characters(value: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    let is_control = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || c == '\u{7f}';
    match value {
        Value::String(text) if text.contains(is_control) => {
            let message = "The text must not hold control characters.";
            faults.push(Fault::body(pointer, "control_character", message));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                control_characters(item, &format!("{pointer}/{index}"), faults);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                control_characters(member, &join(pointer, name), faults);
            }
        }
        _ => {}
    }
}

/// The ids among these texts; what names none is left out.
pub(super) fn ids<K>(texts: &[String]) -> Vec<Id<K>> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The content as it is stored, with the version of its form.
pub(super) fn stored(content: &Content) -> Result<String, Problem> {
    let mut document = serde_json::to_value(content).map_err(Problem::internal)?;
    document["schema_version"] = json!(SCHEMA_VERSION);
    serde_json::to_string(&document).map_err(Problem::internal)
}

/// Reads stored content, whatever version of the program wrote it.
pub(super) fn from_stored(text: &str) -> Result<Content, Problem> {
    let document: Value = serde_json::from_str(text).map_err(Problem::internal)?;
    serde_json::from_value(lift(document)).map_err(Problem::internal)
}

/// Lifts an older document to the present form, step by step. There is one form so far.
fn lift(mut document: Value) -> Value {
    if let Value::Object(members) = &mut document {
        members.shift_remove("schema_version");
    }
    document
}

/// What lists show of a published article, kept apart from its body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedSummary {
    /// The content without what is large.
    pub content: Content,
    /// The excerpt, written or made.
    pub excerpt: String,
    /// Words of the body.
    pub word_count: u32,
}

/// The large part of a published article.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PublishedBody {
    /// The text as it was written.
    pub body_markdown: String,
    /// The text as sanitised HTML, in sections that make it up; links by identity are not filled in yet.
    pub sections: Vec<Section>,
    /// The articles that it links to by identity.
    pub linked_articles: Vec<ArticleId>,
    /// The headings.
    pub table_of_contents: Vec<TableOfContentsEntry>,
    /// What search engines are told.
    pub seo: Seo,
    /// What the text rests on.
    pub citations: Vec<Citation>,
    /// Whatever else the front end needs.
    pub extra: Map<String, Value>,
}

/// Parts what is published into what lists show and what is large.
pub(super) fn published_parts(mut content: Content, rendered: Rendered) -> (PublishedSummary, PublishedBody) {
    let body = PublishedBody {
        body_markdown: std::mem::take(&mut content.body_markdown),
        linked_articles: rendered.linked_articles.into_iter().map(ArticleId::from_uuid).collect(),
        sections: rendered.sections,
        table_of_contents: rendered.table_of_contents,
        seo: std::mem::take(&mut content.seo),
        citations: std::mem::take(&mut content.citations),
        extra: std::mem::take(&mut content.extra),
    };
    let made = || excerpt(&rendered.lead, EXCERPT_CHARS);
    let excerpt = content.excerpt.clone().filter(|text| !text.trim().is_empty()).unwrap_or_else(made);
    (PublishedSummary { content, excerpt, word_count: rendered.word_count }, body)
}

/// Who saved something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Person {
    /// The id of the account, or of the API key where a program did it.
    pub id: crate::auth::UserId,
    /// The person's name, or the API key's.
    pub name: String,
}

/// A working copy that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Review {
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// Who submitted it; null where the account or API key is gone.
    pub by: Option<Person>,
    /// What was said; null where nothing was.
    pub note: Option<String>,
}

/// A working copy that was given back.
#[expect(clippy::struct_field_names, reason = "these are the names of the contract")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Returned {
    /// When it was returned.
    pub returned_at: Timestamp,
    /// Who returned it; null where the account or API key is gone.
    pub by: Option<Person>,
    /// What should be done.
    pub note: String,
}

/// What comes out or goes at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Schedule {
    /// The revision that comes out, or that is public and goes.
    #[schema(minimum = 1)]
    pub revision: i64,
    /// When it comes out; null where it has.
    pub publish_at: Option<Timestamp>,
    /// When it goes; null where it stays.
    pub unpublish_at: Option<Timestamp>,
}

/// What is public of an article.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Publication {
    /// The number of the public revision.
    #[schema(minimum = 1)]
    pub revision: i64,
    /// Its slug.
    pub slug: String,
    /// Its page on the public site.
    pub url: String,
    /// The date that readers see.
    pub published_at: Timestamp,
}

/// Summaries of what a working copy names by id.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Expanded {
    /// Its authors, in order.
    pub authors: Vec<AuthorSummary>,
    /// Its categories, in order.
    pub categories: Vec<CategorySummary>,
    /// Its expert; null where there is none.
    #[schema(required)]
    pub reviewed_by: Option<AuthorSummary>,
}

/// An article as who writes it sees it: the last saved content, and where it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WorkingCopy {
    /// What an editor writes.
    #[serde(flatten)]
    pub content: Content,
    /// The id.
    pub id: ArticleId,
    /// The body as sanitised HTML.
    pub body_html: String,
    /// The number of this revision, from 1; `publish` names it.
    #[schema(minimum = 1)]
    pub revision: i64,
    /// Whether readers can see it.
    pub visibility: Visibility,
    /// Whether it is public and this revision is not the public one.
    pub changed: bool,
    /// Who asked for it to be published; null where it is not in review.
    pub review: Option<Review>,
    /// Who returned it from review, and why; null from the next submission on.
    pub returned: Option<Returned>,
    /// What comes out or goes at a time; null where nothing does.
    pub schedule: Option<Schedule>,
    /// What could not be done at its time; null from the next publication or schedule on.
    pub schedule_failure: Option<ScheduleFailure>,
    /// When it was archived; null where it is not.
    pub archived_at: Option<Timestamp>,
    /// When it was moved to the trash; null where it is not there.
    pub trashed_at: Option<Timestamp>,
    /// What it is called in the system that a program mirrors; null where none does.
    pub external_id: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub saved_at: Timestamp,
    /// Who saved it; null where the account is gone or the command line did it.
    pub saved_by: Option<Person>,
    /// What is public of it; null where nothing is.
    pub published: Option<Publication>,
    /// Summaries of what it names by id.
    pub expanded: Expanded,
    /// What sanitising removed in this write, and what else should be looked at; empty on reads.
    pub warnings: Vec<Warning>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_document_of_the_first_form_is_read() {
        let sample = r#"{"title":"A sample","body_markdown":"Text.","tags":["a"],"schema_version":1}"#;
        let content = from_stored(sample).unwrap();
        assert_eq!((content.title.as_str(), content.tags.len(), content.seo.no_index), ("A sample", 1, false));
        assert_eq!(from_stored(&stored(&content).unwrap()).unwrap(), content);
    }
}
