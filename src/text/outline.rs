//! From clean HTML to the finished article: identifiers for headings and
//! footnotes, sections, table of contents, plain text and article links.
//!
//! Surprising: this is where every `id` comes from. Headings are named after
//! their text; footnotes are `fn-1` (the note) and `fnref-1`, `fnref-1-2` (the
//! places that refer to it), and no heading gets a name of that form.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use uuid::Uuid;

use super::plain_text::TextBuilder;
use super::policy::{self, FOOTNOTE_MARK, Kind};
use super::scan::{self, Piece};
use super::slug::slug;
use super::{Section, TableOfContentsEntry};

/// What one walk over the clean HTML finds.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) html: String,
    pub(super) sections: Vec<Section>,
    pub(super) table_of_contents: Vec<TableOfContentsEntry>,
    pub(super) text: String,
    pub(super) lead: String,
    pub(super) linked_articles: Vec<Uuid>,
}

/// How many bytes of the text an excerpt may be made of.
const LEAD_BYTES: usize = 4096;

/// A heading that stands in no other element.
struct TopHeading {
    start: usize,
    id: String,
    level: u8,
    text: String,
}

/// The heading being read.
struct OpenHeading {
    start: usize,
    name: String,
    text: TextBuilder,
    is_top_level: bool,
    /// Where its line begins in the text.
    line: usize,
}

#[derive(Default)]
struct Walk {
    html: String,
    depth: usize,
    text: TextBuilder,
    /// Where headings stand in the text, as far as its lead reaches.
    heading_lines: Vec<Range<usize>>,
    /// How many bytes of the text these headings are.
    heading_bytes: usize,
    headings: Vec<TopHeading>,
    open_heading: Option<OpenHeading>,
    /// Depth of the footnote link being read: its number or arrow is no text.
    footnote_link: Option<usize>,
    used_ids: HashSet<String>,
    next_suffixes: HashMap<String, u32>,
    linked_articles: Vec<Uuid>,
    seen_articles: HashSet<Uuid>,
}

/// Finishes sanitised HTML that has no identifiers yet.
pub(super) fn outline(clean_html: &str) -> Outline {
    let mut walk = Walk { html: String::with_capacity(clean_html.len() * 9 / 8), ..Walk::default() };
    for piece in scan::pieces(clean_html) {
        match piece {
            Piece::Text(text) => {
                walk.html.push_str(text);
                walk.add_text(&scan::unescape(text));
            }
            Piece::Open { name, attributes, raw } => walk.open(name, attributes, raw),
            Piece::Close { name, raw } => walk.close(name, raw),
        }
    }
    let sections = sections(&walk.html, &walk.headings);
    let text = walk.text.finish();
    Outline {
        sections,
        table_of_contents: table_of_contents(walk.headings),
        lead: lead(&text, &walk.heading_lines),
        text,
        linked_articles: walk.linked_articles,
        html: walk.html,
    }
}

/// The beginning of a text, without its headings where there is anything else.
fn lead(text: &str, headings: &[Range<usize>]) -> String {
    let (mut lead, mut from) = (String::new(), 0);
    for heading in headings.iter().chain([&(text.len()..text.len())]) {
        // A line's end that is counted with the last heading is not part of the finished text.
        let stretch = &text[from..heading.start.clamp(from, text.len())];
        lead.push_str(&stretch[..stretch.floor_char_boundary(LEAD_BYTES - lead.len())]);
        from = heading.end.min(text.len());
    }
    if lead.trim().is_empty() { text[..text.floor_char_boundary(LEAD_BYTES)].to_owned() } else { lead }
}

impl Walk {
    fn add_text(&mut self, text: &str) {
        if self.footnote_link.is_some() {
            return;
        }
        self.text.push(text);
        if let Some(heading) = &mut self.open_heading {
            heading.text.push(text);
        }
    }

    fn open(&mut self, name: &str, attributes: &str, raw: &str) {
        let element = policy::element(name);
        self.mark_boundary(name);
        if name == "pre" {
            self.text.begin_preformatted();
        }
        if let (Some(alt), Some(heading)) = (scan::attribute(attributes, "alt"), &mut self.open_heading) {
            heading.text.push(&scan::unescape(alt));
        }
        let is_heading = element.is_some_and(|element| element.kind == Kind::Heading);
        if is_heading && self.open_heading.is_none() {
            self.open_heading = Some(OpenHeading {
                start: self.html.len(),
                name: name.to_owned(),
                text: TextBuilder::default(),
                is_top_level: self.depth == 0,
                line: self.text.len(),
            });
        }
        if let Some(mark) = scan::attribute(attributes, FOOTNOTE_MARK) {
            self.write_footnote_tag(name, attributes, mark);
        } else {
            self.html.push_str(raw);
            self.note_link(attributes);
        }
        if !element.is_some_and(policy::Element::is_void) {
            self.depth += 1;
        }
    }

    fn close(&mut self, name: &str, raw: &str) {
        self.depth = self.depth.saturating_sub(1);
        self.html.push_str(raw);
        if self.footnote_link == Some(self.depth) {
            self.footnote_link = None;
        }
        if name == "pre" {
            self.text.end_preformatted();
        }
        self.mark_boundary(name);
        if let Some(heading) = self.open_heading.take_if(|heading| heading.name == name) {
            self.finish_heading(heading);
        }
    }

