//! Content codings (RFC 9110, 8.4): which one a client wants, and bytes in each, made once.
//!
//! The entity tag is made from the bytes and differs for each coding (RFC 9110, 8.8.3).

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Write;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpRequest};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

use super::api::Input;
use super::conditional::content_tag;
use super::description::Description;

/// What is smaller than this is sent as it is: a packet is a packet. In bytes.
const LEAST_CODED: usize = 512;
/// What is larger than this is coded beside the workers, which answer others meanwhile. In bytes.
const MOST_CODED_HERE: usize = 32 * 1024;
/// A coding is kept where it saves at least one part of so many: else it is not worth its room.
const LEAST_SAVED: u64 = 4;
/// How hard Brotli tries (0 to 11): what is made once and sent often is worth some time, not all of it.
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 22;

/// What the document says of the header.
pub const CONTENT_ENCODING: &str =
    "`br` or `gzip`, as `Accept-Encoding` asks for; absent where the answer is sent as it is.";

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
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }

    const fn tag_suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    fn encode(self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Identity => Some(bytes.to_vec()),
            Self::Brotli => brotli(bytes),
            Self::Gzip => gzip(bytes),
        }
    }
}

/// What a client wants of content codings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    coding: Coding,
    /// Whether it can do nothing with bytes that are not coded.
    refuses_identity: bool,
}

impl Wanted {
    /// The coding that a client likes best; where it likes several alike, the smallest.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut liked = Liked::default();
        for value in headers.get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok()) {
            value.split(',').for_each(|element| liked.note(element));
        }
        liked.best()
    }
}

impl FromRequest for Wanted {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(req.headers())))
    }
}

impl Input for Wanted {
    /// Each client has its own ways to ask for a coding; what it asks for can't be wrong.
    fn describe(_description: &mut Description) {}
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
        let (name, weight) = (name.trim(), weight(parameters));
        let is = |coding: &str| name.eq_ignore_ascii_case(coding);
        if is("br") {
            self.brotli = Some(weight);
        } else if is("gzip") || is("x-gzip") {
            self.gzip = Some(weight);
        } else if is("identity") {
            self.identity = Some(weight);
        } else if name == "*" {
            self.others = Some(weight);
        }
    }

    fn best(&self) -> Wanted {
        let of = |own: Option<u32>| own.or(self.others);
        let (brotli, gzip) = (of(self.brotli).unwrap_or(0), of(self.gzip).unwrap_or(0));
        // Where nothing is said of it, it is taken and not asked for.
        let identity = of(self.identity);
        let least = identity.unwrap_or(0);
        let coding = if brotli > 0 && brotli >= gzip && brotli >= least {
            Coding::Brotli
        } else if gzip > 0 && gzip >= least {
            Coding::Gzip
        } else {
            Coding::Identity
        };
        Wanted { coding, refuses_identity: identity == Some(0) }
    }
}

/// The weight among an element's parameters, in thousandths; one that can't be read is none.
fn weight(parameters: &str) -> u32 {
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    value.map_or(1000, |value| qvalue(value).unwrap_or(0))
}

/// Reads `0.5` or `1.000`: a digit, and up to three after a point (RFC 9110, 12.4.2).
fn qvalue(text: &str) -> Option<u32> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Bytes in one coding, with their tag; cheap to clone.
#[derive(Clone)]
pub struct Coded {
    coding: Coding,
    /// The bytes.
    pub bytes: Bytes,
    /// The entity tag, strong.
    pub tag: HeaderValue,
}

impl Coded {
    /// What `Content-Encoding` says of the bytes; none where they are not coded.
    pub fn content_encoding(&self) -> Option<HeaderValue> {
        self.coding.name().map(HeaderValue::from_static)
    }
}

/// Bytes in each coding.
pub struct Codings {
    identity: Coded,
    /// None within where the coding saves too little.
    brotli: OnceCell<Option<Coded>>,
    gzip: OnceCell<Option<Coded>>,
}

impl Codings {
    /// These bytes, in no coding yet.
    pub fn new(bytes: Vec<u8>) -> Self {
        let tag = HeaderValue::from_str(&content_tag(&bytes)).unwrap_or(HeaderValue::from_static(""));
        Self {
            identity: Coded { coding: Coding::Identity, bytes: exact(bytes), tag },
            brotli: OnceCell::new(),
            gzip: OnceCell::new(),
        }
    }

    /// How many bytes all of them take at most.
    pub fn weight(&self) -> u64 {
        let length = self.identity.bytes.len() as u64;
        length + 2 * (length - length / LEAST_SAVED)
    }

    /// The answer as it is.
    pub fn plain(&self) -> Coded {
        self.identity.clone()
    }

    /// The answer in the coding that a client likes best; none where that is still to be made.
    pub fn made(&self, wanted: Wanted) -> Option<Coded> {
        let Some(cell) = self.cell(wanted) else { return Some(self.plain()) };
        match cell.get()? {
            Some(coded) => Some(coded.clone()),
            None if wanted.refuses_identity => None,
            None => Some(self.plain()),
        }
    }

