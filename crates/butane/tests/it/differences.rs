//! Where this crate differs from upstream on purpose: each class with its argument, and on how many rows.

use crate::verdicts::{Judged, Kind};

/// A table of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Small,
    Products,
}

/// A class of differences.
struct Class {
    name: &'static str,
    covers: fn(&Judged, Kind) -> bool,
    /// On how many rows of each table.
    rows: (usize, usize),
}

/// Classes of whole rows.
const ROWS: &[Class] = &[
    // Butane 0.29 was built with an Ignition that does not know virtiofs; Ignition 2.26 takes it from 3.7.0-experimental
    // on, and so do we.
    Class {
        name: "virtiofs",
        covers: |row, _| {
            row.input.contains("virtiofs") && row.theirs.iter().any(|line| line.contains("filesystems"))
        },
        rows: (15, 54),
    },
    // 3.0's references to configs write a missing source as null; an empty object says the same.
    Class {
        name: "null source",
        covers: |row, kind| {
            kind == Kind::Output
                && row
                    .their_output
                    .as_ref()
                    .is_some_and(|output| output.to_string().contains("\"source\":null"))
        },
        rows: (3, 0),
    },
    // Butane is YAML 1.2, and a directive may say so; upstream's reader knows 1.1 alone.
    Class { name: "YAML directive", covers: |row, _| row.input.starts_with("%YAML 1.2"), rows: (2, 1) },
    // YAML 1.2 has the escape `\/` (1.1 has not), a tab as the first character of a block's text, and no line ends but
    // CR and LF.
    Class {
        name: "YAML 1.2 text",
        covers: |row, kind| {
            kind == Kind::Verdict
                && row.is_unread()
                && ["\\/", " \ta", "\u{2028}", "\u{85}"].iter().any(|text| row.input.contains(text))
        },
        rows: (4, 0),
    },
    // An anchor that contains its own alias has no value, used or not.
    Class { name: "anchor in itself", covers: |row, _| row.input.contains("&a [*a]"), rows: (0, 2) },
];

/// A class of report lines: takes what it explains out of theirs and ours.
struct Lines {
    name: &'static str,
    explain: fn(&mut Vec<String>, &mut Vec<String>),
}

const LINES: &[Lines] = &[
    // What upstream calls a mismatch of trees is a section with nothing in it, or an alias: nothing is wrong, and what
    // is in it is read.
    Lines {
        name: "context tree",
        explain: |theirs, _| theirs.retain(|line| !line.contains("context tree does not match")),
    },
    // A merge key is used: that is how its members came in.
    Lines { name: "merge key", explain: |theirs, _| theirs.retain(|line| !line.ends_with("unused key <<")) },
    // Findings in an inline config have positions in that config upstream, which nobody can tell from positions in the
    // file; ours are those of `inline`, and the message has the rest.
    Lines {
        name: "inline config",
        explain: |theirs, ours| {
            let of_inline = ours.iter().filter(|line| line.contains("in the inline config: ")).count();
            ours.retain(|line| !line.contains("in the inline config: "));
            let mut left = of_inline;
            theirs.retain(|line| {
                let taken = left > 0 && !line.contains(".inline, line ");
                left -= usize::from(taken);
                !taken
            });
        },
    },
    // Upstream falls back to a path of the output, with the position of whatever is at that path in the source, or of
    // what is around it: the same findings, at places that the file does not have.
    Lines {
        name: "place of the output",
        explain: |theirs, ours| {
            let text =
                |line: &String| line.split_once(": ").map_or(String::new(), |(_, text)| text.to_owned());
            theirs.retain(|line| match ours.iter().position(|other| text(other) == text(line)) {
                Some(at) => {
                    ours.remove(at);
                    false
                }
                None => true,
            });
        },
    },
    // The Ignition that Butane 0.29 was built with refused to place partitions automatically beside removed ones;
    // Ignition 2.26 does not.
    Lines {
        name: "removed beside automatic partitions",
        explain: |theirs, _| {
            theirs.retain(|line| !line.contains("shouldExist is false for a partition and other"));
        },
    },
    // An empty `custom` asks for nothing; later specs agree.
    Lines {
        name: "empty custom clevis",
        explain: |theirs, _| theirs.retain(|line| !line.contains("cannot use custom clevis config")),
    },
];

/// How many rows differ in their lines, by the classes that explain them.
const LINE_ROWS: &[(&str, usize, usize)] = &[
    ("context tree", 9, 44),
    ("context tree, inline config", 0, 1),
    ("context tree, place of the output", 0, 2),
    ("empty custom clevis", 1, 0),
    ("inline config", 29, 84),
    ("merge key", 3, 2),
    ("place of the output", 14, 141),
    ("removed beside automatic partitions", 2, 0),
];

/// What explains a difference.
pub(crate) fn argument(row: &Judged, kind: Kind) -> Option<String> {
    if let Some(class) = ROWS.iter().find(|class| (class.covers)(row, kind)) {
        return Some(class.name.to_owned());
    }
    let (mut theirs, mut ours) = (row.their_extra(), row.our_extra());
    let mut names = Vec::new();
    for class in LINES {
        let before = (theirs.len(), ours.len());
        (class.explain)(&mut theirs, &mut ours);
        if before != (theirs.len(), ours.len()) {
            names.push(class.name);
        }
    }
    let explained = theirs.is_empty() && ours.is_empty() && !names.is_empty();
    (explained && matches!(kind, Kind::Lines | Kind::Verdict)).then(|| names.join(", "))
}

/// The classes of a table with the number of their rows.
pub(crate) fn expected(table: Table) -> impl Iterator<Item = (String, usize)> {
    let rows = ROWS.iter().map(|class| (class.name, class.rows.0, class.rows.1));
    let all = rows.chain(LINE_ROWS.iter().copied());
    let pick = move |(name, small, products): (&str, usize, usize)| match table {
        Table::Small => (name.to_owned(), small),
        Table::Products => (name.to_owned(), products),
    };
    all.map(pick).filter(|(_, rows)| *rows > 0)
}
