//! Properties over generated pairs of configs.

use proptest::prelude::*;
use provision::FinalConfig;
use provision::day2::Permission;
use provision::plan::expect;

use super::Small;

/// Paths that collide in every way: files over directories, below each other, over OS defaults, through links.
const PATHS: [&str; 10] = [
    "/etc/os",
    "/etc/os.d/part",
    "/etc/a",
    "/etc/a/b",
    "/etc/a/b/c",
    "/srv/x",
    "/srv/x/y",
    "/home/h",
    "/opt/own",
    "/var/lib/z",
];
const UNITS: [&str; 4] = ["web.service", "os.service", "many@two.service", "other.service"];

fn chosen<T: Clone + std::fmt::Debug + 'static>(list: &[T]) -> impl Strategy<Value = T> + Clone + use<T> {
    prop::sample::select(list.to_vec())
}

/// An entry of `files`, `directories` or `links`, without its path.
fn node() -> impl Strategy<Value = (&'static str, String)> {
    let text = chosen(&["data:,one", "data:,two", "data:;base64,AAEC/w==", "data:,default%0A"]);
    let mode = prop::option::of(chosen(&[384_u32, 420, 493]));
    let mode = mode.prop_map(|mode| mode.map(|mode| format!(r#", "mode": {mode}"#)).unwrap_or_default());
    let owner = prop_oneof![
        4 => Just(String::new()),
        1 => Just(r#", "user": {"id": 3}"#.to_owned()),
        1 => Just(r#", "user": {"name": "me"}, "group": {"name": "me"}"#.to_owned()),
    ];
    prop_oneof![
        6 => (text.clone(), mode.clone(), owner.clone()).prop_map(|(text, mode, owner)| {
            ("files", format!(r#""overwrite": true, "contents": {{"source": "{text}"}}{mode}{owner}"#))
        }),
        2 => (text, mode.clone()).prop_map(|(text, mode)| ("files", format!(r#""append": [{{"source": "{text}"}}]{mode}"#))),
        1 => mode.clone().prop_map(|mode| ("files", mode.trim_start_matches(", ").to_owned())),
        3 => (mode, owner.clone()).prop_map(|(mode, owner)| ("directories", format!("{mode}{owner}").trim_start_matches(", ").to_owned())),
        2 => (chosen(&["os", "/etc/os", "../nowhere"]), owner).prop_map(|(to, owner)| {
            ("links", format!(r#""overwrite": true, "target": "{to}"{owner}"#))
        }),
        1 => chosen(&["/etc/os", "/opt/own", "/var/lib/z"]).prop_map(|to| {
            ("links", format!(r#""overwrite": true, "hard": true, "target": "{to}""#))
        }),
    ]
}

fn unit() -> impl Strategy<Value = String> {
    let contents = prop::option::of(chosen(&[
        "",
        "[Service]\\n",
        "[Service]\\n[Install]\\nWantedBy=multi-user.target\\n",
    ]));
    let enabled = prop::option::of(any::<bool>());
    let mask = prop_oneof![5 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let dropin = prop::option::of(chosen(&["[Service]\\nNice=1\\n", "[Service]\\nNice=2\\n"]));
    (contents, enabled, mask, dropin).prop_map(|(contents, enabled, mask, dropin)| {
        let mut text = String::new();
        if let Some(contents) = contents {
            text += &format!(r#", "contents": "{contents}""#);
        }
        if let Some(enabled) = enabled {
            text += &format!(r#", "enabled": {enabled}"#);
        }
        if let Some(mask) = mask {
            text += &format!(r#", "mask": {mask}"#);
        }
        if let Some(dropin) = dropin {
            text += &format!(r#", "dropins": [{{"name": "a.conf", "contents": "{dropin}"}}]"#);
        }
        text
    })
}

/// The text of a config; not all of them are valid.
pub(super) fn text() -> impl Strategy<Value = String> {
    let nodes = prop::collection::btree_map(chosen(&PATHS), node(), 0..6);
    let units = prop::collection::btree_map(chosen(&UNITS), unit(), 0..4);
    (nodes, units).prop_map(|(nodes, units)| {
        let list = |kind: &str| {
            let entries = nodes.iter().filter(|(_, (of, _))| *of == kind).map(|(path, (_, rest))| {
                let comma = if rest.is_empty() { "" } else { ", " };
                format!(r#"{{"path": "{path}"{comma}{rest}}}"#)
            });
            format!(r#""{kind}": [{}]"#, entries.collect::<Vec<_>>().join(", "))
        };
        let units: Vec<String> =
            units.iter().map(|(name, rest)| format!(r#"{{"name": "{name}"{rest}}}"#)).collect();
        format!(
            r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{{}, {}, {}}}, "systemd": {{"units": [{}]}}}}"#,
            list("files"),
            list("directories"),
            list("links"),
            units.join(", ")
        )
    })
}

fn valid(text: &str) -> Option<FinalConfig> {
    ignition_spec::parse(text.as_bytes()).ok().map(|parsed| FinalConfig::of(parsed.config))
}

/// A config that is shown as its text.
#[derive(Clone)]
pub(super) struct Taken(pub(super) FinalConfig);

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&json(&self.0))
    }
}

/// A valid config that a fresh machine takes.
pub(super) fn taken() -> impl Strategy<Value = Taken> {
    text().prop_filter_map("refused", |text| {
        let config = valid(&text)?;
        Small::new().plan(&config, Permission::default()).ok()?;
        Some(Taken(config))
    })
}

/// Pairs that are tried: `ORLOP_CASES=1000` for the figure of the issue, fewer where nobody waits for it.
pub(super) fn cases() -> u32 {
    std::env::var("ORLOP_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_global_rejects: 1_000_000, max_local_rejects: 1_000_000, ..ProptestConfig::default() })]

    /// A machine with A on which B is applied is a machine with B; and its tree is the one that the plan foretold.
    #[test]
    fn a_then_b_is_b(a in taken(), b in taken()) {
        let (a, b) = (a.0, b.0);
        let (changed, fresh) = (Small::new(), Small::new());
        changed.first(&a).unwrap();
        fresh.first(&b).unwrap();
        let after_a = changed.tree();
        let (_, now) = changed.observe(&b);
        let change = changed.apply(&b).unwrap_or_else(|error| panic!("{error}\n{}\n{}", json(&a), json(&b)));
        prop_assert_eq!(changed.tree(), fresh.tree(), "\nA {}\nB {}\nA's {:#?}\n{}", json(&a), json(&b), after_a, change.plan.lines());
        let foretold = expect::apply(&change.expectation, &now);
        let foretold: provision::resolve::Nodes = foretold.into_iter().filter(|(path, _)| change.expectation.contains_key(path)).collect();
        let (_, seen) = changed.observe(&b);
        let root = changed.open();
        let mut found = seen.clone();
        provision::observe::more(change.expectation.keys().map(String::as_str), &root, &mut found).unwrap();
        let found: provision::resolve::Nodes = found.nodes.into_iter().filter(|(path, _)| change.expectation.contains_key(path)).collect();
        prop_assert_eq!(expect::digest(&foretold), expect::digest(&found), "\n{:#?}\n{:#?}", foretold, found);
        // And there is nothing left to do.
        let again = changed.plan(&b, Permission::default()).unwrap();
        prop_assert!(again.is_empty(), "A {}\nB {}\n{}", json(&a), json(&b), again.plan.lines());
    }
}

pub(super) fn json(config: &FinalConfig) -> String {
    String::from_utf8(config.config.to_json()).unwrap()
}
