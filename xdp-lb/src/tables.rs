//! The forwarding maps: opened from their pins, read as [`Installed`], written one change at a time.

use std::{collections::BTreeMap, io, path::PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use xdp_lb_abi::{
    HashInput, MAX_NEXT_HOPS, PortRange, PortRanges, Settings, Vip, VipFlags, VipKey, map,
    ring::{self, MEMBERS, Route},
    vip::VipKind,
};

use crate::{
    installed::{Installed, InstalledAddress, InstalledMember, InstalledNextHop, InstalledService},
    layout::{self, HOP_WORDS},
    mapped::{Mapped, ReadOnly},
    model::{MemberKey, NextHopKey, Ports, Protocol, Service},
    pins::{self, Pins, PinsError},
};

/// A map that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// A pinned map cannot be opened.
    #[error("cannot open the pinned map {}; is the load balancer installed here, and are you root?", path.display())]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A map operation failed.
    #[error("cannot {what}")]
    Map {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: Box<MapError>,
    },
    /// A system call on a map failed.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

impl TablesError {
    pub(crate) fn map(what: impl Into<String>) -> impl FnOnce(MapError) -> Self {
        let what = what.into();
        move |source| Self::Map { what, source: Box::new(source) }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The forwarding maps of this node.
pub struct Tables {
    pub(crate) pins: Pins,
    pub(crate) vips: HashMap<MapData, VipKey, Vip>,
    pub(crate) port_ranges: Array<MapData, PortRanges>,
    pub(crate) rings: MapData,
    pub(crate) next_hops: MapData,
    pub(crate) settings: Array<MapData, Settings>,
}

/// Opens a pinned map as the type that it should have.
pub(crate) fn open_pin<T: TryFrom<Map, Error = MapError>>(pins: &Pins, name: &str) -> Result<T, TablesError> {
    let path = pins.map(name);
    let open = || T::try_from(Map::from_map_data(MapData::from_pin(&path)?)?);
    open().map_err(|source| TablesError::Open { path: path.clone(), source: Box::new(source) })
}

/// Opens a pinned map.
pub(crate) fn open_data(path: PathBuf) -> Result<MapData, TablesError> {
    MapData::from_pin(&path).map_err(|source| TablesError::Open { path, source: Box::new(source) })
}

impl Tables {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<Self, TablesError> {
        Ok(Self {
            pins: pins.clone(),
            vips: open_pin(pins, map::VIPS)?,
            port_ranges: open_pin(pins, map::PORT_RANGES)?,
            rings: open_data(pins.map(map::RINGS))?,
            next_hops: open_data(pins.map(map::NEXT_HOPS))?,
            settings: open_pin(pins, map::SETTINGS)?,
        })
    }

    /// What the attached program was loaded with.
    pub fn settings(&self) -> Result<Settings, TablesError> {
        self.settings.get(&0, 0).map_err(TablesError::map("read the settings"))
    }

    /// Reads what is installed.
    pub fn installed(&self) -> Result<Installed, TablesError> {
        let mut installed = Installed { next_hops: self.read_next_hops()?, ..Installed::default() };
        for entry in &self.vips {
            let (key, vip) = entry.map_err(TablesError::map("read the VIP table"))?;
            let Some(address) = key.ip() else { continue };
            match vip.kind() {
                Some(VipKind::Service) => {
                    let Some(protocol) = Protocol::from_number(key.protocol) else { continue };
                    let Some(ports) = Ports::new(key.port()..=key.port()) else { continue };
                    let service = Service { address, ports, protocol };
                    if self.has_ring(vip.id) {
                        let hash = HashInput::decode(vip.hash);
                        installed.services.insert(service, self.read_service(vip.id, hash)?);
                    }
                }
                Some(kind @ (VipKind::Address | VipKind::LocalAddress)) => {
                    let local = kind == VipKind::LocalAddress;
                    let ranges = self.read_ranges(vip)?;
                    for range in ranges.words.into_iter().filter_map(PortRange::decode) {
                        let Some(service) = layout::service_of(address, range) else { continue };
                        installed.services.insert(service, self.read_service(range.id.into(), range.hash)?);
                    }
                    installed.addresses.insert(address, InstalledAddress { id: vip.id, local, ranges });
                }
                None => {}
            }
        }
        Ok(installed)
    }

    fn read_ranges(&self, address: Vip) -> Result<PortRanges, TablesError> {
        if !address.flags.has(VipFlags::HAS_RANGES) {
            return Ok(PortRanges::default());
        }
        let ranges = self.port_ranges.get(&address.id, 0).map_err(TablesError::map("read the port ranges"))?;
        let has_ring = |word: &u64| PortRange::decode(*word).is_some_and(|range| self.has_ring(range.id.into()));
        Ok(PortRanges { words: ranges.words.map(|word| if has_ring(&word) { word } else { 0 }) })
    }

    /// Whether a service's ring is there. If somebody removed its pin, the service is as good as not installed, and will
    /// be made anew.
    fn has_ring(&self, id: u32) -> bool {
        self.pins.ring(id).exists()
    }

    fn read_service(&self, id: u32, hash: HashInput) -> Result<InstalledService, TablesError> {
        let ring = self.readable_ring(id)?;
        let members = (1..MEMBERS as u16).filter_map(|index| {
            let member = layout::read_member(index, |word| ring.load(word));
            let route = Route::decode(member.route);
            let encapsulation = route.encapsulation?;
            let key = MemberKey { tunnel: member.tunnel.to_ip(encapsulation.family()), mode: encapsulation.mode() };
            Some((key, InstalledMember { index, route, up: member.is_up() }))
        });
        Ok(InstalledService { id, hash, fingerprint: ring.load(ring::HEADER_FINGERPRINT), members: members.collect() })
    }

    /// Slots of each member of a ring, by index; index 0 counts slots that lead nowhere.
    pub fn slot_counts(&self, id: u32) -> Result<BTreeMap<u16, u32>, TablesError> {
        let ring = self.readable_ring(id)?;
        let mut counts = BTreeMap::new();
        for slot in 0..ring::SLOTS {
            if let ring::Slot::Member(index) = ring::Slot::decode(ring.load_u16(layout::slot(slot))) {
                *counts.entry(index).or_default() += 1;
            }
        }
        Ok(counts)
    }

    fn read_next_hops(&self) -> Result<BTreeMap<NextHopKey, InstalledNextHop>, TablesError> {
        let table = Mapped::readable(self.next_hops.fd(), MAX_NEXT_HOPS as usize * HOP_WORDS)
            .map_err(TablesError::io("map the next hops"))?;
        let read = |id: u16| {
            let hop = layout::read_next_hop(id, |word| table.load(word))?;
            let (key, spec) = layout::decode_next_hop(&hop)?;
            Some((key, InstalledNextHop { id, spec }))
        };
        Ok((1..MAX_NEXT_HOPS as u16).filter_map(read).collect())
    }

    fn readable_ring(&self, id: u32) -> Result<ReadOnly, TablesError> {
        let ring = open_data(self.pins.ring(id))?;
        Mapped::readable(ring.fd(), ring::WORDS).map_err(TablesError::io(format!("map ring {id}")))
    }

    pub(crate) fn writable_ring(&self, id: u32) -> Result<Mapped, TablesError> {
        let ring = open_data(self.pins.ring(id))?;
        Mapped::writable(ring.fd(), ring::WORDS).map_err(TablesError::io(format!("map ring {id}")))
    }

    /// Removes rings that no VIP leads to: left behind when an agent was killed between two changes.
    pub fn remove_orphans(&self, installed: &Installed) -> Result<(), TablesError> {
        let used: Vec<u32> = installed.services.values().map(|service| service.id).collect();
        for name in pins::list(&self.pins.rings())? {
            if name.parse().is_ok_and(|id| !used.contains(&id) && id != 0) {
                pins::remove(&self.pins.rings().join(name))?;
            }
        }
        Ok(())
    }
}
