//! What differs from run to run becomes a sample that does not: ids, times, secrets, tags, cursors, the port.
//!
//! The rules look at strings (and at numbers that are moments), wherever they stand, so that what is the same in a
//! path, a header and a body is the same sample in all of them. A sample has the form of what it stands for, and
//! nobody takes it for a secret. Few members can't be told by their form alone; those have a rule by name.

use std::collections::HashMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk::db::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// By so much the story is ahead of what is shown, in seconds: in the Gregorian calendar 400 years later every date has
/// the same day of the week and every month the same length. So a moment of the story is told from any other.
pub(super) const AHEAD_SECONDS: i64 = 146_097 * 24 * 60 * 60;
/// What a request takes is less than this, in seconds: times are cut to multiples of it.
pub(super) const GRAIN_SECONDS: i64 = 30;
/// Between which moments every one is of the story, in seconds: the years 2400 and 2830.
const STORY_SECONDS: Range<i64> = 13_569_465_600..27_138_931_200;
/// Where the samples say the server listens.
const HOST: &str = "127.0.0.1:8080";
/// When all sample ids were made, in milliseconds: 2026-11-30T08:00:00Z.
const ID_MILLIS: u64 = 1_796_025_600_000;
/// How the program's secrets begin: API key, password link, refresh token, preview link, form token.
const SECRETS: [&str; 5] = ["cdk_", "cdl_", "cdr_", "cdv_", "cdf_"];
/// What the code of an authenticator app becomes.
const CODE: &str = "123456";

/// The samples that were given so far.
pub(super) struct Samples {
    /// The host and port that the server really has.
    host: String,
    known: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
}

impl Samples {
    pub(super) fn new(host: String) -> Self {
        Self { host, known: HashMap::new(), counts: HashMap::new() }
    }

    /// JSON with samples.
    pub(super) fn json(&mut self, value: &Value) -> Value {
        self.member("", value)
    }

    /// A text with samples.
    pub(super) fn text(&mut self, text: &str) -> String {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let text = text.replace(&self.host, HOST);
        let (mut shown, mut rest, mut before) = (String::with_capacity(text.len()), text.as_str(), ' ');
        while let Some(next) = rest.chars().next() {
            let found = if is_of_word(before) { None } else { self.found(rest) };
            let (length, sample) = found.unwrap_or_else(|| (next.len_utf8(), next.to_string()));
            shown.push_str(&sample);
            before = rest[..length].chars().next_back().unwrap_or(' ');
            rest = &rest[length..];
        }
        shown
    }

    /// The value of a header with samples.
    pub(super) fn header(&mut self, name: &str, value: &str) -> String {
        match name.to_ascii_lowercase().as_str() {
            "authorization" if value.contains(" cdk_") => "Bearer <API key>".to_owned(),
            "authorization" => "Bearer <access token>".to_owned(),
            "etag" | "if-match" | "if-none-match" => self.tag(value),
            _ => self.text(value),
        }
    }

    /// The same of an answer that says how long to wait, which depends on how fast the requests before came.
    pub(super) fn limit(&mut self, name: &str, value: &str) -> String {
        match name {
            "Retry-After" => even(value),
            "RateLimit" => value.rsplit_once('=').map_or(value.to_owned(), |(all, t)| format!("{all}={}", even(t))),
            _ => self.header(name, value),
        }
    }

    fn member(&mut self, name: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.named(name, text)),
            Value::Number(number) => number.as_i64().map_or(value.clone(), |number| moment(number).into()),
            Value::Array(items) => items.iter().map(|item| self.member(name, item)).collect(),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.clone(), self.member(name, value)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// The text of a member: its name may tell more than its form.
    fn named(&mut self, name: &str, text: &str) -> String {
        match name {
            // Parts of a public key (RFC 7517), of which the set has one.
            "kid" | "x" => filler("Sample", text.len()),
            "code" if text.len() == CODE.len() && text.bytes().all(|byte| byte.is_ascii_digit()) => CODE.to_owned(),
            "detail" => self.text(&even_wait(text)),
            "recovery_codes" => self.sample("recovery code", text, |count| format!("samp-lesa-mple-{count:04}")),
            _ => self.text(text),
        }
    }

