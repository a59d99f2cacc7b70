//! The table of pages.

/// Each code with its page, sorted by code.
pub(super) const PAGES: &[(&str, &str)] = &[];
