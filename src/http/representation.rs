//! A delivery answer, finished: its bytes in each content coding, made once, and the headers that go with them.
//!
//! The entity tag is made from the bytes and differs for each coding (RFC 9110, 8.8.3). What a client has is told apart
//! here, too, so that a kept answer and a fresh one are the same to the letter.

use std::io::Write;
use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::CachePolicy;
use super::conditional::{content_tag, is_not_modified};
use crate::db::{ContentVersion, Timestamp};

static CONTENT_VERSION: HeaderName = HeaderName::from_static("content-version");

/// What is smaller than this is sent as it is: a packet is a packet. In bytes.
const LEAST_CODED: usize = 512;
/// How hard Brotli tries (0 to 11): what is made once and sent often is worth some time, not all of it.
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 22;

/// A content coding (RFC 9110, 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// `br` (RFC 7932).
    Brotli,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl Coding {
    /// The coding that a client likes best; where it likes several alike, the smallest.
    pub fn preferred(headers: &HeaderMap) -> Self {
        let mut liked = Liked::default();
        for value in headers.get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok()) {
            value.split(',').for_each(|element| liked.note(element));
        }
        liked.best()
    }

    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }
}

/// How much a client likes each coding, in thousandths (RFC 9110, 12.5.3); none where it does not say.
#[derive(Default)]
struct Liked {
    brotli: Option<u32>,
    gzip: Option<u32>,
    identity: Option<u32>,
    others: Option<u32>,
}

impl Liked {
    fn note(&mut self, element: &str) {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let weight = weight(parameters);
        match name.trim().to_ascii_lowercase().as_str() {
            "br" => self.brotli = Some(weight),
            "gzip" | "x-gzip" => self.gzip = Some(weight),
            "identity" => self.identity = Some(weight),
            "*" => self.others = Some(weight),
            _ => {}
        }
    }

    fn best(&self) -> Coding {
        let of = |own: Option<u32>| own.or(self.others).unwrap_or(0);
        let (brotli, gzip) = (of(self.brotli), of(self.gzip));
        // Where it is not named, it is taken and not asked for.
        let identity = self.identity.unwrap_or(0);
        if brotli > 0 && brotli >= gzip && brotli >= identity {
            Coding::Brotli
        } else if gzip > 0 && gzip >= identity {
            Coding::Gzip
        } else {
            Coding::Identity
        }
    }
}

/// The weight among an element's parameters; one that can't be read is none.
fn weight(parameters: &str) -> u32 {
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    match value.map(str::parse::<f32>) {
        None => 1000,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        Some(Ok(weight)) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u32,
        Some(_) => 0,
    }
}

/// Bytes in one coding, with their tag.
struct Coded {
    bytes: Bytes,
    tag: String,
}

/// A finished answer.
pub struct Representation {
    content_type: &'static str,
    version: ContentVersion,
    cache_control: HeaderValue,
    last_modified: HeaderValue,
    links: Option<HeaderValue>,
    identity: Coded,
    /// None within where the coding makes it no smaller.
    brotli: OnceLock<Option<Coded>>,
    gzip: OnceLock<Option<Coded>>,
}

