//! Signing in, and which tokens are taken for whom.
//!
//! Not covered: that passwords stay out of the log, and that a refusal takes the same time whatever is
//! wrong. Neither can be told apart from chance inside one process.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use copydesk::auth::Role;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::client::Response;
use crate::harness::{PASSWORD, TestServer};

const LOGIN: &str = "/api/v1/auth/login";
const ME: &str = "/api/v1/auth/me";

fn log_in(server: &TestServer, email: &str, password: &str) -> Response {
    server.anonymous().post(LOGIN, &json!({ "email": email, "password": password }))
}

#[test]
fn a_right_password_gives_a_token_that_says_who_signed_in() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let answer = log_in(&server, &account.email, PASSWORD).expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let sign_in = answer.json();
    assert_eq!(sign_in["token_type"], "Bearer");
    assert_eq!(sign_in["expires_in"], 900);
    assert_eq!(sign_in["user"]["id"], account.id.to_string());
    assert!(sign_in["refresh_token"].as_str().is_some_and(|token| token.starts_with("cdr_")));
    assert_eq!((&sign_in["restricted"], &sign_in["user"]["second_factor"]), (&json!(false), &json!(false)));
    assert!(!answer.text().contains("argon2"));
    let me = server.with_token(sign_in["access_token"].as_str().unwrap()).get(ME).expect(200);
    assert_eq!(me.json(), sign_in["user"]);
    assert_eq!(me.header("cache-control"), "no-store");
}

#[test]
fn each_role_can_sign_in() {
    let server = TestServer::start();
    for role in Role::ALL {
        assert_eq!(server.signed_in(role).get(ME).expect(200).json()["role"], role.name());
    }
}

#[test]
fn the_case_of_the_email_does_not_matter() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    log_in(&server, &account.email.to_uppercase(), PASSWORD).expect(200);
    log_in(&server, &format!("  {}  ", account.email), PASSWORD).expect(200);
}

/// The answer without what differs from request to request.
fn without_request_id(answer: &Response) -> (u16, Vec<(String, String)>, Value) {
    // What is left of the network's limit counts down with each request, whatever it asks.
    let differ = ["date", "x-request-id", "ratelimit"];
    let headers = answer.headers.iter().filter(|(name, _)| !differ.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let mut body = answer.json();
    body["request_id"] = Value::Null;
    (answer.status, headers, body)
}

#[test]
fn a_wrong_password_an_unknown_email_and_a_disabled_account_get_the_same_answer() {
    let server = TestServer::start();
    let (account, disabled) = (server.account(Role::Editor), server.account(Role::Editor));
    server.disable(&disabled);
    let wrong = log_in(&server, &account.email, "another long password");
    wrong.refused(401, "invalid-credentials");
    assert!(wrong.find_header("www-authenticate").is_some(), "RFC 9110, 15.5.2");
    for (email, password) in [
        ("nobody@example.org", PASSWORD),
        (&disabled.email, PASSWORD),
        (&disabled.email, "another long password"),
        (&account.email, ""),
        (&account.email, &PASSWORD.to_uppercase()),
        (&account.email, &PASSWORD[1..]),
        ("' OR 1=1 --", "' OR 1=1 --"),
        ("%", PASSWORD),
    ] {
        let other = log_in(&server, email, password);
        if password.is_empty() {
            other.refused(422, "invalid-body");
        } else {
            assert_eq!(without_request_id(&other), without_request_id(&wrong), "{email}");
        }
    }
}

#[test]
fn a_disabled_account_loses_its_token_at_once() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let client = server.sign_in(&account);
    client.get(ME).expect(200);
    server.disable(&account);
    client.get(ME).refused(401, "unauthenticated");
}

#[test]
fn the_present_role_counts_and_not_the_tokens() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let client = server.sign_in(&account);
    client.get("/api/v1/manage/users").expect(200);
    server.change_role(&account, Role::Intake);
    assert_eq!(client.get(ME).expect(200).json()["role"], "intake");
    client.get("/api/v1/manage/users").refused(403, "forbidden");
}

