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
pub(crate) struct MemberDiff {
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
pub(crate) struct TextPiece {
    /// What happened to it.
    pub op: TextOp,
    /// The piece: words with the white space between them.
    pub text: String,
}

/// What happened to a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TextOp {
    /// Both texts have it.
    Equal,
    /// Only the former has it.
    Delete,
    /// Only the latter has it.
    Insert,
}

/// A value of two documents that differs; none where it is not there.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    pointer: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// The members of two documents that differ, in the order of their names.
pub(crate) fn members(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<MemberDiff> {
    leaves(before, after).into_iter().map(MemberDiff::of).collect()
}

impl MemberDiff {
    fn of(leaf: Leaf) -> Self {
        match (leaf.before, leaf.after) {
            (Some(Value::String(former)), Some(Value::String(latter))) => {
                let words = Some(pieces(&former, &latter));
                Self { pointer: leaf.pointer, before: Value::Null, after: Value::Null, words }
            }
            (before, after) => Self {
                pointer: leaf.pointer,
                before: before.unwrap_or_default(),
                after: after.unwrap_or_default(),
                words: None,
            },
        }
    }
}

/// Two edits of one document, brought together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Merge {
    /// What the other edit changed.
    pub changes: Vec<MemberDiff>,
    /// Where both edits changed something and not to the same.
    pub conflicts: Vec<String>,
    /// A merge patch (RFC 7396) of all members that does what both edits did; none where they conflict.
    pub merged: Option<Map<String, Value>>,
}

/// Brings together what `own` and `other` made of `base`.
pub(crate) fn merge(base: &Map<String, Value>, own: &Map<String, Value>, other: &Map<String, Value>) -> Merge {
    let (ours, theirs) = (leaves(base, own), leaves(base, other));
    let clash = |leaf: &&Leaf| theirs.iter().any(|other| leaf.clashes_with(other));
    let conflicts: Vec<String> = ours.iter().filter(clash).map(|leaf| leaf.pointer.clone()).collect();
    let merged = conflicts.is_empty().then(|| {
        let mut merged = other.clone();
        for leaf in ours {
            leaf.put_into(&mut merged, true);
        }
        merged
    });
    Merge { changes: theirs.into_iter().map(MemberDiff::of).collect(), conflicts, merged }
}

/// Carries what `own` made of `base` into another document that was made of it, and gives where that was not possible:
/// there it has something else already.
pub(crate) fn carry(
    base: &Map<String, Value>,
    own: &Map<String, Value>,
    other: &Map<String, Value>,
) -> (Map<String, Value>, Vec<String>) {
    let theirs = leaves(base, other);
    let (mut carried, mut left) = (other.clone(), Vec::new());
    for leaf in leaves(base, own) {
        if theirs.iter().any(|other| leaf.clashes_with(other)) {
            left.push(leaf.pointer);
        } else {
            leaf.put_into(&mut carried, false);
        }
    }
    (carried, left)
}

impl Leaf {
    fn clashes_with(&self, other: &Self) -> bool {
        let lies_in = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        if self.pointer == other.pointer {
            return self.after != other.after;
        }
        lies_in(&self.pointer, &other.pointer) || lies_in(&other.pointer, &self.pointer)
    }

    /// Sets what the pointer names. What is gone is taken away or, for a merge patch, becomes null.
    fn put_into(self, document: &mut Map<String, Value>, as_patch: bool) {
        let names: Vec<String> =
            self.pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        let Some((last, path)) = names.split_last() else { return };
        let mut members = document;
        for name in path {
            let inner = members.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else { return };
            members = inner;
        }
        match self.after {
            None if !as_patch => members.shift_remove(last),
            after => members.insert(last.clone(), after.unwrap_or_default()),
        };
    }
}

fn leaves(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Leaf> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

/// What has an address, as an image has, is told as one: its other members are about what is there.
fn is_one_thing(members: &Map<String, Value>) -> bool {
    members.contains_key("url")
}

fn compare(at: &str, before: &Map<String, Value>, after: &Map<String, Value>, found: &mut Vec<Leaf>) {
    let mut names: Vec<&String> =
        before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))).collect();
    names.sort();
    for name in names {
        let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        match (before.get(name), after.get(name)) {
            (former, latter) if former == latter => {}
            (Some(Value::Object(former)), Some(Value::Object(latter)))
                if !is_one_thing(former) && !is_one_thing(latter) =>
            {
                compare(&pointer, former, latter, found);
            }
            (former, latter) => found.push(Leaf { pointer, before: former.cloned(), after: latter.cloned() }),
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
    fn edits_conflict_where_they_made_different_things_of_one_member() {
        let base = object(json!({ "title": "A", "seo": { "title": null, "no_index": false }, "tags": [] }));
        let own = object(json!({ "title": "B", "seo": { "title": "S", "no_index": false }, "tags": ["x"] }));
        let other = object(json!({ "title": "C", "seo": { "title": null, "no_index": true }, "tags": ["x"] }));
        let merge = super::merge(&base, &own, &other);
        assert_eq!((merge.conflicts, merge.merged), (vec!["/title".to_owned()], None));
        let own = object(json!({ "title": "A", "seo": { "title": "S", "no_index": false }, "tags": ["x"] }));
        let merged = super::merge(&base, &own, &other).merged.unwrap();
        let both = json!({ "title": "C", "seo": { "title": "S", "no_index": true }, "tags": ["x"] });
        assert_eq!(Value::Object(merged), both);
    }

    #[test]
    fn an_image_is_one_thing() {
        let image = |url: &str, alt: &str| object(json!({ "hero_image": { "url": url, "alt": alt } }));
        let (base, own, other) = (image("/a", "A"), image("/a", "An A"), image("/b", "A"));
        let merge = super::merge(&base, &own, &other);
        assert_eq!((merge.conflicts, merge.merged), (vec!["/hero_image".to_owned()], None));
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

    /// Members of few names and values, so that edits meet.
    fn document() -> impl Strategy<Value = Map<String, Value>> {
        let plain = prop_oneof![Just(json!("a b")), Just(json!("a c")), Just(json!([1])), Just(json!(null))];
        let deep = prop::collection::btree_map("[p-q]", plain.clone(), 0..3)
            .prop_map(|inner| Value::Object(inner.into_iter().collect()));
        prop::collection::btree_map("[a-d]", prop_oneof![plain, deep], 0..5)
            .prop_map(|members| members.into_iter().collect())
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
        fn edits_of_different_members_are_both_in_the_merge(base in document(), own in document(), other in document()) {
            let merge = super::merge(&base, &own, &other);
            let mirrored = super::merge(&base, &other, &own);
            prop_assert_eq!(merge.merged.is_some(), merge.conflicts.is_empty());
            prop_assert_eq!(merge.merged.is_some(), mirrored.merged.is_some());
            if let Some(merged) = merge.merged {
                let value = |document: &Map<String, Value>, pointer: &str| {
                    Value::Object(document.clone()).pointer(pointer).cloned().unwrap_or_default()
                };
                for (edit, pointers) in [(&own, members(&base, &own)), (&other, members(&base, &other))] {
                    for one in pointers {
                        prop_assert_eq!(value(&merged, &one.pointer), value(edit, &one.pointer));
                    }
                }
                for one in members(&other, &merged) {
                    prop_assert!(members(&base, &own).iter().any(|own| own.pointer == one.pointer));
                }
            }
        }

        #[test]
        fn a_document_does_not_differ_from_itself(text in ".{0,40}") {
            let document = object(json!({ "text": text, "deep": { "list": [text] } }));
            prop_assert_eq!(members(&document, &document), vec![]);
        }
    }
}
