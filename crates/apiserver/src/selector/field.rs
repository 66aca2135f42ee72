//! Field selectors (k8s.io/apimachinery `pkg/fields`): `metadata.name=x,type!=Opaque`.

use crate::status::ApiStatus;

/// One comparison of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// Field path, such as `spec.nodeName`.
    pub field: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must be equal, or different.
    pub equal: bool,
}

/// Terms that must all hold; the default selects everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldSelector {
    /// The terms, in order.
    pub terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Parses the query parameter; an unreadable one is a 400. Which fields a resource knows is checked by list
    /// and watch.
    pub fn parse(text: &str) -> Result<Self, ApiStatus> {
        let mut parts = split_terms(text);
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts {
            if part.is_empty() {
                continue;
            }
            let Some((field, value, equal)) = split_operator(part) else {
                return Err(ApiStatus::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{part}'"
                )));
            };
            let value = unescape(value)?;
            terms.push(FieldTerm { field: field.to_owned(), value, equal });
        }
        Ok(Self { terms })
    }

    /// Whether everything is selected.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether fields looked up by `get` satisfy every term; an absent field is the empty string.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> &'a str) -> bool {
        self.terms.iter().all(|term| (get(&term.field) == term.value) == term.equal)
    }

    /// The value that this field must have, if exactly one is asked for.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|t| t.equal && t.field == field).map(|t| t.value.as_str())
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn split_operator(term: &str) -> Option<(&str, &str, bool)> {
    let mut escaped = false;
    for (i, c) in term.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ => {
                let rest = &term[i..];
                for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
                    if let Some(value) = rest.strip_prefix(operator) {
                        return Some((&term[..i], value, equal));
                    }
                }
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, ApiStatus> {
    if !value.contains(['\\', ',', '=']) {
        return Ok(value.to_owned());
    }
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => text.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(ApiStatus::bad_request(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(ApiStatus::bad_request(format!(
                    "invalid field selector: unescaped character in value: {c}"
                )));
            }
            c => text.push(c),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matching() {
        let get = |field: &str| if field == "metadata.name" { "x" } else { "" };
        let rows = [
            ("", true),
            ("metadata.name=x", true),
            ("metadata.name==x", true),
            ("metadata.name!=x", false),
            ("metadata.name=x,type=", true),
            ("type!=Opaque", true),
            (",,", true),
        ];
        for (selector, expected) in rows {
            assert_eq!(FieldSelector::parse(selector).unwrap().matches(get), expected, "{selector}");
        }
    }

    #[test]
    fn escapes() {
        let selector = FieldSelector::parse(r"a=b\,c\=d").unwrap();
        assert_eq!(selector.required_value("a"), Some("b,c=d"));
        assert!(FieldSelector::parse(r"a=b\x").is_err());
        assert!(FieldSelector::parse("a=b=c").is_err());
    }

    #[test]
    fn refusal() {
        let error = FieldSelector::parse("spec").unwrap_err();
        assert_eq!(error.message, "invalid selector: 'spec'; can't understand 'spec'");
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,20}|[ab=!,\\\\]{0,12}") {
            let _ = FieldSelector::parse(&text);
        }
    }
}
