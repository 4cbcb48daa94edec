//! Corrections: an urgent change of what is public, while a half-done rewrite waits in the working copy.
//!
//! The public revision is changed and published in one transaction, as a revision of its own. The working copy gets
//! the same change as far as it applies there; where it does not, a warning says so and nothing is lost.

use actix_web::web::Data;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::draft_check;
use super::history::{self, NewRevision, Saving};
use super::lifecycle::{Move, Standing};
use super::model::{ArticleId, Content, WorkingCopy};
use super::publishing::{self, Prepared, Revision};
use super::schedule::{self, ScheduleChoice, Scheduled};
use super::store::{self, ArticleRow};
use super::working_copy;
use crate::auth::{Actor, Caller, PublishArticles};
use crate::config::Config;
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::diff;
use crate::http::draft::{faults, object};
use crate::http::{
    Body, Changes, Fault, Json, MergePatch, Path, Problem, Query, Strict, Versioned, Warning, WriteOptions,
};
use crate::state::App;

/// Utoipa takes a generic type in a member for something else than it is.
type ArticleChanges = Changes<Content>;

/// A change of what is public.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Correct {
    /// The number of the public revision that was seen: nobody corrects what they have not seen.
    #[schema(minimum = 1, example = 1)]
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
    #[schema(inline)]
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
    #[schema(min_length = 1, max_length = 10_000, example = "at most 20 mg")]
    find: String,
    /// What takes its place.
    #[schema(max_length = 10_000, example = "at most 2 mg")]
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
    let removed: Vec<Warning> = rendered.removed.iter().map(|removed| removed.warning("/body_markdown")).collect();
    strict.check(&removed)?;
    correction.warnings.extend(removed);
    let (state, saving) = (app.clone(), Saving::of(actor, &app.config, now));
    let (working_copy, row_version) = app
        .write(actor, options.validate_only, move |tx| {
            let row = store::editable(tx, id, actor)?;
            let seen = row.row_version;
            let number = history::next_number(tx, id)?;
            let prepared = Revision { id, number, content: correction.after.clone() }.with(rendered);
            let (row, warnings) = correction.store(tx, row, prepared, actor, saving)?;
            let content = history::content(tx, id, row.revision)?.unwrap_or_default();
            let version = if options.validate_only { seen } else { row.row_version };
            Ok((working_copy::with_content(tx, &state.config, row, content, warnings)?, version))
        })
        .await?;
    Ok(Versioned::new(working_copy::with_html(&app, working_copy).await?, row_version))
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

    /// Stores and publishes the corrected revision, and carries the change into the working copy.
    fn store(
        self,
        tx: &mut Tx<'_>,
        row: ArticleRow,
        prepared: Prepared,
        actor: Actor,
        saving: Saving,
    ) -> Result<(ArticleRow, Vec<Warning>), Problem> {
        let standing = allowed(&row, self.base_revision, self.choice, actor)?;
        if self.after == self.before {
            return Ok((row, self.warnings));
        }
        let (id, number) = (row.id, prepared.revision().number);
        publishing::not_ready(draft_check::recheck(tx, &mut self.after.clone(), id, actor)?)?;
        draft_check::settle_slug(tx, &mut self.after.clone(), id, actor)?;
        publishing::check_translation(tx, prepared.revision())?;
        let (row, warnings) = if row.revision == self.base_revision {
            (store::save(tx, &row, &self.after, saving)?, self.warnings)
        } else {
            let (based_on, content) = (Some(self.base_revision), &self.after);
            let new = NewRevision { article_id: id, number, row_version: None, based_on, content };
            history::insert(tx, &new, saving)?;
            self.carry(tx, row, saving)?
        };
        let row = reschedule(tx, row, standing, number)?;
        let times = (saving.at, saving.at);
        Ok((publishing::put(tx, row, prepared, actor.who(), "article.correct", times)?, warnings))
    }

    /// Makes the same change in the working copy, where that still holds what was changed.
    fn carry(self, tx: &mut Tx<'_>, row: ArticleRow, saving: Saving) -> Result<(ArticleRow, Vec<Warning>), Problem> {
        let present = history::content(tx, row.id, row.revision)?.unwrap_or_default();
        let working = object(&present)?;
        let (with_texts, mut left) = replaced_where_possible(&working, &object(&self.replaced)?, &self.replace);
        let (mut carried, clashing) = diff::carry(&object(&self.replaced)?, &object(&self.after)?, &with_texts);
        left.extend(clashing);
        for fault in faults::<Content>(&carried)? {
            let pointer = fault.pointer.unwrap_or_default();
            if let Some(name) = pointer.split('/').nth(1)
                && let Some(value) = working.get(name)
            {
                carried.insert(name.to_owned(), value.clone());
            }
            left.push(pointer);
        }
        left.sort();
        left.dedup();
        let mut warnings = self.warnings;
        warnings.extend(left.into_iter().map(not_carried));
        let content: Content = serde_json::from_value(Value::Object(carried)).map_err(Problem::internal)?;
        if content == present {
            return Ok((row, warnings));
        }
        Ok((store::save(tx, &row, &content, saving)?, warnings))
    }
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

/// What goes at a time still goes then; what comes out is left alone or taken off.
fn reschedule(tx: &mut Tx<'_>, row: ArticleRow, standing: Standing, number: i64) -> Result<ArticleRow, Problem> {
    match row.schedule.clone() {
        Some(_) if standing == Standing::Cancel => schedule::clear(tx, row),
        Some(Document(present)) if present.publish_at.is_none() => {
            Ok(row.with_schedule(Some(Scheduled { revision: number, ..present }), None))
        }
        _ => Ok(row),
    }
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

/// The working copy with the replacements that can be made there, and where they can't: it has neither the piece
/// exactly once nor the new text already.
fn replaced_where_possible(
    working: &Map<String, Value>,
    public: &Map<String, Value>,
    replace: &[Replacement],
) -> (Map<String, Value>, Vec<String>) {
    let (mut document, public) = (Value::Object(working.clone()), Value::Object(public.clone()));
    let mut left = Vec::new();
    for one in replace {
        let has_it = document.pointer(&one.pointer) == public.pointer(&one.pointer);
        let target = document.pointer_mut(&one.pointer);
        let text = target.as_ref().and_then(|target| target.as_str()).and_then(|text| replaced(text, one));
        match (target, text) {
            _ if has_it => {}
            (Some(target), Some(text)) => *target = Value::String(text),
            _ => left.push(one.pointer.clone()),
        }
    }
    match document {
        Value::Object(members) => (members, left),
        _ => (working.clone(), left),
    }
}

fn not_carried(pointer: String) -> Warning {
    let reason = "The working copy has something else here, so it was not corrected; look at it before you publish it.";
    Warning { pointer, removed: None, reason: reason.to_owned() }
}
