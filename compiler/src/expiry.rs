//! Rules that end: `until` against a day.
//!
//! In: a unit and the day to ask about. Out: an error for each rule past its last day, a warning for each that ends
//! within 30 days. A rule never loses its meaning by this: what is expired must be removed or renewed by a person.

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::lower::date;
use crate::source::Place;
use crate::unit::Unit;
use egress_ir::{Date, SourceId};
use egress_lang::ast::{Item, Policy};

/// From how many days before its last one a rule is reported.
const SOON: i64 = 30;

/// A rule that has ended, or is about to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExpiryError {
    /// Past its last day.
    #[error("the rule `{rule}` expired on {until}")]
    Expired {
        /// The rule's stable name.
        rule: String,
        /// Its last day.
        until: Date,
        /// The day asked about.
        as_of: Date,
        /// The date.
        place: Place,
    },
    /// Ends within 30 days.
    #[error("the rule `{rule}` expires {}, after {until}", days_left(*.days))]
    Soon {
        /// The rule's stable name.
        rule: String,
        /// Its last day.
        until: Date,
        /// How many days later that is: 0 is today.
        days: i64,
        /// The date.
        place: Place,
    },
}

fn days_left(days: i64) -> String {
    match days {
        0 => "today".to_owned(),
        1 => "tomorrow".to_owned(),
        days => format!("in {days} days"),
    }
}

/// Holds every rule of a unit against a day.
pub(crate) fn check(unit: Unit<'_>, as_of: Date) -> Vec<ExpiryError> {
    let mut errors = Vec::new();
    for (source, item) in unit.items() {
        if let Item::Policy(block) | Item::Guardrail(block) = item {
            errors.extend(of_block(source, block, as_of));
        }
    }
    errors
}

fn of_block(source: SourceId, block: &Policy, as_of: Date) -> impl Iterator<Item = ExpiryError> {
    block.rules.iter().enumerate().filter_map(move |(n, rule)| {
        let written = rule.until?;
        let (until, place) = (date(written.node?), Place::new(source, written.span));
        let rule = format!("{}#{}", block.name.text, n + 1);
        match day_number(until) - day_number(as_of) {
            ..0 => Some(ExpiryError::Expired { rule, until, as_of, place }),
            days @ 0..=SOON => Some(ExpiryError::Soon { rule, until, days, place }),
            _ => None,
        }
    })
}

/// Days since 1 March of year 0 in the Gregorian calendar. Counted from March, a leap day ends its year.
fn day_number(date: Date) -> i64 {
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1
}

impl ExpiryError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "egress::rule::expired",
            Self::Soon { .. } => "egress::rule::expires-soon",
        }
    }
}

impl From<ExpiryError> for Diagnostic {
    fn from(error: ExpiryError) -> Self {
        let (severity, place, text, help) = match &error {
            ExpiryError::Expired { as_of, place, .. } => {
                let text = format!("before {as_of}");
                (Severity::Error, *place, text, "remove the rule, or agree on a later day and write it here")
            }
            ExpiryError::Soon { place, .. } => {
                (Severity::Warning, *place, "its last day".to_owned(), "renew it in time: afterwards it is an error")
            }
        };
        Self::new(error.code(), severity, error.to_string()).label(Label::primary(place, text)).help(help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> Date {
        Date { year, month, day }
    }

    #[test]
    fn days_are_counted_over_leap_years() {
        let between = |a, b| day_number(b) - day_number(a);
        assert_eq!(between(date(2024, 2, 28), date(2024, 3, 1)), 2);
        assert_eq!(between(date(2023, 2, 28), date(2023, 3, 1)), 1);
        assert_eq!(between(date(1900, 2, 28), date(1900, 3, 1)), 1);
        assert_eq!(between(date(2000, 2, 28), date(2000, 3, 1)), 2);
        assert_eq!(between(date(1970, 1, 1), date(2026, 8, 22)), 20_687);
        assert_eq!(between(date(2026, 12, 31), date(2027, 1, 1)), 1);
    }

    #[test]
    fn every_day_of_a_year_follows_the_one_before() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let days = (1..).zip(lengths).flat_map(|(month, days)| (1..=days).map(move |day| date(2026, month, day)));
        let numbers: Vec<i64> = days.map(day_number).collect();
        assert_eq!(numbers.len(), 365);
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}
