//! Email addresses and phone numbers: what is one, and the one form in which two are compared.

use deunicode::deunicode_char;
use email_address::{EmailAddress, Options};
use phonenumber::country;
use unicode_normalization::UnicodeNormalization;

/// The longest text that is read as a phone number, in characters: with spaces, brackets and an extension.
pub(super) const MAX_PHONE: usize = 50;

/// The most letters of a number that is written with words, and of an extension.
const MOST_LETTERS: usize = 10;

/// Whether a text is an email address that mail can be sent to: with a domain of at least two labels, and without a
/// display name, a comment or an address literal.
pub(super) fn is_email(text: &str) -> bool {
    let options = Options {
        minimum_sub_domains: 2,
        allow_domain_literal: false,
        allow_display_text: false,
        allow_long_local_parts: false,
    };
    // Quoted local parts are legal and nobody's; they may hold what a header must not.
    text.len() <= 254 && !text.contains(['"', '(', ')']) && EmailAddress::parse_with_options(text, options).is_ok()
}

/// The form in which emails are compared, however they are written: no mail system in use tells addresses apart by case, a
/// domain has one form in ASCII (IDNA), and a letter with its accent one in Unicode (NFC).
pub(super) fn email_key(email: &str) -> String {
    let email: String = email.trim().nfc().collect::<String>().to_lowercase();
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.to_owned());
            format!("{local}@{domain}")
        }
        None => email,
    }
}

/// A phone number as E.164, with `;ext=` and its extension where it has one (RFC 3966); read in any usual notation, one
/// without a country code as one of `country`. What is no number of a numbering plan that the library knows is taken
/// where it is long enough: plans change, and whoever is to be called back must not be turned away.
pub(super) fn phone(text: &str, country: country::Id) -> Option<String> {
    let is_plain = text.chars().count() <= MAX_PHONE && !text.chars().any(char::is_control);
    // The library takes letters for digits ("1-800-FLOWERS"), also in a sentence that holds a number.
    if !is_plain || text.chars().filter(|c| c.is_alphabetic()).count() > MOST_LETTERS {
        return None;
    }
    let text = plainest(text);
    let abroad = text.strip_prefix("00").map(|rest| format!("+{rest}"));
    let read = |text: &str| phonenumber::parse(Some(country), text).ok();
    let known = [Some(text.clone()), abroad].into_iter().flatten().filter_map(|text| read(&text));
    let number = known.clone().find(phonenumber::is_valid).or_else(|| known.clone().find(is_long_enough))?;
    let e164 = number.format().mode(phonenumber::Mode::E164).to_string();
    // The library adds the extension in its own way.
    let digits = e164.split(|c: char| c != '+' && !c.is_ascii_digit()).next().unwrap_or_default();
    Some(match number.extension() {
        Some(extension) => format!("{digits};ext={}", extension.as_ref()),
        None => digits.to_owned(),
    })
}

/// A number without its extension: the form in which phone numbers are compared.
pub(super) fn phone_key(phone: &str) -> String {
    phone.split(';').next().unwrap_or_default().to_owned()
}

/// The digits of any script as those of ASCII, and without the zero that is dialled at home alone: `+49 (0)30 …`.
fn plainest(text: &str) -> String {
    let ascii = |c: char| if c.is_numeric() { deunicode_char(c).unwrap_or_default().to_owned() } else { c.to_string() };
    let text: String = text.trim().chars().map(ascii).collect();
    let is_abroad = text.starts_with('+') || text.starts_with("00");
    if is_abroad { text.replacen("(0)", "", 1) } else { text }
}

/// Whether a number has at least as many digits as the shortest that people are called by.
fn is_long_enough(number: &phonenumber::PhoneNumber) -> bool {
    (7..=15).contains(&number.national().value().to_string().len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_email_is_one_that_mail_can_be_sent_to() {
        for email in ["ada@example.org", "a.b+c@mail.example.co.uk", "müller@example.org", "ada@xn--mller-kva.example"]
        {
            assert!(is_email(email), "{email}");
        }
        let long = format!("{}@example.org", "a".repeat(250));
        for text in [
            "",
            "ada",
            "ada@localhost",
            "@example.org",
            "ada@",
            "a b@example.org",
            "ada@example.org\r\nBcc: x@y.z",
            "Ada <ada@example.org>",
            "\"a\r\nb\"@example.org",
            "ada@[127.0.0.1]",
            "a@b@example.org",
            "ada@example..org",
            &long,
        ] {
            assert!(!is_email(text), "{text:?}");
        }
    }

    #[test]
    fn an_email_is_found_however_it_is_written() {
        for (one, other) in [
            ("Ada@Example.org", " ada@example.ORG"),
            ("ada@müller.example", "ada@xn--mller-kva.example"),
            ("ren\u{e9}@example.org", "rene\u{301}@example.org"),
            ("ada@m\u{fc}ller.example", "ada@mu\u{308}ller.example"),
        ] {
            assert_eq!(email_key(one), email_key(other));
        }
        assert_ne!(email_key("ada@example.org"), email_key("ada@example.com"));
    }

    #[test]
    fn a_phone_number_is_read_in_any_usual_notation() {
        for (country, text, expected) in [
            (country::US, "(415) 555-2671", "+14155552671"),
            (country::US, "415.555.2671", "+14155552671"),
            (country::US, "1-415-555-2671", "+14155552671"),
            (country::US, "tel:+1-415-555-2671", "+14155552671"),
            (country::US, "415 555 2671 ext. 12", "+14155552671;ext=12"),
            (country::US, "٤١٥ ٥٥٥ ٢٦٧١", "+14155552671"),
            (country::US, "４１５５５５２６７１", "+14155552671"),
            (country::US, "1-800-FLOWERS", "+18003569377"),
            (country::DE, "030 901820", "+4930901820"),
            (country::US, "+49 (0)30 901820", "+4930901820"),
            (country::US, "0049 30 901820", "+4930901820"),
            (country::US, "011 49 30 901820", "+4930901820"),
            (country::GB, "020 7946 0958", "+442079460958"),
            (country::IT, "06 1234 5678", "+390612345678"),
            (country::US, "555-2671", "+15552671"),
        ] {
            assert_eq!(phone(text, country).as_deref(), Some(expected), "{text}");
        }
        let long = "1".repeat(60);
        for text in [
            "",
            "12",
            "call me",
            "+1 415",
            "+999 1234567",
            "+14155552671\r\nX: y",
            "please do call me on 4155552671",
            &long,
        ] {
            assert_eq!(phone(text, country::US), None, "{text:?}");
        }
        assert_eq!(phone_key("+14155552671;ext=12"), "+14155552671");
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_an_address_or_not(text in "\\PC{0,60}") {
            drop(phone(&text, country::US));
            prop_assert!(!is_email(&text) || text.contains('@'));
        }

        #[test]
        fn what_looks_like_a_number_is_one_or_not(text in "[+0-9 ()./x-]{0,40}") {
            if let Some(number) = phone(&text, country::US) {
                let key = phone_key(&number);
                prop_assert!(key.starts_with('+') && key[1..].bytes().all(|b| b.is_ascii_digit()), "{}", number);
            }
        }
    }
}