    /// What stands at the beginning of a text and has a sample: its length and the sample.
    fn found(&mut self, text: &str) -> Option<(usize, String)> {
        if let Some(found) = http_date(text).or_else(|| time(text)) {
            return Some(found);
        }
        let word = &text[..text.find(|c| !is_of_word(c)).unwrap_or(text.len())];
        self.token(text)
            .or_else(|| self.cursor(word))
            .or_else(|| self.month_key(word))
            .or_else(|| self.word(word).map(|sample| (word.len(), sample)))
    }

    fn word(&mut self, word: &str) -> Option<String> {
        if is_id(word) {
            return Some(self.sample("id", word, sample_id));
        }
        if let Some(prefix) = SECRETS.iter().find(|prefix| word.starts_with(**prefix) && word.len() > 30) {
            return Some(self.sample(prefix, word, |count| format!("{prefix}{}", numbered(count, word.len() - 4))));
        }
        if word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return Some(self.sample("request", word, |count| format!("{count:032x}")));
        }
        let is_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
        (word.len() == 32 && word.bytes().all(is_base32)).then(|| filler("SAMPLE", 32))
    }

    /// An access token: what it says stays, with samples, and its signature is none.
    fn token(&mut self, text: &str) -> Option<(usize, String)> {
        let token = &text[..text.find(|c| !is_of_word(c) && c != '.').unwrap_or(text.len())];
        let mut parts = token.split('.');
        let (head, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let (head, claims) = (self.coded(head)?, self.coded(claims)?);
        Some((token.len(), format!("{head}.{claims}.{}", filler("Sample", signature.len()))))
    }

    fn cursor(&mut self, word: &str) -> Option<(usize, String)> {
        Some((word.len(), self.coded(word)?))
    }

    /// JSON in base64url, with samples.
    fn coded(&mut self, word: &str) -> Option<String> {
        let bytes = word.starts_with("eyJ").then(|| URL_SAFE_NO_PAD.decode(word).ok()).flatten()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode(self.json(&value).to_string()))
    }

    /// The name of a month's key, such as `2026-11-0123456789abcdef`.
    fn month_key(&mut self, word: &str) -> Option<(usize, String)> {
        let (month, key) = word.split_at_checked(7)?;
        let is_key = key.len() == 17 && key.starts_with('-') && key[1..].bytes().all(|byte| byte.is_ascii_hexdigit());
        let begins: Timestamp = format!("{month}-01T00:00:00Z").parse().ok().filter(|_| is_key)?;
        let month = shown(begins)?.month();
        Some((word.len(), self.sample("month key", word, |count| format!("{month}-{count:016x}"))))
    }

    /// Entity tags: those of versions are the same in each run.
    fn tag(&mut self, value: &str) -> String {
        let tag = value.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        match tag.filter(|tag| tag.len() >= 20) {
            Some(tag) => format!("\"{}{}\"", self.sample("tag", &tag[..20], |count| numbered(count, 20)), &tag[20..]),
            None => value.to_owned(),
        }
    }

    fn sample(&mut self, kind: &'static str, original: &str, make: impl FnOnce(usize) -> String) -> String {
        if let Some(known) = self.known.get(original) {
            return known.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let sample = make(*count);
        self.known.insert(original.to_owned(), sample.clone());
        sample
    }
}

/// Whether a character goes on what an id, a secret or a tag is made of.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

fn is_id(word: &str) -> bool {
    word.len() == 36 && Uuid::try_parse(word).is_ok_and(|id| id.get_version_num() == 7)
}

/// The id of so many: all are of one millisecond, so they sort by their number (RFC 9562, 6.2).
fn sample_id(count: usize) -> String {
    let (high, low) = (u128::from(ID_MILLIS) << 80, count as u128);
    Uuid::from_u128(high | (0x7 << 76) | (0b10 << 62) | low).to_string()
}

/// A sample word again and again, so long.
fn filler(word: &str, length: usize) -> String {
    word.chars().cycle().take(length).collect()
}

/// The same with a number at its end.
fn numbered(count: usize, length: usize) -> String {
    format!("{}{count:03}", filler("Sample", length - 3))
}

