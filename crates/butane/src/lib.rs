//! Butane YAML to Ignition JSON, every variant and version that Orlop reads, with a source map back to the YAML.
