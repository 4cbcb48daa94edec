//! Which articles are related: those that share tags and categories, rarer ones weighing more.
//!
//! A shared facet weighs the logarithm of how rare it is among the articles of the language, so a tag of three articles says
//! more than a category of half of all. How many articles there are at all has no part in it: else every publication could
//! change what is related to any article, and no copy of one could stand. Of each facet
//! the newest articles are looked at, which bounds the cost on a site of any size. Ties go to the newer.

use std::sync::Arc;

use diesel::prelude::*;
use uuid::Uuid;

use super::assemble::Properties;
use super::model::ArticleId;
use super::published::{self, Facet};
use crate::categories::Lineage;
use crate::counts;
use crate::db::{Conn, Timestamp};
use crate::http::Problem;
use crate::schema::published_facets;
use crate::state::PublicReader;

/// How many are shown where nothing else is asked for.
pub(super) const DEFAULT_LIMIT: usize = 3;
/// Of how many articles a rare facet is told from a frequent one.
const LARGEST_SITE: f64 = 1_000_000.0;
/// How many of a facet's articles are looked at.
const NEWEST_OF_FACET: i64 = 100;

/// The ids of the articles that are related to each of these, most related first; never itself.
pub(super) fn ids<'s>(
    reader: &mut PublicReader<'_>,
    articles: impl IntoIterator<Item = &'s Properties>,
    limit: usize,
) -> Result<Vec<Vec<Uuid>>, Problem> {
    let articles: Vec<&Properties> = articles.into_iter().collect();
    let are_filed = articles.iter().any(|article| !article.categories.is_empty());
    let lineage = if are_filed { lineage(reader)? } else { Arc::default() };
    let related = articles.into_iter().map(|article| {
        let tags = article.tags.value().map_err(Problem::internal)?;
        let facets = published::facets_naming(&[], &article.categories, &tags, &lineage);
        reader.names(|| published::keys(&facets));
        by_facets(reader, article.id, &article.language, &facets, limit)
    });
    related.collect()
}

fn lineage(reader: &mut PublicReader<'_>) -> Result<Arc<Lineage>, Problem> {
    reader.part(b"lineage", Lineage::bytes, |conn| Ok(Lineage::load(conn)?))
}

fn by_facets(
    reader: &mut PublicReader<'_>,
    id: ArticleId,
    language: &str,
    facets: &[Facet],
    limit: usize,
) -> Result<Vec<Uuid>, Problem> {
    let all = facets.iter().map(|facet| having(reader, facet, language)).collect::<Result<Vec<_>, _>>()?;
    let lists: Vec<(f64, &[Dated])> = all.iter().map(|having| (having.weight, having.newest.as_slice())).collect();
    Ok(best(met(&lists).into_iter().filter(|one| one.article != id), limit))
}

/// An article, and when it was published.
type Dated = (ArticleId, Timestamp);

/// How much an article has in common with another.
struct Scored {
    article: ArticleId,
    published_at: Timestamp,
    weight: f64,
}

impl Scored {
    fn is_better_than(&self, other: &Self) -> bool {
        let by_weight = self.weight.total_cmp(&other.weight);
        // Compared only where the weights are the same: this is done for each article that is met.
        let by_time = || self.published_at.cmp(&other.published_at);
        by_weight.then_with(by_time).then_with(|| self.article.cmp(&other.article)).is_gt()
    }
}

/// The articles of weighed lists, each once, with the weights of its lists together.
///
/// A hash table of places alone, at most half full, with linear probing: each miss of an article meets some hundreds of
/// articles here, and a `HashMap` takes a third longer even where it hashes nothing. An id needs no hashing, since its end
/// is random (RFC 9562, 5.7); ids that are not could only make this slower, by as much as all of the lists are long.
fn met(lists: &[(f64, &[Dated])]) -> Vec<Scored> {
    let most: usize = lists.iter().map(|(_, list)| list.len()).sum();
    let mut places = vec![NOWHERE; (most * 2).next_power_of_two()];
    let mut met: Vec<Scored> = Vec::with_capacity(most);
    for (weight, list) in lists {
        for (article, published_at) in *list {
            let slot = slot_of(*article, &places, &met);
            if let Some(known) = met.get_mut(places[slot] as usize) {
                known.weight += weight;
            } else {
                // There are as many as all facets of one article have newest ones, never more than fit.
                places[slot] = u32::try_from(met.len()).unwrap_or(NOWHERE);
                met.push(Scored { article: *article, published_at: *published_at, weight: *weight });
            }
        }
    }
    met
}

