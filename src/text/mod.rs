//! Text: Markdown to safe HTML and what is derived from it, slugs, excerpts.
//!
//! Everything here is a pure function. An article's Markdown passes these steps:
//!
//! 1. `markdown`: `CommonMark` with GitHub's extensions; raw HTML is reduced to
//!    complete, allowed tags by `raw_html`.
//! 2. `balance`: tags are nested properly, attribute values judged.
//! 3. `policy`: `ammonia` parses the result as a browser does and keeps only
//!    what is on the allow-list; repeated until nothing changes any more.
//! 4. `outline`: identifiers, sections, table of contents, plain text.
//!
//! What surprises: authors cannot choose an `id`, `name` or `style`, and a `class` only to name code's language;
//! headings in raw HTML get identifiers just as Markdown headings do; elements
//! nested more than 100 deep become plain text; a document whose tables have
//! more than 200,000 cells keeps them as plain text; an inline raw element ends
//! with the block it began in; text that raw HTML puts between table cells gets a
//! cell of its own.

mod balance;
mod inspect;
mod language;
mod links;
mod markdown;
mod mentions;
mod outline;
mod plain_text;
mod policy;
mod raw_html;
mod removed;
mod scan;
mod slug;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use inspect::{Inspection, inspect, link_targets};
pub(crate) use language::canonical_language;
pub(crate) use links::{link_articles_html, link_articles_markdown};
pub(crate) use plain_text::{excerpt, reading_minutes};
pub(crate) use policy::article_id;
pub use removed::Removed;
pub(crate) use slug::{is_slug, slug, sort_key};

use removed::Removals;

/// Version of the renderer: raised when its output for the same Markdown may
/// change, so that stored renderings can be told to be out of date.
pub(crate) const RENDERER_VERSION: i32 = 1;

/// Sanitising is repeated at most this often in search of a stable result.
const MOST_ROUNDS: usize = 5;

/// Everything made from one Markdown body.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// Safe HTML; links to articles are still `article:<uuid>`.
    pub html: String,
    /// The same HTML in pieces; joined they are `html`, byte for byte.
    pub sections: Vec<Section>,
    /// The headings that stand in no other element, nested by level.
    pub table_of_contents: Vec<TableOfContentsEntry>,
    /// Plain text; blocks are separated by one newline.
    pub text: String,
    /// The beginning of `text` without its headings, of which an excerpt is made.
    pub lead: String,
    /// Words of `text`; Chinese and Japanese characters count one each.
    pub word_count: u32,
    /// Articles linked to, each once, in order of first mention.
    pub linked_articles: Vec<Uuid>,
    /// What the author wrote that is not in `html`; at most 100 entries.
    pub removed: Vec<Removed>,
}

/// A part of an article's body: one heading and what follows until the next.
///
/// Only headings that stand in no other element begin a section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Section {
    /// The anchor of the heading, unique in the article; null for the part
    /// before the first heading.
    #[schema(required, max_length = 1_048_576, pattern = r"^\S+$")]
    pub id: Option<String>,
    /// The heading's level, 1 to 6; null for the part before the first heading.
    #[schema(required, minimum = 1, maximum = 6)]
    pub level: Option<u8>,
    /// The heading as plain text; null for the part before the first heading.
    #[schema(required)]
    pub heading: Option<String>,
    /// Safe HTML of the part, with its heading.
    pub html: String,
}

/// A heading in the table of contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TableOfContentsEntry {
    /// The anchor of the heading, unique in the article.
    #[schema(max_length = 1_048_576, pattern = r"^\S+$")]
    pub id: String,
    /// The heading as plain text.
    pub text: String,
    /// The heading's level, 1 to 6.
    #[schema(minimum = 1, maximum = 6)]
    pub level: u8,
    /// The deeper headings that follow, up to the next of this level or above.
    #[schema(no_recursion)]
    pub children: Vec<TableOfContentsEntry>,
}

/// Renders a Markdown body: `CommonMark` with tables, strikethrough, task lists,
/// footnotes and bare-URL links as on GitHub, and the HTML an article may have.
///
/// Takes time linear in the length of the body for all practical purposes, and
/// bounded stack, whatever the body is.
pub fn render(markdown: &str) -> Rendered {
    let mut removals = Removals::default();
    let markdown = without_control_characters(markdown);
    let html = markdown::to_html(&markdown, &mut removals);
    let html = balance::balance(&html, &mut removals);
    let html = sanitize_until_stable(html).unwrap_or_else(|| {
        removals.add("formatting", "the HTML has no stable form");
        as_paragraphs(&markdown)
    });
    let outline = outline::outline(&html);
    Rendered {
        word_count: plain_text::count_words(&outline.text),
        html: outline.html,
        sections: outline.sections,
        table_of_contents: outline.table_of_contents,
        text: outline.text,
        lead: outline.lead,
        linked_articles: outline.linked_articles,
        removed: removals.into_list(),
    }
}

/// NUL and the other C0 controls but tab and line ends have no place in text.
fn without_control_characters(markdown: &str) -> String {
    let is_kept = |c: &char| *c >= ' ' || matches!(c, '\t' | '\n' | '\r');
    markdown.chars().filter(is_kept).collect()
}

/// HTML that parses back to itself cannot mean something else to the next
/// parser (mutation XSS). One extra round confirms; that suffices in practice.
fn sanitize_until_stable(html: String) -> Option<String> {
    let mut html = html;
    for _ in 0..MOST_ROUNDS {
        let cleaner = policy::sanitize(&html);
        if cleaner == html {
            return Some(html);
        }
        html = cleaner;
    }
    None
}

/// The last resort: the source itself as text.
fn as_paragraphs(markdown: &str) -> String {
    let mut html = String::with_capacity(markdown.len() * 2);
    for line in markdown.lines().filter(|line| !line.trim().is_empty()) {
        html.push_str("<p>");
        html.push_str(&scan::escape(line));
        html.push_str("</p>\n");
    }
    html
}
