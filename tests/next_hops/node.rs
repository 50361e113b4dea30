//! A node under test with its surroundings, and a watcher that runs on the node.
//!
//! ```text
//!     node -- eth0 ----- eth0 -- near      10.0.0.1/24  - 10.0.0.2/24    fd00:0::1/64 - fd00:0::2/64
//!          -- eth1 ----- eth1 -- near      10.0.1.1/24  - 10.0.1.2/24    fd00:1::1/64 - fd00:1::2/64
//! ```

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lb_agent::next_hops::{self, Mac, NextHops};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    watch,
};
use xdp_lb::model::{NextHopKey, NextHopSpec};
use xdp_lb_tests::bed::{Namespace, Scratch};

/// Long enough for everything that is not bound to one of the kernel's own timers.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// The node and the other end of its links.
pub(crate) struct Node {
    own: Namespace,
    near: Namespace,
    scratch: Scratch,
}

impl Node {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::create().expect("a directory");
        let create = |name| Namespace::create(format!("{}-{name}", scratch.name())).expect("a namespace");
        let (own, near) = (create("node"), create("near"));
        for (namespace, host, other) in [(&own, 1, Some(&near)), (&near, 2, None)] {
            run(namespace, "ip link set lo up");
            for link in 0..2 {
                if let Some(other) = other {
                    let peer = other.name();
                    run(namespace, &format!("ip link add eth{link} type veth peer name eth{link} netns {peer}"));
                }
                run(namespace, &format!("ip address add 10.0.{link}.{host}/24 dev eth{link}"));
                run(namespace, &format!("ip address add fd00:{link}::{host}/64 dev eth{link} nodad"));
                run(namespace, &format!("ip link set eth{link} up"));
            }
        }
        Self { own, near, scratch }
    }

    /// Runs a command on the node.
    pub(crate) fn run(&self, command: &str) -> String {
        run(&self.own, command)
    }

    /// Runs `ip` on the node once for many commands.
    pub(crate) fn run_batch(&self, commands: &str) {
        let file = self.scratch.path().join("batch");
        std::fs::write(&file, commands).expect("to write the batch");
        self.run(&format!("ip -batch {}", file.display()));
    }

    /// Runs a command at the other end.
    pub(crate) fn run_near(&self, command: &str) -> String {
        run(&self.near, command)
    }

    /// MAC of an interface at the other end.
    pub(crate) fn near_mac(&self, interface: &str) -> Mac {
        mac_of(&self.near, interface)
    }

    /// MAC of an interface of the node.
    pub(crate) fn mac(&self, interface: &str) -> Mac {
        mac_of(&self.own, interface)
    }

    /// Index of an interface of the node.
    pub(crate) fn index(&self, interface: &str) -> u32 {
        let line = self.run(&format!("ip -o link show dev {interface}"));
        line.split(':').next().and_then(|index| index.parse().ok()).expect("an index")
    }

    /// Starts a watcher on the node.
    pub(crate) fn watch(&self, destinations: &[&str]) -> Watcher {
        Watcher::start(self, destinations.iter().map(|address| parse(address)).collect())
    }
}

fn run(namespace: &Namespace, command: &str) -> String {
    let mut words = command.split_whitespace();
    let program = words.next().expect("a program");
    namespace.run(program, &words.collect::<Vec<_>>()).expect("the command succeeds")
}

fn mac_of(namespace: &Namespace, interface: &str) -> Mac {
    let line = run(namespace, &format!("ip -o link show dev {interface}"));
    let mut words = line.split_whitespace().skip_while(|word| *word != "link/ether");
    let octets = words.nth(1).expect("a MAC").split(':').map(|octet| u8::from_str_radix(octet, 16).expect("an octet"));
    octets.collect::<Vec<_>>().try_into().expect("six octets")
}

