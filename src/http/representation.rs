//! A delivery answer, finished: its bytes in each content coding, made once, and the headers that go with them.
//!
//! What a client has is told apart here, too, so that a kept answer and a fresh one are the same to the letter.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::coding::{Coded, Codings, Wanted};
use super::conditional::is_not_modified;
use super::delivered::{CachePolicy, Seen};
use crate::db::{ContentVersion, Timestamp};

static CONTENT_VERSION: HeaderName = HeaderName::from_static("content-version");

/// A finished answer.
pub struct Representation {
    content_type: HeaderValue,
    version: ContentVersion,
    content_version: HeaderValue,
    cache_control: HeaderValue,
    last_modified: HeaderValue,
    links: Option<HeaderValue>,
    /// What tells a CDN what it is made of.
    keys: Option<(HeaderName, HeaderValue)>,
    codings: Codings,
}

impl Representation {
    /// An answer of these bytes that shows what was seen.
    pub fn new(
        content_type: &'static str,
        bytes: Vec<u8>,
        seen: Seen,
        policy: CachePolicy,
        links: Option<String>,
    ) -> Self {
        let header = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        let Seen { version, keys } = seen;
        Self {
            content_type: HeaderValue::from_static(content_type),
            version,
            content_version: version.number.into(),
            cache_control: header(policy.header()),
            last_modified: header(version.changed_at.http_date()),
            links: links.and_then(|links| HeaderValue::from_str(&links).ok()),
            keys,
            codings: Codings::new(bytes),
        }
    }

    /// Which state it shows.
    pub fn version(&self) -> ContentVersion {
        self.version
    }

    /// How many bytes it takes at most, with all its codings.
    pub fn weight(&self) -> u64 {
        let keys = self.keys.as_ref().map(|(_, value)| value);
        let headers: usize = self.links.iter().chain(keys).map(HeaderValue::len).sum();
        self.codings.weight() + headers as u64 + 1024
    }

    /// The answer as it is.
    pub fn plain(&self) -> Coded {
        self.codings.plain()
    }

    /// The answer in the coding that a client likes best; none where that is still to be made.
    pub fn made(&self, wanted: Wanted) -> Option<Coded> {
        self.codings.made(wanted)
    }

    /// The same, and makes it.
    pub async fn coded(&self, wanted: Wanted) -> Coded {
        self.codings.coded(wanted).await
    }

    /// The answer to a request with these headers, in a coding that it accepts. A `304` has what caches refresh what they
    /// hold by, and nothing else of the answer (RFC 9110, 15.4.5).
    pub fn answer(&self, coded: Coded, headers: &HeaderMap, now: Timestamp) -> HttpResponse<BoxBody> {
        let content_encoding = coded.content_encoding();
        let tag = coded.tag.to_str().unwrap_or_default();
        let is_unchanged = is_not_modified(headers, tag, self.version, now);
        let mut response = if is_unchanged {
            HttpResponse::with_body(StatusCode::NOT_MODIFIED, BoxBody::new(()))
        } else {
            HttpResponse::with_body(StatusCode::OK, BoxBody::new(coded.bytes))
        };
        let all = response.headers_mut();
        all.insert(header::ETAG, coded.tag);
        all.insert(header::CACHE_CONTROL, self.cache_control.clone());
        all.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        all.insert(CONTENT_VERSION.clone(), self.content_version.clone());
        if let Some((name, value)) = &self.keys {
            all.insert(name.clone(), value.clone());
        }
        if is_unchanged {
            return response;
        }
        all.insert(header::LAST_MODIFIED, self.last_modified.clone());
        all.insert(header::CONTENT_TYPE, self.content_type.clone());
        if let Some(links) = &self.links {
            all.insert(header::LINK, links.clone());
        }
        if let Some(content_encoding) = content_encoding {
            all.insert(header::CONTENT_ENCODING, content_encoding);
        }
        response
    }
}
