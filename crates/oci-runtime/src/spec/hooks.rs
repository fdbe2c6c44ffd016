//! `hooks`: programs run at points of the lifecycle.

use std::time::Duration;

use serde_json::Value;

use super::error::SpecError;
use super::json;

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Absolute path.
    pub path: String,
    /// Argument vector, the name first; empty means the path alone.
    pub args: Vec<String>,
    /// Whole environment, `NAME=value`.
    pub env: Vec<String>,
    /// Time after which it is killed and counts as failed.
    pub timeout: Option<Duration>,
}

/// All hooks by kind, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Deprecated; before `create_runtime`, in the same place.
    pub prestart: Vec<Hook>,
    /// In the runtime's namespaces, after the environment is made, before pivot_root.
    pub create_runtime: Vec<Hook>,
    /// In the container's namespaces, before pivot_root.
    pub create_container: Vec<Hook>,
    /// In the container, before the user's program.
    pub start_container: Vec<Hook>,
    /// In the runtime's namespaces, after the user's program started.
    pub poststart: Vec<Hook>,
    /// In the runtime's namespaces, after delete.
    pub poststop: Vec<Hook>,
}

pub(super) fn read(value: &Value) -> json::Result<Hooks> {
    let kind = |key| json::or_default(value, key, |v| json::list(v, read_one));
    Ok(Hooks {
        prestart: kind("prestart")?,
        create_runtime: kind("createRuntime")?,
        create_container: kind("createContainer")?,
        start_container: kind("startContainer")?,
        poststart: kind("poststart")?,
        poststop: kind("poststop")?,
    })
}

fn read_one(value: &Value) -> json::Result<Hook> {
    Ok(Hook {
        path: json::required(value, "path", |v| {
            let path = json::string(v)?;
            if path.starts_with('/') { Ok(path) } else { Err(SpecError::invalid(path, "must be absolute")) }
        })?,
        args: json::or_default(value, "args", json::strings)?,
        env: json::or_default(value, "env", json::strings)?,
        timeout: json::optional(value, "timeout", |v| match json::signed(v)? {
            seconds if seconds > 0 => Ok(Duration::from_secs(seconds.unsigned_abs())),
            other => Err(SpecError::invalid(other, "must be more than 0 seconds")),
        })?,
    })
}
