//! The names of the quality checks, of which a setting says which refuse a publication.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// What is checked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// Every check.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its name, in settings and answers.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

checks! {
    /// There is nothing to read.
    NoText "no_text";
    /// Nobody stands for it.
    NoAuthor "no_author";
    /// An image says nothing to who can't see it.
    MissingAlt "missing_alt";
    /// A heading skips a level.
    HeadingSkip "heading_skip";
    /// A link has no words.
    EmptyLink "empty_link";
    /// The title is longer than search engines show.
    LongSeoTitle "long_seo_title";
    /// The description is longer than search engines show.
    LongSeoDescription "long_seo_description";
    /// A link within the site leads nowhere.
    BrokenLink "broken_link";
    /// A link leads to an article that is not public.
    LinkToNotPublic "link_to_not_public";
    /// An expert should look at it again.
    OverdueReview "overdue_review";
}
