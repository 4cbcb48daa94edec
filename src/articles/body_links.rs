//! Links by identity in texts: the addresses of the articles that they lead to, as far as those are public.

use std::collections::HashMap;

use serde_json::Error;
use uuid::Uuid;

use super::model::ArticleId;
use super::published;
use crate::config::Config;
use crate::db::{Conn, Raw};
use crate::http::Problem;
use crate::text;

/// Where the links of some texts lead.
pub(super) struct BodyLinks<'c> {
    config: &'c Config,
    slugs: HashMap<ArticleId, String>,
}

impl<'c> BodyLinks<'c> {
    /// The links to these articles.
    pub(super) fn to(conn: &mut Conn, config: &'c Config, ids: &[ArticleId]) -> Result<Self, Problem> {
        Ok(Self { config, slugs: published::slugs_of(conn, ids)? })
    }

    fn address(&self, id: Uuid) -> Option<String> {
        self.slugs.get(&ArticleId::from_uuid(id)).map(|slug| self.config.article_url(slug))
    }

    /// This HTML with its links filled in.
    pub(super) fn in_html(&self, html: &str) -> String {
        text::link_articles_html(html, |id| self.address(id))
    }

    /// The same for HTML in JSON.
    pub(super) fn in_raw_html(&self, html: &Raw<String>) -> Result<Raw<String>, Error> {
        Raw::of(&self.in_html(&html.value()?))
    }

    /// The same for Markdown in JSON.
    pub(super) fn in_raw_markdown(&self, markdown: &Raw<String>) -> Result<Raw<String>, Error> {
        Raw::of(&text::link_articles_markdown(&markdown.value()?, |id| self.address(id)))
    }
}

/// This HTML with its links to these articles filled in: how management shows them.
pub(super) fn resolve_links(conn: &mut Conn, config: &Config, html: &str, linked: &[Uuid]) -> Result<String, Problem> {
    let ids: Vec<ArticleId> = linked.iter().map(|id| ArticleId::from_uuid(*id)).collect();
    Ok(BodyLinks::to(conn, config, &ids)?.in_html(html))
}
