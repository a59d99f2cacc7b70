//! Holding: whatever is answered is known to the kernel before its client has the answer.

use crate::ask;
use crate::scene::{NAMES, POD, Scene, address, forwarder};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Counts, outside, what came before its name was looked up (port 9), and what came to addresses that no name has.
const COUNTING: &str = "table inet seen {
  counter early { }
  counter foreign { }
  chain raw { type filter hook prerouting priority raw; policy accept;
    udp dport 9 counter name early drop
    ip daddr 198.18.240.0/24 counter name foreign drop
  }
}
";

/// `EGRESS_CASES` look-ups, each followed by a datagram that must be answered and preceded by one that must not arrive.
#[test]
fn what_is_answered_passes_and_nothing_else_does() {
    let Some(scene) = Scene::for_test("what_is_answered_passes_and_nothing_else_does") else { return };
    held(&scene);
}

/// Whatever it is that enforces.
#[expect(clippy::print_stderr, reason = "people want to see how much was tried")]
pub(crate) fn held(scene: &Scene) {
    let cases: u32 = std::env::var("EGRESS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    scene.lab.outside().nft(COUNTING).unwrap();
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--grace", "0", "--min-ttl", "0"]);
    let (blocked, lost, early) = scene.pod(|| turns(cases));
    let arrived = |name| scene.lab.outside().nft_counter("inet seen", name).unwrap();
    eprintln!(
        "{cases} look-ups: {blocked} blocked, {lost} not answered, {early} sent before; arrived: {}",
        arrived("early")
    );
    assert!(cases > 0 && early > 0);
    assert_eq!((arrived("early"), arrived("foreign")), (0, 0), "what no name allows has left");
    assert_eq!((blocked, lost), (0, 0));
}

fn turns(cases: u32) -> (u32, u32, u32) {
    let (server, begin) = (ask::socket(forwarder()), Instant::now());
    let mut asked = vec![None::<Duration>; NAMES as usize];
    let socket = UdpSocket::bind((POD, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let (mut blocked, mut lost, mut early) = (0, 0, 0);
    for case in 0..cases {
        assert!(blocked + lost < 20, "after {case} look-ups: {blocked} blocked, {lost} not answered");
        let at = case % NAMES;
        // What was known is forgotten after a second; what is close to that may be either.
        let old = asked[at as usize].is_none_or(|last| begin.elapsed() - last > Duration::from_secs(4));
        if old {
            socket.send_to(b"early", (address(at), 9)).unwrap();
            early += 1;
        }
        socket.send_to(b"never", ("198.18.240.1", 7777)).unwrap();
        let Some((found, _)) = ask::udp(&server, case as u16, &format!("n{at}.example.com")) else {
            lost += 1;
            continue;
        };
        assert_eq!(found, [address(at)]);
        asked[at as usize] = Some(begin.elapsed());
        blocked += u32::from(!ask::is_answered(&socket, address(at)));
    }
    (blocked, lost, early)
}

/// An answer that is too long for a datagram comes again over TCP, and all of it is known.
#[test]
fn a_truncated_answer_is_asked_for_again() {
    let Some(scene) = Scene::for_test("a_truncated_answer_is_asked_for_again") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let (_, truncated) = scene.pod(|| ask::udp(&ask::socket(forwarder()), 5, "many.example.com")).unwrap();
    assert!(truncated);
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 0);
    let found = scene.pod(|| ask::tcp(forwarder(), "many.example.com"));
    assert_eq!(found.len(), 60);
    assert!(found.iter().all(|address| scene.passes(*address)));
    assert_eq!(scene.status().unwrap()["known"].as_array().unwrap().len(), 60);
}

/// The name that was asked for counts, not those that its aliases lead to.
#[test]
fn an_alias_is_followed() {
    let Some(scene) = Scene::for_test("an_alias_is_followed") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let found = scene.look_up(forwarder(), "cdn.example.org");
    assert!(!found.is_empty() && !scene.passes(found[0]), "its own name has no rule");
    let found = scene.look_up(forwarder(), "www.example.com");
    assert!(scene.passes(found[0]));
}
