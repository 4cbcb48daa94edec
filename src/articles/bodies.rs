//! The large part of what is public. Each column holds JSON as delivery hands it on; the forms of a text that only an
//! `include` asks for are columns of their own, and read only then.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::model::{ArticleId, Citation, PublishedBody, Seo};
use super::views::ListInclude;
use crate::db::{Conn, Document, Raw, among};
use crate::http::Problem;
use crate::schema::published_bodies;
use crate::text::{Section, TableOfContentsEntry};

/// What one article always shows of its body, and what its links need.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = published_bodies)]
pub(super) struct DeliveredBody {
    /// The articles that it links to by identity.
    pub linked_articles: Document<Vec<ArticleId>>,
    pub table_of_contents: Document<Raw<Vec<TableOfContentsEntry>>>,
    pub seo: Document<Raw<Seo>>,
    pub citations: Document<Raw<Vec<Citation>>>,
    pub extra: Document<Raw<Map<String, Value>>>,
    /// Links by identity are not filled in yet.
    pub body_html: Document<Raw<String>>,
}

/// The text in the forms that only an `include` asks for.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = published_bodies)]
pub(super) struct Forms {
    sections: Document<Vec<StoredSection>>,
    pub body_markdown: Document<Raw<String>>,
}

/// A [`Section`] whose HTML is a part of `body_html`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredSection {
    id: Raw<Option<String>>,
    level: Raw<Option<u8>>,
    heading: Raw<Option<String>>,
    /// How many bytes of JSON between the quotes are this section's.
    html_bytes: usize,
}

/// A [`Section`] as delivery shows it.
#[derive(Serialize)]
struct DeliveredSection<'s> {
    id: &'s Raw<Option<String>>,
    level: &'s Raw<Option<u8>>,
    heading: &'s Raw<Option<String>>,
    html: Raw<String>,
}

impl Forms {
    /// The parts of this HTML, each as `finish` leaves it.
    ///
    /// # Errors
    /// Where what is stored does not fit together, or `finish` fails.
    pub(super) fn sections(
        &self,
        html: &Raw<String>,
        finish: impl Fn(Raw<String>) -> Result<Raw<String>, Problem>,
    ) -> Result<Raw<Vec<Section>>, Problem> {
        let misfit = || Problem::internal("the sections of a body are not its text");
        let mut start = 1_usize;
        let sections = self.sections.0.iter().map(|StoredSection { id, level, heading, html_bytes }| {
            let end = start.checked_add(*html_bytes).ok_or_else(misfit)?;
            let part = html.text().get(start..end).ok_or_else(misfit)?;
            start = end;
            let part = RawValue::from_string(format!("\"{part}\"")).map_err(Problem::internal)?;
            Ok(DeliveredSection { id, level, heading, html: finish(part.into())? })
        });
        let sections = sections.collect::<Result<Vec<_>, Problem>>()?;
        if start + 1 != html.text().len() {
            return Err(misfit());
        }
        serde_json::value::to_raw_value(&sections).map(Raw::from).map_err(Problem::internal)
    }
}

/// A body as it is stored.
///
/// # Errors
/// Where a part can't be written as JSON.
pub(super) fn stored(body: &PublishedBody) -> Result<(DeliveredBody, Forms), Problem> {
    let mut html = String::new();
    let sections = body.sections.iter().map(|Section { id, level, heading, html: part }| {
        html.push_str(part);
        let html_bytes = raw(part)?.text().len() - QUOTES;
        Ok(StoredSection { id: raw(id)?, level: raw(level)?, heading: raw(heading)?, html_bytes })
    });
    let sections = sections.collect::<Result<_, Problem>>()?;
    let forms = Forms { sections: Document(sections), body_markdown: Document(raw(&body.body_markdown)?) };
    let body = DeliveredBody {
        linked_articles: Document(body.linked_articles.clone()),
        table_of_contents: Document(raw(&body.table_of_contents)?),
        seo: Document(raw(&body.seo)?),
        citations: Document(raw(&body.citations)?),
        extra: Document(raw(&body.extra)?),
        body_html: Document(raw(&html)?),
    };
    Ok((body, forms))
}

/// What stands around the JSON of a text.
const QUOTES: usize = 2;

fn raw<T: Serialize>(value: &T) -> Result<Raw<T>, Problem> {
    Raw::of(value).map_err(Problem::internal)
}

/// The bodies of these articles.
pub(super) fn of(conn: &mut Conn, ids: &[ArticleId]) -> Result<HashMap<ArticleId, DeliveredBody>, Problem> {
    let these = among(published_bodies::article_id, ids.iter().map(|id| id.bytes()));
    let rows: Vec<(ArticleId, DeliveredBody)> = published_bodies::table
        .filter(these)
        .select((published_bodies::article_id, DeliveredBody::as_select()))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Whether any of these is one of the [`Forms`].
pub(super) fn has_forms(include: &[ListInclude]) -> bool {
    include.contains(&ListInclude::Sections) || include.contains(&ListInclude::BodyMarkdown)
}

/// The forms of the texts of these articles.
pub(super) fn forms_of(conn: &mut Conn, ids: &[ArticleId]) -> Result<HashMap<ArticleId, Forms>, Problem> {
    let these = among(published_bodies::article_id, ids.iter().map(|id| id.bytes()));
    let rows: Vec<(ArticleId, Forms)> =
        published_bodies::table.filter(these).select((published_bodies::article_id, Forms::as_select())).load(conn)?;
    Ok(rows.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(texts: &[String]) -> PublishedBody {
        let section =
            |html: &String| Section { id: None, level: Some(2), heading: Some(html.clone()), html: html.clone() };
        PublishedBody {
            body_markdown: texts.join("\n"),
            sections: texts.iter().map(section).collect(),
            linked_articles: Vec::new(),
            table_of_contents: Vec::new(),
            seo: Seo::default(),
            citations: Vec::new(),
            extra: Map::new(),
        }
    }

    proptest! {
        #[test]
        fn sections_come_back_as_they_were_stored(texts in prop::collection::vec(any::<String>(), 0..5)) {
            let whole = body(&texts);
            let (stored, forms) = stored(&whole).unwrap();
            let html = stored.body_html.0;
            prop_assert_eq!(html.value().unwrap(), texts.concat());
            let sections = forms.sections(&html, Ok).unwrap();
            prop_assert_eq!(sections.value().unwrap(), whole.sections);
        }
    }

    #[test]
    fn sections_that_are_not_their_text_are_an_error() {
        let (long, of_long) = stored(&body(&["a long text".to_owned()])).unwrap();
        let (short, of_short) = stored(&body(&["short".to_owned()])).unwrap();
        assert!(of_long.sections(&short.body_html.0, Ok).is_err());
        assert!(of_short.sections(&long.body_html.0, Ok).is_err());
    }
}
