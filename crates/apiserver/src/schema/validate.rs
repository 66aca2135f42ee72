//! Validation of values (kube-openapi `pkg/validation/validate`), with its order of checks and its words.
//!
//! An update *ratchets*: what is wrong in a part that did not change is let pass, so that a stricter schema does not
//! stop all writes to older objects.

use serde_json::{Map, Value, json};

use super::format::{self, IntegerFormat};
use super::list_type::MapList;
use super::{Additional, Bound, ListType, MAX_DEPTH, Rules, Schema, SchemaType, json_type};
use crate::status::{FieldError, FieldErrorType, go_quote};

/// Checks an object, against its old self on update.
pub(crate) fn validate(object: &Value, old: Option<&Value>, schema: &Schema, errors: &mut Vec<FieldError>) {
    let mut path = String::new();
    let findings = Walk { path: &mut path, depth: 0 }.ratcheting(object, old, schema);
    errors.extend(findings.errors);
}

/// Findings about one object that are reported; a list of a hundred thousand wrong items helps nobody.
const MAX_FINDINGS: usize = 1000;

/// What a schema had to say, and how many checks were made: of several alternatives that fail, the one that went
/// farthest is reported.
#[derive(Default)]
struct Findings {
    errors: Vec<FieldError>,
    checks: usize,
}

impl Findings {
    fn of(error: FieldError) -> Self {
        Self { errors: vec![error], checks: 0 }
    }

    fn add(&mut self, error: FieldError) {
        if self.errors.len() < MAX_FINDINGS && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn merge(&mut self, other: Self) {
        self.checks += other.checks;
        for error in other.errors {
            self.add(error);
        }
    }

    /// One check done.
    fn done(&mut self, check: Self) {
        self.merge(check);
        self.checks += 1;
    }

    fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }
}

struct Walk<'p> {
    /// `spec.items[0]`; empty at the root.
    path: &'p mut String,
    depth: usize,
}

/// The format of a value as read by Go (`schemaInfoForType`): numbers have one.
fn go_format(value: &Value) -> &'static str {
    match json_type(value) {
        "integer" => "int64",
        "number" => "float64",
        _ => "",
    }
}

/// The name of the root in a field error.
fn field_name(path: &str) -> &str {
    if path.is_empty() { "<nil>" } else { path }
}

/// A finding about logic rather than a field: the real server attaches those to the root.
fn about_schema(text: String) -> FieldError {
    FieldError::invalid("<nil>", &json!(""), text)
}

