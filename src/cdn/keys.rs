//! Surrogate keys: what an answer is made of, in eleven characters each.
//!
//! A key is a letter for the kind and ten characters of base32 (RFC 4648, in lower case) of a hash. What one is not named
//! by can't be purged, so an answer that names nothing is made of everything.

use std::collections::BTreeSet;

use actix_web::http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::CdnForm;

/// How many keys an answer names at most: with the spaces between them they stay below 1 KiB.
const MOST_KEYS: usize = 60;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of the hash.
const DIGITS: usize = 10;

/// What an answer is made of, or a change touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// An article, or the original that translations share.
    pub fn article(id: Uuid) -> Self {
        Self::of('a', &[id.as_bytes()])
    }

    /// An author.
    pub fn author(id: Uuid) -> Self {
        Self::of('u', &[id.as_bytes()])
    }

    /// A category.
    pub fn category(id: Uuid) -> Self {
        Self::of('c', &[id.as_bytes()])
    }

    /// Which articles are filed under an author, a category or a tag.
    pub fn facet(kind: &str, target: &[u8]) -> Self {
        Self::of('f', &[kind.as_bytes(), b"\0", target])
    }

    fn of(letter: char, parts: &[&[u8]]) -> Self {
        let hash = parts.iter().fold(Sha256::new(), Digest::chain_update).finalize();
        let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let digit = |index: usize| char::from(ALPHABET[(number >> (5 * index) & 31) as usize]);
        Self(std::iter::once(letter).chain((0..DIGITS).map(digit)).collect())
    }

    /// The whole set that this is a part of.
    fn set(&self) -> Set {
        match self.0.as_bytes().first() {
            Some(b'a' | b'f') => Set::Articles,
            Some(b'u') => Set::Authors,
            Some(b'c') => Set::Categories,
            _ => Set::Everything,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A whole set of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// All that is public.
    Everything,
    /// All articles.
    Articles,
    /// All authors.
    Authors,
    /// All categories.
    Categories,
    /// The facts of the site.
    Site,
    /// All redirects.
    Redirects,
    /// All contact forms.
    ContactForms,
}

impl Set {
    /// The key of the set.
    pub fn key(self) -> Key {
        let name = match self {
            Self::Everything => "everything",
            Self::Articles => "articles",
            Self::Authors => "authors",
            Self::Categories => "categories",
            Self::Site => "site",
            Self::Redirects => "redirects",
            Self::ContactForms => "contact-forms",
        };
        Key::of('s', &[name.as_bytes()])
    }
}

/// What an answer is made of, as far as it was read.
#[derive(Debug, Clone, Default)]
pub struct Keys(BTreeSet<Key>);

impl Keys {
    /// Adds one.
    pub fn insert(&mut self, key: Key) {
        self.0.insert(key);
    }

    /// The keys of the answer: many are told by the sets that they are parts of, and none by all sets.
    fn named(mut self) -> BTreeSet<Key> {
        if self.0.is_empty() {
            let sets = [Set::Articles, Set::Authors, Set::Categories, Set::Site, Set::Redirects, Set::ContactForms];
            self.0.extend(sets.map(Set::key));
        }
        let everything = Set::Everything.key();
        self.0.insert(everything);
        if self.0.len() > MOST_KEYS {
            let (sets, parts): (BTreeSet<Key>, BTreeSet<Key>) =
                self.0.into_iter().partition(|key| key.set() == Set::Everything);
            self.0 = sets.into_iter().chain(parts.iter().map(|key| key.set().key())).collect();
        }
        self.0
    }

    /// The header that names them to a network.
    pub fn header(self, form: CdnForm) -> Option<(HeaderName, HeaderValue)> {
        let (name, between) = match form {
            CdnForm::Fastly | CdnForm::Varnish => ("surrogate-key", " "),
            CdnForm::Cloudflare => ("cache-tag", ","),
        };
        let keys: Vec<String> = self.named().into_iter().map(|key| key.0).collect();
        let value = HeaderValue::from_str(&keys.join(between)).ok()?;
        Some((HeaderName::from_static(name), value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(keys: impl IntoIterator<Item = Key>, form: CdnForm) -> String {
        let (_, value) = Keys(keys.into_iter().collect()).header(form).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn few_keys_are_named_and_many_are_told_by_their_sets() {
        let author = Key::author(Uuid::from_u128(1));
        let few = value([author.clone(), Set::Site.key()], CdnForm::Varnish);
        assert_eq!(few.split(' ').collect::<BTreeSet<_>>().len(), 3);
        assert!(few.contains(author.as_str()) && few.contains(Set::Everything.key().as_str()));
        let many = (0..100).map(|number| Key::article(Uuid::from_u128(number))).chain([author, Set::Site.key()]);
        let told = value(many, CdnForm::Cloudflare);
        let sets = [Set::Everything, Set::Articles, Set::Authors, Set::Site].map(|set| set.key().0);
        assert_eq!(told.split(',').collect::<BTreeSet<_>>(), sets.iter().map(String::as_str).collect());
    }

    #[test]
    fn an_answer_that_names_nothing_is_made_of_all_sets() {
        assert_eq!(value([], CdnForm::Fastly).split(' ').count(), 7);
    }

    proptest! {
        #[test]
        fn keys_are_short_and_differ(ids in prop::collection::hash_set(any::<u128>(), 0..200)) {
            let ids: Vec<Uuid> = ids.into_iter().map(Uuid::from_u128).collect();
            let keys: BTreeSet<Key> = ids
                .iter()
                .flat_map(|id| [Key::article(*id), Key::author(*id), Key::category(*id), Key::facet("tag", id.as_bytes())])
                .collect();
            prop_assert_eq!(keys.len(), 4 * ids.len());
            for key in &keys {
                prop_assert!(key.0.len() == 11 && key.0.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
            }
            prop_assert!(value(keys, CdnForm::Fastly).len() <= 1024);
        }
    }
}
