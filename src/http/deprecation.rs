//! Operations that are on their way out: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594), said by the route table and so
//! on each of their answers, kept ones and refusals too.

use std::collections::HashMap;

use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use serde_json::{Map, Value, json};

use super::description::described_header;
use crate::db::Timestamp;

static DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
static SUNSET: HeaderName = HeaderName::from_static("sunset");

/// That an operation should not be used any more.
#[derive(Debug, Clone, Copy)]
pub struct Deprecation {
    /// Since when, in seconds of Unix time.
    pub since: i64,
    /// From when on it may be gone, in seconds of Unix time; none where that is not decided.
    pub sunset: Option<i64>,
    /// The page that says what to use instead, as a relative reference.
    pub page: &'static str,
}

impl Deprecation {
    /// The header fields that say so.
    fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        let sunset = self.sunset.map(|at| (SUNSET.clone(), Timestamp::from_unix_millis(at * 1000).http_date()));
        let fields = [
            (DEPRECATION.clone(), format!("@{}", self.since)),
            (LINK, format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", self.page)),
        ];
        let fields = fields.into_iter().chain(sunset);
        fields.filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))).collect()
    }

    /// Says so in an operation of the document.
    pub(super) fn describe(self, operation: &mut Map<String, Value>) {
        operation.insert("deprecated".to_owned(), json!(true));
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for response in responses.into_iter().flat_map(Map::values_mut) {
            for (name, value) in self.headers() {
                let (name, words) = told(&name);
                // A list has links of its own.
                if response["headers"].get(name).is_none() {
                    response["headers"][name] = described_header(name, words, true);
                    response["headers"][name]["example"] = json!(value.to_str().ok());
                }
            }
        }
    }
}

/// How a header is written in the document, and what is said of it.
fn told(name: &HeaderName) -> (&'static str, &'static str) {
    if *name == DEPRECATION {
        let words = "Since when the operation should not be used any more (RFC 9745); `Link` has the page that says what to use instead.";
        ("Deprecation", words)
    } else if *name == LINK {
        ("Link", "The page that says what to use instead, as `deprecation`.")
    } else {
        ("Sunset", "From when on the operation may be gone (RFC 8594).")
    }
}

/// The operations that are deprecated, by method and path template.
#[derive(Debug, Clone, Default)]
pub struct Deprecations(HashMap<(Method, String), Vec<(HeaderName, HeaderValue)>>);

impl Deprecations {
    /// Adds an operation.
    pub(super) fn insert(&mut self, method: Method, path: String, deprecation: Deprecation) {
        self.0.insert((method, path), deprecation.headers());
    }

    /// Says on an answer that its operation is deprecated, where it is.
    pub fn tell(&self, method: &Method, route: impl FnOnce() -> Option<String>, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        let known = route().and_then(|route| self.0.get(&(method, route)));
        for (name, value) in known.into_iter().flatten() {
            // A list has links of its own.
            headers.append(name.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::web::Data;
    use actix_web::{App, Scope, test, web};

    use super::*;
    use crate::http::api::Scoped;
    use crate::http::{Managed, NoParameters, Operations, Query, edge};

    /// Get the old
    ///
    /// What is on its way out. Open to anyone.
    #[utoipa::path(get, path = "/api/v1/old", tag = "Operation")]
    async fn get_old(_query: Query<NoParameters>) -> Managed<String> {
        Managed::new("old".to_owned())
    }

    /// Get the new
    ///
    /// What stays. Open to anyone.
    #[utoipa::path(get, path = "/api/v1/new", tag = "Operation")]
    async fn get_new(_query: Query<NoParameters>) -> Managed<String> {
        Managed::new("new".to_owned())
    }

    fn operations() -> Operations {
        let deprecation = Deprecation { since: 1_800_000_000, sunset: Some(1_830_000_000), page: "/guides/changelog" };
        let operations = Operations::new().operation(__path_get_old, get_old).operation(__path_get_new, get_new);
        operations.deprecated("get_old", deprecation)
    }

    #[actix_web::test]
    async fn each_answer_of_what_is_deprecated_says_so_and_others_don_t() {
        let mut service = App::new().app_data(Data::new(operations().deprecations()));
        for Scoped { prefix, resources } in operations().resources() {
            let resources = resources.into_iter().map(|(resource, ..)| resource);
            service = service.service(resources.fold(web::scope(prefix), Scope::service));
        }
        let service = test::init_service(service.wrap(from_fn(edge::pass))).await;
        for (path, status) in [("/api/v1/old", 200), ("/api/v1/old?x=1", 400), ("/api/v1/new", 200)] {
            let answer = test::call_service(&service, test::TestRequest::get().uri(path).to_request()).await;
            assert_eq!(answer.status(), status);
            let said = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let is_old = path.contains("old");
            let wanted = |text: &str| is_old.then(|| text.to_owned());
            assert_eq!(said("deprecation"), wanted("@1800000000"), "{path}");
            assert_eq!(said("sunset"), wanted("Tue, 28 Dec 2027 13:20:00 GMT"));
            assert_eq!(said("link"), wanted("</guides/changelog>; rel=\"deprecation\"; type=\"text/html\""));
        }
    }

    #[::core::prelude::v1::test]
    fn the_document_says_so_too() {
        let (paths, _) = operations().document();
        let (old, new) = (&paths["/api/v1/old"]["get"], &paths["/api/v1/new"]["get"]);
        assert_eq!((&old["deprecated"], new.get("deprecated")), (&json!(true), None));
        for (_, response) in old["responses"].as_object().unwrap() {
            let shown = ["Deprecation", "Link", "Sunset"].map(|name| {
                assert_eq!(response["headers"][name]["required"], true, "{name}");
                response["headers"][name]["example"].as_str().unwrap()
            });
            let page = "</guides/changelog>; rel=\"deprecation\"; type=\"text/html\"";
            assert_eq!(shown, ["@1800000000", page, "Tue, 28 Dec 2027 13:20:00 GMT"]);
        }
        assert!(new["responses"]["200"]["headers"].get("Deprecation").is_none());
    }

    #[::core::prelude::v1::test]
    #[should_panic(expected = "get_odl is no operation")]
    fn what_is_deprecated_is_an_operation() {
        let deprecation = Deprecation { since: 0, sunset: None, page: "/" };
        operations().deprecated("get_odl", deprecation).document();
    }
}
