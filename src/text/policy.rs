//! The allow-list: which elements, attributes and attribute values an article
//! body may contain, and the names that reports may repeat.
//!
//! Surprising: `id`, `name` and `style` are on no list, and `class` only for the language of code. Identifiers
//! are made by [`super::outline`] alone; [`FOOTNOTE_MARK`] is how the Markdown
//! formatter tells it which elements belong to footnotes. Authors cannot write
//! that mark, because [`super::raw_html`] lets no `data-` attribute through.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, Url};
use uuid::Uuid;

use super::scan::{self, Piece};

/// Private attribute of footnote anchors and list items; never in the result.
pub(super) const FOOTNOTE_MARK: &str = "data-footnote";

/// How an element nests, as far as balancing tags needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lives inside a line of text.
    Inline,
    /// Like `Inline`, but has neither content nor an end tag.
    VoidInline,
    /// Ends an open paragraph.
    Block,
    /// `<hr>`: a block without content or end tag.
    VoidBlock,
    /// `<h1>` to `<h6>`.
    Heading,
    /// Allowed only inside `<table>`.
    TablePart,
}

/// One allowed element.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    attributes: &'static [&'static str],
}

impl Element {
    pub(super) fn is_void(&self) -> bool {
        matches!(self.kind, Kind::VoidInline | Kind::VoidBlock) || self.name == "col"
    }

    pub(super) fn is_inline(&self) -> bool {
        matches!(self.kind, Kind::Inline | Kind::VoidInline)
    }

    pub(super) fn allows(&self, attribute: &str) -> bool {
        self.attributes.contains(&attribute) || GENERIC_ATTRIBUTES.contains(&attribute)
    }
}

const GENERIC_ATTRIBUTES: &[&str] = &["dir", "lang", "title"];
const NONE: &[&str] = &[];
const CELL: &[&str] = &["align", "colspan", "rowspan", "scope"];
const EDIT: &[&str] = &["cite", "datetime"];

/// Each entry: elements of one kind that share their attributes.
const GROUPS: &[(Kind, &[&str], &[&str])] = &[
    (
        Kind::Block,
        &["p", "div", "section", "pre", "ul", "dl", "dt", "dd", "table", "figure", "figcaption", "summary"],
        NONE,
    ),
    (Kind::Block, &["blockquote"], &["cite"]),
    (Kind::Block, &["ol"], &["reversed", "start", "type"]),
    (Kind::Block, &["li"], &["value"]),
    (Kind::Block, &["details"], &["open"]),
    (Kind::VoidBlock, &["hr"], NONE),
    (Kind::Heading, &["h1", "h2", "h3", "h4", "h5", "h6"], NONE),
    (Kind::TablePart, &["caption"], NONE),
    (Kind::TablePart, &["thead", "tbody", "tfoot", "tr"], &["align"]),
    (Kind::TablePart, &["td", "th"], CELL),
    (Kind::TablePart, &["col", "colgroup"], &["align", "span"]),
    (
        Kind::Inline,
        &[
            "abbr", "b", "bdi", "bdo", "cite", "dfn", "em", "i", "kbd", "mark", "rp", "rt", "ruby", "s", "samp",
            "small", "span", "strong", "sub", "sup", "u", "var",
        ],
        NONE,
    ),
    (Kind::Inline, &["code"], &["class"]),
    (Kind::Inline, &["a"], &["href", "hreflang"]),
    (Kind::Inline, &["q"], &["cite"]),
    (Kind::Inline, &["del", "ins"], EDIT),
    (Kind::Inline, &["time"], &["datetime"]),
    (Kind::VoidInline, &["br", "wbr"], NONE),
    (Kind::VoidInline, &["img"], &["alt", "height", "loading", "src", "width"]),
    (Kind::VoidInline, &["input"], &["checked", "disabled", "type"]),
];

static ELEMENTS: LazyLock<HashMap<&'static str, Element>> = LazyLock::new(|| {
    GROUPS
        .iter()
        .flat_map(|&(kind, names, attributes)| {
            names.iter().map(move |&name| (name, Element { name, kind, attributes }))
        })
        .collect()
});

/// Looks up an allowed element by its lower-case name.
pub(super) fn element(name: &str) -> Option<&'static Element> {
    ELEMENTS.get(name)
}

/// What becomes of one attribute value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// Keep it, perhaps in its normal form.
    Keep(Cow<'a, str>),
    /// Leave the attribute out, for this reason.
    Remove(&'static str),
}

/// Longest text that the sanitiser gets in one piece.
const MOST_TEXT_BYTES: usize = 4_096;

/// Longest attribute value. Addresses rarely pass 2,000 bytes.
const MOST_VALUE_BYTES: usize = 8_000;

const BAD_VALUE: &str = "the value is not allowed";
const BAD_URL: &str = "the address is not valid or its scheme is not allowed";
const BAD_ARTICLE: &str = "the article link has no valid article id";

/// Judges the (entity-decoded) value of an attribute that its element allows.
pub(super) fn judge<'a>(element: &str, attribute: &str, value: &'a str) -> Verdict<'a> {
    if value.len() > MOST_VALUE_BYTES {
        return Verdict::Remove("the value is too long");
    }
    let fits = match attribute {
        "href" => return judge_link(value),
        "src" | "cite" => return judge_url(value, &["http", "https"]),
        "align" => one_of(value, &["left", "right", "center", "justify"]),
        "dir" => one_of(value, &["ltr", "rtl", "auto"]),
        "scope" => one_of(value, &["row", "col", "rowgroup", "colgroup"]),
        "loading" => one_of(value, &["lazy", "eager"]),
        "class" => value.strip_prefix("language-").is_some_and(is_code_language),
        "type" if element == "input" => one_of(value, &["checkbox"]),
        "type" => ["1", "a", "A", "i", "I"].contains(&value),
        "open" | "reversed" | "checked" | "disabled" => return Verdict::Keep(Cow::Borrowed("")),
        "start" | "value" => is_number(value.strip_prefix('-').unwrap_or(value), 9),
        "width" | "height" => is_number(value, 5),
        "colspan" | "rowspan" | "span" => is_number(value, 3),
        "lang" | "hreflang" => value.len() <= 35 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
        "datetime" => value.len() <= 40 && value.bytes().all(|b| b.is_ascii_alphanumeric() || b" :.+-".contains(&b)),
        _ => true,
    };
    if fits { Verdict::Keep(Cow::Borrowed(value)) } else { Verdict::Remove(BAD_VALUE) }
}

