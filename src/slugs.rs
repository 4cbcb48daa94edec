//! Slugs: the names of resources in addresses, their former names, and ids that another took over.
//!
//! A present slug always wins over a former one. Authors and categories that were deleted with
//! `reassign_to` stay as aliases, so that stored documents which name them need no new revision.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::{Conn, Id, Timestamp, Tx, among};
use crate::http::problem::SLUG_TAKEN;
use crate::http::schema::SLUG;
use crate::http::{PathParameter, Problem};
use crate::schema::{former_slugs, replaced_ids};
use crate::text;

/// A slug as a path has it: lower-case ASCII letters, digits and single hyphens, at most 120.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slug(pub String);

impl PathParameter for Slug {
    const DESCRIPTION: &'static str = "The slug of the resource; a former one leads to the present one.";

    fn schema() -> Value {
        json!({ "type": "string", "pattern": SLUG, "maxLength": 120, "example": "first-steps" })
    }

    fn parse(text: &str) -> Option<Self> {
        text::is_slug(text).then(|| Self(text.to_owned()))
    }
}

/// What a slug belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An article.
    Article,
    /// An author.
    Author,
    /// A category.
    Category,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Article => "article",
            Self::Author => "author",
            Self::Category => "category",
        }
    }
}

/// Which resource used to have this slug.
pub(crate) fn former(conn: &mut Conn, kind: Kind, slug: &str) -> QueryResult<Option<Uuid>> {
    let bytes: Option<Vec<u8>> =
        former_slugs::table.find((kind.name(), slug)).select(former_slugs::target_id).first(conn).optional()?;
    Ok(bytes.and_then(|bytes| Uuid::from_slice(&bytes).ok()))
}

/// The slugs that a resource used to have.
pub(crate) fn all_former(conn: &mut Conn, kind: Kind, target: Uuid) -> QueryResult<Vec<String>> {
    former_slugs::table
        .filter(former_slugs::target_id.eq(target.as_bytes().to_vec()))
        .filter(former_slugs::kind.eq(kind.name()))
        .select(former_slugs::slug)
        .load(conn)
}

/// Remembers that a resource used to have this slug.
pub(crate) fn retire(tx: &mut Tx<'_>, kind: Kind, slug: &str, target: Uuid, now: Timestamp) -> QueryResult<()> {
    let target = target.as_bytes().to_vec();
    diesel::insert_into(former_slugs::table)
        .values((
            former_slugs::kind.eq(kind.name()),
            former_slugs::slug.eq(slug),
            former_slugs::target_id.eq(&target),
            former_slugs::created_at.eq(now),
        ))
        .on_conflict((former_slugs::kind, former_slugs::slug))
        .do_update()
        .set((former_slugs::target_id.eq(&target), former_slugs::created_at.eq(now)))
        .execute(&mut **tx)?;
    Ok(())
}

/// Forgets whose slug this used to be: it is another's now.
pub(crate) fn forget(tx: &mut Tx<'_>, kind: Kind, slug: &str) -> QueryResult<()> {
    diesel::delete(former_slugs::table.find((kind.name(), slug))).execute(&mut **tx)?;
    Ok(())
}

/// Forgets which slugs a resource used to have: it is deleted.
pub(crate) fn forget_all(tx: &mut Tx<'_>, kind: Kind, target: Uuid) -> QueryResult<()> {
    let of_target = former_slugs::table.filter(former_slugs::target_id.eq(target.as_bytes().to_vec()));
    diesel::delete(of_target.filter(former_slugs::kind.eq(kind.name()))).execute(&mut **tx)?;
    Ok(())
}

/// Lets `new` take over what named `old`: its former slugs and its id.
pub(crate) fn replace(
    tx: &mut Tx<'_>,
    kind: Kind,
    old: Uuid,
    old_slug: &str,
    new: Uuid,
    now: Timestamp,
) -> QueryResult<()> {
    let (old_bytes, new_bytes) = (old.as_bytes().to_vec(), new.as_bytes().to_vec());
    diesel::update(former_slugs::table.filter(former_slugs::target_id.eq(&old_bytes)))
        .set(former_slugs::target_id.eq(&new_bytes))
        .execute(&mut **tx)?;
    retire(tx, kind, old_slug, new, now)?;
    diesel::update(replaced_ids::table.filter(replaced_ids::new_id.eq(&old_bytes)))
        .set(replaced_ids::new_id.eq(&new_bytes))
        .execute(&mut **tx)?;
    diesel::insert_into(replaced_ids::table)
        .values((
            replaced_ids::old_id.eq(&old_bytes),
            replaced_ids::new_id.eq(&new_bytes),
            replaced_ids::created_at.eq(now),
        ))
        .execute(&mut **tx)?;
    Ok(())
}

/// For each id that another took over, that other one.
pub(crate) fn replacements(conn: &mut Conn, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, Uuid>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Vec<u8>, Vec<u8>)> = replaced_ids::table
        .filter(among(replaced_ids::old_id, ids.iter().map(|id| *id.as_bytes())))
        .select((replaced_ids::old_id, replaced_ids::new_id))
        .load(conn)?;
    let pair = |(old, new): (Vec<u8>, Vec<u8>)| Some((Uuid::from_slice(&old).ok()?, Uuid::from_slice(&new).ok()?));
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// An id, or the one that took its place.
pub(crate) fn resolve_one<K>(id: Id<K>, replacements: &HashMap<Uuid, Uuid>) -> Id<K> {
    replacements.get(&id.uuid()).map_or(id, |new| Id::from_uuid(*new))
}

/// Ids with the replaced ones resolved, each once, in order.
pub(crate) fn resolve<K>(ids: &[Id<K>], replacements: &HashMap<Uuid, Uuid>) -> Vec<Id<K>> {
    let mut resolved = Vec::with_capacity(ids.len());
    for id in ids {
        let id = resolve_one(*id, replacements);
        if !resolved.contains(&id) {
            resolved.push(id);
        }
    }
    resolved
}

/// A slug made from a name or title in any script, with a number where it is taken.
///
/// # Errors
/// What `is_taken` says.
pub(crate) fn made_from(
    name: &str,
    fallback: &str,
    mut is_taken: impl FnMut(&str) -> Result<bool, Problem>,
) -> Result<String, Problem> {
    let base = text::slug(name).unwrap_or_else(|| fallback.to_owned());
    if !is_taken(&base)? {
        return Ok(base);
    }
    let numbered = |number: u32| {
        let suffix = format!("-{number}");
        let mut cut = base.clone();
        cut.truncate(120 - suffix.len());
        format!("{}{suffix}", cut.trim_end_matches('-'))
    };
    // Where many have the same name, the numbers are not tried one by one: they double until one is free, and the
    // first free one behind those that are taken is looked for in between.
    let (mut taken, mut free) = (1, 2);
    while is_taken(&numbered(free))? {
        (taken, free) = (free, free.saturating_mul(2));
    }
    while free - taken > 1 {
        let middle = taken + (free - taken) / 2;
        if is_taken(&numbered(middle))? {
            taken = middle;
        } else {
            free = middle;
        }
    }
    Ok(numbered(free))
}

/// The slug belongs to another resource; `holder` is null where the caller may not see it.
pub(crate) fn taken(holder: Option<Value>) -> Problem {
    let detail = "Another resource has this slug; choose another one, or leave `slug` out and one is made.";
    Problem::new(&SLUG_TAKEN, detail).with_member("holder", holder)
}
