//! Messages to JSON, as Go's `encoding/json` would write the same object.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use super::{
    ProtobufError,
    messages::{Field, MESSAGES, Message, Shape, Type},
    wire::{Reader, WireValue, text},
};

/// Schemas nest; what nests deeper than this is an attack.
const MAX_DEPTH: usize = 64;

const WRONG_WIRE_TYPE: ProtobufError = ProtobufError::Malformed("a field is not of the type it should be");

/// Reads the fields of `message` from `bytes` into `object`. Unknown fields are skipped, as protobuf has it.
pub(super) fn fill(
    object: &mut Map<String, Value>,
    message: &Message,
    bytes: &[u8],
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::Malformed("it nests too deeply"));
    }
    for read in Reader::new(bytes) {
        let (number, value) = read?;
        if let Some(field) = message.field(number) {
            add(object, field, value, depth)?;
        }
    }
    Ok(())
}

fn add(
    object: &mut Map<String, Value>,
    field: &Field,
    value: WireValue<'_>,
    depth: usize,
) -> Result<(), ProtobufError> {
    match field.shape {
        Shape::One => {
            let value = convert(field.holds, value, depth)?;
            if !(value.is_null() || field.omit_empty && is_empty(&value)) {
                object.insert(field.name.to_owned(), value);
            }
        }
        Shape::Repeated => {
            let value = convert(field.holds, value, depth)?;
            let list = object.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                list.push(value);
            }
        }
        Shape::Map => {
            let (key, value) = map_entry(field.holds, value, depth)?;
            let map = object.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
        Shape::Inline => {
            let (Type::Message(name), WireValue::Bytes(bytes)) = (field.holds, value) else {
                return Err(WRONG_WIRE_TYPE);
            };
            fill(object, named(name), bytes, depth + 1)?;
        }
    }
    Ok(())
}

/// Empty in the sense of Go's `omitempty`, which leaves structs in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn named(message: &'static str) -> &'static Message {
    MESSAGES.get(message).expect("a test makes sure that the table names only messages it has")
}

fn map_entry(holds: Type, entry: WireValue<'_>, depth: usize) -> Result<(String, Value), ProtobufError> {
    let WireValue::Bytes(entry) = entry else { return Err(WRONG_WIRE_TYPE) };
    let (mut key, mut value) = (String::new(), None);
    for read in Reader::new(entry) {
        match read? {
            (1, WireValue::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
            (2, read) => value = Some(convert(holds, read, depth)?),
            _ => {}
        }
    }
    let empty = || convert(holds, WireValue::Bytes(&[]), depth);
    Ok((key, value.map_or_else(empty, Ok)?))
}

fn convert(holds: Type, value: WireValue<'_>, depth: usize) -> Result<Value, ProtobufError> {
    match (holds, value) {
        (Type::Bool, WireValue::Varint(value)) => Ok(Value::Bool(value != 0)),
        (Type::Integer, WireValue::Varint(value)) => Ok(value.cast_signed().into()),
        (Type::Double, WireValue::Fixed64(bits)) => Ok(double(f64::from_bits(bits))),
        (Type::Text, WireValue::Bytes(bytes)) => Ok(text(bytes)?.into()),
        (Type::Bytes, WireValue::Bytes(bytes)) => Ok(STANDARD.encode(bytes).into()),
        (Type::Time, WireValue::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%SZ"),
        (Type::MicroTime, WireValue::Bytes(bytes)) => time(bytes, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        (Type::Quantity, WireValue::Bytes(bytes)) => Ok(first_text(bytes)?.unwrap_or("0").into()),
        (Type::IntegerOrText, WireValue::Bytes(bytes)) => integer_or_text(bytes),
        (Type::Raw, WireValue::Bytes(bytes)) => raw(bytes),
        (Type::SchemaOrBool, WireValue::Bytes(bytes)) => schema_or_bool(bytes, depth),
        (Type::SchemaOrArray, WireValue::Bytes(bytes)) => {
            schema_or_list(bytes, depth, |item| schema(item, depth))
        }
        (Type::SchemaOrTexts, WireValue::Bytes(bytes)) => {
            schema_or_list(bytes, depth, |item| Ok(text(item)?.into()))
        }
        (Type::Texts, WireValue::Bytes(bytes)) => texts(bytes),
        (Type::Message(name), WireValue::Bytes(bytes)) => {
            let mut object = Map::new();
            fill(&mut object, named(name), bytes, depth + 1)?;
            Ok(Value::Object(object))
        }
        _ => Err(WRONG_WIRE_TYPE),
    }
}

/// Go writes a double without a fraction as an integer.
fn double(value: f64) -> Value {
    let whole = format!("{value}").parse::<i64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(value)).map_or(Value::Null, Value::Number)
}

fn first_text(bytes: &[u8]) -> Result<Option<&str>, ProtobufError> {
    let mut found = None;
    for read in Reader::new(bytes) {
        if let (1, WireValue::Bytes(bytes)) = read? {
            found = Some(text(bytes)?);
        }
    }
    Ok(found)
}

/// Seconds and nanoseconds since the epoch; an empty message is Go's zero time, which is `null`.
fn time(bytes: &[u8], format: &str) -> Result<Value, ProtobufError> {
    let (mut seconds, mut nanoseconds) = (0_i64, 0_i32);
    for read in Reader::new(bytes) {
        match read? {
            (1, WireValue::Varint(value)) => seconds = value.cast_signed(),
            (2, WireValue::Varint(value)) => nanoseconds = i32::try_from(value).unwrap_or_default(),
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let time = Timestamp::new(seconds, nanoseconds)
        .map_err(|_| ProtobufError::Malformed("a time is out of range"))?;
    Ok(time.strftime(format).to_string().into())
}

fn integer_or_text(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut integer, mut string) = (false, 0_i64, "");
    for read in Reader::new(bytes) {
        match read? {
            (1, WireValue::Varint(value)) => is_text = value == 1,
            (2, WireValue::Varint(value)) => integer = value.cast_signed(),
            (3, WireValue::Bytes(bytes)) => string = text(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { string.into() } else { integer.into() })
}

fn raw(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let json = first_text(bytes)?.unwrap_or_default();
    if json.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(json).map_err(|_| ProtobufError::Malformed("embedded JSON does not parse"))
}

fn schema(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    convert(Type::Message("apiextensions/v1.JSONSchemaProps"), WireValue::Bytes(bytes), depth)
}

fn schema_or_bool(bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let mut value = Value::Bool(false);
    for read in Reader::new(bytes) {
        match read? {
            (1, WireValue::Varint(allows)) => value = Value::Bool(allows != 0),
            (2, WireValue::Bytes(bytes)) => return schema(bytes, depth),
            _ => {}
        }
    }
    Ok(value)
}

fn schema_or_list(
    bytes: &[u8],
    depth: usize,
    item: impl Fn(&[u8]) -> Result<Value, ProtobufError>,
) -> Result<Value, ProtobufError> {
    let mut items = Vec::new();
    for read in Reader::new(bytes) {
        match read? {
            (1, WireValue::Bytes(bytes)) => return schema(bytes, depth),
            (2, WireValue::Bytes(bytes)) => items.push(item(bytes)?),
            _ => {}
        }
    }
    Ok(Value::Array(items))
}

fn texts(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut items = Vec::new();
    for read in Reader::new(bytes) {
        if let (1, WireValue::Bytes(bytes)) = read? {
            items.push(text(bytes)?.into());
        }
    }
    Ok(Value::Array(items))
}
