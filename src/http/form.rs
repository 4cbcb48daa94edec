//! What a plain HTML form sends (`application/x-www-form-urlencoded`, WHATWG URL, 5), as the JSON that a script would
//! send: every member is a text, and `fields[name]=value` is the member `name` of `fields`.

use serde_json::{Map, Value, json};

use super::problem::{Fault, MAX_FAULTS, Problem};
use super::query::decode;
use super::schema;

/// The most pairs that a form may have: more are no form.
const MAX_PAIRS: usize = 200;

/// Reads a form.
///
/// # Errors
/// `422` that names every member which is there twice, or is not UTF-8.
pub fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::invalid_body(vec![Fault::body("", "encoding", "The form is not UTF-8.")]))?;
    let pairs: Vec<&str> = text.split('&').filter(|pair| !pair.is_empty()).collect();
    if pairs.len() > MAX_PAIRS {
        let message = format!("A form may have at most {MAX_PAIRS} fields.");
        return Err(Problem::invalid_body(vec![Fault::body("", "too_many", message)]));
    }
    let (mut members, mut faults) = (Map::new(), Vec::new());
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(name) = decode(name).filter(|text| !text.contains('\0')) else {
            faults.push(Fault::body("", "encoding", "A name is not UTF-8, or holds the character NUL."));
            continue;
        };
        let (outer, inner) = place(&name);
        let pointer = inner.iter().fold(schema::join("", outer), |pointer, name| schema::join(&pointer, name));
        let Some(value) = decode(value).filter(|text| !text.contains('\0')) else {
            faults.push(Fault::body(pointer, "encoding", "The text is not UTF-8, or holds the character NUL."));
            continue;
        };
        if !insert(&mut members, outer, inner, value) {
            faults.push(Fault::body(pointer, "repeated", "This member may be given once."));
        }
    }
    faults.truncate(MAX_FAULTS + 1);
    if faults.is_empty() { Ok(Value::Object(members)) } else { Err(Problem::invalid_body(faults)) }
}

/// The member that a field's name means, and the member of that.
fn place(name: &str) -> (&str, Option<&str>) {
    match name.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
        Some((outer, inner)) if !outer.is_empty() => (outer, Some(inner)),
        _ => (name, None),
    }
}

/// Adds a member; `false` where something is there already.
fn insert(members: &mut Map<String, Value>, outer: &str, inner: Option<&str>, value: String) -> bool {
    let Some(inner) = inner else {
        return !members.contains_key(outer) && members.insert(outer.to_owned(), value.into()).is_none();
    };
    match members.entry(outer).or_insert_with(|| json!({})) {
        Value::Object(own) => !own.contains_key(inner) && own.insert(inner.to_owned(), value.into()).is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_read_as_what_a_script_would_send() {
        let form = b"name=Ada+L&message=a%0D%0Ab%26c&fields%5Bage%5D=44&fields[x]=%F0%9F%99%82&empty=&bare";
        let expected = json!({
            "name": "Ada L", "message": "a\r\nb&c", "fields": { "age": "44", "x": "🙂" }, "empty": "", "bare": "",
        });
        assert_eq!(parse(form).unwrap(), expected);
        assert_eq!(parse(b"").unwrap(), json!({}));
        assert_eq!(parse(b"[a]=1&a]=2").unwrap(), json!({ "[a]": "1", "a]": "2" }));
    }

    #[test]
    fn what_can_not_be_read_is_named_and_not_repeated() {
        let pointers = |form: &[u8]| {
            let problem = parse(form).unwrap_err();
            let faults = problem.faults().iter();
            faults.map(|fault| format!("{} {}", fault.pointer.as_deref().unwrap(), fault.code)).collect::<Vec<_>>()
        };
        assert_eq!(
            pointers(b"a=1&a=2&b=%FF&c=%00&f[x]=1&f[x]=2&f=3"),
            ["/a repeated", "/b encoding", "/c encoding", "/f/x repeated", "/f repeated"]
        );
        assert_eq!(pointers(b"\xff"), [" encoding"]);
        assert_eq!(pointers(&b"a=1&".repeat(300)), [" too_many"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_form_or_a_problem(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }
    }
}