impl Walk<'_> {
    fn at<R>(&mut self, step: &str, visit: impl FnOnce(&mut Walk<'_>) -> R) -> R {
        let len = self.path.len();
        if len > 0 && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let result = visit(&mut Walk { path: self.path, depth: self.depth + 1 });
        self.path.truncate(len);
        result
    }

    fn invalid(&self, value: &Value, words: impl std::fmt::Display) -> FieldError {
        FieldError::invalid(field_name(self.path), value, format!("{} in body {words}", self.path))
    }

    fn ratcheting(&mut self, value: &Value, old: Option<&Value>, schema: &Schema) -> Findings {
        let mut findings = self.value(value, old, schema);
        if !findings.is_fine() && old == Some(value) {
            findings.errors.clear();
        }
        findings
    }

    fn value(&mut self, value: &Value, old: Option<&Value>, schema: &Schema) -> Findings {
        let mut findings = Findings::default();
        if self.depth > MAX_DEPTH {
            findings.add(about_schema(format!("{} nests deeper than {MAX_DEPTH} levels", self.path)));
            return findings;
        }
        let rules = &schema.rules;
        if value.is_null() {
            findings.merge(self.of_type(value, schema));
            findings.merge(self.enumerated(value, rules));
            return findings;
        }
        if schema.schema_type != SchemaType::Any || rules.format.is_some() {
            findings.done(self.of_type(value, schema));
        }
        findings.done(self.junctors(value, rules));
        match value {
            Value::String(text) => {
                findings.done(self.string(text, value, rules));
                if let Some(format) = rules.format.as_deref().filter(|f| IntegerFormat::parse(f).is_none()) {
                    findings.done(self.formatted(text, value, format));
                }
            }
            Value::Number(_) => findings.done(self.number(value, schema)),
            Value::Array(items) => findings.done(self.array(items, old, schema)),
            _ => {}
        }
        findings.done(self.enumerated(value, rules));
        if let Value::Object(object) = value {
            findings.done(self.object(object, old, schema));
        }
        findings.checks += 1;
        findings
    }

    fn of_type(&self, value: &Value, schema: &Schema) -> Findings {
        let fine = match value {
            Value::Null => schema.nullable || schema.schema_type == SchemaType::Any,
            value => schema.schema_type.admits(value),
        };
        // Text and lists with a format are left to the check of the format, which lets lists pass.
        let is_number = matches!(schema.schema_type, SchemaType::Integer | SchemaType::Number);
        let format = schema.rules.format.as_deref().filter(|_| !value.is_null());
        let is_formatted = format.is_some() && !is_number && value.is_array();
        if fine || is_formatted {
            return Findings { errors: Vec::new(), checks: 1 };
        }
        let (wanted, found) = match format {
            Some(format) if !value.is_string() && !value.is_array() => (format, go_format(value)),
            _ => (schema.schema_type.as_str(), json_type(value)),
        };
        Findings::of(FieldError::type_invalid(
            field_name(self.path),
            found,
            format!("{} in body must be of type {wanted}: {}", self.path, go_quote(found)),
        ))
    }

    fn enumerated(&self, value: &Value, rules: &Rules) -> Findings {
        let listed = |allowed: &Value| allowed == value || equal_numbers(allowed, value);
        if rules.enumeration.is_empty() || rules.enumeration.iter().any(listed) {
            return Findings::default();
        }
        let words = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let allowed: Vec<String> = rules.enumeration.iter().map(words).collect();
        Findings::of(FieldError::not_supported(field_name(self.path), value, &allowed))
    }

    fn string(&self, text: &str, value: &Value, rules: &Rules) -> Findings {
        let length = || text.chars().count() as u64;
        if let Some(max) = rules.max_length.filter(|max| length() > *max) {
            return Findings::of(FieldError::too_long(
                field_name(self.path),
                usize::try_from(max).unwrap_or(usize::MAX),
            ));
        }
        if let Some(min) = rules.min_length.filter(|min| length() < *min) {
            return Findings::of(self.invalid(value, format!("should be at least {min} chars long")));
        }
        if let Some(pattern) = rules.pattern.as_ref().filter(|p| !p.regex.is_match(text)) {
            return Findings::of(self.invalid(value, format!("should match '{}'", pattern.source)));
        }
        Findings::default()
    }

    fn formatted(&self, text: &str, value: &Value, format: &str) -> Findings {
        if format::admits(format, text) {
            return Findings::default();
        }
        Findings::of(FieldError::of_type(
            FieldErrorType::TypeInvalid,
            field_name(self.path),
            Some(go_quote(text)),
            format!("{} in body must be of type {format}: {value}", self.path),
        ))
    }

    fn number(&self, value: &Value, schema: &Schema) -> Findings {
        let rules = &schema.rules;
        let mut findings = Findings::default();
        let range = rules.format.as_deref().and_then(|f| IntegerFormat::parse(f).map(|range| (f, range)));
        let is_broken = value.as_f64().is_some_and(|number| number.fract() != 0.0);
        if range.is_none() && schema.schema_type == SchemaType::Integer && is_broken {
            let words = format!("Checked value must be of type integer (default format) in {}", self.path);
            findings.add(about_schema(words));
        }
        let mut check_range = |what: &str, number: &Value| {
            if let Some((name, range)) = range.filter(|_| schema.schema_type == SchemaType::Integer)
                && !range.admits(number)
            {
                let words =
                    format!("{what} value must be of type integer with format {name} in {}", self.path);
                findings.add(about_schema(words));
            }
        };
        check_range("Checked", value);
        if let Some(factor) = rules.multiple_of {
            check_range("MultipleOf", &json!(factor));
        }
        if let Some(bound) = rules.maximum {
            check_range("Maximum boundary", &json!(bound.limit));
        }
        if let Some(bound) = rules.minimum {
            check_range("Minimum boundary", &json!(bound.limit));
        }
        let Some(number) = value.as_f64() else { return findings };
        if let Some(factor) = rules.multiple_of.filter(|f| !is_multiple(number, *f)) {
            findings.add(self.invalid(value, format!("should be a multiple of {}", go_float(factor))));
        }
        if let Some(bound) = rules.maximum.filter(|b| above(number, *b)) {
            let words = if bound.exclusive { "less than" } else { "less than or equal to" };
            findings.add(self.invalid(value, format!("should be {words} {}", go_float(bound.limit))));
        }
        if let Some(bound) = rules.minimum.filter(|b| below(number, *b)) {
            let words = if bound.exclusive { "greater than" } else { "greater than or equal to" };
            findings.add(self.invalid(value, format!("should be {words} {}", go_float(bound.limit))));
        }
        findings
    }

    fn array(&mut self, items: &[Value], old: Option<&Value>, schema: &Schema) -> Findings {
        let mut findings = Findings::default();
        let old_items = old.and_then(Value::as_array).map(|old| Correlated::new(old, &schema.list_type));
        if let Some(of) = &schema.items {
            for (i, item) in items.iter().enumerate() {
                let old_item = old_items.as_ref().and_then(|old| old.of(i, item));
                findings.merge(self.at(&format!("[{i}]"), |w| w.ratcheting(item, old_item, of)));
            }
        }
        let rules = &schema.rules;
        let length = items.len() as u64;
        if let Some(min) = rules.min_items.filter(|min| length < *min) {
            findings.add(self.invalid(&json!(length), format!("should have at least {min} items")));
        }
        if let Some(max) = rules.max_items.filter(|max| length > *max) {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            findings.add(FieldError::too_many(field_name(self.path), items.len(), max));
        }
        if rules.unique_items && items.iter().enumerate().any(|(i, item)| items[..i].contains(item)) {
            findings.add(self.invalid(&json!(""), "shouldn't contain duplicates"));
        }
        findings.checks += 1;
        findings
    }

    fn object(&mut self, object: &Map<String, Value>, old: Option<&Value>, schema: &Schema) -> Findings {
        let rules = &schema.rules;
        let length = object.len() as u64;
        if let Some(min) = rules.min_properties.filter(|min| length < *min) {
            let words = format!("should have at least {min} properties");
            return Findings::of(self.invalid(&json!(length), words));
        }
        if let Some(max) = rules.max_properties.filter(|max| length > *max) {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            return Findings::of(FieldError::too_many(field_name(self.path), object.len(), max));
        }
        let mut findings = Findings::default();
        let old = old.and_then(Value::as_object);
        if let Additional::Of(of) = &schema.additional {
            for (name, value) in object {
                if !schema.properties.contains_key(name.as_str()) {
                    let old = old.and_then(|o| o.get(name));
                    findings.merge(self.at(name, |w| w.ratcheting(value, old, of)));
                }
            }
        }
        for (name, property) in &schema.properties {
            if let Some(value) = object.get(&**name) {
                let old = old.and_then(|o| o.get(&**name));
                findings.merge(self.at(name, |w| w.ratcheting(value, old, property)));
            }
        }
        for name in &rules.required {
            if !object.contains_key(&**name) {
                findings.add(self.at(name, |w| FieldError::required(w.path.as_str(), "")));
            }
        }
        findings
    }

    /// `anyOf`, `oneOf`, `allOf`, `not`
    fn junctors(&mut self, value: &Value, rules: &Rules) -> Findings {
        let mut findings = Findings::default();
        let quoted = go_quote(self.path);
        if !rules.any_of.is_empty() {
            let (branches, valid) = self.branches(value, &rules.any_of);
            if valid == 0 {
                findings.add(about_schema(format!("{quoted} must validate at least one schema (anyOf)")));
                findings.merge(farthest(branches));
            }
        }
        if !rules.one_of.is_empty() {
            let (branches, valid) = self.branches(value, &rules.one_of);
            let words = match valid {
                1 => None,
                0 => Some("Found none valid".to_owned()),
                n => Some(format!("Found {n} valid alternatives")),
            };
            if let Some(words) = words {
                findings.add(about_schema(format!(
                    "{quoted} must validate one and only one schema (oneOf). {words}"
                )));
                if valid == 0 {
                    findings.merge(farthest(branches));
                }
            }
        }
        if !rules.all_of.is_empty() {
            let (branches, valid) = self.branches(value, &rules.all_of);
            for branch in branches {
                findings.merge(branch);
            }
            if valid != rules.all_of.len() {
                let words = if valid == 0 { ". None validated" } else { "" };
                findings.add(about_schema(format!("{quoted} must validate all the schemas (allOf){words}")));
            }
        }
        if let Some(not) = &rules.not
            && self.branch(value, not).is_fine()
        {
            findings.add(about_schema(format!("{quoted} must not validate the schema (not)")));
        }
        findings.checks += 1;
        findings
    }

    fn branch(&mut self, value: &Value, schema: &Schema) -> Findings {
        Walk { path: self.path, depth: self.depth + 1 }.value(value, None, schema)
    }

    /// What each alternative says, and how many are satisfied.
    fn branches(&mut self, value: &Value, schemas: &[Schema]) -> (Vec<Findings>, usize) {
        let branches: Vec<Findings> = schemas.iter().map(|s| self.branch(value, s)).collect();
        let valid = branches.iter().filter(|b| b.is_fine()).count();
        (branches, valid)
    }
}

