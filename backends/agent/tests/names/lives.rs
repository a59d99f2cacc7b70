//! Lives of what was learned: it ends, outlives the agent, and comes back after a reload.

use crate::scene::{POD, Scene, forwarder, policy, soon};
use nix::sys::signal::Signal;
use std::net::Ipv4Addr;
use std::process::Command;

const API: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const SHORT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);

/// Nobody looks at it or sends to it: the kernel forgets it by itself, the agent too.
#[test]
fn what_has_ended_does_not_pass() {
    let Some(scene) = Scene::for_test("what_has_ended_does_not_pass") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--grace", "1"]);
    assert_eq!(scene.look_up(forwarder(), "short.example.com"), [SHORT]);
    assert!(soon(|| scene.counted("expired") == 1));
    assert!(!scene.passes(SHORT));
}

/// While packets go there, an address outlives its time; and no longer than is allowed.
#[test]
fn what_is_in_use_is_kept_up_to_a_bound() {
    let Some(scene) = Scene::for_test("what_is_in_use_is_kept_up_to_a_bound") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--grace", "4", "--keep-used", "12"]);
    scene.look_up(forwarder(), "short.example.com");
    assert!(soon(|| {
        scene.passes(SHORT);
        scene.counted("kept longer because they are in use") > 0
    }));
    assert!(soon(|| !scene.passes(SHORT)), "it is kept for ever");
}

#[test]
fn an_agent_that_was_killed_leaves_what_it_learned() {
    let Some(scene) = Scene::for_test("an_agent_that_was_killed_leaves_what_it_learned") else { return };
    let listen = forwarder().to_string();
    let agent = scene.agent(&["--listen", &listen]);
    scene.look_up(forwarder(), "api.example.com");
    drop(agent);
    assert!(scene.passes(API));
    let _agent = scene.agent(&["--listen", &listen]);
    assert_eq!(scene.counted("found in the kernel"), 1);
    assert!(scene.passes(API));
}

/// `nft -f` with an empty table: the agent puts back what it knows.
#[test]
fn a_reload_by_nft_is_filled_again() {
    let Some(scene) = Scene::for_test("a_reload_by_nft_is_filled_again") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    scene.look_up(forwarder(), "api.example.com");
    scene.lab.node().nft(&format!("delete table inet egressc\n{}", policy())).unwrap();
    assert!(soon(|| scene.passes(API)));
    assert_eq!(scene.counted("put back after a reload"), 1);
}

/// `names load`: nobody else is needed, not even an agent that runs.
#[test]
fn a_reload_by_the_agent_loses_nothing() {
    let Some(scene) = Scene::for_test("a_reload_by_the_agent_loses_nothing") else { return };
    drop({
        let agent = scene.agent(&["--listen", &forwarder().to_string()]);
        scene.look_up(forwarder(), "api.example.com");
        agent
    });
    let text = policy();
    let (head, table) = text.split_once('\n').unwrap();
    std::fs::write(scene.file(), format!("{head}\ndelete table inet egressc\n{table}")).unwrap();
    let file = scene.file().display().to_string();
    let load = || Command::new(env!("CARGO_BIN_EXE_egress-agent")).args(["names", "load", &file]).output().unwrap();
    let output = scene.lab.node().run(load).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scene.passes(API));
    // A policy under which the pod may not use the name takes it away.
    let other = std::fs::read_to_string(scene.file()).unwrap().replace(&POD.to_string(), "10.42.0.6");
    std::fs::write(scene.file(), other).unwrap();
    assert!(scene.lab.node().run(load).unwrap().status.success());
    assert!(!scene.passes(API));
}

/// A name that has another address: the new one passes at once, the old one no longer than it would have.
#[test]
fn a_name_that_moves_leaves_its_old_address() {
    let Some(scene) = Scene::for_test("a_name_that_moves_leaves_its_old_address") else { return };
    let (old, new) = (Ipv4Addr::new(198, 18, 0, 20), Ipv4Addr::new(198, 18, 0, 21));
    let listen = forwarder().to_string();
    let _agent = scene.agent(&["--listen", &listen, "--grace", "2", "--keep-used", "0"]);
    assert_eq!(scene.look_up(forwarder(), "moves.example.com"), [old]);
    assert!(scene.passes(old) && !scene.passes(new));
    scene.move_name("198.18.0.21 moves.example.com\n");
    let mut found = Vec::new();
    assert!(soon(|| {
        found = scene.look_up(forwarder(), "moves.example.com");
        found == [new]
    }));
    assert!(scene.passes(new));
    // Packets go there all the time, which does not keep it: this agent keeps nothing that is in use.
    assert!(soon(|| !scene.passes(old)), "the old address is kept");
    scene.look_up(forwarder(), "moves.example.com");
    assert!(scene.passes(new) && !scene.passes(old));
}

/// The file changes under the agent: what the pod may not use any more is taken from the kernel.
#[test]
fn a_changed_file_is_the_policy_from_then_on() {
    let Some(scene) = Scene::for_test("a_changed_file_is_the_policy_from_then_on") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string()]);
    scene.look_up(forwarder(), "api.example.com");
    assert!(scene.passes(API));
    std::fs::write(scene.file(), policy().replace(&POD.to_string(), "10.42.0.6")).unwrap();
    assert!(soon(|| !scene.passes(API)), "what the policy took away still passes");
    scene.look_up(forwarder(), "api.example.com");
    assert!(!scene.passes(API));
    assert_eq!((scene.known(), scene.counted("from clients that the policy does not know")), (0, 1));
}

/// A file that bears the time of the one before it is read when the agent is told to.
#[test]
fn a_signal_makes_it_read_the_policy() {
    let Some(scene) = Scene::for_test("a_signal_makes_it_read_the_policy") else { return };
    let agent = scene.agent(&["--listen", &forwarder().to_string()]);
    scene.look_up(forwarder(), "api.example.com");
    let time = std::fs::metadata(scene.file()).unwrap().modified().unwrap();
    let other = scene.file().with_extension("new");
    std::fs::write(&other, policy().replace(&POD.to_string(), "10.42.0.6")).unwrap();
    std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    std::fs::rename(&other, scene.file()).unwrap();
    agent.signal(Signal::SIGHUP);
    assert!(soon(|| !scene.passes(API)), "the signal is not heard");
    assert_eq!(scene.known(), 0);
}

#[test]
fn what_is_too_much_is_forgotten() {
    let Some(scene) = Scene::for_test("what_is_too_much_is_forgotten") else { return };
    let _agent = scene.agent(&["--listen", &forwarder().to_string(), "--most", "8"]);
    scene.look_up(forwarder(), "api.example.com");
    for at in 0..20 {
        scene.look_up(forwarder(), &format!("n{at}.example.com"));
    }
    let status = scene.status().unwrap();
    assert_eq!(status["known"].as_array().unwrap().len(), 8);
    assert_eq!(scene.counted("forgotten for want of room"), 13);
    let listed = scene.lab.node().nft_read(&["list", "set", "inet", "egressc", "host4/any/example.com"]).unwrap();
    assert_eq!(listed.matches("10.42.0.5 . ").count(), 8, "{listed}");
}
