//! Markdown to HTML that is not yet safe: `CommonMark` 0.31 with the tables,
//! strikethrough, task lists, footnotes and bare-URL links of GitHub.
//!
//! Surprising: raw HTML passes [`super::raw_html`] here, piece by piece; footnotes
//! carry [`FOOTNOTE_MARK`] instead of identifiers; of a code block's info string
//! the language alone is kept, as `class="language-…"`; when the
//! destinations of all reference links together exceed 100,000 bytes, the later
//! links stay text.

use std::fmt::{self, Write as _};

use comrak::html::{ChildRendering, Context, format_document_with_formatter, format_node_default};
use comrak::nodes::{Node, NodeValue};
use comrak::options::Plugins;
use comrak::{Arena, Options, parse_document};

use super::balance::{self, MAX_DEPTH};
use super::policy::{self, FOOTNOTE_MARK};
use super::raw_html;
use super::removed::Removals;

/// Most table cells in one document, estimated from above. Each row of a table
/// is filled up to the width of its head, so a megabyte of `|` could otherwise
/// ask for a hundred million cells.
const MOST_TABLE_CELLS: usize = 200_000;

struct Formatting {
    removals: Removals,
    /// Footnote definitions begun so far; comrak keeps its own count private.
    footnotes: u32,
    /// Blockquotes around the current node.
    quotes: usize,
}

/// Renders Markdown; what raw HTML loses is added to `removals`.
pub(super) fn to_html(markdown: &str, removals: &mut Removals) -> String {
    let options = options(markdown, removals);
    let markdown = format!("{}{markdown}{END}", padding(markdown));
    let arena = Arena::new();
    let root = parse_document(&arena, &markdown, &options);
    prepare(root, removals);
    let mut html = String::with_capacity(markdown.len() * 2);
    let start = Formatting { removals: std::mem::take(removals), footnotes: 0, quotes: 0 };
    let plugins = Plugins::default();
    let formatted = format_document_with_formatter(root, &options, &mut html, &plugins, format_node, start);
    // Writing to a String cannot fail.
    if let Ok(end) = formatted {
        *removals = end.removals;
        if end.footnotes > 0 {
            html.push_str("</ol>\n</section>\n");
        }
    }
    html
}

/// The options both for rendering and for finding links.
pub(super) fn options(markdown: &str, removals: &mut Removals) -> Options<'static> {
    let mut options = Options::default();
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.footnotes = true;
    options.extension.table = most_table_cells(markdown) <= MOST_TABLE_CELLS;
    if !options.extension.table {
        removals.add("tables", "the tables have too many cells");
    }
    // Raw HTML and all URLs pass; the filters that follow judge them.
    options.render.r#unsafe = true;
    options
}

/// To put behind the document: without it, comrak overlooks a last line such as
/// `[name]: <address>`.
pub(super) const END: &str = "\n";

/// A blank line to put before the document. Comrak lets the destinations of all
/// reference links together be no longer than the document itself, nor than
/// 100,000 bytes, and shows further links as text; without the padding, a short
/// document with a long address could not use it twice.
pub(super) fn padding(markdown: &str) -> String {
    if markdown.contains("]:") { format!("{}\n", " ".repeat(100_000)) } else { String::new() }
}

/// Never less than the number of cells comrak would create.
fn most_table_cells(markdown: &str) -> usize {
    let mut total = 0_usize;
    let mut columns = 0;
    for line in markdown.split(['\n', '\r']) {
        // Before the row itself there can only be signs of blockquotes.
        let is_delimiter_row = line.contains('-') && line.bytes().all(|b| b"|:-> \t\x0B\x0C".contains(&b));
        if line.trim().is_empty() {
            columns = 0;
        } else if is_delimiter_row {
            columns = columns.max(line.matches('|').count() + 1);
        }
        total = total.saturating_add(columns);
    }
    total
}

/// Code blocks keep their language alone, and what stands between inline
/// `<script>` or `<style>` tags goes away.
fn prepare<'a>(root: Node<'a>, removals: &mut Removals) {
    let nodes: Vec<Node<'a>> = root.descendants().collect();
    for node in nodes {
        if let NodeValue::CodeBlock(block) = &mut node.data_mut().value {
            // Only the language counts; what follows it is for other renderers.
            let language = block.info.split_whitespace().next().unwrap_or_default().to_owned();
            if !language.is_empty() && !policy::is_code_language(&language) {
                removals.add("language of a code block", "the name of the language is not one");
                block.info.clear();
            } else {
                block.info = language;
            }
        }
        if node.data().value.contains_inlines() {
            drop_inline_scripts(node, removals);
        }
    }
}

