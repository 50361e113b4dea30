//! The XDP program that passes everything.
//!
//! A veth drops what its XDP program transmits unless the *other* end runs an XDP program too: only then does that end
//! have a ring to receive frames from. So every link whose far end transmits gets this program on its near end. It is
//! two instructions, written here by hand and loaded with bpf(2), so that a bed does not depend on what it tests.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::OnceLock,
};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;

use super::Namespace;

/// `r0 = XDP_PASS; exit`.
const INSTRUCTIONS: [Instruction; 2] = [
    Instruction { code: 0xb7, registers: 0, offset: 0, immediate: 2 },
    Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
];

const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const PROG_TYPE_XDP: u32 = 6;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_TYPE_XDP: u32 = 37;
const XDP_HAS_FRAGS: u32 = 1 << 5;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// `struct bpf_insn`.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero.
#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkAttributes {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// Attaches the program, in the driver, to an interface. It stays until the returned link is closed.
pub(super) fn attach_to(namespace: &Namespace, interface: &str) -> Result<OwnedFd> {
    namespace.on_thread(|| {
        let index = if_nametoindex(interface).with_context(|| format!("find the interface {interface}"))?;
        attach(index).with_context(|| format!("attach the pass program to {interface}"))
    })
}

/// The same, to the interface with this index in the calling thread's network namespace.
fn attach(interface: u32) -> Result<OwnedFd> {
    static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();
    let program = if let Some(program) = PROGRAM.get() {
        program
    } else {
        let loaded = load().context("load the program that passes everything: it needs root")?;
        PROGRAM.get_or_init(|| loaded)
    };
    let attributes = LinkAttributes {
        program: program.as_raw_fd().cast_unsigned(),
        interface,
        attach_type: ATTACH_TYPE_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    bpf(LINK_CREATE, &attributes).context("create a link")
}

fn load() -> io::Result<OwnedFd> {
    let license = c"MIT";
    let attributes = LoadAttributes {
        program_type: PROG_TYPE_XDP,
        instruction_count: INSTRUCTIONS.len() as u32,
        instructions: INSTRUCTIONS.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: XDP_HAS_FRAGS,
    };
    bpf(PROG_LOAD, &attributes)
}

/// A bpf(2) command whose answer is a new file descriptor.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes from `attributes`, and the instructions and the licence that they
    // point to, all of which outlive the call; it writes to none of them.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let fd = libc::c_int::try_from(answer).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
