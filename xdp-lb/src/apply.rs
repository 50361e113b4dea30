//! Carries out a plan: the only writer of the forwarding maps.

use std::net::IpAddr;

use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type::BPF_MAP_TYPE_ARRAY};
use xdp_lb_abi::{
    Addr, Family, HashInput, MAX_NEXT_HOPS, Member, MemberCounters, NextHop, PortRanges, ReasonCounters, Vip, VipFlags,
    VipKey, map,
    ring::{self, Route, SLOTS},
    vip::VipKind,
};

use crate::{
    change::Change,
    installed::Installed,
    layout::{self, HOP_WORDS},
    mapped::Mapped,
    model::{MemberKey, NextHopKey, NextHopSpec, Service},
    pins,
    ring::RingSpec,
    sys,
    tables::{Tables, TablesError, open_pin},
};

/// A change that could not be carried out; those before it have been, those after it have not.
#[derive(Debug, thiserror::Error)]
#[error("cannot {change}")]
pub struct ApplyError {
    /// The change.
    pub change: String,
    /// Why.
    pub source: TablesError,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Changes carried out.
    pub changes: usize,
    /// Slots stored.
    pub slots: usize,
}

/// Writes the forwarding maps. Only one may exist for a pin directory; [`crate::pins::PinsLock`] sees to that.
pub struct Writer {
    tables: Tables,
    next_hops: Mapped,
    vip_counters: PerCpuArray<MapData, ReasonCounters>,
    member_counters: PerCpuArray<MapData, MemberCounters>,
    cpus: usize,
}

