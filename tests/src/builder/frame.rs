//! Ethernet frames.

/// `EtherType` of IPv4.
pub const IPV4: u16 = 0x0800;
/// `EtherType` of ARP.
pub const ARP: u16 = 0x0806;
/// `EtherType` of a VLAN tag (IEEE 802.1Q).
pub const VLAN: u16 = 0x8100;
/// `EtherType` of IPv6.
pub const IPV6: u16 = 0x86dd;

/// Length of the header.
pub const HEADER: usize = 14;
/// Shortest frame on a wire, without its check sequence: shorter ones are padded.
pub const SHORTEST: usize = 60;

/// An Ethernet header.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Destination MAC.
    pub destination: [u8; 6],
    /// Source MAC.
    pub source: [u8; 6],
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// `EtherType`; by the packet's IP version unless given.
    pub ether_type: Option<u16>,
    /// Shorter frames are padded to this length, with bytes that nobody should look at.
    pub padded_to: usize,
}

impl Default for Frame {
    fn default() -> Self {
        Self {
            destination: [0x02, 0, 0, 0, 0, 0x01],
            source: [0x02, 0, 0, 0, 0, 0x02],
            vlans: Vec::new(),
            ether_type: None,
            padded_to: 0,
        }
    }
}

impl Frame {
    /// The frame that carries `packet`.
    pub fn around(&self, packet: &[u8]) -> Vec<u8> {
        let by_version = || if packet.first().is_some_and(|byte| byte >> 4 == 6) { IPV6 } else { IPV4 };
        let ether_type = self.ether_type.unwrap_or_else(by_version);
        let mut bytes = Vec::new();
        bytes.extend(self.destination);
        bytes.extend(self.source);
        for id in &self.vlans {
            bytes.extend(VLAN.to_be_bytes());
            bytes.extend(id.to_be_bytes());
        }
        bytes.extend(ether_type.to_be_bytes());
        bytes.extend(packet);
        if bytes.len() < self.padded_to {
            bytes.resize(self.padded_to, 0xa5);
        }
        bytes
    }
}

/// `packet` in an untagged frame without padding.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    Frame::default().around(packet)
}
