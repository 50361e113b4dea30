//! The two netlink sockets: one receives events, one carries requests.
//!
//! They are apart so that a storm of events cannot crowd out an answer, and they are read here rather than by
//! `rtnetlink`'s connection task because loss must be noticed in place: an overrun means a full reading, an answer that
//! does not come is an error, and look-ups travel many to a datagram.

use std::{ffi::c_int, io, net::IpAddr, time::Duration};

use bytes::BytesMut;
use futures::FutureExt as _;
use netlink_packet_core::{
    DecodeError, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::time::timeout;

use super::{
    decode,
    facts::{Event, Reading, RouteAnswer, Scope},
    request::{self, Request},
};

/// Requests in one datagram. Their answers must fit the receive buffer together, whatever `net.core.rmem_default` says.
const BATCH: usize = 32;

/// The kernel answers while it takes the request: an answer that is not there by then is lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Linux sends dumps in datagrams of up to 32 KiB.
const DATAGRAM: usize = 64 * 1024;

/// Wanted size of the event buffer, in bytes; the kernel caps it at `net.core.rmem_max`.
const EVENT_BUFFER: c_int = 4 << 20;

/// A dump that the tables changed under is repeated this often, then taken as it is: events and the next reading mend it.
const DUMP_ATTEMPTS: usize = 5;

/// Multicast groups, `RTNLGRP_*` in Linux' `rtnetlink.h`: link, neighbour, IPv4 and IPv6 address, route and rule,
/// nexthop objects.
const GROUPS: [u32; 9] = [1, 3, 5, 7, 8, 9, 11, 19, 32];

/// `RTM_NEWNEXTHOP` and `RTM_DELNEXTHOP`, which `netlink-packet-route` does not know.
const NEXTHOP_MESSAGES: [u16; 2] = [104, 105];

const ENOBUFS: i32 = 105;

/// Netlink does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The socket cannot be opened.
    #[error("cannot open a netlink socket: check that the service may use AF_NETLINK (RestrictAddressFamilies=)")]
    Open(#[source] io::Error),
    /// Sending or receiving failed.
    #[error("cannot exchange messages over netlink: start the agent again; if it recurs, look at the kernel's log")]
    Exchange(#[source] io::Error),
    /// An answer was lost.
    #[error("the kernel did not answer over netlink within {ANSWER_TIMEOUT:?}: start the agent again")]
    Unanswered,
    /// A datagram cannot be taken apart.
    #[error("a netlink datagram is malformed: start the agent again and report the kernel's version")]
    Malformed(#[source] DecodeError),
    /// The kernel refused to list a table.
    #[error("the kernel refused to list links, addresses or neighbours")]
    Dump(#[source] io::Error),
}

/// Events, in order.
pub(super) struct Events {
    socket: TokioSocket,
    buffer: BytesMut,
}

/// What came from the event socket.
#[derive(Debug)]
pub(super) enum Received {
    /// These changes, as far as they matter.
    Events(Vec<Event>),
    /// Changes were lost: everything has to be read again.
    Lost,
}

impl Events {
    /// Subscribes, in the network namespace of the calling thread.
    pub(super) fn subscribe() -> Result<Self, SocketError> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(SocketError::Open)?;
        let inner = socket.socket_mut();
        inner.bind(&SocketAddr::new(0, 0)).map_err(SocketError::Open)?;
        inner.set_rx_buf_sz(EVENT_BUFFER).map_err(SocketError::Open)?;
        for group in GROUPS {
            inner.add_membership(group).map_err(SocketError::Open)?;
        }
        Ok(Self { socket, buffer: BytesMut::with_capacity(DATAGRAM) })
    }

    /// Waits for one datagram. Nothing is lost when the future is dropped.
    pub(super) async fn receive(&mut self) -> Result<Received, SocketError> {
        match receive(&self.socket, &mut self.buffer).await {
            Ok(()) => Ok(events_in(&self.buffer)),
            Err(error) if error.raw_os_error() == Some(ENOBUFS) => Ok(Received::Lost),
            Err(error) => Err(SocketError::Exchange(error)),
        }
    }

    /// One datagram that is there already, if any.
    pub(super) fn receive_now(&mut self) -> Option<Result<Received, SocketError>> {
        self.receive().now_or_never()
    }
}

fn events_in(datagram: &[u8]) -> Received {
    let mut events = Vec::new();
    for message in messages(datagram) {
        let Ok((header, bytes)) = message else { return Received::Lost };
        if NEXTHOP_MESSAGES.contains(&header.message_type()) {
            events.push(Event::RoutesChanged(Scope::Everything));
            continue;
        }
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) {
            Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) => {
                events.extend(decode::event(message));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a netlink event cannot be decoded: reading everything again");
                return Received::Lost;
            }
        }
    }
    Received::Events(events)
}

/// Requests and their answers, one exchange at a time.
pub(super) struct Requests {
    socket: TokioSocket,
    buffer: BytesMut,
    sequence: u32,
}

/// The kernel's answer to one request: a message, or an acknowledgement without one.
pub(super) type Reply = Result<Option<RouteNetlinkMessage>, io::Error>;

impl Requests {
    /// Opens the socket, in the network namespace of the calling thread.
    pub(super) fn open() -> Result<Self, SocketError> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE).map_err(SocketError::Open)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0)).map_err(SocketError::Open)?;
        Ok(Self { socket, buffer: BytesMut::with_capacity(DATAGRAM), sequence: 0 })
    }

    /// Reads links, addresses and neighbours.
    pub(super) async fn read_tables(&mut self) -> Result<Reading, SocketError> {
        let mut reading = Reading::default();
        for table in [request::links(), request::addresses(), request::neighbours()] {
            for message in self.dump(table).await? {
                decode::read(message, &mut reading);
            }
        }
        Ok(reading)
    }

    /// Asks for the routes to these destinations; the answers come in the same order.
    pub(super) async fn look_up(
        &mut self,
        destinations: Vec<IpAddr>,
    ) -> Result<Vec<(IpAddr, RouteAnswer)>, SocketError> {
        let replies = self.exchange(destinations.iter().copied().map(request::route)).await?;
        Ok(destinations.into_iter().zip(replies.into_iter().map(decode::answer)).collect())
    }

    /// Sends requests, each of which has exactly one answer, and returns the answers in the same order.
    pub(super) async fn exchange(
        &mut self,
        requests: impl IntoIterator<Item = Request>,
    ) -> Result<Vec<Reply>, SocketError> {
        let mut replies = Vec::new();
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let batch = requests.by_ref().take(BATCH).collect();
            replies.extend(self.exchange_batch(batch).await?);
        }
        Ok(replies)
    }

    async fn exchange_batch(&mut self, batch: Vec<Request>) -> Result<Vec<Reply>, SocketError> {
        let first = self.sequence.wrapping_add(1);
        let mut replies: Vec<Option<Reply>> = batch.iter().map(|_| None).collect();
        self.send(batch).await?;
        let mut missing = replies.len();
        while missing > 0 {
            self.receive_answers().await?;
            for message in messages(&self.buffer) {
                let (header, bytes) = message.map_err(SocketError::Malformed)?;
                let position = header.sequence_number().wrapping_sub(first) as usize;
                if let Some(reply @ None) = replies.get_mut(position) {
                    *reply = Some(reply_in(bytes));
                    missing -= 1;
                }
            }
        }
        Ok(replies.into_iter().flatten().collect())
    }

    async fn dump(&mut self, table: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, SocketError> {
        let mut attempts = 1..=DUMP_ATTEMPTS;
        loop {
            attempts.next();
            let (rows, consistent) = self.dump_once(table.clone()).await?;
            if consistent || attempts.is_empty() {
                return Ok(rows);
            }
        }
    }

    async fn dump_once(&mut self, table: RouteNetlinkMessage) -> Result<(Vec<RouteNetlinkMessage>, bool), SocketError> {
        self.send(vec![Request { message: table, flags: NLM_F_DUMP }]).await?;
        let (mut rows, mut consistent) = (Vec::new(), true);
        loop {
            self.receive_answers().await?;
            for message in messages(&self.buffer) {
                let (header, bytes) = message.map_err(SocketError::Malformed)?;
                if header.sequence_number() != self.sequence {
                    continue;
                }
                consistent &= header.flags() & NLM_F_DUMP_INTR == 0;
                match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).map(|message| message.payload) {
                    Ok(NetlinkPayload::InnerMessage(row)) => rows.push(row),
                    Ok(NetlinkPayload::Done(done)) if done.code < 0 => {
                        return Err(SocketError::Dump(io::Error::from_raw_os_error(-done.code)));
                    }
                    Ok(NetlinkPayload::Done(_)) => return Ok((rows, consistent)),
                    Ok(NetlinkPayload::Error(error)) => return Err(SocketError::Dump(error.to_io())),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(%error, "a netlink table row cannot be decoded and is left out"),
                }
            }
        }
    }

    async fn send(&mut self, requests: Vec<Request>) -> Result<(), SocketError> {
        let mut datagram = Vec::with_capacity(requests.len() * 64);
        for Request { message, flags } in requests {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | flags;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
            message.finalize();
            let start = datagram.len();
            datagram.resize(start + message.buffer_len().next_multiple_of(ALIGNMENT), 0);
            message.serialize(&mut datagram[start..]);
        }
        let kernel = SocketAddr::new(0, 0);
        timeout(ANSWER_TIMEOUT, self.socket.send_to(&datagram, &kernel))
            .await
            .map_err(|_| SocketError::Unanswered)?
            .map(|_| ())
            .map_err(SocketError::Exchange)
    }

    async fn receive_answers(&mut self) -> Result<(), SocketError> {
        timeout(ANSWER_TIMEOUT, receive(&self.socket, &mut self.buffer))
            .await
            .map_err(|_| SocketError::Unanswered)?
            .map_err(SocketError::Exchange)
    }
}

/// Netlink messages in a datagram start at multiples of this (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

async fn receive(socket: &TokioSocket, buffer: &mut BytesMut) -> io::Result<()> {
    buffer.clear();
    buffer.reserve(DATAGRAM);
    socket.recv(buffer).await
}

fn reply_in(bytes: &[u8]) -> Reply {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes).map(|message| message.payload) {
        Ok(NetlinkPayload::InnerMessage(message)) => Ok(Some(message)),
        Ok(NetlinkPayload::Error(error)) if error.code.is_some() => Err(error.to_io()),
        Ok(_) => Ok(None),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// The messages of a datagram: header and bytes of each.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<(NetlinkBuffer<&[u8]>, &[u8]), DecodeError>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let message = NetlinkBuffer::new_checked(datagram).map(|header| {
            let length = header.length() as usize;
            (header, &datagram[..length])
        });
        let taken = message.as_ref().map_or(datagram.len(), |(_, bytes)| bytes.len().next_multiple_of(ALIGNMENT));
        datagram = datagram.get(taken..).unwrap_or_default();
        Some(message)
    })
}
