//! Kernel arguments: which are to be there from the machine's next start on.
//!
//! The command line of an Orlop machine is part of its unified kernel image and signed with it (it carries the hash of
//! `/usr`), so it cannot be edited. What the boot chain takes beside it is an **add-on**: a small PE file with a
//! `.cmdline` of its own, which systemd-stub appends (systemd-stub(7), "Companion files"). All declared arguments are in
//! one add-on, [`ADDON_PATH`] of the ESP, which is in force for both slots and so outlives updates. An argument of the
//! signed part cannot be taken away, and a kernel that was started without systemd-stub reads no add-on: both are
//! refused by name. A system of another make may bring upstream's `ignition-kargs-helper` instead.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Action, Draft};
use crate::event::Phase;

/// The add-on with the arguments that configs declare, in the ESP.
pub const ADDON_PATH: &str = "/loader/addons/orlop-config.addon.efi";
/// Upstream's program that edits boot entries.
pub const HELPER: &str = "ignition-kargs-helper";

/// How a machine gets its kernel arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Boot {
    /// From whoever started the kernel directly: a hypervisor's `-append`, a boot loader of another make.
    #[default]
    Direct,
    /// From a unified kernel image and add-ons beside it.
    AddOn {
        /// Whether the firmware takes signed files only.
        secure: bool,
    },
    /// From boot entries that [`HELPER`] edits.
    Helper,
}

/// What is known of the machine's kernel arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// The arguments that are in force.
    pub arguments: Vec<String>,
    /// Those of the add-on.
    pub declared: Vec<String>,
    /// Where they come from.
    pub boot: Boot,
}

/// Arguments to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arguments {
    /// What comes.
    pub add: Vec<String>,
    /// What goes.
    pub remove: Vec<String>,
    /// What the add-on holds then; `None` where [`HELPER`] does it.
    pub addon: Option<Vec<String>>,
}

impl fmt::Display for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |sign: &str, words: &[String]| {
            words.iter().map(|word| format!(" {sign}{word}")).collect::<String>()
        };
        write!(f, "kernel arguments{}{}, by a reboot", list("+", &self.add), list("-", &self.remove))
    }
}

/// Words of a command line, as the kernel splits it: double quotes keep blanks together.
pub fn words(line: &str) -> Vec<String> {
    let mut quoted = false;
    let split = line.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(super) fn plan(draft: &mut Draft<'_>) {
    let wanted = &draft.wanted.config.kernel_arguments;
    if wanted.should_exist.is_empty() && wanted.should_not_exist.is_empty() {
        return;
    }
    let kernel = draft.observed.kernel.clone();
    let (add, remove) = change(&kernel, &wanted.should_exist, &wanted.should_not_exist);
    if add.is_empty() && remove.is_empty() {
        return;
    }
    let (place, origin) = match add.is_empty() {
        true => ("$.kernelArguments.shouldNotExist", "kernelArguments.shouldNotExist"),
        false => ("$.kernelArguments.shouldExist", "kernelArguments.shouldExist"),
    };
    let addon = match kernel.boot {
        Boot::Helper => {
            draft.need_program(place, HELPER);
            None
        }
        Boot::Direct => {
            let hint = "give the arguments to whoever starts the kernel (QEMU: -append), or boot by UEFI";
            let message =
                format!("{origin}: this kernel was started directly, and no boot entry can be changed");
            return draft.refuse(place, message, hint);
        }
        Boot::AddOn { secure: true } => {
            let hint =
                "put them into the image (os/orlop.toml, image.command-line), which is signed as a whole";
            let message = format!(
                "{origin}: with Secure Boot only signed arguments count, and this machine has no key"
            );
            return draft.refuse(place, message, hint);
        }
        Boot::AddOn { secure: false } => {
            if let Some(signed) = remove.iter().find(|word| !kernel.declared.contains(word)) {
                let hint = "build an image without it: os/orlop.toml, image.command-line";
                let message =
                    format!("{signed} is part of the image's signed command line and cannot be taken away");
                return draft.refuse("$.kernelArguments.shouldNotExist", message, hint);
            }
            let kept = kernel.declared.iter().filter(|word| !remove.contains(word));
            Some(kept.chain(&add).cloned().collect())
        }
    };
    draft.step(Phase::Kargs, place, Action::KernelArguments { arguments: Arguments { add, remove, addon } });
}

/// What comes and what goes. What the add-on holds already counts as there: a firmware that ignores the add-on must not
/// make the machine start over and over.
fn change(kernel: &Kernel, exist: &[String], not_exist: &[String]) -> (Vec<String>, Vec<String>) {
    let there = |word: &String| kernel.arguments.contains(word) || kernel.declared.contains(word);
    // One entry may be several arguments.
    let split = |list: &[String]| -> Vec<String> { list.iter().flat_map(|entry| words(entry)).collect() };
    let add = split(exist).into_iter().filter(|word| !there(word)).collect();
    let remove = split(not_exist).into_iter().filter(|word| there(word)).collect();
    (add, remove)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        words(text)
    }

    #[test]
    fn what_comes_and_what_goes() {
        let kernel = Kernel { arguments: list("quiet a=1"), declared: list("a=1 late"), boot: Boot::Direct };
        for (exist, not_exist, add, remove) in [
            ("quiet", "", "", ""),
            ("debug a=1 late", "", "debug", ""),
            ("", "quiet x late", "", "quiet late"),
            ("a=2", "a=1", "a=2", "a=1"),
        ] {
            assert_eq!(change(&kernel, &list(exist), &list(not_exist)), (list(add), list(remove)), "{exist}");
        }
        let two = change(&kernel, &["x=\"1 2\" y".into()], &[]);
        assert_eq!(two.0, ["x=\"1 2\"", "y"]);
    }
}
