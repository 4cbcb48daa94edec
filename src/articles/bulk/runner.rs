//! Does many operations one after the other, each in a savepoint of its own, with the rules that they have alone.
//!
//! What is slow (rendering) is done before the transaction, as far as it can be known there.

use std::collections::{HashMap, HashSet};

use super::{ArticleDraft, Bulk, BulkOperation, BulkResult, Operation};
use crate::articles::history::Saving;
use crate::articles::model::{ArticleId, Content, WorkingCopy};
use crate::articles::schedule::Times;
use crate::articles::store::{self, ArticleRow};
use crate::articles::{checks, editing, history, linked_from, moves, publishing};
use crate::auth::Actor;
use crate::config::Config;
use crate::db::{Conn, Tx};
use crate::http::problem::{BULK_FAILED, CONFLICT};
use crate::http::{Fault, IfMatch, MergePatch, Problem, Strict, Warning};
use crate::text::{self, Inspection, Rendered};

/// How long the texts of one request may be together, in bytes.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long a text may be that is rendered while others wait to write, in bytes.
const MOST_LATE_BYTES: usize = 64 * 1024;

/// What an operation did.
pub(super) struct Done {
    /// The status that it would have had alone.
    pub status: u16,
    /// The article.
    pub id: ArticleId,
    /// The number of its working copy afterwards.
    pub revision: i64,
    /// Its version afterwards.
    pub row_version: i64,
    /// What should be looked at.
    pub warnings: Vec<Warning>,
}

/// The texts that will have to be rendered, as far as that can be known before.
///
/// # Errors
/// `422` where they are too long together.
pub(super) fn bodies(conn: &mut Conn, operations: &[BulkOperation], actor: Actor) -> Result<Vec<String>, Problem> {
    let (mut bodies, mut bytes) = (HashSet::new(), 0);
    for BulkOperation(operation) in operations {
        let body = match operation {
            Operation::Create { article } => article.text("body_markdown").map(str::to_owned),
            // What keeps its body may be published by an operation after this one.
            Operation::Update { id, changes, .. } => match changes.text("body_markdown") {
                Some(body) => Some(body.to_owned()),
                None => body_of(conn, *id, None, actor)?,
            },
            Operation::Publish { id, revision, .. } => body_of(conn, *id, Some(*revision), actor)?,
            _ => None,
        };
        let Some(body) = body else { continue };
        let length = body.len();
        if bodies.insert(body) {
            bytes += length;
        }
        if bytes > MOST_BODY_BYTES {
            let message = "The texts of these operations are too long together; send fewer at once.";
            return Err(Problem::invalid_body(vec![Fault::body("/operations", "too_long", message)]));
        }
    }
    Ok(bodies.into_iter().collect())
}

fn body_of(conn: &mut Conn, id: ArticleId, revision: Option<i64>, actor: Actor) -> Result<Option<String>, Problem> {
    let Ok(row) = store::editable(conn, id, actor) else { return Ok(None) };
    let content = history::content(conn, id, revision.unwrap_or(row.revision))?;
    Ok(content.map(|content| content.body_markdown))
}

/// Does the operations of one request in its transaction.
pub(super) struct Runner<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The renderings of the texts that were known before and, where checks block, what is in them.
    pub renderings: HashMap<String, (Rendered, Option<Inspection>)>,
    /// Who asks for them.
    pub actor: Actor,
    /// Whether what sanitising would remove is refused.
    pub strict: Strict,
    /// How revisions are saved.
    pub saving: Saving,
}

