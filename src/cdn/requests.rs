//! What networks want to be told: the forms of Fastly, Cloudflare and Varnish.

use std::time::Duration;

use actix_web::http::header;
use secrecy::ExposeSecret;
use serde_json::json;
use ureq::Agent;
use ureq::http::{Request, request};

use super::keys::{Key, Set};
use crate::config::{Cdn, CdnForm};

/// How long a network may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

/// Sends purges; blocks.
pub(super) struct Sender {
    agent: Agent,
    cdn: Cdn,
}

impl Sender {
    /// A sender with the settings of a network.
    pub(super) fn new(cdn: &Cdn) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0);
        // One's own Varnish is next door; what is elsewhere may have to be reached by the environment's proxy.
        let config = if cdn.form == CdnForm::Varnish { config.proxy(None) } else { config };
        Self { agent: config.build().into(), cdn: cdn.clone() }
    }

    /// Purges all copies that name one of these keys with one request, so that it is done or not. More than the network
    /// takes at once is everything.
    ///
    /// # Errors
    /// Why it is not known to have been done, in a sentence without the token.
    pub(super) fn purge(&self, keys: &[Key]) -> Result<(), String> {
        let everything = [Set::Everything.key()];
        let keys = if keys.len() > most_keys(self.cdn.form) { &everything } else { keys };
        let (head, body) = self.request(keys);
        let request: Request<Vec<u8>> =
            head.body(body).map_err(|error| format!("the request could not be made: {error}"))?;
        let answer = self.agent.run(request).map_err(|error| format!("the network could not be reached: {error}"))?;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("the network answered {status}")) }
    }

    fn request(&self, keys: &[Key]) -> (request::Builder, Vec<u8>) {
        let names: Vec<&str> = keys.iter().map(Key::as_str).collect();
        let token = self.cdn.token.as_ref().map(ExposeSecret::expose_secret);
        let at = |method| Request::builder().method(method).uri(&self.cdn.purge_url);
        let bearer = |head: request::Builder| match token {
            Some(token) => head.header(header::AUTHORIZATION.as_str(), format!("Bearer {token}")),
            None => head,
        };
        match self.cdn.form {
            // https://www.fastly.com/documentation/reference/api/purging/
            CdnForm::Fastly => {
                let head = at("POST").header("Fastly-Key", token.unwrap_or_default());
                let head = head.header(header::CONTENT_TYPE.as_str(), JSON).header(header::ACCEPT.as_str(), JSON);
                (head, json!({ "surrogate_keys": names }).to_string().into_bytes())
            }
            // https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
            CdnForm::Cloudflare => {
                let head = bearer(at("POST")).header(header::CONTENT_TYPE.as_str(), JSON);
                (head, json!({ "tags": names }).to_string().into_bytes())
            }
            // What docs/cdn.md makes of it.
            CdnForm::Varnish => (bearer(at("PURGE")).header("Surrogate-Key", names.join(" ")), Vec::new()),
        }
    }
}

/// How many keys a network takes at once.
fn most_keys(form: CdnForm) -> usize {
    match form {
        // With Varnish, a header of some 3 KB.
        CdnForm::Fastly | CdnForm::Varnish => 256,
        CdnForm::Cloudflare => 100,
    }
}
