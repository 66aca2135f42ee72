//! `x-kubernetes-validations`: CEL rules, compiled with their schema and evaluated on objects (apiextensions
//! `pkg/apiserver/schema/cel`).
//!
//! The language is the `cel` crate with Kubernetes' libraries from `kube-cel`. Our own walk over the schema, rather
//! than kube-cel's, gives the real server's field paths, ratcheting and correlation of old items.

mod extent;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use kube_cel::KubeCelExt as _;
use kube_cel::cel::objects::OptionalValue;
use kube_cel::cel::{Context, ExecutionError, Program, Value as CelValue};
use serde_json::{Map, Value, json};

use super::list_type::MapList;
use super::{Additional, ListType, Schema};
use crate::status::{FieldError, FieldErrorType, FieldPath};

/// Characters of an evaluated `messageExpression`.
const MESSAGE_MAX: usize = 5 << 10;

/// Bytes of address space for the parser's stack, of which it uses as much as the nesting of a rule asks for.
const PARSER_STACK: usize = 256 << 20;

/// One compiled rule.
#[derive(Debug)]
pub(crate) struct Rule {
    expression: Box<str>,
    program: Program,
    message: Option<Box<str>>,
    message_program: Option<Program>,
    reason: Option<FieldErrorType>,
    /// `fieldPath`, without its leading dot.
    field_path: Option<Box<str>>,
    uses_old_self: bool,
    optional_old_self: bool,
}

impl Rule {
    /// Compiles one entry of `x-kubernetes-validations`.
    pub(crate) fn compile(rule: &Value, path: &FieldPath<'_>) -> Result<Self, FieldError> {
        let text = |name: &str| rule.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let expression = text("rule").map(str::trim).unwrap_or_default();
        if expression.is_empty() {
            return Err(FieldError::required(&path.field("rule"), "rule is not specified"));
        }
        let program = compile(expression)
            .map_err(|e| FieldError::invalid(&path.field("rule"), &json!(expression), e))?;
        let message_program = text("messageExpression")
            .map(|source| {
                compile(source)
                    .map_err(|e| FieldError::invalid(&path.field("messageExpression"), &json!(source), e))
            })
            .transpose()?;
        let message = text("message").map(str::trim);
        if message.is_some_and(|m| m.contains('\n')) {
            let why = "message must not contain line breaks";
            return Err(FieldError::invalid(&path.field("message"), &json!(message), why));
        }
        if message.is_none() && expression.contains('\n') {
            let why = "message must be specified if rule contains line breaks";
            return Err(FieldError::required(&path.field("message"), why));
        }
        let reason = text("reason").map(|r| reason(r, path)).transpose()?;
        let references = program.references();
        Ok(Self {
            uses_old_self: references.has_variable("oldSelf"),
            expression: expression.into(),
            message: message.map(Into::into),
            message_program,
            reason,
            field_path: text("fieldPath").map(normalized_field_path),
            optional_old_self: rule.get("optionalOldSelf") == Some(&Value::Bool(true)),
            program,
        })
    }

    /// What the rule is called when it has no message of its own.
    fn title(&self) -> &str {
        self.message.as_deref().unwrap_or(&self.expression)
    }

    fn default_message(&self) -> String {
        match &self.message {
            Some(message) => message.to_string(),
            None => format!("failed rule: {}", self.expression),
        }
    }
}

/// To be called with a large stack; what it returns is fit for any.
fn parse(source: &str) -> Result<Program, String> {
    let program = Program::compile(source).map_err(|errors| format!("compilation failed: {errors}"))?;
    if extent::depth(program.expression()) > extent::MAX_DEPTH {
        return Err(format!("compilation failed: nests deeper than {} levels", extent::MAX_DEPTH));
    }
    Ok(program)
}

