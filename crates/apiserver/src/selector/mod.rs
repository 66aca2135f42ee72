//! Label and field selectors: `app=web,tier in (a, b)`, `metadata.name=x`.

use crate::status::ApiStatus;

/// A parsed `labelSelector`; the default selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LabelSelector {}

/// A parsed `fieldSelector`; the default selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldSelector {}

impl LabelSelector {
    /// Parses the query parameter; an unreadable one is a 400.
    pub fn parse(_text: &str) -> Result<Self, ApiStatus> {
        Ok(Self {})
    }
}

impl FieldSelector {
    /// Parses the query parameter; an unreadable one is a 400. Which fields a resource knows is checked by list
    /// and watch.
    pub fn parse(_text: &str) -> Result<Self, ApiStatus> {
        Ok(Self {})
    }
}
