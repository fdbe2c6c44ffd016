//! The generator, as systemd runs it: files in, units out.

use std::path::Path;

use pod::generator::{Output, generate, unit};

const WEB: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  restartPolicy: OnFailure\n  terminationGracePeriodSeconds: 5\n  containers: [{name: a, image: b}]\n";

#[test]
fn a_declaration_becomes_an_instance_and_its_drop_in() {
    let outputs = unit(Path::new("/etc/pods.d"), "web", WEB);
    let link = Output::Link {
        path: "multi-user.target.wants/pod@web.service".into(),
        target: "/usr/lib/systemd/system/pod@.service".into(),
    };
    let file = Output::File {
        path: "pod@web.service.d/50-declaration.conf".into(),
        text: "# Made by orlop-pod-generator.\n[Unit]\nSourcePath=/etc/pods.d/web.yaml\n\n[Service]\nRestart=on-failure\nTimeoutStopSec=20\n".into(),
    };
    assert_eq!(outputs, [link, file]);
}

#[test]
fn a_broken_declaration_becomes_a_unit_that_fails_once() {
    let outputs = unit(Path::new("/etc/pods.d"), "we b", "kind: [");
    let Output::Link { path, .. } = &outputs[0] else { panic!("{outputs:?}") };
    assert_eq!(path, Path::new("multi-user.target.wants/pod@we\\x20b.service"));
    let Output::File { text, .. } = &outputs[1] else { panic!("{outputs:?}") };
    assert!(text.ends_with("[Service]\nRestart=no\n"), "{text}");
}

#[test]
fn a_directory_of_declarations_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (declared, units) = (dir.path().join("pods.d"), dir.path().join("units"));
    assert!(generate(&declared, &units).unwrap().is_empty(), "no directory is no mistake");
    std::fs::create_dir(&declared).unwrap();
    for (name, text) in
        [("web.yaml", WEB), ("db.yaml", "nonsense"), ("notes.txt", ""), (".web.yaml.swp", ""), ("x.yml", WEB)]
    {
        std::fs::write(declared.join(name), text).unwrap();
    }
    assert_eq!(generate(&declared, &units).unwrap().len(), 3);
    let wants: Vec<_> = std::fs::read_dir(units.join("multi-user.target.wants")).unwrap().collect();
    assert_eq!(wants.len(), 2);
    assert!(units.join("pod@db.service.d/50-declaration.conf").is_file());
}