/// The parser is generated code; should it trip over some text, the rule is refused and the server lives on. It is also
/// deeply recursive, so it runs on a stack of its own, on texts that fit it.
fn compile(source: &str) -> Result<Program, String> {
    if source.chars().nth(extent::MAX_CHARACTERS).is_some() {
        return Err(format!("compilation failed: longer than {} characters", extent::MAX_CHARACTERS));
    }
    let parser = thread::Builder::new().name("CEL parser".to_owned()).stack_size(PARSER_STACK);
    let compiled = thread::scope(|scope| {
        let parsing = parser.spawn_scoped(scope, || parse(source));
        parsing.map(thread::ScopedJoinHandle::join)
    });
    match compiled {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err("compilation failed: the expression cannot be parsed".to_owned()),
        Err(error) => Err(format!("compilation failed: no thread for the parser: {error}")),
    }
}

fn reason(text: &str, path: &FieldPath<'_>) -> Result<FieldErrorType, FieldError> {
    Ok(match text {
        "FieldValueInvalid" => FieldErrorType::Invalid,
        "FieldValueForbidden" => FieldErrorType::Forbidden,
        "FieldValueRequired" => FieldErrorType::Required,
        "FieldValueDuplicate" => FieldErrorType::Duplicate,
        other => {
            let supported =
                ["FieldValueRequired", "FieldValueInvalid", "FieldValueForbidden", "FieldValueDuplicate"];
            return Err(FieldError::not_supported(&path.field("reason"), &json!(other), &supported));
        }
    })
}

/// `.spec['a/b'].c` as `field.Path` prints it: `spec.a/b.c`.
fn normalized_field_path(path: &str) -> Box<str> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("['") {
            let end = quoted.find("']").unwrap_or(quoted.len());
            steps.push(&quoted[..end]);
            rest = quoted.get(end + 2..).unwrap_or_default();
        } else {
            let name = rest.strip_prefix('.').unwrap_or(rest);
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(&name[..end]);
            // A bare `[` that opens no quote cannot be followed further.
            rest = if name[end..].starts_with('[') && !name[end..].starts_with("['") {
                ""
            } else {
                &name[end..]
            };
        }
    }
    steps.join(".").into()
}

/// Evaluates every rule of the schema on an object; transition rules need its old self.
pub(crate) fn evaluate(object: &Value, old: Option<&Value>, schema: &Schema, errors: &mut Vec<FieldError>) {
    if schema.below.cel {
        let node = Node { value: object, old, is_resource: true };
        node.evaluate(schema, schema, &FieldPath::ROOT, errors);
    }
}

/// A value at its place in the object.
#[derive(Clone, Copy)]
struct Node<'v> {
    value: &'v Value,
    old: Option<&'v Value>,
    /// Whether `apiVersion`, `kind` and names are visible here.
    is_resource: bool,
}

impl<'v> Node<'v> {
    fn child(value: &'v Value, old: Option<&'v Value>, schema: &Schema) -> Self {
        Self { value, old, is_resource: schema.embedded_resource }
    }

    /// Rules come from `rules`, structure from `schema`; they differ inside `allOf`.
    fn evaluate(self, rules: &Schema, schema: &Schema, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        if self.value.is_null() || !rules.below.cel {
            return;
        }
        if !rules.cel.is_empty() {
            self.own_rules(&rules.cel, schema, path, errors);
        }
        for branch in &rules.rules.all_of {
            self.evaluate(branch, schema, path, errors);
        }
        match self.value {
            Value::Object(object) => self.fields(object, rules, schema, path, errors),
            Value::Array(items) => self.items(items, rules, schema, path, errors),
            _ => {}
        }
    }

    fn fields(
        self,
        object: &'v Map<String, Value>,
        rules: &Schema,
        schema: &Schema,
        path: &FieldPath<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        let old = self.old.filter(|_| !schema.atomic_map).and_then(Value::as_object);
        if let (Additional::Of(rules), Additional::Of(schema)) = (&rules.additional, &schema.additional) {
            for (name, value) in object {
                let node = Node::child(value, old.and_then(|o| o.get(name)), schema);
                node.evaluate(rules, schema, &path.key(name), errors);
            }
        }
        for (name, rules) in rules.properties.iter().filter(|(_, r)| r.below.cel) {
            if let (Some(value), Some(schema)) = (object.get(&**name), schema.properties.get(name)) {
                let node = Node::child(value, old.and_then(|o| o.get(&**name)), schema);
                node.evaluate(rules, schema, &path.field(name), errors);
            }
        }
    }

