//! Contact forms: what a visitor is asked, agrees to and is told, and how long what they send is kept.
//!
//! The form `default` is always there; it applies where none is named, or one that nobody has made. A consent text that
//! may have been shown is evidence: it is never changed or taken away, a new version is added instead.

mod managing;
pub(super) mod store;
mod visiting;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Id, Timestamp};
use crate::http::{Editable, Operations, Warning};

/// The name of the form that is always there.
pub(super) const DEFAULT: &str = "default";

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().merge(visiting::operations()).merge(managing::operations())
}

/// Marks the id of a contact form.
#[derive(Debug, Clone, Copy)]
pub(super) struct ContactFormKind;
/// The id of a contact form.
pub(super) type ContactFormId = Id<ContactFormKind>;

/// A field of a form beside name, email, phone and message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FormField {
    /// What the field is called in `fields`.
    #[schema(min_length = 1, max_length = 60, pattern = "^[A-Za-z0-9_-]+$", example = "insurance")]
    pub name: String,
    /// What the visitor reads.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Insurance"
    )]
    pub label: String,
    /// Whether a message without it is refused.
    #[serde(default)]
    pub required: bool,
    /// What may be chosen; empty where anything may be written.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub choices: Vec<Choice>,
}

/// Something that may be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    /// What is sent.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "private"
    )]
    pub value: String,
    /// What the visitor reads.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Private insurance"
    )]
    pub label: String,
}

/// A text that a visitor agrees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentText {
    /// Which version of the text it is; each may have several languages.
    #[schema(min_length = 1, max_length = 40, pattern = "^[A-Za-z0-9._-]+$", example = "2026-11")]
    pub version: String,
    /// Its language, a BCP 47 tag.
    #[schema(min_length = 2, max_length = 35, pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", example = "en")]
    pub language: String,
    /// The text, as it is shown.
    #[schema(
        min_length = 1,
        max_length = 4000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$"
    )]
    pub text: String,
}

/// What an admin writes of a contact form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(super) struct FormContent {
    /// What the form is called, in addresses and in `form`. That of the form `default` can't be changed.
    #[schema(min_length = 1, max_length = 60, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "sidebar")]
    pub name: String,
    /// The fields beside name, email, phone and message.
    #[schema(max_items = 20)]
    pub fields: Vec<FormField>,
    /// The version of the consent text that is shown now.
    #[schema(min_length = 1, max_length = 40, pattern = "^[A-Za-z0-9._-]+$", example = "2026-11")]
    pub consent_version: String,
    /// Every consent text that was ever shown: they can be added, and neither changed nor taken away.
    #[schema(min_items = 1, max_items = 200)]
    pub consent_texts: Vec<ConsentText>,
    /// Who is mailed that something has come: a link and a count, nothing of what was sent.
    #[schema(max_items = 20)]
    pub recipients: Vec<Recipient>,
    /// The origins that `redirect_to` may lead to.
    #[schema(max_items = 20)]
    pub redirect_origins: Vec<RedirectOrigin>,
    /// After how many days a message is erased, counted from its receipt, whatever became of it.
    #[schema(minimum = 1, maximum = 3650, example = 180)]
    pub retention_days: i64,
    /// The same for spam.
    #[schema(minimum = 1, maximum = 3650, example = 14)]
    pub spam_retention_days: i64,
    /// What a visitor is told whose message can't be taken: how else to reach somebody.
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
    pub fallback_text: String,
    /// Whether a message without a `form_token` is suspected to be spam; plain HTML forms have none.
    pub requires_token: bool,
    /// A message that was written faster, in seconds, is suspected to be spam; 0 suspects none.
    #[schema(minimum = 0, maximum = 300, example = 3)]
    pub least_seconds: i64,
    /// Words and phrases that mark a message urgent: whole words, in any case and with or without accents. Empty where
    /// nothing does.
    #[schema(max_items = 200)]
    pub urgent_phrases: Vec<UrgentPhrase>,
    /// What whoever sends an urgent message is told at once; null where nothing is.
    #[schema(
        max_length = 2000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$"
    )]
    pub crisis_text: Option<String>,
}

/// The address of somebody who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    min_length = 3,
    max_length = 254,
    pattern = r"^[^\s@\x00-\x1F\x7F]{1,64}@[^\s@\x00-\x1F\x7F]+$",
    example = "intake@example.org"
)]
pub(super) struct Recipient(pub String);

