//! Datagrams that go on and on, and every source address that they were seen with.

use crate::cluster::{Cluster, Node, PLAIN4, PLAIN6, VIA4, VIA6};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(crate) const PORT: u16 = 4000;

/// What the outside saw: by destination, from where and how often, and when something came last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) sources: BTreeMap<(IpAddr, IpAddr), u64>,
    pub(crate) last: BTreeMap<IpAddr, Instant>,
    /// The longest time in which nothing came, once something had.
    pub(crate) silence: BTreeMap<IpAddr, Duration>,
}

/// Listeners outside, and senders in pods.
pub(crate) struct Traffic {
    seen: Arc<Mutex<Seen>>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// Where datagrams go, both kinds of both families.
pub(crate) const ALL: [&str; 4] = [VIA4, VIA6, PLAIN4, PLAIN6];

impl Traffic {
    /// Sends from every pod to every destination, each time from a fresh socket and from one that stays.
    pub(crate) fn start(cluster: &Cluster, every: Duration) -> Self {
        let traffic = Self { seen: Arc::default(), ends: Arc::default(), threads: Vec::new() };
        let mut traffic = traffic;
        for to in ALL {
            let to: IpAddr = to.parse().unwrap();
            let socket = cluster.outside.run(|| UdpSocket::bind((to, PORT)).unwrap()).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let (seen, ends) = (Arc::clone(&traffic.seen), Arc::clone(&traffic.ends));
            traffic.threads.push(std::thread::spawn(move || listen(&socket, to, &seen, &ends)));
        }
        for node in cluster.nodes.iter().filter(|node| node.pod.is_some()) {
            traffic.send(node, every);
        }
        traffic
    }

    fn send(&mut self, node: &Node, every: Duration) {
        let pod = node.pod.as_ref().unwrap();
        let bind = |to: &str| {
            let any: IpAddr = if to.contains(':') { Ipv6Addr::UNSPECIFIED.into() } else { [0, 0, 0, 0].into() };
            UdpSocket::bind((any, 0)).unwrap()
        };
        // Sockets are bound within the pod; fresh ones come out of a store of them, a port each.
        let sockets = pod.run(|| ALL.map(|to| (0..24).map(|_| bind(to)).collect::<Vec<UdpSocket>>())).unwrap();
        let ends = Arc::clone(&self.ends);
        self.threads.push(std::thread::spawn(move || {
            let mut turn = 0;
            while !ends.load(Ordering::Relaxed) {
                for (to, sockets) in ALL.iter().zip(&sockets) {
                    let to = SocketAddr::new(to.parse().unwrap(), PORT);
                    for place in [0, turn % sockets.len()] {
                        // Where nobody holds the gateway, the pod is told that there is no way.
                        let _sent = sockets[place].send_to(b"hello", to);
                    }
                }
                turn += 1;
                std::thread::sleep(every);
            }
        }));
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// When something came to a destination after `since`; panics where nothing does.
    pub(crate) fn wait_for(&self, to: &str, since: Instant) -> Duration {
        let to: IpAddr = to.parse().unwrap();
        loop {
            if let Some(last) = self.seen.lock().unwrap().last.get(&to).filter(|last| **last > since) {
                return *last - since;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "nothing comes to {to}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing has come to a destination for so long.
    pub(crate) fn wait_for_silence(&self, to: &str, long: Duration) {
        let (to, begin): (IpAddr, _) = (to.parse().unwrap(), Instant::now());
        while self.seen.lock().unwrap().last.get(&to).is_some_and(|last| last.elapsed() < long) {
            assert!(begin.elapsed() < Duration::from_secs(30), "packets still come to {to}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn end(mut self) -> Seen {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.seen()
    }
}

fn listen(socket: &UdpSocket, to: IpAddr, seen: &Mutex<Seen>, ends: &AtomicBool) {
    let mut room = [0; 64];
    while !ends.load(Ordering::Relaxed) {
        let Ok((_, from)) = socket.recv_from(&mut room) else { continue };
        let mut seen = seen.lock().unwrap();
        *seen.sources.entry((to, from.ip())).or_default() += 1;
        let now = Instant::now();
        if let Some(before) = seen.last.insert(to, now) {
            let silence = seen.silence.entry(to).or_default();
            *silence = (*silence).max(now - before);
        }
    }
}

impl Seen {
    /// Every packet that must leave through the gateway had its address, and every other one its node's.
    pub(crate) fn check(&self, cluster: &Cluster) {
        let addresses = |list: &[&str]| -> Vec<IpAddr> { list.iter().map(|one| one.parse().unwrap()).collect() };
        for ((to, from), count) in &self.sources {
            let via = addresses(&[VIA4, VIA6]).contains(to);
            let expected = if via {
                addresses(&[crate::cluster::A4, crate::cluster::A6])
            } else {
                let pods = cluster.nodes.iter().filter(|node| node.pod.is_some());
                pods.flat_map(|node| addresses(&[&node.v4, &node.v6])).collect()
            };
            assert!(expected.contains(from), "{count} packets to {to} came from {from}: {:?}", self.sources);
        }
    }

    /// How many packets came to a destination.
    pub(crate) fn count(&self, to: &str) -> u64 {
        let to: IpAddr = to.parse().unwrap();
        self.sources.iter().filter(|((at, _), _)| *at == to).map(|(_, count)| count).sum()
    }
}
