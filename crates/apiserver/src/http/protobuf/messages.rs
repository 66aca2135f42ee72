//! The table of messages: what each numbered field of each built-in kind is called and holds.

use std::{collections::HashMap, sync::LazyLock};

/// A message's fields, by number.
#[derive(Debug, Default)]
pub(super) struct Message {
    fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    number: u64,
    /// Name in JSON; empty for inlined messages.
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) holds: Type,
    /// An empty value is left out of the JSON.
    pub(super) omit_empty: bool,
}

/// How often a field's value occurs, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// At most once.
    One,
    /// Any number of times, collected in a list.
    Repeated,
    /// Any number of times, each a key and a value.
    Map,
    /// Once; its fields are the parent's.
    Inline,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Double,
    Bytes,
    /// `metav1.Time`: RFC 3339, whole seconds.
    Time,
    /// `metav1.MicroTime`: RFC 3339, microseconds.
    MicroTime,
    /// `resource.Quantity`: its text.
    Quantity,
    /// `intstr.IntOrString`.
    IntegerOrText,
    /// JSON as bytes: RawExtension, FieldsV1, JSON.
    Raw,
    /// `JSONSchemaPropsOrBool`.
    SchemaOrBool,
    /// `JSONSchemaPropsOrArray`.
    SchemaOrArray,
    /// `JSONSchemaPropsOrStringArray`.
    SchemaOrTexts,
    /// `ExtraValue`: a list of strings in a message of its own.
    Texts,
    /// Another message of the table.
    Message(&'static str),
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

/// All messages by name, such as `core/v1.Secret`.
pub(super) static MESSAGES: LazyLock<HashMap<&'static str, Message>> = LazyLock::new(|| {
    let mut messages = HashMap::<_, Message>::new();
    let mut current = "";
    for line in include_str!("messages.txt").lines().filter(|line| !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix(' ') {
            messages.entry(current).or_default().fields.extend(parse_field(field));
        } else {
            current = line;
            messages.entry(current).or_default();
        }
    }
    messages
});

fn parse_field(line: &'static str) -> Option<Field> {
    let mut words = line.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next()?;
    let mut described = words.next()?;
    let mut shape = Shape::One;
    let mut is_pointer = false;
    loop {
        (shape, described) = match described.split_at_checked(1)? {
            ("*", rest) => {
                is_pointer = true;
                (shape, rest)
            }
            ("^", rest) => (Shape::Inline, rest),
            ("[", rest) => (Shape::Repeated, rest.strip_prefix(']')?),
            ("{", rest) => (Shape::Map, rest.strip_prefix('}')?),
            _ => break,
        };
    }
    let omit_empty = name.ends_with('?') && !is_pointer;
    let name = name.trim_end_matches(['?', '-']);
    Some(Field { number, name, shape, holds: parse_type(described), omit_empty })
}

fn parse_type(name: &'static str) -> Type {
    match name {
        "string" => Type::Text,
        "bool" => Type::Bool,
        "int" => Type::Integer,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "quantity" => Type::Quantity,
        "intorstring" => Type::IntegerOrText,
        "raw" => Type::Raw,
        "schemaorbool" => Type::SchemaOrBool,
        "schemaorarray" => Type::SchemaOrArray,
        "schemaorstrings" => Type::SchemaOrTexts,
        "items" => Type::Texts,
        message => Type::Message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_every_message_it_names_is_there() {
        let lines = include_str!("messages.txt").lines().filter(|line| line.starts_with(' ')).count();
        assert_eq!(MESSAGES.values().map(|message| message.fields.len()).sum::<usize>(), lines);
        for field in MESSAGES.values().flat_map(|message| &message.fields) {
            if let Type::Message(name) = field.holds {
                assert!(MESSAGES.contains_key(name), "{field:?}");
            }
            assert_eq!(field.name.is_empty(), field.shape == Shape::Inline, "{field:?}");
        }
    }

    #[test]
    fn pointers_keep_their_zeros() {
        let replicas = MESSAGES["apps/v1.DeploymentSpec"].field(1).unwrap();
        assert_eq!((replicas.name, replicas.holds, replicas.omit_empty), ("replicas", Type::Integer, false));
        let paused = MESSAGES["apps/v1.DeploymentSpec"].field(7).unwrap();
        assert_eq!((paused.name, paused.holds, paused.omit_empty), ("paused", Type::Bool, true));
    }
}
