//! The slot bits of a partition's attributes, as ChromeOS's `gptprio` has them: priority in bits 48-51, tries left in
//! bits 52-55, successful in bit 56. (The bits of the Discoverable Partitions Specification, 59 grow, 60 read-only and
//! 63 no-auto, are others.)

use super::Partition;

const PRIORITY_SHIFT: u32 = 48;
const TRIES_SHIFT: u32 = 52;
const SUCCESSFUL: u64 = 1 << 56;

/// DPS: the partition is mounted read-only.
pub const READ_ONLY: u64 = 1 << 60;
/// DPS: the file system is grown to its partition.
pub const GROW: u64 = 1 << 59;

/// The boot state of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Higher is tried first; 0 is never booted. At most 15.
    pub priority: u8,
    /// Boots left before the slot counts as bad, unless one was successful. At most 15.
    pub tries: u8,
    /// A boot of it was found good.
    pub successful: bool,
}

impl Slot {
    /// Whether a boot loader may choose it.
    #[must_use]
    pub fn bootable(self) -> bool {
        self.priority > 0 && (self.successful || self.tries > 0)
    }
}

impl Partition {
    /// The slot bits.
    #[must_use]
    pub fn slot(&self) -> Slot {
        let nibble = |shift: u32| ((self.attributes >> shift) & 0xf) as u8;
        Slot {
            priority: nibble(PRIORITY_SHIFT),
            tries: nibble(TRIES_SHIFT),
            successful: self.attributes & SUCCESSFUL != 0,
        }
    }

    /// Sets the slot bits; numbers above 15 are written as 15. The other attributes stay.
    pub fn set_slot(&mut self, slot: Slot) {
        self.attributes &= !(0xf << PRIORITY_SHIFT | 0xf << TRIES_SHIFT | SUCCESSFUL);
        self.attributes |= u64::from(slot.priority.min(15)) << PRIORITY_SHIFT;
        self.attributes |= u64::from(slot.tries.min(15)) << TRIES_SHIFT;
        self.attributes |= if slot.successful { SUCCESSFUL } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guid::Guid;

    #[test]
    fn bits_are_where_cgpt_has_them_and_leave_the_others_alone() {
        let mut partition = Partition {
            number: 1,
            kind: Guid::USR,
            id: Guid::ZERO,
            first: 34,
            last: 40,
            attributes: READ_ONLY,
            name: String::new(),
        };
        let slot = Slot { priority: 2, tries: 3, successful: true };
        partition.set_slot(slot);
        assert_eq!(partition.attributes, READ_ONLY | 0x0132 << 48);
        assert_eq!(partition.slot(), slot);
        partition.set_slot(Slot::default());
        assert_eq!(partition.attributes, READ_ONLY);
    }

    #[test]
    fn a_slot_boots_while_it_has_priority_and_is_good_or_has_tries() {
        for (priority, tries, successful, expected) in
            [(0, 3, true, false), (1, 0, false, false), (1, 1, false, true), (1, 0, true, true)]
        {
            assert_eq!(Slot { priority, tries, successful }.bootable(), expected);
        }
    }
}
