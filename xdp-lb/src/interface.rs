//! What the kernel says about a network interface and the XDP program on it.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// How an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's generic path, after the packet has become an skb.
    Generic,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Kernel's index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// The XDP program on it.
    pub xdp: Option<Xdp>,
}

/// An attached XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xdp {
    /// How it runs; `None` for hardware offload and several programs at once.
    pub mode: Option<Mode>,
    /// Id, as in `bpftool prog`.
    pub program_id: u32,
}

impl Interface {
    /// Asks for an interface by name; `None` if there is none.
    pub fn by_name(name: &str) -> io::Result<Option<Self>> {
        let mut request = LinkMessage::default();
        request.attributes.push(LinkAttribute::IfName(name.to_owned()));
        query(request)
    }

    /// Asks for an interface by index; `None` if there is none.
    pub fn by_index(index: u32) -> io::Result<Option<Self>> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        query(request)
    }
}

fn query(request: LinkMessage) -> io::Result<Option<Interface>> {
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::GetLink(request));
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = answer.payload {
        return Ok(Some(read(&link)));
    }
    if let NetlinkPayload::Error(error) = answer.payload {
        let error = error.to_io();
        return if error.raw_os_error() == Some(libc::ENODEV) { Ok(None) } else { Err(error) };
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "unexpected answer to a link query"))
}

fn read(link: &LinkMessage) -> Interface {
    let mut interface = Interface { index: link.header.index, name: String::new(), xdp: None };
    for attribute in &link.attributes {
        if let LinkAttribute::IfName(name) = attribute {
            interface.name.clone_from(name);
        } else if let LinkAttribute::Xdp(xdp) = attribute {
            interface.xdp = read_xdp(xdp);
        }
    }
    interface
}

fn read_xdp(attributes: &[LinkXdp]) -> Option<Xdp> {
    let (mut program_id, mut mode) = (None, None);
    for attribute in attributes {
        if let LinkXdp::ProgId(id) = attribute {
            program_id = Some(*id);
        } else if let LinkXdp::Attached(XdpAttached::Driver) = attribute {
            mode = Some(Mode::Native);
        } else if let LinkXdp::Attached(XdpAttached::SocketBuffer) = attribute {
            mode = Some(Mode::Generic);
        }
    }
    Some(Xdp { mode, program_id: program_id? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_by_name_and_by_index() {
        let by_name = Interface::by_name("lo").expect("a link query").expect("loopback");
        assert_eq!(Interface::by_index(by_name.index).expect("a link query"), Some(by_name));
    }

    #[test]
    fn an_interface_that_does_not_exist_is_none() {
        assert_eq!(Interface::by_name("no-such-link").expect("a link query"), None);
    }
}
