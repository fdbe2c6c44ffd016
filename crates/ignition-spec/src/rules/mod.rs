//! Every rule of the format in one place: its code, upstream's text, and the page that explains it.
//!
//! A rule is declared once, with a wrong and a mended example; a test holds that the one breaks exactly this rule and
//! the other none. The pages of `docs/reference/errors`, `orlop-config explain` and SARIF's rule list are made of
//! [`ALL`].

pub mod disks;
pub mod nodes;
pub mod resource;
pub mod systemd;
pub mod text;
pub mod volumes;

use crate::report::Rule;

/// What there is to say about a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Code and text.
    pub rule: Rule,
    /// What is wrong, in a sentence.
    pub what: &'static str,
    /// Why it is a rule, and what to do.
    pub why: &'static str,
    /// What is allowed in the place; empty where that is no list or range.
    pub allowed: &'static str,
    /// A config that breaks this rule and no other; empty where none can be shown.
    pub wrong: &'static str,
    /// The same config, mended.
    pub mended: &'static str,
}

/// The pages of all rules, by area.
pub const ALL: &[&[Page]] =
    &[text::PAGES, resource::PAGES, nodes::PAGES, disks::PAGES, volumes::PAGES, systemd::PAGES];

/// The pages of all rules.
pub fn pages() -> impl Iterator<Item = &'static Page> {
    ALL.iter().copied().flatten()
}

/// The page of the rule `code`.
pub fn page(code: &str) -> Option<&'static Page> {
    pages().find(|page| page.rule.code == code)
}

/// Declares rules and their pages. An example is `top BODY` (keys beside `ignition` in a config of the newest stable
/// spec), `"VERSION" BODY` (the same in another spec), `ignition BODY` (keys within `ignition`), or `whole TEXT`.
#[macro_export]
#[doc(hidden)]
macro_rules! rule_pages {
    ($(
        $(#[doc = $what:literal])*
        $name:ident = $code:literal, $text:literal;
        why $why:literal;
        $(allowed $allowed:literal;)?
        wrong $wrong_kind:tt $wrong:literal;
        mended $mended_kind:tt $mended:literal;
    )*) => {
        $(
            $(#[doc = $what])*
            pub const $name: $crate::report::Rule = $crate::report::Rule { code: $code, text: $text };
        )*
        /// The pages of these rules.
        pub const PAGES: &[$crate::rules::Page] = &[$(
            $crate::rules::Page {
                rule: $name,
                what: concat!($($what),*),
                why: $why,
                allowed: concat!($($allowed)?),
                wrong: $crate::rule_example!($wrong_kind $wrong),
                mended: $crate::rule_example!($mended_kind $mended),
            },
        )*];
    };
}

/// An example of [`rule_pages`].
#[macro_export]
#[doc(hidden)]
macro_rules! rule_example {
    (whole $text:literal) => {
        $text
    };
    (top $body:literal) => {
        concat!("{\n  \"ignition\": {\"version\": \"3.6.0\"},\n  ", $body, "\n}\n")
    };
    (ignition $body:literal) => {
        concat!("{\n  \"ignition\": {\n    \"version\": \"3.6.0\",\n    ", $body, "\n  }\n}\n")
    };
    ($version:literal $body:literal) => {
        concat!("{\n  \"ignition\": {\"version\": \"", $version, "\"},\n  ", $body, "\n}\n")
    };
}
