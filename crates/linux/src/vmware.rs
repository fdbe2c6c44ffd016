//! VMware's backdoor: an I/O port that the hypervisor answers to from any privilege level.
//!
//! Register layout: `backdoor_def.h` of open-vm-tools. Elsewhere than under VMware, touching the port is a fault, so
//! that nothing is done before the processor has named the hypervisor.

/// The registers of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers {
    /// EBX: an argument, or the answer's.
    pub bx: u32,
    /// ECX: the command; its upper half a type or a status.
    pub cx: u32,
    /// EDX: its upper half the channel; the lower is the port.
    pub dx: u32,
    /// ESI: the upper half of a channel's cookie.
    pub si: u32,
    /// EDI: the lower half of a channel's cookie.
    pub di: u32,
}

/// `BDOOR_MAGIC`.
#[cfg(target_arch = "x86_64")]
const MAGIC: u32 = 0x564d_5868;
/// `BDOOR_PORT`.
#[cfg(target_arch = "x86_64")]
const PORT: u32 = 0x5658;

/// The backdoor of this machine. Only [`Backdoor::find`] makes one.
#[derive(Debug)]
pub struct Backdoor(());

impl Backdoor {
    /// The backdoor, if the hypervisor is VMware's.
    #[must_use]
    pub fn find() -> Option<Self> {
        is_vmware().then_some(Self(()))
    }

    /// One call; the magic number and the port are added.
    pub fn call(&mut self, registers: Registers) -> Registers {
        call(registers)
    }
}

/// CPUID leaf 0x40000000 names the hypervisor, where bit 31 of leaf 1's ECX says that there is one.
#[cfg(target_arch = "x86_64")]
fn is_vmware() -> bool {
    use std::arch::x86_64::__cpuid;
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has CPUID; leaf 1 always exists, and the other one behind its bit.
    let (features, leaf) = unsafe { (__cpuid(1), __cpuid(0x4000_0000)) };
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    features.ecx & 1 << 31 != 0 && name == b"VMwareVMware"
}

#[cfg(target_arch = "x86_64")]
fn call(registers: Registers) -> Registers {
    let Registers { bx, mut cx, dx, mut si, mut di } = registers;
    let mut bx = u64::from(bx);
    let mut dx = dx & 0xffff_0000 | PORT;
    // SAFETY: a `Backdoor` exists only under VMware, where reading this port with the magic number in EAX is a call
    // to the hypervisor that changes these registers and, with the commands of a message channel, no memory. RBX
    // cannot be named in `asm!`, so it is swapped in and out.
    unsafe {
        std::arch::asm!(
            "xchg {bx:r}, rbx",
            "in eax, dx",
            "xchg {bx:r}, rbx",
            bx = inout(reg) bx,
            inout("eax") MAGIC => _,
            inout("ecx") cx,
            inout("edx") dx,
            inout("esi") si,
            inout("edi") di,
            options(nostack),
        );
    }
    Registers { bx: bx as u32, cx, dx, si, di }
}

#[cfg(not(target_arch = "x86_64"))]
fn is_vmware() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn call(registers: Registers) -> Registers {
    registers
}