#[test]
fn a_request_without_a_token_learns_how_to_authenticate() {
    let server = TestServer::start();
    let answer = server.anonymous().get(ME);
    answer.refused(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
}

#[test]
fn a_token_ends_after_fifteen_minutes() {
    let server = TestServer::start();
    let client = server.sign_in(&server.account(Role::Editor));
    server.app.clock.advance(Duration::from_secs(14 * 60 + 50));
    client.get(ME).expect(200);
    server.app.clock.advance(Duration::from_secs(10));
    assert_refused(&server, "an expired token", client.token());
}

#[test]
fn the_scheme_is_bearer_in_any_case() {
    let server = TestServer::start();
    let token = server.signed_in(Role::Editor).token().to_owned();
    let sent = |value: &str| server.anonymous().request("GET", ME).header("authorization", value).send();
    sent(&format!("bearer {token}")).expect(200);
    sent(&format!("BEARER {token}")).expect(200);
    for value in ["", "Bearer", "Bearer ", &token, &format!("Basic {token}"), &format!("Token {token}"), "Basic YTpi"] {
        let answer = sent(value);
        answer.refused(401, "unauthenticated");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{value}");
    }
}

/// A token that is not accepted, and the answer tells nothing but that.
#[track_caller]
fn assert_refused(server: &TestServer, what: &str, token: &str) {
    let answer = server.with_token(token).get(ME);
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    let problem = answer.refused(401, "unauthenticated");
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{what}");
    // The same words whatever is wrong: they don't help to build a better one.
    assert_eq!(problem.detail(), "The access token or API key is not valid, or not any more; sign in again.", "{what}");
    assert!(token.len() < 20 || !answer.text().contains(&token[..20]), "{what}: the token comes back");
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// What an access token says.
pub(crate) fn claims_of(token: &str) -> Value {
    decoded(token.split('.').nth(1).unwrap())
}

/// The header of an access token.
pub(crate) fn header_of(token: &str) -> Value {
    decoded(token.split('.').next().unwrap())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// What a forger has: a real token, taken apart, and (for the control) the server's key.
pub(crate) struct Forge {
    header: Value,
    claims: Value,
    signature: String,
    key: EncodingKey,
    public_pem: String,
    public_bytes: Vec<u8>,
}

impl Forge {
    pub(crate) fn new(server: &TestServer) -> Self {
        let token = server.signed_in(Role::Contributor).token().to_owned();
        let parts: Vec<_> = token.split('.').collect();
        let pem = std::fs::read_to_string(server.app.config.key_dir.join("access-token.pem")).unwrap();
        let public = SigningKey::from_pkcs8_pem(&pem).unwrap().verifying_key();
        Self {
            header: decoded(parts[0]),
            claims: decoded(parts[1]),
            signature: parts[2].to_owned(),
            key: encoding_key(&pem),
            public_pem: public.to_public_key_pem(LineEnding::LF).unwrap(),
            public_bytes: public.as_bytes().to_vec(),
        }
    }

    /// The header and claims with members replaced (null takes one away).
    fn changed(value: &Value, changes: &Value) -> Value {
        let mut value = value.clone();
        for (name, change) in changes.as_object().unwrap() {
            if change.is_null() {
                value.as_object_mut().unwrap().shift_remove(name);
            } else {
                value[name] = change.clone();
            }
        }
        value
    }

    /// Signed by the server's own key, so that only the change can be what is refused.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        let (header, claims) = (Self::changed(&self.header, header), Self::changed(&self.claims, claims));
        signed_by(&self.key, &header, &claims)
    }

    fn unsigned(&self, header: &Value, signature: &str) -> String {
        format!("{}.{}.{signature}", encoded(&Self::changed(&self.header, header)), encoded(&self.claims))
    }
}

/// Signs with Ed25519, whatever the header says.
fn signed_by(key: &EncodingKey, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn encoding_key(pem: &str) -> EncodingKey {
    EncodingKey::from_ed_der(SigningKey::from_pkcs8_pem(pem).unwrap().to_pkcs8_der().unwrap().as_bytes())
}

fn foreign_key() -> (SigningKey, EncodingKey) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    (key, encoding_key(&pem))
}

#[test]
fn the_token_is_what_the_contract_says() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    assert_eq!(forge.header["alg"], "EdDSA");
    assert_eq!(forge.header["typ"], "at+jwt");
    assert!(forge.header["kid"].as_str().is_some_and(|kid| !kid.is_empty()));
    for claim in ["iss", "aud", "sub", "sid", "role", "iat", "exp"] {
        assert!(!forge.claims[claim].is_null(), "{claim}");
    }
    assert_eq!(forge.claims["exp"].as_i64().unwrap() - forge.claims["iat"].as_i64().unwrap(), 900);
    assert_eq!(forge.claims.as_object().unwrap().len(), 7, "{}", forge.claims);
    // The control for all that is refused below: this way of making tokens makes good ones.
    server.with_token(&forge.signed(&json!({}), &json!({}))).get(ME).expect(200);
}

#[test]
fn what_is_not_a_token_is_refused() {
    let server = TestServer::start();
    for token in
        ["garbage", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "eyJ9.eyJ9.", "null.null.null", "é", "e30.e30.e30"]
    {
        if token.is_ascii() {
            assert_refused(&server, token, token);
        }
    }
    for length in [5_000, 60_000] {
        assert_refused(&server, "an oversized token", &"a".repeat(length));
        assert_refused(&server, "an oversized token", &format!("{0}.{0}.{0}", "e".repeat(length / 3)));
    }
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        assert_refused(&server, algorithm, &forge.unsigned(&json!({ "alg": algorithm }), ""));
        assert_refused(&server, algorithm, &forge.unsigned(&json!({ "alg": algorithm }), &forge.signature));
    }
    assert_refused(&server, "no alg", &forge.unsigned(&json!({ "alg": null }), &forge.signature));
    assert_refused(&server, "an empty signature", &forge.unsigned(&json!({}), ""));
    assert_refused(&server, "a short signature", &forge.unsigned(&json!({}), &forge.signature[..20]));
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    assert_refused(&server, "a signature of zeros", &forge.unsigned(&json!({}), &zeros));
    let token = forge.unsigned(&json!({}), &forge.signature);
    assert_refused(&server, "two parts", token.rsplit_once('.').unwrap().0);
}

