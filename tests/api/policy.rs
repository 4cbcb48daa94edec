//! Who may call what: a row for each operation, and each operation tried by each kind of caller.
//!
//! A new operation fails here until it has its row; a row whose operation is gone fails as well.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{PASSWORD, TestServer};

/// Nobody is asked who they are.
const PUBLIC: Option<&[Role]> = None;
const ALL: Option<&[Role]> = Some(&Role::ALL);
const WRITERS: Option<&[Role]> = Some(&[Role::Contributor, Role::Author, Role::Editor, Role::Admin]);
const PUBLISHERS: Option<&[Role]> = Some(&[Role::Author, Role::Editor, Role::Admin]);
const EDITORS: Option<&[Role]> = Some(&[Role::Editor, Role::Admin]);
const ADMINS: Option<&[Role]> = Some(&[Role::Admin]);
const INTAKE: Option<&[Role]> = Some(&[Role::Intake]);

/// Each operation with the roles that may call it.
const POLICY: &[(&str, Option<&[Role]>)] = &[
    ("get_health", PUBLIC),
    ("get_readiness", PUBLIC),
    ("get_openapi", PUBLIC),
    ("log_in", PUBLIC),
    ("refresh_tokens", PUBLIC),
    ("redeem_link", PUBLIC),
    ("get_key_set", PUBLIC),
    ("log_out", ALL),
    ("get_me", ALL),
    ("update_me", ALL),
    ("begin_second_factor", ALL),
    ("confirm_second_factor", ALL),
    ("remove_second_factor", ALL),
    ("list_own_sessions", ALL),
    ("end_own_session", ALL),
    ("list_own_api_keys", ALL),
    ("create_own_api_key", ALL),
    ("get_own_api_key", ALL),
    ("revoke_own_api_key", ALL),
    ("list_articles", PUBLIC),
    ("get_article", PUBLIC),
    ("list_related_articles", PUBLIC),
    ("list_working_copies", WRITERS),
    ("create_article", WRITERS),
    ("get_working_copy", WRITERS),
    ("update_article", WRITERS),
    ("delete_article", WRITERS),
    ("get_article_by_external_id", WRITERS),
    ("put_article_by_external_id", WRITERS),
    ("publish_article", PUBLISHERS),
    ("unpublish_article", PUBLISHERS),
    ("correct_article", PUBLISHERS),
    ("submit_article", WRITERS),
    ("return_article", PUBLISHERS),
    ("archive_article", PUBLISHERS),
    ("restore_article", WRITERS),
    ("list_revisions", WRITERS),
    ("get_revision", WRITERS),
    ("diff_revisions", WRITERS),
    ("name_revision", WRITERS),
    ("restore_revision", WRITERS),
    ("check_article", WRITERS),
    ("bulk_articles", WRITERS),
    ("render_text", WRITERS),
    ("list_preview_links", WRITERS),
    ("create_preview_link", WRITERS),
    ("get_preview_link", WRITERS),
    ("revoke_preview_link", WRITERS),
    ("get_preview", PUBLIC),
    ("list_authors", PUBLIC),
    ("get_author", PUBLIC),
    ("list_managed_authors", WRITERS),
    ("get_managed_author", WRITERS),
    ("create_author", EDITORS),
    ("update_author", EDITORS),
    ("delete_author", EDITORS),
    ("list_categories", PUBLIC),
    ("get_category", PUBLIC),
    ("list_managed_categories", WRITERS),
    ("get_managed_category", WRITERS),
    ("create_category", EDITORS),
    ("update_category", EDITORS),
    ("delete_category", EDITORS),
    ("list_tags", PUBLIC),
    ("get_site", PUBLIC),
    ("get_managed_site", WRITERS),
    ("update_site", EDITORS),
    ("list_redirects", PUBLIC),
    ("resolve_path", PUBLIC),
    ("list_managed_redirects", WRITERS),
    ("get_managed_redirect", WRITERS),
    ("create_redirect", EDITORS),
    ("update_redirect", EDITORS),
    ("delete_redirect", EDITORS),
    ("create_contact_submission", PUBLIC),
    ("get_contact_form", PUBLIC),
    ("get_form_token", PUBLIC),
    ("list_contact_forms", ADMINS),
    ("create_contact_form", ADMINS),
    ("get_managed_contact_form", ADMINS),
    ("update_contact_form", ADMINS),
    ("delete_contact_form", ADMINS),
    ("list_contact_submissions", INTAKE),
    ("list_assignees", INTAKE),
    ("get_contact_submission", INTAKE),
    ("update_contact_submission", INTAKE),
    ("delete_contact_submission", INTAKE),
    ("search_contact_submissions", INTAKE),
    ("export_person", INTAKE),
    ("erase_person", INTAKE),
    ("export_contact_submissions", INTAKE),
    ("list_contact_announcements", INTAKE),
    ("list_users", ADMINS),
    ("get_user", ADMINS),
    ("create_user", ADMINS),
    ("update_user", ADMINS),
    ("delete_user", ADMINS),
    ("create_password_link", ADMINS),
    ("reset_second_factor", ADMINS),
    ("list_user_sessions", ADMINS),
    ("end_user_session", ADMINS),
    ("end_user_sessions", ADMINS),
    ("list_api_keys", ADMINS),
    ("create_api_key", ADMINS),
    ("get_api_key", ADMINS),
    ("revoke_api_key", ADMINS),
    ("list_audit_events", ADMINS),
];

