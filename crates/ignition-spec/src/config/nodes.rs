//! Files, directories and links.

use std::borrow::Cow;

use crate::check::nodes;
use crate::config::Resource;
use crate::section;

section! {
    /// The owning group of a node.
    NodeGroup [check nodes::group] {
        /// Group id.
        id: Option<i64> = "id",
        /// Group name.
        name: Option<String> = "name",
    }
}

section! {
    /// The owner of a node.
    NodeUser [check nodes::user] {
        /// User id.
        id: Option<i64> = "id",
        /// User name.
        name: Option<String> = "name",
    }
}

section! {
    /// A directory.
    Directory [key |d| Cow::Borrowed(&d.path)] [check nodes::directory] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// Permission bits; 0755 when not given.
        mode: Option<i64> = "mode",
    }
}

section! {
    /// A file.
    File [key |f| Cow::Borrowed(&f.path)] [check nodes::file] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// What to append, in this order.
        append: Vec<Resource> = "append" list Appended,
        /// The content.
        contents: Resource = "contents",
        /// Permission bits; 0644 when not given and the file is new.
        mode: Option<i64> = "mode",
    }
}

section! {
    /// A link.
    Link [key |l| Cow::Borrowed(&l.path)] [check nodes::link] {
        /// Owning group.
        group: NodeGroup = "group",
        /// Removes what else is at the path.
        overwrite: Option<bool> = "overwrite",
        /// Absolute path.
        path: String = "path",
        /// Owner.
        user: NodeUser = "user",
        /// A hard link.
        hard: Option<bool> = "hard",
        /// Where it points.
        target: Option<String> = "target",
    }
}
