//! Words for what differs from run to run.

use regex::Regex;

/// Replaces uids, resource versions, times, ages, tokens, addresses, and the paths of temporary files.
#[derive(Debug)]
pub(super) struct Normalizer(Vec<(Regex, &'static str)>);

impl Normalizer {
    pub(super) fn new() -> Self {
        let rules = [
            ("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "<token>"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| \+0000( UTC)?)", "<time>"),
            // As `describe` writes it.
            (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
            (r"127\.0\.0\.1:\d+", "<address>"),
            (r#"(resourceVersion"?: ?"?|Resource Version:\s+)\d+"#, "$1<version>"),
            (r"(LIVE|MERGED)-\d+", "$1"),
            (r"/tmp/(LIVE|MERGED)", "$1"),
            // The last column of a table, the first of one of events, and in `describe`.
            (r" over (?:\d+[smhdy])+", " over <age>"),
            (r"(?m)(^  ?|^|\s)(?:\d+[smhdy])+(?:$|  +|( \())", "$1<age>  $2"),
            (r"(?m)(Age:\s+)(?:\d+[smhdy])+$", "$1<age>"),
            (r"(?m) +$", ""),
        ];
        let compile = |(pattern, word): (&str, &'static str)| {
            (Regex::new(pattern).expect("the pattern is a constant that tests compile"), word)
        };
        Self(rules.map(compile).into())
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let replace =
            |text: String, (pattern, word): &(Regex, &str)| pattern.replace_all(&text, *word).into_owned();
        sort_causes(&self.0.iter().fold(text.to_owned(), replace))
    }
}

/// A server goes through a schema's properties in any order.
fn sort_causes(text: &str) -> String {
    let mut lines: Vec<&str> = text.split('\n').collect();
    for causes in lines.chunk_by_mut(|a, b| a.starts_with("* ") && b.starts_with("* ")) {
        causes.sort_unstable();
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_gets_a_word_and_the_rest_stays() {
        let normalizer = Normalizer::new();
        for (text, wanted) in [
            ("w    3      0s", "w    3      <age>"),
            ("NAME   AGE", "NAME   AGE"),
            ("2m10s       Normal   Issued", "<age>  Normal   Issued"),
            ("resourceVersion: \"17\"", "resourceVersion: \"<version>\""),
            ("\"resourceVersion\":\"17\"", "\"resourceVersion\":\"<version>\""),
            ("Resource Version:  17", "Resource Version:  <version>"),
            ("creationTimestamp: \"2026-01-02T03:04:05Z\"", "creationTimestamp: \"<time>\""),
            ("uid: 0a1b2c3d-0000-4000-8000-0123456789ab", "uid: <uid>"),
            ("replicas 10", "replicas 10"),
            ("invalid:\n* b\n* a\nso", "invalid:\n* a\n* b\nso"),
        ] {
            assert_eq!(normalizer.apply(text), wanted);
        }
    }
}
