//! The table as one kind of document sees it: which fields a section has, and how they are spelt.
//!
//! Ignition's own view is here; `butane` has one for each variant. Schemas, editors and explanations look at documents
//! through it.

use std::fmt;

use crate::config::Config;
use crate::path::Naming;
use crate::schema::{ConfigValue, Field, Shape};
use crate::version::Spec;

type Fields = dyn Fn(&str, &'static [Field], bool) -> Vec<&'static Field> + Send + Sync;

/// How a kind of document sees the table.
pub struct View {
    /// The spelling of keys.
    pub naming: Naming,
    /// The spec by whose fields it is read.
    pub spec: Spec,
    fields: Box<Fields>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("naming", &self.naming).field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// What is at a path of a document.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    /// The field that the path ends in, or whose list it ends in; nothing for the root.
    pub field: Option<&'static Field>,
    /// The type of the value there.
    pub shape: Shape,
    /// The path is below the section `ignition`.
    pub in_references: bool,
}

impl View {
    /// Ignition JSON of `spec`.
    pub fn ignition(spec: Spec) -> Self {
        Self::new(Naming::Camel, spec, move |name, own, in_references| {
            let early = spec == Spec::OLDEST && in_references && name == "Resource";
            let known = |field: &&Field| {
                field.since <= spec.minor_number() && !(early && field.camel == "compression")
            };
            own.iter().filter(known).collect()
        })
    }

    /// A view whose sections have the fields that `fields` says: of the section's name, its own fields, and whether it
    /// stands below the section `ignition`.
    pub fn new(
        naming: Naming,
        spec: Spec,
        fields: impl Fn(&str, &'static [Field], bool) -> Vec<&'static Field> + Send + Sync + 'static,
    ) -> Self {
        Self { naming, spec, fields: Box::new(fields) }
    }

    /// The fields of section `name`, whose table is `own`.
    pub fn fields(&self, name: &str, own: &'static [Field], in_references: bool) -> Vec<&'static Field> {
        (self.fields)(name, own, in_references)
    }

    /// The root of a document.
    pub fn root(&self) -> Spot {
        Spot { field: None, shape: Config::shape(), in_references: false }
    }

    /// What is at `path` (`$.storage.files.0.path`), if the view has it.
    pub fn at(&self, path: &str) -> Option<Spot> {
        let mut spot = self.root();
        let steps = path.strip_prefix('$')?.split('.').filter(|step| !step.is_empty());
        for step in steps {
            spot = self.below(spot, step)?;
        }
        Some(spot)
    }

    fn below(&self, spot: Spot, step: &str) -> Option<Spot> {
        match spot.shape {
            Shape::List(item) if step.parse::<usize>().is_ok() => Some(Spot { shape: item(), ..spot }),
            Shape::Map(value) => Some(Spot { shape: value(), ..spot }),
            Shape::Section(name, own) => {
                let fields = self.fields(name, own, spot.in_references);
                let field = *fields.iter().find(|field| field.name(self.naming) == step)?;
                let in_references = spot.in_references || (name == "Config" && field.camel == "ignition");
                Some(Spot { field: Some(field), shape: (field.shape)(), in_references })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_fields() {
        let view = View::ignition(Spec::STABLE);
        let spot = view.at("$.storage.filesystems.0.format").expect("a field");
        assert_eq!(spot.field.map(|field| field.camel), Some("format"));
        assert!(view.at("$.storage.filesystems.0.frmat").is_none());
        assert!(view.at("$.storage.files.x").is_none());
        assert!(View::ignition(Spec::OLDEST).at("$.ignition.proxy").is_none());
        assert!(View::ignition(Spec::OLDEST).at("$.ignition.config.merge.0.compression").is_none());
        assert!(View::ignition(Spec::OLDEST).at("$.storage.files.0.contents.compression").is_some());
    }
}
