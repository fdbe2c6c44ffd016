//! `orlop-config plan` as users run it.

use crate::{err, out, run};

const A: &str = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /etc/motd\n      overwrite: true\n      contents:\n        inline: \"one\\ntwo\\n\"\n";

#[test]
fn plan_shows_diffs_places_and_what_is_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let (image, config) = (folder.path().join("image"), folder.path().join("a.bu"));
    std::fs::create_dir_all(image.join("usr/etc")).expect("a folder");
    std::fs::write(image.join("usr/etc/motd"), "zero\n").expect("a file");
    let remote = "    - path: /opt/tool\n      contents: {source: \"https://example.org/tool\", verification: {hash: sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}\n";
    std::fs::write(&config, format!("{A}{remote}")).expect("a file");
    let (image, config) = (image.to_str().expect("UTF-8"), config.to_str().expect("UTF-8"));
    let output = run("orlop-config", &["plan", config, "--image", image], "");
    assert!(output.status.success(), "{}", err(&output));
    let expected = format!(
        "files:
   replace file /etc/motd (0644 0:0)
     from {config}:5:7 ($.storage.files.0)
     --- /etc/motd
     +++ /etc/motd
     @@ -1 +1,2 @@
     -zero
     +one
     +two
   create file /var/opt/tool (0644 0:0) from https://example.org/tool
     from {config}:9:7 ($.storage.files.1)
     fetched at apply from https://example.org/tool, sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
     content is not shown: it is not text, long, or not at hand
2 steps, none loses data
"
    );
    assert!(out(&output).starts_with(&expected), "{}", out(&output));
    let json = run("orlop-config", &["plan", config, "--image", image, "--format", "json"], "");
    let shown: serde_json::Value = serde_json::from_str(&out(&json)).expect("JSON");
    assert_eq!(shown["steps"][0]["do"], "file");
    assert_eq!(shown["steps"][0]["place"]["position"][0], 5);
    assert!(shown["steps"][0]["diff"].as_str().is_some_and(|diff| diff.contains("+one")));
}

#[test]
fn plan_from_an_older_config_is_the_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (a, b) = (write("a.bu", A), write("b.bu", &A.replace("two", "three")));
    let same = run("orlop-config", &["plan", &a, "--from", &a], "");
    assert!(out(&same).contains("nothing to do"), "{}{}", out(&same), err(&same));
    let change = run("orlop-config", &["plan", &b, "--from", &a], "");
    assert!(out(&change).contains("     -two\n     +three\n"), "{}{}", out(&change), err(&change));
    let none = write("none.bu", "variant: fcos\nversion: 1.5.0\n");
    let removed = run("orlop-config", &["plan", &none, "--from", &a], "");
    assert!(out(&removed).contains("remove /etc/motd: it is no longer declared"), "{}", out(&removed));
}

#[test]
fn plan_refuses_what_the_machine_would() {
    let bad = "variant: fcos\nversion: 1.5.0\nstorage:\n  files:\n    - path: /usr/x\n";
    let refused = run("orlop-config", &["plan", "-"], bad);
    assert_eq!(refused.status.code(), Some(5));
    assert!(err(&refused).contains("5 |     - path: /usr/x"), "{}", err(&refused));
    let disks = "variant: fcos\nversion: 1.5.0\nstorage:\n  disks:\n    - device: /dev/vdb\n      partitions: [{label: data, number: 1, size_mib: 100}]\n  filesystems:\n    - {device: /dev/disk/by-partlabel/data, format: ext4, path: /var/data}\n";
    let planned = run("orlop-config", &["plan", "-"], disks);
    let text = out(&planned);
    for line in [
        "     before: no table\n",
        "  at 1 MiB  100 MiB  \"data\"",
        "by mkfs.ext4 -F\n",
        "assumed to be blank",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}{}", err(&planned));
    }
}