    fn items(
        self,
        items: &'v [Value],
        rules: &Schema,
        schema: &Schema,
        path: &FieldPath<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        let (Some(of_rules), Some(of)) = (&rules.items, &schema.items) else { return };
        // Only lists with keys say which item succeeds which.
        let old = match (&schema.list_type, self.old.and_then(Value::as_array)) {
            (ListType::Map(keys), Some(old)) => Some(MapList::new(old, keys)),
            _ => None,
        };
        for (i, item) in items.iter().enumerate() {
            let old_item = old.as_ref().and_then(|old| old.get(item));
            Node::child(item, old_item, of).evaluate(of_rules, of, &path.index(i), errors);
        }
    }

    fn own_rules(self, rules: &[Rule], schema: &Schema, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        let unchanged = self.old == Some(self.value);
        let skip = |rule: &Rule| {
            // What did not change was accepted before; a transition needs two states.
            (unchanged && !rule.uses_old_self)
                || (rule.uses_old_self && self.old.is_none() && !rule.optional_old_self)
        };
        if rules.iter().all(skip) {
            return;
        }
        BASE_CONTEXT.with(|base| {
            let this = value::to_cel(self.value, schema, self.is_resource);
            let old = self.old.map(|old| value::to_cel(old, schema, self.is_resource));
            for rule in rules.iter().filter(|r| !skip(r)) {
                let mut context = base.new_inner_scope();
                context.add_variable_from_value("self", this.clone());
                if rule.uses_old_self {
                    context.add_variable_from_value("oldSelf", rule.old_self(old.clone()));
                }
                if let Err(error) = rule.check(&context, self.value, path) {
                    errors.push(*error);
                }
            }
        });
    }
}

thread_local! {
    /// The functions; making them is dearer than evaluating a rule.
    static BASE_CONTEXT: Context<'static> = Context::default().with_all();
}

impl Rule {
    fn old_self(&self, old: Option<CelValue>) -> CelValue {
        match (self.optional_old_self, old) {
            (true, Some(old)) => CelValue::Opaque(Arc::new(OptionalValue::of(old))),
            (true, None) => CelValue::Opaque(Arc::new(OptionalValue::none())),
            (false, old) => old.unwrap_or(CelValue::Null),
        }
    }

    fn check(
        &self,
        context: &Context<'_>,
        value: &Value,
        path: &FieldPath<'_>,
    ) -> Result<(), Box<FieldError>> {
        let words = match execute(&self.program, context) {
            Ok(CelValue::Bool(true)) => return Ok(()),
            Ok(CelValue::Bool(false)) => return Err(Box::new(self.failure(context, value, path))),
            Ok(_) => format!("rule must evaluate to a bool: {}", self.title()),
            Err(error) => self.execution_error(&error),
        };
        Err(Box::new(refused(path.to_string(), value, words)))
    }

    fn failure(&self, context: &Context<'_>, value: &Value, path: &FieldPath<'_>) -> FieldError {
        let detail = self.evaluated_message(context).unwrap_or_else(|| self.default_message());
        let field = match &self.field_path {
            Some(below) => path.field(below).to_string(),
            None => path.to_string(),
        };
        match self.reason {
            Some(FieldErrorType::Forbidden) => FieldError::forbidden(field, detail),
            Some(FieldErrorType::Required) => FieldError::required(field, detail),
            Some(FieldErrorType::Duplicate) => FieldError::duplicate(field, value),
            _ => refused(field, value, detail),
        }
    }

    /// The dynamic message, unless it is unusable; then the static one stands in.
    fn evaluated_message(&self, context: &Context<'_>) -> Option<String> {
        match execute(self.message_program.as_ref()?, context) {
            Ok(CelValue::String(text)) => {
                let text = text.trim();
                let usable = !text.is_empty() && text.len() <= MESSAGE_MAX && !text.contains('\n');
                usable.then(|| text.to_owned())
            }
            _ => None,
        }
    }

