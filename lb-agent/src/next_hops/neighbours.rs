//! Keeps neighbour entries resolved. Packets that XDP sends do not count as use of an entry, so without help it would
//! go stale and be forgotten.

use std::{io, time::Duration};

use netlink_packet_route::RouteNetlinkMessage;

use super::{
    decode,
    facts::{Event, NeighbourKey},
    index::{Installation, NeighbourWork},
    request,
    socket::{Reply, Requests, SocketError},
};

/// How often entries are probed where the kernel does not keep them: well within the time after which it would forget
/// them (`gc_stale_time`, 60 s), and often enough to notice a new MAC soon.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Who keeps entries resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Not tried yet.
    Untried,
    /// The kernel does.
    Managed,
    /// The kernel is too old to do it: we probe.
    Probing,
}

/// Does the index's work on neighbour entries, in the way that the kernel can.
#[derive(Debug)]
pub(super) struct Keeper {
    mode: Mode,
}

impl Keeper {
    pub(super) const fn new() -> Self {
        Self { mode: Mode::Untried }
    }

    /// Whether entries need [`Keeper::probe`] every [`PROBE_INTERVAL`].
    pub(super) fn probes(&self) -> bool {
        self.mode == Mode::Probing
    }

    /// Installs and removes entries. An entry that the kernel refuses is logged and left to the next full reading.
    pub(super) async fn perform(&mut self, work: NeighbourWork, requests: &mut Requests) -> Result<(), SocketError> {
        let NeighbourWork { install, remove } = work;
        if let (Mode::Untried, Some(first)) = (self.mode, install.first()) {
            self.try_managed(first, requests).await?;
        }
        if self.mode == Mode::Probing {
            self.probe(install.iter().map(|installation| installation.key), requests).await?;
        } else {
            let replies = requests.exchange(install.iter().map(request::keep_neighbour)).await?;
            report("keep", install.iter().map(|installation| installation.key).zip(replies));
        }
        let replies = requests.exchange(remove.iter().copied().map(request::remove_neighbour)).await?;
        report("remove", remove.into_iter().zip(replies));
        Ok(())
    }

    /// Has the kernel confirm entries as if packets were sent to them.
    pub(super) async fn probe(
        &self,
        neighbours: impl IntoIterator<Item = NeighbourKey>,
        requests: &mut Requests,
    ) -> Result<(), SocketError> {
        let neighbours: Vec<_> = neighbours.into_iter().collect();
        let replies = requests.exchange(neighbours.iter().copied().map(request::use_neighbour)).await?;
        report("probe", neighbours.into_iter().zip(replies));
        Ok(())
    }

    /// Kernels before 5.16 refuse or ignore `managed`: install one entry and read it back.
    async fn try_managed(&mut self, first: &Installation, requests: &mut Requests) -> Result<(), SocketError> {
        let asked = requests.exchange([request::keep_neighbour(first)]).await?;
        if asked.iter().any(|reply| reply.as_ref().is_err_and(|error| !is_unsupported(error))) {
            // It says nothing about the kernel: the interface is gone, say, or a capability is missing.
            return Ok(());
        }
        let read = requests.exchange([request::get_neighbour(first.key)]).await?;
        if read.into_iter().any(|reply| reply.is_ok_and(is_managed)) {
            self.mode = Mode::Managed;
            return Ok(());
        }
        self.mode = Mode::Probing;
        tracing::warn!(
            "this kernel keeps no managed neighbour entries (Linux 5.16 and later do): probing every {PROBE_INTERVAL:?}"
        );
        requests.exchange([request::remove_neighbour(first.key)]).await?;
        Ok(())
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

fn is_managed(reply: Option<RouteNetlinkMessage>) -> bool {
    matches!(reply.and_then(decode::event), Some(Event::NeighbourChanged(_, neighbour)) if neighbour.managed)
}

/// Logs one line about all that failed: a node without the capability would fail for each of thousands.
fn report(what: &str, replies: impl Iterator<Item = (NeighbourKey, Reply)>) {
    // Where somebody made or removed an entry at the same moment, the event about it decides what follows.
    let raced = |error: &io::Error| matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound);
    let mut failed = replies.filter_map(|(key, reply)| Some((key, reply.err().filter(|error| !raced(error))?)));
    let Some((NeighbourKey { interface, address }, error)) = failed.next() else { return };
    let others = failed.count();
    if error.kind() == io::ErrorKind::PermissionDenied {
        tracing::warn!(%address, interface, others, "cannot {what} neighbour entries: give the agent CAP_NET_ADMIN");
    } else {
        tracing::info!(%address, interface, others, %error, "cannot {what} neighbour entries now: trying again later");
    }
}
