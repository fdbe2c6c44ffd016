//! One description of each section, from which everything generic follows: reading, unknown keys, writing, the walks
//! of validation, merging, and the tables that reference pages and schemas are made of.
//!
//! A **section** is an object of the config; a **field** is one of its keys. [`section!`](crate::section) declares a
//! section as a plain struct; each field names its Ignition key, and `since N` says that spec 3.N brought it.

use std::borrow::Cow;
use std::fmt::Debug;

use crate::check::Checker;
use crate::merge::{Foreign, Merger};
use crate::path::Naming;
use crate::read::Reader;
use crate::tree::Node;
use crate::write::Writer;

/// How a list takes part in merging and in the search for duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Entries with equal keys merge; two in one config are an error.
    Keyed,
    /// Like `Keyed`, and the keys are shared with the section's other `Shared` lists.
    Shared,
    /// Parent's entries, then the child's; duplicates are fine.
    Appended,
}

/// The type of a field, for reference pages and schemas.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A string.
    Text,
    /// A 64-bit integer.
    Integer,
    /// A boolean.
    Boolean,
    /// A list of one type.
    List(fn() -> Shape),
    /// An object with keys of the user's choice, all values of one type.
    Map(fn() -> Shape),
    /// Any value; who reads it says what fits.
    Any,
    /// A section.
    Section(&'static str, &'static [Field]),
}

/// A key of a section.
#[derive(Debug)]
pub struct Field {
    /// The key in Ignition JSON.
    pub camel: &'static str,
    /// The key in Butane YAML, and the name of the struct's field.
    pub snake: &'static str,
    /// The spec 3.N that brought it.
    pub since: u8,
    /// What it means.
    pub doc: &'static str,
    /// Its type.
    pub shape: fn() -> Shape,
    /// The values that it may have; empty when that is no list.
    pub choices: &'static [Choice],
}

impl Field {
    /// The key as `naming` spells it.
    pub fn name(&self, naming: Naming) -> &'static str {
        match naming {
            Naming::Camel => self.camel,
            Naming::Snake => self.snake,
        }
    }
}

/// A value that a field may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value; an empty one counts as not given.
    pub text: &'static str,
    /// The spec 3.N that brought it.
    pub since: u8,
}

impl Choice {
    /// The value `text`, which spec 3.`since` brought.
    pub const fn new(text: &'static str, since: u8) -> Self {
        Self { text, since }
    }
}

