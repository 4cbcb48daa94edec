//! Plain text: taken from HTML, counted in words, and shortened.

/// Words that an average adult reads silently in a minute.
const WORDS_A_MINUTE: u32 = 230;

/// Gathers the text of a body: blocks end lines, white space is collapsed
/// except in preformatted text.
#[derive(Debug, Default)]
pub(super) struct TextBuilder {
    text: String,
    preformatted_depth: usize,
}

impl TextBuilder {
    /// How many bytes it has by now.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Ends the line, if one was begun.
    pub(super) fn end_block(&mut self) {
        let kept = self.text.trim_end().len();
        self.text.truncate(kept);
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    /// Parts two cells of a table.
    pub(super) fn end_cell(&mut self) {
        self.push_space();
    }

    pub(super) fn begin_preformatted(&mut self) {
        self.preformatted_depth += 1;
    }

    pub(super) fn end_preformatted(&mut self) {
        self.preformatted_depth = self.preformatted_depth.saturating_sub(1);
    }

    pub(super) fn push(&mut self, text: &str) {
        if self.preformatted_depth > 0 {
            self.text.push_str(text);
            return;
        }
        for character in text.chars() {
            if character.is_whitespace() {
                self.push_space();
            } else {
                self.text.push(character);
            }
        }
    }

    fn push_space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.text.push(' ');
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.end_block();
        let kept = self.text.trim_end().len();
        self.text.truncate(kept);
        self.text
    }
}

/// Counts words: runs between white space that have a letter or digit, and each
/// Chinese or Japanese character by itself, as those scripts have no spaces.
pub(super) fn count_words(text: &str) -> u32 {
    let mut count = 0_u32;
    let mut is_in_word = false;
    for character in text.chars() {
        if is_ideograph_or_kana(character) {
            count = count.saturating_add(1);
            is_in_word = false;
        } else if character.is_whitespace() {
            is_in_word = false;
        } else if character.is_alphanumeric() && !is_in_word {
            count = count.saturating_add(1);
            is_in_word = true;
        }
    }
    count
}

fn is_ideograph_or_kana(character: char) -> bool {
    matches!(u32::from(character),
        0x3005..=0x3007 | 0x3041..=0x3096 | 0x309D..=0x309F | 0x30A1..=0x30FA | 0x30FD..=0x30FF
        | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF
        | 0xFF66..=0xFF9D | 0x1B000..=0x1B16F | 0x20000..=0x3FFFD)
}

/// Minutes to read this many words: at 230 words a minute, rounded up, at least 1.
pub(crate) fn reading_minutes(words: u32) -> u32 {
    words.div_ceil(WORDS_A_MINUTE).max(1)
}

/// The beginning of a plain text, in one line of at most `max_chars` Unicode
/// scalar values. A longer text is cut at the end of a sentence if one falls in
/// the last third of the room, else after a whole word, with `…` added; a
/// single word too long for the room is cut anywhere.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> String {
    let mut line: Vec<char> = Vec::new();
    for character in text.trim().chars() {
        if !character.is_whitespace() {
            line.push(character);
        } else if line.last().is_some_and(|last| *last != ' ') {
            line.push(' ');
        }
        // One more than fits shows that something must go, the next whether a
        // word ended there.
        if line.len() > max_chars.saturating_add(1) {
            break;
        }
    }
    if line.len() <= max_chars {
        return line.into_iter().collect();
    }
    let first_end = max_chars - max_chars / 3;
    if let Some(end) = (first_end..=max_chars).rev().find(|&end| is_sentence_end(&line, end)) {
        return line[..end].iter().collect();
    }
    let Some(room) = max_chars.checked_sub(1) else {
        return String::new();
    };
    let end = (1..=room).rev().find(|&end| line[end] == ' ').unwrap_or(room);
    let words: String = line[..end].iter().collect();
    let words = words.trim_end_matches(|c: char| c.is_whitespace() || ",;:-–—".contains(c));
    format!("{words}…")
}

/// Whether the first `end` characters are whole sentences.
fn is_sentence_end(line: &[char], end: usize) -> bool {
    let Some(before) = end.checked_sub(1).and_then(|last| line.get(last)) else {
        return false;
    };
    match before {
        '。' | '！' | '？' => true,
        '.' | '!' | '?' | '…' => line.get(end).is_none_or(|next| *next == ' '),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reading_takes_at_least_a_minute_and_is_rounded_up() {
        for (words, minutes) in [(0, 1), (1, 1), (230, 1), (231, 2), (460, 2), (u32::MAX, 18_673_771)] {
            assert_eq!(reading_minutes(words), minutes);
        }
    }

    #[test]
    fn words_are_counted_in_every_script() {
        for (text, words) in [
            ("", 0),
            ("one two\nthree\u{a0}four", 4),
            ("don't well-known — 3.5", 3),
            ("你好，世界。", 4),
            ("東京タワー", 5),
            ("Rust言語 is", 4),
            ("안녕 세상", 2),
        ] {
            assert_eq!(count_words(text), words, "{text}");
        }
    }

    #[test]
    fn a_short_text_is_its_own_excerpt() {
        assert_eq!(excerpt("One line.\nAnother  one.", 100), "One line. Another one.");
        assert_eq!(excerpt("exact", 5), "exact");
        assert_eq!(excerpt("", 5), "");
    }

    #[test]
    fn an_excerpt_ends_with_a_sentence_in_the_last_third() {
        assert_eq!(excerpt("The first one ends. The second goes on", 24), "The first one ends.");
        assert_eq!(excerpt("Version 1.2 is out now and here", 14), "Version 1.2…");
        assert_eq!(excerpt("これは文です。そして次の文が続く", 9), "これは文です。");
    }

    #[test]
    fn an_excerpt_keeps_whole_words() {
        assert_eq!(excerpt("Hello wonderful, big world", 17), "Hello wonderful…");
        assert_eq!(excerpt("Hello world", 10), "Hello…");
        assert_eq!(excerpt("Incomprehensibilities", 5), "Inco…");
        assert_eq!(excerpt("words", 1), "…");
        assert_eq!(excerpt("words", 0), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]
        #[test]
        fn an_excerpt_is_never_longer_than_asked(text in "[ a-z.,\n你。\u{301}]{0,80}", most in 0_usize..60) {
            prop_assert!(excerpt(&text, most).chars().count() <= most);
        }
    }
}
