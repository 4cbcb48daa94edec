//! What differs between two documents: member by member, in texts word by word.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};
use utoipa::ToSchema;

/// After this long a difference of two texts is told in coarser pieces: it stays right and is less fine.
const PATIENCE: Duration = Duration::from_millis(500);

/// A member that differs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct MemberDiff {
    /// Where it stands, a JSON Pointer (RFC 6901).
    #[schema(example = "/body_markdown")]
    pub pointer: String,
    /// What it was; null where it was not there, and for texts, which `words` tells of.
    pub before: Value,
    /// What it is; null where it is not there any more, and for texts.
    pub after: Value,
    /// How a text became the other, in order; null where it is no text.
    #[schema(required)]
    pub words: Option<Vec<TextPiece>>,
}

/// A piece of two texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct TextPiece {
    /// What happened to it.
    pub op: TextOp,
    /// The piece: words with the white space between them.
    pub text: String,
}

/// What happened to a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TextOp {
    /// Both texts have it.
    Equal,
    /// Only the former has it.
    Delete,
    /// Only the latter has it.
    Insert,
}

/// The members of two documents that differ, in the order of their names.
pub(super) fn members(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<MemberDiff> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(at: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<MemberDiff>) {
    let mut names: Vec<&String> =
        before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
    names.sort();
    for name in names {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        let side = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or_default();
        match (side(before), side(after)) {
            (former, latter) if former == latter => {}
            (Value::Object(former), Value::Object(latter)) => compare(&pointer, &former, &latter, found),
            (Value::String(former), Value::String(latter)) => {
                let words = Some(pieces(&former, &latter));
                found.push(MemberDiff { pointer, before: Value::Null, after: Value::Null, words });
            }
            (before, after) => found.push(MemberDiff { pointer, before, after, words: None }),
        }
    }
}

/// How a text became another; neighbours of one kind are one piece.
fn pieces(before: &str, after: &str) -> Vec<TextPiece> {
    let mut pieces: Vec<TextPiece> = Vec::new();
    let diff = TextDiff::configure().timeout(PATIENCE).diff_words(before, after);
    for change in diff.iter_all_changes() {
        let op = match change.tag() {
            ChangeTag::Equal => TextOp::Equal,
            ChangeTag::Delete => TextOp::Delete,
            ChangeTag::Insert => TextOp::Insert,
        };
        match pieces.last_mut().filter(|last| last.op == op) {
            Some(last) => last.text.push_str(change.value()),
            None => pieces.push(TextPiece { op, text: change.value().to_owned() }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn a_changed_word_is_told_as_one() {
        let (before, after) = (object(json!({ "t": "Call me now" })), object(json!({ "t": "Call us now" })));
        let piece = |op, text: &str| TextPiece { op, text: text.to_owned() };
        let words = vec![
            piece(TextOp::Equal, "Call "),
            piece(TextOp::Delete, "me"),
            piece(TextOp::Insert, "us"),
            piece(TextOp::Equal, " now"),
        ];
        let found = members(&before, &after);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].pointer.as_str(), found[0].words.as_ref()), ("/t", Some(&words)));
    }

    #[test]
    fn members_that_come_go_or_lie_deeper_are_told_where_they_stand() {
        let before =
            object(json!({ "a": null, "seo": { "title": "One", "no_index": false }, "tags": ["x"], "gone": 1 }));
        let after = object(json!({ "a": "new", "seo": { "title": "One", "no_index": true }, "tags": [], "a/b~": 2 }));
        let found = members(&before, &after);
        let told: Vec<_> = found.iter().map(|one| (one.pointer.as_str(), &one.before, &one.after)).collect();
        let null = Value::Null;
        assert_eq!(
            told,
            [
                ("/a", &null, &json!("new")),
                ("/a~1b~0", &null, &json!(2)),
                ("/gone", &json!(1), &null),
                ("/seo/no_index", &json!(false), &json!(true)),
                ("/tags", &json!(["x"]), &json!([])),
            ]
        );
    }

    proptest! {
        #[test]
        fn the_pieces_are_both_texts(before in "[a-c \n]{0,40}", after in "[a-c \n]{0,40}") {
            let pieces = pieces(&before, &after);
            let side = |left_out| pieces.iter().filter(|one| one.op != left_out).map(|one| one.text.as_str()).collect::<String>();
            prop_assert_eq!(side(TextOp::Insert), before);
            prop_assert_eq!(side(TextOp::Delete), after);
        }

        #[test]
        fn a_document_does_not_differ_from_itself(text in ".{0,40}") {
            let document = object(json!({ "text": text, "deep": { "list": [text] } }));
            prop_assert_eq!(members(&document, &document), vec![]);
        }
    }
}