    fn execution_error(&self, error: &ExecutionError) -> String {
        let words = match error {
            ExecutionError::NoSuchOverload
            | ExecutionError::ValuesNotComparable(..)
            | ExecutionError::UnsupportedBinaryOperator(..)
            | ExecutionError::UnsupportedUnaryOperator(..) => {
                return format!(
                    "'no such overload': call arguments did not match a supported operator, function or macro \
                     signature for rule: {}",
                    self.title()
                );
            }
            ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
            ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
            ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
            ExecutionError::Overflow(..) => "integer overflow".to_owned(),
            other => other.to_string(),
        };
        format!("{words} evaluating rule: {}", self.title())
    }
}

/// Plain values are repeated, objects and lists are not.
fn refused(field: String, value: &Value, detail: String) -> FieldError {
    match value {
        Value::Object(_) | Value::Array(_) => FieldError::invalid_unshown(field, detail),
        plain => FieldError::invalid(field, plain, detail),
    }
}

fn execute(program: &Program, context: &Context<'_>) -> Result<CelValue, ExecutionError> {
    // As in `compile`: a rule that trips the evaluator fails its object, not the server.
    catch_unwind(AssertUnwindSafe(|| program.execute(context)))
        .unwrap_or_else(|_| Err(ExecutionError::function_error("rule", "the evaluation failed")))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn findings(schema: &Value, object: &Value, old: Option<&Value>) -> Vec<String> {
        let schema = parse(schema).unwrap_or_else(|e| panic!("{e:?}"));
        let mut errors = Vec::new();
        evaluate(object, old, &schema, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    fn spec(rules: &Value) -> Value {
        json!({"type": "object", "properties": {"spec": {
            "type": "object",
            "x-kubernetes-validations": rules,
            "properties": {
                "a": {"type": "integer"}, "b": {"type": "integer"}, "name": {"type": "string"},
                "ratio": {"type": "number"}, "until": {"type": "string", "format": "date-time"},
                "raw": {"type": "string", "format": "byte"}, "foo-bar": {"type": "string"}
            }
        }}})
    }

    #[test]
    fn rules_and_their_messages() {
        let none: [&str; 0] = [];
        let rows = [
            (json!([{"rule": "self.a <= self.b"}]), json!({"a": 1, "b": 2}), none.to_vec()),
            (
                json!([{"rule": "self.a <= self.b"}]),
                json!({"a": 3, "b": 2}),
                vec!["spec: Invalid value: failed rule: self.a <= self.b"],
            ),
            (
                json!([{"rule": "self.a <= self.b", "message": "a must not exceed b", "fieldPath": ".a",
                        "reason": "FieldValueForbidden"}]),
                json!({"a": 3, "b": 2}),
                vec!["spec.a: Forbidden: a must not exceed b"],
            ),
            (
                json!([{"rule": "self.a <= self.b", "messageExpression": "'a is ' + string(self.a)"}]),
                json!({"a": 3, "b": 2}),
                vec!["spec: Invalid value: a is 3"],
            ),
            (
                json!([{"rule": "self.a <= self.b", "message": "static", "messageExpression": "self.name"}]),
                json!({"a": 3, "b": 2}),
                vec!["spec: Invalid value: static"],
            ),
            (
                json!([{"rule": "self.a > 0"}]),
                json!({}),
                vec!["spec: Invalid value: no such key: a evaluating rule: self.a > 0"],
            ),
            (json!([{"rule": "!has(self.a) || self.a > 0"}]), json!({}), none.to_vec()),
            (json!([{"rule": "self.ratio > 0.5"}]), json!({"ratio": 1}), none.to_vec()),
            (
                json!([{"rule": "self.until > timestamp('2020-01-01T00:00:00Z')"}]),
                json!({"until": "2021-01-01T00:00:00Z"}),
                none.to_vec(),
            ),
            (json!([{"rule": "size(self.raw) == 2"}]), json!({"raw": "aGk="}), none.to_vec()),
            (json!([{"rule": "self.foo__dash__bar == 'x'"}]), json!({"foo-bar": "x"}), none.to_vec()),
            (json!([{"rule": "self.name.matches('^[a-z]+$')"}]), json!({"name": "abc"}), none.to_vec()),
        ];
        for (rules, value, expected) in rows {
            assert_eq!(findings(&spec(&rules), &json!({"spec": value}), None), expected, "{rules}");
        }
    }

    #[test]
    fn transitions_need_an_old_self() {
        let schema = spec(&json!([{"rule": "self.a == oldSelf.a", "message": "a is immutable"}]));
        let (one, two) = (json!({"spec": {"a": 1}}), json!({"spec": {"a": 2}}));
        assert_eq!(findings(&schema, &one, None), Vec::<String>::new());
        assert_eq!(findings(&schema, &one, Some(&one)), Vec::<String>::new());
        assert_eq!(findings(&schema, &two, Some(&one)), ["spec: Invalid value: a is immutable"]);
        let optional = spec(&json!([{
            "rule": "oldSelf.hasValue() || self.a == 1", "optionalOldSelf": true, "message": "starts at 1"
        }]));
        assert_eq!(findings(&optional, &one, None), Vec::<String>::new());
        assert_eq!(findings(&optional, &two, None), ["spec: Invalid value: starts at 1"]);
        assert_eq!(findings(&optional, &two, Some(&one)), Vec::<String>::new());
    }

    #[test]
    fn items_of_map_lists_correlate_by_key() {
        let schema = json!({"type": "object", "properties": {"list": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}, "v": {"type": "integer"}},
                "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "v only grows"}]}
        }}});
        let old = json!({"list": [{"name": "x", "v": 5}, {"name": "y", "v": 1}]});
        let new = json!({"list": [{"name": "y", "v": 2}, {"name": "x", "v": 4}, {"name": "z", "v": 0}]});
        assert_eq!(findings(&schema, &new, Some(&old)), ["list[1]: Invalid value: v only grows"]);
    }

    #[test]
    fn unchanged_parts_are_not_judged_again() {
        let schema = spec(&json!([{"rule": "self.a < 10"}]));
        let old = json!({"spec": {"a": 11}});
        assert_eq!(findings(&schema, &old, Some(&old)), Vec::<String>::new());
        assert_eq!(findings(&schema, &json!({"spec": {"a": 12}}), Some(&old)).len(), 1);
    }

    #[test]
    fn the_root_sees_its_names_and_all_of_its_rules() {
        let schema = json!({
            "type": "object",
            "x-kubernetes-validations": [{"rule": "self.metadata.name == 'x' && self.kind == 'K'", "message": "named"}],
            "properties": {"spec": {"type": "object", "properties": {"a": {"type": "integer"}}}},
            "allOf": [{"properties": {"spec": {"x-kubernetes-validations": [{"rule": "self.a > 0", "message": "positive"}]}}}]
        });
        let object = |name: &str, a: i64| json!({"kind": "K", "metadata": {"name": name}, "spec": {"a": a}});
        assert_eq!(findings(&schema, &object("x", 1), None), Vec::<String>::new());
        assert_eq!(
            findings(&schema, &object("y", 0), None),
            ["<nil>: Invalid value: named", "spec: Invalid value: positive"]
        );
    }

    #[test]
    fn rules_that_do_not_compile_are_refused() {
        let schema = spec(&json!([{"rule": "self.a >"}]));
        let errors = parse(&schema).unwrap_err();
        assert!(
            errors[0].to_string().starts_with(
                "properties[spec].x-kubernetes-validations[0].rule: Invalid value: \"self.a >\": compilation failed: "
            ),
            "{}",
            errors[0]
        );
        assert!(parse(&spec(&json!([{"rule": ""}]))).is_err());
        assert!(parse(&spec(&json!([{"rule": "true", "reason": "Nonsense"}]))).is_err());
    }

    #[test]
    fn field_paths() {
        let rows = [
            (".a", "a"),
            (".a.b", "a.b"),
            (".a['b/c'].d", "a.b/c.d"),
            ("['x']", "x"),
            (".a[0]", "a"),
            ("", ""),
        ];
        for (given, expected) in rows {
            assert_eq!(&*normalized_field_path(given), expected);
        }
    }
}
