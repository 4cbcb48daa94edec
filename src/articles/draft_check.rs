//! What a schema can't say of an article's content: that what it names exists, and that its slug is free.

use serde_json::{Value, json};

use super::model::{ArticleId, Content};
use super::{published, store};
use crate::auth::Actor;
use crate::authors;
use crate::categories;
use crate::db::{Conn, Timestamp};
use crate::http::{Fault, Problem};
use crate::slugs;
use crate::text::canonical_language;

/// Checks content that `actor` sends for the article `id`, and puts ids where it names by slug.
pub(super) fn resolve(
    conn: &mut Conn,
    content: &mut Content,
    id: ArticleId,
    actor: Actor,
    site_language: &str,
    now: Timestamp,
) -> Result<Vec<Fault>, Problem> {
    let mut faults = content.faults(now);
    resolve_authors(conn, content, &mut faults)?;
    resolve_categories(conn, content, &mut faults)?;
    if let Some(name) = &content.reviewed_by {
        match authors::named(conn, name)? {
            Some(id) => content.reviewed_by = Some(id.to_string()),
            None => faults.push(not_found("/reviewed_by", "author")),
        }
    }
    content.language = Some(canonical_language(content.language.as_deref().unwrap_or(site_language)));
    if content.excerpt.as_deref().is_some_and(|text| text.trim().is_empty()) {
        content.excerpt = None;
    }
    resolve_original(conn, content, id, actor, &mut faults)?;
    Ok(faults)
}

/// Checks what an edit makes of an article. One that replaces everything keeps the slug that it leaves out, and is as
/// good as a new article without authors.
pub(super) fn resolve_edit(
    conn: &mut Conn,
    content: &mut Content,
    before: &Content,
    replaces: bool,
    id: ArticleId,
    actor: Actor,
    (site_language, now): (&str, Timestamp),
) -> Result<Vec<Fault>, Problem> {
    let faults = resolve(conn, content, id, actor, site_language, now)?;
    if replaces {
        content.slug = content.slug.take().or_else(|| before.slug.clone());
        add_own_author(conn, content, actor)?;
    }
    Ok(faults)
}

/// Sets the actor's own author, where there is one and nobody is named.
pub(super) fn add_own_author(conn: &mut Conn, content: &mut Content, actor: Actor) -> Result<(), Problem> {
    if content.authors.is_empty() {
        content.authors = authors::of_user(conn, actor.user)?.iter().map(ToString::to_string).collect();
    }
    Ok(())
}

/// Checks once more, in the transaction that stores it, that what the content names is there, and that it may
/// translate what it says: both may have changed since the content was checked.
pub(super) fn recheck(
    conn: &mut Conn,
    content: &mut Content,
    id: ArticleId,
    actor: Actor,
) -> Result<Vec<Fault>, Problem> {
    store::resolve_replaced(conn, std::slice::from_mut(content))?;
    let mut faults = Vec::new();
    // What is missing is told, not left out.
    let names = Content {
        authors: content.authors.clone(),
        categories: content.categories.clone(),
        reviewed_by: content.reviewed_by.clone(),
        ..Content::default()
    };
    resolve_authors(conn, &mut names.clone(), &mut faults)?;
    resolve_categories(conn, &mut names.clone(), &mut faults)?;
    if let Some(name) = &names.reviewed_by
        && authors::named(conn, name)?.is_none()
    {
        faults.push(not_found("/reviewed_by", "author"));
    }
    resolve_original(conn, content, id, actor, &mut faults)?;
    Ok(faults)
}

fn not_found(pointer: impl Into<String>, noun: &str) -> Fault {
    Fault::body(pointer, "not_found", format!("There is no {noun} of this id or slug."))
}

fn resolve_authors(conn: &mut Conn, content: &mut Content, faults: &mut Vec<Fault>) -> Result<(), Problem> {
    let mut resolved = Vec::with_capacity(content.authors.len());
    for (index, name) in content.authors.iter().enumerate() {
        match authors::named(conn, name)? {
            Some(id) => keep(&mut resolved, id.to_string(), || format!("/authors/{index}"), faults),
            None => faults.push(not_found(format!("/authors/{index}"), "author")),
        }
    }
    content.authors = resolved;
    Ok(())
}

