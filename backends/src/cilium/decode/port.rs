//! The L4 part of a rule: `toPorts` with the rules of proxies, and `icmps`.

use super::super::model::{Numbers, PortMatch, Protocol, Proxy};
use super::super::yaml::{Node, Value, base_zero};
use super::reader::{Fields, Reader};
use super::{Stage, peer};

/// Ports in one entry of `toPorts`, and fields in one entry of `icmps`.
const MAX_ENTRIES: usize = 40;

const ICMP_NAMES: [(&str, u16); 14] = [
    ("EchoReply", 0),
    ("DestinationUnreachable", 3),
    ("Redirect", 5),
    ("Echo", 8),
    ("EchoRequest", 8),
    ("RouterAdvertisement", 9),
    ("RouterSelection", 10),
    ("TimeExceeded", 11),
    ("ParameterProblem", 12),
    ("Timestamp", 13),
    ("TimestampReply", 14),
    ("Photuris", 40),
    ("ExtendedEchoRequest", 42),
    ("ExtendedEchoReply", 43),
];

const ICMPV6_NAMES: [(&str, u16); 27] = [
    ("DestinationUnreachable", 1),
    ("PacketTooBig", 2),
    ("TimeExceeded", 3),
    ("ParameterProblem", 4),
    ("EchoRequest", 128),
    ("EchoReply", 129),
    ("MulticastListenerQuery", 130),
    ("MulticastListenerReport", 131),
    ("MulticastListenerDone", 132),
    ("RouterSolicitation", 133),
    ("RouterAdvertisement", 134),
    ("NeighborSolicitation", 135),
    ("NeighborAdvertisement", 136),
    ("RedirectMessage", 137),
    ("RouterRenumbering", 138),
    ("ICMPNodeInformationQuery", 139),
    ("ICMPNodeInformationResponse", 140),
    ("InverseNeighborDiscoverySolicitation", 141),
    ("InverseNeighborDiscoveryAdvertisement", 142),
    ("HomeAgentAddressDiscoveryRequest", 144),
    ("HomeAgentAddressDiscoveryReply", 145),
    ("MobilePrefixSolicitation", 146),
    ("MobilePrefixAdvertisement", 147),
    ("DuplicateAddressRequestCodeSuffix", 157),
    ("DuplicateAddressConfirmationCodeSuffix", 158),
    ("ExtendedEchoRequest", 160),
    ("ExtendedEchoReply", 161),
];

/// In which list the rule stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// `egress` or `egressDeny`, not `ingress…`.
    pub(super) egress: bool,
    /// `egressDeny` or `ingressDeny`.
    pub(super) deny: bool,
    /// The specification is about nodes.
    pub(super) host: bool,
}

/// One entry of `toPorts`.
pub(super) fn entry(reader: &mut Reader, node: &Node, place: Place) -> Option<Vec<PortMatch>> {
    let all = ["ports", "rules", "listener", "originatingTLS", "terminatingTLS", "serverNames"];
    let fields = reader.map(node, if place.deny { all.get(..1)? } else { &all })?;
    for key in ["listener", "originatingTLS", "terminatingTLS", "serverNames"] {
        if !place.deny && fields.has(key) {
            reader.problem(Stage::Unsupported, node, format!("`{key}` is not modelled"));
        }
    }
    let proxy = if place.deny { None } else { reader.field(&fields, "rules", proxy) };
    if proxy.is_some() && place.host {
        reader.problem(Stage::Agent, node, "policies of nodes have no rules above ports");
    }
    if !place.egress && matches!(proxy, Some(Proxy::Dns(_))) {
        reader.problem(Stage::Agent, node, "DNS rules are not allowed on ingress");
    }
    let ports = reader.field(&fields, "ports", |reader, node| {
        limited(reader, node);
        reader.list(node, |reader, node| port(reader, node, proxy.as_ref()))
    });
    let ports = ports.unwrap_or_default();
    if ports.is_empty() && matches!(proxy, Some(Proxy::Dns(_))) {
        reader.problem(Stage::Agent, node, "DNS rules need a port");
    }
    Some(ports)
}

fn limited(reader: &mut Reader, node: &Node) {
    if let Value::List(items) = &node.value
        && items.len() > MAX_ENTRIES
    {
        reader.problem(Stage::Schema, node, format!("{} entries, and {MAX_ENTRIES} are allowed", items.len()));
    }
}

/// `rules`: exactly one kind; an empty list counts as no rules.
fn proxy(reader: &mut Reader, node: &Node) -> Option<Proxy> {
    let fields = reader.map(node, &["dns", "http"])?;
    if fields.has("dns") == fields.has("http") {
        reader.problem(Stage::Schema, node, "needs exactly one of `dns` and `http`");
        return None;
    }
    let dns = reader.field(&fields, "dns", |reader, node| reader.list(node, peer::name));
    if let Some(patterns) = dns {
        return (!patterns.is_empty()).then_some(Proxy::Dns(patterns));
    }
    let http = reader.field(&fields, "http", |reader, node| reader.list(node, http))?;
    (!http.is_empty()).then_some(Proxy::Http)
}

fn http(reader: &mut Reader, node: &Node) -> Option<()> {
    let fields = reader.map(node, &["method", "path", "host", "headers", "headerMatches"])?;
    for key in ["method", "path", "host"] {
        reader.field(&fields, key, |reader, node| {
            let text = reader.text(node)?;
            // These are regular expressions; whether the agent can compile others is not known here.
            if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_')) {
                reader.problem(Stage::Unsupported, node, format!("the expression `{text}` is not modelled"));
            }
            Some(())
        });
    }
    for key in ["headers", "headerMatches"] {
        if fields.has(key) {
            reader.problem(Stage::Unsupported, node, format!("`{key}` is not modelled"));
        }
    }
    Some(())
}

