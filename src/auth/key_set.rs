//! `/.well-known/jwks.json`: the public keys that verify access tokens.

use actix_web::body::BoxBody;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{Description, NoParameters, Operations, Output, Query};
use crate::state::App;

/// For how many seconds a key set may be held: a verifier that meets an unknown `kid` asks anew anyway.
const MAX_AGE: u32 = 300;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_get_key_set, get_key_set)
}

/// A set of public keys (RFC 7517, 5).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct KeySet {
    /// The keys, the one that signs first.
    pub keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037, 2).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Jwk {
    /// Always `OKP`.
    #[schema(example = "OKP")]
    pub kty: &'static str,
    /// Always `Ed25519`.
    #[schema(example = "Ed25519")]
    pub crv: &'static str,
    /// Always `sig`: the key verifies signatures.
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    pub usage: &'static str,
    /// Always `EdDSA`.
    #[schema(example = "EdDSA")]
    pub alg: &'static str,
    /// Which tokens it verifies: those whose header names it.
    #[schema(example = "t0ZrIo7iZQ6Mm0X1")]
    pub kid: String,
    /// The key itself, in base64url.
    #[schema(example = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")]
    pub x: String,
}

/// An answer that is the key set.
pub(crate) struct KeySetAnswer(KeySet);

impl Responder for KeySetAnswer {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        HttpResponse::Ok().insert_header((header::CACHE_CONTROL, format!("public, max-age={MAX_AGE}"))).json(self.0)
    }
}

impl Output for KeySetAnswer {
    fn describe(description: &mut Description) {
        let schema = description.schema::<KeySet>();
        description.response("200", "The keys.", Some(&schema));
        description.header("200", "Cache-Control", "For how long the keys may be held.");
    }
}

/// Get the key set
///
/// The public keys that verify access tokens. They show who signed, not whether the sign-in still stands: for
/// that, ask `GET /api/v1/auth/me`. Open to anyone.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "Sign-in")]
pub(crate) async fn get_key_set(app: Data<App>, _query: Query<NoParameters>) -> KeySetAnswer {
    KeySetAnswer(app.tokens.keys.key_set(app.clock.now()))
}
