//! Sample content: the site of an invented recovery centre, so that the first `curl` shows something.

use std::collections::HashMap;

use diesel::prelude::*;
use secrecy::SecretString;
use serde::Deserialize;

use crate::articles::import::Import;
use crate::articles::{ArticleId, Content};
use crate::auth::Role;
use crate::authors::{self, AuthorContent, AuthorId};
use crate::categories::{self, CategoryContent, CategoryId};
use crate::changes::Who;
use crate::contact;
use crate::db::Conn;
use crate::http::Problem;
use crate::http::conditional::base64url;
use crate::schema;
use crate::site::{self, SiteContent};
use crate::state::App;
use crate::text;
use crate::users::{self, NewUser};

/// The email of the account that the sample content comes with.
pub(crate) const ADMIN_EMAIL: &str = "demo@example.org";
/// The email of the account that reads the sample messages; its password is the same.
pub(crate) const INTAKE_EMAIL: &str = "intake@example.org";

macro_rules! bodies {
    ($($slug:literal)*) => {
        &[$(($slug, include_str!(concat!("articles/", $slug, ".md")))),*]
    };
}

static BODIES: &[(&str, &str)] = bodies!(
    "alcohol-withdrawal-safety"
    "naloxone-at-home"
    "naloxona-en-casa"
    "first-week-in-treatment"
    "after-a-return-to-use"
    "sleeping-in-early-recovery"
    "going-back-to-work"
    "talking-with-your-teenager"
    "words-that-help"
    "finding-a-peer-group"
    "trauma-and-substance-use"
    "taking-a-break-from-cannabis"
    "caring-for-someone-caring-for-yourself"
    "medication-for-opioid-use-disorder"
);

/// A sample article: its translation is named by slug.
#[derive(Deserialize)]
struct SampleArticle {
    slug: String,
    translation_of: Option<String>,
    #[serde(flatten)]
    members: serde_json::Map<String, serde_json::Value>,
}

/// What was added.
pub(crate) struct Added {
    /// The password of the sample admin, which is stored nowhere in clear; none where there are accounts already.
    pub password: Option<String>,
    /// How many articles.
    pub articles: usize,
    /// How many contact messages.
    pub messages: usize,
}

/// Adds the sample content to an empty database; `None` where there is content already.
///
/// # Errors
/// Where the sample is broken, or what the database says.
pub(crate) async fn add(app: &App) -> Result<Option<Added>, Problem> {
    if app.db.read(is_in_use).await? {
        return Ok(None);
    }
    // Whoever has accounts gets no further one that they did not ask for.
    let has_accounts = app.db.read(users::count).await? > 0;
    let password = if has_accounts { None } else { Some(random_password()?) };
    let hash = match &password {
        Some(password) => Some(app.passwords.hash(SecretString::from(password.clone())).await?),
        None => None,
    };
    let (now, language) = (app.clock.now(), app.config.language.clone());
    let articles = app
        .db
        .write(move |tx| {
            let admin = NewUser { email: ADMIN_EMAIL.to_owned(), name: "Demo Admin".to_owned(), role: Role::Admin };
            let intake = NewUser { email: INTAKE_EMAIL.to_owned(), name: "Demo Intake".to_owned(), role: Role::Intake };
            let by = match hash {
                Some(hash) => {
                    users::insert(tx, &intake, Some(hash.clone()), Who::CommandLine, now)?;
                    Some(users::insert(tx, &admin, Some(hash), Who::CommandLine, now)?)
                }
                None => None,
            };
            let sample = |text| serde_json::from_str::<serde_json::Value>(text).map_err(Problem::internal);
            site::replace(tx, parse::<SiteContent>(sample(include_str!("site.json"))?)?, Who::CommandLine, now)?;
            for author in parse::<Vec<AuthorContent>>(sample(include_str!("authors.json"))?)? {
                let bio = text::render(&author.bio_markdown);
                authors::insert(tx, AuthorId::generate(), author, bio, Who::CommandLine, now)?;
            }
            for category in parse::<Vec<CategoryContent>>(sample(include_str!("categories.json"))?)? {
                categories::insert(tx, CategoryId::generate(), category, Who::CommandLine, now)?;
            }
            let articles = parse::<Vec<SampleArticle>>(sample(include_str!("articles.json"))?)?;
            let number = articles.len();
            for (id, content) in contents(articles)? {
                Import::check(tx, id, content, by, &language, now)?.store(tx, now)?;
            }
            Ok::<_, Problem>(number)
        })
        .await?;
    let messages = contact::add_samples(app).await?;
    Ok(Some(Added { password, articles, messages }))
}

fn parse<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(Problem::internal)
}

fn is_in_use(conn: &mut Conn) -> Result<bool, Problem> {
    let articles: i64 = schema::articles::table.count().get_result(conn)?;
    let authors: i64 = schema::authors::table.count().get_result(conn)?;
    let categories: i64 = schema::categories::table.count().get_result(conn)?;
    // The site's row is there from the first migration on, and has its second version with its first change.
    let sites: i64 = schema::site::table.filter(schema::site::row_version.gt(1)).count().get_result(conn)?;
    Ok(articles + authors + categories + sites > 0)
}

/// The articles with ids in the place of slugs, originals before their translations.
fn contents(mut articles: Vec<SampleArticle>) -> Result<Vec<(ArticleId, Content)>, Problem> {
    articles.sort_by_key(|article| article.translation_of.is_some());
    let ids: HashMap<String, ArticleId> =
        articles.iter().map(|article| (article.slug.clone(), ArticleId::generate())).collect();
    let bodies: HashMap<&str, &str> = BODIES.iter().copied().collect();
    articles
        .into_iter()
        .map(|article| {
            let missing = || Problem::internal(format!("the sample article {} is incomplete", article.slug));
            let id = *ids.get(&article.slug).ok_or_else(missing)?;
            let mut body = bodies.get(article.slug.as_str()).ok_or_else(missing)?.to_string();
            for (slug, id) in &ids {
                body = body.replace(&format!("(article:{slug})"), &format!("(article:{id})"));
            }
            let mut content: Content = parse(serde_json::Value::Object(article.members.clone()))?;
            content.translation_of = article.translation_of.as_ref().and_then(|slug| ids.get(slug)).copied();
            content.slug = Some(article.slug);
            content.body_markdown = body;
            Ok((id, content))
        })
        .collect()
}

fn random_password() -> Result<String, Problem> {
    let mut bytes = [0_u8; 15];
    getrandom::fill(&mut bytes).map_err(Problem::internal)?;
    Ok(base64url(&bytes))
}
