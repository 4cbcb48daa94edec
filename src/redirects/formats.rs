//! Redirects in the forms that servers read. Whatever a path holds, it stays one path in them.

use percent_encoding::{percent_decode_str, percent_encode_byte};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Redirect;

/// A form of the list of redirects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RedirectFormat {
    /// A list like any other.
    #[default]
    Json,
    /// The file `_redirects`.
    Netlify,
    /// Directives for a `server` block.
    Nginx,
    /// What `redirects()` returns in `next.config.js`, as JSON text.
    Next,
}

impl RedirectFormat {
    /// All redirects as text.
    pub(super) fn write(self, redirects: &[Redirect]) -> String {
        match self {
            Self::Netlify => redirects.iter().map(netlify).collect(),
            Self::Nginx => redirects.iter().filter_map(nginx).collect(),
            Self::Json | Self::Next => {
                let all: Vec<Value> = redirects.iter().map(next).collect();
                serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
            }
        }
    }
}

fn netlify(redirect: &Redirect) -> String {
    let status = if redirect.permanent { 301 } else { 302 };
    // These would be placeholders, there.
    let to = encoded(&redirect.to, "*:");
    format!("{} {to} {status}\n", redirect.from)
}

/// Nginx compares decoded paths; one that holds what a string of its language can't is left out.
fn nginx(redirect: &Redirect) -> Option<String> {
    let from = percent_decode_str(&redirect.from).decode_utf8().ok()?;
    if from.contains(|c: char| c < ' ' || c == '\u{7f}') {
        return None;
    }
    let from = from.replace('\\', "\\\\").replace('"', "\\\"");
    let plain = if from.len() > 1 { from.trim_end_matches('/') } else { from.as_str() };
    let to = redirect.to.replace('$', "%24").replace('"', "%22").replace('\\', "%5C");
    let status = if redirect.permanent { 308 } else { 307 };
    let line = |from: &str| format!("location = \"{from}\" {{ return {status} \"{to}\"; }}\n");
    // Nginx tells a path from the same with a slash at its end; `resolve` does not.
    Some(if plain == "/" { line(plain) } else { line(plain) + &line(&format!("{plain}/")) })
}

fn next(redirect: &Redirect) -> Value {
    let from = if redirect.from.len() > 1 { redirect.from.trim_end_matches('/') } else { &redirect.from };
    json!({
        "source": encoded(from, PATTERN),
        "destination": encoded(&redirect.to, PATTERN),
        "permanent": redirect.permanent,
    })
}

/// What path-to-regexp takes for something else than itself.
const PATTERN: &str = "(){}:*+\\";

/// An address with these characters percent-encoded where they are not those of its scheme, host and port.
fn encoded(address: &str, characters: &str) -> String {
    let begins = match address.find("://") {
        Some(at) => address[at + 3..].find(['/', '?', '#']).map_or(address.len(), |end| at + 3 + end),
        None => 0,
    };
    let mut text = address[..begins].to_owned();
    for c in address[begins..].chars() {
        if characters.contains(c) {
            text.push_str(percent_encode_byte(u8::try_from(c).unwrap_or(b'?')));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::RedirectReason;
    use super::*;

    fn redirect(from: &str, to: &str, permanent: bool) -> Redirect {
        Redirect { from: from.to_owned(), to: to.to_owned(), permanent, reason: RedirectReason::Manual }
    }

    #[test]
    fn each_server_reads_what_is_meant() {
        let all = [
            redirect("/old/", "/new", true),
            redirect("/a%20(b)+", "https://example.org:8443/c:d?x=(1)$2;#e:f", false),
        ];
        assert_eq!(
            RedirectFormat::Netlify.write(&all),
            "/old/ /new 301\n/a%20(b)+ https://example.org:8443/c%3Ad?x=(1)$2;#e%3Af 302\n"
        );
        assert_eq!(
            RedirectFormat::Nginx.write(&all),
            "location = \"/old\" { return 308 \"/new\"; }\n\
             location = \"/old/\" { return 308 \"/new\"; }\n\
             location = \"/a (b)+\" { return 307 \"https://example.org:8443/c:d?x=(1)%242;#e:f\"; }\n\
             location = \"/a (b)+/\" { return 307 \"https://example.org:8443/c:d?x=(1)%242;#e:f\"; }\n"
        );
        let next: Value = serde_json::from_str(&RedirectFormat::Next.write(&all)).unwrap();
        assert_eq!(next[0], json!({ "source": "/old", "destination": "/new", "permanent": true }));
        assert_eq!(next[1]["source"], "/a%20%28b%29%2B");
        assert_eq!(next[1]["destination"], "https://example.org:8443/c%3Ad?x=%281%29$2;#e%3Af");
    }

    #[test]
    fn what_would_end_a_string_does_not() {
        let all =
            [redirect("/a%22;%20deny", "/b%0A", true), redirect("/a%0Ab", "/c", true), redirect("/%5C", "/d", true)];
        assert_eq!(
            RedirectFormat::Nginx.write(&all),
            "location = \"/a\\\"; deny\" { return 308 \"/b%0A\"; }\nlocation = \"/a\\\"; deny/\" { return 308 \"/b%0A\"; }\n\
             location = \"/\\\\\" { return 308 \"/d\"; }\nlocation = \"/\\\\/\" { return 308 \"/d\"; }\n"
        );
    }
}
