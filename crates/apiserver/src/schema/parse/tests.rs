//! Tests, row by row.

use proptest::prelude::*;

use super::*;

fn refusals(schema: &Value) -> Vec<String> {
    parse(schema).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_not_structural_is_refused() {
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let rows = [
        (json!({}), vec!["type: Required value: must not be empty at the root"]),
        (
            object(json!({"a": {}})),
            vec!["properties[a].type: Required value: must not be empty for specified object fields"],
        ),
        (
            object(json!({"a": {"type": "array", "items": {}}})),
            vec!["properties[a].items.type: Required value: must not be empty for specified array items"],
        ),
        (
            object(json!({"a": {"type": "array"}})),
            vec!["properties[a].items: Required value: must be specified"],
        ),
        (object(json!({"a": {"x-kubernetes-preserve-unknown-fields": true}})), vec![]),
        (
            json!({"type": "object", "anyOf": [{"type": "object", "properties": {"a": {"maxLength": 1}}}]}),
            vec![
                "anyOf[0].type: Forbidden: must be empty to be structural",
                "properties[a]: Required value: because it is defined in anyOf[0].properties[a]",
            ],
        ),
        (
            object(
                json!({"a": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}}),
            ),
            vec![],
        ),
        (
            object(json!({"a": {"type": "string", "default": 1}})),
            vec![
                "properties[a].default: Invalid value: \"integer\":  in body must be of type string: \"integer\"",
            ],
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": true}),
            vec!["additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
        ),
        (
            object(json!({"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}})),
            vec![
                "properties[metadata]: Forbidden: must not specify anything other than name and generateName, but \
                 metadata is implicitly specified",
            ],
        ),
        (
            object(
                json!({"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}),
            ),
            vec![
                "properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if \
                 x-kubernetes-list-type is map",
            ],
        ),
    ];
    for (schema, expected) in rows {
        assert_eq!(refusals(&schema), expected, "{schema}");
    }
    assert_eq!(refusals(&object(json!({"a": {"type": "string", "pattern": "("}}))).len(), 1);
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let keyword = prop::sample::select(vec![
        "type",
        "properties",
        "items",
        "additionalProperties",
        "default",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "required",
        "pattern",
        "minimum",
        "maxLength",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
        "rule",
        "nullable",
        "format",
        "a",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z(*.\\[{]{0,6}".prop_map(Value::from),
        prop::sample::select(vec!["object", "array", "string", "integer", "map", "set", "self == self"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keyword.clone(), inner), 0..6).prop_map(|entries| {
                Value::Object(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_schema_is_read_or_refused_and_any_value_judged(schema in arbitrary_json(), value in arbitrary_json()) {
        if let Ok(schema) = parse(&schema) {
            let mut errors = Vec::new();
            super::super::validate(&value, None, &schema, &mut errors);
            if let Value::Object(mut object) = value {
                super::super::prune(&mut object, &schema);
                super::super::apply_defaults(&mut object, &schema);
                super::super::check_list_types(&object, &schema, &mut errors);
            }
        }
    }
}
