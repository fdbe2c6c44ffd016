//! A checker of the few keywords of JSON Schema that ours uses.

use serde_json::Value;

/// Where `value` does not fit `schema`, a part of `root`; an unknown keyword is a fault of the test.
pub(crate) fn fault(root: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => true,
            "$ref" => {
                let name =
                    wanted.as_str().and_then(|text| text.strip_prefix("#/$defs/")).expect("a reference");
                match fault(root, &root["$defs"][name], value, path) {
                    Some(fault) => return Some(fault),
                    None => true,
                }
            }
            "minimum" => !value.is_number() || value.as_f64() >= wanted.as_f64(),
            "maximum" => !value.is_number() || !value.is_u64() || value.as_u64() <= wanted.as_u64(),
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("a list").contains(value),
            "type" => match wanted {
                Value::Array(types) => types.iter().any(|one| is(value, one)),
                one => is(value, one),
            },
            "required" => {
                let keys = wanted.as_array().expect("a list");
                value
                    .as_object()
                    .is_none_or(|map| keys.iter().all(|key| map.contains_key(key.as_str().unwrap())))
            }
            "additionalProperties" => {
                let known = |key: &String| schema.get("properties").is_some_and(|all| all.get(key).is_some());
                let further = value.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                let below = |(key, value): (&String, &Value)| match wanted {
                    Value::Bool(false) => Some(format!("{path}.{key}: additionalProperties")),
                    _ => fault(root, wanted, value, &format!("{path}.{key}")),
                };
                match further.filter_map(below).next() {
                    Some(fault) => return Some(fault),
                    None => true,
                }
            }
            "properties" => {
                let known = value.as_object().into_iter().flatten();
                let below = |(key, value): (&String, &Value)| {
                    fault(root, wanted.get(key)?, value, &format!("{path}.{key}"))
                };
                match known.filter_map(below).next() {
                    Some(fault) => return Some(fault),
                    None => true,
                }
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                match items.filter_map(|(at, item)| fault(root, wanted, item, &format!("{path}.{at}"))).next()
                {
                    Some(fault) => return Some(fault),
                    None => true,
                }
            }
            other => panic!("the checker does not know {other}"),
        };
        if !fits {
            return Some(format!("{path}: {keyword}"));
        }
    }
    None
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        // serde_json reads `-0` as a float.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64() == Some(0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the checker does not know the type {other}"),
    }
}