#[test]
fn the_signature_of_another_token_is_refused() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let other = server.signed_in(Role::Admin).token().to_owned();
    let parts: Vec<_> = other.split('.').collect();
    assert_refused(&server, "another's signature", &format!("{}.{}.{}", parts[0], parts[1], forge.signature));
    let raised = Forge::changed(&forge.claims, &json!({ "role": "admin" }));
    let token = format!("{}.{}.{}", encoded(&forge.header), encoded(&raised), forge.signature);
    assert_refused(&server, "a changed role", &token);
}

fn hmac(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    fn by<D>(secret: &[u8], message: &[u8]) -> Vec<u8>
    where
        D: hmac::EagerHash,
        hmac::Hmac<D>: hmac::KeyInit + hmac::Mac,
    {
        let mut mac = <hmac::Hmac<D> as hmac::KeyInit>::new_from_slice(secret).unwrap();
        hmac::Mac::update(&mut mac, message);
        hmac::Mac::finalize(mac).into_bytes().to_vec()
    }
    match algorithm {
        "HS256" => by::<sha2::Sha256>(secret, message),
        "HS384" => by::<sha2::Sha384>(secret, message),
        _ => by::<sha2::Sha512>(secret, message),
    }
}

#[test]
fn the_public_key_does_not_sign() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let claims = &forge.claims;
    for algorithm in ["HS256", "HS384", "HS512"] {
        for secret in [forge.public_pem.as_bytes(), forge.public_pem.trim_end().as_bytes(), &forge.public_bytes, b""] {
            let header = Forge::changed(&forge.header, &json!({ "alg": algorithm }));
            let message = format!("{}.{}", encoded(&header), encoded(claims));
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac(algorithm, secret, message.as_bytes())));
            assert_refused(&server, &format!("{algorithm} with the public key"), &token);
        }
    }
}

