//! What is personal: a value that can't be printed or logged by accident.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something personal. It is written as JSON where an answer to somebody who may read it, or its seal, is made; its
/// `Debug` form tells nothing, and there is no `Display`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Personal<T>(T);

impl<T> Personal<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for sealing, looking up and answering.
    pub(super) fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_personal_is_printed() {
        let value = Some(Personal::new("Ada".to_owned()));
        assert_eq!(format!("{value:?}"), "Some([personal])");
        assert_eq!(serde_json::to_string(&value).unwrap(), "\"Ada\"");
    }
}
