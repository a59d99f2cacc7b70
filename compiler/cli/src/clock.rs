//! The clock: today's date, and dates as people type them. The only place that asks what day it is.

use egress_ir::Date;

/// Today in UTC.
pub(crate) fn today() -> Date {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    Date { year: u16::try_from(today.year()).unwrap_or(0), month: part(today.month()), day: part(today.day()) }
}

/// A day of the calendar written as `YYYY-MM-DD`.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub(crate) fn parse(text: &str) -> Result<Date, String> {
    let written_so = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: jiff::civil::Date = match text.parse() {
        Ok(date) if written_so => date,
        _ => return Err("a date is a day that exists, written as `YYYY-MM-DD`".into()),
    };
    let part = |number: i8| u8::try_from(number).unwrap_or(1);
    Ok(Date { year: u16::try_from(date.year()).unwrap_or(0), month: part(date.month()), day: part(date.day()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_exist_are_dates() {
        assert_eq!(parse("2028-02-29"), Ok(Date { year: 2028, month: 2, day: 29 }));
        for wrong in ["2027-02-29", "2027-2-1", "20270201", "2027-02-01T00:00", "-002027-02-01", "", "today"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn today_is_after_this_was_written() {
        assert!(today() > Date { year: 2025, month: 1, day: 1 });
    }
}
