//! What many answers show alike, kept while the state of what is public is the one that it was made of.
//!
//! After a publication every answer is made anew once, and most of what they show is the same few articles: each of those
//! is then put together once, and not once for every list that it stands in. Like the answer cache this is only ever
//! faster, never different: what was made of another state is not found.

use std::any::Any;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::bounded_cache::bounded;
use crate::db::ContentVersion;

/// About how large a part is, in bytes, to make room for as many as fit.
const USUAL_PART: u64 = 2048;
/// What a part takes beside its own bytes.
const OVERHEAD: u64 = 128;

struct Entry {
    number: i64,
    weight: u64,
    value: Arc<dyn Any + Send + Sync>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<Entry>> for Weight {
    fn weight(&self, key: &Box<[u8]>, entry: &Arc<Entry>) -> u64 {
        key.len() as u64 + entry.weight + OVERHEAD
    }
}

type Parts = Cache<Box<[u8]>, Arc<Entry>, Weight>;

/// The memo.
pub struct Memo {
    /// None where it is switched off.
    parts: Option<Parts>,
}

impl Memo {
    /// A memo of so many bytes; none where they are 0.
    pub fn new(bytes: u64) -> Self {
        Self { parts: bounded(bytes, USUAL_PART, Weight) }
    }

    /// What it has of one state.
    pub fn at(&self, version: ContentVersion) -> MemoAt<'_> {
        MemoAt { parts: self.parts.as_ref(), number: version.number }
    }
}

/// What a memo has of one state.
#[derive(Clone, Copy)]
pub struct MemoAt<'m> {
    parts: Option<&'m Parts>,
    number: i64,
}

impl MemoAt<'_> {
    /// Has nothing and keeps nothing: for what is read within other states than those of what is public.
    pub const NOTHING: Self = Self { parts: None, number: 0 };

    /// The part of this key. Keys of parts of different types must differ.
    pub fn get<T: Send + Sync + 'static>(&self, key: &[u8]) -> Option<Arc<T>> {
        let entry = self.parts?.get(key)?;
        if entry.number != self.number {
            return None;
        }
        Arc::clone(&entry.value).downcast().ok()
    }

    /// Keeps a part of about so many bytes.
    pub fn put<T: Send + Sync + 'static>(&self, key: &[u8], part: &Arc<T>, weight: usize) {
        if let Some(parts) = self.parts {
            let value: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(part);
            parts.insert(key.into(), Arc::new(Entry { number: self.number, weight: weight as u64, value }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Timestamp;

    fn version(number: i64) -> ContentVersion {
        let changed_at = Timestamp::from_unix_millis(1_800_000_000_000);
        ContentVersion { number, changed_at, has_own_second: true, ends_at: None }
    }

    #[test]
    fn a_part_is_found_by_its_key_in_the_state_that_it_was_made_of() {
        let memo = Memo::new(1 << 20);
        memo.at(version(1)).put(b"a", &Arc::new(7_u32), 4);
        assert_eq!(memo.at(version(1)).get(b"a"), Some(Arc::new(7_u32)));
        assert_eq!(memo.at(version(1)).get::<u32>(b"b"), None);
        assert_eq!(memo.at(version(1)).get::<i64>(b"a"), None, "it is something else");
        assert_eq!(memo.at(version(2)).get::<u32>(b"a"), None, "something was published");
        memo.at(version(2)).put(b"a", &Arc::new(8_u32), 4);
        assert_eq!(memo.at(version(2)).get(b"a"), Some(Arc::new(8_u32)));
        assert_eq!(memo.at(version(1)).get::<u32>(b"a"), None, "who still reads the former state makes it anew");
    }

    #[test]
    fn it_is_bounded_and_may_be_switched_off() {
        let memo = Memo::new(100_000);
        for number in 0..10_000_u32 {
            memo.at(version(1)).put(&number.to_be_bytes(), &Arc::new(number), 1000);
        }
        assert!(memo.parts.as_ref().unwrap().weight() <= 100_000);
        let none = Memo::new(0);
        none.at(version(1)).put(b"a", &Arc::new(7_u32), 4);
        assert_eq!(none.at(version(1)).get::<u32>(b"a"), None);
    }
}
