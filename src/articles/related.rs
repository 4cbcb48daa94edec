//! Which articles are related: those that share tags and categories, rarer ones weighing more.
//!
//! A shared facet weighs the logarithm of how rare it is among the articles of the language, so a tag of three articles says
//! more than a category of half of all. How many articles there are at all has no part in it: else every publication could
//! change what is related to any article, and no copy of one could stand. Of each facet
//! the newest articles are looked at, which bounds the cost on a site of any size. Ties go to the newer.

use std::collections::HashMap;
use std::sync::Arc;

use diesel::prelude::*;
use uuid::Uuid;

use super::model::ArticleId;
use super::published::{self, Facet};
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

/// The ids of the articles that are related to a public one, most related first; never itself.
pub(super) fn ids(
    reader: &mut PublicReader<'_>,
    id: ArticleId,
    language: &str,
    limit: usize,
) -> Result<Vec<Uuid>, Problem> {
    let facets = published::present_facets(reader.conn, id)?;
    reader.names(|| published::keys(&facets));
    by_facets(reader, id, language, facets, limit)
}

/// The same for an article that has these facets or would have them.
pub(super) fn by_facets(
    reader: &mut PublicReader<'_>,
    id: ArticleId,
    language: &str,
    mut facets: Vec<Facet>,
    limit: usize,
) -> Result<Vec<Uuid>, Problem> {
    facets.retain(|(kind, _)| kind != "author");
    let mut scores: HashMap<ArticleId, (f64, Timestamp)> = HashMap::new();
    for facet in &facets {
        let having = having(reader, facet, language)?;
        for (id, published_at) in &having.newest {
            scores.entry(*id).or_insert((0.0, *published_at)).0 += having.weight;
        }
    }
    scores.remove(&id);
    let mut ranked: Vec<_> = scores.into_iter().collect();
    ranked.sort_by(|(a_id, (a, a_at)), (b_id, (b, b_at))| b.total_cmp(a).then(b_at.cmp(a_at)).then(b_id.cmp(a_id)));
    Ok(ranked.into_iter().take(limit).map(|(id, _)| id.uuid()).collect())
}

/// The newest articles of a language that have a facet.
struct Having {
    /// How much it says of two articles that both have it.
    weight: f64,
    newest: Vec<(ArticleId, Timestamp)>,
}

fn having(reader: &mut PublicReader<'_>, (kind, target): &Facet, language: &str) -> Result<Arc<Having>, Problem> {
    let key = [b"related\0", kind.as_bytes(), b"\0", language.as_bytes(), b"\0", target].concat();
    if let Some(known) = reader.memo.get(&key) {
        return Ok(known);
    }
    let conn = &mut *reader.conn;
    let weight = weight(counts::of(conn, kind, target, Some(language))?);
    let having = Arc::new(Having { weight, newest: newest(conn, kind, target, language)? });
    reader.memo.put(&key, &having, having.newest.len() * size_of::<(ArticleId, Timestamp)>());
    Ok(having)
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
    use super::*;

    #[test]
    fn what_is_rarer_weighs_more() {
        assert!(weight(2) > weight(20) && weight(0) < f64::INFINITY);
        assert!(weight(100_000_000) > 0.0);
    }
}
