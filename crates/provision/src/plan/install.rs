//! The `[Install]` section of unit files, as far as `systemctl enable` reads it (systemd.unit(5)).

/// What a unit's `[Install]` section says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    /// Units that want it.
    pub wanted_by: Vec<String>,
    /// Units that require it.
    pub required_by: Vec<String>,
    /// Units that uphold it.
    pub upheld_by: Vec<String>,
    /// Other names.
    pub alias: Vec<String>,
    /// Units enabled with it.
    pub also: Vec<String>,
    /// Instance of a template that is enabled without one.
    pub default_instance: Option<String>,
}

impl Install {
    /// Reads a unit file's text.
    pub fn parse(text: &str) -> Self {
        let mut install = Self::default();
        let mut inside = false;
        for line in joined(text) {
            let line = line.trim();
            if line.starts_with('[') {
                inside = line == "[Install]";
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let list = match key.trim() {
                "WantedBy" => &mut install.wanted_by,
                "RequiredBy" => &mut install.required_by,
                "UpheldBy" => &mut install.upheld_by,
                "Alias" => &mut install.alias,
                "Also" => &mut install.also,
                "DefaultInstance" => {
                    install.default_instance =
                        Some(value.trim().to_owned()).filter(|value| !value.is_empty());
                    continue;
                }
                _ => continue,
            };
            if value.trim().is_empty() {
                list.clear();
            }
            list.extend(value.split_whitespace().map(str::to_owned));
        }
        install
    }

    /// Whether there is nothing to enable by.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names of the links below `/etc/systemd/system` that enable `unit`.
    pub fn links(&self, unit: &str) -> Vec<String> {
        let unit = match (&self.default_instance, instance_of(unit)) {
            (Some(instance), Some("")) => unit.replacen('@', &format!("@{instance}"), 1),
            _ => unit.to_owned(),
        };
        let below = |targets: &[String], suffix: &str| -> Vec<String> {
            targets.iter().map(|target| format!("{}.{suffix}/{unit}", expand(target, &unit))).collect()
        };
        let mut links = below(&self.wanted_by, "wants");
        links.extend(below(&self.required_by, "requires"));
        links.extend(below(&self.upheld_by, "upholds"));
        links.extend(self.alias.iter().map(|alias| expand(alias, &unit)).filter(|alias| *alias != unit));
        links
    }
}

/// Lines with continuations (`\` at the end) joined and comments dropped.
fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(part);
            }
            None => lines.push(part.to_owned()),
        }
        open = continues;
    }
    lines
}

/// The specifiers that make sense in `[Install]`: `%i %j %n %N %p %%`.
fn expand(text: &str, unit: &str) -> String {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let instance = instance_of(unit).unwrap_or_default();
    let prefix = stem.split('@').next().unwrap_or(stem);
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('i' | 'I') => out.push_str(instance),
            Some('j') => out.push_str(prefix.rsplit('-').next().unwrap_or(prefix)),
            Some('n') => out.push_str(unit),
            Some('N') => out.push_str(stem),
            Some('p' | 'P') => out.push_str(prefix),
            Some('%') | None => out.push('%'),
            Some(other) => out.extend(['%', other]),
        }
    }
    out
}

/// `a` of `foo@a.service`, empty for a template, `None` for others.
pub fn instance_of(unit: &str) -> Option<&str> {
    let (stem, _) = unit.rsplit_once('.')?;
    stem.split_once('@').map(|(_, instance)| instance)
}

/// `foo@.service` of `foo@a.service`.
pub fn template_of(unit: &str) -> Option<String> {
    let (stem, suffix) = unit.rsplit_once('.')?;
    let (prefix, instance) = stem.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_as_systemctl_makes_them() {
        let text = "[Unit]\nWantedBy=no.target\n[Install]\n# c\nWantedBy=a.target \\\n  b.target\nRequiredBy=%p.slice\nAlias=x.service\nAlso=y.socket\n";
        let install = Install::parse(text);
        assert_eq!(
            install.links("web.service"),
            [
                "a.target.wants/web.service",
                "b.target.wants/web.service",
                "web.slice.requires/web.service",
                "x.service"
            ]
        );
        assert_eq!(install.also, ["y.socket"]);
        assert_eq!(Install::parse("[Install]\nWantedBy=a\nWantedBy=\n"), Install::default());
        let template = Install::parse("[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n");
        assert_eq!(template.links("getty@.service"), ["getty.target.wants/getty@tty1.service"]);
        assert_eq!(template.links("getty@tty2.service"), ["getty.target.wants/getty@tty2.service"]);
        assert_eq!(template_of("getty@tty2.service").unwrap(), "getty@.service");
        assert_eq!(template_of("getty@.service"), None);
    }
}
