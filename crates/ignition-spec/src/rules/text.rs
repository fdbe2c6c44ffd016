//! Rules of the text itself: syntax, types, keys, version.

use crate::rule_pages;

rule_pages! {
    /// The text is no JSON.
    SYNTAX = "json-syntax", "invalid JSON";
    why "Ignition configs are strict JSON: double quotes, a comma between entries and none after the last, no comments. The position is where reading could not go on; the fault is there or just before it. Write Butane (YAML) where you want comments.";
    wrong whole "{\n  \"ignition\": {\"version\": \"3.6.0\"},\n  \"passwd\": {\"users\": [{\"name\": \"core\"},]}\n}\n";
    mended whole "{\n  \"ignition\": {\"version\": \"3.6.0\"},\n  \"passwd\": {\"users\": [{\"name\": \"core\"}]}\n}\n";

    /// The text is larger than 256 MiB.
    TOO_LARGE = "config-too-large", "config is larger than 256 MiB";
    why "No platform hands out configs of that size. Let the config refer to large contents by URL.";
    allowed "at most 268435456 bytes";
    wrong whole "";
    mended whole "";

    /// There is no config: the text is empty.
    EMPTY = "config-empty", "not a config (empty)";
    why "A machine that gets an empty config was not given the one you wrote: look at how it is handed over. The smallest config names its version.";
    wrong whole "";
    mended whole "{\"ignition\": {\"version\": \"3.6.0\"}}\n";

    /// A value has another type than its key asks for.
    WRONG_TYPE = "wrong-type", "wrong type";
    why "Types are never converted: a number in quotes is a string, a list of one still needs brackets. Modes are plain decimal numbers in JSON (420 is 0644); in Butane they are octal.";
    allowed "the type that the message names; null counts as not given";
    wrong top r#""storage": {"files": [{"path": "/etc/motd", "mode": "0644"}]}"#;
    mended top r#""storage": {"files": [{"path": "/etc/motd", "mode": 420}]}"#;

    /// No section of this version has the key.
    UNUSED_KEY = "unused-key", "unused key";
    why "The key is ignored, so what was meant by it does not happen. It is misspelt, in the wrong section, or of a later spec version; the hint says which. Keys count as spelt: upper and lower case matter.";
    wrong top r#""passwd": {"users": [{"name": "core", "sshAuthorizedKey": []}]}"#;
    mended top r#""passwd": {"users": [{"name": "core", "sshAuthorizedKeys": []}]}"#;

    /// An object has the key twice.
    DUPLICATE_KEY = "duplicate-key", "key is given twice; the last one counts";
    why "Readers of JSON differ in which of the two they take. Put both into one, or remove one. In Butane a repeated key refuses the config.";
    wrong top r#""storage": {"files": [{"path": "/a", "mode": 420, "mode": 384}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "mode": 384}]}"#;

    /// Two entries of a list have one key.
    DUPLICATE = "duplicate-entry", "duplicate entry defined";
    why "Entries are told apart by their path, name, device or number, and two configs merge by it; so there can be one only. Files, directories and links share their paths; kernel arguments cannot both exist and not exist.";
    wrong top r#""storage": {"files": [{"path": "/a", "mode": 420}], "directories": [{"path": "/a"}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "mode": 420}], "directories": [{"path": "/b"}]}"#;

    /// The version is missing or no version.
    INVALID_VERSION = "version-malformed", "invalid config version (couldn't parse)";
    why "The version of the spec says how all else is read, so it comes first: three numbers with dots, as a string.";
    allowed "3.0.0 to 3.6.0 and 3.7.0-experimental";
    wrong whole "{\"ignition\": {\"version\": \"3.6\"}}\n";
    mended whole "{\"ignition\": {\"version\": \"3.6.0\"}}\n";

    /// The version is not read here.
    UNKNOWN_VERSION = "version-unsupported", "unsupported config version";
    why "Spec 2 is another format and must be rewritten (most easily in Butane). An experimental version is refused once it is stable. A config of a later spec needs a later Orlop.";
    allowed "3.0.0 to 3.6.0 and 3.7.0-experimental";
    wrong whole "{\"ignition\": {\"version\": \"2.3.0\"}}\n";
    mended whole "{\"ignition\": {\"version\": \"3.6.0\"}}\n";
}
