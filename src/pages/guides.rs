//! `/guides`: the pages of `docs/`, as HTML, with what they lead to.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use actix_web::{HttpRequest, HttpResponse, web};
use comrak::options::URLRewriter;
use comrak::{Options, markdown_to_html};

use super::{HTML, PAGE_POLICY, document, file, to};
use crate::http::Problem;
use crate::http::api::page;

/// A file of the project that is served: where it lies, what it is called under `/guides/`, and what is in it.
type Served = (&'static str, &'static str, &'static str);

macro_rules! served {
    ($($path:literal $name:literal)*) => {
        &[$(($path, $name, include_str!(concat!("../../", $path)))),*]
    };
}

const PAGES: &[Served] = served! {
    "docs/guides/README.md" ""
    "docs/guides/front-end.md" "front-end"
    "docs/guides/writing.md" "writing"
    "docs/guides/integrating.md" "integrating"
    "docs/guides/contact-form.md" "contact-form"
    "docs/guides/operating.md" "operating"
    "docs/signing-in.md" "signing-in"
    "docs/editing.md" "editing"
    "docs/contact.md" "contact"
    "docs/cdn.md" "cdn"
    "CHANGELOG.md" "changelog"
};

/// What the pages lead to and is no page.
const TEXTS: &[Served] = served! {
    ".env.example" "env.example"
    "examples/publish_folder.py" "publish_folder.py"
    "examples/varnish.vcl" "varnish.vcl"
};

/// The pages as HTML, made at the first look at one.
static RENDERED: LazyLock<HashMap<&'static str, String>> =
    LazyLock::new(|| PAGES.iter().map(|(path, name, text)| (*name, render(path, text))).collect());

/// Registers the pages.
pub(super) fn register(config: &mut web::ServiceConfig) {
    config.service(page("/guides", || async { to("/guides/") })).service(page("/guides/{name:[^/]*}", guide));
}

async fn guide(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    if let Some(html) = RENDERED.get(name.as_str()) {
        return Ok(file(&request, HTML, PAGE_POLICY, html.as_bytes()));
    }
    let text = TEXTS.iter().find(|(_, known, _)| *known == name.as_str());
    let (_, _, text) = text.ok_or_else(Problem::not_found)?;
    Ok(file(&request, "text/plain; charset=utf-8", PAGE_POLICY, text.as_bytes()))
}

fn render(path: &'static str, text: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.autolink = true;
    options.extension.strikethrough = true;
    options.extension.header_id_prefix = Some(String::new());
    options.extension.link_url_rewriter = Some(Arc::new(Addresses { page: path }));
    let title = text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or_default();
    // A wide table scrolls by itself, also by keyboard.
    let html = markdown_to_html(text, &options)
        .replace("<table>", "<div class=\"table\" tabindex=\"0\" role=\"group\" aria-label=\"Table\"><table>")
        .replace("</table>", "</table></div>")
        .replace("<pre>", "<pre tabindex=\"0\">");
    document(title, &html)
}

/// Makes addresses under `/guides/` of the links from one file of the project to another.
struct Addresses {
    /// The file that the links stand in.
    page: &'static str,
}

impl URLRewriter for Addresses {
    fn to_html(&self, url: &str) -> String {
        address(self.page, url).unwrap_or_else(|| url.to_owned())
    }
}

/// Where a link in a file of the project leads; none where it does not lead to a file that is served.
fn address(page: &str, url: &str) -> Option<String> {
    let (target, fragment) = url.split_once('#').map_or((url, None), |(target, fragment)| (target, Some(fragment)));
    let path = resolved(page, target);
    let (_, name, _) = PAGES.iter().chain(TEXTS).find(|(known, ..)| *known == path)?;
    let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("/guides/{name}{fragment}"))
}

/// The path in the project that a relative reference in a file means (RFC 3986, 5.2).
fn resolved(page: &str, target: &str) -> String {
    if target.is_empty() {
        return page.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_to_a_page_or_out_of_the_project() {
        for (path, name, _) in PAGES {
            let html = &RENDERED[name];
            assert!(html.contains("<h1>") || html.contains("<h1 "), "{path} has no title");
            for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let leads = link.starts_with("https://") || link.starts_with("http://127.0.0.1:8080");
                let stays = link.strip_prefix('#').is_some_and(|id| html.contains(&format!("id=\"{id}\"")));
                assert!(leads || stays || link.starts_with('/'), "{path}: {link} leads nowhere");
                let (target, id) = link.split_once('#').unwrap_or((link, ""));
                if let Some(other) = target.strip_prefix("/guides/").and_then(|name| RENDERED.get(name)) {
                    assert!(id.is_empty() || other.contains(&format!("id=\"{id}\"")), "{path}: {link} leads nowhere");
                }
            }
        }
    }

    #[test]
    fn a_link_is_resolved_against_its_page() {
        let page = "docs/guides/front-end.md";
        assert_eq!(address(page, "writing.md#publish").as_deref(), Some("/guides/writing#publish"));
        assert_eq!(address(page, "../../CHANGELOG.md").as_deref(), Some("/guides/changelog"));
        assert_eq!(address(page, "../cdn.md").as_deref(), Some("/guides/cdn"));
        assert_eq!(address(page, "https://example.org/"), None);
    }
}