/// What is a person's business: an API key of whatever role is refused.
const NO_API_KEYS: &[&str] = &[
    "log_out",
    "update_me",
    "begin_second_factor",
    "confirm_second_factor",
    "remove_second_factor",
    "list_own_sessions",
    "end_own_session",
    "list_own_api_keys",
    "create_own_api_key",
    "get_own_api_key",
    "revoke_own_api_key",
    "list_contact_submissions",
    "list_assignees",
    "get_contact_submission",
    "update_contact_submission",
    "delete_contact_submission",
    "search_contact_submissions",
    "export_person",
    "erase_person",
    "export_contact_submissions",
    "list_contact_announcements",
];

/// All that a sign-in may that is good for setting up the second factor alone.
const WITHOUT_SECOND_FACTOR: &[&str] = &["log_out", "begin_second_factor", "confirm_second_factor"];

struct Operation {
    id: String,
    method: String,
    path: String,
    value: Value,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&copydesk::server::openapi_json().unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, value) in item.as_object().unwrap() {
            let id = value["operationId"].as_str().unwrap().to_owned();
            all.push(Operation { id, method: method.to_uppercase(), path: path.clone(), value: value.clone() });
        }
    }
    all
}

impl Operation {
    fn roles(&self) -> Option<&'static [Role]> {
        let row = POLICY.iter().find(|(id, _)| *id == self.id);
        row.unwrap_or_else(|| panic!("{} has no row in the policy: who may call it?", self.id)).1
    }

    fn takes(&self, name: &str) -> bool {
        self.value["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name))
    }

    /// The path of a resource that does not exist.
    fn address(&self) -> String {
        let parameters = self.value["parameters"].as_array().cloned().unwrap_or_default();
        parameters.iter().filter(|one| one["in"] == "path").fold(self.path.clone(), |path, parameter| {
            let is_id = parameter["schema"]["format"] == "uuid";
            let value = if is_id { uuid::Uuid::now_v7().to_string() } else { "no-such-thing".to_owned() };
            path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), &value)
        })
    }

    /// A request that changes nothing, whoever sends it.
    fn call(&self, client: &Client) -> Response {
        let query = if self.takes("validate_only") { "?validate_only=true" } else { "" };
        let mut request = client.request(&self.method, &format!("{}{query}", self.address()));
        if self.takes("If-Match") {
            request = request.header("if-match", "\"v0\"");
        }
        if self.value.get("requestBody").is_some() {
            request = request.json(&json!({}));
        }
        request.send()
    }

    /// A request with all the faults that it can have.
    fn call_badly(&self, client: &Client) -> Response {
        let path = self
            .path
            .replace("{id}", "not-an-id")
            .replace("{session_id}", "not-an-id")
            .replace("{link_id}", "not-an-id")
            .replace("{token}", "no-token")
            .replace("{form}", "NO-FORM")
            .replace("{number}", "0")
            .replace("{external_id}", "a%00b")
            .replace("{slug}", "NOT A SLUG".replace(' ', "%20").as_str());
        let mut request = client.request(&self.method, &format!("{path}?no_such_parameter=1"));
        if self.value.get("requestBody").is_some() {
            request = request.body("text/plain", "{");
        }
        request.send()
    }
}

#[test]
fn every_operation_has_a_row_and_every_row_an_operation() {
    let operations = operations();
    let missing: Vec<_> =
        operations.iter().map(|one| &one.id).filter(|id| !POLICY.iter().any(|(row, _)| row == id)).collect();
    let stale: Vec<_> =
        POLICY.iter().map(|(row, _)| row).filter(|row| !operations.iter().any(|one| one.id == **row)).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "operations without a row: {missing:?}; rows without an operation: {stale:?}"
    );
}

#[test]
fn the_document_says_who_may_call() {
    for operation in operations() {
        let declared = operation.value.get("x-roles").map(|roles| {
            let names: Vec<_> =
                roles.as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect();
            names
        });
        let wanted = operation.roles().map(|roles| roles.iter().map(|role| role.name().to_owned()).collect::<Vec<_>>());
        assert_eq!(declared, wanted, "{}", operation.id);
        let guarded = operation.value["security"].as_array().is_some_and(|ways| !ways.is_empty());
        assert_eq!(guarded, wanted.is_some(), "{}", operation.id);
        let own = operation.path.starts_with("/api/v1/auth/");
        assert_eq!(operation.path.starts_with("/api/v1/manage/"), wanted.is_some() && !own, "{}", operation.id);
        let keys = wanted.is_some().then(|| !NO_API_KEYS.contains(&operation.id.as_str()));
        assert_eq!(operation.value["x-api-keys"].as_bool(), keys, "{}", operation.id);
    }
}

