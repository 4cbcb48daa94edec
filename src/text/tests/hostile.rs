//! Attacks on readers: scripts, and whatever else must not get through.

use html5ever::buffer_queue::BufferQueue;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use proptest::prelude::*;

use super::super::removed::Removals;
use super::super::{Rendered, balance, markdown, policy, render};

/// What a real HTML tokenizer sees in the result.
#[derive(Default)]
struct Tags(std::cell::RefCell<Vec<Tag>>);

impl TokenSink for Tags {
    type Handle = ();
    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => self.0.borrow_mut().push(tag),
            Token::CommentToken(_) | Token::DoctypeToken(_) => panic!("comment or doctype"),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

fn start_tags(html: &str) -> Vec<Tag> {
    let tokenizer = Tokenizer::new(Tags::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(html.into());
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.0.take()
}

/// Everything that must hold for any input at all.
pub(super) fn check(markdown: &str) -> Rendered {
    let rendered = render(markdown);
    let html = &rendered.html;
    let mut ids = Vec::new();
    for tag in start_tags(html) {
        let name: &str = &tag.name;
        let element = policy::element(name).unwrap_or_else(|| panic!("<{name}> in {html:?}"));
        for attribute in &tag.attrs {
            let (attribute, value) = (&*attribute.name.local, &*attribute.value);
            match attribute {
                "id" => ids.push(value.to_owned()),
                "rel" => assert_eq!((name, value), ("a", "noopener noreferrer")),
                _ => assert!(element.allows(attribute), "{attribute} in {html:?}"),
            }
            if matches!(attribute, "href" | "src" | "cite") {
                check_url(value);
            }
        }
        if name == "input" {
            assert!(html.contains("disabled=\"\""), "{html:?}");
        }
    }
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "ids repeat in {html:?}");
    let joined: String = rendered.sections.iter().map(|section| section.html.as_str()).collect();
    assert_eq!(&joined, html);
    let again = policy::sanitizer(&["id", "rel"]).clean(html).to_string();
    assert_eq!(&again, html, "not stable");
    assert_eq!(render(markdown), rendered);
    assert!(rendered.removed.len() <= 100);
    assert!(rendered.removed.iter().all(|removed| removed.what != "formatting"), "{markdown:?}");
    check_contents(&rendered.table_of_contents, &rendered, 0);
    rendered
}

fn check_contents(entries: &[super::super::TableOfContentsEntry], rendered: &Rendered, above: u8) {
    for entry in entries {
        assert!(entry.level > above);
        let tag = format!("<h{} id=\"{}\"", entry.level, entry.id);
        assert!(rendered.html.contains(&tag), "{tag} not in {:?}", rendered.html);
        check_contents(&entry.children, rendered, entry.level);
    }
}

fn check_url(value: &str) {
    let compact: String = value.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
    let compact = compact.to_ascii_lowercase();
    for scheme in ["javascript:", "vbscript:", "data:", "blob:", "file:"] {
        assert!(!compact.starts_with(scheme), "{value:?}");
    }
}

const VECTORS: &[&str] = &[
    "<script>alert(1)</script>",
    "text <script>alert(1)</script> text",
    "<SCRIPT SRC=http://x.example/x.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"javascript:alert(1)\">",
    "<IMG SRC=JaVaScRiPt:alert(1)>",
    "<img src=`javascript:alert(1)`>",
    "<IMG \"\"\"><SCRIPT>alert(1)</SCRIPT>\"\\>",
    "<img src=x:x onerror\n=alert(1)>",
    "<img/src=x/onerror=alert(1)>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"jav&#x09;ascript:alert(1)\">x</a>",
    "<a href=\"jav\nascript:alert(1)\">x</a>",
    "<a href=\"&#106;&#97;vascript&colon;alert(1)\">x</a>",
    "<a href=\" &#14;  javascript:alert(1)\">x</a>",
    "<a href=\"\u{1}javascript:alert(1)\">x</a>",
    "<a href=\"vbscript:msgbox(1)\">x</a>",
    "<a href=\"data:text/html;base64,PHNjcmlwdD4=\">x</a>",
    "<a href=x onmouseover=\"alert(1)\" onclick='alert(1)' onfoobar=1>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](data:text/html,x)",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x\"onerror=alert(1)](x)",
    "[x](x \"t\\\" onclick=alert(1)\")",
    "<svg onload=alert(1)><animate onbegin=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></mglyph></table></mtext></math>",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<template><script>alert(1)</script></template>",
    "<textarea><img src=x onerror=alert(1)></textarea>",
    "<title><img src=x onerror=alert(1)></title>",
    "<xmp><img src=x onerror=alert(1)></xmp><plaintext><b>",
    "<noembed><img src=x onerror=alert(1)></noembed>",
    "<meta http-equiv=\"refresh\" content=\"0;url=javascript:alert(1)\">",
    "<base href=\"javascript:alert(1)//\"><link rel=stylesheet href=x>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe><object data=x><embed src=x>",
    "<div style=\"background:url(javascript:alert(1))\">x</div><style>*{x:expression(alert(1))}</style>",
    "<form action=javascript:alert(1)><button formaction=javascript:alert(1)>x</button></form>",
    "<input type=image src=x onerror=alert(1)><input autofocus onfocus=alert(1)>",
    "<ul><li><input type=hidden disabled><input type=checkbox disabled onclick=alert(1)></ul>",
    "<details open ontoggle=alert(1)><summary>x</summary></details>",
    "<video><source onerror=alert(1)></video><audio src=x onerror=alert(1)>",
    "<body onload=alert(1)><html onload=alert(1)><frameset><frame src=x>",
    "<!--><img src=x onerror=alert(1)>--><!--[if IE]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]><?xml <img src=x onerror=alert(1)>?>",
    "<a id=location name=cookie class=x>x</a><img name=getElementById>",
    "<b <script>alert(1)</script>0",
    "<div title='\n\nx' onclick=alert(1) k\\=1\n\n'>",
    "<a data-footnote=\"ref-1-1\">x</a><li data-footnote=\"def-1\" id=\"fn-1\">x",
    "<a href='\n\n# Heading\n\n<li id=\"fn-1\" data-footnote=def-1>",
    "<img srcset=\"x onerror=alert(1)\" src=\"x\" usemap=#x><map name=x><area href=javascript:1>",
    "<select><option><style></option></select><img src=x onerror=alert(1)></style>",
    "<x onclick=alert(1)>x</x><ſcript>alert(1)</ſcript>",
    "```\n</code></pre><script>alert(1)</script>\n```",
    "```\"onclick=alert(1)\nx\n```",
    "`</code><script>alert(1)</script>`",
    "[^\"><script>alert(1)</script>]\n\n[^\"><script>alert(1)</script>]: x",
];

#[test]
fn no_attack_gets_through() {
    for vector in VECTORS {
        for markdown in [
            (*vector).to_owned(),
            format!("text {vector} text"),
            format!("> {vector}\n\n- {vector}\n\n# {vector}\n\n|a|\n|-|\n|{vector}|"),
            format!("<table><tr>{vector}</tr></table>\n\n<table>{vector}\n\n<pre>\n\n{vector}"),
        ] {
            let rendered = check(&markdown);
            assert!(!rendered.html.contains("<script"), "{markdown}");
        }
    }
}

#[test]
fn scripts_go_with_their_content() {
    for markdown in ["<script>alert(1)</script>", "a <script>alert(1)</script> b <style>x</style>"] {
        assert!(!render(markdown).html.contains("alert"), "{markdown}");
        assert!(!render(markdown).text.contains("alert"), "{markdown}");
    }
}

/// What random hostile text is made of.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "<", ">", "\"", "'", "/", "=", " ", "\n", "\n\n", "&", ";", "#", "`", "*", "_", "[", "]", "(",
    ")", "!", "|", "-", "\\", ":", "a", "x", "<a ", "href=", "javascript:", "<b>", "</b>", "<p>",
    "</p>", "<table>", "<tr>", "<td>", "</td>", "</table>", "<li>", "<ul>", "</ul>", "<div>",
    "</div>", "<script>", "</script>", "<style>", "</style>", "<svg>", "<math>", "<mtext>",
    "<mglyph>", "<template>", "<select>", "<form>", "<pre>", "<h1>", "</h1>", "<h2>", "<!--",
    "-->", "<img src=x onerror=1>", "<a id=x>", "</a>", "<details>", "<summary>", "<caption>",
    "<col>", "<colgroup>", "<dl>", "<dt>", "<dd>", "<ruby>", "<rt>",
    "<input type=checkbox disabled>", "[^1]", "\n\n[^1]: ", "\n# ", "\n- ", "\n> ",
    "\n|a|b|\n|-|-|\n|", "- [ ] ", "&lt;", "&#x3c;", "\0", "\u{b}", "\r", "title='", "</textarea>",
    "<textarea>", "<title>", "<noscript>", "漢", "[x](javascript:1)", "article:", "<i>", "<em>",
    "<hr>", "<br>", "</br>", "<figure>", "<thead>", "[a]", "(b)", "<q cite=", "<blockquote>",
    "</blockquote>", "</li>", "\n    ", "\n```\n",
];

fn hostile_text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(PIECES);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]
    #[test]
    fn random_hostile_text_is_safe(markdown in hostile_text()) {
        check(&markdown);
    }

    #[test]
    fn the_last_filter_removes_nothing_that_went_unreported(markdown in hostile_text()) {
        let mut removals = Removals::default();
        let html = markdown::to_html(&markdown, &mut removals);
        let before = balance::balance(&html, &mut removals);
        let mut after = start_tags(&policy::sanitize(&before));
        for tag in start_tags(&before) {
            let same = after.iter().position(|other| tag.equiv_modulo_attr_order(other));
            prop_assert!(same.is_some(), "{:?} is gone from {}", tag, before);
            same.map(|index| after.swap_remove(index));
        }
    }

    #[test]
    fn random_plain_markdown_loses_nothing(markdown in "[a-z #*_`\\[\\]()!|~:.\n\t>1-]{0,120}") {
        // Schemes would be reported, rightly.
        let markdown = markdown.replace(':', "");
        let rendered = check(&markdown);
        // So is what stands in the place of a code block's language and names none.
        let lost: Vec<_> = rendered.removed.iter().filter(|one| !one.what.starts_with("language")).collect();
        prop_assert!(lost.is_empty(), "{:?}", lost);
    }
}
