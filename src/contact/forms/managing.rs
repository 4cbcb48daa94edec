//! What admins do with forms.

use actix_web::web::Data;

use super::{ContactFormId, FormContent, ManagedContactForm, store};
use crate::auth::{Caller, ManageForms};
use crate::http::{
    Created, Draft, Drafted, IfMatch, ListOf, ListQuery, Managed, MergePatch, NoParameters, Operations, Path, Problem,
    Query, Removed, Versioned, WriteOptions,
};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_contact_forms, list_contact_forms)
        .operation(__path_create_contact_form, create_contact_form)
        .operation(__path_get_managed_contact_form, get_managed_contact_form)
        .operation(__path_update_contact_form, update_contact_form)
        .operation(__path_delete_contact_form, delete_contact_form)
}

/// List contact forms
///
/// Every form, in the order of their names. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/contact-forms", tag = "Contact")]
pub(super) async fn list_contact_forms(
    _caller: Caller<ManageForms>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<ManagedContactForm>>, Problem> {
    let (list, links) = app.db.read(move |conn| store::part(conn, &query)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Get a contact form in management
///
/// One form by id, with the `ETag` that a change of it needs. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/contact-forms/{id}", tag = "Contact")]
pub(super) async fn get_managed_contact_form(
    _caller: Caller<ManageForms>,
    app: Data<App>,
    Path(id): Path<ContactFormId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ManagedContactForm>, Problem> {
    let row = app.db.read(move |conn| store::by_id(conn, id)?.ok_or_else(Problem::not_found)).await?;
    let row_version = row.row_version;
    Ok(Versioned::new(row.managed(Vec::new()), row_version))
}

/// Create a contact form
///
/// Visitors may use it at once. For `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/contact-forms", tag = "Contact",
    responses((status = 409, description = "There is a form of this name; `holder` names it."))
)]
pub(super) async fn create_contact_form(
    caller: Caller<ManageForms>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    draft: Draft<FormContent>,
) -> Result<Created<ManagedContactForm>, Problem> {
    let (who, now, id) = (caller.who(), app.clock.now(), ContactFormId::generate());
    let form = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let Drafted { content, warnings, .. } = draft.create(|content| Ok(store::faults(content, None)))?;
            Ok(store::insert(tx, id, content, who, now)?.managed(warnings))
        })
        .await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/contact-forms/{id}"));
    Ok(Created::new(form, location, 1))
}

/// Change a contact form
///
/// A JSON Merge Patch (RFC 7396). Visitors see it at once; a new retention holds for what has come already, too. For
/// `admin`.
#[utoipa::path(
    patch, path = "/api/v1/manage/contact-forms/{id}", tag = "Contact",
    responses((status = 409, description = "There is a form of this name; `holder` names it."))
)]
pub(super) async fn update_contact_form(
    caller: Caller<ManageForms>,
    app: Data<App>,
    Path(id): Path<ContactFormId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    patch: MergePatch<FormContent>,
) -> Result<Versioned<ManagedContactForm>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let (form, row_version) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            let (seen_version, answer) = (row.row_version, row.clone().managed(Vec::new()));
            let present = row.content.0.clone();
            let Drafted { content, warnings, .. } =
                patch.apply(&row.content.0, &answer, |content| Ok(store::faults(content, Some(&present))))?;
            let row = store::save(tx, row, content, who, now)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            Ok((row.managed(warnings), row_version))
        })
        .await?;
    Ok(Versioned::new(form, row_version))
}

/// Delete a contact form
///
/// From then on the form `default` applies where this one is named. For `admin`.
#[utoipa::path(
    delete, path = "/api/v1/manage/contact-forms/{id}", tag = "Contact",
    responses((status = 409, description = "It is the form `default`, or messages that came by it are still there."))
)]
pub(super) async fn delete_contact_form(
    caller: Caller<ManageForms>,
    app: Data<App>,
    Path(id): Path<ContactFormId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<ManagedContactForm>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let form = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            store::remove(tx, &row, who, now)?;
            Ok(row.managed(Vec::new()))
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(form) } else { Removed::Done })
}