pub(crate) fn parse(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A watcher on a thread of its own inside the node; it ends when this is dropped.
pub(crate) struct Watcher {
    destinations: Option<watch::Sender<BTreeSet<IpAddr>>>,
    published: Receiver<Arc<NextHops>>,
    current: Arc<NextHops>,
    pauses: UnboundedSender<Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    pub(crate) fn start(node: &Node, destinations: BTreeSet<IpAddr>) -> Self {
        let (sender, receiver) = watch::channel(destinations);
        let (publish, published) = mpsc::channel();
        let (pauses, asked) = unbounded_channel();
        let namespace = std::fs::File::open(format!("/run/netns/{}", node.own.name())).expect("the namespace");
        let thread = thread::spawn(move || {
            nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET).expect("to enter the namespace");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.spawn(pause_when_asked(asked));
            runtime.block_on(follow(receiver, publish));
        });
        let current = published.recv_timeout(SOON).expect("a first value");
        Self { destinations: Some(sender), published, current, pauses, thread: Some(thread) }
    }

    /// What was published last, as far as it was looked at.
    pub(crate) fn current(&self) -> &NextHops {
        &self.current
    }

    /// Follows other destinations from now on.
    pub(crate) fn set(&self, destinations: impl IntoIterator<Item = IpAddr>) {
        let sender = self.destinations.as_ref().expect("it runs");
        sender.send(destinations.into_iter().collect()).expect("the watcher listens");
    }

    /// Does `work` while the watcher gets no time to run.
    pub(crate) fn while_paused(&self, work: impl FnOnce()) {
        // A channel without buffer: the first message is taken when the pause has begun, dropping the sender ends it.
        let (gate, paused) = mpsc::sync_channel(0);
        self.pauses.send(paused).expect("the watcher's thread runs");
        gate.send(()).expect("the pause begins");
        work();
    }

    /// Waits for a published value that satisfies `holds`; how long it took.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&NextHops) -> bool) -> Duration {
        self.within(SOON, what, holds)
    }

    /// Like [`Watcher::until`] with a limit of one's own.
    pub(crate) fn within(&mut self, limit: Duration, what: &str, holds: impl Fn(&NextHops) -> bool) -> Duration {
        let started = Instant::now();
        while !holds(&self.current) {
            let left = limit.saturating_sub(started.elapsed());
            let Ok(next) = self.published.recv_timeout(left) else {
                panic!("waited {limit:?} in vain for {what}; the last value is {:#?}", self.current);
            };
            self.current = next;
        }
        started.elapsed()
    }

    /// Every value that is published until nothing has come for `quiet`.
    pub(crate) fn values_until_quiet(&mut self, quiet: Duration) -> Vec<Arc<NextHops>> {
        let values: Vec<_> = std::iter::from_fn(|| self.published.recv_timeout(quiet).ok()).collect();
        if let Some(last) = values.last() {
            self.current = Arc::clone(last);
        }
        values
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.destinations.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the watcher ends cleanly");
        }
    }
}

/// Blocks the thread, and so everything on it, for as long as the other end wants.
async fn pause_when_asked(mut asked: UnboundedReceiver<Receiver<()>>) {
    while let Some(gate) = asked.recv().await {
        gate.iter().for_each(drop);
    }
}

async fn follow(destinations: watch::Receiver<BTreeSet<IpAddr>>, publish: mpsc::Sender<Arc<NextHops>>) {
    let mut watching = next_hops::watch(destinations).await.expect("the watcher starts");
    loop {
        let current = watching.next_hops.borrow_and_update().clone();
        if publish.send(current).is_err() || watching.next_hops.changed().await.is_err() {
            break;
        }
    }
    drop(publish);
    watching.task.await.expect("no panic").expect("no error");
}

/// The next hop of a destination.
pub(crate) fn next_hop(next_hops: &NextHops, destination: &str) -> Option<(NextHopKey, NextHopSpec)> {
    let key = next_hops.routes.get(&parse(destination))?;
    Some((*key, next_hops.next_hops[key]))
}

/// The MAC that packets to a destination are sent to.
pub(crate) fn mac_towards(next_hops: &NextHops, destination: &str) -> Option<Mac> {
    next_hop(next_hops, destination).and_then(|(_, spec)| spec.neighbour_mac)
}

/// The problem with a destination.
pub(crate) fn problem<'a>(next_hops: &'a NextHops, destination: &str) -> &'a str {
    next_hops.problems.get(&parse(destination)).map_or("", String::as_str)
}