/// A time of the story as it is shown; none where it is another.
fn shown(time: Timestamp) -> Option<Timestamp> {
    let seconds = time.unix_seconds().div_euclid(GRAIN_SECONDS) * GRAIN_SECONDS - AHEAD_SECONDS;
    STORY_SECONDS.contains(&time.unix_seconds()).then(|| Timestamp::from_unix_millis(seconds * 1000))
}

/// A number that is a moment of the story, in milliseconds or seconds since 1970, as it is shown.
fn moment(number: i64) -> i64 {
    let (millis, seconds) = (Timestamp::from_unix_millis(number), number.checked_mul(1000));
    let seconds = seconds.and_then(|millis| shown(Timestamp::from_unix_millis(millis)));
    shown(millis).map(Timestamp::unix_millis).or(seconds.map(Timestamp::unix_seconds)).unwrap_or(number)
}

/// An RFC 3339 time in UTC at the beginning of a text.
fn time(text: &str) -> Option<(usize, String)> {
    let length = text.get(..40).unwrap_or(text).find('Z')? + 1;
    let time: Timestamp = text.get(..length)?.parse().ok()?;
    Some((length, shown(time)?.to_string()))
}

/// An HTTP date at the beginning of a text.
fn http_date(text: &str) -> Option<(usize, String)> {
    let date = text.get(..29).filter(|date| date.ends_with(" GMT"))?;
    Some((date.len(), shown(Timestamp::from_http_date(date)?)?.http_date()))
}

/// A number of seconds to wait, rounded up to an even one: how much of the last two is over is not told.
fn even(seconds: &str) -> String {
    seconds.parse::<u64>().map_or(seconds.to_owned(), |seconds| seconds.next_multiple_of(2).to_string())
}

