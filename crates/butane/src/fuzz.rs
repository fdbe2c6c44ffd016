//! Fuzz entries: any bytes must be judged without a panic, and what is accepted must keep to what is promised of it.

use crate::files::TreeEntry;
use crate::variables::{Given, Values};
use crate::{FileError, Files, Options, Output, Source, map, transpile, yaml};

/// Any bytes must be transpiled or refused, and what comes out must be a valid config.
pub fn yaml(bytes: &[u8]) {
    if let Ok(output) = transpile(bytes, &Options::default()) {
        hold(&output);
    }
    if let Ok(Some(tree)) = yaml::decode(bytes).as_deref().map(|text| yaml::document(text).ok().flatten()) {
        let printed = yaml::print(&tree);
        let again = yaml::document(&printed);
        let again = again.unwrap_or_else(|report| panic!("what is printed reads back: {report}\n{printed}"));
        assert_eq!(again.as_ref().map(yaml::print), Some(printed), "printing is settled after once");
    }
}

/// The same for what stands in a config of our own variant, with a variable and with files: each file that is named has
/// the name as its text, but those that end in `.bu` are the config again.
pub fn orlop(bytes: &[u8]) {
    let text = [b"variant: orlop\nversion: 1.0.0\n", bytes].concat();
    let files = Echo(text.clone());
    let mut values = Values::new();
    for name in ["a", "b"] {
        values.insert(name.into(), Given { text: "1".into(), from_file: name == "b" });
    }
    for variables in [None, Some(&values)] {
        let options = Options { files: Some(&files), variables, name: "fuzz.bu", ..Options::default() };
        if let Ok(output) = transpile(&text, &options) {
            hold(&output);
            let source = Source {
                config_sha256: String::new(),
                file: "fuzz.bu".into(),
                text: String::from_utf8_lossy(&text).into_owned(),
                map: output.map,
            };
            let again = map::decode(&map::encode(std::slice::from_ref(&source)));
            assert_eq!(again.ok(), Some(vec![source]), "a source map reads back");
        }
    }
}

fn hold(output: &Output) {
    if let Err(report) = ignition_spec::parse(&output.json) {
        panic!("an output that Ignition refuses: {report}");
    }
    assert!(output.map.position("$.ignition.version").is_some(), "every part has a place");
}

struct Echo(Vec<u8>);

impl Files for Echo {
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        Ok(if path.ends_with(".bu") { self.0.clone() } else { path.as_bytes().to_vec() })
    }

    fn tree(&self, _: &str) -> Result<Vec<(String, TreeEntry)>, FileError> {
        Ok(vec![(String::new(), TreeEntry::Directory), ("a".into(), TreeEntry::File(false))])
    }
}
