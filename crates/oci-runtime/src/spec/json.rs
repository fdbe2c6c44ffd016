//! Typed reads from a JSON tree whose errors say where: each level that an error passes puts its own key before it.

use serde_json::{Map, Value};

use super::error::{Problem, SpecError};

/// What every reader gives.
pub(crate) type Result<T> = std::result::Result<T, SpecError>;

fn wrong(want: &'static str, value: &Value) -> SpecError {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("{s:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    SpecError::new(Problem::Expected { want, found })
}

pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| wrong("an object", value))
}

pub(crate) fn string(value: &Value) -> Result<String> {
    let text = value.as_str().ok_or_else(|| wrong("a string", value))?;
    // Everything read here may end in a system call, where a nul byte would cut the string short.
    if text.contains('\0') {
        return Err(SpecError::new(Problem::Invalid {
            value: format!("{text:?}"),
            why: "it holds a nul byte",
        }));
    }
    Ok(text.to_owned())
}

pub(crate) fn boolean(value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong("true or false", value))
}

pub(crate) fn unsigned(value: &Value) -> Result<u64> {
    value.as_u64().ok_or_else(|| wrong("an unsigned integer", value))
}

pub(crate) fn signed(value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| wrong("an integer", value))
}

pub(crate) fn unsigned32(value: &Value) -> Result<u32> {
    unsigned(value)?.try_into().map_err(|_| wrong("an unsigned integer below 2^32", value))
}

/// Reads each element; an error says which.
pub(crate) fn list<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let items = value.as_array().ok_or_else(|| wrong("a list", value))?;
    items.iter().enumerate().map(|(i, item)| read(item).map_err(|e| e.under_index(i))).collect()
}

pub(crate) fn strings(value: &Value) -> Result<Vec<String>> {
    list(value, string)
}

/// Reads the members of an object in their written order.
pub(crate) fn pairs<T>(value: &Value, read: impl Fn(&Value) -> Result<T>) -> Result<Vec<(String, T)>> {
    object(value)?
        .iter()
        .map(|(key, item)| Ok((key.clone(), read(item).map_err(|e| e.under(key))?)))
        .collect()
}

/// A member that may be missing or null.
pub(crate) fn optional<T>(
    value: &Value,
    key: &str,
    read: impl FnOnce(&Value) -> Result<T>,
) -> Result<Option<T>> {
    match object(value)?.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(item) => read(item).map(Some).map_err(|e| e.under(key)),
    }
}

/// A member that must be there.
pub(crate) fn required<T>(value: &Value, key: &str, read: impl FnOnce(&Value) -> Result<T>) -> Result<T> {
    optional(value, key, read)?.ok_or_else(|| SpecError::new(Problem::Missing).under(key))
}

/// A member that counts as its type's default when missing.
pub(crate) fn or_default<T: Default>(
    value: &Value,
    key: &str,
    read: impl FnOnce(&Value) -> Result<T>,
) -> Result<T> {
    Ok(optional(value, key, read)?.unwrap_or_default())
}

/// Refuses a member by name if it is there with any weight (not null, not empty).
pub(crate) fn refuse(value: &Value, key: &str, hint: &'static str) -> Result<()> {
    let idle = match object(value)?.get(key) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    if idle { Ok(()) } else { Err(SpecError::new(Problem::Unsupported { hint }).under(key)) }
}
