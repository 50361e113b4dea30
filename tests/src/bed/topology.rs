//! Addresses, links and routes of a bed.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{BACK_INTERFACE, Bed, Host, INTERFACE, Scratch, VIP_V4, VIP_V6, pass_program};

/// MTU of links that carry tunnelled packets: an Ethernet-sized packet and the longest outer header fit. Frames that do
/// not fit are dropped by the driver without a word.
const TUNNEL_MTU: u16 = 1600;
/// MTU of the client's link.
const CLIENT_MTU: u16 = 1500;

/// Networks of VIPs, routed to the load balancer; [`VIP_V4`] and [`VIP_V6`] are in them.
const VIPS_V4: &str = "192.0.2.0/24";
const VIPS_V6: &str = "2001:db8:1::/64";

/// The router's bridge, which makes one Ethernet segment of several links.
const SEGMENT: &str = "segment";
/// One backend out of this many is on a network of its own.
const ROUTED_EVERY: u8 = 3;

/// A network of the bed, a /24 and a /64, by its address; the router is host 1 in each.
#[derive(Clone, Copy)]
struct Network {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Network {
    const CLIENT: Self =
        Self { v4: Ipv4Addr::new(198, 51, 100, 0), v6: Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0) };
    const SEGMENT: Self = Self { v4: Ipv4Addr::new(10, 0, 0, 0), v6: Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0) };

    const BACK: Self = Self { v4: Ipv4Addr::new(10, 0, 200, 0), v6: Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0) };

    /// The network of a backend that is not on the segment.
    const fn of_backend(number: u8) -> Self {
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0xa0 + number as u16, 0, 0, 0, 0, 0);
        Self { v4: Ipv4Addr::new(10, 0, number, 0), v6 }
    }

    const fn host(self, number: u8) -> (Ipv4Addr, Ipv6Addr) {
        // Decimal digits in a hexadecimal place, so that both addresses of a host end alike.
        let low = (number / 10 * 16 + number % 10) as u128;
        let v4 = Ipv4Addr::from_bits(self.v4.to_bits() | number as u32);
        (v4, Ipv6Addr::from_bits(self.v6.to_bits() | low))
    }

    const fn router(self) -> (Ipv4Addr, Ipv6Addr) {
        self.host(1)
    }
}

/// Where a backend is.
const fn place(number: u8) -> (Network, bool) {
    let routed = number.is_multiple_of(ROUTED_EVERY);
    (if routed { Network::of_backend(number) } else { Network::SEGMENT }, routed)
}

pub(super) fn build(backends: u8) -> Result<Bed> {
    let scratch = Scratch::create()?;
    let router = Host::create(&scratch, "router", Network::SEGMENT.router())?;
    let client = Host::create(&scratch, "client", Network::CLIENT.host(2))?;
    let lb = Host::create(&scratch, "lb", Network::SEGMENT.host(10))?;
    let backends = (1..=backends)
        .map(|number| Host::create(&scratch, &format!("web-{number}"), place(number).0.host(10 + number)))
        .collect::<Result<Vec<_>>>()?;

    set(&router, &["ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1"])?;
    for host in [&router, &client, &lb].into_iter().chain(&backends) {
        set(host, &QUIET)?;
    }
    ip(&router, &segment())?;
    connect(&router, &client, Network::CLIENT, CLIENT_MTU, false)?;
    for (number, backend) in (1..).zip(&backends) {
        let (network, is_routed) = place(number);
        set(backend, &HOLDS_VIP)?;
        connect(&router, backend, network, TUNNEL_MTU, !is_routed)?;
        ip(backend, &format!("addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n"))?;
    }
    ip(&router, &format!("route add {VIPS_V4} via {}\nroute add {VIPS_V6} via {}\n", lb.v4, lb.v6))?;

    client.run("ethtool", &["-K", INTERFACE, "tx", "off"])?;
    let pass_program = connect_lb(&router, &lb)?;
    Ok(Bed { client, router, lb, backends, _pass_program: pass_program, _scratch: scratch })
}

/// Addresses are usable at once and nothing is sent that no test asked for.
const QUIET: [&str; 8] = [
    "ipv6/conf/all/accept_dad=0",
    "ipv6/conf/default/accept_dad=0",
    "ipv6/conf/default/router_solicitations=0",
    "ipv6/conf/default/accept_ra=0",
    "ipv4/conf/all/rp_filter=0",
    "ipv4/conf/default/rp_filter=0",
    "ipv4/conf/all/send_redirects=0",
    "ipv4/conf/default/send_redirects=0",
];

/// What a backend needs that has the VIP on `lo`: nobody on its segment may learn that the VIP is there. The strict
/// reverse path filter is no need; it is here because backends have it and must work with it.
const HOLDS_VIP: [&str; 3] =
    ["ipv4/conf/all/arp_ignore=1", "ipv4/conf/all/arp_announce=2", "ipv4/conf/all/rp_filter=1"];

