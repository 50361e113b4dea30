//! Counters over all CPUs.

use std::os::fd::AsFd;

use aya::maps::MapData;
use xdp_lb_abi::{MAX_VIPS, MemberCounters, Reason, ReasonCounters, map};

use crate::{
    installed::Installed,
    pins::Pins,
    sys,
    tables::{TablesError, open_data},
};

/// The pinned counters of the load balancer.
#[derive(Debug)]
pub struct Counters {
    vips: MapData,
    members: MapData,
    cpus: usize,
}

/// Sums over all CPUs, read at about the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    vips: Vec<ReasonCounters>,
    members: Vec<MemberCounters>,
}

impl Counters {
    /// Opens the pinned counters.
    pub fn open(pins: &Pins) -> Result<Self, TablesError> {
        Ok(Self {
            vips: open_data(pins.map(map::VIP_COUNTERS))?,
            members: open_data(pins.map(map::MEMBER_COUNTERS))?,
            cpus: possible_cpus()?,
        })
    }

    /// Reads the counters of everything installed.
    pub fn read(&self, installed: &Installed) -> Result<Totals, TablesError> {
        let vips = installed.vip_ids().max().unwrap_or(0) + 1;
        let vips = read(&self.vips, vips.min(MAX_VIPS), self.cpus)?;
        let members = installed.counters().max().map_or(0, |last| last + 1);
        let members = if members == 0 { Vec::new() } else { read(&self.members, members, self.cpus)? };
        Ok(Totals {
            vips: vips.chunks_exact(self.cpus).map(sum_reasons).collect(),
            members: members.chunks_exact(self.cpus).map(sum_members).collect(),
        })
    }
}

impl Totals {
    /// Totals by VIP id and by member counter.
    pub fn new(vips: Vec<ReasonCounters>, members: Vec<MemberCounters>) -> Self {
        Self { vips, members }
    }

    /// What became of the packets of a VIP id; id 0 is what belongs to no VIP.
    pub fn vip(&self, id: u32) -> ReasonCounters {
        self.vips.get(id as usize).copied().unwrap_or(ReasonCounters::ZERO)
    }

    /// What was sent to the member with this counter.
    pub fn member(&self, counter: u32) -> MemberCounters {
        self.members.get(counter as usize).copied().unwrap_or_default()
    }

    /// All packets: of every VIP, and what belongs to none.
    pub fn sum(&self) -> ReasonCounters {
        sum_reasons(&self.vips)
    }

    /// Packets by reason over all VIPs and what belongs to none, zeros left out.
    pub fn by_reason(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        packets_by_reason(self.sum())
    }
}

/// Packets by reason, zeros left out.
pub fn packets_by_reason(counters: ReasonCounters) -> impl Iterator<Item = (Reason, u64)> {
    Reason::ALL.iter().map(move |reason| (*reason, counters.of(*reason))).filter(|(_, packets)| *packets > 0)
}

/// The pinned counters of the decapsulation program.
pub fn decapsulation(pins: &Pins) -> Result<ReasonCounters, TablesError> {
    let cpus = possible_cpus()?;
    Ok(sum_reasons(&read(&open_data(pins.map(map::DECAP_COUNTERS))?, 1, cpus)?))
}

fn read<V: aya::Pod>(map: &MapData, count: u32, cpus: usize) -> Result<Vec<V>, TablesError> {
    sys::lookup_batch(map.fd().as_fd(), count, cpus).map_err(TablesError::io("read counters"))
}

fn possible_cpus() -> Result<usize, TablesError> {
    aya::util::nr_cpus().map_err(|(what, error)| TablesError::io(what)(error))
}

fn sum_reasons(values: &[ReasonCounters]) -> ReasonCounters {
    values.iter().fold(ReasonCounters::ZERO, |mut sum, value| {
        sum.bytes += value.bytes;
        for (total, packets) in sum.packets.iter_mut().zip(value.packets) {
            *total += packets;
        }
        sum
    })
}

fn sum_members(values: &[MemberCounters]) -> MemberCounters {
    values.iter().fold(MemberCounters::default(), |sum, value| MemberCounters {
        packets: sum.packets + value.packets,
        bytes: sum.bytes + value.bytes,
    })
}
