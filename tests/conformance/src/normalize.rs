//! Names for values that differ from run to run: uids, resource versions, times, generated names, tokens.
//!
//! ```text
//!   answer  "uid": "5b4c…"          ─▶  "uid": "<uid:1>"       numbered as they first appear in a case
//!   request "uid": "<uid:1>"        ─▶  "uid": "5b4c…"         so a case can use what it was told
//! ```
//!
//! Equal values get equal names, so that a case sees whether a uid or a resource version changed. The resource version of
//! a list is a new name every time: whether it is that of the newest object depends on what else the server does.

use regex::{Captures, Regex};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What a value is, and what its names are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sort {
    Uid,
    Version,
    ListVersion,
    BookmarkVersion,
    Continue,
    Generated,
    Token,
    Address,
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Version => "rv",
            Self::ListVersion => "list",
            Self::BookmarkVersion => "bookmark",
            Self::Continue => "continue",
            Self::Generated => "name",
            Self::Token => "token",
            Self::Address => "ip",
        }
    }
}

/// The names of one conversation.
#[derive(Debug)]
pub(crate) struct Names {
    patterns: Patterns,
    /// What the case itself says; such values are not renamed.
    literals: String,
    by_value: HashMap<(Sort, String), String>,
    by_name: HashMap<String, String>,
    counts: HashMap<Sort, usize>,
    /// Prefixes for which the case has names generated, each followed by the letters that names are made of.
    generated: Vec<Regex>,
}

#[derive(Debug)]
struct Patterns {
    uuid: Regex,
    time: Regex,
    token: Regex,
    address: Regex,
    version: Regex,
    name: Regex,
    object: Regex,
    certificate: Regex,
    struct_diff: Regex,
}

