//! A content delivery network in front: what its copies are named by, and that each is purged once it is out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use copydesk::auth::Role;
use copydesk::config::{Cdn, CdnForm, Config, SharedFreshness};
use copydesk::http::Problem;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, RunQueryDsl};
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{TestServer, block_on};
use crate::steps::{Dice, SLOW_LIST, eventually, publish_what_is_slow};

const TOKEN: &str = "the-token-of-the-network";
const ARTICLES: &str = "/api/v1/manage/articles";

/// What a network was asked for.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Asked {
    fn keys(&self) -> BTreeSet<String> {
        if let Some(keys) = self.headers.get("surrogate-key") {
            return keys.split(' ').map(str::to_owned).collect();
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        let keys = body["tags"].as_array().or(body["surrogate_keys"].as_array()).unwrap();
        keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    }
}

/// A network that writes down what it is asked to purge.
struct Network {
    url: String,
    /// What it answers.
    status: Arc<AtomicU16>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Network {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/purge", listener.local_addr().unwrap());
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
        let (answered, written) = (Arc::clone(&status), Arc::clone(&asked));
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let Some(request) = read_request(&mut reader) else { continue };
                let status = answered.load(Ordering::SeqCst);
                if status == 200 {
                    written.lock().unwrap().push(request);
                }
                let answer = format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        Self { url, status, asked }
    }

    fn setting(&self, form: CdnForm) -> Cdn {
        Cdn {
            form,
            purge_url: self.url.clone(),
            token: Some(TOKEN.into()),
            freshness: SharedFreshness { max_age: 3600, stale: 30 },
        }
    }

    fn server(&self, form: CdnForm) -> TestServer {
        TestServer::start_with(|config| config.cdn = Some(self.setting(form)))
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let (mut line, mut headers) = (String::new(), BTreeMap::new());
    reader.read_line(&mut line).ok()?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line: line.trim_end().to_owned(), headers, body })
}

