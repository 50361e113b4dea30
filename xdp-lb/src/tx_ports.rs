//! The interfaces that packets may leave by, other than the one they came in by.

use std::collections::BTreeSet;

use aya::maps::{
    MapData, MapError,
    xdp::{DevMapHash, XdpMapError},
};
use xdp_lb_abi::map;

use crate::{
    pins::Pins,
    tables::{TablesError, open_pin},
};

/// Writes the table of ports.
pub struct TxPorts {
    ports: DevMapHash<MapData>,
}

impl TxPorts {
    /// Opens the pinned table.
    pub fn open(pins: &Pins) -> Result<Self, TablesError> {
        Ok(Self { ports: open_pin(pins, map::TX_PORTS)? })
    }

    /// Makes the table hold exactly these interfaces. The kernel takes one out by itself when the interface goes.
    pub fn set(&mut self, interfaces: &BTreeSet<u32>) -> Result<(), TablesError> {
        let present: BTreeSet<u32> =
            self.ports.keys().collect::<Result<_, _>>().map_err(TablesError::map("read the ports"))?;
        for interface in interfaces.difference(&present) {
            match self.ports.insert(*interface, *interface, None, 0) {
                Ok(()) => {}
                Err(XdpMapError::MapError(error)) => {
                    return Err(TablesError::map(format!("let packets leave by interface {interface}"))(error));
                }
                Err(XdpMapError::ChainedProgramNotSupported) => unreachable!("no program is chained"),
            }
        }
        for interface in present.difference(interfaces) {
            match self.ports.remove(*interface) {
                // The kernel was faster.
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(TablesError::map(format!("close interface {interface}"))(error)),
            }
        }
        Ok(())
    }
}
