//! The site: the facts that stand on every page, as one resource that is always there.
//!
//! There is one row, made by the migration with nothing in it; it is changed and never created or deleted.

use std::collections::HashSet;

use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{Caller, EditTaxonomy, ReadTaxonomy};
use crate::cdn::keys::Set;
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::{
    Delivered, Drafted, Editable, Fault, IfMatch, MergePatch, NoParameters, Operations, Problem, Query, Versioned,
    Warning, WriteOptions,
};
use crate::parts::Link;
use crate::schema::site;
use crate::state::App;

/// The only row.
const ID: i64 = 1;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .operation(__path_get_site, get_site)
        .operation(__path_get_managed_site, get_managed_site)
        .operation(__path_update_site, update_site)
}

/// The facts of the whole site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Site)]
#[serde(default)]
pub struct SiteContent {
    /// What the site is called; empty until someone has written it.
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*$", example = "Harbour Light Recovery")]
    pub name: String,
    /// What the site is about: plain text, which may have several lines.
    #[schema(
        max_length = 2000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "A small recovery centre by the water."
    )]
    pub description: String,
    /// How to reach whoever runs the site.
    pub contact: SiteContact,
    /// Who vouches for the organisation.
    #[schema(max_items = 50)]
    pub accreditations: Vec<Accreditation>,
    /// What visitors are invited to do; front ends refer to each by its `id`.
    #[schema(max_items = 50)]
    pub calls_to_action: Vec<CallToAction>,
    /// The main menu, in order.
    #[schema(max_items = 50)]
    pub navigation: Vec<Link>,
    /// Where else the organisation is found.
    #[schema(max_items = 50)]
    pub social_links: Vec<Link>,
}

/// How to reach whoever runs the site.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SiteContact {
    /// The telephone number, as it is printed.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[^\x00-\x1F\x7F]*$", example = "+1 555 010 0142")]
    pub phone: Option<String>,
    /// The email address.
    #[schema(
        max_length = 254,
        pattern = r"^[^\s@\x00-\x1F\x7F]{1,64}@[^\s@\x00-\x1F\x7F]+$",
        example = "hello@example.org"
    )]
    pub email: Option<String>,
    /// The postal address, which may have several lines.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "27 Chandler's Quay, Port Ellery"
    )]
    pub address: Option<String>,
}

/// Someone who vouches for the organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accreditation {
    /// Who vouches, and for what.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Board of Care Standards"
    )]
    pub name: String,
    /// Where that can be checked: an https or http URL; null where there is no such place.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = r"^https?://[^\s/][^\s]*$", example = "https://care-standards.example.org")]
    pub url: Option<String>,
}

/// Something that visitors are invited to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallToAction {
    /// By what front ends refer to it; no two of the site have the same.
    #[schema(max_length = 120, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "talk-to-someone")]
    pub id: String,
    /// The words above it.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Not sure where to start?"
    )]
    pub heading: String,
    /// What there is to say: plain text, which may have several lines.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$", example = "Ring the front desk.")]
    pub text: String,
    /// The words on the button.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Ways to reach us"
    )]
    pub label: String,
    /// Where it leads: an https, http, mailto or tel URL, or a path on the public site.
    #[schema(
        max_length = 2000,
        pattern = r"^(https?://[^\s/]|mailto:[^\s]|tel:[^\s]|/([^/\s\\]|$))[^\s]*$",
        example = "/contact"
    )]
    pub url: String,
}

/// The facts of the whole site, as management shows them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ManagedSite {
    /// What an editor writes.
    #[serde(flatten)]
    pub content: SiteContent,
    /// When they were last saved; null where they never were.
    pub saved_at: Option<Timestamp>,
    /// What should be looked at after this write; empty on reads.
    pub warnings: Vec<Warning>,
}

impl Editable for SiteContent {
    const NAME: &'static str = "Site";
    const REQUIRED: &'static [&'static str] = &[];
    type Answer = ManagedSite;
}

#[derive(Debug, Clone, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = site)]
struct SiteRow {
    row_version: i64,
    content: Document<SiteContent>,
    saved_at: Timestamp,
}

