//! kube-vip as a target: what is emitted and refused, what is read and installed, and what the linter finds.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking, as tests do")]

mod bytes;
mod draft;
mod emitted;
mod linted;

/// Holds a text against the snapshot of this name in a folder of `testdata/kube-vip/`.
fn snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../../../testdata/kube-vip/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