/// What the changes after a version have touched.
fn touched(server: &TestServer, after: i64) -> BTreeSet<String> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        keys: String,
    }
    let read = server.app.db.read(move |conn| {
        let rows = diesel::sql_query("SELECT keys FROM changes WHERE version > ?").bind::<BigInt, _>(after);
        Ok::<_, Problem>(rows.load::<Row>(conn)?)
    });
    let keys = |row: Row| {
        let row: Value = serde_json::from_str(&row.keys).unwrap();
        row["touched"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    block_on(read).unwrap().into_iter().flat_map(keys).collect()
}

fn keys_of(header: &str) -> BTreeSet<String> {
    header.split([' ', ',']).map(str::to_owned).collect()
}

#[test]
fn answers_say_how_long_a_network_holds_them_and_what_they_are_made_of() {
    let network = Network::start();
    let server = network.server(CdnForm::Fastly);
    let editor = server.signed_in(Role::Editor);
    let made = editor.post(ARTICLES, &json!({ "title": "Sleep", "tags": ["rest"] })).expect(201);
    editor.post(&format!("{}/publish", made.header("location")), &json!({ "revision": 1 })).expect(200);
    let anyone = server.anonymous();
    for path in ["/api/v1/articles", "/api/v1/articles/sleep", "/api/v1/tags", "/api/v1/site", "/api/v1/redirects"] {
        // Twice: made and kept.
        for _ in 0..2 {
            let answer = anyone.get(path).expect(200);
            let policy = "public, max-age=0, s-maxage=3600, stale-while-revalidate=30";
            assert_eq!(answer.header("cache-control"), policy);
            let keys = keys_of(answer.header("surrogate-key"));
            assert!((2..=60).contains(&keys.len()) && keys.iter().all(|key| key.len() == 11), "{keys:?}");
            let unchanged = anyone.request("GET", path).header("if-none-match", answer.etag()).send().expect(304);
            assert_eq!(unchanged.header("surrogate-key"), answer.header("surrogate-key"));
        }
    }
    assert_eq!(anyone.get("/api/v1/articles/none").header("cache-control"), "no-store");
    let private = editor.get(ARTICLES).expect(200);
    assert_eq!(private.find_header("surrogate-key"), None);
    editor.patch(made.header("location"), "*", &json!({ "slug": "resting" })).expect(200);
    editor.post(&format!("{}/publish", made.header("location")), &json!({ "revision": 2 })).expect(200);
    let moved = anyone.get("/api/v1/articles/sleep").expect(308);
    assert_eq!(moved.header("cache-control"), "private, max-age=0, must-revalidate", "nothing would purge its copies");
}

#[test]
fn without_a_network_nothing_speaks_of_one() {
    let server = TestServer::start();
    let answer = server.anonymous().get("/api/v1/articles").expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=0, must-revalidate");
    assert_eq!((answer.find_header("surrogate-key"), answer.find_header("cache-tag")), (None, None));
}

#[test]
fn each_network_is_asked_in_its_own_form_with_its_token() {
    for form in [CdnForm::Fastly, CdnForm::Cloudflare, CdnForm::Varnish] {
        let network = Network::start();
        let server = network.server(form);
        let first = eventually("it is purged at first", || network.take().pop());
        assert_eq!(first.keys().len(), 1, "nobody knows what it has, so all of it goes");
        let editor = server.signed_in(Role::Editor);
        editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
        // The author, and the set of all.
        let asked =
            eventually("the author is purged", || network.take().into_iter().find(|asked| asked.keys().len() == 2));
        let header = |name: &str| asked.headers.get(name).map(String::as_str);
        let bearer = format!("Bearer {TOKEN}");
        match form {
            CdnForm::Fastly => {
                assert_eq!((asked.line.as_str(), header("fastly-key")), ("POST /purge HTTP/1.1", Some(TOKEN)));
            }
            CdnForm::Cloudflare => {
                assert_eq!(asked.line, "POST /purge HTTP/1.1");
                assert_eq!(header("authorization"), Some(bearer.as_str()));
                let answer = server.anonymous().get("/api/v1/authors").expect(200);
                let keys = keys_of(answer.header("cache-tag"));
                assert!(!keys.is_disjoint(&asked.keys()));
            }
            CdnForm::Varnish => {
                assert_eq!(asked.line, "PURGE /purge HTTP/1.1");
                assert_eq!(header("authorization"), Some(bearer.as_str()));
            }
        }
    }
}

#[test]
fn what_could_not_be_purged_is_purged_later_and_once_more_and_everything_after_a_restart() {
    let network = Network::start();
    let server = network.server(CdnForm::Varnish);
    let everything = eventually("it is purged at first", || network.take().pop()).keys();
    network.status.store(503, Ordering::SeqCst);
    let editor = server.signed_in(Role::Editor);
    let made = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let copy = keys_of(server.anonymous().get("/api/v1/authors/maya").expect(200).header("surrogate-key"));
    let copy: BTreeSet<String> = copy.difference(&everything).cloned().collect();
    editor.patch(made.header("location"), "*", &json!({ "name": "Maya Lin" })).expect(200);
    network.take();
    network.status.store(200, Ordering::SeqCst);
    let purged = || network.take().into_iter().find(|asked| !asked.keys().is_disjoint(&copy));
    eventually("it is purged when that can be done", purged);
    // What was on its way when it was purged may have come after that.
    eventually("it is purged once more", purged);
    let config: Config = server.app.config.clone();
    let directory = server.keep();
    network.take();
    let _server = TestServer::start_in(directory, config);
    eventually("everything is purged", || network.take().pop().filter(|asked| asked.keys() == everything));
}

#[test]
fn an_answer_that_is_outdated_before_it_leaves_is_for_no_shared_cache() {
    let network = Network::start();
    let server = network.server(CdnForm::Varnish);
    let (editor, anyone) = (server.signed_in(Role::Editor), server.anonymous());
    publish_what_is_slow(&editor);
    let author = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya" })).expect(201);
    let author = author.header("location");
    let version = |answer: &Response| answer.header("content-version").parse::<u64>().unwrap();
    let mut number = 0;
    // Until a write has come between the read of an answer and its headers.
    eventually("a slow answer is outdated before it leaves", || {
        number += 1;
        thread::scope(|scope| {
            let slow = scope.spawn(|| anyone.get(SLOW_LIST).expect(200));
            editor.patch(author, "*", &json!({ "name": format!("Maya {number}") })).expect(200);
            let present = version(&anyone.get("/api/v1/authors/maya").expect(200));
            let slow = slow.join().unwrap();
            let is_outdated = version(&slow) < present;
            (is_outdated && slow.header("cache-control") == "private, max-age=0, must-revalidate").then_some(())
        })
    });
    let fresh = anyone.get(SLOW_LIST).expect(200);
    assert!(fresh.header("cache-control").contains("s-maxage=3600"), "{}", fresh.header("cache-control"));
}

#[test]
fn more_than_a_network_takes_at_once_is_everything() {
    let network = Network::start();
    let server = network.server(CdnForm::Cloudflare);
    let everything = eventually("it is purged at first", || network.take().pop()).keys();
    let editor = server.signed_in(Role::Editor);
    network.status.store(503, Ordering::SeqCst);
    for number in 0..120 {
        editor.post("/api/v1/manage/authors", &json!({ "name": format!("Author {number}") })).expect(201);
    }
    network.take();
    network.status.store(200, Ordering::SeqCst);
    eventually("all of it is purged at once", || network.take().into_iter().find(|asked| asked.keys() == everything));
}

/// Where one of the articles is in management.
fn some_article(dice: &mut Dice) -> String {
    format!("{ARTICLES}/by-external-id/{}", dice.roll(8))
}

/// Changes one of the articles and publishes it.
fn publish(dice: &mut Dice, editor: &Client) {
    let path = some_article(dice);
    let Some(id) = editor.get(&path).json()["id"].as_str().map(str::to_owned) else { return };
    let linked = dice.roll(8);
    let target = editor.get(&format!("{ARTICLES}/by-external-id/{linked}")).json()["id"].clone();
    let draft = json!({
        "title": format!("Title {}", dice.roll(1000)),
        "slug": format!("slug-{}", dice.roll(12)),
        "tags": dice.some(&["a", "b", "c"]),
        "categories": dice.some(&["sleep", "work"]),
        "authors": dice.some(&["maya", "noor"]),
        "reviewed_by": dice.some(&["maya"]).first(),
        "body_markdown": format!("See [this](article:{}).", target.as_str().unwrap_or_default()),
    });
    let saved = editor.patch(&format!("{ARTICLES}/{id}"), "*", &draft).json();
    let revision = json!({ "revision": saved["revision"] });
    drop(editor.post(&format!("{ARTICLES}/{id}/publish"), &revision));
}

/// One step of somebody who writes; what is refused is as good as any.
fn step(dice: &mut Dice, editor: &Client) {
    let of_list = |dice: &mut Dice, kind: &str| {
        let list = editor.get(&format!("/api/v1/manage/{kind}")).expect(200).json();
        let items = list["items"].as_array().unwrap();
        (!items.is_empty()).then(|| items[dice.roll(items.len())].clone())
    };
    match dice.roll(14) {
        0..=4 => publish(dice, editor),
        5 => {
            let path = some_article(dice);
            let id = editor.get(&path).json()["id"].as_str().unwrap_or_default().to_owned();
            drop(editor.post(&format!("{ARTICLES}/{id}/unpublish"), &json!({})));
        }
        6 => {
            let Some(author) = of_list(dice, "authors") else { return };
            let path = format!("/api/v1/manage/authors/{}", author["id"].as_str().unwrap());
            drop(editor.patch(&path, "*", &json!({ "name": format!("Name {}", dice.roll(1000)) })));
        }
        7 => {
            let Some(category) = of_list(dice, "categories") else { return };
            let path = format!("/api/v1/manage/categories/{}", category["id"].as_str().unwrap());
            drop(editor.patch(&path, "*", &json!({ "name": format!("Name {}", dice.roll(1000)) })));
        }
        8 => {
            let Some(category) = of_list(dice, "categories") else { return };
            let path = format!("/api/v1/manage/categories/{}", category["id"].as_str().unwrap());
            let parent = if dice.roll(2) == 0 { json!(null) } else { json!("health") };
            drop(editor.patch(&path, "*", &json!({ "parent": parent })));
        }
        9 => {
            let body =
                json!({ "from": format!("/old-{}", dice.roll(3)), "to": format!("/articles/slug-{}", dice.roll(12)) });
            drop(editor.post("/api/v1/manage/redirects", &body));
        }
        10 => {
            // Another takes the place, and the slug becomes free for one more.
            let Some(author) = of_list(dice, "authors") else { return };
            let path = format!("/api/v1/manage/authors/{}?reassign_to=noor", author["id"].as_str().unwrap());
            drop(editor.delete(&path, "*"));
            drop(editor.post("/api/v1/manage/authors", &json!({ "name": "Maya", "slug": "maya" })));
        }
        11 => {
            // Only an admin may do the last of these.
            let id = editor.get(&some_article(dice)).json()["id"].as_str().unwrap_or_default().to_owned();
            drop(editor.delete(&format!("{ARTICLES}/{id}?unpublish=true"), "*"));
            drop(editor.delete(&format!("{ARTICLES}/{id}?permanent=true"), "*"));
            drop(editor.post(&format!("{ARTICLES}/{id}/restore"), &json!({})));
        }
        12 => {
            let Some(author) = of_list(dice, "authors") else { return };
            let path = format!("/api/v1/manage/authors/{}", author["id"].as_str().unwrap());
            drop(editor.patch(&path, "*", &json!({ "slug": dice.some(&["maya", "noor", "lin"]).first() })));
        }
        _ => drop(editor.patch("/api/v1/manage/site", "*", &json!({ "name": format!("Site {}", dice.roll(1000)) }))),
    }
}

/// Everything that the network may hold.
fn addresses() -> Vec<String> {
    let lists = [
        "articles",
        "articles?limit=2",
        "articles?sort=title&page=1",
        "articles?category=sleep",
        "articles?category=health",
        "articles?author=maya&tag=a",
        "articles?tag=b,c",
        "articles?language=*&exclude=slug-1",
        "articles?tag=a&include=related",
        "articles?include=body_html",
        "authors",
        "authors/maya",
        "authors/noor",
        "categories",
        "categories?include=children",
        "categories/sleep",
        "categories/health",
        "tags",
        "site",
        "redirects",
        "redirects?format=nginx",
        "resolve?path=/authors/maya",
        "resolve?path=/old-1",
    ];
    let one = (0..12).flat_map(|number| {
        [
            format!("/api/v1/articles/slug-{number}"),
            format!("/api/v1/articles/slug-{number}?include=body_markdown"),
            format!("/api/v1/articles/slug-{number}/related"),
            format!("/api/v1/resolve?path=/articles/slug-{number}"),
        ]
    });
    lists.iter().map(|list| format!("/api/v1/{list}")).chain(one).collect()
}

#[test]
fn whatever_is_written_every_copy_that_is_out_of_date_is_purged() {
    let network = Network::start();
    let server = network.server(CdnForm::Varnish);
    let editor = server.signed_in(Role::Editor);
    for (kind, body) in [
        ("authors", json!({ "name": "Maya" })),
        ("authors", json!({ "name": "Noor" })),
        ("categories", json!({ "name": "Health" })),
        ("categories", json!({ "name": "Sleep", "parent": "health" })),
        ("categories", json!({ "name": "Work" })),
    ] {
        editor.post(&format!("/api/v1/manage/{kind}"), &body).expect(201);
    }
    let mut dice = Dice(11);
    for number in 0..8 {
        let path = format!("{ARTICLES}/by-external-id/{number}");
        let body = json!({ "title": format!("Title {number}"), "language": if number == 7 { "es" } else { "en" } });
        let made = editor.request("PUT", &path).header("if-none-match", "*").json(&body).send().expect(201).json();
        if number == 7 {
            let original = editor.get(&format!("{ARTICLES}/by-external-id/0")).json()["id"].clone();
            let path = format!("{ARTICLES}/{}", made["id"].as_str().unwrap());
            editor.patch(&path, "*", &json!({ "translation_of": original })).expect(200);
        }
    }
    let (addresses, anyone) = (addresses(), server.anonymous());
    let mut copies: BTreeMap<&str, (Vec<u8>, BTreeSet<String>)> = BTreeMap::new();
    let (mut stood, mut went) = (0, 0);
    for round in 0..120 {
        let (version, role) =
            (server.app.db.present().number, if round % 10 == 9 { Role::Admin } else { Role::Editor });
        step(&mut dice, &server.signed_in(role));
        let keys = touched(&server, version);
        let before = copies.len();
        copies.retain(|_, (_, made_of)| made_of.is_disjoint(&keys));
        went += before - copies.len();
        for address in &addresses {
            let fresh = anyone.get(address);
            match copies.get(address.as_str()) {
                Some((copy, _)) => {
                    assert_eq!(fresh.status, 200, "round {round}: {address} is {}", fresh.status);
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    assert_eq!(text(copy), text(&fresh.body), "round {round}: {address} is out of date");
                    stood += 1;
                }
                None if fresh.status == 200 => {
                    let keys = keys_of(fresh.header("surrogate-key"));
                    copies.insert(address, (fresh.body.clone(), keys));
                }
                None => {}
            }
        }
    }
    assert!(stood > 1000 && went > 300, "{stood} copies stood, {went} went");
}
