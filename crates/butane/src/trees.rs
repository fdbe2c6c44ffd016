//! Folders of the files folder, copied into the config.

use std::collections::HashMap;

use ignition_spec::Config;
use ignition_spec::check::non_empty;
use ignition_spec::config::{Directory, File, Link, NodeGroup, NodeUser};
use ignition_spec::gopath;
use ignition_spec::report::{Entry, Rule};

use crate::dataurl;
use crate::fields::Tree;
use crate::files::{Files, TreeEntry};
use crate::rules::{FILE_TYPE, NO_FILES, NODE_EXISTS};
use crate::translate::Translator;

/// Adds what `trees` hold to `config`.
pub(crate) fn add(translator: &mut Translator<'_>, config: &mut Config, trees: &[Tree]) {
    let mut nodes = Nodes::of(config);
    for (at, tree) in trees.iter().enumerate() {
        let source = format!("$.storage.trees.{at}");
        let Some(files) = translator.files else {
            return translator.report.push(Entry::error(NO_FILES, source));
        };
        match files.tree(&tree.local) {
            Err(error) => translator.file_error(&source, &error),
            Ok(entries) => {
                let mut copy = Copy { translator, config, nodes: &mut nodes, tree, source, files };
                entries.into_iter().for_each(|(path, entry)| copy.entry(&path, entry));
            }
        }
    }
}

/// Where the nodes of a config are, by path.
pub(crate) struct Nodes {
    pub(crate) files: HashMap<String, usize>,
    pub(crate) directories: HashMap<String, usize>,
    pub(crate) links: HashMap<String, usize>,
}

impl Nodes {
    pub(crate) fn of(config: &Config) -> Self {
        let storage = &config.storage;
        let index = |paths: Vec<&String>| {
            paths.into_iter().enumerate().map(|(at, path)| (path.clone(), at)).collect()
        };
        Self {
            files: index(storage.files.iter().map(|file| &file.path).collect()),
            directories: index(storage.directories.iter().map(|directory| &directory.path).collect()),
            links: index(storage.links.iter().map(|link| &link.path).collect()),
        }
    }

    /// Whether anything is at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        [&self.files, &self.directories, &self.links].iter().any(|nodes| nodes.contains_key(path))
    }
}

/// The copying of one tree.
struct Copy<'c, 't> {
    translator: &'c mut Translator<'t>,
    config: &'c mut Config,
    nodes: &'c mut Nodes,
    tree: &'c Tree,
    source: String,
    files: &'c dyn Files,
}

impl Copy<'_, '_> {
    fn entry(&mut self, path: &str, entry: TreeEntry) {
        let base = non_empty(&self.tree.path).unwrap_or("/");
        let target = gopath::join(base, path);
        let done = match entry {
            TreeEntry::Directory => self.directory(target),
            TreeEntry::File(executable) => self.file(target, path, executable),
            TreeEntry::Link(to) => self.link(target, to),
            TreeEntry::Other => Err(FILE_TYPE),
        };
        if let Err(rule) = done {
            self.translator.report.push(Entry::error(rule, &self.source));
        }
    }

    fn owner(&self) -> (NodeUser, NodeGroup) {
        (self.tree.user.clone(), self.tree.group.clone())
    }

    /// A folder is mentioned only when the tree says something about it.
    fn directory(&mut self, path: String) -> Result<(), Rule> {
        let (user, group) = self.owner();
        if self.tree.dir_mode.is_none() && user == NodeUser::default() && group == NodeGroup::default() {
            return Ok(());
        }
        if self.nodes.has(&path) {
            return Err(NODE_EXISTS);
        }
        let directories = &mut self.config.storage.directories;
        self.translator.origins.added("$.storage.directories", directories.len(), &self.source);
        self.nodes.directories.insert(path.clone(), directories.len());
        let mode = Some(self.tree.dir_mode.unwrap_or(0o755));
        directories.push(Directory { path, mode, user, group, overwrite: None });
        Ok(())
    }

    fn file(&mut self, path: String, local: &str, executable: bool) -> Result<(), Rule> {
        let (user, group) = self.owner();
        let files = &mut self.config.storage.files;
        let index = match self.nodes.files.get(&path) {
            Some(&index) if non_empty(&files[index].contents.source).is_some() => return Err(NODE_EXISTS),
            Some(&index) => index,
            None if self.nodes.has(&path) => return Err(NODE_EXISTS),
            None => {
                self.translator.origins.added("$.storage.files", files.len(), &self.source);
                self.nodes.files.insert(path.clone(), files.len());
                files.push(File { path, user, group, ..File::default() });
                files.len() - 1
            }
        };
        let contents = match self.files.read(&gopath::join(&self.tree.local, local)) {
            Ok(contents) => contents,
            Err(error) => {
                self.translator.file_error(&self.source, &error);
                return Ok(());
            }
        };
        let file = &mut files[index];
        let resource = &mut file.contents;
        let (url, compression) =
            dataurl::encode(&contents, resource.compression.as_deref(), self.translator.compress);
        resource.source = Some(url);
        if let Some(compression) = compression {
            resource.compression = Some(compression.into());
        }
        self.translator.origins.whole(format!("$.storage.files.{index}.contents"), &self.source);
        if file.mode.is_none() {
            file.mode = Some(self.tree.file_mode.unwrap_or(if executable { 0o755 } else { 0o644 }));
            self.translator.origins.whole(format!("$.storage.files.{index}.mode"), &self.source);
        }
        Ok(())
    }

    fn link(&mut self, path: String, to: String) -> Result<(), Rule> {
        let (user, group) = self.owner();
        let links = &mut self.config.storage.links;
        let index = match self.nodes.links.get(&path) {
            Some(&index) if non_empty(&links[index].target).is_some() => return Err(NODE_EXISTS),
            Some(&index) => index,
            None if self.nodes.has(&path) => return Err(NODE_EXISTS),
            None => {
                self.translator.origins.added("$.storage.links", links.len(), &self.source);
                self.nodes.links.insert(path.clone(), links.len());
                links.push(Link { path, user, group, ..Link::default() });
                links.len() - 1
            }
        };
        links[index].target = Some(to);
        self.translator.origins.whole(format!("$.storage.links.{index}.target"), &self.source);
        Ok(())
    }
}