fn drop_inline_scripts(parent: Node<'_>, removals: &mut Removals) {
    let mut opened: Option<String> = None;
    let mut doomed: Vec<Node<'_>> = Vec::new();
    for child in parent.children() {
        let tag = match &child.data().value {
            NodeValue::HtmlInline(html) => raw_html::leading_tag(html),
            _ => None,
        };
        match (&opened, tag) {
            (None, Some((name, false))) if raw_html::DROPPED_WITH_CONTENT.contains(&name.as_str()) => {
                opened = Some(name);
            }
            (Some(open), Some((name, true))) if *open == name => {
                removals.add_element(&name, "it is not allowed in an article");
                for node in doomed.drain(..) {
                    node.detach();
                }
                opened = None;
            }
            (Some(_), _) => doomed.push(child),
            (None, _) => {}
        }
    }
}

fn format_node(
    context: &mut Context<'_, '_, Formatting>,
    node: Node<'_>,
    entering: bool,
) -> Result<ChildRendering, fmt::Error> {
    match &node.data().value {
        NodeValue::BlockQuote if is_quote_too_deep(context, entering) => {}
        NodeValue::HtmlBlock(block) if entering => {
            context.cr()?;
            let html = raw_html::filter(&block.literal, &mut context.user.removals);
            context.write_str(&html)?;
            context.cr()?;
        }
        NodeValue::HtmlInline(literal) if entering => {
            let html = raw_html::filter(literal, &mut context.user.removals);
            context.write_str(&html)?;
        }
        NodeValue::FootnoteReference(reference) if entering => {
            let (number, nth) = (reference.ix, reference.ref_num);
            write!(context, "<sup><a {FOOTNOTE_MARK}=\"ref-{number}-{nth}\">{number}</a></sup>")?;
        }
        NodeValue::FootnoteDefinition(_) if entering => begin_footnote(context)?,
        NodeValue::FootnoteDefinition(definition) => {
            if !node.last_child().is_some_and(is_paragraph) {
                context.write_str("<p>")?;
                end_footnote(context, definition.total_references)?;
            }
            context.write_str("</li>\n")?;
        }
        NodeValue::Paragraph if !entering => match ends_footnote(node) {
            Some(references) => {
                context.write_str(" ")?;
                end_footnote(context, references)?;
            }
            None => return format_node_default(context, node, entering),
        },
        NodeValue::HtmlBlock(_) | NodeValue::HtmlInline(_) | NodeValue::FootnoteReference(_) => {}
        _ => return format_node_default(context, node, entering),
    }
    Ok(ChildRendering::HTML)
}

/// Counts the blockquotes; those too deep are not written, as a byte of `>`
/// would become 27 of tags.
fn is_quote_too_deep(context: &mut Context<'_, '_, Formatting>, entering: bool) -> bool {
    let formatting = &mut context.user;
    if entering {
        formatting.quotes += 1;
    }
    let is_too_deep = formatting.quotes > MAX_DEPTH;
    if !entering {
        formatting.quotes -= 1;
    }
    if is_too_deep {
        formatting.removals.add_element("blockquote", balance::TOO_DEEP);
    }
    is_too_deep
}

fn is_paragraph(node: Node<'_>) -> bool {
    matches!(node.data().value, NodeValue::Paragraph)
}

/// How often the footnote is referred to, if this is its last paragraph.
fn ends_footnote(paragraph: Node<'_>) -> Option<u32> {
    if paragraph.next_sibling().is_some() {
        return None;
    }
    match &paragraph.parent()?.data().value {
        NodeValue::FootnoteDefinition(definition) => Some(definition.total_references),
        _ => None,
    }
}

fn begin_footnote(context: &mut Context<'_, '_, Formatting>) -> fmt::Result {
    if context.user.footnotes == 0 {
        context.cr()?;
        context.write_str("<section>\n<ol>\n")?;
    }
    context.user.footnotes += 1;
    let number = context.user.footnotes;
    writeln!(context, "<li {FOOTNOTE_MARK}=\"def-{number}\">")
}

/// Writes links back to the references and the end of the paragraph.
fn end_footnote(context: &mut Context<'_, '_, Formatting>, references: u32) -> fmt::Result {
    let number = context.user.footnotes;
    for nth in 1..=references {
        let separator = if nth == 1 { "" } else { " " };
        write!(context, "{separator}<a {FOOTNOTE_MARK}=\"back-{number}-{nth}\">↩")?;
        if nth > 1 {
            write!(context, "<sup>{nth}</sup>")?;
        }
        context.write_str("</a>")?;
    }
    context.write_str("</p>\n")
}
