//! What an editor should look at in a rendered text, and where its source links to.

use std::collections::BTreeSet;

use super::mentions::{SCHEME, mentions};
use super::scan::{self, Piece};

/// How many link targets of one text are looked at.
const MOST_TARGETS: usize = 500;
/// The longest target that is looked at, in bytes: an address within a site is shorter.
const MAX_TARGET: usize = 500;

/// What stands in a rendered text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// The headings with their levels, in order.
    pub headings: Vec<(u8, String)>,
    /// The addresses of images that say nothing to who can't see them.
    pub images_without_alt: Vec<String>,
    /// Where links lead that have no words.
    pub empty_links: Vec<String>,
    /// Where links lead, each once, in order: the first 500.
    pub links: Vec<String>,
}

/// Looks through sanitised HTML.
pub(crate) fn inspect(html: &str) -> Inspection {
    let mut found = Inspection::default();
    // What is open now: the link with what was said in it so far, and the heading.
    let mut link: Option<(String, bool)> = None;
    let mut heading: Option<(u8, String)> = None;
    for piece in scan::pieces(html) {
        match piece {
            Piece::Text(text) => {
                let says_something = !scan::unescape(text).trim().is_empty();
                if let Some((_, has_words)) = &mut link {
                    *has_words |= says_something;
                }
                if let Some((_, words)) = &mut heading {
                    words.push_str(&scan::unescape(text));
                }
            }
            Piece::Open { name: "img", attributes, .. } => {
                let alt = scan::attribute(attributes, "alt").unwrap_or_default().trim();
                if alt.is_empty() {
                    let source = scan::attribute(attributes, "src").unwrap_or_default();
                    found.images_without_alt.push(scan::unescape(source).into_owned());
                } else if let Some((_, has_words)) = &mut link {
                    *has_words = true;
                }
            }
            Piece::Open { name: "a", attributes, .. } => {
                let target = scan::unescape(scan::attribute(attributes, "href").unwrap_or_default()).into_owned();
                link = Some((target, false));
            }
            Piece::Close { name: "a", .. } => {
                if let Some((target, has_words)) = link.take() {
                    found.close_link(target, has_words);
                }
            }
            Piece::Open { name, .. } if level(name).is_some() => {
                heading = level(name).map(|level| (level, String::new()));
            }
            Piece::Close { name, .. } if level(name).is_some() => found.headings.extend(heading.take()),
            _ => {}
        }
    }
    found
}

impl Inspection {
    fn close_link(&mut self, target: String, has_words: bool) {
        if !has_words {
            self.empty_links.push(target.clone());
        }
        if !target.is_empty() && self.links.len() < MOST_TARGETS && !self.links.contains(&target) {
            self.links.push(target);
        }
    }
}

fn level(name: &str) -> Option<u8> {
    let digit = name.strip_prefix('h')?.parse().ok()?;
    (1..=6).contains(&digit).then_some(digit)
}

/// Where a Markdown source links to, each once and at most 500: `article:<uuid>`, paths and http addresses, without query
/// and fragment.
///
/// A scan of the source, cheap enough for a write: what stands in code counts as well, and takes time linear in the length
/// of the text.
pub(crate) fn link_targets(markdown: &str) -> Vec<String> {
    let mut targets: BTreeSet<String> =
        mentions(markdown).into_iter().take(MOST_TARGETS).map(|mention| format!("{SCHEME}{}", mention.id)).collect();
    for opening in ["](", "]: ", "]:", "href=\"", "href='", "http"] {
        let mut looked_at = 0;
        for (at, _) in markdown.match_indices(opening) {
            if at < looked_at {
                continue;
            }
            if targets.len() >= MOST_TARGETS {
                break;
            }
            // An address is its own opening.
            let begin = if opening == "http" { at } else { at + opening.len() };
            let (target, end) = target_at(markdown, begin);
            looked_at = end;
            targets.extend(target.map(str::to_owned));
        }
    }
    targets.into_iter().collect()
}

/// The target that begins at a place, if one does, and where it or the search for it ends.
fn target_at(markdown: &str, begin: usize) -> (Option<&str>, usize) {
    let skipped = markdown[begin..].bytes().take(8).take_while(|byte| b"< ".contains(byte)).count();
    let begin = begin + skipped;
    let window = &markdown[begin..markdown.floor_char_boundary(begin + MAX_TARGET)];
    let ends = |c: char| c.is_whitespace() || ")>\"'?#".contains(c);
    let Some(length) = window.find(ends).or((begin + window.len() == markdown.len()).then_some(window.len())) else {
        return (None, begin + window.len());
    };
    let target = window[..length].trim_end_matches(['.', ',', ';', '/']);
    let is_path = target.starts_with('/') && !target.starts_with("//");
    let is_address = target.starts_with("http://") || target.starts_with("https://");
    (Some(target).filter(|_| is_path || is_address), begin + length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::render;
    use super::*;

    #[test]
    fn what_should_be_looked_at_is_found() {
        let text = "# A & b\n\n### Deep *down*\n\n![](/a.png) ![A boat](/b.png)\n\n[ ](/empty) [![](/c.png)](/d) \
                    [![Boat](/e.png)](/f) [words](/g?x=1&y=2) [again](/g?x=1&y=2)\n\n## Next";
        let found = inspect(&render(text).html);
        let headings: Vec<_> = found.headings.iter().map(|(level, text)| (*level, text.as_str())).collect();
        assert_eq!(headings, [(1, "A & b"), (3, "Deep down"), (2, "Next")]);
        assert_eq!(found.images_without_alt, ["/a.png", "/c.png"]);
        assert_eq!(found.empty_links, ["/empty", "/d"]);
        assert_eq!(found.links, ["/empty", "/d", "/f", "/g?x=1&y=2"]);
    }

    #[test]
    fn targets_are_found_however_a_link_is_written() {
        let id = "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1";
        let text = format!(
            "[a](/one) [b](</two>) [c](/three \"T\") [d][r] <https://example.org/four/> https://example.org/five. \
             <a href=\"/six#x\">e</a> [f](article:{id})\n\n[r]: /seven?x\n\n[g](mailto:a@example.org) [h](//evil)"
        );
        let article = format!("article:{id}");
        assert_eq!(
            link_targets(&text),
            [
                "/one",
                "/seven",
                "/six",
                "/three",
                "/two",
                article.as_str(),
                "https://example.org/five",
                "https://example.org/four"
            ]
        );
    }

    #[test]
    fn a_text_made_of_openings_has_few_targets_and_short_ones() {
        for piece in ["http://", "](/", "[](/articles/x) ", "href=\"/", "]: /ä"] {
            let text = piece.repeat(1_048_576 / piece.len());
            let targets = link_targets(&text);
            assert!(
                targets.len() <= MOST_TARGETS && targets.iter().all(|target| target.len() <= MAX_TARGET),
                "{piece}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_has_targets_in_bounded_number(text in "(\\]\\(|\\[|\\]: |[a-c </>\"]|http://|href=){0,60}") {
            prop_assert!(link_targets(&text).len() <= MOST_TARGETS);
            inspect(&render(&text).html);
        }
    }
}
