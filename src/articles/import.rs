//! Articles that the program brings in by itself: the sample content, and what load tests need.

use super::model::{ArticleId, Content};
use super::publishing::{self, Prepared, Revision};
use super::{draft_check, editing, store};
use crate::auth::{Actor, UserId};
use crate::changes::{Who, record};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;

/// An article that is ready to be stored and published.
pub(crate) struct Import {
    prepared: Prepared,
    who: Who,
    by: Option<UserId>,
}

impl Import {
    /// Checks the content as a request's would be, and renders it.
    ///
    /// # Errors
    /// All faults of the content.
    pub(crate) fn check(
        conn: &mut Conn,
        id: ArticleId,
        mut content: Content,
        by: Option<UserId>,
        site_language: &str,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let actor = Actor::program();
        let faults = draft_check::resolve(conn, &mut content, id, actor, site_language, now)?;
        if !faults.is_empty() {
            return Err(Problem::invalid_body(faults));
        }
        draft_check::settle_slug(conn, &mut content, id, actor)?;
        Ok(Self { prepared: Revision { id, number: 1, content }.prepare(), who: Who::CommandLine, by })
    }

    /// Renders content whose names are ids and whose slug is free.
    pub(crate) fn trusted(id: ArticleId, content: Content) -> Self {
        Self { prepared: Revision { id, number: 1, content }.prepare(), who: Who::CommandLine, by: None }
    }

    /// Stores the article with its first revision and makes it public.
    ///
    /// # Errors
    /// What the database says.
    pub(crate) fn store(self, tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
        let Self { prepared, who, by } = self;
        let revision = prepared.revision();
        let mut row = store::with_columns(editing::new_row(revision.id, None, now), &revision.content);
        (row.created_by, row.saved_by) = (by, by);
        store::insert(tx, &row, &revision.content)?;
        record(tx, &editing::event(&row, who, "article.create", now, None))?;
        publishing::put(tx, row, prepared, who, "article.publish", (now, now))?;
        Ok(())
    }
}