impl Representation {
    /// An answer of these bytes that shows the state `version`.
    pub fn new(
        content_type: &'static str,
        bytes: Vec<u8>,
        version: ContentVersion,
        policy: CachePolicy,
        links: Option<String>,
    ) -> Self {
        let header = |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
        Self {
            content_type,
            version,
            cache_control: header(policy.header()),
            last_modified: header(version.changed_at.http_date()),
            links: links.and_then(|links| HeaderValue::from_str(&links).ok()),
            identity: Coded { tag: content_tag(&bytes), bytes: bytes.into() },
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    /// Which state it shows.
    pub fn version(&self) -> ContentVersion {
        self.version
    }

    /// How many bytes it takes at most, with all its codings.
    pub fn weight(&self) -> u64 {
        // A coding is kept only where it is smaller; both together are not larger than the bytes themselves in practice.
        2 * self.identity.bytes.len() as u64 + 1024
    }

    /// The answer to a request with these headers.
    pub fn answer(&self, headers: &HeaderMap, now: Timestamp) -> HttpResponse<BoxBody> {
        let (coding, coded) = self.coded(Coding::preferred(headers));
        let is_unchanged = is_not_modified(headers, &coded.tag, self.version.changed_at, now);
        let mut response = HttpResponse::build(if is_unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        response
            .insert_header((header::CACHE_CONTROL, self.cache_control.clone()))
            .insert_header((header::VARY, HeaderValue::from_static("Accept-Encoding")))
            .insert_header((header::LAST_MODIFIED, self.last_modified.clone()))
            .insert_header((CONTENT_VERSION.clone(), self.version.number))
            .insert_header((header::ETAG, coded.tag.as_str()));
        if is_unchanged {
            return response.finish();
        }
        if let Some(links) = &self.links {
            response.insert_header((header::LINK, links.clone()));
        }
        if let Some(name) = coding.name() {
            response.insert_header((header::CONTENT_ENCODING, HeaderValue::from_static(name)));
        }
        response.content_type(self.content_type).body(coded.bytes.clone())
    }

    /// The bytes in a coding, or as they are where that makes them no smaller.
    fn coded(&self, coding: Coding) -> (Coding, &Coded) {
        let plain = &self.identity;
        let made = match coding {
            Coding::Identity => None,
            _ if plain.bytes.len() < LEAST_CODED => None,
            Coding::Brotli => self.brotli.get_or_init(|| smaller(plain, "br", brotli(&plain.bytes))).as_ref(),
            Coding::Gzip => self.gzip.get_or_init(|| smaller(plain, "gz", gzip(&plain.bytes))).as_ref(),
        };
        made.map_or((Coding::Identity, plain), |coded| (coding, coded))
    }
}

/// The coded bytes with a tag of their own, where they are fewer.
fn smaller(plain: &Coded, suffix: &str, bytes: Option<Vec<u8>>) -> Option<Coded> {
    let bytes = bytes.filter(|bytes| bytes.len() < plain.bytes.len())?;
    let opaque = plain.tag.trim_end_matches('"');
    Some(Coded { bytes: bytes.into(), tag: format!("{opaque}-{suffix}\"") })
}

fn brotli(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(bytes).ok()?;
    Some(writer.into_inner())
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).ok()?;
    writer.finish().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn preferred(accept: &str) -> Coding {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        Coding::preferred(&headers)
    }

    #[test]
    fn a_client_gets_the_coding_that_it_likes_best() {
        for (accept, coding) in [
            ("gzip, deflate, br, zstd", Coding::Brotli),
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("GZIP;q=0.5, BR;Q=0.4", Coding::Gzip),
            ("br;q=0, gzip;q=0.1", Coding::Gzip),
            ("*", Coding::Brotli),
            ("*;q=0.5, br;q=0", Coding::Gzip),
            ("*;q=0", Coding::Identity),
            ("identity, gzip;q=0.5", Coding::Identity),
            ("identity;q=0.1, gzip;q=0.5", Coding::Gzip),
            ("gzip;q=2", Coding::Identity),
            ("gzip;q=x", Coding::Identity),
            ("zstd", Coding::Identity),
            ("", Coding::Identity),
            (", ,;q", Coding::Identity),
        ] {
            assert_eq!(preferred(accept), coding, "{accept}");
        }
        assert_eq!(Coding::preferred(&HeaderMap::new()), Coding::Identity);
    }

    proptest! {
        #[test]
        fn every_coding_gives_the_bytes_back(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
            let mut unzipped = Vec::new();
            flate2::read::GzDecoder::new(gzip(&bytes).unwrap().as_slice()).read_to_end(&mut unzipped).unwrap();
            prop_assert_eq!(&unzipped, &bytes);
            let mut unpacked = Vec::new();
            brotli::Decompressor::new(brotli(&bytes).unwrap().as_slice(), 4096).read_to_end(&mut unpacked).unwrap();
            prop_assert_eq!(&unpacked, &bytes);
        }
    }
}
