//! The few bpf(2) commands that aya has no call for. The only system calls made by hand, with [`crate::mapped`].

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use aya::Pod;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info};

/// Zeroed arguments. The kernel refuses a call whose unused bytes are not zero.
fn zeroed_attr() -> bpf_attr {
    // SAFETY: `bpf_attr` is a C union of integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<u32> {
    // SAFETY: `attr` is a whole `bpf_attr`; callers fill in pointers that outlive the call and lengths that fit them.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>()) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Stores several values of a map in one call, in order.
///
/// Values of a map of maps are file descriptors; the kernel then waits for one RCU grace period per batch instead of
/// one per value (6.18; kernel 6.1 still waits for each).
pub(crate) fn update_batch(map: BorrowedFd<'_>, keys: &[u32], values: &[u32]) -> io::Result<()> {
    debug_assert_eq!(keys.len(), values.len());
    let mut attr = zeroed_attr();
    // SAFETY: `batch` is the member that the batch commands read.
    let batch = unsafe { &mut attr.batch };
    batch.keys = keys.as_ptr() as u64;
    batch.values = values.as_ptr() as u64;
    batch.count = keys.len() as u32;
    batch.map_fd = map.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr).map(drop)
}

/// Reads the first `count` values of an array map, or of a per-CPU array with `per_element` values each.
pub(crate) fn lookup_batch<V: Pod>(map: BorrowedFd<'_>, count: u32, per_element: usize) -> io::Result<Vec<V>> {
    let total = count as usize * per_element;
    let (mut keys, mut values) = (vec![0_u32; count as usize], Vec::<V>::with_capacity(total));
    let mut next = 0_u32;
    let mut attr = zeroed_attr();
    // SAFETY: `batch` is the member that the batch commands read.
    let batch = unsafe { &mut attr.batch };
    batch.out_batch = (&raw mut next) as u64;
    batch.keys = keys.as_mut_ptr() as u64;
    batch.values = values.as_mut_ptr() as u64;
    batch.count = count;
    batch.map_fd = map.as_raw_fd().cast_unsigned();
    match bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) {
        // ENOENT says that the end of the map was reached; the values before it are there.
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => return Err(error),
        Ok(_) | Err(_) => {}
    }
    // SAFETY: `batch` is the member that the kernel wrote the number of values to.
    let filled = unsafe { attr.batch.count } as usize * per_element;
    // SAFETY: the kernel has written `count` elements of `per_element` values, and any bit pattern is a `V`.
    unsafe { values.set_len(filled.min(total)) };
    Ok(values)
}

/// Index of the interface that a pinned link is attached to; `None` if the interface is gone and the link is dead.
pub(crate) fn pinned_link_interface(path: &Path) -> io::Result<Option<u32>> {
    let link = open_pin(path)?;
    // SAFETY: `bpf_link_info` is a C struct of integers, for which zero is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed_attr();
    // SAFETY: `info` is the member that this command reads.
    let query = unsafe { &mut attr.info };
    query.bpf_fd = link.as_raw_fd().cast_unsigned();
    query.info_len = size_of::<bpf_link_info>() as u32;
    query.info = (&raw mut info) as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: the pin is a link of an XDP program, for which the kernel fills in `xdp`.
    let index = unsafe { info.__bindgen_anon_1.xdp }.ifindex;
    Ok((index != 0).then_some(index))
}

/// Detaches a pinned link from its interface, whoever else holds it. A link that is dead already is fine.
pub(crate) fn detach_pinned_link(path: &Path) -> io::Result<()> {
    let link = match open_pin(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        link => link?,
    };
    let mut attr = zeroed_attr();
    // SAFETY: `link_detach` is the member that this command reads.
    let detach = unsafe { &mut attr.link_detach };
    detach.link_fd = link.as_raw_fd().cast_unsigned();
    match bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr) {
        Err(error) if error.raw_os_error() != Some(libc::ENOLINK) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    // SAFETY: the fourth member is the one that BPF_OBJ_GET reads.
    let object = unsafe { &mut attr.__bindgen_anon_4 };
    object.pathname = name.as_ptr() as u64;
    let fd = bpf(bpf_cmd::BPF_OBJ_GET, &mut attr)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd.cast_signed()) })
}
