//! Attacks on the server: bodies made to cost much time, memory or stack.

use std::time::{Duration, Instant};

use super::super::render;

const MEBIBYTE: usize = 1 << 20;

/// The largest body in release builds. Debug builds, twenty times slower, get a
/// thirty-second, which would still show anything worse than linear.
const SIZE: usize = if cfg!(debug_assertions) { MEBIBYTE / 32 } else { MEBIBYTE };
const SCALE: usize = MEBIBYTE / SIZE;

fn fill(pattern: &str) -> String {
    pattern.repeat(SIZE / pattern.len())
}

/// Repeated until they fill a body.
#[rustfmt::skip]
const PATTERNS: &[&str] = &[
    "[", "![", "]", ">", "> ", "*", "**a ", "*a _b ", "_", "~", "~~a", "`", "`a``", "- ", "* a\n",
    "1. ", "- a\n  ", "<", "<a ", "<a\n", "<!--", "<![CDATA[", "<?", "</", "<div>", "<div>\n",
    "<b>", "<p>", "<li>", "<a href=x>", "<table>", "<table><tr><td>", "<select><option>", "<svg>",
    "<script>", "a <script>", "<details><summary>x", "<p><b title=1>x", "&", "&amp;", "\\", "|",
    "|a", "|-", "#", "# a\n", "# \n", "[^1]", "[^1]\n\n[^1]: a\n\n", "[a](", "[a](<b", "[a]:b\n",
    "![a](b)", "http://a.b ", "www.", "a@b.c ", "mailto:a", "<http://a>", "\t", " ", "\n", "\0",
    "\r", "a**b", "[a](b)", "[[[[a](b)", "a_b", "://", "\u{a0}", "»", "<b title='", "漢", "\"",
    "article:", "<b title=\"", "<input type=checkbox disabled>", "- [ ] a\n", "---\n", "a\n---\n",
    "<x a='>' b='>' ", "<pre>\n", "<dl><dt>", "<ruby><rt>", "</div>", "</p>", "</br>",
];

fn pathological_inputs() -> Vec<(&'static str, String)> {
    let filled = PATTERNS.iter().map(|pattern| (*pattern, fill(pattern)));
    filled.chain(wide_inputs()).chain(deep_inputs()).collect()
}

fn many(pattern: &str, times: usize) -> String {
    pattern.repeat(times / SCALE)
}

fn numbered(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count / SCALE).map(piece).collect::<Vec<_>>().concat()
}

fn wide_inputs() -> Vec<(&'static str, String)> {
    let names = numbered(150_000, |n| format!("a{n} "));
    let tags = numbered(40_000, |n| format!("<b title={n}>"));
    let notes = numbered(50_000, |n| format!("[^{n}]: x[^{n}]\n\n"));
    let (head, line) = ("|a".repeat(1_000), "|-".repeat(1_000));
    let sparse_table = format!("{head}\n{line}\n{}\n", "x\n".repeat(300));
    let wide_table = format!("{}\n{}\n", many("|a", 200_000), many("|-", 200_000));
    let references = format!("[a]: {}\n\n{}", "b".repeat(50_000), many("[a] ", 100_000));
    vec![
        ("many attributes", format!("<div\n{names}>")),
        ("attributes in a paragraph", format!("x <a {names}>")),
        ("formatted paragraphs", format!("<p>{tags}</p>{}", many("<p>x</p>", 20_000))),
        ("formatting in a table", format!("<table>{tags}{}", many("<tr><td>x", 20_000))),
        ("wide table", wide_table),
        ("tall table", format!("|a|b|\n|-|-|\n{}", many("|a|b|\n", 150_000))),
        ("tables of missing cells", sparse_table.repeat(150)),
        ("footnotes of footnotes", notes),
        ("references", references),
        ("long attribute", format!("<b title=\"{}\">x</b>", many("&»", MEBIBYTE / 3))),
    ]
}

/// In full size in debug builds too: what overflows a stack, does so there.
fn deep_inputs() -> Vec<(&'static str, String)> {
    let nested = |open: &str, close: &str| format!("{}x{}", open.repeat(100_000), close.repeat(100_000));
    let emphasis = many("*a **a ", 100_000) + &many("** a* a", 100_000);
    let lists = numbered(1_400, |depth| format!("{}- a\n", " ".repeat(depth)));
    vec![
        ("nested lists", lists),
        ("lazy quotes", nested(">", "b\n")),
        ("quoted lists", "> - ".repeat(100_000)),
        ("nested brackets", nested("[", "](b)")),
        ("nested emphasis", emphasis),
        ("deep div", nested("<div>", "</div>")),
        ("deep b", nested("<b>", "</b>")),
        ("deep quotes", ">".repeat(MEBIBYTE / 4)),
    ]
}

#[test]
fn no_megabyte_takes_long() {
    // Generous, for slow machines and debug builds; release takes well under 2 s.
    let limit = Duration::from_secs(10);
    for (name, input) in pathological_inputs() {
        let start = Instant::now();
        let rendered = render(&input);
        let time = start.elapsed();
        assert!(time < limit, "{name:?} took {time:?}");
        assert!(rendered.html.len() < 64 * MEBIBYTE, "{name:?}: {}", rendered.html.len());
    }
}