impl Patterns {
    fn new() -> Self {
        let regex =
            |pattern: &str| Regex::new(pattern).expect("the pattern is a constant that tests compile");
        Self {
            uuid: regex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
            time: regex(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000 UTC)"),
            token: regex(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
            address: regex(r"127\.0\.0\.1:\d+"),
            // Resource versions within messages: one that a client knows, or the server's newest.
            version: regex(
                r"(?P<known>ResourceVersion in (?:the )?(?:precondition|object meta|record)(?:: | \())(?P<version>\d+)|(?P<newest>too old resource version: \d+ \(|Too large resource version: \d+, current: )\d+",
            ),
            name: regex("<[a-z]+:[0-9]+>"),
            // An object quoted in a message, in the order of Go's fields or maps.
            object: regex(r#"Invalid value: "(?:\{\\".*\}|map\[.*\])": "#),
            // What the real server shows of Go's structs where a Pod may not be changed so, and all after it.
            struct_diff: regex(r"(may not change fields other than [^\n]* previously negative\))(?s:.*)"),
            certificate: regex("(?:-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?)+"),
        }
    }
}

/// What a name made from a prefix looks like, for each prefix in the text.
fn generated_names(literals: &str) -> Vec<Regex> {
    let prefix =
        Regex::new(r#""generateName": ?"([^"]*)""#).expect("the pattern is a constant that tests compile");
    let made = |found: Captures<'_>| {
        let pattern = format!("{}[bcdfghjklmnpqrstvwxz2456789]{{5}}", regex::escape(&found[1]));
        Regex::new(&pattern).expect("an escaped prefix and a class")
    };
    prefix.captures_iter(literals).map(made).collect()
}

impl Names {
    /// For a case whose text is `literals`.
    pub(crate) fn new(literals: String) -> Self {
        Self {
            patterns: Patterns::new(),
            generated: generated_names(&literals),
            literals,
            by_value: HashMap::new(),
            by_name: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// A request's text with values for names; an error names one that has not been seen.
    pub(crate) fn resolve(&self, text: &str) -> Result<String, String> {
        let unknown =
            self.patterns.name.find_iter(text).find(|name| !self.by_name.contains_key(name.as_str()));
        if let Some(name) = unknown {
            return Err(format!("no answer has had a {} yet", name.as_str()));
        }
        let value = |found: &Captures<'_>| self.by_name[&found[0]].clone();
        Ok(self.patterns.name.replace_all(text, value).into_owned())
    }

    /// Gives names to the values in an answer.
    pub(crate) fn apply(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => self.apply_to_object(map),
            Value::Array(list) => list.iter_mut().for_each(|item| self.apply(item)),
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn apply_to_object(&mut self, map: &mut Map<String, Value>) {
        // Who owns which field is kept by server-side apply's rules alone, see the accepted differences.
        map.shift_remove("managedFields");
        let is_list = |content: &Value| content.is_array() || content.is_null();
        if map.get("items").or(map.get("rows")).is_some_and(is_list) {
            self.rename_at(map, &["metadata", "resourceVersion"], Sort::ListVersion);
            hide_cells(map);
        }
        if map.get("type").and_then(Value::as_str) == Some("BOOKMARK") {
            self.rename_at(map, &["object", "metadata", "resourceVersion"], Sort::BookmarkVersion);
        }
        self.rename_at(map, &["metadata", "continue"], Sort::Continue);
        let mut keys: Vec<String> = map.keys().cloned().collect();
        keys.sort();
        for key in keys {
            let Some(value) = map.get_mut(&key) else { continue };
            match (key.as_str(), &mut *value) {
                ("resourceVersion", Value::String(version)) => *version = self.version(version),
                ("clusterIP", Value::String(address)) if address.contains('.') => {
                    *address = self.name(Sort::Address, address);
                }
                ("clusterIPs", Value::Array(addresses)) => {
                    for address in addresses {
                        if let Value::String(text) = address {
                            *text = self.name(Sort::Address, text);
                        }
                    }
                }
                _ => self.apply(value),
            }
        }
    }

    fn rename_at(&mut self, map: &mut Map<String, Value>, path: &[&str], sort: Sort) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut map = map;
        for step in parents {
            let Some(Value::Object(inner)) = map.get_mut(*step) else { return };
            map = inner;
        }
        if let Some(Value::String(value)) = map.get_mut(*last)
            && !value.is_empty()
        {
            *value = self.new_name(sort, &value.clone());
        }
    }

    fn version(&mut self, version: &str) -> String {
        let is_number = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit());
        if is_number && version != "0" { self.name(Sort::Version, version) } else { version.to_owned() }
    }

    /// Text with names for values, wherever they stand in it.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for sort in [Sort::Token, Sort::Uid] {
            let pattern = if sort == Sort::Token { &self.patterns.token } else { &self.patterns.uuid };
            let found: Vec<String> =
                pattern.find_iter(&text).map(|found| found.as_str().to_owned()).collect();
            for value in found {
                if !self.literals.contains(&value) {
                    text = text.replace(&value, &self.name(sort, &value));
                }
            }
        }
        for pattern in self.generated.clone() {
            let found: Vec<String> =
                pattern.find_iter(&text).map(|found| found.as_str().to_owned()).collect();
            for value in found {
                text = text.replace(&value, &self.name(Sort::Generated, &value));
            }
        }
        text = self.patterns.object.replace_all(&text, "Invalid value: <object>: ").into_owned();
        text = self.patterns.struct_diff.replace_all(&text, "$1").into_owned();
        if !self.literals.contains("BEGIN CERTIFICATE") {
            text = self.patterns.certificate.replace_all(&text, "<certificate>").into_owned();
        }
        text = self.patterns.address.replace_all(&text, "<address>").into_owned();
        // Where a server keeps an object in etcd is a matter of how it was started.
        text = text.replace("Key: /conformance/", "Key: /registry/");
        text = self.times(&text);
        self.versions_in(&text)
    }

    fn times(&self, text: &str) -> String {
        let hidden = |found: &Captures<'_>| match (self.literals.contains(&found[0]), found.get(1)) {
            (true, _) => found[0].to_owned(),
            (false, Some(_)) => "<microtime>".to_owned(),
            (false, None) => "<time>".to_owned(),
        };
        self.patterns.time.replace_all(text, hidden).into_owned()
    }

    fn versions_in(&mut self, text: &str) -> String {
        let pattern = self.patterns.version.clone();
        let named = |found: &Captures<'_>| match (found.name("known"), found.name("newest")) {
            (Some(before), _) => format!("{}{}", before.as_str(), self.known_version(&found["version"])),
            (None, Some(before)) => format!("{}<newest>", before.as_str()),
            (None, None) => found[0].to_owned(),
        };
        pattern.replace_all(text, named).into_owned()
    }

    /// A version in a message, which may be one that the case made up.
    fn known_version(&mut self, version: &str) -> String {
        let made_up = format!("\"{version}\"");
        if self.literals.contains(&made_up) { version.to_owned() } else { self.version(version) }
    }

    fn name(&mut self, sort: Sort, value: &str) -> String {
        match self.by_value.get(&(sort, value.to_owned())) {
            Some(name) => name.clone(),
            None => self.new_name(sort, value),
        }
    }

    fn new_name(&mut self, sort: Sort, value: &str) -> String {
        let count = self.counts.entry(sort).or_default();
        *count += 1;
        let name = format!("<{}:{count}>", sort.word());
        self.by_value.insert((sort, value.to_owned()), name.clone());
        self.by_name.insert(name.clone(), value.to_owned());
        name
    }
}