/// The place of what is not there.
const NOWHERE: u32 = u32::MAX;

/// The slot that has the place of an article, or the free one where that belongs.
fn slot_of(article: ArticleId, places: &[u32], met: &[Scored]) -> usize {
    let last = places.len() - 1;
    let mut slot = random_end(article) & last;
    while met.get(places[slot] as usize).is_some_and(|known| known.article != article) {
        slot = (slot + 1) & last;
    }
    slot
}

/// The last bits of an id.
fn random_end(article: ArticleId) -> usize {
    article.uuid().as_u128() as usize
}

/// The ids of the best so many, the best first. Nearly all of the others are worse than the last of these, and are
/// compared with no more than that one.
fn best(scored: impl IntoIterator<Item = Scored>, limit: usize) -> Vec<Uuid> {
    let mut best: Vec<Scored> = Vec::new();
    for one in scored {
        if best.len() == limit && best.last().is_none_or(|last| last.is_better_than(&one)) {
            continue;
        }
        best.truncate(limit.saturating_sub(1));
        let place = best.partition_point(|other| other.is_better_than(&one));
        best.insert(place, one);
    }
    best.into_iter().map(|one| one.article.uuid()).collect()
}

/// The newest articles of a language that have a facet.
struct Having {
    /// How much it says of two articles that both have it.
    weight: f64,
    newest: Vec<Dated>,
}

fn having(reader: &mut PublicReader<'_>, (kind, target): &Facet, language: &str) -> Result<Arc<Having>, Problem> {
    let key = [b"related\0", kind.as_bytes(), b"\0", language.as_bytes(), b"\0", target].concat();
    let bytes = |having: &Having| having.newest.len() * size_of::<Dated>();
    reader.part(&key, bytes, |conn| {
        let weight = weight(counts::of(conn, kind, target, Some(language))?);
        Ok(Having { weight, newest: newest(conn, kind, target, language)? })
    })
}

/// How much a facet of so many articles says; never nothing.
#[expect(clippy::cast_precision_loss, reason = "a weight needs no more digits than a float has")]
fn weight(having: i64) -> f64 {
    (1.0 + LARGEST_SITE / having.max(1) as f64).ln()
}

fn newest(conn: &mut Conn, kind: &str, target: &[u8], language: &str) -> Result<Vec<Dated>, Problem> {
    Ok(published_facets::table
        .filter(published_facets::kind.eq(kind))
        .filter(published_facets::target.eq(target))
        .filter(published_facets::language.eq(language))
        .order((published_facets::published_at.desc(), published_facets::article_id.desc()))
        .limit(NEWEST_OF_FACET)
        .select((published_facets::article_id, published_facets::published_at))
        .load(conn)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_the_first_of_all_in_order(
            lists in prop::collection::vec((1_u8..4, prop::collection::btree_set(0_u8..30, 0..20)), 0..6),
            // Where ids don't end at random, they all meet in one place of the table.
            ends_alike in any::<bool>(),
            limit in 0_usize..25,
        ) {
            let id = |number: u8| ArticleId::from_uuid(Uuid::from_u128(u128::from(number) << if ends_alike { 64 } else { 0 }));
            // Some share their time.
            let dated = |number: &u8| (id(*number), Timestamp::from_unix_millis(i64::from(number / 3)));
            let filed: Vec<(f64, Vec<Dated>)> = lists
                .iter()
                .map(|(weight, numbers)| (f64::from(*weight), numbers.iter().rev().map(dated).collect()))
                .collect();
            let filed: Vec<(f64, &[Dated])> = filed.iter().map(|(weight, list)| (*weight, list.as_slice())).collect();
            let rank = |number: &u8| -> (u32, u8) {
                let sharing = lists.iter().filter(|(_, numbers)| numbers.contains(number));
                (sharing.map(|(weight, _)| u32::from(*weight)).sum(), *number)
            };
            let mut numbers: Vec<u8> = (0..30).filter(|number| rank(number).0 > 0).collect();
            numbers.sort_by_key(|number| std::cmp::Reverse(rank(number)));
            let wanted: Vec<Uuid> = numbers.iter().take(limit).map(|number| id(*number).uuid()).collect();
            prop_assert_eq!(best(met(&filed), limit), wanted);
        }
    }

    #[test]
    fn what_is_rarer_weighs_more() {
        assert!(weight(2) > weight(20) && weight(0) < f64::INFINITY);
        assert!(weight(100_000_000) > 0.0);
    }
}
