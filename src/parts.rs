//! Parts that several features' documents share: an image by its address, a labelled link.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An image, by its address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Where it is: an https or http URL, or a path on the public site.
    #[schema(
        max_length = 2000,
        pattern = r"^(https?://[^\s/]|/([^/\s\\]|$))[^\s]*$",
        example = "https://images.example.org/harbour.jpg"
    )]
    pub url: String,
    /// What it shows, for who can't see it; needed before an article with it is published. Empty for a mere ornament.
    #[serde(default)]
    #[schema(max_length = 500, pattern = r"^[^\x00-\x1F\x7F]*$", example = "A lighthouse at dawn")]
    pub alt: Option<String>,
    /// What is printed under it.
    #[serde(default)]
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub caption: Option<String>,
    /// Who made it.
    #[serde(default)]
    #[schema(max_length = 300, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub credit: Option<String>,
    /// Its width in pixels; null where unknown.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub width: Option<u32>,
    /// Its height in pixels; null where unknown.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub height: Option<u32>,
}

/// A link with the words that are shown for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The words.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$")]
    pub label: String,
    /// Where it leads: an https, http, mailto or tel URL, or a path on the public site.
    #[schema(max_length = 2000, pattern = r"^(https?://[^\s/]|mailto:[^\s]|tel:[^\s]|/([^/\s\\]|$))[^\s]*$")]
    pub url: String,
}

/// An id or a slug; answers have the id.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 120, value_type = String, pattern = "^[A-Za-z0-9-]+$", example = "first-steps")]
pub(crate) struct IdOrSlug(#[expect(dead_code, reason = "only its schema is used")] String);

/// A language (BCP 47), or `*` for all.
#[derive(ToSchema)]
#[schema(
    min_length = 1, max_length = 35, value_type = String, pattern = r"^(\*|[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*)$",
    example = "en"
)]
pub(crate) struct LanguageRange(#[expect(dead_code, reason = "only its schema is used")] String);

/// A tag: a free word or a few, without commas.
#[derive(ToSchema)]
#[schema(
    min_length = 1, max_length = 60, value_type = String, example = "first steps",
    pattern = r"^[^\s,\x00-\x1F\x7F]([^,\x00-\x1F\x7F]*[^\s,\x00-\x1F\x7F])?$"
)]
pub(crate) struct TagName(#[expect(dead_code, reason = "only its schema is used")] String);
