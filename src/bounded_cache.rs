//! A cache that is bounded by the bytes of what it holds, as the answer cache and the memo are.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// Into how many parts it is split, each with a lock and a part of the bytes: an entry must fit into one.
const PARTS: usize = 4;

/// A cache of so many bytes, with room for as many entries of the usual size as fit; none where they are 0.
pub(crate) fn bounded<K: Eq + Hash, V: Clone, W: Weighter<K, V> + Clone>(
    bytes: u64,
    usual_entry: u64,
    weighter: W,
) -> Option<Cache<K, V, W>> {
    let entries = usize::try_from(bytes / usual_entry).unwrap_or(usize::MAX).max(16);
    let options = OptionsBuilder::new().shards(PARTS).estimated_items_capacity(entries).weight_capacity(bytes).build();
    let options = options.ok().filter(|_| bytes > 0)?;
    Some(Cache::with_options(options, weighter, DefaultHashBuilder::default(), DefaultLifecycle::default()))
}
