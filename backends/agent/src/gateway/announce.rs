//! Telling neighbours who has an address now: gratuitous ARP (RFC 5227) and unsolicited neighbour advertisements (RFC 4861).
//!
//! In: an interface and its address. Out: frames on its link. What is lost is sent again by the next call.

use crate::failure::Failure;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, sendto, socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

const BROADCAST: [u8; 6] = [0xff; 6];
/// Where `ff02::1` is on Ethernet.
const ALL_NODES: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Says on an interface that it has an address.
pub(super) fn announce(interface: &str, address: IpAddr) -> Result<(), Failure> {
    let fails = |why: String| Failure::new(format!("cannot announce `{address}` on `{interface}`: {why}"));
    let mut all = getifaddrs().map_err(|error| fails(error.desc().to_owned()))?;
    let link = all.find_map(|one| {
        let link = one.address?.as_link_addr().copied()?;
        (one.interface_name == interface).then_some(link)
    });
    let link: LinkAddr = link.ok_or_else(|| fails("there is no such interface".to_owned()))?;
    let mac = link.addr().ok_or_else(|| fails("it has no hardware address".to_owned()))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None);
    let socket = socket.map_err(|error| fails(error.desc().to_owned()))?;
    for frame in frames(mac, address) {
        sendto(socket.as_raw_fd(), &frame, &link, MsgFlags::empty()).map_err(|error| fails(error.desc().to_owned()))?;
    }
    Ok(())
}

fn frames(mac: [u8; 6], address: IpAddr) -> Vec<Vec<u8>> {
    match address {
        // A request and an answer: some neighbours take one, some the other.
        IpAddr::V4(address) => vec![arp(mac, address, 1), arp(mac, address, 2)],
        IpAddr::V6(address) => vec![advertisement(mac, address)],
    }
}

fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend(from);
    frame.extend(ethertype.to_be_bytes());
    frame
}

fn arp(mac: [u8; 6], address: Ipv4Addr, operation: u16) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, mac, 0x0806);
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(mac);
    frame.extend(address.octets());
    frame.extend(if operation == 1 { [0; 6] } else { mac });
    frame.extend(address.octets());
    frame
}

/// With the override flag: whoever had the address before has it no more.
fn advertisement(mac: [u8; 6], address: Ipv6Addr) -> Vec<u8> {
    let (from, to) = (address.octets(), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
    // Type 136, router and override; then the target and its link-layer address (option 2, eight bytes).
    let mut message = vec![136, 0, 0, 0, 0xa0, 0, 0, 0];
    message.extend(from);
    message.extend([2, 1]);
    message.extend(mac);
    let sum = checksum(&from, &to, &message).to_be_bytes();
    message.splice(2..4, sum);
    let mut frame = ethernet(ALL_NODES, mac, 0x86dd);
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(from);
    frame.extend(to);
    frame.extend(message);
    frame
}

/// The checksum of ICMPv6, its pseudo-header included.
fn checksum(from: &[u8; 16], to: &[u8; 16], message: &[u8]) -> u16 {
    let mut bytes = from.to_vec();
    bytes.extend(to);
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, 58]);
    bytes.extend(message);
    let (pairs, _) = bytes.as_chunks::<2>();
    let mut sum: u32 = pairs.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0x65, 1, 2, 3, 4];

    #[test]
    fn an_arp_names_the_address_twice() {
        let frame = arp(MAC, Ipv4Addr::new(203, 0, 113, 10), 1);
        assert_eq!(frame.len(), 42);
        assert_eq!((&frame[..6], &frame[6..12], &frame[12..14]), (&[0xff; 6][..], &MAC[..], &[8, 6][..]));
        assert_eq!((&frame[28..32], &frame[38..42]), (&[203, 0, 113, 10][..], &[203, 0, 113, 10][..]));
    }

    /// Summed with its own checksum, a message gives zero.
    #[test]
    fn an_advertisement_has_a_right_checksum() {
        let address: Ipv6Addr = "2001:db8::10".parse().unwrap();
        let frame = advertisement(MAC, address);
        let (header, message) = frame[14..].split_at(40);
        assert_eq!((message.len(), message[0], header[6], header[7]), (32, 136, 58, 255));
        let (from, to) = (header[8..24].try_into().unwrap(), header[24..40].try_into().unwrap());
        assert_eq!(checksum(&from, &to, message), 0);
    }
}