    fn mark_boundary(&mut self, name: &str) {
        match policy::element(name) {
            _ if name == "br" => self.text.end_block(),
            Some(element) if matches!(name, "td" | "th") || element.is_inline() => {
                if !element.is_inline() {
                    self.text.end_cell();
                }
            }
            _ => self.text.end_block(),
        }
    }

    /// Writes a link or list item of a footnote with its anchors.
    fn write_footnote_tag(&mut self, name: &str, attributes: &str, mark: &str) {
        let mut parts = mark.split('-');
        let (kind, number, nth) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        let reference = match nth {
            None | Some("1") => format!("fnref-{number}"),
            Some(nth) => format!("fnref-{number}-{nth}"),
        };
        let (target, id) = match kind {
            Some("ref") => (Some(format!("fn-{number}")), Some(reference)),
            Some("back") => (Some(reference), None),
            _ => (None, Some(format!("fn-{number}"))),
        };
        self.html.push('<');
        self.html.push_str(name);
        for (attribute, value) in scan::attributes(attributes) {
            if attribute != FOOTNOTE_MARK {
                self.push_attribute(attribute, value);
            }
        }
        if let Some(target) = target {
            self.push_attribute("href", &format!("#{target}"));
            self.footnote_link.get_or_insert(self.depth);
        }
        // The parser may have split a link in two; the first half is the anchor.
        if let Some(id) = id.filter(|id| self.used_ids.insert(id.clone())) {
            self.push_attribute("id", &id);
        }
        self.html.push('>');
    }

    fn push_attribute(&mut self, name: &str, value: &str) {
        for part in [" ", name, "=\"", value, "\""] {
            self.html.push_str(part);
        }
    }

    /// Notes links to articles; links to other sites get a `rel` attribute.
    fn note_link(&mut self, attributes: &str) {
        let Some(href) = scan::attribute(attributes, "href") else {
            return;
        };
        if let Some(id) = policy::article_id(href) {
            if self.seen_articles.insert(id) {
                self.linked_articles.push(id);
            }
        } else if is_external(href) && self.html.ends_with('>') {
            self.html.pop();
            self.push_attribute("rel", "noopener noreferrer");
            self.html.push('>');
        }
    }

    fn finish_heading(&mut self, heading: OpenHeading) {
        if heading.line - self.heading_bytes < LEAD_BYTES {
            self.heading_bytes += self.text.len() - heading.line;
            self.heading_lines.push(heading.line..self.text.len());
        }
        let text = heading.text.finish();
        let id = self.unused_id(&text);
        // "<h" and the level's digit.
        let after_name = heading.start + 1 + heading.name.len();
        self.html.insert_str(after_name, &format!(" id=\"{id}\""));
        if heading.is_top_level {
            let level = heading.name.bytes().last().map_or(1, |digit| digit.saturating_sub(b'0'));
            self.headings.push(TopHeading { start: heading.start, id, level, text });
        }
    }

    fn unused_id(&mut self, text: &str) -> String {
        let mut base = slug(text).unwrap_or_else(|| "section".to_owned());
        if base.starts_with("fn-") || base.starts_with("fnref-") {
            base.insert_str(0, "section-");
        }
        let mut id = base.clone();
        let next = self.next_suffixes.entry(base.clone()).or_insert(2);
        while !self.used_ids.insert(id.clone()) {
            id = format!("{base}-{next}");
            *next += 1;
        }
        id
    }
}

fn is_external(escaped_href: &str) -> bool {
    let href = scan::unescape(escaped_href);
    // Browsers ignore leading white space and take backslashes for slashes.
    let href = href.trim_start().replace('\\', "/").to_ascii_lowercase();
    ["http:", "https:", "//"].iter().any(|start| href.starts_with(start))
}

fn sections(html: &str, headings: &[TopHeading]) -> Vec<Section> {
    if html.is_empty() {
        return Vec::new();
    }
    let mut sections = Vec::with_capacity(headings.len() + 1);
    let first_start = headings.first().map_or(html.len(), |heading| heading.start);
    // White space alone is no section; it goes with the first heading.
    let has_preamble = headings.is_empty() || !html[..first_start].trim().is_empty();
    if has_preamble {
        let html = html[..first_start].to_owned();
        sections.push(Section { id: None, level: None, heading: None, html });
    }
    for (index, heading) in headings.iter().enumerate() {
        let start = if index == 0 && !has_preamble { 0 } else { heading.start };
        let end = headings.get(index + 1).map_or(html.len(), |next| next.start);
        sections.push(Section {
            id: Some(heading.id.clone()),
            level: Some(heading.level),
            heading: Some(heading.text.clone()),
            html: html[start..end].to_owned(),
        });
    }
    sections
}

fn table_of_contents(headings: Vec<TopHeading>) -> Vec<TableOfContentsEntry> {
    let mut finished = Vec::new();
    // Entries that may still get children, each deeper than the one before.
    let mut open: Vec<TableOfContentsEntry> = Vec::new();
    for heading in headings {
        close_entries(&mut open, &mut finished, heading.level);
        let TopHeading { id, level, text, .. } = heading;
        open.push(TableOfContentsEntry { id, text, level, children: Vec::new() });
    }
    close_entries(&mut open, &mut finished, 0);
    finished
}

/// Hands each open entry of at least this level to the entry it belongs to.
fn close_entries(open: &mut Vec<TableOfContentsEntry>, finished: &mut Vec<TableOfContentsEntry>, level: u8) {
    while let Some(entry) = open.pop_if(|entry| entry.level >= level) {
        match open.last_mut() {
            Some(parent) => parent.children.push(entry),
            None => finished.push(entry),
        }
    }
}