/// Sets `path=value` pairs under `/proc/sys/net`, which shows the settings of the thread's own namespace.
fn set(host: &Host, settings: &[&str]) -> Result<()> {
    host.namespace.on_thread(|| {
        for (path, value) in settings.iter().filter_map(|setting| setting.split_once('=')) {
            fs::write(format!("/proc/sys/net/{path}"), value).with_context(|| format!("set net/{path} to {value}"))?;
        }
        Ok(())
    })
}

fn segment() -> String {
    let (v4, v6) = Network::SEGMENT.router();
    // A bridge without one of its own takes the lowest address of its ports, and another one when a port goes.
    let mac = mac(v4);
    format!(
        "link set lo up
         link add {SEGMENT} address {mac} mtu {TUNNEL_MTU} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
         addr add {v4}/24 dev {SEGMENT}
         addr add {v6}/64 dev {SEGMENT} nodad
         link set {SEGMENT} up
        "
    )
}

/// The MAC of the interface with this address.
fn mac(v4: Ipv4Addr) -> String {
    let [a, b, c, d] = v4.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// A link between the router, whose end is named after the host, and the host, whose default route it becomes.
fn connect(router: &Host, host: &Host, network: Network, mtu: u16, on_segment: bool) -> Result<()> {
    let (port, namespace) = (&host.name, host.namespace.name());
    let (router_v4, router_v6) = network.router();
    // The same whenever the link is made anew, as hardware has it: the neighbours' caches stay right.
    let mac = mac(host.v4);
    let end = if on_segment {
        format!("link set {port} master {SEGMENT}")
    } else {
        format!("addr add {router_v4}/24 dev {port}\naddr add {router_v6}/64 dev {port} nodad")
    };
    ip(
        router,
        &format!(
            "link add {port} mtu {mtu} type veth peer name {INTERFACE} address {mac} mtu {mtu} netns {namespace}
             {end}
             link set {port} up
            "
        ),
    )?;
    let (v4, v6) = (host.v4, host.v6);
    ip(
        host,
        &format!(
            "link set lo up
             addr add {v4}/24 dev {INTERFACE}
             addr add {v6}/64 dev {INTERFACE} nodad
             link set {INTERFACE} up
             route add default via {router_v4}
             route add default via {router_v6}
            "
        ),
    )
}

/// The link of the load balancer, with what it takes for the load balancer to transmit on it.
pub(super) fn connect_lb(router: &Host, lb: &Host) -> Result<OwnedFd> {
    connect(router, lb, Network::SEGMENT, TUNNEL_MTU, true)?;
    // TCP leaves a namespace with its checksum unfinished, for hardware to complete. XDP_TX forgets that it was, and the
    // backend would drop the packet.
    router.run("ethtool", &["-K", lb.name(), "tx", "off"])?;
    pass_program::attach_to(&router.namespace, lb.name())
}

/// A second link of the load balancer, which its routes to the backends behind the router take from here on.
pub(super) fn connect_back(router: &Host, lb: &Host, backends: &[Host]) -> Result<OwnedFd> {
    const PORT: &str = "lb-back";
    let ((router_v4, router_v6), (lb_v4, lb_v6)) = (Network::BACK.router(), Network::BACK.host(10));
    let namespace = lb.namespace.name();
    ip(
        router,
        &format!(
            "link add {PORT} mtu {TUNNEL_MTU} type veth peer name {BACK_INTERFACE} mtu {TUNNEL_MTU} netns {namespace}
             addr add {router_v4}/24 dev {PORT}
             addr add {router_v6}/64 dev {PORT} nodad
             link set {PORT} up
            "
        ),
    )?;
    let mut lines = format!(
        "addr add {lb_v4}/24 dev {BACK_INTERFACE}
         addr add {lb_v6}/64 dev {BACK_INTERFACE} nodad
         link set {BACK_INTERFACE} up
        "
    );
    for number in (1..).take(backends.len()) {
        let (network, is_routed) = place(number);
        if is_routed {
            let Network { v4, v6 } = network;
            lines.extend([format!("route add {v4}/24 via {router_v4}\nroute add {v6}/64 via {router_v6}\n")]);
        }
    }
    ip(lb, &lines)?;
    // A frame that is redirected to a veth is dropped unless its peer runs a program.
    pass_program::attach_to(&router.namespace, PORT)
}

/// Runs lines of `ip` commands on a host.
fn ip(host: &Host, lines: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["-n", host.namespace.name(), "-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("run ip")?;
    child.stdin.take().context("ip has no standard input")?.write_all(lines.as_bytes()).context("write to ip")?;
    let output = child.wait_with_output().context("wait for ip")?;
    if !output.status.success() {
        bail!("ip on {}: {}\nin\n{lines}", host.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
