//! The list of messages: nothing of what was written.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::SubmissionId;
use super::forms::ContactFormId;
use super::store;
use super::views::{ContactSubmissionSummary, Forms, SubmissionStatus};
use crate::auth::{Caller, HandleSubmissions, UserId};
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Timestamp};
use crate::http::{Fault, Found, ListOf, ListQuery, Managed, Operations, Problem, SortKind, page};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_list_contact_submissions, list_contact_submissions)
}

/// The name of a form.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 60, value_type = String, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "default")]
struct FormSlug(#[expect(dead_code, reason = "only its schema is used")] String);

/// Which messages are listed.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListSubmissions {
    /// Only messages of these states: any of them; without it all but spam.
    #[serde(default)]
    #[param(inline, max_items = 4, example = json!(["new"]))]
    status: Vec<SubmissionStatus>,
    /// Only what came by these forms: any of them.
    #[serde(default)]
    #[param(inline, max_items = 100, value_type = Vec<FormSlug>, example = json!(["default"]))]
    form: Vec<String>,
    /// Only what is these accounts': any of them.
    #[serde(default)]
    #[param(inline, max_items = 100, example = json!(["019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1"]))]
    assignee: Vec<UserId>,
    /// Only what is urgent, or what is not.
    urgent: Option<bool>,
    /// Only what is open and erased soon, or what is not.
    ends_soon: Option<bool>,
    /// Only what came at this time or later.
    #[param(inline)]
    received_after: Option<Timestamp>,
    /// Only what came before this time.
    #[param(inline)]
    received_before: Option<Timestamp>,
}

impl ListSubmissions {
    /// The list of the ids that these filters let through, the newest first.
    ///
    /// # Errors
    /// A fault of `form` where there is none of that name.
    pub(super) fn list(&self, all: &Forms, now: Timestamp) -> Result<List, Problem> {
        let keys = vec![SortKey { column: "received_at", descending: true }];
        let mut list = List::new("contact_submissions", "id", keys);
        if self.status.is_empty() {
            list.filter("status <> 'spam'", []);
        } else {
            let names = self.status.iter().map(|status| Bind::Text(status.name().to_owned()));
            list.filter(format!("status IN ({})", placeholders(self.status.len())), names);
        }
        if !self.form.is_empty() {
            let id = |name: &String| all.id_of(name);
            let ids: Option<Vec<ContactFormId>> = self.form.iter().map(id).collect();
            let ids = ids.ok_or_else(|| {
                Problem::invalid_query(vec![Fault::query("form", "not_found", "There is no form of this name.")])
            })?;
            let binds = ids.iter().map(|id| Bind::Bytes(id.bytes()));
            list.filter(format!("form_id IN ({})", placeholders(ids.len())), binds);
        }
        if !self.assignee.is_empty() {
            let binds = self.assignee.iter().map(|id| Bind::Bytes(id.bytes()));
            list.filter(format!("assignee_id IN ({})", placeholders(self.assignee.len())), binds);
        }
        if let Some(urgent) = self.urgent {
            // Not bound: the index holds for what is written here alone.
            list.filter(if urgent { "is_urgent = 1" } else { "is_urgent = 0" }, []);
        }
        if let Some(at) = self.received_after {
            list.filter("received_at >= ?", [Bind::Integer(at.unix_millis())]);
        }
        if let Some(at) = self.received_before {
            list.filter("received_at < ?", [Bind::Integer(at.unix_millis())]);
        }
        if let Some(soon) = self.ends_soon {
            let near = all.near(now);
            let any = vec!["(form_id = ? AND received_at <= ?)"; near.len()].join(" OR ");
            let not = if soon { "" } else { "NOT " };
            let binds =
                near.into_iter().flat_map(|(id, at)| [Bind::Bytes(id.bytes()), Bind::Integer(at.unix_millis())]);
            list.filter(format!("{not}(status IN ('new', 'in_progress') AND ({any}))"), binds);
        }
        Ok(list)
    }
}

/// List contact submissions
///
/// What visitors have sent, the newest first: nothing of what they wrote. Without `status`, all but spam. To find what
/// somebody has sent, use `POST /api/v1/manage/contact-submissions/search`: no address belongs into a URL. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-submissions", tag = "Contact")]
pub(super) async fn list_contact_submissions(
    _caller: Caller<HandleSubmissions>,
    app: Data<App>,
    query: ListQuery<ListSubmissions>,
) -> Result<Managed<ListOf<ContactSubmissionSummary>>, Problem> {
    let now = app.clock.now();
    let (list, links) = app.db.read(move |conn| part(conn, &query, now)).await?;
    Ok(Managed::new(list).with_links(links))
}

type Part = (ListOf<ContactSubmissionSummary>, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<ListSubmissions>, now: Timestamp) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let (limit, forms) = (query.paging.limit, Forms::read(conn)?);
    let list = query.filters.list(&forms, now)?;
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<SubmissionId> = ids.ids.iter().map(|id| SubmissionId::from_uuid(*id)).collect();
    let found = Found { items: store::of_ids(conn, &wanted)?, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = found.items.iter().map(|row| forms.summary(row, now)).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::Db;
    use crate::db::list::Place;

    async fn plan(filters: ListSubmissions) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let read = db.read(move |conn| {
            let list = filters.list(&Forms::read(conn)?, Timestamp::from_unix_millis(0))?;
            Ok::<_, Problem>(list.plan(conn, Place::Offset(0), 20)?)
        });
        read.await.unwrap()
    }

    #[tokio::test]
    async fn a_flood_of_spam_stands_between_no_list_and_its_first_page() {
        let plans = [
            (ListSubmissions::default(), "contact_submissions_of_people"),
            (ListSubmissions { urgent: Some(true), ..ListSubmissions::default() }, "contact_submissions_"),
            (ListSubmissions { status: vec![SubmissionStatus::Spam], ..ListSubmissions::default() }, "by_status"),
        ];
        for (filters, index) in plans {
            let plan = plan(filters).await;
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{plan:?}");
        }
    }
}
