//! Path parameters: an impossible one is a `404` before any query.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::{Value, json};

use super::api::Input;
use super::description::Description;
use super::problem::Problem;
use crate::db::Id;

/// A value that stands in a path.
pub trait PathParameter: Sized + 'static {
    /// What it is, for the document.
    const DESCRIPTION: &'static str;
    /// Its schema.
    fn schema() -> Value;
    /// Reads it; `None` where no resource can have this address.
    fn parse(text: &str) -> Option<Self>;
}

impl<K: 'static> PathParameter for Id<K> {
    const DESCRIPTION: &'static str = "The id of the resource.";

    fn schema() -> Value {
        json!({ "type": "string", "format": "uuid", "maxLength": 36, "example": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1" })
    }

    fn parse(text: &str) -> Option<Self> {
        // Only the canonical form, so that one resource has one address.
        text.parse::<Self>().ok().filter(|id| id.to_string() == text)
    }
}

/// The parameter of the operation's path.
pub struct Path<T>(pub T);

impl<T: PathParameter> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = req.match_info().iter().next().map(|(_, text)| text).unwrap_or_default();
        ready(T::parse(text).map(Self).ok_or_else(Problem::not_found))
    }
}

/// The two parameters of the operation's path.
pub struct Nested<A, B>(pub A, pub B);

impl<A: PathParameter, B: PathParameter> FromRequest for Nested<A, B> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut texts = req.match_info().iter().map(|(_, text)| text);
        let (first, second) = (texts.next().and_then(A::parse), texts.next().and_then(B::parse));
        ready(first.zip(second).map(|(first, second)| Self(first, second)).ok_or_else(Problem::not_found))
    }
}

impl<A: PathParameter, B: PathParameter> Input for Nested<A, B> {
    fn describe(description: &mut Description) {
        let schemas = [(A::DESCRIPTION, A::schema()), (B::DESCRIPTION, B::schema())];
        for (name, (text, schema)) in description.path_parameters().into_iter().zip(schemas) {
            description.parameter(json!({
                "name": name, "in": "path", "required": true, "description": text, "schema": schema,
            }));
        }
        description.problem("404", "There is no such resource, or the caller may not know of it.");
    }
}

impl<T: PathParameter> Input for Path<T> {
    fn describe(description: &mut Description) {
        for name in description.path_parameters() {
            description.parameter(json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": T::DESCRIPTION,
                "schema": T::schema(),
            }));
        }
        description.problem("404", "There is no such resource, or the caller may not know of it.");
    }
}
