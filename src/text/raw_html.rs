//! First filter for the raw HTML inside Markdown: keeps complete tags of
//! allowed elements with allowed attribute names, and text.
//!
//! Surprising: this reads tags by itself and not as a browser would to the
//! letter. It may, because whatever it lets through is written out anew and is
//! parsed by the real HTML parser afterwards, twice; so a difference changes
//! what is kept, never what is safe. In return it takes linear time, where
//! html5ever compares every attribute of a tag with every other, and each
//! piece of raw HTML stands alone: an unfinished tag or comment cannot swallow
//! the Markdown after it.

use super::policy;
use super::removed::Removals;

/// Attributes after this many in one tag are dropped.
const MOST_ATTRIBUTES: usize = 64;

/// Elements that vanish together with what is between their tags.
pub(super) const DROPPED_WITH_CONTENT: &[&str] = &["script", "style", "iframe", "noembed", "noframes"];

const NOT_ALLOWED: &str = "it is not allowed in an article";

struct Tag<'a> {
    name: String,
    is_end: bool,
    attributes: Vec<(String, &'a str)>,
    has_too_many_attributes: bool,
    /// What follows the tag.
    rest: &'a str,
}

/// Filters one piece of raw HTML; character references stay as written.
pub(super) fn filter(html: &str, removals: &mut Removals) -> String {
    let mut output = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        output.push_str(&rest[..start]);
        rest = &rest[start..];
        if let Some(after) = skip_declaration(rest, removals) {
            rest = after;
        } else if !starts_like_tag(rest) {
            output.push_str("&lt;");
            rest = &rest[1..];
        } else if let Some(tag) = read_tag(rest) {
            rest = tag.rest;
            if DROPPED_WITH_CONTENT.contains(&tag.name.as_str()) && !tag.is_end {
                rest = after_end_tag(rest, &tag.name);
            }
            write_allowed(&tag, &mut output, removals);
        } else {
            // An unfinished tag: later tags might still be complete, but trying
            // each of them would take quadratic time.
            removals.add("unfinished tag", "the tag has no end");
            output.push_str(&rest.replace('<', "&lt;"));
            return output;
        }
    }
    output.push_str(rest);
    output
}

/// The element name and whether it is an end tag, if `html` begins with a tag.
pub(super) fn leading_tag(html: &str) -> Option<(String, bool)> {
    let tag = if starts_like_tag(html) { read_tag(html) } else { None }?;
    Some((tag.name, tag.is_end))
}

fn starts_like_tag(html: &str) -> bool {
    let after = html.strip_prefix("</").or_else(|| html.strip_prefix('<')).unwrap_or_default();
    after.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Skips a comment, document type, CDATA section or processing instruction.
fn skip_declaration<'a>(html: &'a str, removals: &mut Removals) -> Option<&'a str> {
    let after = |end: &str, from: usize| {
        let body = html.get(from..).unwrap_or_default();
        body.find(end).map_or("", |at| &body[at + end.len()..])
    };
    let (what, rest) = if html.starts_with("<!--") {
        // From 2, because `<!-->` is a complete comment.
        ("comment", after("-->", 2))
    } else if html.starts_with("<![CDATA[") {
        ("CDATA section", after("]]>", 9))
    } else if html.starts_with("<!") {
        ("declaration", after(">", 2))
    } else if html.starts_with("<?") {
        ("processing instruction", after(">", 2))
    } else {
        return None;
    };
    removals.add(what, NOT_ALLOWED);
    Some(rest)
}

fn is_space(byte: char) -> bool {
    byte.is_ascii_whitespace()
}

fn read_tag(html: &str) -> Option<Tag<'_>> {
    let is_end = html.starts_with("</");
    let body = &html[if is_end { 2 } else { 1 }..];
    let name_end = body.find(|c| is_space(c) || c == '/' || c == '>')?;
    let mut tag = Tag {
        name: body[..name_end].to_ascii_lowercase(),
        is_end,
        attributes: Vec::new(),
        has_too_many_attributes: false,
        rest: &body[name_end..],
    };
    loop {
        tag.rest = tag.rest.trim_start_matches(|c| is_space(c) || c == '/');
        if let Some(after) = tag.rest.strip_prefix('>') {
            tag.rest = after;
            return Some(tag);
        }
        let (name, value, after) = read_attribute(tag.rest)?;
        tag.rest = after;
        if tag.attributes.len() < MOST_ATTRIBUTES {
            tag.attributes.push((name.to_ascii_lowercase(), value));
        } else {
            tag.has_too_many_attributes = true;
        }
    }
}

/// Reads one attribute: its name, its value (empty without one), what follows.
fn read_attribute(html: &str) -> Option<(&str, &str, &str)> {
    // A name may begin with "=", says the HTML standard.
    let first = html.chars().next()?.len_utf8();
    let name_end = first + html[first..].find(|c| is_space(c) || matches!(c, '/' | '>' | '='))?;
    let (name, after_name) = html.split_at(name_end);
    let Some(value) = after_name.trim_start_matches(is_space).strip_prefix('=') else {
        return Some((name, "", after_name));
    };
    let value = value.trim_start_matches(is_space);
    for quote in ['"', '\''] {
        if let Some(quoted) = value.strip_prefix(quote) {
            let end = quoted.find(quote)?;
            return Some((name, &quoted[..end], &quoted[end + 1..]));
        }
    }
    let end = value.find(|c| is_space(c) || c == '>')?;
    Some((name, &value[..end], &value[end..]))
}

fn after_end_tag<'a>(html: &'a str, name: &str) -> &'a str {
    let mut rest = html;
    while let Some(at) = rest.find("</") {
        rest = &rest[at + 2..];
        let is_end = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
            && rest[name.len()..].starts_with(|c| is_space(c) || c == '/' || c == '>');
        if is_end {
            return rest.find('>').map_or("", |end| &rest[end + 1..]);
        }
    }
    ""
}

fn write_allowed(tag: &Tag<'_>, output: &mut String, removals: &mut Removals) {
    let Some(element) = policy::element(&tag.name) else {
        if !tag.is_end {
            removals.add_element(&tag.name, NOT_ALLOWED);
        }
        return;
    };
    if tag.is_end {
        output.push_str("</");
        output.push_str(element.name);
        output.push('>');
        return;
    }
    output.push('<');
    output.push_str(element.name);
    let mut written: Vec<&str> = Vec::new();
    for (name, value) in &tag.attributes {
        if !element.allows(name) {
            removals.add_attribute(element.name, name, NOT_ALLOWED);
        } else if written.contains(&name.as_str()) {
            removals.add_value(element.name, name, "the attribute is there twice");
        } else {
            written.push(name);
            write_attribute(name, value, output);
        }
    }
    if tag.has_too_many_attributes {
        removals.add_element(element.name, "it has too many attributes; the last are left out");
    }
    output.push('>');
}

/// `&` stays, so that character references keep their meaning.
fn write_attribute(name: &str, value: &str, output: &mut String) {
    output.push(' ');
    output.push_str(name);
    output.push_str("=\"");
    for character in value.chars() {
        match character {
            '"' => output.push_str("&quot;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            other => output.push(other),
        }
    }
    output.push('"');
}
