//! What a backend's decapsulation program accepts.

use std::{collections::BTreeSet, net::IpAddr};

use aya::maps::{HashMap, LpmTrie, MapData, MapError, lpm_trie};
use xdp_lb_abi::{Family, TunnelSource, VipKey, map};

use crate::{
    pins::Pins,
    tables::{TablesError, open_pin},
};

/// All that the decapsulation program is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Addresses that tunnelled packets may be sent to.
    pub tunnels: BTreeSet<IpAddr>,
    /// Prefixes that tunnelled packets may come from: address and length in bits.
    pub sources: BTreeSet<(IpAddr, u8)>,
    /// Inner destinations.
    pub vips: BTreeSet<IpAddr>,
}

type SourceData = [u8; TunnelSource::LEN];

/// Writes the decapsulation program's maps.
pub struct Acceptance {
    tunnels: HashMap<MapData, VipKey, u32>,
    vips: HashMap<MapData, VipKey, u32>,
    sources: LpmTrie<MapData, SourceData, u32>,
}

impl Acceptance {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<Self, TablesError> {
        Ok(Self {
            tunnels: open_pin(pins, map::DECAP_TUNNELS)?,
            vips: open_pin(pins, map::DECAP_VIPS)?,
            sources: open_pin(pins, map::DECAP_SOURCES)?,
        })
    }

    /// Makes the maps equal to `accepted`: adds before it removes, so that what stays accepted is so throughout.
    pub fn set(&mut self, accepted: &Accepted) -> Result<(), TablesError> {
        set_addresses(&mut self.vips, &accepted.vips, "VIPs")?;
        self.set_sources(&accepted.sources)?;
        set_addresses(&mut self.tunnels, &accepted.tunnels, "tunnel addresses")
    }

    fn set_sources(&mut self, prefixes: &BTreeSet<(IpAddr, u8)>) -> Result<(), TablesError> {
        let failed = || TablesError::map("write the tunnel sources");
        let wanted: BTreeSet<(u32, SourceData)> =
            prefixes.iter().map(|(address, length)| TunnelSource::key(*address, *length)).collect();
        let present: Vec<_> = self.sources.keys().collect::<Result<_, _>>().map_err(failed())?;
        for (bits, data) in &wanted {
            self.sources.insert(&lpm_trie::Key::new(*bits, *data), 1, 0).map_err(failed())?;
        }
        for key in present {
            if !wanted.contains(&(key.prefix_len(), key.data())) {
                ignore_missing(self.sources.remove(&key)).map_err(failed())?;
            }
        }
        Ok(())
    }
}

fn set_addresses(
    map: &mut HashMap<MapData, VipKey, u32>,
    addresses: &BTreeSet<IpAddr>,
    what: &str,
) -> Result<(), TablesError> {
    let failed = || TablesError::map(format!("write the {what} of the decapsulation program"));
    let wanted: BTreeSet<VipKey> =
        addresses.iter().map(|address| VipKey::of_address((*address).into(), Family::from(address))).collect();
    let present: Vec<VipKey> = map.keys().collect::<Result<_, _>>().map_err(failed())?;
    for key in &wanted {
        map.insert(key, 1, 0).map_err(failed())?;
    }
    for key in present.iter().filter(|key| !wanted.contains(key)) {
        ignore_missing(map.remove(key)).map_err(failed())?;
    }
    Ok(())
}

fn ignore_missing(removed: Result<(), MapError>) -> Result<(), MapError> {
    if matches!(removed, Err(MapError::KeyNotFound)) { Ok(()) } else { removed }
}
