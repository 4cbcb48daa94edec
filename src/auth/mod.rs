//! Who is calling and what they may do.
//!
//! A permission is a type in a handler's signature, [`Caller<P>`]: without it the handler does not run,
//! and the document and the policy test read it off there. The role that counts is the account's
//! present one, and whether the sign-in or API key still stands is asked with every request: one read by
//! primary key, so that what is ended has ended.

pub mod address;
pub mod api_keys;
pub mod files;
pub mod keys;
pub mod limits;
mod login;
mod me;
pub mod password_links;
pub mod passwords;
pub mod secrets;
pub mod sign_ins;
pub mod tokens;

mod eddsa;
mod key_set;
mod redeem;
mod refresh;
mod refusals;
mod roles;
mod second_factor;
mod sessions;

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use actix_web::{FromRequest, HttpRequest, web};

pub use self::roles::Role;
use crate::changes::{SubjectKind, Who};
use crate::config::SignInLimits;
use crate::db::{Conn, Id, Timestamp};
use crate::http::problem::{FORBIDDEN, SECOND_FACTOR_SETUP_REQUIRED, UNAUTHENTICATED};
use crate::http::{Description, Input, Operations, Problem};
use crate::state::App;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .merge(login::operations())
        .merge(refresh::operations())
        .merge(key_set::operations())
        .merge(me::operations())
        .merge(second_factor::operations())
        .merge(sessions::operations())
        .merge(api_keys::operations())
        .merge(password_links::operations())
        .merge(redeem::operations())
}

pub(crate) use self::redeem::register_pages;
pub(crate) use self::second_factor::remove as remove_second_factor;

/// Marks the id of an account.
#[derive(Debug, Clone, Copy)]
pub struct UserKind;
/// The id of an account, or of an API key that acts in its place.
pub type UserId = Id<UserKind>;

/// Marks the id of a sign-in.
#[derive(Debug, Clone, Copy)]
pub struct SignInKind;
/// The id of a sign-in: the `sid` of its access tokens.
pub type SignInId = Id<SignInKind>;

/// Marks the id of an API key.
#[derive(Debug, Clone, Copy)]
pub struct ApiKeyKind;
/// The id of an API key.
pub type ApiKeyId = Id<ApiKeyKind>;

/// A permission, as a type.
pub trait Permission: 'static {
    /// Its name, in problems and in the document.
    const NAME: &'static str;
    /// The roles that have it.
    const ROLES: &'static [Role];
    /// Whether API keys may have it, too.
    const API_KEYS: bool;
    /// Whether a sign-in has it that is good for setting up the second factor alone.
    const RESTRICTED: bool;
    /// As what the audit trail tells of who tried without having it; none where it tells nothing.
    const REFUSALS: Option<(&'static str, SubjectKind)>;
}

macro_rules! permissions {
    (@refusals) => { None };
    (@refusals $action:literal $kind:ident) => { Some(($action, SubjectKind::$kind)) };
    ($($(#[$doc:meta])* $name:ident $text:literal: $($role:ident)* $(, api_keys $keys:literal, restricted $restricted:literal)? $(, refusals $action:literal $kind:ident)?;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $text;
                const ROLES: &'static [Role] = &[$(Role::$role),*];
                const API_KEYS: bool = true $(&& $keys)?;
                const RESTRICTED: bool = false $(|| $restricted)?;
                const REFUSALS: Option<(&'static str, SubjectKind)> = permissions!(@refusals $($action $kind)?);
            }
        )*
    };
}

permissions! {
    /// Being signed in, whatever the role.
    SignedIn "signed_in": Contributor Author Editor Intake Admin;
    /// Changing the own account: a person's business, no program's.
    ManageOwnAccount "manage_own_account": Contributor Author Editor Intake Admin, api_keys false, restricted false;
    /// Setting up the own second factor, and signing out.
    SetUpSecondFactor "set_up_second_factor": Contributor Author Editor Intake Admin, api_keys false, restricted true;
    /// Writing articles: own ones, or all for editors and admins.
    EditArticles "edit_articles": Contributor Author Editor Admin;
    /// Publishing and withdrawing articles: own ones, or all for editors and admins.
    PublishArticles "publish_articles": Author Editor Admin;
    /// Deciding what was submitted, and putting articles away: own ones, or all for editors and admins.
    ReviewArticles "review_articles": Author Editor Admin;
    /// Reading authors, categories and the site as management shows them.
    ReadTaxonomy "read_taxonomy": Contributor Author Editor Admin;
    /// Writing authors, categories and the site.
    EditTaxonomy "edit_taxonomy": Editor Admin;
    /// Managing accounts, their sign-ins and API keys.
    ManageUsers "manage_users": Admin;
    /// Reading the audit trail.
    ReadAudit "read_audit": Admin;
    /// Managing the forms of the contact form: not what comes by them.
    ManageForms "manage_contact_forms": Admin;
    /// Reading what visitors have sent, and working on it: a person's business, no program's.
    HandleSubmissions "handle_contact_submissions": Intake, api_keys false, restricted false,
        refusals "contact_submission.refuse" ContactSubmission;
}

/// The caller, who has the permission `P`.
pub struct Caller<P> {
    actor: Actor,
    permission: PhantomData<fn() -> P>,
}

impl<P> Caller<P> {
    /// Who is calling, without the proof of a permission.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Who is calling, for the logs.
    pub fn who(&self) -> Who {
        self.actor.who()
    }

    /// Whose account it is; for a program's API key, the key in its place.
    pub fn user(&self) -> UserId {
        self.actor.user
    }

    /// The sign-in that the call came from; none for an API key.
    pub fn sign_in(&self) -> Option<SignInId> {
        match self.actor.credential {
            Credential::SignIn(id) => Some(id),
            Credential::OwnKey(_) | Credential::Program(_) => None,
        }
    }
}

/// By what a caller has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// An access token of this sign-in.
    SignIn(SignInId),
    /// One of the account's own API keys.
    OwnKey(ApiKeyId),
    /// The API key of a program, which has no account.
    Program(ApiKeyId),
}