/// The alternative that failed after the most checks; the first of equals.
fn farthest(branches: Vec<Findings>) -> Findings {
    let mut best: Option<Findings> = None;
    for branch in branches {
        if best.as_ref().is_none_or(|b| branch.checks > b.checks) {
            best = Some(branch);
        }
    }
    best.unwrap_or_default()
}

/// The old items of a list, found for the new ones that succeed them.
enum Correlated<'o> {
    ByIndex(&'o [Value]),
    ByKey(MapList<'o>),
    None,
}

impl<'o> Correlated<'o> {
    fn new(old: &'o [Value], list_type: &'o ListType) -> Self {
        match list_type {
            ListType::Map(keys) => Self::ByKey(MapList::new(old, keys)),
            ListType::Default => Self::ByIndex(old),
            ListType::Set | ListType::Atomic => Self::None,
        }
    }

    fn of(&self, index: usize, item: &Value) -> Option<&'o Value> {
        match self {
            Self::ByIndex(old) => old.get(index),
            Self::ByKey(old) => old.get(item),
            Self::None => None,
        }
    }
}

fn equal_numbers(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() == 0.0,
        _ => false,
    }
}

fn above(number: f64, bound: Bound) -> bool {
    number > bound.limit || (bound.exclusive && number >= bound.limit)
}

fn below(number: f64, bound: Bound) -> bool {
    number < bound.limit || (bound.exclusive && number <= bound.limit)
}

fn is_multiple(number: f64, factor: f64) -> bool {
    let quotient = if factor < 1.0 { 1.0 / factor * number } else { number / factor };
    (quotient - quotient.round()).abs() < 1e-9
}

/// A float as Go's `%v` prints it.
fn go_float(number: f64) -> String {
    let exponent = if number == 0.0 { 0.0 } else { number.abs().log10().floor() };
    if (-4.0..21.0).contains(&exponent) { format!("{number}") } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests;
