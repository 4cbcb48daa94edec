//! Where `article:<uuid>` stands in a Markdown source, and as what.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use comrak::nodes::{Node, NodeValue};
use comrak::{Arena, parse_document};
use uuid::Uuid;

use super::links::apply;
use super::removed::Removals;
use super::{markdown, policy};

pub(super) const SCHEME: &str = "article:";
const UUID_LENGTH: usize = 36;

/// One `article:<uuid>` in the source, wherever it stands.
pub(super) struct Mention {
    pub(super) range: Range<usize>,
    pub(super) id: Uuid,
}

/// All of them, in order.
pub(super) fn mentions(markdown: &str) -> Vec<Mention> {
    // ASCII lower case keeps every byte where it is.
    let lower = markdown.to_ascii_lowercase();
    let found = lower.match_indices(SCHEME).filter_map(|(start, _)| {
        let end = start + SCHEME.len() + UUID_LENGTH;
        let id = policy::article_id(markdown.get(start..end)?)?;
        Some(Mention { range: start..end, id })
    });
    found.collect()
}

/// Where the mentions have effect, by their index.
#[derive(Default)]
pub(super) struct Uses {
    /// Source ranges of Markdown links; several where a reference is shared.
    pub(super) markdown: HashMap<usize, Vec<LinkRange>>,
    /// In `href` attributes of raw HTML.
    pub(super) html: HashSet<usize>,
    /// Where links, images and footnote references of any kind end.
    pub(super) ends: HashSet<usize>,
}

/// Where a Markdown link stands.
pub(super) struct LinkRange {
    pub(super) whole: Range<usize>,
    /// The end of the link text, as far as the parser tells.
    pub(super) text_end: usize,
}

/// To learn which mentions are link destinations and which are mere text or
/// code, each gets an id of its own (of the same length, so the structure stays)
/// and the Markdown parser shows where those ids end up.
pub(super) fn find_uses(markdown: &str, mentions: &[Mention]) -> Uses {
    let numbers = mentions.iter().enumerate();
    let numbered =
        apply(markdown, numbers.map(|(index, mention)| (mention.range.clone(), numbered_link(index))).collect());
    let arena = Arena::new();
    let options = markdown::options(&numbered, &mut Removals::default());
    let padding = markdown::padding(&numbered);
    let padded = format!("{padding}{numbered}{}", markdown::END);
    let root = parse_document(&arena, &padded, &options);
    let lines = LineStarts::of(&numbered, usize::from(!padding.is_empty()));
    let mut uses = Uses::default();
    for node in root.descendants() {
        let value = &node.data().value;
        if matches!(value, NodeValue::Link(_) | NodeValue::Image(_) | NodeValue::FootnoteReference(_)) {
            let end = node.data().sourcepos.end;
            uses.ends.extend(lines.offset(end.line, end.column).map(|last| last + 1));
        }
        match value {
            NodeValue::Link(link) => {
                if let Some(index) = number_of(&link.url).filter(|index| *index < mentions.len()) {
                    uses.markdown.entry(index).or_default().extend(link_range(node, &lines));
                }
            }
            NodeValue::HtmlInline(html) => uses.html.extend(numbers_in_html(html)),
            NodeValue::HtmlBlock(block) => uses.html.extend(numbers_in_html(&block.literal)),
            _ => {}
        }
    }
    uses
}

fn numbered_link(index: usize) -> String {
    format!("{SCHEME}{}", Uuid::from_u128(index as u128))
}

fn number_of(url: &str) -> Option<usize> {
    usize::try_from(policy::article_id(url)?.as_u128()).ok()
}

/// Numbers of the links in `href` attributes of raw HTML.
fn numbers_in_html(html: &str) -> Vec<usize> {
    let is_in_href = |at: usize| {
        let before = html[..at].trim_end_matches(['"', '\'', ' ']);
        let name = before.strip_suffix('=').unwrap_or_default().trim_end();
        let tail = name.len().checked_sub("href".len()).and_then(|start| name.get(start..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case("href"))
    };
    let found = html.match_indices(SCHEME).filter(|(at, _)| is_in_href(*at));
    found.filter_map(|(at, _)| number_of(html.get(at..at + SCHEME.len() + UUID_LENGTH)?)).collect()
}

/// Byte offsets of the lines, to find comrak's line and column positions.
struct LineStarts {
    starts: Vec<usize>,
    /// Lines that comrak saw before the first.
    lines_before: usize,
}

impl LineStarts {
    fn of(text: &str, lines_before: usize) -> Self {
        let bytes = text.as_bytes();
        let is_line_end =
            |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        let ends = (0..bytes.len()).filter(is_line_end);
        let starts = std::iter::once(0).chain(ends.map(|at| at + 1)).collect();
        Self { starts, lines_before }
    }

    /// Lines and columns count from 1, columns in bytes.
    fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let start = self.starts.get(line.checked_sub(1 + self.lines_before)?)?;
        Some(start + column.checked_sub(1)?)
    }
}

fn link_range(node: Node<'_>, lines: &LineStarts) -> Option<LinkRange> {
    let position = node.data().sourcepos;
    let start = lines.offset(position.start.line, position.start.column)?;
    let end = lines.offset(position.end.line, position.end.column)? + 1;
    let last = node.last_child()?.data().sourcepos.end;
    let text_end = lines.offset(last.line, last.column)? + 1;
    Some(LinkRange { whole: start..end, text_end })
}
