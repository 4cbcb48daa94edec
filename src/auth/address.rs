//! Where a request comes from, for limits alone: it is never logged.
//!
//! The peer of the connection counts, unless it is a proxy that the settings trust: then the last address that
//! no trusted proxy has written, by `X-Forwarded-For` or `Forwarded` (RFC 7239). Where both are there and
//! disagree, one of them may come from the client, and the proxy itself counts.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};

use crate::http::{Description, Input, Problem};
use crate::state::App;

/// The most that is kept of what a client calls itself, in characters.
const MOST_USER_AGENT: usize = 200;

/// Who is on the other side.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its network: an IPv4 address, or the first half of an IPv6 one, since who has one has all of that.
    pub(crate) network: Vec<u8>,
    /// The wider network of an IPv6 one, which many of them may belong to.
    pub(crate) wide_network: Option<Vec<u8>>,
    /// Whether the address is a client's: where it is that of a trusted proxy, it may be anybody's.
    pub(crate) is_certain: bool,
    /// What it calls itself.
    pub(crate) user_agent: Option<String>,
}

/// Whether a proxy that nobody trusts has sent forwarding headers: its clients then share one limit.
#[derive(Debug, Default)]
pub struct UntrustedProxy(AtomicBool);

impl UntrustedProxy {
    /// Whether one was seen since the start.
    pub fn was_seen(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Looks at a request; says so loudly, once.
    fn look(&self, peer: IpAddr, headers: &HeaderMap) {
        if is_private(peer) && forwards(headers) && !self.0.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "a proxy on a private address sends X-Forwarded-For or Forwarded and is not trusted: all its \
                 clients share one limit; name it in COPYDESK_TRUSTED_PROXIES"
            );
        }
    }
}

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(app) = req.app_data::<web::Data<App>>() else {
            return ready(Err(Problem::internal("the application's state is missing")));
        };
        let peer = req.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let trusted = |address: IpAddr| app.config.trusted_proxies.iter().any(|network| network.contains(address));
        if !trusted(peer) {
            app.untrusted_proxy.look(peer, req.headers());
        }
        let address = client_address(peer, req.headers(), trusted);
        let user_agent = req.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
        let user_agent = user_agent.map(|text| text.chars().take(MOST_USER_AGENT).collect());
        ready(Ok(Self {
            network: network(address),
            wide_network: wide_network(address),
            is_certain: !trusted(address),
            user_agent,
        }))
    }
}

impl Input for Client {
    fn describe(_: &mut Description) {}
}

fn forwards(headers: &HeaderMap) -> bool {
    headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded")
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// The address that counts.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted(peer) {
        return peer;
    }
    let by_x_forwarded_for = walk(peer, &hops(headers, "x-forwarded-for", plain), &trusted);
    let by_forwarded = walk(peer, &hops(headers, "forwarded", forwarded_for), &trusted);
    match (headers.contains_key("x-forwarded-for"), headers.contains_key("forwarded")) {
        (true, false) => by_x_forwarded_for,
        (false, true) => by_forwarded,
        (true, true) if by_x_forwarded_for == by_forwarded => by_forwarded,
        _ => peer,
    }
}

/// Goes from the server towards the client as long as each hop is trusted to name the next.
fn walk(peer: IpAddr, hops: &[Option<IpAddr>], trusted: &impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut address = peer;
    for hop in hops.iter().rev() {
        match hop {
            Some(next) if trusted(address) => address = *next,
            _ => break,
        }
    }
    address
}

/// The addresses of a header, the client's end first; what names none is a hop that leads no further.
fn hops(headers: &HeaderMap, name: &str, read: impl Fn(&str) -> Option<IpAddr>) -> Vec<Option<IpAddr>> {
    let elements = headers.get_all(name).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    // An unreadable element hides no other one.
    elements.map(|element| std::str::from_utf8(element).ok().and_then(|text| read(text.trim()))).collect()
}

/// An address, maybe with brackets and a port.
fn plain(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches('"');
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if text.matches(':').count() == 1 => text.split(':').next()?,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The `for` of a forwarded element (RFC 7239, 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().to_owned())
    };
    plain(&element.split(';').find_map(pair)?)
}

/// The wider network, whose holder has as many of the others as they like.
fn wide_network(address: IpAddr) -> Option<Vec<u8>> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address.octets()[..6].to_vec()),
    }
}

/// What shares a limit.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::config::Network;

    fn address(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let bytes: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        address_of_bytes(peer, &bytes)
    }

    fn address_of_bytes(peer: &str, headers: &[(&'static str, &[u8])]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        let trusted: Vec<Network> = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let trusts = |address| trusted.iter().any(|network| network.contains(address));
        client_address(peer.parse().unwrap(), &map, trusts).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        assert_eq!(address("192.0.2.1", &[("x-forwarded-for", "203.0.113.9")]), "192.0.2.1");
        assert_eq!(address("10.0.0.1", &[("x-forwarded-for", "203.0.113.9")]), "203.0.113.9");
        assert_eq!(address("::ffff:10.0.0.1", &[("x-forwarded-for", "203.0.113.9")]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https")]), "2001:db8::7");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        let forged = [("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7")];
        assert_eq!(address("10.0.0.1", &forged), "203.0.113.9");
        let twice = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(address("10.0.0.1", &twice), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, rubbish")]), "10.0.0.1");
    }

    #[test]
    fn what_can_not_be_read_hides_nothing_else() {
        let forged: &[u8] = b"\xff, 203.0.113.51";
        assert_eq!(address_of_bytes("10.0.0.1", &[("x-forwarded-for", forged)]), "203.0.113.51");
    }

    #[test]
    fn two_headers_that_disagree_are_not_believed() {
        let both = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(address("10.0.0.1", &both), "10.0.0.1");
        let same = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(address("10.0.0.1", &same), "203.0.113.9");
    }

    #[test]
    fn ipv6_counts_by_its_first_half() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network("2001:db8:0:1::1".parse().unwrap()), network("2001:db8::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
