//! Corrections: an urgent change of what is public, while a half-done rewrite waits in the working copy.
//!
//! The public revision is changed and published in one transaction, as a revision of its own. The working copy gets
//! the same change as far as it applies there; where it does not, a warning says so and nothing is lost.

use actix_web::web::Data;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::checks;
use super::draft_check;
use super::history::{self, NewRevision, Saving};
use super::lifecycle::{Move, Standing};
use super::model::{ArticleId, Content, WorkingCopy};
use super::moves;
use super::publishing::{self, Revision};
use super::schedule::{self, ScheduleChoice, Scheduled};
use super::store::{self, ArticleRow};
use crate::auth::{Actor, Caller, PublishArticles};
use crate::config::Config;
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::diff;
use crate::http::draft::{faults, object};
use crate::http::{
    Body, Changes, Fault, Json, MergePatch, Path, Problem, Query, Strict, Versioned, Warning, WriteOptions,
};
use crate::state::App;
use crate::text::{Inspection, Rendered};

/// Utoipa takes a generic type in a member for something else than it is.
type ArticleChanges = Changes<Content>;

/// A change of what is public.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Correct {
    /// The number of the public revision that was seen: nobody corrects what they have not seen.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    base_revision: i64,
    /// Pieces of texts that are replaced, one after the other.
    #[serde(default)]
    #[schema(max_items = 100)]
    replace: Vec<Replacement>,
    /// A merge patch of the public revision, applied after that.
    #[serde(default)]
    set: ArticleChanges,
    /// What is to happen to a schedule that stands; needed where another revision is to come out.
    #[serde(default)]
    schedule: Option<ScheduleChoice>,
}

impl Body for Correct {}

/// A piece of a text that is replaced.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Replacement {
    /// Which text: a JSON Pointer (RFC 6901).
    #[schema(min_length = 2, max_length = 500, pattern = "^/", example = "/body_markdown")]
    pointer: String,
    /// The piece, which the text must hold exactly once.
    #[schema(
        min_length = 1,
        max_length = 10_000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "at most 20 mg"
    )]
    find: String,
    /// What takes its place.
    #[schema(max_length = 10_000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$", example = "at most 2 mg")]
    with: String,
}

/// Correct what is public
///
/// Changes the public revision and publishes the result in one transaction, whatever the working copy holds: each
/// `find` must stand exactly once in its text, `set` is a merge patch. The working copy gets the same change where it
/// applies; `warnings` say where not. Authors correct their own articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/correct", tag = "Articles",
    responses((status = 409, description = "The article is not public, another revision than `base_revision` is, another one is scheduled and `schedule` was not sent, the slug is taken, or the result can't be public."))
)]
pub(super) async fn correct_article(
    caller: Caller<PublishArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    strict: Strict,
    Json(correct): Json<Correct>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    let mut correction =
        app.db.read(move |conn| Correction::prepare(conn, &state.config, id, correct, actor, now)).await?;
    let rendered = app.render(&correction.after.body_markdown).await?;
    if correction.after.body_markdown != correction.before.body_markdown {
        let removed: Vec<Warning> = rendered.removed.iter().map(|removed| removed.warning("/body_markdown")).collect();
        strict.check(&removed)?;
        correction.warnings.extend(removed);
    }
    let blocking = Blocking::prepare(&app, &correction, &rendered).await?;
    let (state, saving) = (app.clone(), Saving::of(actor, &app.config, now));
    moves::moved_with_warnings(&app, actor, options, id, move |tx, row| {
        if let Some(blocking) = blocking {
            blocking.check(tx, &state.config, &correction, actor, now)?;
        }
        correction.store(tx, row, rendered, actor, saving)
    })
    .await
}

/// What is needed to refuse what the checks of the setting find in the correction and not in what is public already: what
/// is urgent must not wait for what was there before.
struct Blocking {
    before: Inspection,
    after: Inspection,
}

impl Blocking {
    async fn prepare(app: &App, correction: &Correction, rendered: &Rendered) -> Result<Option<Self>, Problem> {
        let Some(after) = checks::inspect_for_blocking(app, rendered).await? else { return Ok(None) };
        let before = app.render(&correction.before.body_markdown).await?;
        Ok(checks::inspect_for_blocking(app, &before).await?.map(|before| Self { before, after }))
    }

