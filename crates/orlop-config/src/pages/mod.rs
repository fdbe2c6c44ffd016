//! The pages that explain codes: Ignition's, from its registry, and Butane's.

mod butane;
mod orlop;

use std::fmt::Write as _;

use ignition_spec::rules;

/// What explains a code.
#[derive(Clone, Debug)]
pub struct Page {
    /// The code.
    pub code: &'static str,
    /// The rule's own text.
    pub text: &'static str,
    /// What is wrong.
    pub what: &'static str,
    /// Why it is a rule, and what to do; empty where the first sentence says it all.
    pub why: &'static str,
    /// What is allowed in the place; empty where that is no list or range.
    pub allowed: &'static str,
    /// `json` or `yaml`: the language of the examples.
    pub language: &'static str,
    /// A config that breaks this rule; empty where none can be shown.
    pub wrong: String,
    /// The same config, mended.
    pub mended: String,
}

/// All pages, Ignition's first.
pub fn all() -> impl Iterator<Item = Page> {
    let ignition = rules::pages().map(|page| Page {
        code: page.rule.code,
        text: page.rule.text,
        what: page.what,
        why: page.why,
        allowed: page.allowed,
        language: "json",
        wrong: page.wrong.to_owned(),
        mended: page.mended.to_owned(),
    });
    ignition.chain(butane::pages())
}

/// The page of `code`.
pub fn find(code: &str) -> Option<Page> {
    all().find(|page| page.code == code)
}

impl Page {
    /// The page as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n`{}`\n\n{}\n", self.code, self.text, self.plain());
        if !self.allowed.is_empty() {
            let _ = write!(out, "\nAllowed: {}.\n", self.allowed);
        }
        for (title, example) in [("Wrong", &self.wrong), ("Mended", &self.mended)] {
            if !example.is_empty() {
                let _ = write!(out, "\n## {title}\n\n```{}\n{}\n```\n", self.language, example.trim_end());
            }
        }
        out
    }

    /// What is wrong and why, without markup.
    pub fn plain(&self) -> String {
        format!("{} {}", self.what.trim(), self.why).trim_end().to_owned()
    }
}
