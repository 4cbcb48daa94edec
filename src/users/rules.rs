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
    if COMMONEST.contains(&plain.as_str()) {
        return says("The password is among the commonest; choose another one.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "maya.lindqvist@example.org";
    const NAME: &str = "Maya Lindqvist of Port Ellery";

    #[test]
    fn a_password_has_fifteen_to_a_hundred_and_twenty_eight_characters_of_any_script() {
        for (password, is_right) in
            [("é".repeat(14), false), ("é".repeat(15), true), ("é".repeat(128), true), ("é".repeat(129), false)]
        {
            assert_eq!(check_password(&password, EMAIL, NAME).is_ok(), is_right, "{password}");
        }
    }

    #[test]
    fn a_password_is_neither_the_email_nor_the_name_nor_a_common_one() {
        for password in [&EMAIL.to_uppercase(), NAME, "PasswordPassword", "a long one with \0 in it"] {
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
