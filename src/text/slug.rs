//! Slugs for addresses and anchors, and the keys lists are sorted by: text of
//! any script brought down to ASCII with `deunicode`.
//!
//! Surprising: the transliteration knows no languages, so Japanese kanji come
//! out as their Mandarin reading and `ä` as `a`.

/// Longest slug, in characters (which are all ASCII).
const MOST_SLUG_BYTES: usize = 120;

/// Longest sort key, in bytes.
const MOST_KEY_BYTES: usize = 80;

/// Characters of the text that are looked at; far more than fit the result.
const MOST_INPUT: usize = 1_000;

/// A name for use in addresses: lower-case ASCII letters and digits, single
/// hyphens between words, at most 120 characters, cut between words where
/// there are any. `None` if the text has nothing to spell.
pub(crate) fn slug(text: &str) -> Option<String> {
    let slug = words(text, '-', MOST_SLUG_BYTES);
    (!slug.is_empty()).then_some(slug)
}

/// Whether [`slug`] could have made this text.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=MOST_SLUG_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// The key that lists are sorted by: the title in lower-case ASCII letters and
/// digits with single spaces, at most 80 bytes. Empty if nothing is left.
pub(crate) fn sort_key(title: &str) -> String {
    words(title, ' ', MOST_KEY_BYTES)
}

fn words(text: &str, separator: char, most_bytes: usize) -> String {
    let start: String = text.chars().take(MOST_INPUT).collect();
    let mut result = String::new();
    let mut is_word_over = false;
    for character in deunicode::deunicode_with_tofu(&start, "").chars() {
        if character.is_ascii_alphanumeric() {
            if is_word_over && !result.is_empty() {
                result.push(separator);
            }
            is_word_over = false;
            result.push(character.to_ascii_lowercase());
        } else if character != '\'' {
            // An apostrophe does not part a word: "don't" is "dont".
            is_word_over = true;
        }
    }
    cut(&result, separator, most_bytes).to_owned()
}

fn cut(words: &str, separator: char, most_bytes: usize) -> &str {
    if words.len() <= most_bytes {
        return words;
    }
    // One more, because a separator just behind the limit is a fine end.
    match words[..=most_bytes].rfind(separator) {
        Some(end) => &words[..end],
        None => &words[..most_bytes],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_of_any_script_becomes_a_slug() {
        for (text, expected) in [
            ("Hello, World!", "hello-world"),
            ("Don’t panic", "dont-panic"),
            ("Crème brûlée", "creme-brulee"),
            ("Привет мир", "privet-mir"),
            ("Ελλάδα", "ellada"),
            ("北京", "bei-jing"),
            ("🦄", "unicorn"),
            ("  a -- b  ", "a-b"),
            ("ẞtraße", "sstrasse"),
        ] {
            assert_eq!(slug(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn text_without_letters_has_no_slug() {
        for text in ["", " ", "---", "'''", "\u{e000}", "…"] {
            assert_eq!(slug(text), None, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_cut_between_words() {
        let slug = slug(&"seven77 ".repeat(40)).unwrap();
        assert_eq!(slug.len(), 119);
        assert!(slug.ends_with("-seven77"));
        assert_eq!(super::slug(&"a".repeat(500)).unwrap().len(), 120);
    }

    #[test]
    fn only_slugs_are_slugs() {
        for text in ["a", "a-b", "2-x"] {
            assert!(is_slug(text), "{text}");
        }
        for text in ["", "-a", "a-", "a--b", "A", "ä", "a b", &"a".repeat(121)] {
            assert!(!is_slug(text), "{text}");
        }
    }

    #[test]
    fn sort_keys_ignore_case_accents_and_punctuation() {
        assert_eq!(sort_key("  Éclair: a «Story»"), "eclair a story");
        assert!(sort_key(&"word ".repeat(100)).len() <= 80);
        assert_eq!(sort_key("!!!"), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
        #[test]
        fn slugs_of_random_text_are_slugs_and_stay_themselves(text in "\\PC{0,200}") {
            if let Some(first) = slug(&text) {
                prop_assert!(is_slug(&first), "{}", first);
                prop_assert_eq!(slug(&first), Some(first.clone()));
            }
        }

        #[test]
        fn sort_keys_of_random_text_are_short_and_stay_themselves(text in "\\PC{0,200}") {
            let key = sort_key(&text);
            prop_assert!(key.len() <= 80);
            prop_assert_eq!(sort_key(&key), key.clone());
        }
    }
}
