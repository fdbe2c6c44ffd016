//! Rules of files, directories, links and of paths in general.

use crate::rule_pages;

rule_pages! {
    /// The path is missing.
    NO_PATH = "path-missing", "path not specified";
    why "Every file, directory, link and device is named by its path.";
    allowed "an absolute path";
    wrong top r#""storage": {"files": [{"contents": {"source": "data:,hi"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/etc/motd", "contents": {"source": "data:,hi"}}]}"#;

    /// The path does not start with a slash.
    PATH_RELATIVE = "path-relative", "path not absolute";
    why "There is no current folder while a machine is provisioned: paths start at the root.";
    allowed "an absolute path";
    wrong top r#""storage": {"files": [{"path": "etc/motd"}]}"#;
    mended top r#""storage": {"files": [{"path": "/etc/motd"}]}"#;

    /// The path has `.`, `..`, doubled or trailing slashes.
    PATH_DIRTY = "path-dirty", "path is not fully simplified";
    why "Entries are compared and merged by their paths as written, so each path has one spelling.";
    allowed "an absolute path without `.`, `..`, `//` and without `/` at its end";
    wrong top r#""storage": {"directories": [{"path": "/var/data/"}]}"#;
    mended top r#""storage": {"directories": [{"path": "/var/data"}]}"#;

    /// An owner is named by id and by name.
    ID_AND_NAME = "id-and-name", "cannot set both id and name";
    why "The two could disagree. Give the name where the account has one, else the id.";
    wrong top r#""storage": {"files": [{"path": "/a", "user": {"id": 1000, "name": "core"}}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "user": {"name": "core"}}]}"#;

    /// The mode is beyond 07777 octal.
    MODE = "mode-range", "illegal file mode";
    why "Modes are decimal numbers in JSON: 0644 is written 420, 0755 is 493, 0600 is 384. A number above 4095 is often the octal one with a digit too many.";
    allowed "0 to 4095 (07777)";
    wrong top r#""storage": {"files": [{"path": "/a", "mode": 7777}]}"#;
    mended top r#""storage": {"files": [{"path": "/a", "mode": 420}]}"#;

    /// The mode has setuid, setgid or sticky bits, which specs before 3.6.0 ignore.
    MODE_SPECIAL = "mode-special-bits",
        "setuid/setgid/sticky bits are not supported or functional in spec versions older than 3.6.0";
    why "The bits are dropped. Raise the version to 3.6.0 if you mean them. A mode such as 1000 may also be a misread octal number: JSON has decimal ones.";
    wrong "3.5.0" r#""storage": {"directories": [{"path": "/srv/drop", "mode": 1023}]}"#;
    mended "3.6.0" r#""storage": {"directories": [{"path": "/srv/drop", "mode": 1023}]}"#;

    /// A file is to be overwritten, but nothing says with what.
    OVERWRITE = "overwrite-without-source", "overwrite must be false if source is unspecified";
    why "Without a source an existing file is kept. To empty it, use the source `data:,`.";
    wrong top r#""storage": {"files": [{"path": "/etc/motd", "overwrite": true}]}"#;
    mended top r#""storage": {"files": [{"path": "/etc/motd", "overwrite": true, "contents": {"source": "data:,"}}]}"#;

    /// The path of a directory leads through a link of this config.
    DIRECTORY_USES_LINK = "directory-through-link", "directory path includes link in config";
    why "Links are made after directories and files, so the path would be another one by then. Name the place that the link points to.";
    wrong top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}], "directories": [{"path": "/srv/www"}]}"#;
    mended top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}], "directories": [{"path": "/var/srv/www"}]}"#;

    /// The path of a file leads through a link of this config.
    FILE_USES_LINK = "file-through-link", "file path includes link in config";
    why "Links are made after directories and files, so the path would be another one by then. Name the place that the link points to.";
    wrong top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}], "files": [{"path": "/srv/index.html"}]}"#;
    mended top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}], "files": [{"path": "/var/srv/index.html"}]}"#;

    /// The path of a link leads through another link of this config.
    LINK_USES_LINK = "link-through-link", "link path includes link in config";
    why "Which of the two is made first would decide where the second one lies. Name the place that the link points to.";
    wrong top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}, {"path": "/srv/a", "target": "b"}]}"#;
    mended top r#""storage": {"links": [{"path": "/srv", "target": "/var/srv"}, {"path": "/var/srv/a", "target": "b"}]}"#;

    /// A link has no target.
    LINK_TARGET = "link-target-missing", "link target is required";
    why "Say where the link points.";
    wrong top r#""storage": {"links": [{"path": "/etc/localtime"}]}"#;
    mended top r#""storage": {"links": [{"path": "/etc/localtime", "target": "../usr/share/zoneinfo/UTC"}]}"#;

    /// A hard link points to a directory of this config.
    HARD_LINK_DIRECTORY = "hard-link-to-directory", "hard link target is a directory";
    why "Linux has no hard links to directories. Make it a symbolic link.";
    wrong top r#""storage": {"directories": [{"path": "/d"}], "links": [{"path": "/l", "target": "/d", "hard": true}]}"#;
    mended top r#""storage": {"directories": [{"path": "/d"}], "links": [{"path": "/l", "target": "/d"}]}"#;

    /// A hard link has an owner.
    HARD_LINK_OWNER = "hard-link-owner", "user/group ignored for hard link";
    why "A hard link is the file itself: it has the owner of its target. Set the owner there.";
    wrong top r#""storage": {"links": [{"path": "/l", "target": "/f", "hard": true, "user": {"id": 1000}}]}"#;
    mended top r#""storage": {"links": [{"path": "/l", "target": "/f", "hard": true}]}"#;

    /// A filesystem lies on a whole disk that gets partitions.
    PARTITIONS_OVERWRITTEN = "partitions-overwritten", "filesystem overwrites partitioned device";
    why "The filesystem is made after the partitions and destroys their table. Name a partition as its device.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1}]}], "filesystems": [{"device": "/dev/vdb", "format": "xfs"}]}"#;
    mended top r#""storage": {"disks": [{"device": "/dev/vdb", "partitions": [{"number": 1}]}], "filesystems": [{"device": "/dev/vdb1", "format": "xfs"}]}"#;

    /// A filesystem lies on a disk whose table is wiped.
    IMPLICIT_WIPE = "implicit-wipe", "device matches disk with wipeTable enabled; filesystem will be wiped";
    why "Wiping the table destroys the start of the filesystem, so it is never reused. Say `wipeFilesystem` if that is meant, else leave the disk out.";
    wrong top r#""storage": {"disks": [{"device": "/dev/vdb", "wipeTable": true}], "filesystems": [{"device": "/dev/vdb", "format": "xfs"}]}"#;
    mended top r#""storage": {"filesystems": [{"device": "/dev/vdb", "format": "xfs"}]}"#;
}