    fn check(
        &self,
        conn: &mut Conn,
        config: &Config,
        correction: &Correction,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let known = checks::blocking(conn, config, (&correction.before, &self.before), actor, now)?;
        let mut found = checks::blocking(conn, config, (&correction.after, &self.after), actor, now)?;
        found.retain(|fault| !known.contains(fault));
        checks::refuse(found)
    }
}

/// A correction that has been checked.
struct Correction {
    base_revision: i64,
    replace: Vec<Replacement>,
    choice: Option<ScheduleChoice>,
    /// What is public.
    before: Content,
    /// The same after the replacements.
    replaced: Content,
    /// What is to be public.
    after: Content,
    warnings: Vec<Warning>,
}

impl Correction {
    fn prepare(
        conn: &mut Conn,
        config: &Config,
        id: ArticleId,
        correct: Correct,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let Correct { base_revision, replace, set, schedule: choice } = correct;
        allowed(&store::editable(conn, id, actor)?, base_revision, choice, actor)?;
        let before = history::content(conn, id, base_revision)?
            .ok_or_else(|| Problem::internal("a public revision is not there"))?;
        let patch = replaced_members(&object(&before)?, &replace)?;
        let mut check = |content: &mut Content| draft_check::resolve(conn, content, id, actor, &config.language, now);
        let replaced = MergePatch::<Content>::of(patch)
            .apply(&before, &Value::Null, &mut check)
            .map_err(|problem| of_replacements(problem, &replace))?;
        let set = MergePatch::from(set);
        let after = set.apply(&replaced.content, &Value::Null, check).map_err(|problem| problem.beneath("/set"))?;
        publishing::not_ready(after.content.publication_faults())?;
        let warnings = after.warnings;
        Ok(Self { base_revision, replace, choice, before, replaced: replaced.content, after: after.content, warnings })
    }

    /// Stores and publishes the corrected revision, and carries the change into the working copy and into what comes out.
    fn store(
        mut self,
        tx: &mut Tx<'_>,
        row: ArticleRow,
        rendered: Rendered,
        actor: Actor,
        saving: Saving,
    ) -> Result<(ArticleRow, Vec<Warning>), Problem> {
        let standing = allowed(&row, self.base_revision, self.choice, actor)?;
        if self.after == self.before {
            return Ok((row, self.warnings));
        }
        let (id, former) = (row.id, row.revision);
        publishing::not_ready(draft_check::recheck(tx, &mut self.after, id, actor)?)?;
        draft_check::settle_slug(tx, &mut self.after, id, actor)?;
        let number = history::next_number(tx, id)?;
        let prepared = Revision { id, number, content: self.after.clone() }.with(rendered);
        publishing::check_translation(tx, prepared.revision())?;
        // Said before the working copy is saved, so that this revision is not taken for one beyond the bound.
        let row = ArticleRow { published_revision: Some(number), ..row };
        let row = if former == self.base_revision {
            store::save(tx, &row, &self.after, saving)?
        } else {
            insert_beside(tx, id, (number, &self.after), self.base_revision, saving)?;
            self.carry(tx, row, saving)?
        };
        let row = self.reschedule(tx, row, standing, (former, number), saving)?;
        let times = (saving.at, saving.at);
        let row = publishing::put(tx, row, prepared, actor.who(), "article.correct", times)?;
        Ok((row, self.warnings))
    }

    /// The same change in another content of the article, as far as that still holds what was changed, and where it does
    /// not.
    fn carried(&self, other: &Content) -> Result<(Content, Vec<String>), Problem> {
        let present = object(other)?;
        let (with_texts, mut left) =
            replaced_where_possible(&present, (&object(&self.before)?, &object(&self.replaced)?), &self.replace);
        let (mut carried, clashing) = diff::carry(&object(&self.replaced)?, &object(&self.after)?, &with_texts);
        left.extend(clashing);
        for fault in faults::<Content>(&carried)? {
            let pointer = fault.pointer.unwrap_or_default();
            if let Some(name) = top_level(&pointer)
                && let Some(value) = present.get(name)
            {
                carried.insert(name.to_owned(), value.clone());
            }
            left.push(pointer);
        }
        left.sort();
        left.dedup();
        Ok((serde_json::from_value(Value::Object(carried)).map_err(Problem::internal)?, left))
    }

