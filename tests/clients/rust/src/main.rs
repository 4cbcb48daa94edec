//! Writes, publishes and reads an article, and sends a contact message, with the `rust` client of openapi-generator.

use std::collections::HashSet;
use std::env;
use std::error::Error;

use copydesk_client::apis::articles_api::{
    create_article, get_article, list_articles, publish_article, update_article,
};
use copydesk_client::apis::configuration::Configuration;
use copydesk_client::apis::contact_api::{CreateContactSubmissionError, create_contact_submission};
use copydesk_client::apis::sign_in_api::log_in;
use copydesk_client::apis::{self, ResponseContent};
use copydesk_client::models::{
    ArticleDraft, ArticleListItemList, ArticlePatch, Login, Publish, Role, SubmissionDraft, Visibility,
};

fn main() -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<(), Box<dyn Error>> {
    let anyone = Configuration { base_path: env::var("COPYDESK_CLIENT_URL")?, ..Configuration::default() };
    let login = Login::new(env::var("COPYDESK_CLIENT_EMAIL")?, env::var("COPYDESK_CLIENT_PASSWORD")?);
    let sign_in = log_in(&anyone, login).await?;
    assert_eq!(sign_in.user.role, Role::Editor);
    let editor = Configuration { bearer_access_token: Some(sign_in.access_token), ..anyone.clone() };

    let new = ArticleDraft {
        body_markdown: Some("## Where to begin\n\nSleep, eat, call someone.".to_owned()),
        categories: Some(vec!["treatment".to_owned()]),
        tags: Some(vec!["early-recovery".to_owned()]),
        ..ArticleDraft::new("Typed by openapi-generator".to_owned())
    };
    let draft = create_article(&editor, new, None, None, None).await?;
    assert_eq!(draft.visibility, Visibility::None);
    let id = draft.id.to_string();
    let slug = draft.slug.ok_or("a draft has a slug")?;

    let patch = ArticlePatch { subtitle: Some(Some("What helps on the first day".to_owned())), ..ArticlePatch::new() };
    // The generated functions give no headers of an answer, so the `ETag` is not at hand.
    let revision = update_article(&editor, &id, "*", patch, None, None).await?.revision;
    assert_eq!(revision, draft.revision + 1);

    let published = publish_article(&editor, &id, Publish::new(revision), None, None).await?;
    assert_eq!(published.visibility, Visibility::Public);
    assert_eq!(published.published.map(|public| public.revision), Some(revision));

    let sections = Some(vec!["sections".to_owned()]);
    let article = get_article(&anyone, &slug, sections, None, None, None, None).await?;
    assert_eq!(article.id, draft.id);
    assert_eq!(article.subtitle.as_deref(), Some("What helps on the first day"));
    let sections = article.sections.ok_or("sections were asked for")?;
    assert_eq!(sections[0].heading.as_deref(), Some("Where to begin"));

    let mut items = Vec::new();
    let mut pages = 0;
    let mut cursor = None;
    loop {
        let part = list(&anyone, Some(4), cursor.as_deref(), None).await?;
        items.extend(part.items);
        pages += 1;
        cursor = part.page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let counted = list(&anyone, None, None, Some(1)).await?.page.total_items;
    assert!(pages > 1);
    assert_eq!(Some(i64::try_from(items.len())?), counted);
    let ids: HashSet<_> = items.iter().map(|item| item.id).collect();
    assert_eq!(ids.len(), items.len());
    assert!(ids.contains(&draft.id));

    let message = SubmissionDraft {
        email: Some(Some("sam@example.org".to_owned())),
        ..SubmissionDraft::new("Sam".to_owned(), "May I call you tonight?".to_owned(), true)
    };
    let receipt = create_contact_submission(&anyone, message).await?;

    let without_consent = SubmissionDraft::new("Sam".to_owned(), "May I call you tonight?".to_owned(), false);
    let refused = create_contact_submission(&anyone, without_consent).await;
    let Err(apis::Error::ResponseError(ResponseContent { status, entity, .. })) = refused else {
        return Err(format!("a message without consent was not refused: {refused:?}").into());
    };
    assert_eq!(status, 422);
    // Of the variants that hold the same schema, the generated code makes the first whatever the status is.
    let Some(CreateContactSubmissionError::Status400(problem) | CreateContactSubmissionError::Status422(problem)) =
        entity
    else {
        return Err(format!("what was refused is no problem: {entity:?}").into());
    };
    let mut pointers: Vec<_> = problem.errors.into_iter().map(|fault| fault.pointer).collect();
    pointers.sort();
    assert_eq!(pointers, [Some("/consent".to_owned()), Some("/email".to_owned())]);

    println!(
        "openapi-generator: ok (revision {revision} of {slug} published, {} articles on {pages} pages, \
         message {} taken, {} faults of a refused one)",
        items.len(),
        receipt.id,
        pointers.len()
    );
    Ok(())
}

/// One part of the list of articles: the generated function takes every parameter by position.
async fn list(
    configuration: &Configuration,
    limit: Option<i32>,
    cursor: Option<&str>,
    page: Option<i32>,
) -> Result<ArticleListItemList, Box<dyn Error>> {
    let list = list_articles(
        configuration,
        None, // category
        None, // author
        None, // tag
        None, // language
        None, // published_after
        None, // published_before
        None, // exclude
        None, // sort
        None, // include
        limit,
        cursor,
        page,
        None, // if_none_match
        None, // if_modified_since
        None, // if_match
        None, // if_unmodified_since
    );
    Ok(list.await?)
}
