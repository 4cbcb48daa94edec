//! Article links in HTML and in Markdown.

use proptest::prelude::*;
use uuid::Uuid;

use super::super::{link_articles_html, link_articles_markdown, render};

const KNOWN: &str = "0190a5b0-0000-7000-8000-00000000abcd";
const UNKNOWN: &str = "0190a5b0-0000-7000-8000-000000000000";

fn resolve(id: Uuid) -> Option<String> {
    (id.to_string() == KNOWN).then(|| "/a?b=1&c=\"x\" (y)".to_owned())
}

fn markdown(text: &str) -> String {
    let text = text.replace('K', &format!("article:{KNOWN}"));
    link_articles_markdown(&text.replace('U', &format!("article:{UNKNOWN}")), resolve)
}

#[test]
fn links_in_html_are_resolved_or_unwrapped() {
    let html = format!(
        "<p><a href=\"article:{KNOWN}\" title=\"a > b\">x</a> <a href=\"article:{UNKNOWN}\">\
         <em>y</em></a> <a href=\"/z\">article:{KNOWN}</a></p>"
    );
    assert_eq!(
        link_articles_html(&html, resolve),
        format!(
            "<p><a href=\"/a?b=1&amp;c=&quot;x&quot; (y)\" title=\"a > b\">x</a> <em>y</em> \
             <a href=\"/z\">article:{KNOWN}</a></p>"
        )
    );
}

#[test]
fn only_whole_hrefs_count_in_html() {
    let html = format!("<img title=\"<a href='article:{KNOWN}'>\"><a title=\"article:{KNOWN}\">x</a>");
    assert_eq!(link_articles_html(&html, resolve), html);
}

#[test]
fn markdown_links_of_every_style_are_resolved() {
    let to = "/a?b=1&c=%22x%22%20%28y%29";
    for (source, expected) in [
        ("[x](K)", "[x](@)"),
        ("[x]( <K> 't')", "[x]( <@> 't')"),
        ("> - **[x *y*](K \"t\")**", "> - **[x *y*](@ \"t\")**"),
        ("[x][r] [r]\n\n[r]: K 't'", "[x][r] [r]\n\n[r]: @ 't'"),
        ("[r]\n\n[r]:\n  <K>", "[r]\n\n[r]:\n  <@>"),
        ("|a|\n|-|\n|[x](K)|", "|a|\n|-|\n|[x](@)|"),
        ("é\r\n# [ü](K)\r\n", "é\r\n# [ü](@)\r\n"),
        ("x[^1]\n\n[^1]: [x](K)", "x[^1]\n\n[^1]: [x](@)"),
    ] {
        assert_eq!(markdown(source), expected.replace('@', to), "{source}");
    }
    assert_eq!(markdown("a <K>"), format!("a [article:{KNOWN}]({to})"));
    assert_eq!(markdown("a <a href=\"K\">b</a>"), "a <a href=\"/a?b=1&amp;c=&quot;x&quot; (y)\">b</a>");
}

#[test]
fn markdown_links_without_an_address_become_their_text() {
    for (source, expected) in [
        ("[x](U)", "x"),
        ("a [x *y*](<U> 't') [z](U)", "a x *y* z"),
        ("> 1. é [x `]`](U)\n>    [z](U) b", "> 1. é x `]`\n>    z b"),
        ("[x][r], [y [z]][r], [r][], [r]\n\n[r]: U 't'", "x, y [z], r, r\n\n[r]: <> 't'"),
        ("[r]\n\n[r]: <U>", "r\n\n[r]: <>"),
        ("[![i](/j)](U)", "![i](/j)"),
        ("|a|b|\n|-|-|\n|é|[x](U)|", "|a|b|\n|-|-|\n|é|x|"),
        ("# [x](U) #", "# x #"),
        ("[two\nlines](U)", "two\nlines"),
        ("[r][x](U)\n\n[r]: /r", "[r\\]x\n\n[r]: /r"),
        ("a <a href='U' title=t>b</a>", "a <a  title=t>b</a>"),
    ] {
        assert_eq!(markdown(source), expected, "{source}");
    }
    assert_eq!(markdown("a <U>"), format!("a article:{UNKNOWN}"));
}

#[test]
fn code_and_text_stay_untouched() {
    for source in [
        "`[x](K)`",
        "```\n[x](K)\n```",
        "    [x](K)",
        "K",
        "\\[x](K)",
        "[x](Kx)",
        "![x](K)",
        "[x](article:nonsense)\0",
        "<!-- [x](K) -->",
        "[x](/y \"K\")",
        "",
        "a\r\n\0b",
    ] {
        let text = source.replace('K', &format!("article:{KNOWN}"));
        assert_eq!(link_articles_markdown(&text, resolve), text);
    }
}

#[test]
fn a_megabyte_of_links_is_quick() {
    let text = format!("[x](article:{KNOWN}) [y](article:{UNKNOWN})\n").repeat(2_000);
    let start = std::time::Instant::now();
    assert!(!link_articles_markdown(&text, resolve).contains("article:"));
    assert!(start.elapsed().as_secs() < 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn linking_before_or_after_rendering_links_the_same(
        parts in prop::collection::vec(prop::sample::select(vec![
            "[x](K) ", "[y](U) ", "[r] ", "[s] ", "[x][r] ", "[*y*][s] ", " ", "\n", "\n\n", "*", "`", "> ", "- ", "é", "a",
            "\n\n[r]: K\n\n", "\n\n[s]: U\n\n", "|", "\n|-|\n", "# ", "    ",
        ]), 0..20)
    ) {
        let source = parts.concat().replace('K', &format!("article:{KNOWN}"));
        let source = source.replace('U', &format!("article:{UNKNOWN}"));
        let early = render(&link_articles_markdown(&source, resolve));
        let late = render(&source);
        prop_assert!(early.linked_articles.is_empty(), "{:?}", early.html);
        // Code may mention them still; links may not.
        let links = |html: &str| html.matches("href=\"/a?b=1").count();
        prop_assert_eq!(links(&early.html), links(&link_articles_html(&late.html, resolve)));
    }
}
