//! What comes out or goes at its time: exactly then, exactly once, and without a trace before.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestServer;
use crate::lifecycle::Work;
use crate::steps::{at_once, audit_events, eventually, pass};

/// In so many seconds something is due; access tokens outlive it.
const SOON: i64 = 150;

/// A time so many seconds from now.
fn after(server: &TestServer, seconds: i64) -> String {
    server.app.clock.now().plus_seconds(seconds).to_string()
}

fn begin(server: &TestServer, body: &Value) -> Work {
    Work::begin(server.signed_in(Role::Editor), body)
}

/// An article whose first revision comes out soon.
fn scheduled(server: &TestServer, title: &str) -> Work {
    let work = begin(server, &json!({ "title": title, "body_markdown": "Words." }));
    work.does("publish", &json!({ "revision": 1, "publish_at": after(server, SOON) }));
    work
}

fn slugs(reader: &Client) -> Vec<String> {
    let list = reader.get("/api/v1/articles?sort=title").expect(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["slug"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_scheduled_comes_out_at_its_time_and_shows_nothing_before() {
    let server = TestServer::start();
    let (reader, work) = (server.anonymous(), begin(&server, &json!({ "title": "Soon", "tags": ["sleep"] })));
    let at = after(&server, SOON);
    let before = reader.get("/api/v1/articles").expect(200);
    let answer = work.does("publish", &json!({ "revision": 1, "publish_at": at }));
    assert_eq!(answer["schedule"], json!({ "revision": 1, "publish_at": at, "unpublish_at": null }));
    assert_eq!((&answer["visibility"], &answer["published"]), (&json!("none"), &Value::Null));
    let list = work.client.get("/api/v1/manage/articles?status=scheduled").expect(200).json();
    assert_eq!(list["items"][0]["id"], work.id.as_str());

    pass(&server, SOON - 5);
    let still = reader.get("/api/v1/articles").expect(200);
    assert_eq!((still.etag(), still.header("content-version")), (before.etag(), before.header("content-version")));
    reader.get("/api/v1/articles/soon").refused(404, "not-found");
    assert_eq!(reader.get("/api/v1/tags").expect(200).json()["items"], json!([]));

    pass(&server, 5);
    let public = reader.get("/api/v1/articles/soon").expect(200).json();
    assert_eq!((&public["published_at"], &public["updated_at"]), (&json!(at), &json!(at)));
    let now = work.now();
    assert_eq!(
        (&now["schedule"], &now["visibility"], &now["published"]["revision"]),
        (&Value::Null, &json!("public"), &json!(1))
    );
    let published = audit_events(&server, "article.publish");
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["actor"]["kind"], "system");
}

#[test]
fn the_clock_brings_it_out_where_nobody_reads() {
    let server = TestServer::start();
    let work = scheduled(&server, "Unread");
    pass(&server, SOON);
    eventually("the clock has brought it out", || (work.now()["visibility"] == "public").then_some(()));
}

#[test]
fn readers_at_the_very_time_bring_it_out_once() {
    let server = TestServer::start_with(|config| config.workers = 4);
    let work = scheduled(&server, "Once");
    pass(&server, SOON);
    let statuses = at_once(24, |_| server.anonymous().get("/api/v1/articles/once").status);
    assert_eq!(statuses, [200; 24]);
    assert_eq!(audit_events(&server, "article.publish").len(), 1);
    assert_eq!(work.now()["published"]["revision"], 1);
}

#[test]
fn what_was_due_while_the_program_was_down_comes_out_with_its_own_time_and_in_order() {
    let server = TestServer::start();
    let (first, second) = (begin(&server, &json!({ "title": "A" })), begin(&server, &json!({ "title": "B" })));
    let (early, late) = (after(&server, SOON), after(&server, 2 * SOON));
    second.does("publish", &json!({ "revision": 1, "publish_at": late }));
    let times = json!({ "revision": 1, "publish_at": early, "unpublish_at": after(&server, 3 * SOON) });
    first.does("publish", &times);
    let config = server.app.config.clone();
    let server = TestServer::start_in(server.keep(), config);
    pass(&server, 5 * SOON);
    let reader = server.anonymous();
    reader.get("/api/v1/articles/a").refused(410, "gone");
    assert_eq!(reader.get("/api/v1/articles/b").expect(200).json()["published_at"], json!(late));
    let done: Vec<_> = ["article.publish", "article.unpublish"]
        .iter()
        .flat_map(|action| audit_events(&server, action))
        .map(|event| event["subject"]["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(done, [second.id, first.id.clone(), first.id], "the newest publication first, then the withdrawal");
}

#[test]
fn what_comes_out_goes_again_at_its_time() {
    let server = TestServer::start();
    let (reader, work) = (server.anonymous(), begin(&server, &json!({ "title": "For a while" })));
    let until = after(&server, SOON);
    let answer = work.does("publish", &json!({ "revision": 1, "unpublish_at": until }));
    assert_eq!(answer["schedule"], json!({ "revision": 1, "publish_at": null, "unpublish_at": until }));
    reader.get("/api/v1/articles/for-a-while").expect(200);
    pass(&server, SOON);
    reader.get("/api/v1/articles/for-a-while").refused(410, "gone");
    assert_eq!(slugs(&reader), [""; 0]);
    let now = work.now();
    assert_eq!((&now["schedule"], &now["visibility"]), (&Value::Null, &json!("withdrawn")));
}

#[test]
fn a_schedule_pins_its_revision_and_never_undoes_a_fix_unasked() {
    let server = TestServer::start();
    let work = scheduled(&server, "Pinned");
    work.client.patch(&work.path, "*", &json!({ "title": "A fix", "slug": "a-fix" })).expect(200);
    let refused = work.try_as(&work.client, "publish", &json!({ "revision": 2 }));
    assert!(refused.refused(409, "conflict").detail().contains("`keep` or `cancel`"), "{}", refused.shown());
    let later = json!({ "revision": 2, "publish_at": after(&server, 2 * SOON) });
    work.try_as(&work.client, "publish", &later).refused(409, "conflict");
    assert_eq!(work.now()["schedule"]["revision"], 1);

    work.does("publish", &json!({ "revision": 2, "schedule": "keep" }));
    assert_eq!(work.now()["schedule"]["revision"], 1);
    server.anonymous().get("/api/v1/articles/a-fix").expect(200);
    work.does("publish", &json!({ "revision": 2, "schedule": "cancel" }));
    assert_eq!(work.now()["schedule"], Value::Null);
    pass(&server, 2 * SOON);
    assert_eq!(server.anonymous().get("/api/v1/articles/a-fix").expect(200).json()["title"], "A fix");
    server.anonymous().get("/api/v1/articles/pinned").refused(404, "not-found");
}

#[test]
fn what_is_kept_comes_out_at_its_time_in_the_place_of_the_fix() {
    let server = TestServer::start();
    let work = scheduled(&server, "Kept");
    work.client.patch(&work.path, "*", &json!({ "title": "Meanwhile", "slug": "meanwhile" })).expect(200);
    work.does("publish", &json!({ "revision": 2, "schedule": "keep" }));
    pass(&server, SOON);
    assert_eq!(slugs(&server.anonymous()), ["kept"]);
    server.anonymous().get("/api/v1/articles/meanwhile").expect(308);
    assert_eq!(work.now()["published"]["revision"], 1);
}

#[test]
fn the_same_revision_may_be_scheduled_anew_or_published_at_once() {
    let server = TestServer::start();
    let work = scheduled(&server, "Moved");
    let at = after(&server, 2 * SOON);
    assert_eq!(work.does("publish", &json!({ "revision": 1, "publish_at": at }))["schedule"]["publish_at"], json!(at));
    let version = work.client.get(&work.path).expect(200).etag().to_owned();
    work.does("publish", &json!({ "revision": 1, "publish_at": at }));
    assert_eq!(work.client.get(&work.path).expect(200).etag(), version, "asking for what is so changes nothing");
    let until = after(&server, 4 * SOON);
    work.does("publish", &json!({ "revision": 1, "publish_at": at, "unpublish_at": until }));
    let public = work.does("publish", &json!({ "revision": 1 }));
    assert_eq!(public["visibility"], "public");
    assert_eq!(
        public["schedule"],
        json!({ "revision": 1, "publish_at": null, "unpublish_at": until }),
        "it still goes"
    );
    assert_eq!(work.does("publish", &json!({ "revision": 1, "schedule": "cancel" }))["schedule"], Value::Null);
    pass(&server, 5 * SOON);
    server.anonymous().get("/api/v1/articles/moved").expect(200);
}

#[test]
fn times_that_contradict_each_other_are_faults() {
    let server = TestServer::start();
    let work = begin(&server, &json!({ "title": "Times" }));
    let (soon, later) = (after(&server, SOON), after(&server, 2 * SOON));
    let past = after(&server, -SOON);
    for (body, pointer) in [
        (json!({ "revision": 1, "publish_at": later, "unpublish_at": soon }), "/unpublish_at"),
        (json!({ "revision": 1, "publish_at": soon, "unpublish_at": soon }), "/unpublish_at"),
        (json!({ "revision": 1, "unpublish_at": past }), "/unpublish_at"),
        (json!({ "revision": 1, "publish_at": soon, "schedule": "keep" }), "/publish_at"),
        (json!({ "revision": 1, "unpublish_at": soon, "schedule": "keep" }), "/unpublish_at"),
        (json!({ "revision": 1, "publish_at": "tomorrow" }), "/publish_at"),
        (json!({ "revision": 1, "schedule": "drop" }), "/schedule"),
    ] {
        work.try_as(&work.client, "publish", &body).refused(422, "invalid-body").fault(pointer);
    }
    assert_eq!((&work.now()["schedule"], &work.now()["visibility"]), (&Value::Null, &json!("none")));
    work.does("publish", &json!({ "revision": 1, "publish_at": past }));
    server.anonymous().get("/api/v1/articles/times").expect(200);
}

#[test]
fn unpublish_takes_it_off_the_schedule() {
    let server = TestServer::start();
    let work = scheduled(&server, "Called off");
    let with_successor = json!({ "successor": "called-off" });
    work.try_as(&work.client, "unpublish", &with_successor).refused(422, "invalid-body");
    let answer = work.does("unpublish", &json!({}));
    assert_eq!((&answer["schedule"], &answer["visibility"]), (&Value::Null, &json!("none")));
    assert_eq!(audit_events(&server, "article.unschedule").len(), 1);
    pass(&server, SOON);
    server.anonymous().get("/api/v1/articles/called-off").refused(404, "not-found");
    work.try_as(&work.client, "unpublish", &json!({})).refused(409, "conflict");
}

#[test]
fn what_is_scheduled_goes_neither_to_the_archive_nor_unasked_to_the_trash() {
    let server = TestServer::start();
    let work = scheduled(&server, "Stays");
    work.try_as(&work.client, "archive", &json!({})).refused(409, "conflict");
    work.delete(&work.client, "").refused(409, "conflict");
    work.delete(&work.client, "?unpublish=true").expect(204);
    assert_eq!(work.does("restore", &json!({}))["schedule"], Value::Null);
    pass(&server, SOON);
    server.anonymous().get("/api/v1/articles/stays").refused(404, "not-found");
}

#[test]
fn the_slug_and_the_names_of_what_is_scheduled_are_taken() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    editor.post("/api/v1/manage/categories", &json!({ "name": "Sleep" })).expect(201);
    let work = begin(&server, &json!({ "title": "Reserved", "categories": ["sleep"] }));
    work.does("publish", &json!({ "revision": 1, "publish_at": after(&server, SOON) }));
    work.client.patch(&work.path, "*", &json!({ "slug": "another", "categories": [] })).expect(200);
    let taken = editor.post("/api/v1/manage/articles", &json!({ "title": "x", "slug": "reserved" }));
    taken.refused(409, "slug-taken");
    assert_eq!(editor.post("/api/v1/manage/articles", &json!({ "title": "Reserved" })).json()["slug"], "reserved-2");
    let list = editor.get("/api/v1/manage/categories").expect(200).json();
    let path = format!("/api/v1/manage/categories/{}", list["items"][0]["id"].as_str().unwrap());
    editor.delete(&path, "*").refused(409, "in-use");
    work.does("unpublish", &json!({}));
    editor.post("/api/v1/manage/articles", &json!({ "title": "x", "slug": "reserved" })).expect(201);
    editor.delete(&path, "*").expect(204);
}

#[test]
fn what_can_not_come_out_is_taken_off_told_of_and_holds_up_nothing() {
    let server = TestServer::start();
    let original = begin(&server, &json!({ "title": "Original" }));
    let translation = |title: &str| {
        let body = json!({ "title": title, "language": "es", "translation_of": original.id });
        begin(&server, &body)
    };
    let (first, second) = (translation("Uno"), translation("Dos"));
    let at = after(&server, SOON);
    second.does("publish", &json!({ "revision": 1, "publish_at": at }));
    let other = begin(&server, &json!({ "title": "Other" }));
    other.does("publish", &json!({ "revision": 1, "publish_at": after(&server, SOON + 30) }));
    first.publish();
    pass(&server, 2 * SOON);
    let reader = server.anonymous();
    reader.get("/api/v1/articles/other").expect(200);
    reader.get("/api/v1/articles/uno").expect(200);
    reader.get("/api/v1/articles/dos").refused(404, "not-found");
    let now = second.now();
    assert_eq!((&now["schedule"], &now["visibility"]), (&Value::Null, &json!("none")));
    assert_eq!((&now["schedule_failure"]["revision"], &now["schedule_failure"]["due_at"]), (&json!(1), &json!(at)));
    assert!(now["schedule_failure"]["detail"].as_str().unwrap().contains("translates"), "{now}");
    assert_eq!(audit_events(&server, "article.schedule_fail").len(), 1);
    first.does("unpublish", &json!({}));
    assert_eq!(second.publish()["schedule_failure"], Value::Null);
}

#[test]
fn only_who_may_publish_may_schedule_and_what_is_tried_is_not_done() {
    let server = TestServer::start();
    let work = Work::begin(server.signed_in(Role::Contributor), &json!({ "title": "Not yet" }));
    let body = json!({ "revision": 1, "publish_at": after(&server, SOON) });
    work.try_as(&work.client, "publish", &body).refused(403, "forbidden");
    let editor = server.signed_in(Role::Editor);
    let tried = work.try_as(&editor, "publish?validate_only=true", &body).expect(200).json();
    assert_eq!(tried["schedule"]["revision"], 1);
    assert_eq!(work.now()["schedule"], Value::Null);
    work.does("submit", &json!({}));
    assert_eq!(work.try_as(&editor, "publish", &body).expect(200).json()["review"], Value::Null);
    work.client.patch(&work.path, "*", &json!({ "subtitle": "Not pinned" })).expect(200);
    work.delete(&work.client, "?unpublish=true").refused(403, "forbidden");
}
