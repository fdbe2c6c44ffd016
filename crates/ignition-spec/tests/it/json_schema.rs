//! The JSON Schema against the verdict tables and the samples.

use ignition_spec::json_schema::{Heading, json_schema};
use ignition_spec::{Spec, View};
use serde_json::Value;

use crate::sample::{fitting, mistyped, places};
use crate::schema_checker::fault;
use crate::verdicts::{input, rows};

fn schema(spec: Spec) -> Value {
    let version = spec.to_string();
    let heading = Heading { title: "Ignition", fixed: &[("ignition.version", &version)] };
    serde_json::from_slice(&json_schema(&View::ignition(spec), &heading)).expect("a schema is JSON")
}

fn specs() -> impl Iterator<Item = Spec> {
    (0..=Spec::EXPERIMENTAL.minor_number()).filter_map(Spec::minor)
}

#[test]
fn accepted_configs_fit_and_wrong_types_do_not() {
    let schemas: Vec<Value> = specs().map(schema).collect();
    let (mut fitted, mut refused) = (0, 0);
    for file in ["ignition.jsonl", "ignition-products.jsonl"] {
        let Some(rows) = rows(file) else { return };
        for row in rows {
            let Ok(config) = serde_json::from_slice::<Value>(&input(&row)) else { continue };
            let version = config["ignition"]["version"].as_str().unwrap_or_default();
            let Ok(spec) = Spec::parse(version) else { continue };
            // 3.04.0 is 3.4.0 to upstream; the schema asks for the usual spelling.
            if spec.to_string() != version {
                continue;
            }
            let schema = &schemas[usize::from(spec.minor_number())];
            let fault = fault(schema, schema, &config, "$");
            let told = row["reports"].to_string();
            if row["verdict"] == "rejected" && told.contains("cannot unmarshal") {
                assert!(fault.is_some(), "{}: the schema takes a wrong type: {told}\n{config}", row["id"]);
                refused += 1;
            } else if row["verdict"] != "rejected" && !told.contains("unused key") && repeats(&row) {
                assert_eq!(fault, None, "{}: the schema refuses an accepted config\n{config}", row["id"]);
                fitted += 1;
            }
        }
    }
    eprintln!("schema: {fitted} accepted configs fit, {refused} with wrong types do not");
    assert!(fitted > 5_000 && refused > 500, "{fitted} {refused}");
}

/// False when a key is there twice (in any case): only the last one is seen here.
fn repeats(row: &Value) -> bool {
    let report = ignition_spec::parse(&input(row)).map(|parsed| parsed.report).unwrap_or_default();
    report.is_empty()
        || !report.entries.iter().any(|entry| matches!(entry.code, "duplicate-key" | "unused-key"))
}

#[test]
fn every_field_fits_with_its_type_and_no_other() {
    for spec in specs() {
        let schema = schema(spec);
        for place in places().iter().filter(|place| place.since() <= spec.minor_number()) {
            let path = place.path();
            if path == "$.ignition.version" {
                continue;
            }
            let shape = (place.field.shape)();
            let good = place.config(spec, fitting(place.section, place.field, shape));
            assert_eq!(fault(&schema, &schema, &good, "$"), None, "{spec} {path}\n{good}");
            let bad = place.config(spec, mistyped(shape));
            let fault = fault(&schema, &schema, &bad, "$").unwrap_or_default();
            assert!(fault.starts_with(&path), "{spec} {path}: {fault}\n{bad}");
        }
    }
}

#[test]
fn fields_are_described_and_later_ones_left_out() {
    let old = schema(Spec::OLDEST);
    assert!(old["$defs"]["Config"]["properties"]["kernelArguments"].is_null());
    assert_eq!(old["$defs"]["Ignition"]["properties"]["version"]["const"], "3.0.0");
    let new = schema(Spec::STABLE);
    for (name, section) in new["$defs"].as_object().expect("sections") {
        for (key, field) in section["properties"].as_object().expect("properties") {
            assert!(field["description"].as_str().is_some_and(|text| text.len() > 3), "{name}.{key}");
        }
    }
    let formats = new["$defs"]["Filesystem"]["properties"]["format"]["enum"].to_string();
    assert!(formats.contains("none") && !formats.contains("virtiofs"), "{formats}");
}
