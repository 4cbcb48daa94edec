//! Which articles are related: those that share tags and categories, rarer ones weighing more.
//!
//! A shared facet weighs the logarithm of how rare it is among the articles of the language, so a tag of three articles says
//! more than a category of half of all. How many articles there are at all has no part in it: else every publication could
//! change what is related to any article, and no copy of one could stand. Of each facet
//! the newest articles are looked at, which bounds the cost on a site of any size. Ties go to the newer.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use foldhash::fast::RandomState;
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
    let candidates = all.iter().map(|having| having.newest.len()).sum();
    let mut scores: HashMap<ArticleId, Score, RandomState> =
        HashMap::with_capacity_and_hasher(candidates, RandomState::default());
    for having in &all {
        for (id, published_at) in &having.newest {
            scores.entry(*id).or_insert((0.0, *published_at)).0 += having.weight;
        }
    }
    scores.remove(&id);
    Ok(best(scores, limit))
}

/// How much an article has in common with another, and when it was published.
type Score = (f64, Timestamp);

/// The ids of the best so many, the best first. Nearly all of the others are worse than the last of these, and are
/// compared with no more than that one.
fn best(scores: impl IntoIterator<Item = (ArticleId, Score)>, limit: usize) -> Vec<Uuid> {
    let is_better = |(a_id, (a, a_at)): &(ArticleId, Score), (b_id, (b, b_at)): &(ArticleId, Score)| {
        a.total_cmp(b).then(a_at.cmp(b_at)).then(a_id.cmp(b_id)).is_gt()
    };
    let mut best: Vec<(ArticleId, Score)> = Vec::new();
    for scored in scores {
        if best.len() == limit && best.last().is_none_or(|last| is_better(last, &scored)) {
            continue;
        }
        best.truncate(limit.saturating_sub(1));
        let place = best.partition_point(|one| is_better(one, &scored));
        best.insert(place, scored);
    }
    best.into_iter().map(|(id, _)| id.uuid()).collect()
}

/// The newest articles of a language that have a facet.
struct Having {
    /// How much it says of two articles that both have it.
    weight: f64,
    newest: Vec<(ArticleId, Timestamp)>,
}

fn having(reader: &mut PublicReader<'_>, (kind, target): &Facet, language: &str) -> Result<Arc<Having>, Problem> {
    let key = [b"related\0", kind.as_bytes(), b"\0", language.as_bytes(), b"\0", target].concat();
    let bytes = |having: &Having| having.newest.len() * size_of::<(ArticleId, Timestamp)>();
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

fn newest(conn: &mut Conn, kind: &str, target: &[u8], language: &str) -> Result<Vec<(ArticleId, Timestamp)>, Problem> {
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
            scores in prop::collection::vec((0_u8..4, 0_u8..4), 0..40),
            limit in 0_usize..50,
        ) {
            let article = |number: usize| ArticleId::from_uuid(Uuid::from_u128(number as u128));
            let scored: Vec<(ArticleId, Score)> = scores
                .iter()
                .enumerate()
                .map(|(number, (score, at))| (article(number), (f64::from(*score), Timestamp::from_unix_millis(i64::from(*at)))))
                .collect();
            let rank = |number: &usize| (scores[*number], *number);
            let mut numbers: Vec<usize> = (0..scores.len()).collect();
            numbers.sort_by_key(|number| std::cmp::Reverse(rank(number)));
            let wanted: Vec<Uuid> = numbers.iter().take(limit).map(|number| article(*number).uuid()).collect();
            prop_assert_eq!(best(scored, limit), wanted);
        }
    }

    #[test]
    fn what_is_rarer_weighs_more() {
        assert!(weight(2) > weight(20) && weight(0) < f64::INFINITY);
        assert!(weight(100_000_000) > 0.0);
    }
}
