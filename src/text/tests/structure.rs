//! Headings, sections, contents, footnotes, plain text and article links.

use super::super::{RENDERER_VERSION, TableOfContentsEntry, render};
use super::hostile::check;

const ID: &str = "0190a5b0-0000-7000-8000-00000000abcd";

fn contents(entries: &[TableOfContentsEntry]) -> String {
    let lines = entries.iter().map(|entry| format!("{}({})", entry.id, contents(&entry.children)));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn headings_get_unique_ids_made_from_their_text() {
    let rendered = check("# Same\n\n# Same\n\n# Same 2\n\n# !\n\n#\n\n# Привет *мир*\n\n# fn-1\n\n# A & `b`");
    let ids: Vec<_> = rendered.sections.iter().filter_map(|section| section.id.clone()).collect();
    let expected = ["same", "same-2", "same-2-2", "section", "section-2", "privet-mir", "section-fn-1", "a-b"];
    assert_eq!(ids, expected);
    assert_eq!(rendered.sections[7].heading.as_deref(), Some("A & b"));
}

#[test]
fn headings_of_raw_html_are_headings_like_others() {
    let rendered = check("<h2 id=\"mine\">One</h2>\n\n<h3>Two");
    assert_eq!(rendered.html, "<h2 id=\"one\">One</h2>\n<h3 id=\"two\">Two\n</h3>");
    assert_eq!(contents(&rendered.table_of_contents), "one(two())");
}

#[test]
fn deeper_headings_are_children_even_when_levels_skip() {
    let rendered = check("### C\n\n# A\n\n### B\n\n## D\n\n###### E\n\n# F");
    assert_eq!(contents(&rendered.table_of_contents), "c() a(b() d(e())) f()");
}

#[test]
fn only_top_level_headings_split_sections() {
    let markdown = "Intro\n\n# A\n\n> # Quoted\n\n- # Listed\n\n<div>\n\n# Boxed\n\n</div>\n\n## B\n\nend";
    let rendered = check(markdown);
    let ids: Vec<_> = rendered.sections.iter().map(|section| section.id.as_deref()).collect();
    assert_eq!(ids, [None, Some("a"), Some("b")]);
    assert_eq!(rendered.sections[0].html, "<p>Intro</p>\n");
    assert!(rendered.html.contains("<h1 id=\"quoted\">"));
    assert_eq!(contents(&rendered.table_of_contents), "a(b())");
}

#[test]
fn nothing_has_no_sections() {
    let rendered = check("");
    assert!(rendered.sections.is_empty() && rendered.html.is_empty() && rendered.text.is_empty());
    assert_eq!(rendered.word_count, 0);
}

#[test]
fn footnotes_lead_there_and_back() {
    let rendered = check("# Head[^a]\n\none[^a] two[^\"b]\n\n[^a]: first\n[^\"b]: - list");
    let html = &rendered.html;
    for part in [
        "<h1 id=\"head\">Head<sup><a href=\"#fn-1\" id=\"fnref-1\">1</a></sup></h1>",
        "one<sup><a href=\"#fn-1\" id=\"fnref-1-2\">1</a></sup>",
        "<li id=\"fn-1\">",
        "<a href=\"#fnref-1\">↩</a> <a href=\"#fnref-1-2\">↩<sup>2</sup></a></p>",
        "<li id=\"fn-2\">",
        "<a href=\"#fnref-2\">↩</a>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert_eq!(rendered.text, "Head\none two\nfirst\nlist");
    assert_eq!(rendered.removed, []);
}

#[test]
fn a_footnote_inside_a_link_keeps_its_anchor() {
    let rendered = check("[text[^1]](http://a.example)\n\n[^1]: note");
    assert!(rendered.html.contains("href=\"#fn-1\" id=\"fnref-1\""), "{}", rendered.html);
}

#[test]
fn plain_text_has_one_line_for_each_block() {
    let markdown = "# Title\n\nTwo\nlines &amp; *more*  \nbreak\n\n- a\n- b\n\n|x|y|\n|-|-|\n|1|2|\n\n```rs\nfn x() {\n    y\n}\n```\n\n<b>tag</b>";
    let rendered = check(markdown);
    let text = "Title\nTwo lines & more\nbreak\na\nb\nx y\n1 2\nfn x() {\n    y\n}\ntag";
    assert_eq!(rendered.text, text);
    assert_eq!(rendered.word_count, 15);
}

#[test]
fn an_excerpt_is_made_of_what_is_not_a_heading_where_there_is_anything_else() {
    let lead = |markdown: &str| check(markdown).lead.replace('\n', "|");
    assert_eq!(lead("## Evening tea\n\nPut the kettle on.\n\n### Then\n\nSit *down*."), "Put the kettle on.|Sit down.");
    assert_eq!(lead("> ## Quoted\n\nWords.\n\n## Last"), "Words.|");
    assert_eq!(lead("# Only\n\n## Headings"), "Only|Headings");
    assert_eq!(lead(""), "");
    let long = format!("{}\n\n## Late\n\nend", "ä ".repeat(3000));
    assert_eq!(check(&long).lead.len(), 4095, "whole characters of it");
    assert!(!lead(&format!("{}\n\n## {}", "a ".repeat(2040), "b".repeat(5000))).contains('b'));
    let (long, many) = (format!("# {}", "Long ".repeat(2000)), "## Short\n\n".repeat(1000));
    for headings in [long, many] {
        let lead = check(&format!("{headings}\n\n{}", "words ".repeat(2000))).lead;
        assert!(lead.starts_with("words words") && lead.len() == 4096, "headings take none of its room");
        assert_eq!(check(&format!("{headings}\n\nWords.\n\n{headings}\n\nMore.")).lead.trim(), "Words.\nMore.");
    }
}

#[test]
fn article_links_are_kept_in_their_normal_form() {
    let upper = ID.to_uppercase();
    let markdown = format!(
        "[a](ARTICLE:{upper}) <a href='article:{ID}'>b</a> <article:{ID}>\n\n[bad](article:x) [worse](article:{ID}?q)"
    );
    let rendered = check(&markdown);
    assert_eq!(rendered.linked_articles.iter().map(ToString::to_string).collect::<Vec<_>>(), [ID]);
    assert_eq!(rendered.html.matches(&format!("<a href=\"article:{ID}\">")).count(), 3);
    assert!(rendered.html.contains("<a>bad</a> <a>worse</a>"), "{}", rendered.html);
    assert_eq!(rendered.removed.len(), 1);
    assert_eq!(rendered.removed[0].what, "href of <a>");
}

#[test]
fn only_links_to_other_sites_get_a_rel() {
    let markdown = "[a](http://x.example) [b](/c) [d](#e) [f](//g.example) [h](mailto:i@j.example)";
    let html = check(markdown).html;
    assert!(html.contains("<a href=\"http://x.example\" rel=\"noopener noreferrer\">"), "{html}");
    assert!(html.contains("<a href=\"//g.example\" rel="), "{html}");
    assert_eq!(html.matches("rel=").count(), 2);
}

#[test]
fn a_long_reference_can_be_used_often() {
    let html = check("[r] [r] [r] [r] [r]\n\n[r]: https://long.example/address/of/something").html;
    assert_eq!(html.matches("<a href").count(), 5, "{html}");
}

#[test]
fn control_characters_are_dropped() {
    assert_eq!(check("a\0b\u{1}c\u{b}d\u{1b}\te").html, "<p>abcd\te</p>\n");
}

#[test]
fn what_is_nested_too_deep_is_text() {
    let rendered = check(&format!("{}deep", "<div>".repeat(200)));
    assert_eq!(rendered.html.matches("<div>").count(), 100);
    assert_eq!(rendered.text, "deep");
    assert_eq!(rendered.removed[0].reason, "it is nested too deep");
    assert_eq!(check(&format!("{}deep", "> ".repeat(200))).text, "deep");
}

#[test]
fn markdown_inside_a_raw_table_is_rendered() {
    let html = check("<table>\n<tr>\n<td align=right>\n\n*x*\n\n</td>\n</tr>\n</table>").html;
    assert!(html.contains("<td align=\"right\">\n<p><em>x</em></p>\n</td>"), "{html}");
}

#[test]
fn text_between_table_cells_gets_a_cell() {
    let html = check("<table>x<tr><td>y</table>").html;
    let rows = "<tr><td>x</td></tr><tr><td>y</td></tr>";
    assert_eq!(html, format!("<table><tbody>{rows}</tbody></table>\n"));
}

#[test]
fn empty_lines_at_the_start_of_raw_preformatted_text_go() {
    assert_eq!(check("<pre>\n\n\n\n\n\n\n x</pre>").html, "<pre> x</pre>\n");
}

#[test]
fn the_renderer_has_a_version() {
    assert_eq!(RENDERER_VERSION, 1);
    assert_eq!(render("x"), render("x"));
}

#[test]
fn every_member_of_a_section_is_required() {
    let schema = <super::super::Section as utoipa::PartialSchema>::schema();
    let utoipa::openapi::RefOr::T(utoipa::openapi::Schema::Object(object)) = schema else {
        panic!("not an object");
    };
    assert_eq!(object.required, ["id", "level", "heading", "html"]);
}
