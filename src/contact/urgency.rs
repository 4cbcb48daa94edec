//! Which messages should not wait: those that hold a word or phrase which the form names. Pure, and nothing is guessed:
//! whoever reads a message is told which phrases marked it.

use deunicode::deunicode;

/// The phrases that stand in any of the texts as whole words, in any case, with or without accents.
pub(super) fn found<'p>(phrases: impl Iterator<Item = &'p str>, texts: &[&str]) -> Vec<String> {
    let texts: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let stands_in = |phrase: &&str| {
        let wanted = words(phrase);
        !wanted.is_empty() && texts.iter().any(|text| text.windows(wanted.len()).any(|window| window == wanted))
    };
    phrases.filter(stands_in).map(str::to_owned).collect()
}

/// The words of a text in their plainest form.
fn words(text: &str) -> Vec<String> {
    // An apostrophe is a part of its word, whichever of the two it is.
    let plain = deunicode(text).to_lowercase().replace(['\'', '`'], "");
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked_by(phrases: &[&str], text: &str) -> Vec<String> {
        found(phrases.iter().copied(), &["Ada", text])
    }

    #[test]
    fn a_phrase_is_found_as_whole_words() {
        let phrases = ["end my life", "overdose", "Überdosis", "can't go on"];
        assert_eq!(marked_by(&phrases, "I want to END\n my  life."), ["end my life"]);
        assert_eq!(marked_by(&phrases, "Eine Uberdosis, overdose"), ["overdose", "Überdosis"]);
        assert_eq!(marked_by(&phrases, "I can’t go on"), ["can't go on"]);
        for text in ["", "I overdosed on films", "end of my life", "lifeend my", "endmylife"] {
            assert!(marked_by(&phrases, text).is_empty(), "{text}");
        }
        assert!(marked_by(&["", " ", "!"], "!").is_empty());
    }
}
