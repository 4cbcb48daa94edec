//! What an email, a name and a password may be.
//!
//! The schemas say most of it; these functions say all of it, for the command line too. No sentence of
//! theirs repeats what it is about.

use crate::auth::passwords::{MAX_CHARS, MIN_CHARS};

/// What leaked lists have most often among passwords that are long enough, in lower case.
const COMMONEST: &[&str] = &[
    "000000000000000",
    "111111111111111",
    "123123123123123",
    "123456789012345",
    "1234567890123456",
    "12345678901234567890",
    "1q2w3e4r5t6y7u8i",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv",
    "administrator123",
    "aaaaaaaaaaaaaaaa",
    "abcdefghijklmno",
    "abcdefghijklmnop",
    "abcdefghijklmnopqrstuvwxyz",
    "correcthorsebatterystaple",
    "correct horse battery staple",
    "iloveyouiloveyou",
    "passwordpassword",
    "password12345678",
    "password123456789",
    "qwertyqwertyqwerty",
    "qwertyuiopasdfgh",
    "qwertyuiopasdfghjklzxcvbnm",
];

/// How many guesses, as a power of ten, a password must withstand: a thousand times more than ten a quarter of an
/// hour make in a lifetime.
const LEAST_GUESSES_LOG10: f64 = 10.0;
/// So much of a password is looked at: what follows only makes it better, and costs time, most where many letters are
/// written as digits and signs.
const LOOKED_AT: usize = 32;

/// How many guesses find the password, as a power of ten, for who knows common passwords, words, names and the
/// account (Wheeler, zxcvbn: Low-Budget Password Strength Estimation, USENIX Security 2016).
fn guesses_log10(password: &str, email: &str, name: &str) -> f64 {
    let start: String = password.chars().take(LOOKED_AT).collect();
    let mut known: Vec<&str> = vec![email, name, "copydesk"];
    known.extend(email.split(['@', '.', '+', '-', '_']).chain(name.split_whitespace()));
    zxcvbn::zxcvbn(&start, &known).guesses_log10()
}

/// Says what is wrong with an email address, in a sentence.
///
/// # Errors
/// The sentence.
pub fn check_email(email: &str) -> Result<(), String> {
    // RFC 5321, 4.5.3.1: a local part has at most 64 octets, an address that fits a path 254.
    let fits = email.len() <= 254;
    let printable = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    let shaped = email
        .split_once('@')
        .is_some_and(|(local, domain)| (1..=64).contains(&local.len()) && !domain.is_empty() && !domain.contains('@'));
    if fits && printable && shaped {
        Ok(())
    } else {
        Err("The email must be an address such as name@example.org, of at most 254 bytes and without spaces."
            .to_owned())
    }
}

/// Says what is wrong with a person's name, in a sentence.
///
/// # Errors
/// The sentence.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=200).contains(&name.chars().count());
    if fits && !name.trim().is_empty() && !name.chars().any(char::is_control) {
        Ok(())
    } else {
        Err("The name must be one line of at most 200 characters and not blank.".to_owned())
    }
}

/// Says what is wrong with a password for the account of this email and name, in a sentence.
///
/// # Errors
/// The sentence.
pub fn check_password(password: &str, email: &str, name: &str) -> Result<(), String> {
    let length = password.chars().count();
    let plain = password.to_lowercase();
    let says = |sentence: &str| Err(sentence.to_owned());
    if !(MIN_CHARS..=MAX_CHARS).contains(&length) {
        return Err(format!("The password must have {MIN_CHARS} to {MAX_CHARS} characters."));
    }
    if password.contains('\0') {
        return says("The password must not hold the character NUL.");
    }
    if plain == email.to_lowercase() || plain == name.to_lowercase() {
        return says("The password must be neither the email nor the name.");
    }
    if COMMONEST.contains(&plain.as_str()) || guesses_log10(password, email, name) < LEAST_GUESSES_LOG10 {
        return says(
            "The password is too easily guessed: it is a common one, or made of common words, names, dates or rows of keys. A few words that belong together for you alone are better.",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    const EMAIL: &str = "maya.lindqvist@example.org";
    const NAME: &str = "Maya Lindqvist of Port Ellery";

    /// 129 characters of two bytes each that follow no pattern.
    static FINE: LazyLock<Vec<char>> = LazyLock::new(|| {
        let scrambled = |index: u32| char::from_u32(0xC0 + (index * index * 31 + index * 17) % 0x180);
        (0..129).filter_map(scrambled).collect()
    });

    #[test]
    fn a_password_has_fifteen_to_a_hundred_and_twenty_eight_characters_of_any_script() {
        for (password, is_right) in
            [(&FINE[..14], false), (&FINE[..15], true), (&FINE[..128], true), (&FINE[..129], false)]
        {
            let password: String = password.iter().collect();
            assert_eq!(check_password(&password, EMAIL, NAME).is_ok(), is_right, "{password}");
        }
    }

    #[test]
    fn a_password_is_neither_the_email_nor_the_name_nor_a_common_one() {
        let guessable =
            ["password12345678", "qwertyuiopasdfgh", "aaaaaaaaaaaaaaaaaaaa", "maya.lindqvist1", "letmeinletmein123"];
        let others = [&EMAIL.to_uppercase(), NAME, "PasswordPassword", "a long one with \0 in it"];
        for password in guessable.into_iter().chain(others) {
            let sentence = check_password(password, EMAIL, NAME).unwrap_err();
            assert!(!sentence.contains(password));
        }
    }

    #[test]
    fn an_email_has_one_at_sign_and_no_spaces() {
        for email in ["a@b", EMAIL, "müller@example.org"] {
            assert_eq!(check_email(email), Ok(()));
        }
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}", "b".repeat(253));
        for email in ["", "@b", "a@", "a@b@c", "a b@c", "a@b\n", " a@b", "a@b\u{a0}", &long, &longer] {
            assert!(check_email(email).is_err(), "{email}");
        }
    }

    #[test]
    fn a_name_is_one_line_with_something_on_it() {
        assert_eq!(check_name(NAME), Ok(()));
        for name in ["", "  ", "a\nb", &"a".repeat(201)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