/// What a field of a config can hold.
pub trait ConfigValue: Sized + Default + Clone + PartialEq + Debug {
    /// Takes the value of `node`; what does not fit is reported to `reader`.
    fn read(&mut self, node: &Node<'_>, reader: &mut Reader<'_>);
    /// Writes the value.
    fn write(&self, out: &mut Writer);
    /// True when the key is left out of the output.
    fn is_absent(&self) -> bool;
    /// True when nothing was set.
    fn is_unset(&self) -> bool {
        *self == Self::default()
    }
    /// Visits the sections below for validation.
    fn walk(&self, _checker: &mut Checker<'_>) {}
    /// `parent` overlaid by `child`.
    fn merge(
        parent: &Self,
        child: &Self,
        listing: Listing,
        foreign: &Foreign<'_>,
        merger: &mut Merger,
    ) -> Self;
    /// What identifies an entry of a list.
    fn key(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    /// True when an entry removes the parent's entry of the same key.
    fn cancels(&self) -> bool {
        false
    }
    /// The keys of a list.
    fn for_each_key<'a>(&'a self, _visit: &mut dyn FnMut(usize, Cow<'a, str>)) {}
    /// The type, for reference pages and schemas.
    fn shape() -> Shape;
}

/// An object of the config.
pub trait Section: ConfigValue {
    /// Its fields, in the order of upstream's types.
    const FIELDS: &'static [Field];
}

/// Declares a section: a public struct and its [`ConfigValue`] and [`Section`].
///
/// `key EXPR` tells lists how entries are identified, `check PATH` names the rule function, `cancels EXPR` says when an
/// entry removes its parent's. A field is `name: Type = "jsonKey" [since N] [list Listing] [of CHOICES],`.
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])*
        $name:ident $([key $key:expr])? $([check $check:path])? $([cancels $cancels:expr])? {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $ty:ty = $camel:literal $(since $since:literal)? $(list $listing:ident)? $(of $choices:path)?,
            )*
        }
    ) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $ty, )*
        }

        impl $crate::schema::Section for $name {
            const FIELDS: &'static [$crate::schema::Field] = &[$(
                $crate::schema::Field {
                    camel: $camel,
                    snake: $crate::schema::key(stringify!($field)),
                    since: 0 $(+ $since)?,
                    doc: concat!($($doc, "\n"),*),
                    shape: <$ty as $crate::schema::ConfigValue>::shape,
                    choices: $crate::choices!($($choices)?),
                },
            )*];
        }

        impl $crate::schema::ConfigValue for $name {
            fn read(&mut self, node: &$crate::tree::Node<'_>, reader: &mut $crate::read::Reader<'_>) {
                reader.section::<Self>(node, |index, node, reader| {
                    let mut at = 0;
                    $(
                        if index == at {
                            return $crate::schema::ConfigValue::read(&mut self.$field, node, reader);
                        }
                        at += 1;
                    )*
                    let _ = at;
                });
            }

            fn write(&self, out: &mut $crate::write::Writer) {
                out.open(b'{');
                $(
                    if !$crate::schema::ConfigValue::is_absent(&self.$field) {
                        out.key($camel);
                        $crate::schema::ConfigValue::write(&self.$field, out);
                    }
                )*
                out.close(b'}');
            }

            fn is_absent(&self) -> bool {
                true $(&& $crate::schema::ConfigValue::is_absent(&self.$field))*
            }

            #[allow(unused_variables)]
            fn walk(&self, checker: &mut $crate::check::Checker<'_>) {
                if checker.checks_rules() {
                    $(
                        if checker.owns(module_path!()) {
                            $check(self, checker);
                        }
                    )?
                } else {
                    let mut lists = $crate::check::Lists::default();
                    $( lists.take($camel, $crate::schema::key(stringify!($field)), &self.$field, $crate::listing!($($listing)?), checker); )*
                }
                $(
                    checker.path.push_field($camel, $crate::schema::key(stringify!($field)));
                    $crate::schema::ConfigValue::walk(&self.$field, checker);
                    checker.path.pop();
                )*
            }

            #[allow(unused_variables)]
            fn merge(
                parent: &Self,
                child: &Self,
                _: $crate::schema::Listing,
                _: &$crate::merge::Foreign<'_>,
                merger: &mut $crate::merge::Merger,
            ) -> Self {
                if let Some(whole) = merger.whole(parent, child) {
                    return whole;
                }
                let mut foreign = $crate::merge::Foreign::default();
                $( foreign.take($crate::schema::key(stringify!($field)), &child.$field, $crate::listing!($($listing)?)); )*
                $(
                    merger.down($camel, $crate::schema::key(stringify!($field)));
                    foreign.set_own($crate::schema::key(stringify!($field)));
                    let $field = $crate::schema::ConfigValue::merge(
                        &parent.$field, &child.$field, $crate::listing!($($listing)?), &foreign, merger,
                    );
                    merger.up();
                )*
                Self { $($field),* }
            }

            $(
                fn key(&self) -> ::std::borrow::Cow<'_, str> {
                    let key: for<'a> fn(&'a Self) -> ::std::borrow::Cow<'a, str> = $key;
                    key(self)
                }
            )?

            $(
                fn cancels(&self) -> bool {
                    let cancels: fn(&Self) -> bool = $cancels;
                    cancels(self)
                }
            )?

            fn shape() -> $crate::schema::Shape {
                $crate::schema::Shape::Section(stringify!($name), <Self as $crate::schema::Section>::FIELDS)
            }
        }
    };
}

/// The key that a struct's field is named for: a raw identifier without its `r#`.
#[doc(hidden)]
pub const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// The [`Choice`]s of a field that names none.
#[doc(hidden)]
#[macro_export]
macro_rules! choices {
    () => {
        &[]
    };
    ($choices:path) => {
        &$choices
    };
}

/// The [`Listing`] of a field that names none is `Keyed`.
#[doc(hidden)]
#[macro_export]
macro_rules! listing {
    () => {
        $crate::schema::Listing::Keyed
    };
    ($listing:ident) => {
        $crate::schema::Listing::$listing
    };
}
