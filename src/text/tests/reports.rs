//! What the report of removals says, and when it says nothing.

use super::super::render;
use super::hostile::check;

fn removed(markdown: &str) -> Vec<String> {
    check(markdown).removed.into_iter().map(|removed| removed.what).collect()
}

const HARMLESS: &str = "\
# ATX *heading*\n\nSetext\n======\n\nA paragraph with *emphasis*, **strong**, ~~gone~~, `code`,\n\
a [link](/x \"title\"), <https://auto.example>, www.bare.example, me@mail.example,\n\
![image](/i.png \"t\"), a hard  \nbreak, &copy; &lt;b&gt; \\* 1 < 2 > 0 & \"so\" on[^n].\n\n\
> quote\n> > deeper\n\n- a\n- b\n  1. c\n  2. d\n\n7. seven\n\n- [ ] todo\n- [x] done\n\n\
| left | right | mid | none |\n|:--|--:|:-:|---|\n| a | b | c | `d|e` |\n\n***\n\n    indented\n\n\
```rust title=\"x\"\nfn main() { println!(\"<b>\"); }\n```\n\n~~~math\nx\n~~~\n\n[ref]: http://r.example 'title'\n\n[ref] and [text][ref]\n\n\
[tel](tel:+123) [mail](mailto:a@b.example)\n\n[^n]: The note.\n\n    With two paragraphs.\n";

const HARMLESS_HTML: &str = "\
<figure>\n<img src=\"https://x.example/a.png\" alt=\"x\" width=\"10\" height=\"20\" loading=\"lazy\">\n\
<figcaption>Caption</figcaption>\n</figure>\n\n<details open>\n<summary>More</summary>\n\nText\n\n</details>\n\n\
<abbr title=\"x\">y</abbr> H<sub>2</sub>O x<sup>2</sup> <mark>m</mark> <kbd>k</kbd> <del>d</del> <ins>i</ins>\n\n\
<blockquote cite=\"https://x.example\">q</blockquote>\n\n<table>\n<caption>c</caption>\n<thead><tr><th scope=\"col\" colspan=2>h</th></tr></thead>\n\
<tr><td align=\"left\">a<td>b\n</table>\n\n<ol start=3 reversed><li value=9>x<li>y</ol>\n\n<dl><dt>t<dd>d</dl>\n\n\
<p lang=\"de\" dir=\"ltr\">p<br>q<br/>r<wbr>s<hr>\n\n<ruby>漢<rt>kan</rt></ruby> <q cite=\"/x\">q</q> <time datetime=\"2020-01-01\">t</time>\n";

#[test]
fn harmless_markdown_loses_nothing() {
    assert_eq!(removed(HARMLESS), [""; 0]);
    assert_eq!(removed(&HARMLESS.replace('\n', "\r\n")), [""; 0]);
}

#[test]
fn allowed_html_loses_nothing() {
    assert_eq!(removed(HARMLESS_HTML), [""; 0]);
}

#[test]
fn the_language_of_code_is_kept_where_it_names_one() {
    let rendered = check("```rust title=\"x\"\nlet a;\n```\n\n<code class=\"language-c++\">a</code>");
    assert!(rendered.html.contains("<code class=\"language-rust\">") && rendered.removed.is_empty());
    assert!(rendered.html.contains("<code class=\"language-c++\">a</code>"), "{}", rendered.html);
    assert_eq!(removed("```\"><script>\nx\n```"), ["language of a code block"]);
    assert_eq!(removed("<code class=\"button\">a</code>"), ["class of <code>"]);
}

#[test]
fn every_removal_is_reported_by_its_known_name() {
    for (markdown, expected) in [
        ("<script>x</script>", "<script> element"),
        ("a <script>x</script>", "<script> element"),
        ("<a onclick=x>y</a>", "onclick attribute of <a>"),
        ("<p id=x>y", "id attribute of <p>"),
        ("<p class=x>y", "class attribute of <p>"),
        ("<p style=x>y", "style attribute of <p>"),
        ("<p on-secret=x>y", "unknown attribute"),
        ("<secret-name>y", "unknown element"),
        ("<iframe src=x></iframe>", "<iframe> element"),
        ("<svg></svg>", "<svg> element"),
        ("[x](javascript:x)", "href of <a>"),
        ("![x](data:x)", "src of <img>"),
        ("<img width=wide>", "width of <img>"),
        ("<input type=checkbox disabled>", "<input> element"),
        ("<td>x", "<td> element"),
        ("<table><b>x</b></table>", "<b> element"),
        ("<!-- x -->", "comment"),
        ("<p title=a title=b>x", "title of <p>"),
        ("<div\n\nx", "unfinished tag"),
    ] {
        assert_eq!(removed(markdown), [expected], "{markdown}");
    }
}

#[test]
fn a_report_names_each_thing_once_and_at_most_a_hundred() {
    assert_eq!(removed(&"<script></script>\n\n".repeat(5)).len(), 1);
    let handlers = ["onclick", "onerror", "onload", "style", "class", "id", "name", "role"];
    let elements = ["p", "div", "b", "i", "em", "u", "s", "q", "a", "td", "li", "ul", "ol", "dl"];
    let all: String = elements
        .iter()
        .flat_map(|name| handlers.iter().map(move |handler| format!("<{name} {handler}=x>\n")))
        .collect();
    assert_eq!(render(&all).removed.len(), 100);
}

#[test]
fn too_many_table_cells_leave_the_tables_as_text() {
    let table = format!("{}\n{}\n{}", "|a".repeat(1_000), "|-".repeat(1_000), "|x\n".repeat(300));
    assert_eq!(removed(&table), ["tables"]);
}
