//! Articles: what the whole program is about.
//!
//! The *working copy* is what authors see, every save of it an immutable *revision*; the *published* tables
//! hold what readers see. `model` and `lifecycle` are pure; `store` has the SQL of working copies, `history` that of
//! revisions, `published` that of what is public; `editing`, `publishing`, `moves` and `schedule` are what is done; `delivery`,
//! `manage` and `revisions` the surfaces. Delivery reaches nothing but `published` and the taxonomy, so a draft can't
//! leak.

mod assemble;
mod bodies;
mod body_links;
mod bulk;
mod checks;
mod conflict;
mod correction;
mod delivered;
mod delivery;
mod draft_check;
mod editing;
mod filters;
mod history;
pub(crate) mod import;
mod lifecycle;
mod linked_from;
mod manage;
mod mirroring;
mod model;
mod moves;
mod preview_links;
mod previews;
mod published;
mod publishing;
mod related;
mod rendering;
mod revisions;
mod schedule;
mod store;
mod verify;
mod views;
mod working_copy;
mod working_list;

pub(crate) use self::delivered::Article;
pub(crate) use self::delivery::{Withdrawal, is_public, present_slug, public, withdrawal};
pub(crate) use self::model::{ArticleId, Citation, Content, Seo};
pub(crate) use self::schedule::promote_due;
pub(crate) use self::verify::{count, verify};
use crate::authors::AuthorId;
use crate::categories::CategoryId;
use crate::db::{Timestamp, Tx};
use crate::http::{Operations, Problem};

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    use self::bulk::__path_bulk_articles;
    use self::checks::__path_check_article;
    use self::correction::__path_correct_article;
    use self::delivery::{__path_get_article, __path_list_articles, __path_list_related_articles};
    use self::manage::{
        __path_create_article, __path_delete_article, __path_get_working_copy, __path_list_working_copies,
        __path_publish_article, __path_unpublish_article, __path_update_article,
    };
    use self::mirroring::{__path_get_article_by_external_id, __path_put_article_by_external_id};
    use self::moves::{__path_archive_article, __path_restore_article, __path_return_article, __path_submit_article};
    use self::preview_links::{
        __path_create_preview_link, __path_get_preview_link, __path_list_preview_links, __path_revoke_preview_link,
    };
    use self::previews::__path_get_preview;
    use self::rendering::__path_render_text;
    use self::revisions::{
        __path_diff_revisions, __path_get_revision, __path_list_revisions, __path_name_revision,
        __path_restore_revision,
    };
    Operations::new()
        .operation(__path_list_articles, delivery::list_articles)
        .operation(__path_get_article, delivery::get_article)
        .operation(__path_list_related_articles, delivery::list_related_articles)
        .operation(__path_list_working_copies, manage::list_working_copies)
        .operation(__path_create_article, manage::create_article)
        .operation(__path_get_working_copy, manage::get_working_copy)
        .operation(__path_get_article_by_external_id, mirroring::get_article_by_external_id)
        .operation(__path_put_article_by_external_id, mirroring::put_article_by_external_id)
        .operation(__path_update_article, manage::update_article)
        .operation(__path_delete_article, manage::delete_article)
        .operation(__path_publish_article, manage::publish_article)
        .operation(__path_unpublish_article, manage::unpublish_article)
        .operation(__path_correct_article, correction::correct_article)
        .operation(__path_submit_article, moves::submit_article)
        .operation(__path_return_article, moves::return_article)
        .operation(__path_archive_article, moves::archive_article)
        .operation(__path_restore_article, moves::restore_article)
        .operation(__path_list_revisions, revisions::list_revisions)
        .operation(__path_get_revision, revisions::get_revision)
        .operation(__path_diff_revisions, revisions::diff_revisions)
        .operation(__path_name_revision, revisions::name_revision)
        .operation(__path_restore_revision, revisions::restore_revision)
        .operation(__path_check_article, checks::check_article)
        .operation(__path_bulk_articles, bulk::bulk_articles)
        .operation(__path_render_text, rendering::render_text)
        .operation(__path_list_preview_links, preview_links::list_preview_links)
        .operation(__path_create_preview_link, preview_links::create_preview_link)
        .operation(__path_get_preview_link, preview_links::get_preview_link)
        .operation(__path_revoke_preview_link, preview_links::revoke_preview_link)
        .operation(__path_get_preview, previews::get_preview)
        .optional_members("Article", views::LARGEST)
        .optional_members("ArticleListItem", views::LARGE)
}

/// Deletes what is over: retired revisions and preview links that have ended.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    history::prune(tx, now)?;
    preview_links::prune(tx, now)
}

/// Lets an author take another's place in every article; stored documents keep the old id, which reading
/// resolves. Call it before the old author is replaced.
///
/// # Errors
/// What the database says.
pub(crate) fn reassign_author(tx: &mut Tx<'_>, old: AuthorId, new: AuthorId) -> Result<(), Problem> {
    reassign(tx, "author", &old.bytes(), &new.bytes())
}

/// Lets a category take another's place in every article, as [`reassign_author`] does.
///
/// # Errors
/// What the database says.
pub(crate) fn reassign_category(tx: &mut Tx<'_>, old: CategoryId, new: CategoryId) -> Result<(), Problem> {
    reassign(tx, "category", &old.bytes(), &new.bytes())
}

fn reassign(tx: &mut Tx<'_>, kind: &str, old: &[u8], new: &[u8]) -> Result<(), Problem> {
    store::reassign_references(tx, old, new)?;
    let affected = published::with_facet(tx, kind, old)?;
    published::refresh_facets(tx, &affected)
}

/// Files the public articles of a category anew after it has moved in the tree.
///
/// # Errors
/// What the database says.
pub(crate) fn category_moved(tx: &mut Tx<'_>, id: CategoryId) -> Result<(), Problem> {
    let affected = published::with_facet(tx, "category", &id.bytes())?;
    published::refresh_facets(tx, &affected)
}
