//! The reader of listings without a kernel: what it refuses, by name, and that it never panics.

use egress_backends::nftables::{Hook, decode, decode_listing};
use proptest::prelude::*;

/// A listing of our table with these objects.
fn listing(objects: &str) -> String {
    format!(
        r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6", "json_schema_version": 1}}}},
        {{"table": {{"family": "inet", "name": "egressc", "handle": 1}}}},
        {{"chain": {{"family": "inet", "table": "egressc", "name": "c", "handle": 1}}}}{objects}]}}"#
    )
}

fn with_rule(expressions: &str) -> String {
    listing(&format!(
        r#", {{"rule": {{"family": "inet", "table": "egressc", "chain": "c", "handle": 7, "expr": [{expressions}]}}}}"#
    ))
}

fn with_map(properties: &str) -> String {
    listing(&format!(r#", {{"map": {{"family": "inet", "table": "egressc", "name": "m", {properties}}}}}"#))
}

const RECORDED: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}},
{"table": {"family": "inet", "name": "egressc", "handle": 1}},
{"counter": {"family": "inet", "name": "rule_web.1", "table": "egressc", "handle": 6, "comment": "owner team-web", "packets": 3, "bytes": 180}},
{"map": {"family": "inet", "name": "pods4", "table": "egressc", "type": "ipv4_addr", "handle": 7, "map": "verdict", "size": 1, "elem": [["10.42.0.2", {"jump": {"target": "w0_4"}}]]}},
{"chain": {"family": "inet", "table": "egressc", "name": "w0_4", "handle": 1}},
{"chain": {"family": "inet", "table": "egressc", "name": "prerouting", "handle": 4, "type": "filter", "hook": "prerouting", "prio": -90, "policy": "accept"}},
{"rule": {"family": "inet", "table": "egressc", "chain": "w0_4", "handle": 14, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "20.0.0.0", "len": 24}}}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": {"set": [443, {"range": [8000, 8010]}]}}}, {"counter": "rule_web.1"}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "egressc", "chain": "w0_4", "handle": 15, "expr": [{"limit": {"rate": 10, "burst": 20, "per": "second"}}, {"log": {"prefix": "egressc deny web default ", "group": 5, "snaplen": 96}}]}},
{"rule": {"family": "inet", "table": "egressc", "chain": "w0_4", "handle": 16, "expr": [{"drop": null}]}},
{"rule": {"family": "inet", "table": "egressc", "chain": "prerouting", "handle": 17, "comment": "generation 1", "expr": [{"vmap": {"key": {"payload": {"protocol": "ip", "field": "saddr"}}, "data": "@pods4"}}]}}]}
"#;

const THE_SAME: &str = "table inet egressc {
    counter rule_web.1 { comment \"owner team-web\"; }
    map pods4 { typeof ip daddr : verdict; size 1; elements = { 10.42.0.2 : jump w0_4 }; }
    chain w0_4 {
        ip daddr 20.0.0.0/24 tcp dport { 443, 8000-8010 } counter name rule_web.1 accept
        limit rate 10/second burst 20 packets log prefix \"egressc deny web default \" group 5 snaplen 96
        drop
    }
    chain prerouting { type filter hook prerouting priority -90; policy accept;
        ip saddr vmap @pods4 comment \"generation 1\"
    }
}
";

#[test]
fn a_recorded_listing_is_the_file() {
    let listing = decode_listing(RECORDED.as_bytes()).unwrap();
    assert_eq!(listing.ruleset, decode(THE_SAME.as_bytes()).unwrap());
    assert!(listing.others.is_empty());
    assert_eq!(listing.ruleset.base_chains(Hook::Prerouting).len(), 1);
}

