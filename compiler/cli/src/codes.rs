//! The pages about diagnostic codes, which `egressc explain CODE` prints.
//!
//! In: a code. Out: its page, as it stands in `docs/codes/`. A test holds that each code has one and each is a code's.

mod pages;

use crate::exit::Failure;
use pages::PAGES;

/// The page of a code.
pub(crate) fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// The page of a code that a person typed.
///
/// # Errors
/// There is no such code.
pub(crate) fn page_or_suggestion(code: &str) -> Result<&'static str, Failure> {
    page(code).ok_or_else(|| {
        let last = |code: &str| code.rsplit("::").next().unwrap_or_default().to_owned();
        let near = PAGES.iter().map(|(known, _)| *known).find(|known| last(known) == last(code));
        let group: String = code.split("::").take(2).collect::<Vec<_>>().join("::");
        let siblings = || PAGES.iter().map(|(known, _)| *known).filter(|known| known.starts_with(&group));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if siblings().next().is_some() => format!("there are {}", siblings().collect::<Vec<_>>().join(", ")),
            None => "codes look like `egress::rule::dead`; docs/codes/ has them all".to_owned(),
        };
        Failure::new(format!("there is no code `{code}`")).help(help)
    })
}

/// The first paragraph after the title: what the finding is, in one sentence or two.
pub(crate) fn summary(page: &str) -> String {
    let lines = page.lines().skip(1).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_titled_by_their_code_and_open_with_a_summary() {
        assert!(!PAGES.is_empty());
        for (code, page) in PAGES {
            assert_eq!(page.lines().next(), Some(format!("# {code}").as_str()));
            assert!(summary(page).len() > 20, "{code}");
        }
    }

    #[test]
    fn wrong_codes_are_put_right() {
        let said = page_or_suggestion("egress::dead").unwrap_err();
        assert!(format!("{said:?}").contains("did you mean `egress::rule::dead`?"), "{said:?}");
    }
}
