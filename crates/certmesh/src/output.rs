//! Data on stdout, as text for people or as JSON and YAML for programs.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::failure::Failure;

/// The form in which data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For programs; stable.
    Json,
    /// The JSON as YAML.
    Yaml,
}

/// Prints text as it is. Whoever closed the pipe has read enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritable(error)),
        _ => Ok(()),
    }
}

/// Prints data in the format asked for; `text` renders it for people.
pub(crate) fn print_data<T: Serialize>(
    format: OutputFormat,
    data: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match format {
        OutputFormat::Text => print(&text(data)),
        OutputFormat::Json => print(&to_json(data)?),
        OutputFormat::Yaml => print(&to_yaml(data)?),
    }
}

/// Indented JSON.
pub(crate) fn to_json<T: Serialize>(data: &T) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(data);
    json.map(|text| text + "\n").map_err(|error| Failure::new("writing the result as JSON").because(error))
}

/// One YAML document.
pub(crate) fn to_yaml<T: Serialize>(data: &T) -> Result<String, Failure> {
    // Through JSON, so that both forms say the same whatever a type's serializer does for each format.
    let value =
        serde_json::to_value(data).map_err(|error| Failure::new("writing the result").because(error))?;
    serde_saphyr::to_string(&value).map_err(|error| Failure::new("writing the result as YAML").because(error))
}

fn unwritable(error: io::Error) -> Failure {
    Failure::new("writing to stdout")
        .because(error)
        .advise("see that the disk is not full and stdout is open")
}

/// Text from elsewhere as it may safely be shown on a terminal: control characters (escape sequences among them) and
/// those that turn the direction of writing are escaped.
pub(crate) fn visible(text: &str) -> String {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_harmful(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_escaped() {
        for (text, expected) in
            [("O=Müller", "O=Müller"), ("a\u{1b}[2Jb\nc", "a\\u{1b}[2Jb\\nc"), ("\u{202e}x", "\\u{202e}x")]
        {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn yaml_says_what_json_says() {
        #[derive(Serialize)]
        struct Data {
            name: &'static str,
            list: Vec<u8>,
        }
        let yaml = to_yaml(&Data { name: "a: b", list: vec![1] }).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, serde_json::json!({"name": "a: b", "list": [1]}));
    }
}
