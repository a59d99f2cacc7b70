//! What can be wrong with a value, and what would be right.
//!
//! In: the refused text. Out: a message, a help and a stable code. Holds no span: the
//! reader of a policy and the reader of a list file each know their own place.

use std::borrow::Cow;

use super::{AddressRange, PortRange, Prefix};

/// Why a value was refused. Its `Display` is the message shown to people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A prefix with bits set beyond its length.
    #[error("`{text}` has host bits set")]
    HostBits {
        /// As written.
        text: String,
        /// The prefix that contains it.
        meant: Prefix,
    },
    /// Not an address.
    #[error("`{text}` is not an address")]
    Address {
        /// As written.
        text: String,
        /// What would help.
        help: &'static str,
    },
    /// A prefix length that is no number or too long.
    #[error("`{text}` is not a prefix: its length must be 0 to {most}")]
    PrefixLength {
        /// As written.
        text: String,
        /// 32 or 128.
        most: u8,
    },
    /// An IPv4 address inside IPv6 (`::ffff:0:0/96`), which no packet carries.
    #[error("`{text}` is an IPv4 address written as IPv6, which no packet carries")]
    Mapped {
        /// As written.
        text: String,
        /// The same in IPv4.
        meant: Prefix,
    },
    /// A range whose end lies before its start.
    #[error("the range `{text}` is reversed")]
    RangeReversed {
        /// As written.
        text: String,
        /// With its ends swapped.
        meant: AddressRange,
    },
    /// A range from IPv4 to IPv6 or back.
    #[error("the range `{text}` mixes IPv4 and IPv6")]
    RangeMixed {
        /// As written.
        text: String,
    },
    /// A prefix where one end of a range is expected.
    #[error("`{text}` is not a range: its ends must be addresses")]
    RangeEnds {
        /// As written.
        text: String,
    },
    /// A port above 65535.
    #[error("`{text}` is not a port: the highest is 65535")]
    PortTooHigh {
        /// The number as written.
        text: String,
    },
    /// A port range whose end lies before its start.
    #[error("the port range `{text}` is reversed")]
    PortReversed {
        /// As written.
        text: String,
        /// With its ends swapped.
        meant: PortRange,
    },
    /// An ICMP type that is no number or above 255.
    #[error("`{text}` is not an ICMP type: types are 0 to 255")]
    IcmpType {
        /// The number as written.
        text: String,
    },
    /// Not a port term.
    #[error("`{text}` is not a protocol and port")]
    Port {
        /// As written.
        text: String,
        /// What was probably meant.
        meant: Option<String>,
    },
    /// Not a day.
    #[error("`{text}` is not a date")]
    Date {
        /// As written.
        text: String,
        /// What is wrong with it.
        help: &'static str,
    },
    /// Not a host name or pattern.
    #[error("`{text}` is not a host name or pattern")]
    Host {
        /// As written.
        text: String,
        /// What is wrong with it.
        help: &'static str,
    },
}

impl Fault {
    /// The stable code of this fault.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HostBits { .. } => "egress::address::host-bits",
            Self::Address { .. } => "egress::address::invalid",
            Self::PrefixLength { .. } => "egress::address::length",
            Self::Mapped { .. } => "egress::address::mapped",
            Self::RangeReversed { .. } | Self::RangeMixed { .. } | Self::RangeEnds { .. } => "egress::address::range",
            Self::PortTooHigh { .. } | Self::PortReversed { .. } | Self::IcmpType { .. } => {
                "egress::syntax::port-range"
            }
            Self::Port { .. } => "egress::syntax::port",
            Self::Date { .. } => "egress::syntax::date",
            Self::Host { .. } => "egress::syntax::host",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Cow<'static, str> {
        match self {
            Self::HostBits { text, meant } => host_bits_help(text, meant).into(),
            Self::Address { help, .. } | Self::Date { help, .. } | Self::Host { help, .. } => (*help).into(),
            Self::PrefixLength { most: 32, .. } => "an IPv4 prefix reads like `10.0.0.0/8`".into(),
            Self::PrefixLength { .. } => "an IPv6 prefix reads like `fd00:42::/56`".into(),
            Self::Mapped { meant, .. } => format!("write `{meant}`").into(),
            Self::RangeReversed { meant, .. } => format!("write `{meant}`").into(),
            Self::RangeMixed { .. } => "write one range for each family, joined by `,`".into(),
            Self::RangeEnds { .. } => "a range reads like `10.0.0.1-10.0.0.9`; prefixes are joined by `,`".into(),
            Self::PortTooHigh { .. } => "ports are 0 to 65535".into(),
            Self::PortReversed { meant, .. } => format!("write the lower port first: `{meant}`").into(),
            Self::IcmpType { .. } => "an ICMP type reads like `icmp/8` or `icmpv6/128`".into(),
            Self::Port { meant: Some(meant), .. } => format!("did you mean `{meant}`?").into(),
            Self::Port { meant: None, .. } => {
                "ports read like `443/tcp`, `6432-6440/udp`, `sctp`, `icmp/8`, `icmpv6/128` or `any`".into()
            }
        }
    }
}

impl Fault {
    /// What to write instead, the likeliest first; with the length in bytes of the part to replace where that is only the
    /// beginning of the text.
    pub(crate) fn replacements(&self) -> Vec<(Option<usize>, String)> {
        match self {
            Self::HostBits { text, meant } => {
                let address = text.split('/').next().unwrap_or(text);
                vec![(None, meant.to_string()), (None, address.to_owned())]
            }
            Self::Mapped { meant, .. } => vec![(None, meant.to_string())],
            Self::RangeReversed { meant, .. } => vec![(None, meant.to_string())],
            Self::PortReversed { text, meant } => vec![(Some(text.len()), meant.to_string())],
            Self::Port { meant: Some(meant), .. } => vec![(None, meant.clone())],
            _ => Vec::new(),
        }
    }
}

fn host_bits_help(text: &str, meant: &Prefix) -> String {
    let address = text.split('/').next().unwrap_or(text);
    format!("the prefix is `{meant}`; the single address is `{address}`")
}