#[test]
fn what_is_not_understood_is_named() {
    let about_rule = |what: &str| format!("rule 7 of chain c: {what}");
    let match_of = |left: &str, op: &str, right: &str| {
        with_rule(&format!(r#"{{"match": {{"op": "{op}", "left": {left}, "right": {right}}}}}, {{"drop": null}}"#))
    };
    let (state, to) = (r#"{"ct": {"key": "state"}}"#, r#"{"payload": {"protocol": "ip", "field": "daddr"}}"#);
    let once = "several states at once are never a packet's; write them in braces";
    let cases = [
        (String::new(), "column 0".to_owned(), "this is no JSON, or not all of it"),
        (RECORDED[..40].to_owned(), "column 40".to_owned(), "this is no JSON, or not all of it"),
        ("[]".to_owned(), "listing: []".to_owned(), "expected an object with one key"),
        (r#"{"items": []}"#.to_owned(), r#"listing: {"items":[]}"#.to_owned(), "this is no listing of nft"),
        (r#"{"nftables": []}"#.to_owned(), "table inet egressc".to_owned(), "the listing has no such table"),
        (r#"{"nftables": [7]}"#.to_owned(), "listing: 7".to_owned(), "expected an object with one key"),
        (
            r#"{"nftables": [{"metainfo": {"json_schema_version": 2}}]}"#.to_owned(),
            "metainfo: 2".to_owned(),
            "only version 1 of listings is understood",
        ),
        (
            r#"{"nftables": [{"table": {"family": "inet", "name": "egressc", "flags": "dormant"}}]}"#.to_owned(),
            "table egressc: flags".to_owned(),
            "this property is not understood",
        ),
        (
            listing(r#", {"chain": {"family": "inet", "table": "egressc", "name": "c"}}"#),
            "chain c: name".to_owned(),
            "this is listed twice",
        ),
        (
            listing(
                r#", {"chain": {"family": "inet", "table": "egressc", "name": "f", "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}}"#,
            ),
            "chain f: forward".to_owned(),
            "this hook is not understood",
        ),
        (
            listing(
                r#", {"chain": {"family": "inet", "table": "egressc", "name": "f", "type": "nat", "hook": "output", "prio": 0, "policy": "drop"}}"#,
            ),
            "chain f: nat".to_owned(),
            "this type of chain is not understood",
        ),
        (
            listing(r#", {"flowtable": {"family": "inet", "table": "egressc", "name": "f"}}"#),
            "flowtable f: flowtable".to_owned(),
            "this kind of object is not understood",
        ),
        (with_rule(r#"{"reject": null}"#), about_rule("reject"), "this statement is not understood"),
        (with_rule(r#"{"notrack": null}"#), about_rule("notrack"), "this statement is not understood"),
        (
            with_rule(r#"{"jump": {"target": "gone"}}"#),
            "gone".to_owned(),
            "a verdict leads to a chain that is not there or is a base chain",
        ),
        (
            with_rule(r#"{"accept": null}, {"drop": null}"#),
            about_rule(r#"{"drop":null}"#),
            "nothing may follow a verdict",
        ),
        (
            with_rule(r#"{"limit": {"rate": 1, "per": "second"}}, {"drop": null}"#),
            about_rule(r#"{"drop":null}"#),
            "this would depend on a rate; only a log may follow a limit",
        ),
        (
            with_rule(r#"{"limit": {"rate": 1, "per": "second", "inv": true}}, {"log": null}"#),
            about_rule(r#"{"limit":{"inv":true,"per":"second","rate":1}}"#),
            "a limit that holds above a rate is not understood",
        ),
        (
            match_of(r#"{"payload": {"protocol": "th", "field": "dport"}}"#, "==", "80"),
            about_rule(r#"{"payload":{"field":"dport","protocol":"th"}}"#),
            "this field is not understood",
        ),
        (
            match_of(r#"{"ct": {"key": "mark", "dir": "reply"}}"#, "==", "80"),
            about_rule("dir"),
            "this property is not understood",
        ),
        (
            match_of(&format!(r#"{{"&": [{to}, "255.0.0.0"]}}"#), "==", r#""10.0.0.0""#),
            about_rule(r#"{"&":[{"payload":{"field":"daddr","protocol":"ip"}},"255.0.0.0"]}"#),
            "a mask is understood in front of vmap only",
        ),
        (match_of(state, "!=", r#"{"|": ["new", "related"]}"#), about_rule(r#"{"|":["new","related"]}"#), once),
        (match_of(state, "==", r#"["new", "related"]"#), about_rule(r#"["new","related"]"#), once),
        (match_of(state, "in", r#""snat""#), about_rule("snat"), "this is no connection state"),
        (
            match_of(to, "==", r#""fd00::""#),
            about_rule("fd00::"),
            "this is no address, prefix or range of the field's family",
        ),
        (match_of(to, "in", r#""10.0.0.1""#), about_rule("in"), "this comparison is not understood"),
        (match_of(to, "==", r#""@gone""#), "c: gone".to_owned(), "the chain names a map or set that is not there"),
        (
            match_of(to, "==", r#"{"elem": {"val": "10.0.0.1", "timeout": 60}}"#),
            about_rule("timeout"),
            "this property is not understood",
        ),
        (
            match_of(to, "==", r#"{"set": ["10.0.0.1", {"range": ["10.0.0.0", "10.0.0.9"]}]}"#),
            about_rule(r#"{"set":["10.0.0.1",{"range":["10.0.0.0","10.0.0.9"]}]}"#),
            "values overlap",
        ),
        (match_of(to, "<", r#""0.0.0.0""#), about_rule("0.0.0.0"), "no value is beyond this"),
        (
            with_rule(r#"{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": []}}}"#),
            about_rule(r#"{"set":[]}"#),
            "only maps with a name are understood",
        ),
        (
            with_rule(r#"{"mangle": {"key": {"ct": {"key": "mark"}}, "value": {"meta": {"key": "mark"}}}}"#),
            about_rule(r#"{"meta":{"key":"mark"}}"#),
            "this mark is not understood",
        ),
        (
            with_rule(r#"{"mangle": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "value": 1}}"#),
            about_rule(r#"{"payload":{"field":"daddr","protocol":"ip"}}"#),
            "this is not understood as something to set",
        ),
        (
            with_map(r#""type": ["ipv4_addr", "inet_service"], "map": "verdict""#),
            r#"map m: ["ipv4_addr","inet_service"]"#.to_owned(),
            "this type is not understood",
        ),
        (
            with_map(r#""type": "ipv4_addr", "map": "mark""#),
            "map m: mark".to_owned(),
            "only maps of verdicts are understood",
        ),
        (
            with_map(r#""type": "ipv4_addr", "map": "verdict", "flags": ["timeout"]"#),
            "map m: timeout".to_owned(),
            "this flag is not understood",
        ),
        (
            with_map(r#""type": "ipv4_addr", "map": "verdict", "elem": [["10.0.0.1", {"queue": null}]]"#),
            r#"map m: {"queue":null}"#.to_owned(),
            "this is no verdict that is understood",
        ),
    ];
    for (text, place, reason) in cases {
        let error = decode_listing(text.as_bytes()).expect_err(&text);
        assert_eq!((error.text.as_str(), error.reason.as_str()), (place.as_str(), reason), "{text}");
    }
    assert!(decode_listing(with_rule(r#"{"accept": null}"#).as_bytes()).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_listing(&bytes);
    }

    #[test]
    fn a_damaged_listing_is_read_or_refused(
        cuts in prop::collection::vec((0..RECORDED.len(), 0..40_usize, any::<u8>()), 1..4),
    ) {
        let mut bytes = RECORDED.as_bytes().to_vec();
        for (at, length, byte) in cuts {
            let at = at.min(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, [byte]);
        }
        let _ = decode_listing(&bytes);
    }

    #[test]
    fn a_listing_with_other_parts_is_read_or_refused(
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let mut whole: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
        let mut paths = Vec::new();
        pointers(&whole, String::new(), &mut paths);
        for (to, from) in swaps {
            let value = whole.pointer(&paths[from.index(paths.len())]).cloned();
            if let (Some(value), Some(place)) = (value, whole.pointer_mut(&paths[to.index(paths.len())])) {
                *place = value;
            }
        }
        let _ = decode_listing(whole.to_string().as_bytes());
    }
}

/// The JSON pointers of all parts.
fn pointers(value: &serde_json::Value, here: String, all: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, item)| pointers(item, format!("{here}/{number}"), all));
        }
        serde_json::Value::Object(map) => {
            let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
            map.iter().for_each(|(key, item)| pointers(item, format!("{here}/{}", escaped(key)), all));
        }
        _ => {}
    }
    all.push(here);
}
