//! Rules of units and drop-ins.

use crate::rule_pages;

rule_pages! {
    /// A file, directory or link lies where a unit or drop-in will be written.
    PATH_CONFLICT = "path-conflicts-unit", "path conflicts with systemd unit or dropin";
    why "Units of `systemd.units` are written to /etc/systemd/system. Declare the unit in one of the two places.";
    wrong top r#""storage": {"files": [{"path": "/etc/systemd/system/web.service"}]}, "systemd": {"units": [{"name": "web.service", "contents": "[Service]\nExecStart=/bin/true\n"}]}"#;
    mended top r#""systemd": {"units": [{"name": "web.service", "contents": "[Service]\nExecStart=/bin/true\n"}]}"#;

    /// The name of a unit does not end in a type of units.
    UNIT_EXTENSION = "unit-extension", "invalid systemd unit extension";
    why "systemd knows the type of a unit by the end of its name.";
    allowed ".service, .socket, .device, .mount, .automount, .swap, .target, .path, .timer, .snapshot, .slice, .scope";
    wrong top r#""systemd": {"units": [{"name": "web"}]}"#;
    mended top r#""systemd": {"units": [{"name": "web.service"}]}"#;

    /// The name of a drop-in does not end in `.conf`.
    DROPIN_EXTENSION = "dropin-extension", "invalid systemd drop-in extension";
    why "systemd reads only files that end in .conf.";
    allowed "a name that ends in .conf";
    wrong top r#""systemd": {"units": [{"name": "web.service", "dropins": [{"name": "memory", "contents": "[Service]\nMemoryMax=1G\n"}]}]}"#;
    mended top r#""systemd": {"units": [{"name": "web.service", "dropins": [{"name": "memory.conf", "contents": "[Service]\nMemoryMax=1G\n"}]}]}"#;

    /// The text is no unit file.
    UNIT_CONTENT = "unit-content", "invalid unit content";
    why "A unit file has sections in brackets, each with lines `Name=value`; a line that goes on ends in a backslash.";
    wrong top r#""systemd": {"units": [{"name": "web.service", "contents": "[Service\nExecStart=/bin/true\n"}]}"#;
    mended top r#""systemd": {"units": [{"name": "web.service", "contents": "[Service]\nExecStart=/bin/true\n"}]}"#;

    /// A unit is enabled, but does not say what shall start it.
    NO_INSTALL = "unit-no-install", "unit is enabled, but has no install section so enable does nothing";
    why "Enabling a unit means the links that its [Install] section asks for. Most services want `WantedBy=multi-user.target`.";
    wrong top r#""systemd": {"units": [{"name": "web.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n"}]}"#;
    mended top r#""systemd": {"units": [{"name": "web.service", "enabled": true, "contents": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}]}"#;

    /// An instance is enabled, but its template does not say what shall start it.
    TEMPLATE_NO_INSTALL = "template-no-install", "template unit doesn't have Install section";
    why "Enabling an instance means the links that the template's [Install] section asks for.";
    wrong top r#""systemd": {"units": [{"name": "w@.service", "contents": "[Service]\nExecStart=/bin/true %i\n"}, {"name": "w@1.service", "enabled": true}]}"#;
    mended top r#""systemd": {"units": [{"name": "w@.service", "contents": "[Service]\nExecStart=/bin/true %i\n[Install]\nWantedBy=multi-user.target\n"}, {"name": "w@1.service", "enabled": true}]}"#;
}
