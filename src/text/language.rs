//! Language tags (BCP 47, RFC 5646): their form, and the case in which they are kept.

/// The tag in the case that RFC 5646, 2.1.1 recommends, so that tags which mean the same are the same: the
/// language in lower case, a region of two letters in upper case, a script of four with a capital, all after a
/// single character in lower case.
pub(crate) fn canonical_language(tag: &str) -> String {
    let mut parts = Vec::new();
    let mut is_after_singleton = false;
    for (index, part) in tag.split('-').enumerate() {
        let lower = part.to_ascii_lowercase();
        let is_alphabetic = part.bytes().all(|byte| byte.is_ascii_alphabetic());
        parts.push(match part.len() {
            _ if index == 0 || is_after_singleton || !is_alphabetic => lower,
            2 => part.to_ascii_uppercase(),
            4 => lower[..1].to_ascii_uppercase() + &lower[1..],
            _ => lower,
        });
        is_after_singleton |= part.len() == 1;
    }
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_mean_the_same_are_the_same() {
        for (tag, canonical) in [
            ("EN", "en"),
            ("pt-br", "pt-BR"),
            ("zh-hANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("sl-ROZAJ", "sl-rozaj"),
            ("en-u-CA-Gregory", "en-u-ca-gregory"),
            ("de-DE-1996", "de-DE-1996"),
            ("x", "x"),
            ("", ""),
        ] {
            assert_eq!(canonical_language(tag), canonical);
            assert_eq!(canonical_language(canonical), canonical);
        }
    }
}
