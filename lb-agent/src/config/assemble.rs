//! From a document without errors to the config: names are resolved, places forgotten.

use std::collections::{BTreeMap, HashMap};

use xdp_lb::model::{Mode, Service};

use super::{
    BackendConfig, CheckTemplate, Config, ServiceConfig,
    decode::List,
    diagnostic::Checked,
    schema::{Backend, Document, Pool, Vip},
};

/// A pool as its services take it over.
struct ResolvedPool {
    check: Option<CheckTemplate>,
    backends: Vec<BackendConfig>,
}

/// The config that `document` describes.
pub(super) fn config(document: Document) -> Checked<Config> {
    let default = document.encapsulation?.map_or(Mode::Ipip, |located| located.value);
    let pools = elements(document.pools?).map(|read| pool(read, default)).collect::<Checked<HashMap<_, _>>>()?;
    let mut services = BTreeMap::new();
    for vip in elements(document.vips?) {
        add_services(vip?, &pools, &mut services)?;
    }
    Ok(Config {
        role: document.role?,
        node: document.node?,
        interfaces: elements(Some(document.interfaces?)).collect::<Checked<_>>()?,
        forwarding: document.forwarding?,
        icmp: document.icmp?,
        services,
        backend: document.backend?,
        log: document.log?,
    })
}

fn elements<T>(list: Option<List<T>>) -> impl Iterator<Item = Checked<T>> {
    list.into_iter().flat_map(|list| list.value).map(|element| element.map(|located| located.value))
}

fn pool(pool: Checked<Pool>, default: Mode) -> Checked<(String, ResolvedPool)> {
    let pool = pool?;
    let default = pool.encapsulation?.map_or(default, |located| located.value);
    let backends = elements(Some(pool.backends?)).map(|read| backend(read, default)).collect::<Checked<_>>()?;
    Ok((pool.name?.value, ResolvedPool { check: pool.check?, backends }))
}

fn backend(backend: Checked<Backend>, default: Mode) -> Checked<BackendConfig> {
    let backend = backend?;
    Ok(BackendConfig {
        name: backend.name?.value,
        address: backend.address?.value,
        encapsulation: backend.encapsulation?.map_or(default, |located| located.value),
        weight: backend.weight?,
    })
}

/// One service for each of the VIP's ports and ranges.
fn add_services(
    vip: Vip,
    pools: &HashMap<String, ResolvedPool>,
    services: &mut BTreeMap<Service, ServiceConfig>,
) -> Checked<()> {
    let (name, address, protocol) = (vip.name?.value, vip.address?.value, vip.protocol?.value);
    let hash = vip.hash?;
    let pool = &pools[&vip.pool?.value];
    let check = vip.check?.or_else(|| pool.check.clone());
    for ports in elements(Some(vip.ports?)) {
        let service = Service { address, ports: ports?, protocol };
        let config = ServiceConfig { name: name.clone(), hash, backends: pool.backends.clone(), check: check.clone() };
        services.insert(service, config);
    }
    Ok(())
}
