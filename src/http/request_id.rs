//! The id of a request, by which its answer and the log are told together.

use std::cell::Cell;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use uuid::Uuid;

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// The header that has it.
pub(super) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's id where it is harmless to repeat and log, else one of ours.
pub(super) fn request_id(request: &ServiceRequest) -> HeaderValue {
    let sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (8..=64).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    request.headers().get(&X_REQUEST_ID).filter(sane).cloned().unwrap_or_else(fresh)
}

/// An id that no other request has: what this thread drew when it began, and a count. It is no secret, and drawing
/// numbers for each request would cost more than finding a kept answer.
fn fresh() -> HeaderValue {
    thread_local! {
        static NEXT: Cell<(u64, u64)> = Cell::new((Uuid::now_v7().as_u64_pair().1, 0));
    }
    let (drawn, count) = NEXT.get();
    NEXT.set((drawn, count.wrapping_add(1)));
    let mut digits = [0; 32];
    let bytes = drawn.to_be_bytes().into_iter().chain(count.to_be_bytes());
    for (two, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        two.copy_from_slice(&[HEXADECIMAL[usize::from(byte >> 4)], HEXADECIMAL[usize::from(byte & 15)]]);
    }
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("0"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use actix_web::test::TestRequest;

    use super::*;

    fn id_for(sent: &str) -> String {
        let request = TestRequest::default().insert_header((X_REQUEST_ID.clone(), sent)).to_srv_request();
        request_id(&request).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_clients_id_is_kept_where_it_is_sane() {
        for sane in ["abcd-EF_0.9", &"x".repeat(64)] {
            assert_eq!(id_for(sane), sane);
        }
        for other in ["", "short", "with space", "quote\"quote", &"x".repeat(65)] {
            assert_ne!(id_for(other), other);
        }
    }

    #[test]
    fn ours_differ_also_between_threads() {
        let draw = || (0..1000).map(|_| fresh().to_str().unwrap().to_owned()).collect::<Vec<_>>();
        let all: HashSet<String> = [draw(), std::thread::spawn(draw).join().unwrap()].concat().into_iter().collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    }
}
