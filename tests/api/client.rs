//! A caller: sends anything, takes every status as an answer, and has each answer held against the document.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http;

use crate::contract::Contract;

/// Nothing takes this long: a test that would wait for ever fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the callers of one server share.
pub(crate) struct Wire {
    /// Where the server listens.
    pub address: SocketAddr,
    agent: ureq::Agent,
    contract: Arc<Contract>,
}

impl Wire {
    /// Gets to know a server: reads its document.
    pub(crate) fn new(address: SocketAddr) -> Arc<Self> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .proxy(None)
            // A connection that waits for more would make the server's graceful stop wait as well.
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let url = format!("http://{address}/openapi.json");
        let document = agent.get(&url).call().unwrap().body_mut().read_to_vec().unwrap();
        Arc::new(Self { address, agent, contract: Contract::of(&document) })
    }
}

/// A kind of caller.
#[derive(Clone)]
pub(crate) struct Client {
    wire: Arc<Wire>,
    token: Option<String>,
}

impl Client {
    /// A caller that sends this token.
    pub(crate) fn new(wire: Arc<Wire>, token: Option<String>) -> Self {
        Self { wire, token }
    }

    /// The token that is sent.
    pub(crate) fn token(&self) -> &str {
        self.token.as_deref().expect("a caller with a token")
    }

    /// Gets a path.
    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    /// Asks for the head of a path.
    pub(crate) fn head(&self, path: &str) -> Response {
        self.request("HEAD", path).send()
    }

    /// Posts JSON.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Response {
        self.request("POST", path).json(body).send()
    }

    /// Patches what has this entity tag.
    pub(crate) fn patch(&self, path: &str, if_match: &str, body: &Value) -> Response {
        self.request("PATCH", path).header("if-match", if_match).json(body).send()
    }

    /// Deletes what has this entity tag.
    pub(crate) fn delete(&self, path: &str, if_match: &str) -> Response {
        self.request("DELETE", path).header("if-match", if_match).send()
    }

    /// Begins a request of any method.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let mut request = Request {
            wire: Arc::clone(&self.wire),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        if let Some(token) = &self.token {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        request
    }

    /// Writes bytes on a connection of their own and gives all that comes back until the server closes it.
    ///
    /// What the server does not read any more is not a fault: it may answer before the request is whole.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.wire.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let bytes = bytes.to_owned();
        let writing = std::thread::spawn(move || {
            if writer.write_all(&bytes).is_ok() {
                drop(writer.shutdown(Shutdown::Write));
            }
        });
        let mut answer = Vec::new();
        // A reset after the answer is how a server may end a connection whose request it did not finish.
        drop(stream.read_to_end(&mut answer));
        drop(stream.shutdown(Shutdown::Both));
        writing.join().unwrap();
        answer
    }

    /// The status and text that [`Client::raw`] got back.
    pub(crate) fn raw_answer(&self, bytes: &[u8]) -> (u16, String) {
        let answer = String::from_utf8_lossy(&self.raw(bytes)).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no HTTP answer: {answer:?}")), answer)
    }
}

/// A request that is being put together.
pub(crate) struct Request {
    wire: Arc<Wire>,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", serde_json::to_vec(body).unwrap())
    }

    /// Sends these bytes as this media type.
    pub(crate) fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", content_type).bare_body(body)
    }

    /// Sends these bytes without saying what they are.
    pub(crate) fn bare_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it; the answer has been held against the document when it comes back.
    pub(crate) fn send(self) -> Response {
        let asked = format!("{} {}", self.method, self.path);
        let response = self.exchange().unwrap_or_else(|error| panic!("{asked}: {error}"));
        self.wire.contract.check(&self.method, &self.path, &response);
        response
    }

    fn exchange(&self) -> Result<Response, ureq::Error> {
        let mut request = http::Request::builder()
            .method(self.method.as_str())
            .uri(format!("http://{}{}", self.wire.address, self.path));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = match &self.body {
            Some(body) => self.wire.agent.run(request.body(body.as_slice())?)?,
            None => self.wire.agent.run(request.body(())?)?,
        };
        let (parts, mut body) = answer.into_parts();
        Ok(Response {
            asked: format!("{} {}", self.method, self.path),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.with_config().limit(64 * 1024 * 1024).read_to_vec()?,
            wire: Arc::clone(&self.wire),
        })
    }
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Response {
    /// Method and path that were asked.
    pub asked: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    wire: Arc<Wire>,
}

