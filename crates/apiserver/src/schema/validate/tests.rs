//! Tests, row by row.

use super::super::parse;
use super::*;

fn findings(spec: &Value, value: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let schema = parse(&schema).unwrap_or_else(|e| panic!("{e:?}"));
    let mut errors = Vec::new();
    let wrap = |v: &Value| json!({"spec": v});
    validate(&wrap(value), old.map(wrap).as_ref(), &schema, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_rule_has_the_words_of_the_real_server() {
    let none: [&str; 0] = [];
    let rows: Vec<(Value, Value, Vec<&str>)> = vec![
        (json!({"type": "string"}), json!("x"), none.to_vec()),
        (
            json!({"type": "string"}),
            json!(1),
            vec!["spec: Invalid value: \"integer\": spec in body must be of type string: \"integer\""],
        ),
        (
            json!({"type": "integer"}),
            json!("x"),
            vec!["spec: Invalid value: \"string\": spec in body must be of type integer: \"string\""],
        ),
        (json!({"type": "integer"}), json!(1.0), none.to_vec()),
        (
            json!({"type": "integer"}),
            json!(1.5),
            vec![
                "spec: Invalid value: \"number\": spec in body must be of type integer: \"number\"",
                "<nil>: Invalid value: \"\": Checked value must be of type integer (default format) in spec",
            ],
        ),
        (json!({"type": "number"}), json!(1), none.to_vec()),
        (
            json!({"type": "string"}),
            Value::Null,
            vec!["spec: Invalid value: \"null\": spec in body must be of type string: \"null\""],
        ),
        (json!({"type": "string", "nullable": true}), Value::Null, none.to_vec()),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            vec![
                "spec: Invalid value: \"boolean\": spec in body must be of type integer,string: \"boolean\"",
            ],
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            vec!["spec: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            vec!["spec: Unsupported value: 3: supported values: \"1\", \"2\""],
        ),
        (
            json!({"type": "integer", "minimum": 1, "maximum": 3}),
            json!(0),
            vec!["spec: Invalid value: 0: spec in body should be greater than or equal to 1"],
        ),
        (
            json!({"type": "integer", "maximum": 3, "exclusiveMaximum": true}),
            json!(3),
            vec!["spec: Invalid value: 3: spec in body should be less than 3"],
        ),
        (
            json!({"type": "integer", "multipleOf": 2}),
            json!(3),
            vec!["spec: Invalid value: 3: spec in body should be a multiple of 2"],
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_u64),
            vec![
                "<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in spec",
            ],
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("\u{e9}"),
            vec!["spec: Invalid value: \"\u{e9}\": spec in body should be at least 2 chars long"],
        ),
        (
            json!({"type": "string", "maxLength": 1}),
            json!("ab"),
            vec!["spec: Too long: may not be more than 1 byte"],
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            vec!["spec: Invalid value: \"b\": spec in body should match '^a+$'"],
        ),
        (
            json!({"type": "string", "format": "byte"}),
            json!("*"),
            vec!["spec: Invalid value: \"*\": spec in body must be of type byte: \"*\""],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", 1]),
            vec![
                "spec[1]: Invalid value: \"integer\": spec[1] in body must be of type string: \"integer\"",
                "spec: Too many: 2: must have at most 1 item",
            ],
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            vec!["spec: Invalid value: 0: spec in body should have at least 1 items"],
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            vec!["spec.a: Required value"],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}),
            json!({"a": "1", "b": "2"}),
            vec!["spec: Too many: 2: must have at most 1 item"],
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            vec!["spec.k: Invalid value: \"integer\": spec.k in body must be of type string: \"integer\""],
        ),
    ];
    for (schema, value, expected) in rows {
        assert_eq!(findings(&schema, &value, None), expected, "{schema} {value}");
    }
}

#[test]
fn one_of_reports_none_and_several() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]
    });
    assert_eq!(findings(&schema, &json!({"a": "1"}), None), Vec::<String>::new());
    assert_eq!(
        findings(&schema, &json!({}), None),
        [
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found none valid",
            "spec.a: Required value"
        ]
    );
    assert_eq!(
        findings(&schema, &json!({"a": "1", "b": "2"}), None),
        [
            "<nil>: Invalid value: \"\": \"spec\" must validate one and only one schema (oneOf). Found 2 valid \
             alternatives"
        ]
    );
}

#[test]
fn any_of_all_of_and_not() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        "allOf": [{"properties": {"a": {"maxLength": 1}}}],
        "not": {"required": ["a", "b"]}
    });
    assert_eq!(
        findings(&schema, &json!({}), None),
        [
            "<nil>: Invalid value: \"\": \"spec\" must validate at least one schema (anyOf)",
            "spec.a: Required value"
        ]
    );
    assert_eq!(
        findings(&schema, &json!({"a": "22", "b": ""}), None),
        [
            "spec.a: Too long: may not be more than 1 byte",
            "<nil>: Invalid value: \"\": \"spec\" must validate all the schemas (allOf). None validated",
            "<nil>: Invalid value: \"\": \"spec\" must not validate the schema (not)"
        ]
    );
}

#[test]
fn unchanged_parts_are_let_pass() {
    let schema = json!({"type": "object", "properties": {
        "a": {"type": "string", "maxLength": 1},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 1}}
    }});
    let old = json!({"a": "long", "list": ["long"]});
    assert_eq!(
        findings(&schema, &json!({"a": "long", "list": ["long", "x"]}), Some(&old)),
        Vec::<String>::new()
    );
    assert_eq!(
        findings(&schema, &json!({"a": "other", "list": ["x"]}), Some(&old)),
        ["spec.a: Too long: may not be more than 1 byte"]
    );
}