    /// The same, and makes it: beside the workers where that takes long, and once, however many ask for it.
    pub async fn coded(&self, wanted: Wanted) -> Coded {
        let Some(cell) = self.cell(wanted) else { return self.plain() };
        let coded =
            cell.get_or_init(|| async { self.code(wanted.coding).await.filter(|coded| self.saves(coded)) }).await;
        match coded {
            Some(coded) => coded.clone(),
            None if wanted.refuses_identity => self.code(wanted.coding).await.unwrap_or_else(|| self.plain()),
            None => self.plain(),
        }
    }

    /// Where a coding is kept; none where the bytes are sent as they are.
    fn cell(&self, wanted: Wanted) -> Option<&OnceCell<Option<Coded>>> {
        if self.identity.bytes.len() < LEAST_CODED && !wanted.refuses_identity {
            return None;
        }
        match wanted.coding {
            Coding::Identity => None,
            Coding::Brotli => Some(&self.brotli),
            Coding::Gzip => Some(&self.gzip),
        }
    }

    fn saves(&self, coded: &Coded) -> bool {
        let length = self.identity.bytes.len() as u64;
        coded.bytes.len() as u64 <= length - length / LEAST_SAVED
    }

    async fn code(&self, coding: Coding) -> Option<Coded> {
        let bytes = self.identity.bytes.clone();
        let bytes = if bytes.len() > MOST_CODED_HERE {
            web::block(move || coding.encode(&bytes)).await.ok()?
        } else {
            coding.encode(&bytes)
        };
        let opaque = self.identity.tag.to_str().ok()?.trim_end_matches('"');
        let tag = HeaderValue::from_str(&format!("{opaque}-{}\"", coding.tag_suffix())).ok()?;
        Some(Coded { coding, bytes: exact(bytes?), tag })
    }
}

/// Bytes that take no more room than they need.
fn exact(bytes: Vec<u8>) -> Bytes {
    Bytes::from(bytes.into_boxed_slice())
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

    fn wanted(accept: &str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        Wanted::of(&headers)
    }

    #[test]
    fn a_client_gets_the_coding_that_it_likes_best() {
        for (accept, coding) in [
            ("gzip, deflate, br, zstd", Coding::Brotli),
            ("gzip", Coding::Gzip),
            ("x-gzip", Coding::Gzip),
            ("GZIP;q=0.5, BR;Q=0.4", Coding::Gzip),
            ("br;q=0, gzip;q=0.1", Coding::Gzip),
            ("br;q=0.0, gzip;q=0.000", Coding::Identity),
            ("*", Coding::Brotli),
            ("*;q=0.5, br;q=0, identity;q=0.1", Coding::Gzip),
            ("br;q=0, gzip;q=0.2, *", Coding::Identity),
            ("gzip;q=0.251, br;q=0.25", Coding::Gzip),
            ("*;q=0", Coding::Identity),
            ("identity, gzip;q=0.5", Coding::Identity),
            ("identity;q=0.1, gzip;q=0.5", Coding::Gzip),
            ("gzip;q=2", Coding::Identity),
            ("gzip;q=1.001", Coding::Identity),
            ("gzip;q=1e-1", Coding::Identity),
            ("gzip;q=+0.5", Coding::Identity),
            ("gzip;q=0.1234", Coding::Identity),
            ("gzip;q=x", Coding::Identity),
            ("gzip;q=1., br;q=0.", Coding::Gzip),
            ("zstd", Coding::Identity),
            ("", Coding::Identity),
            (", ,;q", Coding::Identity),
        ] {
            assert_eq!(wanted(accept).coding, coding, "{accept}");
        }
        assert_eq!(Wanted::of(&HeaderMap::new()), Wanted { coding: Coding::Identity, refuses_identity: false });
        for (accept, refuses) in
            [("gzip, identity;q=0", true), ("gzip, *;q=0", true), ("*;q=0, identity", false), ("gzip", false)]
        {
            assert_eq!(wanted(accept).refuses_identity, refuses, "{accept}");
        }
    }

    #[tokio::test]
    async fn who_refuses_what_is_not_coded_gets_it_coded_whatever_that_saves() {
        let small = Codings::new(b"x".to_vec());
        assert_eq!(small.coded(wanted("gzip")).await.coding, Coding::Identity);
        let coded = small.coded(wanted("gzip, identity;q=0")).await;
        assert_eq!((coded.coding, coded.bytes.to_vec()), (Coding::Gzip, gzip(b"x").unwrap()));
        assert_eq!(small.coded(wanted("gzip")).await.coding, Coding::Identity);
        assert_eq!(small.coded(wanted("*;q=0")).await.coding, Coding::Identity, "there is nothing else to send");
    }

    #[tokio::test]
    async fn a_coding_is_kept_where_it_saves_something_and_the_weight_says_how_much_all_of_them_take() {
        let words = Codings::new(b"words ".repeat(20_000));
        assert!(words.made(wanted("br")).is_none() && words.made(wanted("")).is_some());
        let coded = [words.coded(wanted("br")).await, words.coded(wanted("gzip")).await];
        assert!(words.made(wanted("br")).is_some());
        let taken: usize = coded.iter().map(|coded| coded.bytes.len()).sum::<usize>() + words.identity.bytes.len();
        assert!(taken as u64 <= words.weight(), "{taken}");
        let noise: Vec<u8> =
            (0..2000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let noise = Codings::new(noise);
        assert_eq!(noise.coded(wanted("br")).await.coding, Coding::Identity);
        assert!(noise.made(wanted("br")).is_some(), "that is known from then on");
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
