//! What sections of the top level must keep to: the boot device, the boot loader, OpenShift's settings.

use ignition_spec::check::{self, Checker, is_true, non_empty};
use ignition_spec::config::Tang;

use super::*;
use crate::fields::{BootDevice, BootDeviceLuks, BootDeviceMirror, GrubUser, OpenShift};

/// Layouts, and what goes with which.
pub(crate) fn boot_device(device: &BootDevice, checker: &mut Checker<'_>) {
    let mirror = !device.mirror.devices.is_empty();
    if mirror && device.layout.is_none() {
        match checker.since(6) {
            true => checker.error(&[&"mirror"], MIRROR_LAYOUT),
            false => checker.warning(&[&"mirror"], MIRROR_LAYOUT),
        }
    }
    if let Some(layout) = &device.layout {
        boot_layout(layout, device, checker);
        if layout.starts_with("s390x") && mirror && checker.since(5) {
            checker.error(&[&"layout"], MIRROR_S390X);
        }
    }
    let luks = &device.luks;
    if is_true(luks.cex.enabled) {
        match &device.layout {
            None => checker.error(&[&"luks", &"cex"], CEX_LAYOUT),
            Some(layout) if !layout.starts_with("s390x") => checker.error(&[&"layout"], CEX_LAYOUT),
            Some(_) => {}
        }
        if !luks.tang.is_empty() || is_true(luks.tpm2) {
            checker.error(&[&"luks"], check::volumes::CEX_CLEVIS);
        }
    }
    // Upstream calls this rule here, and its walk calls it again.
    if device.mirror.devices.len() == 1 {
        checker.error(&[&"mirror", &"devices"], MIRROR_ONE);
    }
}

fn boot_layout(layout: &str, device: &BootDevice, checker: &mut Checker<'_>) {
    let disk_stem = match layout {
        "aarch64" | "ppc64le" | "x86_64" => return,
        _ if !checker.since(5) => return checker.error(&[&"layout"], LAYOUT_LEGACY),
        "s390x-virt" => return,
        "s390x-eckd" => "/dev/dasd",
        "s390x-zfcp" => "/dev/sd",
        _ => return checker.error(&[&"layout"], LAYOUT),
    };
    match non_empty(&device.luks.device) {
        None => checker.error(&[&"layout"], LUKS_DEVICE),
        Some(disk) => {
            // The name may stand anywhere before its letter, as upstream's pattern has it.
            let letter = disk.ends_with(|char: char| char.is_ascii_lowercase());
            if !letter || !disk[..disk.len() - 1].ends_with(disk_stem) {
                checker.error(&[&"layout"], LUKS_DEVICE_NAME);
            }
        }
    }
}

/// A LUKS device needs a way to unlock it.
pub(crate) fn boot_device_luks(luks: &BootDeviceLuks, checker: &mut Checker<'_>) {
    if non_empty(&luks.device).is_none() || !checker.since(6) {
        return;
    }
    let tang = luks.tang.iter().any(|tang| *tang != Tang::default());
    if !tang && !is_true(luks.tpm2) && !is_true(luks.cex.enabled) {
        checker.error(&[&"luks"], LUKS_METHOD);
    }
}

/// A mirror has two sides.
pub(crate) fn boot_device_mirror(mirror: &BootDeviceMirror, checker: &mut Checker<'_>) {
    if mirror.devices.len() == 1 {
        checker.error(&[&"devices"], MIRROR_ONE);
    }
}

/// A user of the boot loader has a name and a password.
pub(crate) fn grub_user(user: &GrubUser, checker: &mut Checker<'_>) {
    if user.name.is_empty() {
        checker.error(&[&"name"], GRUB_NAME);
    }
    if non_empty(&user.password_hash).is_none() {
        checker.error(&[&"password_hash"], GRUB_PASSWORD);
    }
}

/// There are two kernels.
pub(crate) fn openshift(openshift: &OpenShift, checker: &mut Checker<'_>) {
    if !matches!(openshift.kernel_type.as_deref(), None | Some("" | "default" | "realtime")) {
        checker.error(&[&"kernel_type"], MC_KERNEL_TYPE);
    }
}
