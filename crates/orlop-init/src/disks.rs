//! Disks and their partitions as sysfs shows them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use block::gpt;

use crate::slot::Disk;

/// Kernel names that are no disks of a machine.
const NOT_DISKS: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "fd"];

/// Looks at every disk. One that cannot be read is listed with the reason.
pub(crate) fn scan(sys: &Path, dev: &Path) -> Vec<Disk> {
    let Ok(entries) = fs::read_dir(sys.join("block")) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names.into_iter().map(|name| look(sys, dev, name)).collect()
}

fn look(sys: &Path, dev: &Path, name: String) -> Disk {
    let directory = sys.join("block").join(&name);
    // sysfs counts in sectors of 512 bytes, whatever the disk's own are.
    let bytes = number(&directory.join("size")).unwrap_or(0).saturating_mul(512);
    let sector_bytes = number(&directory.join("queue/logical_block_size"))
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| bytes.is_power_of_two() && (512..=65536).contains(bytes))
        .unwrap_or(512);
    let sectors = bytes / u64::from(sector_bytes);
    let table = match File::open(dev.join(&name)) {
        _ if sectors == 0 => Err("no medium".to_owned()),
        Ok(file) => gpt::read(&file, sector_bytes, sectors).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Disk { nodes: nodes(&directory, dev), name, sectors, table }
}

fn nodes(directory: &Path, dev: &Path) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut nodes: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = number(&entry.path().join("partition"))?;
            Some((u32::try_from(number).ok()?, dev.join(entry.file_name())))
        })
        .collect();
    nodes.sort();
    nodes
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use block::gpt::{Guid, Partition, Table};

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_tree_like_sysfs() {
        let temp = tempfile::tempdir().unwrap();
        let (sys, dev) = (temp.path().join("sys"), temp.path().join("dev"));
        for (name, size) in [("vda", "32768\n"), ("loop0", "8\n"), ("sr0", "0\n"), ("vdb", "2048\n")] {
            put(&sys.join("block").join(name).join("size"), size);
            put(&sys.join("block").join(name).join("queue/logical_block_size"), "512\n");
        }
        put(&sys.join("block/vda/vda2/partition"), "2\n");
        put(&sys.join("block/vda/vda10/partition"), "10\n");
        let mut table = Table::new(Guid([1; 16]), 512, 32768).unwrap();
        table.partitions.push(Partition {
            number: 2,
            kind: Guid::ROOT,
            id: Guid([2; 16]),
            first: 2048,
            last: 4095,
            attributes: 0,
            name: "root".into(),
        });
        fs::create_dir_all(&dev).unwrap();
        for name in ["vda", "vdb"] {
            let disk = File::options().read(true).write(true).create_new(true).open(dev.join(name)).unwrap();
            disk.set_len(16 << 20).unwrap();
            if name == "vda" {
                gpt::write(&disk, &table).unwrap();
            }
        }
        let disks = scan(&sys, &dev);
        let names: Vec<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
        assert_eq!(names, ["sr0", "vda", "vdb"]);
        assert_eq!(disks[0].table, Err("no medium".into()));
        assert_eq!(disks[1].table, Ok(table));
        assert_eq!(disks[1].nodes, [(2, dev.join("vda2")), (10, dev.join("vda10"))]);
        assert_eq!(disks[2].table, Err("no GPT partition table".into()));
    }
}
