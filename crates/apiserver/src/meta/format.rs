//! The formats of names, label keys and label values, with the real server's words for what is wrong
//! (k8s.io/apimachinery `pkg/api/validate/content`).
//!
//! Each check answers a list of texts, empty when the value is fine.

const LABEL_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_MSG: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                         and must start and end with an alphanumeric character";
const SUBDOMAIN_FMT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_MSG: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                             characters, '-' or '.', and must start and end with an alphanumeric character";
const DNS_1035_FMT: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const DNS_1035_MSG: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
                            with an alphabetic character, and end with an alphanumeric character";
const LABEL_KEY_FMT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_MSG: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                             with an alphanumeric character";
const LABEL_VALUE_FMT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const LABEL_VALUE_MSG: &str = "a valid label must be an empty string or consist of alphanumeric characters, \
                               '-', '_' or '.', and must start and end with an alphanumeric character";
const CONFIG_KEY_FMT: &str = "[-._a-zA-Z0-9]+";
const CONFIG_KEY_MSG: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";

/// Length of a DNS label (RFC 1123), a label value and the name part of a label key.
pub const LABEL_MAX: usize = 63;
/// Length of a DNS subdomain (RFC 1123).
pub const SUBDOMAIN_MAX: usize = 253;

/// A rule for names: `prefix` is set for a `generateName`, whose end will be followed by more.
pub type NameRule = fn(name: &str, prefix: bool) -> Vec<String>;

/// What a regular expression wants, with examples (`validation.RegexError`).
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    let mut text = format!("{message} (");
    for (i, example) in examples.iter().enumerate() {
        text.push_str(if i == 0 { "e.g. '" } else { " or '" });
        text.push_str(example);
        text.push_str("', ");
    }
    text.push_str("regex used for validation is '");
    text.push_str(regex);
    text.push_str("')");
    text
}

fn max_len_error(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// Labels count bytes.
fn max_bytes_error(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn lower_alphanumeric(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// First and last byte satisfy `ends`, all others `inner`; at least one byte.
fn shaped(text: &str, ends: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => ends(first) && ends(last) && bytes.iter().all(|&b| inner(b)),
        _ => false,
    }
}

fn is_label_shape(text: &str) -> bool {
    shaped(text, lower_alphanumeric, |b| lower_alphanumeric(b) || b == b'-')
}

fn is_subdomain_shape(text: &str) -> bool {
    text.split('.').all(is_label_shape)
}

fn is_label_key_shape(text: &str) -> bool {
    shaped(text, alphanumeric, |b| alphanumeric(b) || matches!(b, b'-' | b'_' | b'.'))
}

/// A DNS-1123 label: `my-name`.
pub fn dns1123_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_MAX {
        errors.push(max_len_error(LABEL_MAX));
    }
    if !is_label_shape(text) {
        if is_subdomain_shape(text) {
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(regex_error(LABEL_MSG, LABEL_FMT, &["my-name", "123-abc"]));
        }
    }
    errors
}

/// A DNS-1123 subdomain: `example.com`.
pub fn dns1123_subdomain(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        errors.push(max_len_error(SUBDOMAIN_MAX));
    }
    if !is_subdomain_shape(text) {
        errors.push(regex_error(SUBDOMAIN_MSG, SUBDOMAIN_FMT, &["example.com"]));
    }
    errors
}

/// A DNS-1035 label, which starts with a letter: names of services, plural names of CRDs.
pub fn dns1035_label(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_MAX {
        errors.push(max_len_error(LABEL_MAX));
    }
    if !(is_label_shape(text) && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)) {
        errors.push(regex_error(DNS_1035_MSG, DNS_1035_FMT, &["my-name", "abc-123"]));
    }
    errors
}

/// A qualified name: the form of label keys, annotation keys and finalizers.
pub fn qualified_name(text: &str) -> Vec<String> {
    let examples = &["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(dns1123_subdomain(prefix).into_iter().map(|e| format!("prefix part {e}")));
            }
            name
        }
        _ => {
            let form = regex_error(LABEL_KEY_MSG, LABEL_KEY_FMT, examples);
            return vec![format!(
                "a valid label key {form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part {}", max_bytes_error(LABEL_MAX)));
    }
    if !is_label_key_shape(name) {
        errors.push(format!("name part {}", regex_error(LABEL_KEY_MSG, LABEL_KEY_FMT, examples)));
    }
    errors
}

