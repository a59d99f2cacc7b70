//! The same with the kernel's programs: names are learned for the snapshot that is enforced.

use crate::holding::held;
use crate::scene::{PROGRAM, Scene, forwarder};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

#[test]
fn programs_let_pass_what_is_answered_and_nothing_else() {
    let Some(scene) = Scene::with_programs("programs_let_pass_what_is_answered_and_nothing_else") else { return };
    held(&scene);
}

/// An explicit deny of an address holds, whatever name has it.
#[test]
fn programs_deny_an_address_whatever_its_name() {
    let Some(scene) = Scene::with_programs("programs_deny_an_address_whatever_its_name") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let found = scene.pod(|| crate::ask::tcp(forwarder(), "many.example.com"));
    let denied = Ipv4Addr::new(198, 18, 200, 7);
    assert!(found.len() == 60 && found.contains(&denied));
    assert!(found.iter().all(|address| scene.passes(*address) == (*address != denied)));
    // What `trace` says is what packets meet.
    let known = scene.run(&["trace", &format!("10.42.0.5 to {}:443/tcp", found[0])]);
    assert!(known.contains("passes") && known.contains("**.example.com, moved.example.net"), "{known}");
    let unknown = scene.run(&["trace", &format!("10.42.0.9 to {}:443/tcp", found[0])]);
    assert!(unknown.contains("is denied") && unknown.contains("**.example.com"), "{unknown}");
    let never = scene.run(&["trace", &format!("10.42.0.5 to {denied}:443/tcp")]);
    assert!(never.contains("never#1") && !never.contains("example.com"), "{never}");
}

/// What ends is denied again; what is in use is kept.
#[test]
fn programs_forget_what_has_ended() {
    let Some(scene) = Scene::with_programs("programs_forget_what_has_ended") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--grace", "2", "--keep-used", "0"]);
    let found = scene.look_up(forwarder(), "short.example.com");
    assert!(scene.passes(found[0]));
    until("it has ended", || !scene.passes(found[0]));
    assert_eq!(scene.counted("kept longer because they are in use"), 0);
    until("the agent has noticed", || scene.counted("expired") > 0);
}

#[test]
fn programs_keep_what_is_in_use() {
    let Some(scene) = Scene::with_programs("programs_keep_what_is_in_use") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--grace", "3", "--keep-used", "60"]);
    let found = scene.look_up(forwarder(), "short.example.com");
    let begin = Instant::now();
    // It would end after four seconds.
    while begin.elapsed() < Duration::from_secs(10) {
        assert!(scene.passes(found[0]), "after {:?}", begin.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(scene.counted("kept longer because they are in use") > 0);
}

/// A killed agent leaves what it learned, and the next one takes it over; another snapshot with the same rules loses nothing,
/// and one without them closes what they opened.
#[test]
fn programs_outlive_agents_and_snapshots() {
    let Some(scene) = Scene::with_programs("programs_outlive_agents_and_snapshots") else { return };
    let agent = scene.agent(&["--listen", &forwarder().to_string()]);
    let found = scene.look_up(forwarder(), "api.example.com");
    drop(agent);
    assert!(scene.passes(found[0]));
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    // Once for each pattern of the set.
    assert_eq!(scene.counted("found in the kernel"), 2);
    let file = scene.folder.path().join("egress.egb").display().to_string();
    scene.load(2, PROGRAM);
    scene.run(&["load", &file]);
    assert!(scene.passes(found[0]));
    scene.load(3, &PROGRAM.replace("**.example.com", "**.example.org"));
    scene.run(&["load", &file]);
    assert!(!scene.passes(found[0]));
    until("the new names are read", || {
        let found = scene.look_up(forwarder(), "cdn.example.org");
        scene.passes(found[0])
    });
}

/// Loading and learning in one process.
#[test]
fn programs_are_loaded_by_whoever_learns() {
    let Some(scene) = Scene::with_programs("programs_are_loaded_by_whoever_learns") else { return };
    scene.load(2, &PROGRAM.replace("198.18.200.7", "198.18.200.8"));
    let file = scene.folder.path().join("egress.egb").display().to_string();
    let listen = forwarder().to_string();
    let _agent = scene.start(&["run", &file, "--resolver", "192.0.2.1:53", "--listen", &listen]);
    let found = scene.pod(|| crate::ask::tcp(forwarder(), "many.example.com"));
    let denied = Ipv4Addr::new(198, 18, 200, 8);
    assert!(found.iter().all(|address| scene.passes(*address) == (*address != denied)));
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}: not yet");
        std::thread::sleep(Duration::from_millis(200));
    }
}
