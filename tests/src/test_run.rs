//! One run of a loaded program on one packet.

use aya::{
    Ebpf,
    programs::{ProgramError, TestRun, TestRunOptions, Xdp},
};

/// Index of the interface that packets come in by: `lo`, which every network namespace has.
pub const INTERFACE: u32 = 1;

/// The driver's room in front of a packet in a test run (kernel `XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;
/// What the kernel keeps of it for itself (`struct xdp_frame`).
const RESERVED: usize = 40;
/// Metadata in front of packets, unless a test wants less room.
const METADATA: usize = 64;
/// As much as kernels such as 6.1 take (kernel `xdp_metalen_invalid`); they refuse to run with more.
const OLD_METADATA: usize = 32;
/// Room for what a program adds.
const GROWTH: usize = 128;

/// What a program returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`.
    Pass,
    /// `XDP_TX`.
    Transmit,
    /// `XDP_REDIRECT`.
    Redirect,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it returned.
    pub action: Action,
    /// The frame as it left it.
    pub frame: Vec<u8>,
}

/// Runs the program of this name on a frame.
///
/// The kernel zeroes what a program's packet grows into, which would hide header bytes that the program forgets to
/// write. Metadata makes these bytes visible: it lies right in front of the packet, and when the packet grows the
/// kernel moves a copy out of the way and leaves the old bytes, here all ones, for the program to overwrite.
pub fn run(object: &mut Ebpf, program: &str, frame: &[u8]) -> Output {
    run_behind(object, program, frame, METADATA)
        .or_else(|_| run_behind(object, program, frame, OLD_METADATA))
        .expect("the kernel runs the program")
}

/// The same, with only `room` bytes for the packet to grow into.
pub fn run_with_room(object: &mut Ebpf, program: &str, frame: &[u8], room: usize) -> Output {
    run_behind(object, program, frame, HEADROOM - RESERVED - room).expect("a kernel that takes so much metadata")
}

fn run_behind(object: &mut Ebpf, program: &str, frame: &[u8], metadata: usize) -> Result<Output, ProgramError> {
    let program: &mut Xdp =
        object.program_mut(program).expect("the object holds the program").try_into().expect("it is an XDP program");
    let input = [&vec![0xff; metadata], frame].concat();
    let mut output = vec![0; input.len() + GROWTH];
    let options = TestRunOptions {
        data_in: Some(&input),
        data_out: Some(&mut output),
        ctx_in: Some(&context(metadata, input.len())),
        ..TestRunOptions::default()
    };
    let result = program.test_run(options)?;
    let action = match result.return_value {
        1 => Action::Drop,
        2 => Action::Pass,
        3 => Action::Transmit,
        4 => Action::Redirect,
        other => panic!("the program returned {other}, which is none of its verdicts"),
    };
    let length = usize::try_from(result.data_size_out).expect("a length fits");
    Ok(Output { action, frame: output[metadata..length].to_vec() })
}

/// `struct xdp_md` (kernel `include/uapi/linux/bpf.h`): `data`, `data_end`, `data_meta`, and three numbers of which the first
/// is the interface. What is in front of `data` is metadata.
fn context(data: usize, data_end: usize) -> [u8; 24] {
    let words = [data as u32, data_end as u32, 0, INTERFACE, 0, 0];
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.try_into().expect("six words")
}
