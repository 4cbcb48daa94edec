//! Whether the stored articles agree with themselves: what every write keeps true, looked at from outside.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};

use super::bodies::{self, DeliveredBody, Forms};
use super::history;
use super::lifecycle::Visibility;
use super::model::{ArticleId, Content};
use super::published::{self, PublishedRow};
use super::schedule::Scheduled;
use super::store::{self, ArticleRow};
use crate::db::Conn;
use crate::http::Problem;
use crate::schema::{articles, revisions};
use crate::text::{self, Section};

/// How many articles are held in memory.
const BATCH: i64 = 200;

/// How many articles there are.
///
/// # Errors
/// What the database says.
pub(crate) fn count(conn: &mut Conn) -> Result<u64, Problem> {
    let count: i64 = articles::table.count().get_result(conn)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// What is not as it must be, a sentence each; `checked` is told how many articles were looked at.
///
/// # Errors
/// What the database says.
pub(crate) fn verify(conn: &mut Conn, checked: &dyn Fn(u64)) -> Result<Vec<String>, Problem> {
    let (mut wrong, mut last): (Vec<String>, Option<ArticleId>) = (Vec::new(), None);
    loop {
        let mut batch = articles::table.select(ArticleRow::as_select()).order(articles::id).limit(BATCH).into_boxed();
        if let Some(last) = last {
            batch = batch.filter(articles::id.gt(last));
        }
        let rows: Vec<ArticleRow> = batch.load(conn)?;
        let Some(row) = rows.last() else { break };
        last = Some(row.id);
        checked(rows.len() as u64);
        for row in rows {
            let found = of_article(conn, &row)?;
            wrong.extend(found.into_iter().map(|what| format!("article {}: {what}", row.id)));
        }
    }
    wrong.extend(of_counts(conn)?);
    Ok(wrong)
}

fn of_article(conn: &mut Conn, row: &ArticleRow) -> Result<Vec<String>, Problem> {
    let mut wrong = of_row(row);
    match history::content(conn, row.id, row.revision)? {
        None => wrong.push(format!("its working copy, revision {}, is not there", row.revision)),
        Some(content) => {
            if store::with_columns(row.clone(), &content) != *row {
                wrong.push("its columns don't repeat what its working copy says".to_owned());
            }
        }
    }
    let newest: Option<i64> = revisions::table
        .filter(revisions::article_id.eq(row.id))
        .select(diesel::dsl::max(revisions::number))
        .first(conn)?;
    if newest.is_none_or(|newest| newest < row.revision) {
        wrong.push("its revisions end before its working copy".to_owned());
    }
    let public = published::by_id(conn, row.id)?;
    match (row.published_revision, public) {
        (Some(number), Some(public)) => wrong.extend(of_public(conn, row, number, public)?),
        (None, None) => {}
        (Some(_), None) => wrong.push("it is said to be public and is not".to_owned()),
        (None, Some(_)) => wrong.push("it is public and said not to be".to_owned()),
    }
    let is_withdrawn = row.state().visibility == Visibility::Withdrawn;
    if published::withdrawn_by_id(conn, row.id)?.is_some() != is_withdrawn {
        wrong.push("whether it is withdrawn is told in two ways".to_owned());
    }
    Ok(wrong)
}

/// What the row alone must keep.
fn of_row(row: &ArticleRow) -> Vec<String> {
    let mut wrong = Vec::new();
    let state = row.state();
    let is_away = state.archived || state.trashed;
    if is_away && (state.visibility == Visibility::Public || state.in_review || state.scheduled) {
        wrong.push("it is away and public, in review or scheduled".to_owned());
    }
    let schedule = row.schedule.as_ref().map(|schedule| &schedule.0);
    let comes_out = schedule.is_some_and(|schedule| schedule.publish_at.is_some());
    if schedule.and_then(Scheduled::due_at) != row.due_at || comes_out != row.scheduled_slug.is_some() {
        wrong.push("its schedule is told in two ways".to_owned());
    }
    wrong
}

/// What is public must be what its revision says.
fn of_public(conn: &mut Conn, row: &ArticleRow, number: i64, public: PublishedRow) -> Result<Vec<String>, Problem> {
    let Some(content) = history::content(conn, row.id, number)? else {
        return Ok(vec![format!("revision {number}, which is public, is not there")]);
    };
    let mut wrong = Vec::new();
    let title_key = text::sort_key(&content.title);
    let agrees = public.slug == content.slug.clone().unwrap_or_default()
        && public.language == content.language.clone().unwrap_or_default()
        && public.title_key == title_key
        && public.translation_root == content.translation_of.unwrap_or(row.id)
        && public.published_at == row.published_at;
    if !agrees {
        wrong.push(format!("what is public does not agree with revision {number}"));
    }
    let mut shown = [public.summary.0.content];
    store::resolve_replaced(conn, &mut shown)?;
    let [shown] = shown;
    let (mut bodies, mut forms) = (bodies::of(conn, &[row.id])?, bodies::forms_of(conn, &[row.id])?);
    match bodies.remove(&row.id).zip(forms.remove(&row.id)) {
        None => wrong.push("what is public has no body".to_owned()),
        Some((body, forms)) => {
            let whole = whole(shown, &body, &forms).map_err(Problem::internal)?;
            if whole != content {
                wrong.push(format!("what is public is not what revision {number} says"));
            }
            if !has_its_sections(&body, &forms) {
                wrong.push("its sections do not make up its text".to_owned());
            }
        }
    }
    let mut facets = published::filed(conn, row.id)?;
    facets.sort_unstable();
    if facets != published::facets(conn, &content)? {
        wrong.push("it is not filed under what it names".to_owned());
    }
    Ok(wrong)
}

/// Whether the sections make up the text, and each begins with its heading.
fn has_its_sections(body: &DeliveredBody, forms: &Forms) -> bool {
    let Ok(sections) = forms.sections(&body.body_html.0, Ok) else { return false };
    let begins = |section: Section| section.level.is_none_or(|level| section.html.starts_with(&format!("<h{level}")));
    sections.value().is_ok_and(|sections| sections.into_iter().all(begins))
}

/// The content that a public article was parted from.
fn whole(shown: Content, body: &DeliveredBody, forms: &Forms) -> serde_json::Result<Content> {
    let (body_markdown, seo) = (forms.body_markdown.0.value()?, body.seo.0.value()?);
    Ok(Content { body_markdown, seo, citations: body.citations.0.value()?, extra: body.extra.0.value()?, ..shown })
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Binary)]
    target: Vec<u8>,
    #[diesel(sql_type = Text)]
    language: String,
    #[diesel(sql_type = BigInt)]
    stored: i64,
    #[diesel(sql_type = BigInt)]
    real: i64,
}

/// Kept counts must be what counting gives.
fn of_counts(conn: &mut Conn) -> Result<Vec<String>, Problem> {
    let sql = "SELECT kind, target, language, sum(stored) AS stored, sum(real) AS real FROM ( \
                   SELECT kind, target, language, articles AS stored, 0 AS real FROM published_counts \
                   UNION ALL SELECT kind, target, language, 0, 1 FROM published_facets \
                   UNION ALL SELECT 'all', x'', language, 0, 1 FROM published_articles \
               ) GROUP BY kind, target, language HAVING sum(stored) <> sum(real)";
    let differing: Vec<Count> = diesel::sql_query(sql).load(conn)?;
    let sentence = |count: Count| {
        let target = String::from_utf8(count.target.clone()).unwrap_or_else(|_| format!("{:02x?}", count.target));
        let Count { kind, language, stored, real, .. } = count;
        format!("the count of {kind} {target:?} in {language} is {stored} and should be {real}")
    };
    Ok(differing.into_iter().map(sentence).collect())
}
