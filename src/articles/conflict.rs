//! What a `412` tells of an article: who changed what meanwhile and, where two edits don't meet, both in one.

use actix_web::http::header::ETAG;
use actix_web::web::Data;

use super::draft_check;
use super::history;
use super::model::{ArticleId, Content, Person};
use super::store::{self, ArticleRow};
use crate::auth::{Actor, UserId};
use crate::changes::{self, SubjectKind};
use crate::config::Config;
use crate::db::{Conn, Id, Timestamp};
use crate::diff::{self, MemberDiff, Merge};
use crate::http::conditional::version_tag;
use crate::http::draft::object;
use crate::http::problem::PRECONDITION_FAILED;
use crate::http::{IfMatch, MergePatch, Problem};
use crate::state::App;

/// What is audited and leaves the version of an article as it is.
const KEEPS_THE_VERSION: &[&str] =
    &["article.name_revision", "article.make_preview_link", "article.revoke_preview_link"];

/// Two edits that met.
struct Meeting {
    row: ArticleRow,
    /// Whether the editor named a version that the article had.
    was_seen: bool,
    changed: Option<(Timestamp, Option<Person>)>,
    present: Content,
    /// What the editor had, where that is known, and what they made of it, where that is right.
    base: Option<(Content, Option<Content>)>,
}

/// The refusal of a change, with all that helps to go on; `refused` where nothing is known. `edit` is the change, where it
/// is one that could be merged.
pub(super) async fn explained(
    app: &Data<App>,
    id: ArticleId,
    edit: Option<MergePatch<Content>>,
    if_match: &IfMatch,
    actor: Actor,
    refused: Problem,
) -> Problem {
    if !refused.is(&PRECONDITION_FAILED) {
        return refused;
    }
    let (state, seen, now) = (app.clone(), if_match.version(), app.clock.now());
    let met = app.db.read(move |conn| meeting(conn, &state.config, id, edit, seen, actor, now)).await;
    match met {
        Ok(meeting) => told(app, meeting).await.unwrap_or(refused),
        Err(_) => refused,
    }
}

fn meeting(
    conn: &mut Conn,
    config: &Config,
    id: ArticleId,
    edit: Option<MergePatch<Content>>,
    seen: Option<i64>,
    actor: Actor,
    now: Timestamp,
) -> Result<Meeting, Problem> {
    let row = store::editable(conn, id, actor)?;
    let present = history::content(conn, id, row.revision)?.unwrap_or_default();
    let seen = seen.filter(|seen| *seen <= row.row_version);
    let base = match seen {
        Some(seen) => history::at_version(conn, id, seen)?,
        None => None,
    };
    let base = match (base, edit) {
        (Some(base), Some(patch)) => {
            let replaces = patch.replaces();
            let own = patch.onto(&base, |content| {
                draft_check::resolve_edit(conn, content, &base, replaces, id, actor, (&config.language, now))
            })?;
            Some((base, own))
        }
        (Some(base), None) => Some((base, None)),
        (None, _) => None,
    };
    Ok(Meeting { changed: last_change(conn, id)?, row, was_seen: seen.is_some(), present, base })
}

/// When the article was last changed, and by whom.
fn last_change(conn: &mut Conn, id: ArticleId) -> Result<Option<(Timestamp, Option<Person>)>, Problem> {
    let Some((at, who)) = changes::last(conn, SubjectKind::Article, id.uuid(), KEEPS_THE_VERSION)? else {
        return Ok(None);
    };
    let who: Option<UserId> = who.map(Id::from_uuid);
    let people = store::people(conn, &who.into_iter().collect::<Vec<_>>())?;
    Ok(Some((at, who.and_then(|id| people.get(&id).cloned()))))
}

/// What a comparison of the article as the editor had it with what it is now shows.
enum Compared {
    /// What they had is not known.
    Not,
    /// What was changed; there is no edit, or it is not right.
    Changes(Vec<MemberDiff>),
    Merge(Merge),
}

impl Compared {
    fn changes(&self) -> &[MemberDiff] {
        match self {
            Self::Not => &[],
            Self::Changes(changes) | Self::Merge(Merge { changes, .. }) => changes,
        }
    }
}

async fn told(app: &App, meeting: Meeting) -> Result<Problem, Problem> {
    let compared = compared(app, meeting.base, &meeting.present).await?;
    let by = meeting.changed.as_ref().and_then(|(_, by)| by.as_ref());
    let problem = Problem::new(&PRECONDITION_FAILED, detail(meeting.was_seen, by.is_some(), &compared))
        .with_header(ETAG, &version_tag(meeting.row.row_version));
    let problem = match meeting.changed {
        Some((at, by)) => problem.with_member("changed_at", at).with_member("changed_by", by),
        None => problem,
    };
    Ok(match compared {
        Compared::Not => problem,
        Compared::Changes(changes) => problem.with_member("changes", changes),
        Compared::Merge(merge) => problem
            .with_member("changes", merge.changes)
            .with_member("conflicts", merge.conflicts)
            .with_member("merged", merge.merged),
    })
}

async fn compared(app: &App, base: Option<(Content, Option<Content>)>, present: &Content) -> Result<Compared, Problem> {
    let Some((base, own)) = base else { return Ok(Compared::Not) };
    let (base, present) = (object(&base)?, object(present)?);
    Ok(match own.as_ref().map(object).transpose()? {
        None => Compared::Changes(app.renderer.run(move || diff::members(&base, &present)).await?),
        Some(own) => Compared::Merge(app.renderer.run(move || diff::merge(&base, &own, &present)).await?),
    })
}

/// The refusal as a sentence, which speaks of no member that tells nothing.
fn detail(was_seen: bool, says_by_whom: bool, compared: &Compared) -> String {
    let past = match (was_seen, says_by_whom, !compared.changes().is_empty()) {
        (true, true, true) => "The article was changed since you read it: `changed_by` says by whom, `changes` what.",
        (true, true, false) => "The article was changed since you read it: `changed_by` says by whom.",
        (true, false, true) => "The article was changed since you read it: `changes` says what.",
        (true, false, false) => "The article was changed since you read it.",
        (false, true, _) => {
            "The article has not got the version that `If-Match` names: `changed_by` says who changed it last."
        }
        (false, false, _) => "The article has not got the version that `If-Match` names.",
    };
    let content = match compared {
        Compared::Changes(changes) | Compared::Merge(Merge { changes, .. }) if changes.is_empty() => {
            " What stands in it is what you read."
        }
        _ => "",
    };
    let next = match compared {
        Compared::Merge(Merge { merged: Some(_), .. }) => {
            "`merged` is both edits in one: send that with the present `ETag`."
        }
        Compared::Merge(_) => {
            "Both edits change the members of `conflicts`: decide about them, and send that with the present `ETag`."
        }
        _ => "Look at it as it is now, and send its `ETag` where your request shall be done all the same.",
    };
    format!("{past}{content} {next}")
}