/// Who does something, for rules about single resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The account; for a program's API key, the key in its place.
    pub user: UserId,
    /// Its present role; that of the API key where the key may do less.
    pub role: Role,
    /// By what it was shown.
    pub credential: Credential,
}

impl Actor {
    /// The program itself, for rules about single resources: nothing is hidden from it. It is no caller, and no log
    /// names it so.
    pub fn program() -> Self {
        let credential = Credential::SignIn(SignInId::generate());
        Self { user: UserId::generate(), role: Role::Admin, credential }
    }

    /// Who it is, for the logs.
    pub fn who(self) -> Who {
        match self.credential {
            Credential::SignIn(_) => Who::User(self.user),
            Credential::OwnKey(key) => Who::OwnKey(self.user, key),
            Credential::Program(key) => Who::Program(key),
        }
    }
}

impl<P: Permission> FromRequest for Caller<P> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let app = req.app_data::<web::Data<App>>().cloned();
        let token = bearer_token(req.headers());
        let subject = req.match_info().get("id").and_then(|id| id.parse().ok());
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::internal("the application's state is missing"))?;
            let known = match token {
                Ok(token) => who_has(&app, &token).await,
                Err(problem) => Err(problem),
            };
            let actor = known.as_ref().ok().map(|(actor, _)| *actor);
            let outcome = known.and_then(|(actor, restricted)| permit::<P>(actor, restricted));
            match (&outcome, P::REFUSALS) {
                (Err(problem), Some((action, kind))) if problem.is_clients() => {
                    refusals::note(&app, actor, (action, kind), subject).await?;
                }
                _ => {}
            }
            outcome
        })
    }
}

impl<P: Permission> Input for Caller<P> {
    fn describe(description: &mut Description) {
        let roles: Vec<_> = P::ROLES.iter().map(|role| role.name()).collect();
        let for_everybody = P::ROLES.len() == Role::ALL.len() && P::API_KEYS && P::RESTRICTED;
        description.requires(P::NAME, &roles, for_everybody);
        description.member("x-api-keys", P::API_KEYS);
        description.header("401", "WWW-Authenticate", "How to authenticate (RFC 6750, 3).");
    }
}

/// Whether an actor has the permission.
fn permit<P: Permission>(actor: Actor, restricted: bool) -> Result<Caller<P>, Problem> {
    if restricted && !P::RESTRICTED {
        let detail = "Your role needs a second factor: set it up with `POST /api/v1/auth/me/second-factor` first.";
        return Err(Problem::new(&SECOND_FACTOR_SETUP_REQUIRED, detail));
    }
    if !P::API_KEYS && !matches!(actor.credential, Credential::SignIn(_)) {
        let detail = format!("An API key does not have the permission {}; sign in instead.", P::NAME);
        return Err(Problem::new(&FORBIDDEN, detail));
    }
    if !P::ROLES.contains(&actor.role) {
        let detail = format!("The role {} does not have the permission {}.", actor.role.name(), P::NAME);
        return Err(Problem::new(&FORBIDDEN, detail));
    }
    Ok(Caller { actor, permission: PhantomData })
}

/// Who has a token or key, and whether it is good for setting up the second factor alone.
async fn who_has(app: &App, token: &str) -> Result<(Actor, bool), Problem> {
    let now = app.clock.now();
    if api_keys::looks_like_one(token) {
        return Ok((api_keys::authenticate(app, token, now).await?, false));
    }
    let claims = app.tokens.verify(token, now).map_err(|_| unauthenticated(true))?;
    let standing = sign_ins::standing(app, claims.sid, claims.sub, now).await?;
    let credential = Credential::SignIn(claims.sid);
    Ok((Actor { user: claims.sub, role: standing.role, credential }, standing.restricted))
}

/// Who is calling, whatever they may do.
///
/// # Errors
/// `401` where nobody is known by what was sent, or is not signed in for good yet.
pub async fn identify(app: &App, headers: &HeaderMap) -> Result<Actor, Problem> {
    let (actor, restricted) = who_has(app, &bearer_token(headers)?).await?;
    if restricted { Err(unauthenticated(true)) } else { Ok(actor) }
}

/// Whether a caller still is who it was at the beginning of its request.
///
/// # Errors
/// `401` where its sign-in has ended, its key is void, or its role is another one.
pub fn check_stands(conn: &mut Conn, actor: Actor, limits: SignInLimits, now: Timestamp) -> Result<(), Problem> {
    let stands = match actor.credential {
        Credential::SignIn(id) => sign_ins::by_id(conn, id)?
            .is_some_and(|row| row.user_id == actor.user && row.role == actor.role && row.stands_within(limits, now)),
        Credential::OwnKey(id) | Credential::Program(id) => {
            api_keys::role_now(conn, id, now)?.is_some_and(|role| role == actor.role)
        }
    };
    if stands { Ok(()) } else { Err(unauthenticated(true)) }
}

/// The token of the `Authorization` header (RFC 6750, 2.1).
fn bearer_token(headers: &HeaderMap) -> Result<String, Problem> {
    let header = headers.get(AUTHORIZATION).ok_or_else(|| unauthenticated(false))?;
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
        ("The access token or API key is not valid, or not any more; sign in again.", "Bearer error=\"invalid_token\"")
    } else {
        ("Send `Authorization: Bearer <access token>`; `POST /api/v1/auth/login` gives one.", "Bearer")
    };
    Problem::new(&UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, challenge)
}
