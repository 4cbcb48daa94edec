//! What makes a message suspect: a score, and why. Pure.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::form_tokens::{Age, LIFETIME_SECONDS};

/// From this score on a message is filed as spam.
pub(super) const THRESHOLD: i64 = 50;
/// The highest score.
const MOST: i64 = 100;
/// A text this short is often the same by chance ("please call me"), in letters and digits.
const SHORT: usize = 40;

/// Why a message is suspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SpamReason {
    /// The field that visitors don't see was filled in.
    Honeypot,
    /// It was written faster than anyone writes.
    TooFast,
    /// Its form token is older than a day.
    TooOld,
    /// Its form token is not one of this server.
    UnknownToken,
    /// It has no form token, and the form asks for one.
    NoToken,
    /// The same text came before within a day.
    RepeatedText,
    /// Too many came from one address within a minute.
    TooMany,
}

/// What is known of a message beside its words.
pub(super) struct Signs {
    /// Whether the honeypot was filled in.
    pub(super) honeypot: bool,
    /// How old its form token is; none where it has none.
    pub(super) age: Option<Age>,
    /// Whether the form asks for a token.
    pub(super) requires_token: bool,
    /// How many seconds a visitor takes at least.
    pub(super) least_seconds: i64,
    /// How often the text came before.
    pub(super) repeats: i64,
    /// Whether too many came from where it came.
    pub(super) too_many: bool,
}

/// How suspect a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assessment {
    /// From 0 to 100.
    pub(super) score: i64,
    /// Why.
    pub(super) reasons: Vec<SpamReason>,
}

impl Assessment {
    /// Whether the message is filed as spam.
    pub(super) fn is_spam(&self) -> bool {
        self.score >= THRESHOLD
    }
}

/// Assesses a message. Each sign but a first repetition is enough by itself: who sends a form twice by mistake is no
/// machine.
pub(super) fn assess(signs: &Signs) -> Assessment {
    let mut found = Vec::new();
    if signs.honeypot {
        found.push((SpamReason::Honeypot, MOST));
    }
    match signs.age {
        Some(Age::Unknown) => found.push((SpamReason::UnknownToken, 60)),
        Some(Age::Seconds(age)) if age < signs.least_seconds => found.push((SpamReason::TooFast, 60)),
        Some(Age::Seconds(age)) if age > LIFETIME_SECONDS => found.push((SpamReason::TooOld, 50)),
        None if signs.requires_token => found.push((SpamReason::NoToken, 50)),
        _ => {}
    }
    match signs.repeats {
        0 => {}
        1 => found.push((SpamReason::RepeatedText, 30)),
        _ => found.push((SpamReason::RepeatedText, 60)),
    }
    if signs.too_many {
        found.push((SpamReason::TooMany, 50));
    }
    let score = found.iter().map(|(_, weight)| weight).sum::<i64>().min(MOST);
    Assessment { score, reasons: found.into_iter().map(|(reason, _)| reason).collect() }
}

/// The form in which two texts are the same; none where it is too short to tell anything.
pub(super) fn text_key(message: &str) -> Option<String> {
    let key: String = message.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (key.chars().count() >= SHORT).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs() -> Signs {
        Signs { honeypot: false, age: None, requires_token: false, least_seconds: 3, repeats: 0, too_many: false }
    }

    fn told(signs: &Signs) -> (bool, Vec<SpamReason>) {
        let assessment = assess(signs);
        (assessment.is_spam(), assessment.reasons)
    }

    #[test]
    fn each_sign_is_enough_and_named() {
        use SpamReason::{Honeypot, NoToken, RepeatedText, TooFast, TooMany, TooOld, UnknownToken};
        let clean = (false, Vec::new());
        assert_eq!(told(&signs()), clean);
        for (age, expected) in [
            (Age::Seconds(2), (true, vec![TooFast])),
            (Age::Seconds(-5), (true, vec![TooFast])),
            (Age::Seconds(3), clean.clone()),
            (Age::Seconds(LIFETIME_SECONDS), clean.clone()),
            (Age::Seconds(LIFETIME_SECONDS + 1), (true, vec![TooOld])),
            (Age::Unknown, (true, vec![UnknownToken])),
        ] {
            assert_eq!(told(&Signs { age: Some(age), ..signs() }), expected, "{age:?}");
        }
        assert_eq!(told(&Signs { requires_token: true, ..signs() }), (true, vec![NoToken]));
        assert_eq!(told(&Signs { requires_token: true, age: Some(Age::Seconds(9)), ..signs() }), clean);
        assert_eq!(told(&Signs { repeats: 1, ..signs() }), (false, vec![RepeatedText]), "sent twice by mistake");
        assert_eq!(told(&Signs { repeats: 2, ..signs() }), (true, vec![RepeatedText]));
        assert_eq!(told(&Signs { too_many: true, ..signs() }), (true, vec![TooMany]));
        let all = Signs { honeypot: true, age: Some(Age::Unknown), repeats: 9, too_many: true, ..signs() };
        assert_eq!(told(&all), (true, vec![Honeypot, UnknownToken, RepeatedText, TooMany]));
        assert_eq!(assess(&all).score, 100);
    }

    #[test]
    fn a_text_is_the_same_whatever_stands_between_its_words() {
        let one = "I have been thinking about getting help for a long time now.";
        let two = "i have been   thinking about\r\ngetting HELP for a long time now!!!";
        assert_eq!(text_key(one), text_key(two));
        assert!(text_key(one).is_some());
        assert_eq!(text_key("Please call me."), None);
    }
}
