//! The verbs, one module each: `Args` and `run`.

pub(crate) mod exec;
pub(crate) mod fetch;
pub(crate) mod gc;
pub(crate) mod image;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod prepare;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod run_prepared;
pub(crate) mod status;
pub(crate) mod stop;