/// An origin (RFC 6454): scheme, host and, where it is not the usual one, port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    min_length = 8,
    max_length = 300,
    pattern = r"^https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$",
    example = "https://www.example.org"
)]
pub(super) struct RedirectOrigin(pub String);

/// A word, or several that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(
    min_length = 1,
    max_length = 100,
    pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
    example = "end my life"
)]
pub(super) struct UrgentPhrase(pub String);

impl Default for FormContent {
    fn default() -> Self {
        Self {
            name: String::new(),
            fields: Vec::new(),
            consent_version: String::new(),
            consent_texts: Vec::new(),
            recipients: Vec::new(),
            redirect_origins: Vec::new(),
            retention_days: 180,
            spam_retention_days: 14,
            fallback_text: "Your message could not be taken just now. Please call us, or try again in a few minutes."
                .to_owned(),
            requires_token: false,
            least_seconds: 3,
            urgent_phrases: Vec::new(),
            crisis_text: None,
        }
    }
}

impl FormContent {
    /// The present consent text in a language, or in one that is near to it, or in any.
    fn consent(&self, language: &str) -> Option<&ConsentText> {
        let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let present = || self.consent_texts.iter().filter(|text| text.version == self.consent_version);
        present()
            .find(|text| text.language.eq_ignore_ascii_case(language))
            .or_else(|| present().find(|text| primary(&text.language) == primary(language)))
            .or_else(|| present().next())
    }

    /// Whether a version of the consent text was ever shown.
    pub(super) fn knows_consent(&self, version: &str) -> bool {
        self.consent_texts.iter().any(|text| text.version == version)
    }

    /// Whether `redirect_to` may lead there: one of the origins, and a path of it.
    pub(super) fn allows_redirect_to(&self, address: &str) -> bool {
        let is_plain = address.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        let is_of = |origin: &RedirectOrigin| {
            address.strip_prefix(&origin.0).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        };
        is_plain && self.redirect_origins.iter().any(is_of)
    }
}

impl Editable for FormContent {
    const NAME: &'static str = "ContactForm";
    const REQUIRED: &'static [&'static str] = &["name", "consent_version", "consent_texts"];
    type Answer = ManagedContactForm;
}

/// A contact form, as management shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ManagedContactForm {
    /// What an admin writes.
    #[serde(flatten)]
    pub content: FormContent,
    /// The id.
    pub id: ContactFormId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub saved_at: Timestamp,
    /// What should be looked at after this write; empty on reads.
    pub warnings: Vec<Warning>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_an_allowed_origin_and_nowhere_else() {
        let origins = ["https://www.example.org", "http://localhost:3000"];
        let redirect_origins = origins.iter().map(|origin| RedirectOrigin((*origin).to_owned())).collect();
        let form = FormContent { redirect_origins, ..FormContent::default() };
        for allowed in ["https://www.example.org", "https://www.example.org/thanks?x=1#y", "http://localhost:3000/a"] {
            assert!(form.allows_redirect_to(allowed), "{allowed}");
        }
        for refused in [
            "https://www.example.org.evil.com/",
            "https://www.example.org@evil.com/",
            "https://www.example.org:8443/",
            "http://www.example.org/",
            "https://www.example.org\\@evil.com",
            "//www.example.org/",
            "/thanks",
            "https://www.example.org/a\r\nSet-Cookie: a=b",
            "https://www.example.org/ü",
            "http://localhost:30001/",
            "",
        ] {
            assert!(!form.allows_redirect_to(refused), "{refused}");
        }
    }

    #[test]
    fn the_consent_text_is_the_present_one_in_the_nearest_language() {
        let text = |version: &str, language: &str| ConsentText {
            version: version.to_owned(),
            language: language.to_owned(),
            text: format!("{version} {language}"),
        };
        let form = FormContent {
            consent_version: "2".to_owned(),
            consent_texts: vec![text("1", "fr"), text("2", "en"), text("2", "es")],
            ..FormContent::default()
        };
        for (language, expected) in [("en", "2 en"), ("es", "2 es"), ("es-MX", "2 es"), ("fr", "2 en")] {
            assert_eq!(form.consent(language).unwrap().text, expected);
        }
        assert!(form.knows_consent("1") && !form.knows_consent("3"));
    }
}