    /// Makes the same change in the working copy.
    fn carry(&mut self, tx: &mut Tx<'_>, row: ArticleRow, saving: Saving) -> Result<ArticleRow, Problem> {
        let present = history::content(tx, row.id, row.revision)?.unwrap_or_default();
        let (content, left) = self.carried(&present)?;
        self.warnings.extend(left.into_iter().map(not_carried));
        if content == present { Ok(row) } else { store::save(tx, &row, &content, saving) }
    }

    /// What goes at a time still goes then. What comes out comes out with the same change, so that it undoes nothing;
    /// where that can't be made there, a warning says so.
    fn reschedule(
        &mut self,
        tx: &mut Tx<'_>,
        row: ArticleRow,
        standing: Standing,
        (former, number): (i64, i64),
        saving: Saving,
    ) -> Result<ArticleRow, Problem> {
        let Some(Document(present)) = row.schedule.clone() else { return Ok(row) };
        if standing == Standing::Cancel {
            return schedule::clear(tx, row);
        }
        if present.publish_at.is_none() {
            return Ok(row.with_schedule(Some(Scheduled { revision: number, ..present }), None));
        }
        let coming = history::content(tx, row.id, present.revision)?.unwrap_or_default();
        let (content, left) = self.carried(&coming)?;
        if !left.is_empty() {
            self.warnings.push(not_scheduled());
            return Ok(row);
        }
        if content == coming {
            return Ok(row);
        }
        let is_working_copy = present.revision == former && row.revision != former;
        let revision = if is_working_copy { row.revision } else { history::next_number(tx, row.id)? };
        if !is_working_copy {
            insert_beside(tx, row.id, (revision, &content), present.revision, saving)?;
        }
        store::write_pinned_references(tx, row.id, "scheduled", Some(&content))?;
        let scheduled = Scheduled { revision, ..present };
        Ok(row.with_schedule(Some(scheduled), content.slug.as_deref()))
    }
}

/// Stores a revision that is not the working copy.
fn insert_beside(
    tx: &mut Tx<'_>,
    id: ArticleId,
    (number, content): (i64, &Content),
    based_on: i64,
    saving: Saving,
) -> Result<(), Problem> {
    let new = NewRevision { article_id: id, number, row_version: None, based_on: Some(based_on), content };
    history::insert(tx, &new, saving)
}

/// Whether the article may be corrected now, and what happens to its schedule.
fn allowed(
    row: &ArticleRow,
    base_revision: i64,
    choice: Option<ScheduleChoice>,
    actor: Actor,
) -> Result<Standing, Problem> {
    let comes_out = row.schedule.as_ref().is_some_and(|schedule| schedule.0.publish_at.is_some());
    let standing = match choice {
        Some(ScheduleChoice::Keep) => Standing::Keep,
        Some(ScheduleChoice::Cancel) => Standing::Cancel,
        None if comes_out => Standing::Other,
        None => Standing::Same,
    };
    row.state().after(Move::Correct { present: row.revision == base_revision, standing }, actor.role)?;
    if row.published_revision == Some(base_revision) {
        return Ok(standing);
    }
    let detail = "Another revision than `base_revision` is public; read that (`published.revision`) and correct it.";
    Err(Problem::conflict(detail))
}

/// The members that the replacements change, as a merge patch.
fn replaced_members(public: &Map<String, Value>, replace: &[Replacement]) -> Result<Map<String, Value>, Problem> {
    let mut document = Value::Object(public.clone());
    let (mut faults, mut patch) = (Vec::new(), Map::new());
    for (index, one) in replace.iter().enumerate() {
        let fault =
            |member: &str, code, message: &str| Fault::body(format!("/replace/{index}/{member}"), code, message);
        let Some(Value::String(text)) = document.pointer_mut(&one.pointer) else {
            faults.push(fault("pointer", "not_found", "The public revision has no text there."));
            continue;
        };
        match replaced(text, one) {
            Some(replaced) => *text = replaced,
            None if text.contains(&one.find) => {
                faults.push(fault("find", "ambiguous", "The text holds this more than once; give more of it."));
            }
            None => faults.push(fault("find", "not_found", "The text does not hold this.")),
        }
        if let Some(name) = top_level(&one.pointer) {
            patch.insert(name.to_owned(), document.get(name).cloned().unwrap_or_default());
        }
    }
    if faults.is_empty() { Ok(patch) } else { Err(Problem::invalid_body(faults)) }
}