impl Response {
    /// The answer itself where it has this status; else the test fails and shows it.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// The question and the answer in a few lines, for a test that fails.
    pub(crate) fn shown(&self) -> String {
        let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
        format!("{}: {} {}", cut(&self.asked, 200), self.status, cut(&self.text(), 1_500))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body without its content coding.
    pub(crate) fn decoded(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.find_header("content-encoding") {
            Some("br") => drop(brotli::Decompressor::new(self.body.as_slice(), 4096).read_to_end(&mut bytes).unwrap()),
            Some("gzip") => drop(flate2::read::GzDecoder::new(self.body.as_slice()).read_to_end(&mut bytes).unwrap()),
            None => bytes.clone_from(&self.body),
            Some(other) => panic!("{}: an unknown coding {other}", self.asked),
        }
        bytes
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.decoded()).unwrap_or_else(|error| panic!("{error}: {}", self.shown()))
    }

    /// A header that the answer has.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.find_header(name).unwrap_or_else(|| panic!("{}: no header {name}: {:?}", self.asked, self.headers))
    }

    /// A header that the answer may have.
    pub(crate) fn find_header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The entity tag.
    #[track_caller]
    pub(crate) fn etag(&self) -> &str {
        self.header("etag")
    }

    /// The problem that the answer is; fails where it is not a complete one or its page is missing.
    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        self.assert_problem();
        let document = self.json();
        let kind = document["type"].as_str().unwrap();
        let page = Client::new(Arc::clone(&self.wire), None).get(kind);
        assert_eq!(page.status, 200, "{}: the page of {kind}", self.asked);
        assert!(page.header("content-type").starts_with("text/html"), "{kind}");
        Problem { asked: self.asked.clone(), document }
    }

    /// The problem, which must have this status and kind (the last part of its `type`).
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, kind: &str) -> Problem {
        assert_eq!(self.status, status, "{}", self.shown());
        let problem = self.problem();
        assert_eq!(problem.kind(), kind, "{}", self.shown());
        problem
    }

    /// The members that every problem has (RFC 9457, 3.1, and the contract).
    #[track_caller]
    pub(crate) fn assert_problem(&self) {
        let shown = self.shown();
        assert!((400..600).contains(&self.status), "{shown}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{shown}");
        assert_eq!(self.header("cache-control"), "no-store", "{shown}");
        let document = self.json();
        let text = |name: &str| document[name].as_str().unwrap_or_else(|| panic!("no {name} in {shown}")).to_owned();
        assert!(text("type").starts_with("/problems/"), "{shown}");
        assert!(!text("title").is_empty() && text("detail").ends_with('.'), "{shown}");
        assert_eq!(document["status"], self.status, "{shown}");
        let path = self.asked.split(' ').nth(1).unwrap().split('?').next().unwrap();
        // Of what is longer than any resource's address, the beginning is enough.
        let instance = text("instance");
        let is_shown = if path.len() <= 5000 { instance == path } else { path.starts_with(&instance) };
        assert!(is_shown && instance.len() >= path.len().min(4998), "{shown}");
        assert_eq!(text("request_id"), self.header("x-request-id"), "{shown}");
        let faults = document["errors"].as_array().unwrap_or_else(|| panic!("no errors in {shown}"));
        assert!(faults.len() <= 100 && document["truncated"].is_boolean(), "{shown}");
        for fault in faults {
            assert!(fault["code"].is_string() && fault["message"].is_string(), "{shown}");
            assert!(fault["pointer"].is_string() != fault["parameter"].is_string(), "one place each: {shown}");
        }
    }
}

/// A problem (RFC 9457).
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    asked: String,
    /// All of it.
    pub document: Value,
}

impl Problem {
    /// The last part of its `type`.
    pub(crate) fn kind(&self) -> &str {
        self.document["type"].as_str().unwrap().trim_start_matches("/problems/")
    }

    /// What it says to do.
    pub(crate) fn detail(&self) -> &str {
        self.document["detail"].as_str().unwrap()
    }

    /// The faults.
    pub(crate) fn faults(&self) -> &[Value] {
        self.document["errors"].as_array().unwrap()
    }

    /// The fault at a place in the body.
    #[track_caller]
    pub(crate) fn fault(&self, pointer: &str) -> Fault {
        self.find("pointer", pointer)
    }

    /// The fault of a query parameter.
    #[track_caller]
    pub(crate) fn parameter_fault(&self, parameter: &str) -> Fault {
        self.find("parameter", parameter)
    }

    #[track_caller]
    fn find(&self, member: &str, place: &str) -> Fault {
        let found = self.faults().iter().find(|fault| fault[member] == place);
        let fault = found.unwrap_or_else(|| panic!("{}: no fault at {place:?}: {}", self.asked, self.document));
        let text = |name: &str| fault[name].as_str().unwrap().to_owned();
        Fault { code: text("code"), message: text("message") }
    }
}

/// One thing that is wrong with the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The stable name.
    pub code: String,
    /// The sentence.
    pub message: String,
}
