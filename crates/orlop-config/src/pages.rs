//! The pages that explain codes: Ignition's and Butane's.

use ignition_spec::rules;

/// What explains a code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Ignition(&'static rules::Page),
}

/// All pages, Ignition's first.
pub(crate) fn all() -> impl Iterator<Item = Page> {
    rules::pages().map(|page| Page {
        code: page.rule.code,
        text: page.rule.text,
        source: Source::Ignition(page),
    })
}

/// The page of `code`.
pub(crate) fn find(code: &str) -> Option<Page> {
    all().find(|page| page.code == code)
}

impl Page {
    /// The page as Markdown.
    pub(crate) fn markdown(&self) -> String {
        match self.source {
            Source::Ignition(page) => page.markdown("json"),
        }
    }

    /// What is wrong and why, without markup.
    pub(crate) fn plain(&self) -> String {
        match self.source {
            Source::Ignition(page) => format!("{} {}", page.what.trim(), page.why),
        }
    }
}