/// A label's value.
pub fn label_value(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > LABEL_MAX {
        errors.push(max_bytes_error(LABEL_MAX));
    }
    if !text.is_empty() && !is_label_key_shape(text) {
        errors.push(regex_error(LABEL_VALUE_MSG, LABEL_VALUE_FMT, &["MyValue", "my_value", "12345"]));
    }
    errors
}

/// A key of a ConfigMap or Secret.
pub fn config_map_key(text: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if text.len() > SUBDOMAIN_MAX {
        errors.push(max_len_error(SUBDOMAIN_MAX));
    }
    let charset = |b: u8| alphanumeric(b) || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(charset) {
        errors.push(regex_error(CONFIG_KEY_MSG, CONFIG_KEY_FMT, &["key.name", "KEY_NAME", "key-name"]));
    }
    if text == "." {
        errors.push("must not be '.'".to_owned());
    } else if text == ".." {
        errors.push("must not be '..'".to_owned());
    } else if text.starts_with("..") {
        errors.push("must not start with '..'".to_owned());
    }
    errors
}

/// A name as a segment of a URL path: what every name must be, whatever its own rule.
pub fn path_segment_name(text: &str, prefix: bool) -> Vec<String> {
    if !prefix && (text == "." || text == "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"].iter().filter(|c| text.contains(**c)).map(|c| format!("may not contain '{c}'")).collect()
}

/// A prefix ends where its random part begins, so a dash there is fine.
fn masked_prefix(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}a"),
        _ => name.to_owned(),
    }
}

/// The rule for most names: a DNS-1123 subdomain.
pub fn name_is_dns_subdomain(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1123_subdomain(&masked_prefix(name)) } else { dns1123_subdomain(name) }
}

/// The rule for namespaces: a DNS-1123 label.
pub fn name_is_dns_label(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1123_label(&masked_prefix(name)) } else { dns1123_label(name) }
}

/// The rule for services: a DNS-1035 label.
pub fn name_is_dns1035_label(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1035_label(&masked_prefix(name)) } else { dns1035_label(name) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_those_of_apimachinery() {
        assert_eq!(
            dns1123_subdomain("A"),
            vec![
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                 must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation \
                 is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            dns1123_label("-"),
            vec![
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
                 and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
        assert_eq!(dns1123_label("a.b"), vec!["must not contain dots"]);
        assert_eq!(dns1123_label(&"a".repeat(64)), vec!["must be no more than 63 characters"]);
    }

    #[test]
    fn accepted_and_refused() {
        type Check = fn(&str) -> Vec<String>;
        let rows: [(Check, &str, bool); 22] = [
            (dns1123_label, "a", true),
            (dns1123_label, "a-b", true),
            (dns1123_label, "", false),
            (dns1123_label, "a-", false),
            (dns1123_label, "a_b", false),
            (dns1123_subdomain, "a.b-c.d", true),
            (dns1123_subdomain, "a..b", false),
            (dns1123_subdomain, "", false),
            (dns1035_label, "a1", true),
            (dns1035_label, "1a", false),
            (qualified_name, "a", true),
            (qualified_name, "example.com/A_b.c", true),
            (qualified_name, "/a", false),
            (qualified_name, "a/", false),
            (qualified_name, "a/b/c", false),
            (qualified_name, "A.com/x", false),
            (label_value, "", true),
            (label_value, "a.B_c-1", true),
            (label_value, "-a", false),
            (config_map_key, "..data", false),
            (config_map_key, "tls.crt", true),
            (config_map_key, "", false),
        ];
        for (i, (check, text, fine)) in rows.into_iter().enumerate() {
            assert_eq!(check(text).is_empty(), fine, "row {i}: {text:?} {:?}", check(text));
        }
    }

    #[test]
    fn a_generate_name_may_end_in_a_dash() {
        assert!(name_is_dns_subdomain("web-", true).is_empty());
        assert!(!name_is_dns_subdomain("web-", false).is_empty());
        assert!(!name_is_dns_subdomain("-", true).is_empty());
    }

    proptest! {
        #[test]
        fn the_shapes_agree_with_their_regular_expressions(text in "[-a-zA-Z0-9_./]{0,12}|\\PC{0,8}") {
            let matches = |pattern: &str, s: &str| {
                regex::Regex::new(&format!("^(?:{pattern})$")).unwrap().is_match(s)
            };
            prop_assert_eq!(dns1123_label(&text).is_empty(), matches(LABEL_FMT, &text));
            prop_assert_eq!(dns1123_subdomain(&text).is_empty(), matches(SUBDOMAIN_FMT, &text));
            prop_assert_eq!(label_value(&text).is_empty(), matches(LABEL_VALUE_FMT, &text));
        }
    }
}