/// The same in the sentence that tells it.
fn even_wait(detail: &str) -> String {
    let parts = detail.split_once(" again in ").and_then(|(before, rest)| Some((before, rest.split_once(" seconds")?)));
    let told = parts.map(|(before, (seconds, after))| format!("{before} again in {} seconds{after}", even(seconds)));
    told.unwrap_or_else(|| detail.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1";
    const OTHER_ID: &str = "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a2";

    fn samples() -> Samples {
        Samples::new("127.0.0.1:34567".to_owned())
    }

    #[test]
    fn an_id_is_the_same_sample_wherever_it_stands_and_samples_sort() {
        let mut samples = samples();
        let path = samples.text(&format!("/articles/{OTHER_ID}/publish"));
        let body = samples.json(&json!({ "id": ID, "text": format!("[a](article:{OTHER_ID})") }));
        let (first, second) = (sample_id(1), sample_id(2));
        assert_eq!(path, format!("/articles/{first}/publish"));
        assert_eq!(body, json!({ "id": second, "text": format!("[a](article:{first})") }));
        assert!(is_id(&first) && is_id(&second) && first < second);
        for foreign in ["0b5f9f0e-5c0c-4a51-8d0c-3f6f0f4f4c39", "a-019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1"] {
            assert_eq!(samples.text(foreign), foreign);
        }
    }

    #[test]
    fn a_time_of_the_story_is_four_hundred_years_back_and_whole() {
        let mut samples = samples();
        assert_eq!(samples.text("at 2426-11-30T08:00:41.123Z."), "at 2026-11-30T08:00:30Z.");
        assert_eq!(samples.text("2025-01-01T08:00:41Z"), "2025-01-01T08:00:41Z");
        let modified = samples.header("last-modified", "Mon, 30 Nov 2426 08:00:12 GMT");
        assert_eq!(modified, "Mon, 30 Nov 2026 08:00:00 GMT");
        let shown = Timestamp::from_http_date(&modified).unwrap();
        let real: Timestamp = "2426-11-30T08:00:00Z".parse().unwrap();
        assert_eq!(
            (moment(real.unix_millis() + 7), moment(real.unix_seconds())),
            (shown.unix_millis(), shown.unix_seconds())
        );
        assert_eq!(
            (moment(0), moment(1_796_025_600), moment(9_007_199_254_740)),
            (0, 1_796_025_600, 9_007_199_254_740)
        );
    }

    #[test]
    fn a_secret_keeps_its_form_and_is_none() {
        let mut samples = samples();
        for (prefix, length) in SECRETS.iter().zip([46, 43, 43, 43, 43]) {
            let secret = format!("{prefix}{}", "aB3".chars().cycle().take(length).collect::<String>());
            let shown = samples.text(&format!("http://127.0.0.1:34567/redeem#{secret}"));
            assert_eq!(shown.len(), format!("http://127.0.0.1:8080/redeem#{secret}").len());
            assert!(shown.starts_with(&format!("http://127.0.0.1:8080/redeem#{prefix}SampleSample")), "{shown}");
            assert_eq!(samples.json(&json!({ "token": secret }))["token"], shown.split('#').nth(1).unwrap());
        }
        let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let shown = samples.text(&format!("otpauth://totp/copydesk:a?secret={secret}&issuer=copydesk"));
        assert_eq!(shown, format!("otpauth://totp/copydesk:a?secret={}&issuer=copydesk", filler("SAMPLE", 32)));
        assert_eq!(samples.text("9395f2a4087944c60000000000000007"), "00000000000000000000000000000001");
    }

    #[test]
    fn codes_and_keys_are_told_by_their_members() {
        let mut samples = samples();
        let shown = samples
            .json(&json!({ "code": "049217", "recovery_codes": ["ab2d-ef4h-jk6m-np8q"], "kid": "t0ZrIo7iZQ6Mm0X1" }));
        let code = "samp-lesa-mple-0001";
        assert_eq!(shown, json!({ "code": CODE, "recovery_codes": [code], "kid": "SampleSampleSamp" }));
        let sent = samples
            .json(&json!({ "code": "ab2d-ef4h-jk6m-np8q", "other": "049217", "errors": [{ "code": "format" }] }));
        assert_eq!(sent, json!({ "code": code, "other": "049217", "errors": [{ "code": "format" }] }));
    }

    #[test]
    fn what_is_coded_says_the_same_in_samples() {
        let mut samples = samples();
        let coded = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (real, seen): (Timestamp, Timestamp) =
            ("2426-11-30T08:00:41.123Z".parse().unwrap(), "2026-11-30T08:00:30Z".parse().unwrap());
        let cursor = coded(json!({ "f": 1, "q": "list", "k": [real.unix_millis(), "a"], "i": ID }));
        let shown = coded(json!({ "f": 1, "q": "list", "k": [seen.unix_millis(), "a"], "i": sample_id(1) }));
        assert_eq!(
            samples.text(&format!("</a?cursor={cursor}>; rel=\"next\"")),
            format!("</a?cursor={shown}>; rel=\"next\"")
        );
        let token =
            [coded(json!({ "kid": "abcdefghijklmnop" })), coded(json!({ "sub": ID })), "s".repeat(86)].join(".");
        let expected =
            [coded(json!({ "kid": "SampleSampleSamp" })), coded(json!({ "sub": sample_id(1) })), filler("Sample", 86)]
                .join(".");
        assert_eq!(samples.text(&token), expected);
        assert_eq!(samples.header("authorization", &format!("Bearer {token}")), "Bearer <access token>");
    }

    #[test]
    fn tags_of_bytes_are_numbered_and_those_of_versions_stay() {
        let mut samples = samples();
        assert_eq!(samples.header("ETag", "\"v12\""), "\"v12\"");
        let tag = samples.header("ETag", "\"w4vQm1x9Kc2VtY7sJ0aL\"");
        assert_eq!(tag, "\"SampleSampleSampl001\"");
        assert_eq!(samples.header("if-none-match", "\"w4vQm1x9Kc2VtY7sJ0aLbr\""), "\"SampleSampleSampl001br\"");
        assert_eq!(samples.header("if-match", "*"), "*");
    }

    #[test]
    fn seconds_to_wait_are_even_and_keys_of_months_keep_their_month() {
        let mut samples = samples();
        assert_eq!((samples.limit("Retry-After", "1"), samples.limit("Retry-After", "2")), ("2".into(), "2".into()));
        assert_eq!(samples.limit("RateLimit", "\"contact\";r=0;t=1"), "\"contact\";r=0;t=2");
        let told = samples.json(&json!({ "detail": "Too many attempts; try again in 1 seconds." }));
        assert_eq!(told["detail"], "Too many attempts; try again in 2 seconds.");
        assert_eq!(samples.text("2426-11-0123456789abcdef"), "2026-11-0000000000000001");
        assert_eq!(samples.text("what-does-help-mean"), "what-does-help-mean");
    }
}
