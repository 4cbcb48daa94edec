//! What readers see: articles, authors, categories, tags.

use super::drafting::Drafts;
use super::recorder::{Story, get, get_again};
use crate::client::Response;

const ARTICLES: &str = "/api/v1/articles";
const NIGHTS: &str = "/api/v1/articles/sleeping-in-the-first-weeks";

/// Reads something as anybody, and again as somebody who has it already.
fn read(story: &Story, operation: &str, name: &str, summary: &str, path: &str) -> Response {
    let answer = story.record(operation, name, summary, get(&story.anyone(), path)).expect(200);
    let again = get_again(&story.anyone(), path, &answer);
    story.record(operation, "unchanged", "The client has it already", again).expect(304);
    answer
}

fn read_once(story: &Story, operation: &str, name: &str, summary: &str, path: &str) -> Response {
    story.record(operation, name, summary, get(&story.anyone(), path)).expect(200)
}

pub(super) fn tell(story: &Story, drafts: &Drafts) {
    tell_of_lists(story);
    tell_of_articles(story, drafts);
    tell_of_authors_and_categories(story);
}

fn tell_of_lists(story: &Story) {
    let list = |name: &str, summary: &str, query: &str| {
        read_once(story, "list_articles", name, summary, &format!("{ARTICLES}?{query}"))
    };
    let first = read(story, "list_articles", "newest", "The newest articles", &format!("{ARTICLES}?limit=2")).json();
    let cursor = first["page"]["next_cursor"].as_str().unwrap();
    list("second_part", "The next ones, by cursor", &format!("limit=2&cursor={cursor}"));
    list("numbered", "A numbered page, which counts", "limit=2&page=2");
    list("by_category", "Those of a category and of all beneath it", "category=recovery&limit=3");
    list("by_author_and_tag", "Those that an author has and a tag", "author=tomas&tag=habits,first-weeks");
    list("all_languages", "Those in any language, by title", "language=*&sort=title&limit=2&page=1");
    list(
        "with_parts",
        "With parts that a list leaves out else",
        "category=sleep-and-rest&limit=1&include=body_html,table_of_contents,seo,citations,extra",
    );
    list("none", "Nothing has this tag", "tag=nothing-yet");
}

fn tell_of_articles(story: &Story, drafts: &Drafts) {
    let full = read(story, "get_article", "full", "An article with everything", NIGHTS);
    assert_eq!(full.json()["id"], drafts.nights.rsplit('/').next().unwrap());
    let since = get(&story.anyone(), NIGHTS).header("if-modified-since", full.header("last-modified"));
    story.record("get_article", "unchanged_since", "The client has it already, by its date", since).expect(304);
    let other = get(&story.anyone(), NIGHTS).header("if-match", "\"GjfH0QmVlZ2V9vWcE7aL\"");
    story
        .record("get_article", "another_state", "Another state than the only one that is wanted", other)
        .refused(412, "representation-changed");
    let parts = format!("{NIGHTS}?include=body_markdown,sections");
    read_once(story, "get_article", "with_parts", "With its Markdown and its sections", &parts);
    let translated = format!("{ARTICLES}/dormir-en-las-primeras-semanas");
    read_once(story, "get_article", "translation", "The same article in another language", &translated);
    let former = format!("{ARTICLES}/letter-to-myself");
    story
        .record("get_article", "former_slug", "A slug that the article had before", get(&story.anyone(), &former))
        .expect(308);
    let gone = get(&story.anyone(), &format!("{ARTICLES}/counting-the-days"));
    story.record("get_article", "withdrawn", "It was public, and there is a successor", gone).refused(410, "gone");
    read(story, "list_related_articles", "three", "What to read next", &format!("{NIGHTS}/related"));
    let moved = get(&story.anyone(), &format!("{former}/related?limit=1"));
    story.record("list_related_articles", "former_slug", "A slug that the article had before", moved).expect(308);
}

fn tell_of_authors_and_categories(story: &Story) {
    let moved = |operation: &str, path: &str| {
        story.record(operation, "former_slug", "A slug that it had before", get(&story.anyone(), path)).expect(308);
    };
    read(story, "list_authors", "all", "Everybody who writes", "/api/v1/authors");
    read_once(story, "list_authors", "numbered", "One a page", "/api/v1/authors?limit=1&page=2");
    read(story, "get_author", "full", "An author with everything", "/api/v1/authors/tomas");
    moved("get_author", "/api/v1/authors/tomas-lindqvist");
    read(story, "list_categories", "flat", "Every category, one after the other", "/api/v1/categories?limit=3");
    read_once(story, "list_categories", "tree", "The roots with their children", "/api/v1/categories?include=children");
    read(story, "get_category", "child", "A category beneath another", "/api/v1/categories/sleep-and-rest");
    moved("get_category", "/api/v1/categories/sleep");
    read(story, "list_tags", "all", "Every tag in use", "/api/v1/tags");
}
