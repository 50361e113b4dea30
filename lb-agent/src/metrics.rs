//! Prometheus metrics: `xdp_lb_` for the data plane, read from the maps at each scrape; `lb_agent_` for the daemon.

use std::sync::atomic::{AtomicU64, Ordering};

use lb_api::{Counts, Stats, Vip};
use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector, proto::MetricFamily,
};
use xdp_lb::apply::Applied;
use xdp_lb_abi::Reason;

use crate::{health, report, status::Status};

/// The daemon's own counters.
#[derive(Clone, Debug)]
pub struct AgentMetrics {
    registry: Registry,
    config_loads: IntCounterVec,
    reconciles: IntCounterVec,
    changes: IntCounter,
    slots: IntCounter,
}

impl AgentMetrics {
    /// All at zero, so that every series is there from the first scrape.
    pub fn new() -> prometheus::Result<Self> {
        let by_result = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["result"]);
        let metrics = Self {
            registry: Registry::new(),
            config_loads: by_result(
                "lb_agent_config_loads_total",
                "Versions of the config file that were read again.",
            )?,
            reconciles: by_result("lb_agent_reconciles_total", "Comparisons of desired and installed state.")?,
            changes: IntCounter::new("lb_agent_changes_total", "Changes carried out on the forwarding maps.")?,
            slots: IntCounter::new("lb_agent_slots_written_total", "Slots of rings stored.")?,
        };
        for result in ["ok", "error"] {
            metrics.config_loads.with_label_values(&[result]).reset();
            metrics.reconciles.with_label_values(&[result]).reset();
        }
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.config_loads.clone()))?;
        registry.register(Box::new(metrics.reconciles.clone()))?;
        registry.register(Box::new(metrics.changes.clone()))?;
        registry.register(Box::new(metrics.slots.clone()))?;
        Ok(metrics)
    }

    /// The config file was read again.
    pub fn config_loads(&self, taken_over: bool) {
        self.config_loads.with_label_values(&[result_label(taken_over)]).inc();
    }

    /// Desired and installed state were compared; `None` if that failed.
    pub fn reconciles(&self, applied: Option<Applied>) {
        self.reconciles.with_label_values(&[result_label(applied.is_some())]).inc();
        if let Some(applied) = applied {
            self.changes.inc_by(applied.changes as u64);
            self.slots.inc_by(applied.slots as u64);
        }
    }
}

const fn result_label(ok: bool) -> &'static str {
    if ok { "ok" } else { "error" }
}

/// The text of a scrape.
pub fn scrape(agent: &AgentMetrics, checks: &health::Counters, status: &Status) -> anyhow::Result<String> {
    let mut families = agent.registry.gather();
    let mut scrape = Scrape::default();
    scrape.agent(status, checks)?;
    // What cannot be read from the maps is left out; that the maps cannot be read is a series of its own.
    let counted = report::stats(status);
    scrape.gauge(
        "lb_agent_maps_readable",
        "Whether the pinned maps could be read.",
        &[],
        &[(&[], counted.is_ok().into())],
    )?;
    if let Ok(counted) = &counted {
        scrape.data_plane(status, counted)?;
    }
    families.append(&mut scrape.families);
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(String::from_utf8(text)?)
}