fn port(reader: &mut Reader, node: &Node, proxy: Option<&Proxy>) -> Option<PortMatch> {
    let fields = reader.map(node, &["port", "endPort", "protocol"])?;
    let protocols = protocols(reader, &fields);
    let end = reader.field(&fields, "endPort", |reader, node| reader.integer(node, 0..=65535)).unwrap_or(0);
    let end = u16::try_from(end).unwrap_or(u16::MAX);
    if !fields.has("port") {
        reader.problem(Stage::Agent, node, "a port must be named");
        return None;
    }
    let numbers = reader.field(&fields, "port", |reader, node| numbers(reader, node, end))?;
    let protocols = protocols?;
    let message = match (proxy, &numbers) {
        (Some(_), Numbers::Every) => Some("rules above ports cannot be used with port 0"),
        (Some(Proxy::Dns(_)), Numbers::Range(range)) if range.start() != range.end() => {
            Some("DNS rules do not support port ranges")
        }
        (Some(Proxy::Http), _) if protocols != [Protocol::Tcp] => Some("HTTP rules can only apply to TCP"),
        _ => None,
    };
    if let Some(message) = message {
        reader.problem(Stage::Agent, node, message);
    }
    Some(PortMatch { protocols, numbers, proxy: proxy.cloned() })
}

fn protocols(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<Protocol>> {
    const ANY: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    if !fields.has("protocol") {
        return Some(ANY.to_vec());
    }
    reader.field(fields, "protocol", |reader, node| match reader.text(node)? {
        "ANY" => Some(ANY.to_vec()),
        "TCP" => Some(vec![Protocol::Tcp]),
        "UDP" => Some(vec![Protocol::Udp]),
        "SCTP" => Some(vec![Protocol::Sctp]),
        other @ ("VRRP" | "IGMP" | "GRE" | "IPIP" | "IPV6" | "ESP" | "AH") => {
            reader.problem(
                Stage::Agent,
                node,
                format!("`{other}` needs a feature of the agent that is off by default"),
            );
            None
        }
        other => {
            reader.problem(Stage::Schema, node, format!("there is no protocol `{other}`"));
            None
        }
    })
}

fn numbers(reader: &mut Reader, node: &Node, end: u16) -> Option<Numbers> {
    let text = reader.text(node)?;
    if is_service_name(text) {
        if end != 0 {
            reader.problem(Stage::Unsupported, node, "`endPort` beside a port's name is not modelled");
        }
        return Some(Numbers::Named(text.to_ascii_lowercase()));
    }
    if text.contains('_') {
        reader.problem(Stage::Unsupported, node, format!("the port `{text}` is not modelled"));
        return None;
    }
    let number = base_zero(text).and_then(|number| u16::try_from(number).ok());
    let Some(first) = number else {
        reader.problem(Stage::Agent, node, format!("`{text}` is not a port"));
        return None;
    };
    Some(if first == 0 { Numbers::Every } else { Numbers::Range(first..=end.max(first)) })
}

/// At most 15 letters, digits and single hyphens between them, with a letter among them (RFC 6335, section 5.1).
fn is_service_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() <= 15
        && text.bytes().all(inner)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// One entry of `icmps`.
pub(super) fn icmp(reader: &mut Reader, node: &Node) -> Option<Vec<PortMatch>> {
    let fields = reader.map(node, &["fields"])?;
    let types = reader.field(&fields, "fields", |reader, node| {
        limited(reader, node);
        reader.list(node, icmp_field)
    });
    Some(types.unwrap_or_default())
}

fn icmp_field(reader: &mut Reader, node: &Node) -> Option<PortMatch> {
    let fields = reader.map(node, &["family", "type"])?;
    let family = reader.field(&fields, "family", |reader, node| match reader.text(node)? {
        "IPv4" => Some(Protocol::Icmp),
        "IPv6" => Some(Protocol::Icmpv6),
        other => {
            reader.problem(Stage::Schema, node, format!("there is no family `{other}`"));
            None
        }
    });
    if !fields.has("type") {
        reader.problem(Stage::Schema, node, "`type` is required");
    }
    let family = family.unwrap_or(Protocol::Icmp);
    let number = reader.field(&fields, "type", |reader, node| icmp_type(reader, node, family))?;
    // Type 0 is stored as port 0, which is every port: the rule is about *all* types.
    let numbers = if number == 0 { Numbers::Every } else { Numbers::Range(number..=number) };
    Some(PortMatch { protocols: vec![family], numbers, proxy: None })
}

fn icmp_type(reader: &mut Reader, node: &Node, family: Protocol) -> Option<u16> {
    match &node.value {
        // The schema has no bounds for integers; a type above 255 is accepted and matches nothing.
        Value::Int(number) => {
            let number = u16::try_from(*number).ok();
            if number.is_none() {
                reader.problem(Stage::Unsupported, node, "an ICMP type outside 0 to 65535 is not modelled");
            }
            number
        }
        _ => {
            let text = reader.text(node)?;
            let names: &[_] = if family == Protocol::Icmp { &ICMP_NAMES } else { &ICMPV6_NAMES };
            let plain = text == "0" || !text.starts_with('0');
            let number = text.parse::<u8>().ok().filter(|_| plain && !text.starts_with('+')).map(u16::from);
            let named = || names.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
            let found = number.or_else(named);
            if found.is_none() {
                reader.problem(Stage::Schema, node, format!("there is no ICMP type `{text}` in this family"));
            }
            found
        }
    }
}