/// A table's cells that count seconds since something, and those with addresses.
fn hide_cells(table: &mut Map<String, Value>) {
    let hidden = |column: &Value| match (column["name"].as_str(), column["type"].as_str()) {
        (Some("Age"), _) | (_, Some("date")) => Some("<age>"),
        (Some("Cluster-IP"), _) => Some("<address>"),
        _ => None,
    };
    let columns: Vec<Option<&str>> =
        table.get("columnDefinitions").and_then(Value::as_array).into_iter().flatten().map(hidden).collect();
    let rows = table.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten();
    for row in rows {
        let cells = row.get_mut("cells").and_then(Value::as_array_mut).into_iter().flatten();
        for (cell, hidden) in cells.zip(&columns) {
            let is_shown = cell.as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
            if let Some(word) = hidden.filter(|_| is_shown) {
                *cell = Value::from(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn applied(names: &mut Names, mut value: Value) -> Value {
        names.apply(&mut value);
        value
    }

    #[test]
    fn equal_values_get_equal_names_and_requests_can_use_them() {
        let uid = |digit: char| format!("{0}-1234-1234-1234-{0}1234", digit.to_string().repeat(8));
        let mut names = Names::new(String::new());
        let first = json!({"metadata": {"uid": uid('a'), "resourceVersion": "7"}});
        let second = json!({"metadata": {"uid": uid('a'), "resourceVersion": "8"}});
        assert_eq!(
            applied(&mut names, first),
            json!({"metadata": {"uid": "<uid:1>", "resourceVersion": "<rv:1>"}})
        );
        assert_eq!(
            applied(&mut names, second),
            json!({"metadata": {"uid": "<uid:1>", "resourceVersion": "<rv:2>"}})
        );
        assert_eq!(names.resolve("a <rv:2> <uid:1>").unwrap(), format!("a 8 {}", uid('a')));
        assert!(names.resolve("<rv:3>").unwrap_err().contains("<rv:3>"));
    }

    #[test]
    fn what_the_case_says_itself_is_left() {
        let mut names = Names::new("before 2020-01-01T00:00:00Z \"11\"".to_owned());
        assert_eq!(names.text("2020-01-01T00:00:00Z 2030-01-01T00:00:00Z"), "2020-01-01T00:00:00Z <time>");
        let message = "ResourceVersion in precondition: 11, ResourceVersion in object meta: 12";
        assert_eq!(
            names.text(message),
            "ResourceVersion in precondition: 11, ResourceVersion in object meta: <rv:1>"
        );
    }

    #[test]
    fn lists_bookmarks_and_generated_names_are_told_apart() {
        let mut names = Names::new(r#"{"generateName": "a-"}"#.to_owned());
        let list = json!({"metadata": {"resourceVersion": "9", "continue": "abc"}, "items": []});
        assert_eq!(
            applied(&mut names, list.clone()),
            json!({"metadata": {"resourceVersion": "<list:1>", "continue": "<continue:1>"}, "items": []})
        );
        assert_eq!(applied(&mut names, list)["metadata"]["resourceVersion"], "<list:2>");
        let bookmark = json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}});
        assert_eq!(applied(&mut names, bookmark)["object"]["metadata"]["resourceVersion"], "<bookmark:1>");
        let generated = json!({"metadata": {"generateName": "a-", "name": "a-x8k2p"}});
        assert_eq!(applied(&mut names, generated)["metadata"]["name"], "<name:1>");
        assert_eq!(names.text("secrets \"a-x8k2p\" not found"), "secrets \"<name:1>\" not found");
        let quoted = r#"patch: Invalid value: "{\"a\":{\"b\":1}}": unknown"#;
        assert_eq!(names.text(quoted), "patch: Invalid value: <object>: unknown");
    }

    #[test]
    fn ages_in_tables_are_hidden() {
        let mut names = Names::new(String::new());
        let table = json!({
            "columnDefinitions": [{"name": "Name"}, {"name": "Age"}, {"name": "Since", "type": "date"}],
            "rows": [{"cells": ["5s", "5s", "<unknown>"]}],
        });
        assert_eq!(applied(&mut names, table)["rows"][0]["cells"], json!(["5s", "<age>", "<unknown>"]));
    }
}
