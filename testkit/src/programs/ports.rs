//! Port sets with numbers at the borders of ranges and protocols.

use super::Builder;
use crate::seed::Rng;
use egress_ir::{PortSet, protocol};

/// Numbers around which ranges begin and end.
const NUMBERS: [u16; 14] = [0, 1, 22, 53, 79, 80, 81, 443, 444, 5432, 6440, 8080, 65534, 65535];

/// ICMP and ICMPv6 types; types 0 and 255 are the ends.
const TYPES: [u8; 8] = [0, 3, 8, 11, 128, 129, 135, 255];

/// Other IP protocols: GRE, ESP, and the ends of the line.
const OTHERS: [u8; 4] = [0, 47, 50, 255];

impl Builder<'_> {
    /// A random set of ports.
    pub(super) fn port_set(&mut self) -> PortSet {
        if self.shape.empty_sets && self.rng.chance(2) {
            return PortSet::empty();
        }
        if self.rng.chance(25) {
            return PortSet::any();
        }
        let parts = self.rng.between(1, 4);
        (0..parts).fold(PortSet::empty(), |set, _| set.union(&self.port_part()))
    }

    fn port_part(&mut self) -> PortSet {
        let (v4, v6) = (protocol::ICMP, protocol::ICMPV6);
        let icmp = if self.shape.v6 && self.rng.chance(50) { v6 } else { v4 };
        match self.rng.between(0, 99) {
            0..15 if self.shape.icmp_types => self.icmp_part(icmp),
            15..20 if self.shape.whole_icmp => PortSet::protocol(icmp),
            20..25 if self.shape.other_protocols => PortSet::protocol(number_of(self.rng, &OTHERS)),
            _ => transport_part(self.rng),
        }
    }

    fn icmp_part(&mut self, icmp: u8) -> PortSet {
        let mut kind = number_of(self.rng, &TYPES);
        if kind == 0 && !self.shape.icmp_type_zero {
            kind = 8;
        }
        if self.shape.icmp_codes && self.rng.chance(20) {
            let code = u16::from(number_of(self.rng, &[0u8, 1, 4, 255]));
            let number = u16::from(kind) << 8 | code;
            return PortSet::numbers(icmp, number, number);
        }
        PortSet::icmp_type(icmp, kind)
    }
}

/// Ports of TCP, UDP or SCTP: one, a range, or all.
fn transport_part(rng: &mut Rng) -> PortSet {
    let protocol = number_of(rng, &[protocol::TCP, protocol::TCP, protocol::UDP, protocol::SCTP]);
    let (a, b) = (number_of(rng, &NUMBERS), number_of(rng, &NUMBERS));
    match rng.below(10) {
        0 => PortSet::protocol(protocol),
        1..5 => PortSet::numbers(protocol, a.min(b), a.max(b)),
        _ => PortSet::numbers(protocol, a, a),
    }
}

fn number_of<T: Copy + Default>(rng: &mut Rng, numbers: &[T]) -> T {
    rng.choose(numbers).copied().unwrap_or_default()
}
