//! What a driver says about packets that it did not send although the program told it to.
//!
//! Read by `SIOCETHTOOL`, as `ethtool -S` does. There is no common name for such a statistic; those of the drivers that
//! have one are recognised.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// Commands and the set of strings of the kernel's `include/uapi/linux/ethtool.h`.
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSTATS: u32 = 0x1d;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_STATS: u32 = 1;
/// Length of a statistic's name.
const NAME_LEN: usize = 32;
/// Most statistics that a driver is believed to have.
const MOST: usize = 1 << 16;

/// How the names of such statistics end: veth and `virtio_net`, then mlx5.
const ENDINGS: [&str; 8] = [
    "xdp_tx_errors",
    "xdp_xmit_errors",
    "xdp_tx_drops",
    "xdp_xmit_drops",
    "xdp_tx_err",
    "xdp_tx_full",
    "tx_xdp_err",
    "tx_xdp_full",
];

/// Packets that the driver of an interface dropped instead of sending them; `None` if it does not tell.
pub fn tx_failed(interface: &str) -> io::Result<Option<u64>> {
    let socket = socket()?;
    let count = count(&socket, interface)?;
    if count == 0 {
        return Ok(None);
    }
    // A driver that gains statistics between two calls writes all of them, so there is room for more.
    let room = count * 2 + 64;
    let mut names = request(ETHTOOL_GSTRINGS, &[ETH_SS_STATS, count as u32], room * NAME_LEN);
    call(&socket, interface, &mut names)?;
    let mut values = request(ETHTOOL_GSTATS, &[count as u32], room * size_of::<u64>());
    call(&socket, interface, &mut values)?;
    let names = names[12..].chunks_exact(NAME_LEN).map(|name| {
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_LEN);
        String::from_utf8_lossy(&name[..end]).into_owned()
    });
    let values = values[8..].chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")));
    Ok(sum(names.zip(values).take(count)))
}

/// Adds up what was not sent. Some drivers list each queue, some the sum of all queues, some both.
fn sum(statistics: impl Iterator<Item = (String, u64)>) -> Option<u64> {
    let (mut queues, mut total) = (None, None);
    for (name, value) in statistics.filter(|(name, _)| ENDINGS.iter().any(|ending| name.ends_with(ending))) {
        let of_a_queue = name.bytes().any(|byte| byte.is_ascii_digit());
        let sum = if of_a_queue { &mut queues } else { &mut total };
        *sum = Some(sum.unwrap_or(0) + value);
    }
    total.or(queues)
}

/// How many statistics the driver has.
fn count(socket: &OwnedFd, interface: &str) -> io::Result<usize> {
    let mut info = request(ETHTOOL_GSSET_INFO, &[0], 12);
    info[8..16].copy_from_slice(&(1_u64 << ETH_SS_STATS).to_ne_bytes());
    match call(socket, interface, &mut info) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(0),
        called => called?,
    }
    // The kernel clears the bit of a set that the driver does not have.
    let has = info[8..16] != [0; 8];
    let count = u32::from_ne_bytes(info[16..20].try_into().expect("four bytes")) as usize;
    Ok(if has { count.min(MOST) } else { 0 })
}

/// A command's words, and room for what the kernel answers.
fn request(command: u32, words: &[u32], room: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = [&[command], words].concat().into_iter().flat_map(u32::to_ne_bytes).collect();
    bytes.resize(bytes.len() + room, 0);
    bytes
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a system call without pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn call(socket: &OwnedFd, interface: &str, request: &mut [u8]) -> io::Result<()> {
    // SAFETY: `ifreq` is a C struct of integers and pointers, for which zero is a value.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = interface.as_bytes();
    if name.len() >= ifreq.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    // SAFETY: `ifreq` names a request whose length the caller has made fit its command and the driver's statistics.
    let called = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut ifreq) };
    if called < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statistics: &[(&str, u64)]) -> Option<u64> {
        sum(statistics.iter().map(|(name, value)| ((*name).to_owned(), *value)))
    }

    #[test]
    fn queues_are_added_up_unless_the_driver_does_so() {
        let veth =
            [("rx_queue_0_xdp_tx_errors", 1), ("rx_queue_1_xdp_tx_errors", 2), ("tx_queue_0_xdp_xmit_errors", 4)];
        assert_eq!(of(&veth), Some(7));
        let mlx5 = [("tx_xdp_full", 8), ("rx_xdp_tx_err", 16), ("tx0_xdp_full", 8), ("rx_xdp_drop", 99)];
        assert_eq!(of(&mlx5), Some(24));
    }

    #[test]
    fn verdicts_are_no_failures_and_silence_is_no_zero() {
        assert_eq!(of(&[("rx_queue_0_xdp_drops", 5), ("rx_queue_0_xdp_tx", 7)]), None);
        assert_eq!(tx_failed("lo").expect("an answer"), None, "loopback has no statistics");
        tx_failed("no-such-link").expect_err("no interface");
    }
}
