//! Config drives as Debian's tools make them.

use std::path::Path;
use std::process::{Command, Stdio};

use provision::drive::{Format, Image, Volume};

use crate::machine::Machine;

fn has(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin"].iter().any(|dir| Path::new(dir).join(program).exists())
}

/// Whether the tools are there; says so if not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn tools(test: &str, programs: &[&str]) -> bool {
    match programs.iter().find(|program| !has(program)) {
        Some(missing) => {
            eprintln!("SKIP {test}: there is no {missing}");
            false
        }
        None => true,
    }
}

fn run(program: &str, args: &[&str]) {
    let path = ["/usr/bin", "/usr/sbin"].map(|dir| Path::new(dir).join(program));
    let path = path.iter().find(|path| path.exists()).unwrap();
    let output = Command::new(path).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn config(name: &str) -> String {
    format!(
        r#"{{"ignition": {{"version": "3.5.0"}}, "storage": {{"files": [{{"path": "/etc/drive",
        "contents": {{"source": "data:,{name}"}}}}]}}}}"#
    )
}

/// An image of `genisoimage` with files in it.
fn iso(label: &str, options: &[&str], files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    for (path, content) in files {
        let path = tree.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let image = dir.path().join("image");
    let (image_name, tree_name) = (image.to_str().unwrap(), tree.to_str().unwrap());
    let mut args = vec!["-quiet", "-V", label, "-o", image_name];
    args.extend(options);
    args.push(tree_name);
    run("genisoimage", &args);
    std::fs::read(image).unwrap()
}

fn volumes(image: &[u8]) -> Vec<Volume> {
    Volume::on(&Image(image), image.len() as u64).unwrap()
}

fn file(volume: &Volume, image: &[u8], path: &str) -> Option<Vec<u8>> {
    volume.read(&Image(image), path).unwrap()
}

/// More than a sector, and no two sectors alike.
fn long_text() -> Vec<u8> {
    (0..9000u32).flat_map(|number| format!("{number}\n").into_bytes()).collect()
}

#[test]
fn discs_of_every_kind_of_names() {
    if !tools("discs_of_every_kind_of_names", &["genisoimage"]) {
        return;
    }
    let long = long_text();
    let name = "a name that is long enough to need a continuation of its system use field, because Rock Ridge \
                keeps it in an area of two hundred and fifty-five bytes at most, and this one is nearly that long \
                all by itself, with a dot.txt";
    let files: &[(&str, &[u8])] =
        &[("user-data", b"#cloud"), ("openstack/latest/user_data", &long), ("empty", b""), (name, b"long")];
    for (options, formats) in [
        (&["-R"][..], &[Format::Iso9660][..]),
        (&["-J", "-joliet-long"], &[Format::Iso9660]),
        (&["-R", "-J", "-joliet-long"], &[Format::Iso9660]),
        (&["-R", "-udf"], &[Format::Iso9660, Format::Udf]),
    ] {
        let image = iso("config-2", options, files);
        let found = volumes(&image);
        assert_eq!(found.iter().map(Volume::format).collect::<Vec<_>>(), formats, "{options:?}");
        for volume in &found {
            assert!(volume.labels().iter().any(|label| label == "config-2"), "{options:?} {volume:?}");
            assert_eq!(file(volume, &image, "/user-data").unwrap(), b"#cloud", "{options:?} {volume:?}");
            assert_eq!(file(volume, &image, "/openstack/latest/user_data").unwrap(), long);
            assert_eq!(file(volume, &image, "//openstack/./latest/user_data").unwrap(), long);
            assert_eq!(file(volume, &image, "/empty").unwrap(), b"");
            for missing in ["/nothing", "/openstack", "/openstack/latest", "/user-data/x", "/", ""] {
                assert_eq!(file(volume, &image, missing), None, "{missing}");
            }
            if volume.format() == Format::Iso9660 && options[0] == "-R" {
                assert_eq!(file(volume, &image, name).unwrap(), b"long");
            }
        }
    }
}

#[test]
fn plain_iso_names_regardless_of_case() {
    if !tools("plain_iso_names_regardless_of_case", &["genisoimage"]) {
        return;
    }
    let image = iso("CIDATA", &["-iso-level", "1"], &[("userdata", b"x"), ("dir/file.txt", b"y")]);
    let volume = &volumes(&image)[0];
    assert_eq!(file(volume, &image, "/userdata").unwrap(), b"x");
    assert_eq!(file(volume, &image, "/dir/file.txt").unwrap(), b"y");
}

fn fat(bits: &str, label: &str, mib: u64, files: &[(&str, &[u8])]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
    let name = image.to_str().unwrap();
    run("mkfs.vfat", &["-F", bits, "-n", label, name]);
    let mut made = std::collections::BTreeSet::new();
    for (path, content) in files {
        for (at, _) in path.match_indices('/') {
            if made.insert(path[..at].to_owned()) {
                run("mmd", &["-i", name, &format!("::{}", &path[..at])]);
            }
        }
        let source = dir.path().join("content");
        std::fs::write(&source, content).unwrap();
        run("mcopy", &["-i", name, source.to_str().unwrap(), &format!("::{path}")]);
    }
    std::fs::read(image).unwrap()
}

#[test]
fn fat_of_every_width() {
    if !tools("fat_of_every_width", &["mkfs.vfat", "mcopy", "mmd"]) {
        return;
    }
    let long = long_text();
    for (bits, mib) in [("12", 4), ("16", 16), ("32", 64)] {
        let files: &[(&str, &[u8])] = &[
            ("user-data", b"x"),
            ("openstack/latest/user_data", &long),
            ("UPPER.TXT", b"y"),
            ("empty", b""),
        ];
        let image = fat(bits, "CIDATA", mib, files);
        let found = volumes(&image);
        assert_eq!(found.len(), 1, "{bits}");
        let volume = &found[0];
        assert_eq!((volume.format(), volume.labels()), (Format::Fat, &["CIDATA".to_owned()][..]));
        assert_eq!(file(volume, &image, "/user-data").unwrap(), b"x");
        assert_eq!(file(volume, &image, "/openstack/latest/user_data").unwrap(), long, "{bits}");
        assert_eq!(file(volume, &image, "/upper.txt").unwrap(), b"y");
        assert_eq!(file(volume, &image, "/empty").unwrap(), b"");
        assert_eq!(file(volume, &image, "/user_data"), None);
        assert_eq!(file(volume, &image, "/openstack"), None);
    }
}

#[test]
fn empty_udf_volumes_have_their_label() {
    if !tools("empty_udf_volumes_have_their_label", &["mkudffs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (block, media, revision) in
        [("512", "hd", "0x0201"), ("2048", "cdrw", "0x0150"), ("4096", "hd", "0x0201")]
    {
        let image = dir.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        let args = ["-b", block, "-m", media, "-r", revision, "-l", "rd_rdfe_ü", image.to_str().unwrap()];
        if media == "cdrw" {
            // Packet-written media have a sparable partition map, which is not read.
            run("mkudffs", &args);
            assert!(volumes(&std::fs::read(&image).unwrap()).is_empty());
            continue;
        }
        run("mkudffs", &args);
        let image = std::fs::read(&image).unwrap();
        let found = volumes(&image);
        assert_eq!(found.len(), 1, "{block}");
        assert_eq!(found[0].labels()[0], "rd_rdfe_ü");
        assert_eq!(file(&found[0], &image, "/CustomData.bin"), None);
    }
}

#[test]
fn what_is_cut_off_is_refused_or_unknown_and_never_a_panic() {
    if !tools("what_is_cut_off_is_refused_or_unknown_and_never_a_panic", &["genisoimage"]) {
        return;
    }
    let image = iso("config-2", &["-R", "-J", "-udf"], &[("user-data", &long_text())]);
    for length in (0..image.len()).step_by(2048 * 7 + 13) {
        let short = &image[..length];
        for volume in volumes(short) {
            let _ = volume.read(&Image(short), "/user-data");
        }
    }
}

fn booted(id: &str, drives: &[(&str, &[u8])]) -> (Machine, String) {
    let mut machine = Machine::new();
    machine.cmdline = format!("ignition.platform.id={id}");
    // A disc drive with nothing in it, and a disk with nothing on it, come first.
    machine.drive("sda", &[0; 1 << 20]);
    machine.write("sys/class/block/sr9/size", b"4096\n");
    for (name, image) in drives {
        machine.drive(name, image);
    }
    let wanted = machine.fetch().unwrap_or_else(|error| panic!("{id}: {error}"));
    if !wanted.user_config_provided {
        return (machine, String::new());
    }
    machine.apply(&wanted).unwrap();
    let text = machine.text("etc/drive");
    (machine, text)
}

#[test]
fn platforms_with_drives() {
    if !tools("platforms_with_drives", &["genisoimage", "mkfs.vfat", "mcopy", "mmd"]) {
        return;
    }
    let given = config("drive");
    let given = given.as_bytes();
    let openstack = iso("config-2", &["-R", "-J"], &[("openstack/latest/user_data", given)]);
    let openstack_fat = fat("16", "CONFIG-2", 16, &[("openstack/latest/user_data", given)]);
    let cidata = iso("cidata", &["-R"], &[("user-data", given), ("meta-data", b"")]);
    let cidata_fat = fat("12", "CIDATA", 2, &[("user-data", given)]);
    let cloudstack = iso("config-2", &["-R"], &[("cloudstack/userdata/user_data.txt", given)]);
    for (id, image) in [
        ("openstack", &openstack),
        ("openstack", &openstack_fat),
        ("brightbox", &openstack),
        ("nutanix", &openstack),
        ("powervs", &openstack),
        ("kubevirt", &openstack),
        ("kubevirt", &cidata),
        ("kubevirt", &cidata_fat),
        ("ibmcloud", &cidata),
        ("proxmoxve", &cidata),
        ("cloudstack", &cloudstack),
    ] {
        assert_eq!(booted(id, &[("sr0", image)]).1, "drive", "{id}");
    }
    // A drive of another name, and one without the file.
    for (id, label, path) in [
        ("ibmcloud", "cidata", "meta-data"),
        ("nutanix", "config-2", "user-data"),
        ("kubevirt", "cidata", "x"),
    ] {
        let image = iso(label, &["-R"], &[(path, b"{}")]);
        assert_eq!(booted(id, &[("sr0", &image)]).1, "", "{id}");
    }
}

#[test]
fn proxmox_passes_over_what_is_for_cloud_init() {
    if !tools("proxmox_passes_over_what_is_for_cloud_init", &["genisoimage"]) {
        return;
    }
    let given = config("vendor");
    let both =
        iso("cidata", &["-R"], &[("user-data", b"#cloud-config\nx: y\n"), ("vendor-data", given.as_bytes())]);
    assert_eq!(booted("proxmoxve", &[("sr0", &both)]).1, "vendor");
    let one = iso("cidata", &["-R"], &[("user-data", b"#cloud-config\nx: y\n"), ("vendor-data", b"")]);
    assert_eq!(booted("proxmoxve", &[("sr0", &one)]).1, "");
}

#[test]
fn a_drive_that_may_be_missing_is_waited_for_and_given_up() {
    for id in ["ibmcloud", "proxmoxve"] {
        let (machine, text) = booted(id, &[]);
        assert_eq!(text, "");
        let line = "fetch: waiting for the drive cidata (0 of 30 s)";
        assert!(machine.events.iter().any(|event| event == line), "{:?}", machine.events);
        let end = "fetch: warning: the drive cidata did not appear; going on without a config";
        assert!(machine.events.iter().any(|event| event == end), "{:?}", machine.events);
    }
}

#[test]
fn azure_by_its_disc() {
    if !tools("azure_by_its_disc", &["genisoimage"]) {
        return;
    }
    let given = config("disc");
    let files: &[(&str, &[u8])] = &[("ovf-env.xml", b"<x/>"), ("CustomData.bin", given.as_bytes())];
    let udf = iso("rd_rdfe_stable", &["-udf"], files);
    let plain = iso("rd_rdfe_stable", &["-R"], files);
    assert_eq!(booted("azurestack", &[("sr0", &udf)]).1, "disc");
    assert_eq!(booted("azurestack", &[("sr0", &plain)]).1, "disc");
    let other = iso("tools", &["-udf"], &[("CustomData.bin", b"no")]);
    let without = iso("rd_rdfe_stable", &["-udf"], &[("ovf-env.xml", b"<x/>")]);
    assert_eq!(booted("azurestack", &[("sr0", &other), ("sr1", &without)]).1, "");

    let server = crate::server::Server::with(|_| crate::server::ok(""));
    let mut machine = Machine::new();
    machine.cmdline = "ignition.platform.id=azure".into();
    machine.endpoints.insert("http://169.254.169.254".into(), server.url.clone());
    machine.drive("sr0", &udf);
    let wanted = machine.fetch().unwrap();
    machine.apply(&wanted).unwrap();
    assert_eq!(machine.text("etc/drive"), "disc");
}

#[test]
fn a_drive_of_the_kernel_command_line() {
    let mut machine = Machine::new();
    machine.write("sys/class/block/.keep", b"");
    machine.cmdline = "ignition.config.device=seed ignition.platform.id=metal".into();
    let half = "the kernel arguments ignition.config.device= and ignition.config.path= need each other";
    assert_eq!(machine.fetch().unwrap_err().line(), half);
    machine.cmdline = "ignition.config.device=seed ignition.config.path=/a/b.bu".into();
    let missing = "no drive with the label \"seed\" appeared within 30 s";
    assert_eq!(machine.fetch().unwrap_err().line(), missing);
    if !tools("a_drive_of_the_kernel_command_line", &["genisoimage"]) {
        return;
    }
    machine.drive("sr0", &iso("seed", &["-R"], &[("x", b"")]));
    let device = machine.dir.path().join("dev/sr0");
    let no_file = format!("the drive \"seed\" ({}) has no file /a/b.bu", device.display());
    assert_eq!(machine.fetch().unwrap_err().line(), no_file);
    let butane =
        b"variant: fcos\nversion: 1.5.0\nstorage: {files: [{path: /etc/drive, contents: {inline: bu}}]}\n";
    machine.drive("sr0", &iso("seed", &["-R"], &[("a/b.bu", butane)]));
    let wanted = machine.fetch().unwrap();
    machine.apply(&wanted).unwrap();
    assert_eq!(machine.text("etc/drive"), "bu");
}

/// Images with bytes changed where the structures are: any answer will do, a panic or an endless walk will not.
#[test]
fn damaged_images_are_answered() {
    if !tools("damaged_images_are_answered", &["genisoimage", "mkfs.vfat", "mcopy", "mmd"]) {
        return;
    }
    let files: &[(&str, &[u8])] = &[("openstack/latest/user_data", b"x"), ("user-data", b"y")];
    let images = [
        iso("config-2", &["-R", "-J", "-udf", "-no-pad"], files),
        iso("config-2", &["-R", "-no-pad"], files),
        fat("12", "CIDATA", 1, files),
        fat("32", "CIDATA", 40, files),
    ];
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for image in &images {
        // What is not zero is structure or content.
        let places: Vec<usize> = (0..image.len()).filter(|at| image[*at] != 0).collect();
        let mut damaged = image.clone();
        for _ in 0..400 {
            let changed: Vec<usize> = (0..1 + random(4))
                .map(|_| (places[random(places.len())] + random(3)).min(image.len() - 1))
                .collect();
            for at in &changed {
                damaged[*at] = [0, 0xff, 0x7f, 0x80, random(256) as u8][random(5)];
            }
            for volume in volumes(&damaged) {
                for path in ["/user-data", "/openstack/latest/user_data"] {
                    let _ = volume.read(&Image(&damaged), path);
                }
            }
            for at in &changed {
                damaged[*at] = image[*at];
            }
        }
    }
}
