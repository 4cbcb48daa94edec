//! JSON that is handed on as it is stored.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A `T` as the text that was stored of it: nobody looks into it, so it is neither read nor written anew.
pub struct Raw<T> {
    text: Box<RawValue>,
    of: PhantomData<fn() -> T>,
}

impl<T> Raw<T> {
    /// The text of a value.
    ///
    /// # Errors
    /// Where the value can't be written as JSON.
    pub fn of(value: &T) -> serde_json::Result<Self>
    where
        T: Serialize,
    {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// The value.
    ///
    /// # Errors
    /// Where another program has written something else.
    pub fn value(&self) -> serde_json::Result<T>
    where
        T: DeserializeOwned,
    {
        serde_json::from_str(self.text())
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.text.get()
    }
}

impl<T> From<Box<RawValue>> for Raw<T> {
    fn from(text: Box<RawValue>) -> Self {
        Self { text, of: PhantomData }
    }
}

impl<T> Clone for Raw<T> {
    fn clone(&self) -> Self {
        self.text.clone().into()
    }
}

impl<T> fmt::Debug for Raw<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What an older document has not: null, which is what every member is that may be missing.
impl<T> Default for Raw<Option<T>> {
    fn default() -> Self {
        RawValue::NULL.to_owned().into()
    }
}

/// What an older document has not: an empty list.
impl<T> Default for Raw<Vec<T>> {
    fn default() -> Self {
        RawValue::from_string("[]".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()).into()
    }
}

impl<T> Serialize for Raw<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Raw<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

impl<T: PartialSchema> PartialSchema for Raw<T> {
    fn schema() -> RefOr<Schema> {
        T::schema()
    }
}

impl<T: ToSchema> ToSchema for Raw<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        T::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_on_stays_as_it_was() {
        let text = r#"[ {"a":1.50},"\u00e9é" ]"#;
        let raw: Raw<Vec<serde_json::Value>> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
        assert_eq!(serde_json::to_string(&Raw::<Option<u8>>::default()).unwrap(), "null");
        assert_eq!(serde_json::to_string(&Raw::<Vec<u8>>::default()).unwrap(), "[]");
        assert!(serde_json::from_str::<Raw<u8>>("{").is_err());
    }
}
