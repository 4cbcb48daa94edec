//! Made-up articles for load tests: the same number gives the same content, on any machine.
//!
//! Bodies are rendered on all processors; the one writer stores them in transactions of some hundred.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use crate::articles::import::Import;
use crate::articles::{ArticleId, Citation, Content, Seo};
use crate::authors::{self, AuthorContent, AuthorId};
use crate::categories::{self, CategoryContent, CategoryId};
use crate::changes::Who;
use crate::db::{Db, Timestamp, Tx};
use crate::http::Problem;
use crate::text;

const AUTHORS: u64 = 40;
const ROOT_CATEGORIES: u64 = 6;
const CATEGORIES: u64 = 60;
const TAGS: u64 = 400;
const BATCH: usize = 500;
/// 2020-01-01T00:00:00Z: the first generated article; each further one is ten minutes younger.
const FIRST_PUBLISHED: i64 = 1_577_836_800_000;
const STEP_MILLIS: i64 = 10 * 60 * 1000;

static WORDS: &[&str] = &[
    "steady",
    "morning",
    "support",
    "family",
    "recovery",
    "counsellor",
    "group",
    "sleep",
    "walk",
    "question",
    "answer",
    "plan",
    "week",
    "honest",
    "quiet",
    "letter",
    "friend",
    "doctor",
    "medicine",
    "relief",
    "pressure",
    "habit",
    "kitchen",
    "garden",
    "river",
    "patience",
    "change",
    "return",
    "setback",
    "choice",
    "breath",
    "worry",
    "safety",
    "listening",
    "meeting",
    "routine",
    "work",
    "evening",
    "memory",
    "trust",
    "hope",
    "care",
    "practice",
    "body",
    "mind",
    "craving",
    "trigger",
    "distance",
    "boundary",
    "conversation",
];

/// A small generator of repeatable numbers (`SplitMix64`, Steele et al. 2014). Not for secrets.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers are much likelier than great ones, as with real tags and categories.
    fn skewed(&mut self, bound: u64) -> u64 {
        let first = self.below(bound) + 1;
        self.below(first)
    }

    fn word(&mut self) -> &'static str {
        let index = usize::try_from(self.below(WORDS.len() as u64)).unwrap_or_default();
        WORDS[index]
    }

    fn sentence(&mut self) -> String {
        let words: Vec<&str> = (0..8 + self.below(9)).map(|_| self.word()).collect();
        let mut text = words.join(" ");
        if let Some(first) = text.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        text + "."
    }

    fn uuid(&mut self, millis: i64) -> uuid::Uuid {
        let mut bytes = [0_u8; 10];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or_default(), &bytes).into_uuid()
    }
}

/// The taxonomy of generated articles.
#[derive(Clone, Default)]
struct Taxonomy {
    authors: Vec<AuthorId>,
    categories: Vec<CategoryId>,
}

/// Adds `number` articles; `progress` is told of each batch that is stored.
///
/// # Errors
/// Where there are articles already, or what the database says.
pub(crate) async fn generate(
    db: &Db,
    language: &str,
    number: u64,
    now: Timestamp,
    progress: impl Fn(u64),
) -> Result<(), Problem> {
    if db.read(|conn| authors::named(conn, "generated-author-0")).await?.is_some() {
        return Err(Problem::conflict(
            "There are generated articles here already; give another --data-dir, or delete this one first.",
        ));
    }
    let language = language.to_owned();
    let taxonomy = db.write(move |tx| add_taxonomy(tx, now)).await?;
    let prepared = prepare_in_threads(number, &taxonomy, &language);
    loop {
        let batch: Vec<Import> = prepared.iter().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let stored = batch.len() as u64;
        db.write(move |tx| batch.into_iter().try_for_each(|import| import.store(tx, now))).await?;
        progress(stored);
    }
}

