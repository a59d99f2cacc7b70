//! URIs of documents, and the paths by which units know them.
//!
//! In: `file:///home/me/shop.egress`, `untitled:Untitled-1`. Out: `/home/me/shop.egress`; documents that are no files keep
//! their URI as path. Never looks at the disk.

use gen_lsp_types::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a path may not hold as it is (RFC 3986, `pchar`).
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path of a file's URI; nothing for a document that is no file, and for a path that is not UTF-8.
#[must_use]
pub fn file_path(uri: &Uri) -> Option<String> {
    let rest = uri.0.strip_prefix("file://")?;
    // An authority other than this machine's names a share, which is no path here.
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    (decoded.starts_with('/') && !decoded.contains('\0')).then(|| folded(&decoded))
}

/// The path by which a unit knows a document.
#[must_use]
pub fn path(uri: &Uri) -> String {
    file_path(uri).unwrap_or_else(|| uri.0.clone())
}

/// The URI of a file.
#[must_use]
pub fn of_path(path: &str) -> Uri {
    if path.starts_with('/') {
        Uri(format!("file://{}", utf8_percent_encode(path, RESERVED)))
    } else {
        Uri(path.to_owned())
    }
}

/// The folder that a path lies in.
#[must_use]
pub fn folder(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((folder, _)) => folder,
        None => "",
    }
}

/// A path joined to a folder, with `.` and `x/..` folded away; an absolute path stays itself.
#[must_use]
pub fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') { folded(path) } else { folded(&format!("{folder}/{path}")) }
}

/// Whether a path lies in a folder, or is it.
#[must_use]
pub fn is_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn folded(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_the_way_there_and_back() {
        for plain in ["/a/b.egress", "/with space/ü/漢字.egress", "/100%/a#b?c.egress", "/a:b@c/[x].egress"] {
            assert_eq!(file_path(&of_path(plain)).as_deref(), Some(plain), "{:?}", of_path(plain));
        }
        assert_eq!(path(&"file:///c%3A/x.egress".into()), "/c:/x.egress");
        assert_eq!(path(&"file://localhost/x//y/../z.egress".into()), "/x/z.egress");
        assert_eq!(path(&"untitled:Untitled-1".into()), "untitled:Untitled-1");
        assert_eq!(of_path("untitled:Untitled-1"), "untitled:Untitled-1".into());
        for odd in ["file://share/x", "file:///%ff", "file:///a%00b", "file:", "http://x/y"] {
            assert_eq!(file_path(&odd.into()), None, "{odd}");
        }
    }

    #[test]
    fn folders_hold_what_is_below_them() {
        assert!(is_below("/a/b", "/a") && is_below("/a", "/a") && is_below("/a", "/") && is_below("/a/b", "/a/"));
        assert!(!is_below("/ab", "/a") && !is_below("/", "/a"));
        assert_eq!((folder("/a/b"), folder("/a"), folder("x")), ("/a", "/", ""));
        assert_eq!(joined("/a", "../b/./c"), "/b/c");
    }
}