#[test]
fn nobody_reaches_a_guarded_operation_without_a_token() {
    let server = TestServer::start();
    for operation in operations().iter().filter(|one| one.roles().is_some()) {
        for answer in [operation.call(&server.anonymous()), operation.call_badly(&server.anonymous())] {
            answer.refused(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{}", operation.id);
        }
        operation.call(&server.with_token("garbage")).refused(401, "unauthenticated");
    }
}

#[test]
fn a_role_reaches_exactly_the_operations_of_its_rows() {
    let server = TestServer::start();
    for role in Role::ALL {
        let account = server.account(role);
        let (client, leaver) = (server.sign_in(&account), server.sign_in(&account));
        for operation in operations() {
            let allowed = operation.roles().is_none_or(|roles| roles.contains(&role));
            let answer = operation.call(if operation.id == "log_out" { &leaver } else { &client });
            if allowed && !operation.path.starts_with("/api/v1/auth/log") && operation.id != "refresh_tokens" {
                assert!(![401, 403].contains(&answer.status), "{} {}: {}", role.name(), operation.id, answer.shown());
                assert!(answer.status < 500, "{} {}: {}", role.name(), operation.id, answer.shown());
            } else if !allowed {
                let problem = answer.refused(403, "forbidden");
                let permission = operation.value["x-permission"].as_str().unwrap();
                assert!(problem.detail().contains(permission), "{}: {}", operation.id, problem.detail());
            }
        }
    }
}

#[test]
fn an_api_key_reaches_what_its_role_reaches_and_no_persons_account() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for role in [Role::Contributor, Role::Author, Role::Editor] {
        let draft = json!({ "name": "A program", "role": role.name() });
        let own = json!({ "name": "Mine", "role": role.name(), "current_password": PASSWORD });
        let keys = [("/api/v1/manage/api-keys", draft), ("/api/v1/auth/me/api-keys", own)];
        for (path, body) in keys {
            let key = admin.post(path, &body).expect(201).json()["key"].as_str().unwrap().to_owned();
            let client = server.with_token(&key);
            for operation in operations().iter().filter(|one| one.roles().is_some()) {
                let by_key = !NO_API_KEYS.contains(&operation.id.as_str());
                let allowed = by_key && operation.roles().is_some_and(|roles| roles.contains(&role));
                let answer = operation.call(&client);
                if allowed {
                    assert!(![401, 403].contains(&answer.status), "{}: {}", role.name(), answer.shown());
                } else {
                    answer.refused(403, "forbidden");
                }
            }
        }
    }
}

#[test]
fn a_sign_in_without_the_second_factor_that_its_role_needs_is_good_for_setting_one_up() {
    let server = TestServer::start_with(|config| config.second_factor_roles = vec![Role::Admin]);
    let account = server.account(Role::Admin);
    let client = server.sign_in(&account);
    for operation in operations().iter().filter(|one| one.roles().is_some()) {
        if !WITHOUT_SECOND_FACTOR.contains(&operation.id.as_str()) {
            operation.call(&client).refused(403, "second-factor-setup-required");
            operation.call_badly(&client).refused(403, "second-factor-setup-required");
        }
    }
    for id in ["begin_second_factor", "confirm_second_factor", "log_out"] {
        let operation = operations().into_iter().find(|one| one.id == id).unwrap();
        let answer = operation.call(&client);
        assert!(![401, 403].contains(&answer.status), "{}", answer.shown());
    }
    client.get("/api/v1/auth/me").refused(401, "unauthenticated");
}

#[test]
fn who_may_not_call_learns_nothing_else_about_the_request() {
    let server = TestServer::start();
    for role in Role::ALL {
        let client = server.signed_in(role);
        let denied = |one: &&Operation| one.roles().is_some_and(|roles| !roles.contains(&role));
        for operation in operations().iter().filter(denied) {
            // Many times: whether the query or the role is looked at first must not be left to chance.
            for _ in 0..5 {
                operation.call_badly(&client).refused(403, "forbidden");
            }
        }
    }
}

#[test]
fn what_is_public_ignores_a_token() {
    let server = TestServer::start();
    for operation in operations().iter().filter(|one| one.roles().is_none()) {
        let without = operation.call(&server.anonymous());
        for client in [server.with_token("garbage"), server.signed_in(Role::Intake)] {
            let with = operation.call(&client);
            assert_eq!(with.status, without.status, "{}: {}", operation.id, with.shown());
            if with.status < 400 {
                assert_eq!(with.body, without.body, "{}", operation.id);
            }
        }
    }
}

#[test]
fn a_write_that_is_only_tried_out_changes_nothing() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let version = server.app.db.present().number;
    for operation in operations().iter().filter(|one| one.takes("validate_only")) {
        operation.call(&admin);
    }
    assert_eq!(server.app.db.present().number, version);
}