/// The text with the piece replaced, where it holds that exactly once.
fn replaced(text: &str, one: &Replacement) -> Option<String> {
    let at = text.find(&one.find)?;
    // Searched from both ends, so that a piece which overlaps itself counts as two.
    let end = at + one.find.len();
    (text.rfind(&one.find) == Some(at)).then(|| format!("{}{}{}", &text[..at], one.with, &text[end..]))
}

fn top_level(pointer: &str) -> Option<&str> {
    pointer.split('/').nth(1)
}

/// What a replacement made wrong is told where the replacement stands.
fn of_replacements(problem: Problem, replace: &[Replacement]) -> Problem {
    problem.with_pointers(|pointer| {
        let name = top_level(pointer);
        let index = replace.iter().rposition(|one| top_level(&one.pointer) == name).unwrap_or_default();
        format!("/replace/{index}/with")
    })
}

/// Another content with the replacements that can be made there, and where they can't: it has neither the new text
/// already nor the piece exactly once in the same sentence.
fn replaced_where_possible(
    other: &Map<String, Value>,
    (before, after): (&Map<String, Value>, &Map<String, Value>),
    replace: &[Replacement],
) -> (Map<String, Value>, Vec<String>) {
    let mut document = Value::Object(other.clone());
    let (mut public, after) = (Value::Object(before.clone()), Value::Object(after.clone()));
    let mut left = Vec::new();
    for one in replace {
        let has_it = document.pointer(&one.pointer) == after.pointer(&one.pointer);
        let meant =
            public.pointer(&one.pointer).and_then(Value::as_str).and_then(|text| sentence_around(text, &one.find));
        let target = document.pointer_mut(&one.pointer);
        let text = target.as_ref().and_then(|target| target.as_str()).and_then(|text| {
            let is_meant = sentence_around(text, &one.find) == meant;
            replaced(text, one).filter(|_| is_meant)
        });
        match (target, text) {
            _ if has_it => {}
            (Some(target), Some(text)) => *target = Value::String(text),
            _ => left.push(one.pointer.clone()),
        }
        if let Some(Value::String(text)) = public.pointer_mut(&one.pointer)
            && let Some(next) = replaced(text, one)
        {
            *text = next;
        }
    }
    match document {
        Value::Object(members) => (members, left),
        _ => (other.clone(), left),
    }
}

/// What stands before and after a piece in its sentence: the same words elsewhere may be about something else.
fn sentence_around(text: &str, piece: &str) -> Option<(String, String)> {
    let at = text.find(piece)?;
    let (before, after) = (&text[..at], &text[at + piece.len()..]);
    let ends = ["\n", ". ", "! ", "? "];
    let begin = ends.iter().filter_map(|end| before.rfind(end).map(|at| at + end.len())).max().unwrap_or_default();
    let end = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
    let words = |part: &str| part.trim().trim_end_matches(['.', '!', '?']).to_owned();
    Some((words(&before[begin..]), words(&after[..end])))
}

fn not_scheduled() -> Warning {
    let reason = "What is scheduled has something else where this was corrected, and takes its place when it comes out; \
                  correct it there and schedule that.";
    Warning { pointer: "/schedule".to_owned(), removed: None, reason: reason.to_owned() }
}

fn not_carried(pointer: String) -> Warning {
    let reason = "The working copy has something else here, so it was not corrected; look at it before you publish it.";
    Warning { pointer, removed: None, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_where_the_next_begins() {
        let around = |text: &str| sentence_around(text, "20 mg").unwrap();
        let expected = ("Take at most".to_owned(), "a day".to_owned());
        assert_eq!(around("Take at most 20 mg a day. Drink water."), expected);
        assert_eq!(around("New.\n\nTake at most 20 mg a day.\n\nHalf a sen"), expected);
        assert_ne!(around("Drug B: take at most 20 mg a day."), expected);
        assert_eq!(sentence_around("ä20 mgö", "20 mg"), Some(("ä".to_owned(), "ö".to_owned())));
        assert_eq!(sentence_around("nothing", "20 mg"), None);
    }
}
