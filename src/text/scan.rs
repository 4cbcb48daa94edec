//! Reading and writing HTML that is known to be well formed, such as the
//! sanitiser's output: a flat walk over tags and text, without a parser.
//!
//! Surprising: this must never see HTML that has not been sanitised.

use std::borrow::Cow;

/// One step of the walk; `raw` is the piece exactly as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Text(&'a str),
    Open { name: &'a str, attributes: &'a str, raw: &'a str },
    Close { name: &'a str, raw: &'a str },
}

/// The pieces of well-formed HTML, in order; nothing is left out.
pub(super) struct Pieces<'a> {
    rest: &'a str,
}

/// Starts the walk over `html`.
pub(super) fn pieces(html: &str) -> Pieces<'_> {
    Pieces { rest: html }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        if !self.rest.starts_with('<') {
            let end = self.rest.find('<').unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Piece::Text(text));
        }
        let (raw, rest) = self.rest.split_at(tag_length(self.rest));
        self.rest = rest;
        let inside = raw.trim_start_matches('<').trim_end_matches('>');
        if let Some(name) = inside.strip_prefix('/') {
            return Some(Piece::Close { name: name.trim_end(), raw });
        }
        let name_end = inside.find([' ', '\n', '/']).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(name_end);
        Some(Piece::Open { name, attributes, raw })
    }
}

fn tag_length(html: &str) -> usize {
    let mut open_quote = None;
    for (at, byte) in html.bytes().enumerate() {
        match (open_quote, byte) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => open_quote = Some(byte),
            (Some(quote), _) if quote == byte => open_quote = None,
            _ => {}
        }
    }
    html.len()
}

/// The attributes of an [`Piece::Open`] as name and still escaped value.
pub(super) fn attributes(attributes: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = attributes;
    std::iter::from_fn(move || {
        let (name, after) = rest.trim_start().split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some((name, value))
    })
}

/// The escaped value of one attribute.
pub(super) fn attribute<'a>(list: &'a str, name: &str) -> Option<&'a str> {
    attributes(list).find_map(|(found, value)| (found == name).then_some(value))
}

/// Undoes the five escapes that the HTML serialiser writes.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let unescaped = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", "\u{a0}")
        // Last, so that `&amp;lt;` becomes `&lt;` and no further.
        .replace("&amp;", "&");
    Cow::Owned(unescaped)
}

/// Escapes text for use between tags or inside a double-quoted attribute, the
/// way the HTML standard serialises an attribute value.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{a0}' => escaped.push_str("&nbsp;"),
            other => escaped.push(other),
        }
    }
    escaped
}