#[test]
fn a_foreign_key_does_not_sign_not_even_when_the_token_brings_it() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let (foreign, key) = foreign_key();
    let jwk =
        json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(foreign.verifying_key().as_bytes()) });
    for changes in [
        json!({}),
        json!({ "jwk": jwk }),
        json!({ "jwk": jwk, "kid": null }),
        json!({ "jku": "http://127.0.0.1:1/jwks.json" }),
        json!({ "x5u": "http://127.0.0.1:1/key.pem" }),
    ] {
        let header = Forge::changed(&forge.header, &changes);
        assert_refused(&server, &changes.to_string(), &signed_by(&key, &header, &forge.claims));
    }
}

#[test]
fn the_key_id_is_only_compared() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    for kid in [
        json!(null),
        json!(""),
        json!("other"),
        json!("../../../../dev/null"),
        json!("x' UNION SELECT 'key"),
        json!("| id"),
        json!(7),
        json!(["a"]),
    ] {
        assert_refused(&server, &kid.to_string(), &forge.signed(&json!({ "kid": kid }), &json!({})));
    }
}

#[test]
fn a_token_of_another_type_is_refused() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    for typ in [json!(null), json!("JWT"), json!("refresh+jwt"), json!("id+jwt"), json!("at+jwt+more"), json!(1)] {
        assert_refused(&server, &typ.to_string(), &forge.signed(&json!({ "typ": typ }), &json!({})));
    }
    // RFC 7515, 4.1.9: media types are compared without case.
    server.with_token(&forge.signed(&json!({ "typ": "AT+JWT" }), &json!({}))).get(ME).expect(200);
}

#[test]
fn a_token_of_or_for_someone_else_is_refused() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let now = server.app.clock.now().unix_seconds();
    let audience = forge.claims["aud"].as_str().unwrap();
    for changes in [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": null }),
        json!({ "iss": format!("{}/", forge.claims["iss"].as_str().unwrap()) }),
        json!({ "aud": "https://evil.example/api/v1" }),
        json!({ "aud": format!("{audience}/") }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "sub": "not an id" }),
        json!({ "sub": uuid::Uuid::now_v7().to_string() }),
        json!({ "sid": null }),
        json!({ "role": null }),
        json!({ "role": "owner" }),
        json!({ "exp": null }),
        json!({ "exp": now - 1 }),
        json!({ "exp": now }),
        json!({ "exp": "9999999999" }),
        json!({ "iat": null }),
        json!({ "iat": now + 3_600, "exp": now + 7_200 }),
    ] {
        assert_refused(&server, &changes.to_string(), &forge.signed(&json!({}), &changes));
    }
}

#[test]
fn a_token_lasts_no_longer_than_ours_do() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    // Signed by our key: the control that only the signer decides how long a token lasts.
    let later = json!({ "exp": server.app.clock.now().unix_seconds() + 30 });
    let client = server.with_token(&forge.signed(&json!({}), &later));
    client.get(ME).expect(200);
    server.app.clock.advance(Duration::from_secs(31));
    client.get(ME).refused(401, "unauthenticated");
}

#[test]
fn a_token_in_the_query_or_the_body_is_not_taken() {
    let server = TestServer::start();
    let token = server.signed_in(Role::Editor).token().to_owned();
    let answer = server.anonymous().get(&format!("{ME}?access_token={token}"));
    answer.refused(401, "unauthenticated");
    assert!(!answer.text().contains(&token));
}
