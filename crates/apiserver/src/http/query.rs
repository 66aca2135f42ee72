//! The query string of a request: one place that knows parameter names and how Kubernetes reads their values.

use std::{
    num::{IntErrorKind, ParseIntError},
    time::Duration,
};

use thiserror::Error;

/// A parsed query string. A parameter given twice counts once, with its first value, as upstream reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// A query parameter whose value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum QueryError {
    /// Not an integer where one is needed.
    #[error("strconv.ParseInt: parsing {value:?}: {}", if *.too_large { "value out of range" } else { "invalid syntax" })]
    NotAnInteger {
        /// Parameter name.
        parameter: &'static str,
        /// What was sent.
        value: String,
        /// Whether it is an integer, but one of more than 64 bits.
        too_large: bool,
    },
}

impl Query {
    /// Parses `application/x-www-form-urlencoded` text; never fails, broken escapes are kept as they are.
    pub(crate) fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        Self { pairs: form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    /// First value of `parameter`; an empty value counts as absent.
    pub(crate) fn text(&self, parameter: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == parameter)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of `parameter`.
    pub(crate) fn all<'a>(&'a self, parameter: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == parameter).map(|(_, value)| value.as_str())
    }

    /// A Kubernetes boolean: absent, `false` and `0` are false, `true` and anything else (also an empty value) are true
    /// (`k8s.io/apimachinery/pkg/runtime.Convert_Slice_string_To_bool`).
    pub(crate) fn flag(&self, parameter: &str) -> bool {
        self.optional_flag(parameter).unwrap_or(false)
    }

    /// Like [`Query::flag`], telling absence from false.
    pub(crate) fn optional_flag(&self, parameter: &str) -> Option<bool> {
        let (_, value) = self.pairs.iter().find(|(key, _)| key == parameter)?;
        Some(!(value.eq_ignore_ascii_case("false") || value == "0"))
    }

    /// An integer parameter.
    pub(crate) fn integer(&self, parameter: &'static str) -> Result<Option<i64>, QueryError> {
        self.text(parameter)
            .map(|value| {
                value.parse().map_err(|error: ParseIntError| QueryError::NotAnInteger {
                    parameter,
                    value: value.to_owned(),
                    too_large: matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow),
                })
            })
            .transpose()
    }

    /// A duration in whole seconds. As upstream treats `timeoutSeconds`, 0 counts as absent and negative ones are over at
    /// once; nothing takes longer than a year.
    pub(crate) fn seconds(&self, parameter: &'static str) -> Result<Option<Duration>, QueryError> {
        const YEAR: u64 = 366 * 24 * 60 * 60;
        let seconds = self.integer(parameter)?.filter(|seconds| *seconds != 0);
        Ok(seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(YEAR))))
    }

    /// Whether a collection `GET` is a watch.
    pub(crate) fn is_watch(&self) -> bool {
        self.flag("watch")
    }

    /// The object name that `fieldSelector=metadata.name=NAME` restricts a collection to, if it is one that could be a
    /// path segment.
    pub(crate) fn exact_name_in_field_selector(&self) -> Option<String> {
        let selector = self.text("fieldSelector")?;
        selector.split(',').find_map(exact_name).map(str::to_owned)
    }
}

fn exact_name(term: &str) -> Option<&str> {
    let value = term.strip_prefix("metadata.name=")?;
    let value = value.strip_prefix('=').unwrap_or(value);
    let is_path_segment = !value.is_empty() && value != "." && value != ".." && !value.contains(['/', '%']);
    is_path_segment.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_read_like_upstream() {
        for (text, expected) in [
            ("", false),
            ("watch=true", true),
            ("watch=1", true),
            ("watch", true),
            ("watch=", true),
            ("watch=yes", true),
            ("watch=false", false),
            ("watch=FALSE", false),
            ("watch=0", false),
            ("watch=0&watch=1", false),
        ] {
            assert_eq!(Query::parse(text).is_watch(), expected, "{text}");
        }
    }

    #[test]
    fn integers_name_what_was_wrong() {
        assert_eq!(Query::parse("limit=500").integer("limit"), Ok(Some(500)));
        assert_eq!(Query::parse("limit=").integer("limit"), Ok(None));
        let error = Query::parse("limit=x").integer("limit").unwrap_err();
        assert_eq!(error.to_string(), r#"strconv.ParseInt: parsing "x": invalid syntax"#);
        let error = Query::parse("limit=99999999999999999999").integer("limit").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#
        );
    }

    /// `timeoutSeconds=9223372036854775807` was added to the time of day as it was, which no clock can hold.
    #[test]
    fn durations_fit_the_clock() {
        let seconds = |text: &str| Query::parse(text).seconds("timeoutSeconds").unwrap();
        assert_eq!(seconds("timeoutSeconds=5"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("timeoutSeconds=-1"), Some(Duration::ZERO));
        assert_eq!(seconds("timeoutSeconds=0"), None);
        assert_eq!(seconds(""), None);
        let longest = seconds("timeoutSeconds=9223372036854775807").unwrap();
        assert!(std::time::Instant::now().checked_add(longest).is_some());
    }
}