impl SiteRow {
    fn managed(self, warnings: Vec<Warning>) -> ManagedSite {
        // The migration stores no time: it does not know one.
        let saved_at = Some(self.saved_at).filter(|at| at.unix_millis() > 0);
        ManagedSite { content: self.content.0, saved_at, warnings }
    }
}

/// Get the site
///
/// The facts that stand on every page: name, contact, navigation and calls to action. Open to anyone.
#[utoipa::path(get, path = "/api/v1/site", tag = "Site")]
pub(crate) async fn get_site(app: Data<App>, _query: Query<NoParameters>) -> Result<Delivered<SiteContent>, Problem> {
    let (row, seen) = app
        .read_public(|reader| {
            reader.names(|| [Set::Site.key()]);
            present(reader.conn)
        })
        .await?;
    Ok(app.delivered(row.content.0, seen))
}

/// Get the site in management
///
/// The facts of the site with the `ETag` that a change of them needs. For all roles but `intake`.
#[utoipa::path(get, path = "/api/v1/manage/site", tag = "Site")]
pub(crate) async fn get_managed_site(
    _caller: Caller<ReadTaxonomy>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ManagedSite>, Problem> {
    let row = app.db.read(present).await?;
    let row_version = row.row_version;
    Ok(Versioned::new(row.managed(Vec::new()), row_version))
}

/// Change the site
///
/// A JSON Merge Patch (RFC 7396); lists are replaced as a whole. Public at once. For `editor` and `admin`.
#[utoipa::path(patch, path = "/api/v1/manage/site", tag = "Site")]
pub(crate) async fn update_site(
    caller: Caller<EditTaxonomy>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<SiteContent>,
) -> Result<Versioned<ManagedSite>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let (site, row_version) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = present(tx)?;
            if_match.check(row.row_version)?;
            let seen_version = row.row_version;
            let Drafted { content, warnings, .. } =
                patch.apply(&row.content.0, &row.clone().managed(Vec::new()), |content| {
                    Ok(repeated_ids(&content.calls_to_action))
                })?;
            let row = save(tx, row, content, who, now)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            Ok((row.managed(warnings), row_version))
        })
        .await?;
    Ok(Versioned::new(site, row_version))
}

fn present(conn: &mut Conn) -> Result<SiteRow, Problem> {
    Ok(site::table.find(ID).select(SiteRow::as_select()).first(conn)?)
}

/// Puts these facts in the place of the present ones and says so in both logs.
///
/// # Errors
/// What the database says.
pub(crate) fn replace(tx: &mut Tx<'_>, content: SiteContent, who: Who, now: Timestamp) -> Result<(), Problem> {
    let before = present(tx)?;
    save(tx, before, content, who, now)?;
    Ok(())
}

fn save(tx: &mut Tx<'_>, before: SiteRow, content: SiteContent, who: Who, now: Timestamp) -> Result<SiteRow, Problem> {
    if content == before.content.0 {
        return Ok(before);
    }
    let row = store(tx, before.row_version + 1, content, now)?;
    record(
        tx,
        &Event {
            at: now,
            who,
            action: "site.update",
            kind: SubjectKind::Site,
            id: None,
            public: Some(PublicChange { action: "updated", slug: None, touched: Vec::new() }),
        },
    )?;
    Ok(row)
}

fn store(tx: &mut Tx<'_>, row_version: i64, content: SiteContent, now: Timestamp) -> Result<SiteRow, Problem> {
    let row = SiteRow { row_version, content: Document(content), saved_at: now };
    diesel::update(site::table.find(ID)).set(&row).execute(&mut **tx)?;
    Ok(row)
}

/// The faults of calls to action that share an id.
fn repeated_ids(calls: &[CallToAction]) -> Vec<Fault> {
    let mut seen = HashSet::new();
    let twice = |(index, _): (usize, _)| {
        let message = "Another call to action of the site has this id.";
        Fault::body(format!("/calls_to_action/{index}/id"), "duplicate", message)
    };
    calls.iter().enumerate().filter(|(_, call)| !seen.insert(&call.id)).map(twice).collect()
}
