//! Answers as lines of text: short values on one line, long ones spread out, keys sorted.

use serde_json::Value;

/// Values that fit stay on one line.
const WIDTH: usize = 110;

/// A JSON value as lines: as many members on a line as fit, and a line or more for each that is long.
pub(crate) fn json(value: &Value) -> Vec<String> {
    let mut lines = vec![String::new()];
    write(value, 0, &mut lines);
    lines
}

/// Appends the value to the last line, whose members begin `indent` columns in.
fn write(value: &Value, indent: usize, lines: &mut Vec<String>) {
    let (open, close) = match value {
        Value::Object(map) if !map.is_empty() => ('{', '}'),
        Value::Array(list) if !list.is_empty() => ('[', ']'),
        _ => return append(lines, &value.to_string()),
    };
    append(lines, &open.to_string());
    let members = members(value);
    let mut at_start = true;
    for (index, (key, member)) in members.iter().enumerate() {
        let key = key.map_or_else(String::new, |key| format!("{}: ", Value::from(key)));
        let end = if index + 1 < members.len() { "," } else { "" };
        let short = format!("{key}{}{end}", one_line(member));
        let used = lines.last().map_or(0, |line| line.chars().count());
        if !at_start && used + 1 + short.chars().count() < WIDTH {
            append(lines, " ");
        } else if !at_start {
            lines.push(" ".repeat(indent + 1));
        }
        let used = lines.last().map_or(0, |line| line.chars().count());
        // What follows a member that took several lines does not hide behind it.
        at_start = false;
        if used + short.chars().count() < WIDTH || !is_long(member) {
            append(lines, &short);
        } else {
            append(lines, &key);
            write(member, indent + 1, lines);
            append(lines, end);
        }
    }
    append(lines, &close.to_string());
}

/// Whether the value can be spread over lines.
fn is_long(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

fn append(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// Members in the order in which they are shown.
fn members(value: &Value) -> Vec<(Option<&str>, &Value)> {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().map(|(key, member)| (Some(key.as_str()), member)).collect();
            members.sort_by_key(|(key, _)| *key);
            members
        }
        Value::Array(list) => list.iter().map(|member| (None, member)).collect(),
        _ => Vec::new(),
    }
}

fn one_line(value: &Value) -> String {
    let joined = || {
        let shown = members(value).into_iter().map(|(key, member)| match key {
            Some(key) => format!("{}: {}", Value::from(key), one_line(member)),
            None => one_line(member),
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    match value {
        Value::Object(_) => format!("{{{}}}", joined()),
        Value::Array(_) => format!("[{}]", joined()),
        _ => value.to_string(),
    }
}

/// The parts of a value at JSON pointers, in which `*` stands for every element.
pub(crate) fn parts(value: &Value, pointers: &[String]) -> Vec<String> {
    pointers
        .iter()
        .flat_map(|pointer| {
            let steps: Vec<&str> = pointer.split('/').skip(1).collect();
            let mut found = Vec::new();
            select(value, &steps, String::new(), &mut found);
            if found.is_empty() {
                found.push((pointer.clone(), None));
            }
            found
        })
        .flat_map(|(path, part)| match part {
            None => vec![format!("{path}: absent")],
            Some(part) => {
                let mut lines = json(part);
                lines[0].insert_str(0, &format!("{path}: "));
                lines
            }
        })
        .collect()
}

fn select<'a>(value: &'a Value, steps: &[&str], path: String, found: &mut Vec<(String, Option<&'a Value>)>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push((path, Some(value)));
        return;
    };
    match (*step, value) {
        ("*", _) => {
            for (index, (key, member)) in members(value).into_iter().enumerate() {
                let name = key.map_or_else(|| index.to_string(), escape);
                select(member, rest, format!("{path}/{name}"), found);
            }
        }
        (step, _) => {
            if let Some(member) = value.pointer(&format!("/{step}")) {
                select(member, rest, format!("{path}/{step}"), found);
            }
        }
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_values_stay_on_one_line_and_keys_are_sorted() {
        assert_eq!(json(&json!({"b": [1, "x"], "a": {}})), [r#"{"a": {}, "b": [1, "x"]}"#]);
    }

    #[test]
    fn long_values_are_spread_out_as_far_as_needed() {
        let long = "x".repeat(60);
        assert_eq!(
            json(&json!({"a": {"c": 1}, "b": [long, long], "d": long, "e": 1})),
            [
                r#"{"a": {"c": 1},"#,
                &format!(r#" "b": ["{long}","#),
                &format!(r#"  "{long}"],"#),
                &format!(r#" "d": "{long}", "e": 1}}"#),
            ]
        );
    }

    #[test]
    fn parts_are_found_by_pointer_and_missing_ones_said() {
        let value = json!({"items": [{"n": "a", "x": 1}, {"n": "b"}], "p": {"a/b": 2}});
        let pointers = ["/items/*/n", "/items/*/y", "/p/*"].map(str::to_owned);
        assert_eq!(
            parts(&value, &pointers),
            [r#"/items/0/n: "a""#, r#"/items/1/n: "b""#, "/items/*/y: absent", "/p/a~1b: 2"]
        );
    }
}