fn resolve_categories(conn: &mut Conn, content: &mut Content, faults: &mut Vec<Fault>) -> Result<(), Problem> {
    let mut resolved = Vec::with_capacity(content.categories.len());
    for (index, name) in content.categories.iter().enumerate() {
        match categories::named(conn, name)? {
            Some(id) => keep(&mut resolved, id.to_string(), || format!("/categories/{index}"), faults),
            None => faults.push(not_found(format!("/categories/{index}"), "category")),
        }
    }
    content.categories = resolved;
    Ok(())
}

fn keep(resolved: &mut Vec<String>, id: String, pointer: impl Fn() -> String, faults: &mut Vec<Fault>) {
    if resolved.contains(&id) {
        faults.push(Fault::body(pointer(), "duplicate", "The list names this one twice."));
    } else {
        resolved.push(id);
    }
}

/// A translation names its original; of a translation's translation the original is meant.
fn resolve_original(
    conn: &mut Conn,
    content: &mut Content,
    id: ArticleId,
    actor: Actor,
    faults: &mut Vec<Fault>,
) -> Result<(), Problem> {
    let Some(named) = content.translation_of else { return Ok(()) };
    let fault = |code, message: &str| Fault::body("/translation_of", code, message);
    if named == id {
        faults.push(fault("self", "An article is not a translation of itself."));
        return Ok(());
    }
    let Some(original) = original_of(conn, named, actor)? else {
        faults.push(not_found("/translation_of", "article"));
        return Ok(());
    };
    content.translation_of = Some(original);
    if content.translation_of == Some(id) {
        faults.push(fault("cycle", "That article is a translation of this one already."));
    } else if store::is_translated(conn, id)? {
        faults
            .push(fault("cycle", "Other articles are translations of this one, so it can't be a translation itself."));
    }
    Ok(())
}

/// The original of an article, which may be itself; none where the actor may not know of the article. Who may not
/// edit it learns what is public of it, not what its working copy says.
fn original_of(conn: &mut Conn, named: ArticleId, actor: Actor) -> Result<Option<ArticleId>, Problem> {
    let Some(row) = store::by_id(conn, named)? else { return Ok(None) };
    if store::may_edit(conn, &row, actor)? {
        return Ok(Some(row.translation_of.unwrap_or(named)));
    }
    Ok(published::by_id(conn, named)?.map(|public| public.translation_root))
}

/// Gives the content its slug: the one it names, where that is free, or one made from the title.
pub(super) fn settle_slug(conn: &mut Conn, content: &mut Content, id: ArticleId, actor: Actor) -> Result<(), Problem> {
    if let Some(slug) = &content.slug {
        let Some(holder) = store::slug_holder(conn, slug, id)? else { return Ok(()) };
        return Err(slugs::taken(shown_holder(conn, &holder, slug, actor)?));
    }
    let slug = slugs::made_from(&content.title, "article", |slug| Ok(store::slug_holder(conn, slug, id)?.is_some()))?;
    content.slug = Some(slug);
    Ok(())
}

/// What the actor may know of who holds a slug: of an own article all, of another's what is public of it.
fn shown_holder(
    conn: &mut Conn,
    holder: &store::ArticleRow,
    slug: &str,
    actor: Actor,
) -> Result<Option<Value>, Problem> {
    let shown =
        |title: &str, trashed: bool| json!({ "kind": "article", "id": holder.id, "title": title, "trashed": trashed });
    if store::may_edit(conn, holder, actor)? {
        return Ok(Some(shown(&holder.title, holder.trashed_at.is_some())));
    }
    let public = published::by_id(conn, holder.id)?.filter(|public| public.slug == slug);
    Ok(public.map(|public| shown(&public.summary.0.content.title, false)))
}
