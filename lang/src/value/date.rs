//! Days, as ISO 8601 writes them: `YYYY-MM-DD`.

use super::{Date, Fault};

/// Reads a day that exists.
///
/// # Errors
/// Text of another form, or a day that no month has.
pub fn date(text: &str) -> Result<Date, Fault> {
    let fault = |help| Fault::Date { text: text.to_owned(), help };
    let Some((year, month, day)) = parts(text) else {
        return Err(fault("dates read `YYYY-MM-DD`, like `2027-03-31`"));
    };
    if year == 0 || !(1..=12).contains(&month) {
        return Err(fault("years start at 0001, months are 01 to 12"));
    }
    if day == 0 || day > days_in(year, month) {
        return Err(fault("this month has no such day"));
    }
    Ok(Date { year, month, day })
}

fn parts(text: &str) -> Option<(u16, u8, u8)> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    Some((year.parse().ok()?, month.parse().ok()?, day.parse().ok()?))
}

fn days_in(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