/// Whether this names the language of a code block, as highlighters know it: `rust`, `c++`, `objective-c`.
pub(super) fn is_code_language(name: &str) -> bool {
    (1..=30).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-_#.".contains(&byte))
}

fn one_of(value: &str, choices: &[&str]) -> bool {
    choices.iter().any(|choice| choice.eq_ignore_ascii_case(value))
}

fn is_number(value: &str, most_digits: usize) -> bool {
    (1..=most_digits).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
}

/// Any base will do: what parses only with one is a relative URL.
static BASE: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("https://base.invalid/").ok());

fn judge_link(value: &str) -> Verdict<'_> {
    match Url::parse(value) {
        Ok(url) if url.scheme() == "article" => match article_id(url.as_str()) {
            Some(id) => Verdict::Keep(Cow::Owned(format!("article:{id}"))),
            None => Verdict::Remove(BAD_ARTICLE),
        },
        _ => judge_url(value, &["http", "https", "mailto", "tel"]),
    }
}

/// The WHATWG URL parser decides, as browsers do: it ignores leading control
/// characters and tabs or newlines within a scheme, so no disguise helps.
fn judge_url<'a>(value: &'a str, schemes: &[&str]) -> Verdict<'a> {
    let allowed = match (Url::parse(value), BASE.as_ref()) {
        (Ok(url), _) => schemes.contains(&url.scheme()),
        (Err(_), Some(base)) => base.join(value).is_ok(),
        (Err(_), None) => false,
    };
    if allowed { Verdict::Keep(Cow::Borrowed(value)) } else { Verdict::Remove(BAD_URL) }
}

/// Reads `article:<uuid>` (hyphenated, either case); nothing may follow the id.
pub(crate) fn article_id(url: &str) -> Option<Uuid> {
    let scheme = url.get(..8)?;
    let id = url.get(8..)?;
    if !scheme.eq_ignore_ascii_case("article:") || id.len() != 36 {
        return None;
    }
    Uuid::try_parse(id).ok()
}

static SANITIZER: LazyLock<Builder<'static>> = LazyLock::new(|| sanitizer(&[FOOTNOTE_MARK]));

/// Cleans a whole body once with the allow-list; footnote marks stay.
pub(super) fn sanitize(html: &str) -> String {
    SANITIZER.clean(&with_short_texts(html)).to_string()
}

/// Parts long texts with comments, which the sanitiser then removes. Html5ever
/// takes quadratic time to write one text with many `&`, no-break spaces or
/// characters up to U+00BF; this way there are only short ones.
fn with_short_texts(html: &str) -> Cow<'_, str> {
    if html.len() <= MOST_TEXT_BYTES {
        return Cow::Borrowed(html);
    }
    let mut output = String::with_capacity(html.len() + html.len() / 256);
    for piece in scan::pieces(html) {
        match piece {
            Piece::Text(text) => {
                let mut rest = text;
                while rest.len() > MOST_TEXT_BYTES {
                    let (start, end) = rest.split_at(safe_split(rest));
                    output.push_str(start);
                    output.push_str("<!---->");
                    rest = end;
                }
                output.push_str(rest);
            }
            Piece::Open { raw, .. } | Piece::Close { raw, .. } => output.push_str(raw),
        }
    }
    Cow::Owned(output)
}

/// A place to split a long text, not within a character or `&nbsp;` and such.
fn safe_split(text: &str) -> usize {
    let at = text.floor_char_boundary(MOST_TEXT_BYTES);
    let last_words = text.floor_char_boundary(at - "&nbsp".len());
    match text[last_words..at].rfind('&') {
        Some(reference) => last_words + reference,
        None => at,
    }
}

/// The sanitiser for [`ELEMENTS`], with some more attributes allowed on links,
/// list items and headings.
pub(super) fn sanitizer(extra_attributes: &[&'static str]) -> Builder<'static> {
    let mut builder = Builder::empty();
    let mut attributes: HashMap<&str, HashSet<&str>> = HashMap::new();
    for element in ELEMENTS.values() {
        let mut allowed: HashSet<&str> = element.attributes.iter().copied().collect();
        if matches!(element.name, "a" | "li") || element.kind == Kind::Heading {
            allowed.extend(extra_attributes);
        }
        attributes.insert(element.name, allowed);
    }
    builder
        .tags(ELEMENTS.keys().copied().collect())
        .clean_content_tags(["script", "style", "iframe", "noembed", "noframes"].into())
        .generic_attributes(GENERIC_ATTRIBUTES.iter().copied().collect())
        .tag_attributes(attributes)
        .url_schemes(["http", "https", "mailto", "tel", "article"].into())
        .link_rel(None)
        .strip_comments(true)
        .attribute_filter(|element, attribute, value| match judge(element, attribute, value) {
            Verdict::Keep(kept) => Some(kept),
            Verdict::Remove(_) => None,
        });
    builder
}