/// One series: label values, value.
type Series<'a> = (&'a [&'a str], u64);

/// Metrics that are made for one scrape.
#[derive(Default)]
struct Scrape {
    families: Vec<MetricFamily>,
}

impl Scrape {
    fn counter(&mut self, name: &str, help: &str, labels: &[&str], series: &[Series<'_>]) -> prometheus::Result<()> {
        // The encoder refuses a family without series.
        if series.is_empty() {
            return Ok(());
        }
        let family = IntCounterVec::new(Opts::new(name, help), labels)?;
        for (values, value) in series {
            family.with_label_values(values).inc_by(*value);
        }
        self.families.append(&mut family.collect());
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[&str], series: &[Series<'_>]) -> prometheus::Result<()> {
        // The encoder refuses a family without series.
        if series.is_empty() {
            return Ok(());
        }
        let family = IntGaugeVec::new(Opts::new(name, help), labels)?;
        for (values, value) in series {
            family.with_label_values(values).set(i64::try_from(*value).unwrap_or(i64::MAX));
        }
        self.families.append(&mut family.collect());
        Ok(())
    }

    fn agent(&mut self, status: &Status, checks: &health::Counters) -> prometheus::Result<()> {
        let problems = status.problems().len() as u64;
        self.gauge("lb_agent_build_info", "Version of this build.", &["version"], &[(&[report::VERSION], 1)])?;
        self.gauge("lb_agent_ready", "Whether desired state is installed.", &[], &[(&[], status.ready.into())])?;
        self.gauge("lb_agent_config_generation", "Configs taken over.", &[], &[(&[], status.generation)])?;
        let refused = status.config_error.is_some().into();
        self.gauge("lb_agent_config_refused", "Whether the newest config was refused.", &[], &[(&[], refused)])?;
        self.gauge("lb_agent_problems", "Problems that `lbctl status` lists.", &[], &[(&[], problems)])?;
        let mut series: Vec<Series<'_>> = Vec::new();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        series.extend([
            (["tcp", "passed"].as_slice(), read(&checks.tcp.passed)),
            (["tcp", "failed"].as_slice(), read(&checks.tcp.failed)),
            (["tcp", "inconclusive"].as_slice(), read(&checks.tcp.inconclusive)),
            (["http", "passed"].as_slice(), read(&checks.http.passed)),
            (["http", "failed"].as_slice(), read(&checks.http.failed)),
            (["http", "inconclusive"].as_slice(), read(&checks.http.inconclusive)),
        ]);
        self.counter("lb_agent_health_checks_total", "Health checks made.", &["type", "result"], &series)
    }

    fn data_plane(&mut self, status: &Status, counted: &Stats) -> prometheus::Result<()> {
        let modes: Vec<(&str, &str)> = status
            .attachments
            .iter()
            .map(|attachment| match attachment.mode {
                xdp_lb::interface::Mode::Native => (attachment.interface.as_str(), "native"),
                xdp_lb::interface::Mode::Generic => (attachment.interface.as_str(), "generic"),
            })
            .collect();
        let labels: Vec<[&str; 2]> = modes.iter().map(|(interface, mode)| [*interface, *mode]).collect();
        let series: Vec<Series<'_>> = labels.iter().map(|labels| (labels.as_slice(), 1)).collect();
        let help = "Interfaces that the program runs on.";
        self.gauge("xdp_lb_interface_info", help, &["interface", "mode"], &series)?;
        self.tx_failed(status)?;
        self.reasons(&counted.total)?;
        if status.config.backend.is_some() {
            return self.packets("xdp_lb_decap", &[("tunnel".to_owned(), &counted.total)]);
        }
        let services: Vec<_> = counted
            .vips
            .iter()
            .map(|vip| (vip.service(), Counts { bytes: vip.bytes, packets: vip.packets.clone() }))
            .collect();
        let mut counts = vec![("none".to_owned(), &counted.other)];
        counts.extend(counted.addresses.iter().map(|address| (address.address.to_string(), &address.counts)));
        counts.extend(services.iter().map(|(service, counts)| (service.clone(), counts)));
        self.packets("xdp_lb", &counts)?;
        self.members(&counted.vips)
    }

    /// Every reason, also those that were never counted, so that `rate()` sees the first packet too.
    fn reasons(&mut self, total: &Counts) -> prometheus::Result<()> {
        let labels: Vec<_> = Reason::ALL
            .iter()
            .map(|reason| {
                let packets = total.packets.get(reason.name()).copied().unwrap_or(0);
                ([reason.kind().name(), reason.name()], packets)
            })
            .collect();
        let series: Vec<Series<'_>> = labels.iter().map(|(labels, packets)| (labels.as_slice(), *packets)).collect();
        let help = "Packets by verdict and reason, over all VIPs and what belongs to none.";
        self.counter("xdp_lb_reason_packets_total", help, &["verdict", "reason"], &series)
    }

    /// Interfaces whose driver does not tell are left out.
    fn tx_failed(&mut self, status: &Status) -> prometheus::Result<()> {
        let told = |interface: &str| xdp_lb::driver::tx_failed(interface).ok().flatten();
        let names = status.attachments.iter().map(|attachment| attachment.interface.as_str());
        let failed: Vec<([&str; 1], u64)> = names.filter_map(|name| Some(([name], told(name)?))).collect();
        let series: Vec<Series<'_>> = failed.iter().map(|(name, packets)| (name.as_slice(), *packets)).collect();
        let help = "Packets that the driver dropped after the program had told it to send them.";
        self.counter("xdp_lb_tx_failed_total", help, &["interface"], &series)
    }

    fn packets(&mut self, prefix: &str, counts: &[(String, &Counts)]) -> prometheus::Result<()> {
        let mut labels = Vec::new();
        for (vip, counts) in counts {
            for reason in Reason::ALL {
                if let Some(packets) = counts.packets.get(reason.name()) {
                    labels.push(([vip.as_str(), reason.kind().name(), reason.name()], *packets));
                }
            }
        }
        let series: Vec<Series<'_>> = labels.iter().map(|(labels, packets)| (labels.as_slice(), *packets)).collect();
        let help = "Packets by verdict and reason.";
        self.counter(&format!("{prefix}_packets_total"), help, &["vip", "verdict", "reason"], &series)?;
        let labels: Vec<_> = counts.iter().map(|(vip, counts)| ([vip.as_str()], counts.bytes)).collect();
        let series: Vec<Series<'_>> = labels.iter().map(|(labels, bytes)| (labels.as_slice(), *bytes)).collect();
        self.counter(&format!("{prefix}_bytes_total"), "Bytes as they arrived, any verdict.", &["vip"], &series)
    }

    fn members(&mut self, vips: &[Vip]) -> prometheus::Result<()> {
        let texts: Vec<_> = vips
            .iter()
            .flat_map(|vip| vip.members.iter().map(move |member| (vip.service(), member)))
            .map(|(service, member)| {
                let address = member.address.to_string();
                ([service, member.name.clone().unwrap_or_else(|| address.clone()), address], member)
            })
            .collect();
        let labels: Vec<_> =
            texts.iter().map(|(texts, member)| (texts.each_ref().map(String::as_str), *member)).collect();
        let of = |value: &dyn Fn(&lb_api::Member) -> u64| {
            labels.iter().map(|(labels, member)| (labels.as_slice(), value(member))).collect::<Vec<Series<'_>>>()
        };
        let names = ["vip", "backend", "address"];
        let help = "Packets sent to a backend.";
        self.counter("xdp_lb_backend_packets_total", help, &names, &of(&|member| member.packets))?;
        let help = "Bytes sent to a backend, as they arrived.";
        self.counter("xdp_lb_backend_bytes_total", help, &names, &of(&|member| member.bytes))?;
        let help = "Whether a backend may take traffic.";
        self.gauge("xdp_lb_backend_up", help, &names, &of(&|member| member.up.into()))?;
        let help = "Slots of the ring that name a backend: its share of new connections.";
        self.gauge("xdp_lb_backend_slots", help, &names, &of(&|member| member.slots.into()))?;
        let resolved = |member: &lb_api::Member| member.is_reachable().into();
        let help = "Whether the MAC of the next hop to a backend is known, or the backend is this node.";
        self.gauge("xdp_lb_backend_next_hop_resolved", help, &names, &of(&resolved))
    }
}
