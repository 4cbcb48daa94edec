//! Turning links to articles (`article:<uuid>`) into addresses.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;

use uuid::Uuid;

use super::mentions::{LinkRange, Mention, SCHEME, find_uses, mentions};
use super::policy;
use super::scan::{self, Piece};

/// Replaces each `article:<uuid>` link of sanitised HTML by the address that
/// `resolve` gives; a link it has none for is replaced by its content.
pub(crate) fn link_articles_html(html: &str, resolve: impl Fn(Uuid) -> Option<String>) -> String {
    if !html.contains(SCHEME) {
        return html.to_owned();
    }
    let mut output = String::with_capacity(html.len());
    // For each open <a>: whether its tags are left out.
    let mut unwrapped = Vec::new();
    for piece in scan::pieces(html) {
        match piece {
            Piece::Open { name: "a", attributes, raw } => {
                let href = scan::attribute(attributes, "href").unwrap_or_default();
                let id = policy::article_id(href);
                let address = id.and_then(&resolve);
                unwrapped.push(id.is_some() && address.is_none());
                match (id, address) {
                    (Some(_), Some(address)) => {
                        let old = format!("href=\"{href}\"");
                        let new = format!("href=\"{}\"", scan::escape(&address));
                        output.push_str(&raw.replacen(&old, &new, 1));
                    }
                    (Some(_), None) => {}
                    (None, _) => output.push_str(raw),
                }
            }
            Piece::Close { name: "a", raw } => {
                if unwrapped.pop() != Some(true) {
                    output.push_str(raw);
                }
            }
            Piece::Text(raw) | Piece::Open { raw, .. } | Piece::Close { raw, .. } => {
                output.push_str(raw);
            }
        }
    }
    output
}

/// Replaces the `article:<uuid>` destination of each Markdown link (inline, by
/// reference, or in angle brackets) and of each raw HTML link by the address
/// that `resolve` gives; a link it has none for becomes its text. All else,
/// such as code, stays byte for byte. Brackets directly around a link that is
/// gone, as in `[[text](article:…)]`, stay and might name another reference.
pub(crate) fn link_articles_markdown(markdown: &str, resolve: impl Fn(Uuid) -> Option<String>) -> String {
    let mentions = mentions(markdown);
    if mentions.is_empty() {
        return markdown.to_owned();
    }
    let uses = find_uses(markdown, &mentions);
    let mut edits = Vec::new();
    for (index, mention) in mentions.iter().enumerate() {
        if let Some(links) = uses.markdown.get(&index) {
            match resolve(mention.id) {
                Some(address) => edits.push(link_edit(markdown, mention, &address)),
                None => unlink(markdown, mention, links, &uses.ends, &mut edits),
            }
        } else if uses.html.contains(&index) {
            edits.push(match resolve(mention.id) {
                Some(address) => (mention.range.clone(), scan::escape(&address)),
                None => (href_range(markdown, &mention.range), String::new()),
            });
        }
    }
    apply(markdown, edits)
}

/// Source ranges with what to put there.
type Edits = Vec<(Range<usize>, String)>;

/// Puts the address in place of the mention.
fn link_edit(markdown: &str, mention: &Mention, address: &str) -> (Range<usize>, String) {
    let Range { start, end } = mention.range;
    let destination = as_destination(address);
    let before = &markdown[..start];
    let is_autolink = markdown[end..].starts_with('>')
        && before.strip_suffix('<').is_some_and(|before| {
            // Otherwise it is the bracketed destination of `[text](<…>)` or `[name]: <…>`.
            !before.ends_with('(') && !before.trim_end().ends_with([':', '('])
        });
    if is_autolink {
        // A relative address in angle brackets would be an HTML tag.
        (start - 1..end + 1, format!("[{}]({destination})", &markdown[start..end]))
    } else {
        (mention.range.clone(), destination)
    }
}

/// The whole `href="…"` attribute around a mention in raw HTML.
fn href_range(markdown: &str, mention: &Range<usize>) -> Range<usize> {
    let before = markdown[..mention.start].trim_end_matches(['"', '\'', ' ']);
    let name = before.strip_suffix('=').unwrap_or(before).trim_end();
    let start = name.len().saturating_sub("href".len());
    let after = &markdown[mention.end..];
    let quote_length = usize::from(after.starts_with(['"', '\'']));
    start..mention.end + quote_length
}

/// Leaves only the text of each link, and nothing of a reference's destination.
fn unlink(markdown: &str, mention: &Mention, links: &[LinkRange], ends: &HashSet<usize>, edits: &mut Edits) {
    let mut is_mention_gone = false;
    for link in links {
        let Some(source) = markdown.get(link.whole.clone()) else {
            continue;
        };
        let is_autolink = source.starts_with('<') && source.ends_with('>');
        let text_end = if is_autolink { link.whole.end - 1 } else { link.text_end };
        let is_sound = is_autolink
            || (source.starts_with('[')
                && source.ends_with([')', ']'])
                && (link.whole.start + 1..link.whole.end).contains(&text_end)
                && markdown.get(text_end..).is_some_and(|rest| rest.starts_with(']')));
        if is_sound {
            let start = link.whole.start;
            if !ends.contains(&start) && ends_with_bracket(&markdown[..start]) {
                edits.push((start - 1..start - 1, "\\".to_owned()));
            }
            edits.push((start..start + 1, String::new()));
            edits.push((text_end..link.whole.end, String::new()));
            is_mention_gone |= (link.whole).contains(&mention.range.start);
        }
    }
    if !is_mention_gone {
        // The definition of a reference, or a link whose place is uncertain:
        // an empty destination keeps it a definition or a link.
        let is_bracketed = markdown[..mention.range.start].ends_with('<');
        let empty = if is_bracketed { "" } else { "<>" };
        edits.push((mention.range.clone(), empty.to_owned()));
    }
}

/// Whether this ends with `]` that is not escaped yet. In `[a][b](article:…)`
/// the first brackets are text, but without the link could be a reference.
fn ends_with_bracket(before: &str) -> bool {
    before.strip_suffix(']').is_some_and(|inside| {
        let backslashes = inside.len() - inside.trim_end_matches('\\').len();
        backslashes % 2 == 0
    })
}

/// Percent-encodes what could end a destination, with or without brackets.
fn as_destination(address: &str) -> String {
    let mut destination = String::with_capacity(address.len());
    for character in address.chars() {
        if character.is_ascii_control() || " <>()[]\"'`\\|".contains(character) {
            // Writing to a String cannot fail.
            let _ = write!(destination, "%{:02X}", u32::from(character));
        } else {
            destination.push(character);
        }
    }
    destination
}

/// Applies the edits; of two that overlap, the first is made.
pub(super) fn apply(text: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut output = String::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in edits {
        if range.start < done {
            continue;
        }
        output.push_str(&text[done..range.start]);
        output.push_str(&replacement);
        done = range.end;
    }
    output.push_str(&text[done..]);
    output
}
