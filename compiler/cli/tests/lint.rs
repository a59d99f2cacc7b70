//! `egressc lint`: what is found in manifests, in every format, with its place and its exit code.

#[cfg(test)]
mod support;

use support::{Folder, repository, run_in, snapshot};

/// A Service with two mistakes: a blank in a list, and no `externalTrafficPolicy`.
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: eu
  namespace: shop
  annotations:
    kube-vip.io/loadbalancerIPs: 203.0.113.10
    kube-vip.io/egress: \"true\"
    kube-vip.io/egress-internal: \"true\"
    kube-vip.io/egress-allowed-networks: 198.51.100.0/24, 192.0.2.0/25
spec:
  type: LoadBalancer
  selector:
    app: solo
  ports:
    - port: 9
";

#[test]
fn findings_show_the_text_to_blame_and_what_happens() {
    let folder = Folder::new(&[("a/eu.yaml", SERVICE), ("a/.hidden.yaml", "a: ["), ("a/policy.egress", "")]);
    let run = folder.run(&["lint", "kube-vip", "a"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""));
    snapshot("lint-kube-vip", &run.stdout);
}

#[test]
fn standard_input_and_other_formats() {
    let folder = Folder::new(&[]);
    let json = folder.run_with(&["lint", "kube-vip", "-", "--format", "json"], SERVICE.as_bytes());
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let finding = json["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "KV005").unwrap();
    assert_eq!((&json["verb"], &finding["severity"]), (&"lint".into(), &"error".into()));
    assert!(finding.to_string().contains("\"line\":10"), "{finding}");
    let sarif = folder.run_with(&["lint", "kube-vip", "-", "--format", "sarif"], SERVICE.as_bytes());
    let sarif: serde_json::Value = serde_json::from_str(&sarif.stdout).unwrap();
    assert!(sarif["runs"][0]["results"].as_array().unwrap().iter().any(|result| result["ruleId"] == "KV002"));
    let github = folder.run_with(&["lint", "kube-vip", "-", "--format", "github"], SERVICE.as_bytes());
    assert!(github.stdout.contains("line=10"), "{}", github.stdout);
}

#[test]
fn exit_codes_say_whether_there_are_mistakes() {
    let cases = repository().join("testdata/kube-vip/lint");
    let run = |arguments: &[&str]| run_in(&cases, &[&["lint", "kube-vip"][..], arguments].concat(), b"").code;
    assert_eq!(run(&["clean/kv012-does-not-matter.yaml"]), Some(1), "the lists of a Service are a warning");
    assert_eq!(run(&["clean/kv001-made-by-egressc.yaml"]), Some(0), "notes alone are no finding");
    assert_eq!(run(&["clean/kv000-other-objects.yaml"]), Some(0));
    assert_eq!(run(&["found"]), Some(1));
    assert_eq!(run(&["nowhere"]), Some(2));
    assert_eq!(run(&["-", "--inventory", "-"]), Some(2));
    assert_eq!(run(&[]), Some(2));
}

#[test]
fn the_inventory_says_how_many_pods_there_are() {
    let pod = |name: &str| {
        format!(
            "{{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {{\"name\": \"{name}\", \"namespace\": \"shop\", \"labels\": \
             {{\"app\": \"solo\"}}}}, \"spec\": {{}}, \"status\": {{\"phase\": \"Running\"}}}}"
        )
    };
    let namespace = "{\"kind\": \"Namespace\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"shop\"}}";
    let list =
        |pods: String| format!("{{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [{namespace}, {pods}]}}");
    let (one, two) = (list(pod("a")), list(format!("{}, {}", pod("a"), pod("b"))));
    let folder = Folder::new(&[("eu.yml", SERVICE), ("one.json", &one), ("two.json", &two), ("bad.json", "{")]);
    let run = |inventory: &str| folder.run(&["lint", "kube-vip", "eu.yml", "--inventory", inventory]);
    let (one, two) = (run("one.json"), run("two.json"));
    assert!(one.code == Some(1) && !one.stdout.contains("KV003"), "{one:?}");
    assert!(two.code == Some(1) && two.stdout.contains("KV003"), "{two:?}");
    assert_eq!(run("bad.json").code, Some(2));
}