impl Runner<'_> {
    /// Does them one after the other, each in a savepoint of its own.
    ///
    /// # Errors
    /// `422` where all or nothing is wanted and one failed.
    pub(super) fn run(&self, tx: &mut Tx<'_>, bulk: Bulk) -> Result<Vec<BulkResult>, Problem> {
        let (mut results, mut failures) = (Vec::with_capacity(bulk.operations.len()), Vec::new());
        for (index, BulkOperation(operation)) in bulk.operations.into_iter().enumerate() {
            let (id, place) = (operation.id(), format!("/operations/{index}"));
            match tx.attempt(|tx| self.one(tx, operation)) {
                Ok(done) => results.push(done.into()),
                // What is the server's fault ends everything.
                Err(problem) if !problem.is_clients() => return Err(problem),
                Err(problem) => {
                    let problem = placed(problem, &place);
                    failures.extend(faults_of(&problem, &place));
                    results.push(BulkResult::failed(id, &problem));
                }
            }
        }
        if !bulk.atomic || failures.is_empty() {
            return Ok(results);
        }
        let failed = results.iter().filter(|result| result.problem.is_some()).count();
        let detail =
            format!("{failed} of {} operations failed, so nothing was changed; `errors` says why.", results.len());
        Err(Problem::new(&BULK_FAILED, detail).with_faults(failures))
    }

    fn one(&self, tx: &mut Tx<'_>, operation: Operation) -> Result<Done, Problem> {
        let (actor, now) = (self.actor, self.saving.at);
        match operation {
            Operation::Create { article } => self.create(tx, article),
            Operation::Update { id, if_match, changes } => {
                let if_match = meant(&if_match)?;
                let updated = self.update(tx, id, &if_match, MergePatch::from(changes));
                updated.map_err(|problem| problem.beneath("/changes"))
            }
            Operation::Delete { id, if_match, unpublish } => self.gone(tx, id, 204, |tx, row| {
                meant(&if_match)?.check(row.row_version)?;
                publishing::trash(tx, row, unpublish, actor, now)
            }),
            Operation::Publish { id, revision, publish_at, unpublish_at, schedule } => {
                let times = Times { publish_at, unpublish_at, choice: schedule };
                let revision = publishing::load(tx, id, revision, times, actor, now)?;
                let (rendered, inspection) = self.rendered(&revision.content.body_markdown)?;
                self.moved(tx, id, 200, |tx, row| {
                    let content = (revision.number, &revision.content);
                    checks::refuse_blocking(tx, self.config, &row, content, inspection.as_ref(), actor, now)?;
                    publishing::publish(tx, row, revision.with(rendered), times, actor, now)
                })
            }
            Operation::Unpublish { id, successor } => self.gone(tx, id, 200, |tx, row| {
                let successor = publishing::successor(tx, id, successor.as_deref())?;
                publishing::unpublish(tx, row, successor, actor, now)
            }),
            Operation::Submit { id, note } => {
                self.moved(tx, id, 200, |tx, row| moves::submit_for_review(tx, row, note, actor, now))
            }
            Operation::Return { id, note } => {
                self.moved(tx, id, 200, |tx, row| moves::give_back(tx, row, note, actor, now))
            }
            Operation::Archive { id } => self.moved(tx, id, 200, |tx, row| moves::archive(tx, row, actor, now)),
            Operation::Restore { id } => self.moved(tx, id, 200, |tx, row| moves::restore(tx, row, actor, now)),
        }
    }

    /// Moves an article that goes, and tells what links to it.
    fn gone(
        &self,
        tx: &mut Tx<'_>,
        id: ArticleId,
        status: u16,
        step: impl FnOnce(&mut Tx<'_>, ArticleRow) -> Result<ArticleRow, Problem>,
    ) -> Result<Done, Problem> {
        let mut warning = None;
        let done = self.moved(tx, id, status, |tx, row| {
            warning = linked_from::warning(tx, self.config, &row)?;
            step(tx, row)
        })?;
        Ok(Done { warnings: warning.into_iter().collect(), ..done })
    }

    fn create(&self, tx: &mut Tx<'_>, draft: ArticleDraft) -> Result<Done, Problem> {
        let id = ArticleId::generate();
        let made = self.insert(tx, id, draft).map_err(|problem| problem.beneath("/article"))?;
        Ok(Done { status: 201, id, revision: made.revision, row_version: 1, warnings: made.warnings })
    }

    fn insert(&self, tx: &mut Tx<'_>, id: ArticleId, draft: ArticleDraft) -> Result<WorkingCopy, Problem> {
        let mut drafted = editing::draft_of_new(tx, self.config, id, draft, self.actor, self.saving.at)?;
        let (rendered, _) = self.rendered(&drafted.content.body_markdown)?;
        editing::warn(&mut drafted, &rendered, self.strict)?;
        editing::insert(tx, self.config, id, None, drafted, self.actor, self.saving.at)
    }

    fn update(
        &self,
        tx: &mut Tx<'_>,
        id: ArticleId,
        if_match: &IfMatch,
        patch: MergePatch<Content>,
    ) -> Result<Done, Problem> {
        let (row, mut drafted) = editing::draft(tx, self.config, id, patch, if_match, self.actor, self.saving.at)?;
        if drafted.touches("body_markdown") {
            let (rendered, _) = self.rendered(&drafted.content.body_markdown)?;
            editing::warn(&mut drafted, &rendered, self.strict)?;
        }
        let (saved, row_version) = editing::save(tx, self.config, &row, drafted, self.actor, self.saving)?;
        Ok(Done { status: 200, id, revision: saved.revision, row_version, warnings: saved.warnings })
    }

    fn moved(
        &self,
        tx: &mut Tx<'_>,
        id: ArticleId,
        status: u16,
        step: impl FnOnce(&mut Tx<'_>, ArticleRow) -> Result<ArticleRow, Problem>,
    ) -> Result<Done, Problem> {
        let row = store::editable(tx, id, self.actor)?;
        let row = step(tx, row)?;
        Ok(Done { status, id, revision: row.revision, row_version: row.row_version, warnings: Vec::new() })
    }

    /// The rendering of a text. One that only this transaction knows is rendered in it, where that is soon done.
    fn rendered(&self, body: &str) -> Result<(Rendered, Option<Inspection>), Problem> {
        if let Some(known) = self.renderings.get(body) {
            return Ok(known.clone());
        }
        if body.len() > MOST_LATE_BYTES {
            return Err(Problem::conflict(
                "The article was saved meanwhile, and its text is long; send this once more.",
            ));
        }
        let rendered = text::render(body);
        let inspection = (!self.config.blocking_checks.is_empty()).then(|| text::inspect(&rendered.html));
        Ok((rendered, inspection))
    }
}

/// The problem with its faults where they stand in the whole body: those of a state are of the operation as such.
fn placed(problem: Problem, place: &str) -> Problem {
    if problem.is(&CONFLICT) { problem.with_pointers(|_| place.to_owned()) } else { problem.beneath(place) }
}

/// The version that an operation means.
fn meant(if_match: &str) -> Result<IfMatch, Problem> {
    IfMatch::parse(if_match).map_err(|problem| problem.beneath("/if_match"))
}

/// The faults of an operation; where it has none in the body, one that says why it failed.
fn faults_of(problem: &Problem, place: &str) -> Vec<Fault> {
    if problem.faults().is_empty() {
        return vec![Fault::body(place, problem.kind().code, problem.detail())];
    }
    problem.faults().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_faults_says_why_where_the_operation_stands() {
        let problem = Problem::conflict("The article is archived.");
        let faults = faults_of(&problem, "/operations/3");
        assert_eq!(faults, [Fault::body("/operations/3", "conflict", "The article is archived.")]);
    }
}
