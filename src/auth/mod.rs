//! Who is calling and what they may do.
//!
//! A permission is a type in a handler's signature, [`Caller<P>`]: without it the handler does not run,
//! and the document and the policy test read it off there. The role that counts is the account's
//! present one, read with every request; the token only says who signed in.

pub mod login;
pub mod passwords;
pub mod tokens;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest, web};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{IsNull, Output as SqlOutput, ToSql};
use diesel::sql_types::Text;
use diesel::sqlite::{Sqlite, SqliteValue};
use diesel::{deserialize, serialize};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Conn, Id};
use crate::http::problem::{FORBIDDEN, UNAUTHENTICATED};
use crate::http::{Description, Input, Problem};
use crate::schema::users;
use crate::state::App;

/// Marks the id of an account.
#[derive(Debug, Clone, Copy)]
pub struct UserKind;
/// The id of an account.
pub type UserId = Id<UserKind>;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, AsExpression, FromSqlRow)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = Text)]
pub enum Role {
    /// Writes own drafts.
    Contributor,
    /// Also publishes own articles.
    Author,
    /// All content, taxonomy and the site.
    Editor,
    /// Contact submissions and nothing else.
    Intake,
    /// All that an editor may, and users, keys and the audit trail; not contact submissions.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Contributor, Self::Author, Self::Editor, Self::Intake, Self::Admin];

    /// The role's name in the API and the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contributor => "contributor",
            Self::Author => "author",
            Self::Editor => "editor",
            Self::Intake => "intake",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether the role reaches every article, not only the caller's own.
    pub const fn edits_all_articles(self) -> bool {
        matches!(self, Self::Editor | Self::Admin)
    }
}

impl ToSql<Text, Sqlite> for Role {
    fn to_sql<'b>(&'b self, out: &mut SqlOutput<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.name());
        Ok(IsNull::No)
    }
}

impl diesel::deserialize::FromSql<Text, Sqlite> for Role {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Self::from_name(value.read_text()).ok_or_else(|| "a role that this program does not know".into())
    }
}

/// A permission, as a type.
pub trait Permission: 'static {
    /// Its name, in problems and in the document.
    const NAME: &'static str;
    /// The roles that have it.
    const ROLES: &'static [Role];
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident $text:literal: $($role:ident)*;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLES: &'static [Role] = &[$(Role::$role),*];
            }
        )*
    };
}

permissions! {
    /// To be signed in.
    SignedIn "signed_in": Contributor Author Editor Intake Admin;
    /// To read and write articles: own ones, or all as an editor.
    EditArticles "edit_articles": Contributor Author Editor Admin;
    /// To publish and withdraw articles: own ones, or all as an editor.
    PublishArticles "publish_articles": Author Editor Admin;
    /// To read authors, categories and the site in management.
    ReadTaxonomy "read_taxonomy": Contributor Author Editor Admin;
    /// To write authors, categories and the site.
    EditTaxonomy "edit_taxonomy": Editor Admin;
    /// To manage accounts.
    ManageUsers "manage_users": Admin;
    /// To read the audit trail.
    ReadAudit "read_audit": Admin;
}

/// The signed-in person, who has the permission `P`.
pub struct Caller<P> {
    /// Whose account it is.
    pub user: UserId,
    /// The account's present role.
    pub role: Role,
    permission: PhantomData<fn() -> P>,
}

impl<P> Caller<P> {
    /// Who is calling, without the proof of a permission.
    pub fn actor(&self) -> Actor {
        Actor { user: self.user, role: self.role }
    }
}

/// Who does something, for rules about single resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub user: UserId,
    /// Its present role.
    pub role: Role,
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = req.app_data::<web::Data<App>>().cloned();
        let token = bearer_token(req);
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::internal("the application's state is missing"))?;
            authenticate(&app, token?).await
        })
    }
}

impl<P: Permission> Input for Caller<P> {
    fn describe(description: &mut Description) {
        let roles: Vec<_> = P::ROLES.iter().map(|role| role.name()).collect();
        description.requires(P::NAME, &roles, P::ROLES.len() == Role::ALL.len());
        description.header("401", "WWW-Authenticate", "How to authenticate (RFC 6750, 3).");
    }
}

async fn authenticate<P: Permission>(app: &App, token: String) -> Result<Caller<P>, Problem> {
    let claims = app.tokens.verify(&token, app.clock.now()).map_err(|_| unauthenticated(true))?;
    let role = app.db.read(move |conn| present_role(conn, claims.sub)).await?;
    let role = role.ok_or_else(|| unauthenticated(true))?;
    if !P::ROLES.contains(&role) {
        let detail = format!("The role {} does not have the permission {}.", role.name(), P::NAME);
        return Err(Problem::new(&FORBIDDEN, detail));
    }
    Ok(Caller { user: claims.sub, role, permission: PhantomData })
}

/// The role of an enabled account.
fn present_role(conn: &mut Conn, user: UserId) -> Result<Option<Role>, Problem> {
    Ok(users::table.find(user).filter(users::disabled_at.is_null()).select(users::role).first(conn).optional()?)
}

/// The token of the `Authorization` header (RFC 6750, 2.1).
fn bearer_token(req: &HttpRequest) -> Result<String, Problem> {
    let header = req.headers().get(AUTHORIZATION).ok_or_else(|| unauthenticated(false))?;
    let (scheme, token) =
        header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(|| unauthenticated(true))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthenticated(true));
    }
    Ok(token.trim().to_owned())
}

/// RFC 6750, 3.1: a request without a token learns no error code, one with a bad token does.
fn unauthenticated(sent_one: bool) -> Problem {
    let (detail, challenge) = if sent_one {
        ("The access token is not valid, or not any more; sign in again.", "Bearer error=\"invalid_token\"")
    } else {
        ("Send `Authorization: Bearer <access token>`; `POST /api/v1/auth/login` gives one.", "Bearer")
    };
    Problem::new(&UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, challenge)
}
