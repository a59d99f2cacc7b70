//! Paths of lists: relative to the file that names them, never outside of the root folder.
//!
//! All is done by text: `..` takes back the part before it. Symbolic links are the file reader's to refuse.

/// The path of a list relative to the root folder: parts joined by `/`, none empty, `.` or `..`. Nothing when it is
/// absolute, leaves the root, or is the root. `from` is the file that names the list, `-` for standard input, which
/// stands in the root.
pub(super) fn resolve(root: &str, from: &str, list: &str) -> Option<String> {
    if list.is_empty() || list.starts_with('/') {
        return None;
    }
    let folder = match from.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None if from == "-" => root,
        None => "",
    };
    let root = normalise(root);
    let joined = if folder.is_empty() { list.to_owned() } else { format!("{folder}/{list}") };
    let path = normalise(&joined);
    let inside = path.strip_prefix(root.as_slice())?;
    let leaves = inside.is_empty() || inside.first().is_some_and(|part| *part == ".." || *part == "/");
    (!leaves).then(|| inside.join("/"))
}

/// The parts of a path: `/` first if it is absolute, `..` only in front.
fn normalise(path: &str) -> Vec<&str> {
    let mut parts = if path.starts_with('/') { vec!["/"] } else { Vec::new() };
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) | ("..", Some(&"/")) => {}
            ("..", Some(&last)) if last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn paths_start_at_the_file_and_stay_in_the_root() {
        let cases = [
            (".", "shop.egress", "lists/a.txt", Some("lists/a.txt")),
            (".", "./shop.egress", "./lists//a.txt", Some("lists/a.txt")),
            (".", "teams/shop.egress", "../lists/a.txt", Some("lists/a.txt")),
            ("policies", "policies/teams/shop.egress", "../a.txt", Some("a.txt")),
            ("policies/", "policies/shop.egress", "a.txt", Some("a.txt")),
            ("../policies", "../policies/shop.egress", "a.txt", Some("a.txt")),
            ("..", "../shop.egress", "a.txt", Some("a.txt")),
            ("/etc/egress", "/etc/egress/x/shop.egress", "../a.txt", Some("a.txt")),
            ("/", "/shop.egress", "a.txt", Some("a.txt")),
            ("policies", "-", "a.txt", Some("a.txt")),
            (".", "shop.egress", "../a.txt", None),
            (".", "teams/shop.egress", "../../a.txt", None),
            ("policies", "policies/shop.egress", "../policies2/a.txt", None),
            ("policies", "policies/shop.egress", "../policies/a.txt", Some("a.txt")),
            ("..", "../shop.egress", "../a.txt", None),
            (".", "shop.egress", "/etc/passwd", None),
            (".", "/tmp/shop.egress", "a.txt", None),
            (".", "shop.egress", "lists/..", None),
            (".", "shop.egress", "lists/", Some("lists")),
            (".", "shop.egress", "", None),
        ];
        for (root, from, list, expected) in cases {
            assert_eq!(resolve(root, from, list).as_deref(), expected, "{root} {from} {list}");
        }
    }
}