fn add_taxonomy(tx: &mut Tx<'_>, now: Timestamp) -> Result<Taxonomy, Problem> {
    let mut numbers = Numbers(1);
    let mut taxonomy = Taxonomy::default();
    for index in 0..AUTHORS {
        let id = AuthorId::from_uuid(numbers.uuid(FIRST_PUBLISHED));
        let content = AuthorContent {
            slug: Some(format!("generated-author-{index}")),
            name: format!("Generated Author {index}"),
            ..AuthorContent::default()
        };
        authors::insert(tx, id, content, text::render(""), Who::CommandLine, now)?;
        taxonomy.authors.push(id);
    }
    for index in 0..CATEGORIES {
        let id = CategoryId::from_uuid(numbers.uuid(FIRST_PUBLISHED));
        let parent = (index >= ROOT_CATEGORIES).then(|| format!("generated-category-{}", index % ROOT_CATEGORIES));
        let content = CategoryContent {
            slug: Some(format!("generated-category-{index}")),
            name: format!("Generated Category {index}"),
            parent,
            ..CategoryContent::default()
        };
        categories::insert(tx, id, content, Who::CommandLine, now)?;
        taxonomy.categories.push(id);
    }
    Ok(taxonomy)
}

/// Renders on every processor; the articles come out in a bounded stream.
fn prepare_in_threads(number: u64, taxonomy: &Taxonomy, language: &str) -> Receiver<Import> {
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let (sender, receiver) = sync_channel(2 * BATCH);
    for first in 0..threads {
        let (sender, taxonomy, language) = (sender.clone(), taxonomy.clone(), language.to_owned());
        thread::spawn(move || {
            for index in (first..number).step_by(usize::try_from(threads).unwrap_or(1)) {
                if sender.send(article(index, &taxonomy, &language)).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

fn article(index: u64, taxonomy: &Taxonomy, language: &str) -> Import {
    let mut numbers = Numbers(index.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0xC0FF_EE00);
    let published_at = FIRST_PUBLISHED + i64::try_from(index).unwrap_or_default() * STEP_MILLIS;
    let id = ArticleId::from_uuid(numbers.uuid(published_at));
    let title = format!("{} {} {} {index}", capital(numbers.word()), numbers.word(), numbers.word());
    let pick = |ids: usize, number: u64| usize::try_from(number).unwrap_or_default() % ids.max(1);
    let author = taxonomy.authors[pick(taxonomy.authors.len(), numbers.below(AUTHORS))];
    let mut categories = vec![taxonomy.categories[pick(taxonomy.categories.len(), numbers.skewed(CATEGORIES))]];
    // Half of all articles are in one category as well: what a list must not mind.
    if index.is_multiple_of(2) && !categories.contains(&taxonomy.categories[0]) {
        categories.push(taxonomy.categories[0]);
    }
    let mut tags: Vec<String> = (0..3).map(|_| format!("tag-{}", numbers.skewed(TAGS))).collect();
    tags.sort();
    tags.dedup();
    let content = Content {
        slug: Some(format!("generated-{index}")),
        excerpt: Some(numbers.sentence()),
        body_markdown: body(&mut numbers),
        authors: vec![author.to_string()],
        categories: categories.iter().map(ToString::to_string).collect(),
        tags,
        seo: Seo { description: Some(title.clone()), ..Seo::default() },
        language: Some(language.to_owned()),
        citations: vec![Citation { text: numbers.sentence(), url: None }],
        published_at: Some(Timestamp::from_unix_millis(published_at)),
        title,
        ..Content::default()
    };
    Import::trusted(id, content)
}

fn capital(word: &str) -> String {
    let mut text = word.to_owned();
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn body(numbers: &mut Numbers) -> String {
    let mut text = String::new();
    for section in 0..4 {
        if section > 0 {
            text.push_str("## ");
            text.push_str(&capital(numbers.word()));
            text.push(' ');
            text.push_str(numbers.word());
            text.push_str("\n\n");
        }
        for _ in 0..2 {
            let paragraph: Vec<String> = (0..5).map(|_| numbers.sentence()).collect();
            text.push_str(&paragraph.join(" "));
            text.push_str("\n\n");
        }
        text.push_str("- **First**: ");
        text.push_str(&numbers.sentence());
        text.push_str("\n- *Second*: ");
        text.push_str(&numbers.sentence());
        text.push_str("\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_text() {
        let text = || body(&mut Numbers(7));
        assert_eq!(text(), text());
        assert!(text().split_whitespace().count() > 300);
    }
}
