//! Third-party programs of the toolbox (QEMU, mke2fs, mtools …) run from one unpacked Debian tree.
