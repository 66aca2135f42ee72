//! The JSONPath of printer columns: fields, indices, `[*]` and filters such as `[?(@.type=="Ready")]`
//! (k8s.io/client-go/util/jsonpath, without scripts and recursive descent).

use serde_json::{Value, json};

/// Brackets that may nest in filters.
const MAX_STEPS: usize = 64;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// From the end when negative.
    Index(i64),
    Wildcard,
    Filter(JsonPath, Comparison, Value),
    /// `[?(@.field)]`
    Exists(JsonPath),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl JsonPath {
    /// Parses a path; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if steps.len() > MAX_STEPS {
                return Err(format!("is an invalid JSON path: more than {MAX_STEPS} steps"));
            }
            let (step, after) = if let Some(bracket) = rest.strip_prefix('[') {
                bracketed(bracket)?
            } else {
                let name = rest.strip_prefix('.').unwrap_or(rest);
                if name.starts_with('.') {
                    return Err("is an invalid JSON path: recursive descent is not supported".to_owned());
                }
                dotted(name)
            };
            steps.extend(step);
            rest = after;
        }
        Ok(Self { steps })
    }

    /// The first value the path leads to.
    pub(crate) fn first<'v>(&self, object: &'v Value) -> Option<&'v Value> {
        find(&self.steps, object)
    }
}

/// A field after a dot; `\.` is a dot in its name.
fn dotted(text: &str) -> (Option<Step>, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (field(name), &text[i..]),
            c => name.push(c),
        }
    }
    (field(name), "")
}

fn field(name: String) -> Option<Step> {
    match name.as_str() {
        "" => None,
        "*" => Some(Step::Wildcard),
        _ => Some(Step::Field(name)),
    }
}

/// What stands in brackets, after the opening one.
fn bracketed(text: &str) -> Result<(Option<Step>, &str), String> {
    let unterminated = || "is an invalid JSON path: unterminated array".to_owned();
    if let Some(filter) = text.strip_prefix("?(") {
        let end = filter.find(")]").ok_or_else(unterminated)?;
        return Ok((Some(parse_filter(&filter[..end])?), &filter[end + 2..]));
    }
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
        let inner = &text[1..];
        let end = inner.find(&format!("{quote}]")).ok_or_else(unterminated)?;
        return Ok((Some(Step::Field(inner[..end].replace('\\', ""))), &inner[end + 2..]));
    }
    let end = text.find(']').ok_or_else(unterminated)?;
    let (inner, rest) = (&text[..end], &text[end + 1..]);
    if inner == "*" {
        return Ok((Some(Step::Wildcard), rest));
    }
    match inner.parse() {
        Ok(index) => Ok((Some(Step::Index(index)), rest)),
        Err(_) => Err(format!("is an invalid JSON path: invalid array index {inner}")),
    }
}

fn parse_filter(text: &str) -> Result<Step, String> {
    let path = |text: &str| {
        let text = text.trim();
        let below = text
            .strip_prefix('@')
            .ok_or_else(|| format!("is an invalid JSON path: a filter compares a field of @, not {text}"))?;
        JsonPath::parse(below)
    };
    for (operator, comparison) in COMPARISONS {
        if let Some((left, right)) = text.split_once(operator) {
            return Ok(Step::Filter(path(left)?, comparison, literal(right.trim())));
        }
    }
    Ok(Step::Exists(path(text)?))
}

fn literal(text: &str) -> Value {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    match quoted('"').or_else(|| quoted('\'')) {
        Some(inner) => json!(inner),
        None => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}

fn find<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    match step {
        Step::Field(name) => find(rest, value.get(name)?),
        Step::Index(index) => {
            let items = value.as_array()?;
            let len = i64::try_from(items.len()).ok()?;
            let index = if *index < 0 { len + index } else { *index };
            find(rest, items.get(usize::try_from(index).ok()?)?)
        }
        Step::Wildcard => children(value).find_map(|child| find(rest, child)),
        Step::Filter(path, comparison, wanted) => children(value)
            .filter(|child| path.first(child).is_some_and(|v| compare(v, *comparison, wanted)))
            .find_map(|child| find(rest, child)),
        Step::Exists(path) => {
            children(value).filter(|child| path.first(child).is_some()).find_map(|child| find(rest, child))
        }
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn compare(value: &Value, comparison: Comparison, wanted: &Value) -> bool {
    let ordering = match (value, wanted) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b))
        }
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => (a == b).then_some(std::cmp::Ordering::Equal),
    };
    match comparison {
        Comparison::Equal => ordering.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::NotEqual => !ordering.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::Less => ordering.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::LessOrEqual => ordering.is_some_and(std::cmp::Ordering::is_le),
        Comparison::Greater => ordering.is_some_and(std::cmp::Ordering::is_gt),
        Comparison::GreaterOrEqual => ordering.is_some_and(std::cmp::Ordering::is_ge),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows() {
        let object = json!({
            "metadata": {"annotations": {"a.b/c": "dotted"}},
            "spec": {"hosts": ["x", "y"], "n": 3},
            "status": {"conditions": [
                {"type": "Stalled", "status": "False"},
                {"type": "Ready", "status": "True", "count": 2}
            ]}
        });
        let rows = [
            (".spec.n", Some(json!(3))),
            ("spec.n", Some(json!(3))),
            (".spec.hosts[0]", Some(json!("x"))),
            (".spec.hosts[-1]", Some(json!("y"))),
            (".spec.hosts[*]", Some(json!("x"))),
            (".spec.hosts[5]", None),
            (".spec.missing.deep", None),
            (".metadata.annotations['a.b/c']", Some(json!("dotted"))),
            (r".metadata.annotations.a\.b/c", Some(json!("dotted"))),
            (".status.conditions[?(@.type==\"Ready\")].status", Some(json!("True"))),
            (".status.conditions[?(@.type == 'Ready')].status", Some(json!("True"))),
            (".status.conditions[?(@.count>1)].type", Some(json!("Ready"))),
            (".status.conditions[?(@.count)].type", Some(json!("Ready"))),
            (".status.conditions[?(@.type!=\"Stalled\")].type", Some(json!("Ready"))),
            (".status.conditions[?(@.type==\"Gone\")].status", None),
        ];
        for (path, expected) in rows {
            assert_eq!(JsonPath::parse(path).unwrap().first(&object), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn refusals() {
        for path in [".a[", ".a[x]", "..a", ".a[?(b==1)]", ".a['b"] {
            assert!(JsonPath::parse(path).unwrap_err().starts_with("is an invalid JSON path: "), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,20}|[.a\\[\\]?()@='\"*\\\\<0-9]{0,20}") {
            if let Ok(path) = JsonPath::parse(&text) {
                let _ = path.first(&json!({"a": [{"a": 1}, "a"]}));
            }
        }
    }
}
