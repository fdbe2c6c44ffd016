//! Real disks: loop devices over sparse files, with the host's or the SDK's mkfs programs.