impl Writer {
    /// Takes over the pinned maps, makes the ring that leads nowhere if it is missing, and removes rings that a killed
    /// agent left half made.
    pub fn open(tables: Tables) -> Result<(Self, Installed), TablesError> {
        let next_hops = Mapped::writable(tables.next_hops.fd(), MAX_NEXT_HOPS as usize * HOP_WORDS)
            .map_err(TablesError::io("map the next hops"))?;
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| TablesError::io(what)(error))?;
        let mut writer = Self {
            next_hops,
            vip_counters: open_pin(&tables.pins, map::VIP_COUNTERS)?,
            member_counters: open_pin(&tables.pins, map::MEMBER_COUNTERS)?,
            tables,
            cpus,
        };
        if !writer.tables.pins.ring(0).exists() {
            writer.create_rings(&[0])?;
        }
        writer.remove_vips_without_ring()?;
        let installed = writer.tables.installed()?;
        writer.tables.remove_orphans(&installed)?;
        Ok((writer, installed))
    }

    /// Without its pin a ring can neither be read nor written.
    fn remove_vips_without_ring(&mut self) -> Result<(), TablesError> {
        let entries: Vec<_> =
            self.tables.vips.iter().collect::<Result<_, _>>().map_err(TablesError::map("read the VIP table"))?;
        for (key, vip) in entries {
            if vip.kind() == Some(VipKind::Service) && !self.tables.pins.ring(vip.id).exists() {
                tracing::warn!(id = vip.id, "the pin of a ring is gone: its service is made anew");
                self.remove_vip(&key, "remove a VIP")?;
            }
        }
        Ok(())
    }

    /// The maps, for reading.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Carries out the changes in order, and keeps `installed` equal to what is done. After an error the two may
    /// differ by the failed change: read [`Tables::installed`] again and plan anew.
    pub fn apply(&mut self, changes: &[Change], installed: &mut Installed) -> Result<Applied, ApplyError> {
        let mut applied = Applied::default();
        let mut rest = changes;
        while let Some(change) = rest.first() {
            let batch = rest.iter().take_while(|change| matches!(change, Change::CreateRing { .. })).count().max(1);
            let (now, later) = rest.split_at(batch);
            applied.slots +=
                self.carry_out(change, now).map_err(|source| ApplyError { change: change.to_string(), source })?;
            for change in now {
                installed.record(change);
            }
            applied.changes += batch;
            rest = later;
        }
        Ok(applied)
    }

    /// Carries out `change`, or for new rings the whole `batch` that it leads. Gives the number of slots stored.
    fn carry_out(&mut self, change: &Change, batch: &[Change]) -> Result<usize, TablesError> {
        match change {
            Change::PutNextHop { id, key, spec } => self.put_next_hop(*id, key, spec),
            Change::CreateRing { .. } => self.create_service_rings(batch)?,
            Change::PutMember { id, index, member, route, up, new, .. } => {
                self.put_member(*id, *index, *member, *route, *up, *new)?;
            }
            Change::WriteSlots { id, ring, .. } => return self.write_slots(*id, ring),
            Change::PutVip { service, id, hash } => self.put_vip(service, *id, *hash)?,
            Change::PutAddress { address, id, local, ranges } => self.put_address(*address, *id, *local, ranges)?,
            Change::RemoveVip { service } => {
                if let Some(key) = layout::service_key(service) {
                    self.remove_vip(&key, "remove a VIP")?;
                }
            }
            Change::RemoveAddress { address } => {
                let key = VipKey::of_address((*address).into(), Family::from(address));
                self.remove_vip(&key, "remove a VIP address")?;
            }
            Change::AwaitReaders => self.await_readers()?,
            Change::MarkDown { id, index, .. } => self.retire(*id, *index, false)?,
            Change::RemoveMember { id, index, .. } => self.retire(*id, *index, true)?,
            Change::RemoveRing { id, .. } => self.remove_ring(*id)?,
            Change::RemoveNextHop { id, .. } => self.remove_next_hop(*id),
        }
        Ok(0)
    }

    fn put_next_hop(&self, id: u16, key: &NextHopKey, spec: &NextHopSpec) {
        for (word, value) in layout::next_hop_stores(id, &layout::encode_next_hop(key, spec)) {
            self.next_hops.store(word, value);
        }
    }

    fn remove_next_hop(&self, id: u16) {
        // The link goes first: without it, packets are dropped as unresolved, whatever else the entry holds.
        for (word, value) in layout::next_hop_stores(id, &NextHop::NONE).into_iter().rev() {
            self.next_hops.store(word, value);
        }
    }

    fn create_service_rings(&mut self, batch: &[Change]) -> Result<(), TablesError> {
        let ids: Vec<u32> = batch
            .iter()
            .filter_map(|change| if let Change::CreateRing { id, .. } = change { Some(*id) } else { None })
            .collect();
        self.create_rings(&ids)?;
        ids.into_iter().try_for_each(|id| self.reset_vip_counters(id))
    }

    /// Makes empty rings, pins them, and puts them all into the outer map at once.
    fn create_rings(&self, ids: &[u32]) -> Result<(), TablesError> {
        let mut rings = Vec::with_capacity(ids.len());
        for id in ids {
            let value = u32::try_from(ring::WORDS * size_of::<u64>()).expect("a ring is far below 4 GiB");
            let definition = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, value, 1, BPF_F_MMAPABLE);
            let ring =
                MapData::create(definition, "RING", None).map_err(TablesError::map(format!("make ring {id}")))?;
            let path = self.tables.pins.ring(*id);
            pins::remove(&path)?;
            ring.pin(&path).map_err(|error| TablesError::Map {
                what: format!("pin ring {id}"),
                source: Box::new(aya::maps::MapError::PinError { name: None, error }),
            })?;
            rings.push(ring);
        }
        self.place_rings(ids, &rings.iter().collect::<Vec<_>>())
    }

    /// Puts rings into the outer map. Returns after an RCU grace period (kernel `maybe_wait_bpf_programs`).
    fn place_rings(&self, ids: &[u32], rings: &[&MapData]) -> Result<(), TablesError> {
        use std::os::fd::{AsFd, AsRawFd};
        let descriptors: Vec<u32> = rings.iter().map(|ring| ring.fd().as_fd().as_raw_fd().cast_unsigned()).collect();
        sys::update_batch(self.tables.rings.fd().as_fd(), ids, &descriptors)
            .map_err(TablesError::io("put rings into the outer map"))
    }

    fn reset_vip_counters(&mut self, id: u32) -> Result<(), TablesError> {
        let zero = PerCpuValues::try_from(vec![ReasonCounters::ZERO; self.cpus])
            .map_err(TablesError::io("make per-CPU values"))?;
        self.vip_counters.set(id, zero, 0).map_err(TablesError::map(format!("reset the counters of VIP {id}")))
    }

    fn put_member(
        &mut self,
        id: u32,
        index: u16,
        key: MemberKey,
        route: Route,
        up: bool,
        new: bool,
    ) -> Result<(), TablesError> {
        if new {
            let zero = PerCpuValues::try_from(vec![MemberCounters::default(); self.cpus])
                .map_err(TablesError::io("make per-CPU values"))?;
            let what = format!("reset member counter {}", route.counter);
            self.member_counters.set(route.counter, zero, 0).map_err(TablesError::map(what))?;
        }
        let ring = self.tables.writable_ring(id)?;
        let [high, low, route_word, state] = layout::member(index);
        let before = layout::read_member(index, |word| ring.load(word));
        let address = Addr::from(key.tunnel).words();
        ring.store(high, address[0]);
        ring.store(low, address[1]);
        ring.store(state, Member::pack_state(before.incarnation(), up));
        // Last: a member without route is none.
        ring.store(route_word, route.encode());
        Ok(())
    }

    /// Marks a member down, or clears it. Either ends its incarnation: whatever remembers it must not follow it.
    fn retire(&self, id: u32, index: u16, clear: bool) -> Result<(), TablesError> {
        let ring = self.tables.writable_ring(id)?;
        let [high, low, route, state] = layout::member(index);
        let before = layout::read_member(index, |word| ring.load(word));
        ring.store(state, Member::pack_state(before.incarnation() + 1, false));
        if clear {
            ring.store(route, Member::NONE.route);
            ring.store(high, 0);
            ring.store(low, 0);
        }
        Ok(())
    }

    /// Stores the slots that differ. The fingerprint is 0 meanwhile, so that an agent killed half way starts over.
    fn write_slots(&self, id: u32, spec: &RingSpec) -> Result<usize, TablesError> {
        let slots = spec.build();
        let ring = self.tables.writable_ring(id)?;
        ring.store(ring::HEADER_FINGERPRINT, 0);
        let mut stored = 0;
        for (index, member) in slots.iter().enumerate().take(SLOTS) {
            let (position, value) = (layout::slot(index), ring::Slot::Member(*member).encode());
            if ring.load_u16(position) != value {
                ring.store_u16(position, value);
                stored += 1;
            }
        }
        ring.store(ring::HEADER_FINGERPRINT, spec.fingerprint());
        Ok(stored)
    }

    fn put_vip(&mut self, service: &Service, id: u32, hash: HashInput) -> Result<(), TablesError> {
        let Some(key) = layout::service_key(service) else { return Ok(()) };
        self.tables
            .vips
            .insert(key, Vip::new(id, VipKind::Service).with_hash(hash), 0)
            .map_err(TablesError::map(format!("put {service} into the VIP table")))
    }

    /// Ranges go first: a packet that finds the entry finds them. Those of an entry without any are not looked at.
    fn put_address(&mut self, address: IpAddr, id: u32, local: bool, ranges: &PortRanges) -> Result<(), TablesError> {
        let key = VipKey::of_address(address.into(), Family::from(&address));
        let kind = if local { VipKind::LocalAddress } else { VipKind::Address };
        if self.tables.vips.get(&key, 0).is_err() {
            self.reset_vip_counters(id)?;
        }
        let mut flags = VipFlags::default();
        if *ranges != PortRanges::default() {
            flags = VipFlags::HAS_RANGES;
            let what = format!("put the port ranges of {address} into their table");
            self.tables.port_ranges.set(id, ranges, 0).map_err(TablesError::map(what))?;
        }
        self.tables
            .vips
            .insert(key, Vip::new(id, kind).with_flags(flags), 0)
            .map_err(TablesError::map(format!("put {address} into the VIP table")))
    }

    fn remove_vip(&mut self, key: &VipKey, what: &str) -> Result<(), TablesError> {
        match self.tables.vips.remove(key) {
            Err(aya::maps::MapError::KeyNotFound) | Ok(()) => Ok(()),
            Err(error) => Err(TablesError::map(what)(error)),
        }
    }

    /// Any update of the outer map ends with a grace period; putting ring 0 where it is changes nothing else.
    fn await_readers(&self) -> Result<(), TablesError> {
        let nowhere = crate::tables::open_data(self.tables.pins.ring(0))?;
        self.place_rings(&[0], &[&nowhere])
    }

    /// Puts the ring that leads nowhere in its place; the ring itself is freed with its pin.
    fn remove_ring(&self, id: u32) -> Result<(), TablesError> {
        let nowhere = crate::tables::open_data(self.tables.pins.ring(0))?;
        self.place_rings(&[id], &[&nowhere])?;
        Ok(pins::remove(&self.tables.pins.ring(id))?)
    }
}
