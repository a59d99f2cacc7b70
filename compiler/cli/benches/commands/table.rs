//! The table: one line a figure, with what it is held against beside it.
//!
//! In: names, figures, goals. Out: lines on standard output, as they come. A goal that is missed is said and is no
//! failure: figures depend on the machine.

use std::fmt;

/// How a figure is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// Seconds of processor time.
    Seconds(f64),
    /// Bytes of memory.
    Bytes(f64),
    /// A ratio.
    Times(f64),
    /// Nanoseconds.
    Nanos(f64),
    /// Bytes of the kernel for one rule.
    BytesPerRule(f64),
}

impl Figure {
    fn number(self) -> f64 {
        let (Self::Seconds(n) | Self::Bytes(n) | Self::Times(n) | Self::Nanos(n) | Self::BytesPerRule(n)) = self;
        n
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(n) if *n < 0.1 => write!(f, "{:.1} ms", n * 1e3),
            Self::Seconds(n) => write!(f, "{n:.2} s"),
            Self::Bytes(n) if *n >= 1024.0 * 1024.0 * 1024.0 => write!(f, "{:.2} GiB", n / 1024.0 / 1024.0 / 1024.0),
            Self::Bytes(n) if *n < 10.0 * 1024.0 * 1024.0 => write!(f, "{:.1} MiB", n / 1024.0 / 1024.0),
            Self::Bytes(n) => write!(f, "{:.0} MiB", n / 1024.0 / 1024.0),
            Self::Times(n) if *n < 10.0 => write!(f, "{n:.2}×"),
            Self::Times(n) => write!(f, "{n:.0}×"),
            Self::Nanos(n) => write!(f, "{n:.0} ns"),
            Self::BytesPerRule(n) => write!(f, "{n:.0} B a rule"),
        }
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The first at most the second.
    AtMost(Figure, Figure),
    /// The first at least the second.
    AtLeast(Figure, Figure),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, goal, held) = match self {
            Self::AtMost(is, goal) => ("≤", goal, is.number() <= goal.number()),
            Self::AtLeast(is, goal) => ("≥", goal, is.number() >= goal.number()),
        };
        write!(f, "{sign} {goal} {}", if held { "held" } else { "MISSED" })
    }
}

/// Opens a part of the table.
pub(crate) fn heading(title: &str, columns: [&str; 3]) {
    let [first, second, third] = columns;
    println!("\n{title:<52} {first:>12} {second:>14} {third:>24}   goal");
}

/// One line.
pub(crate) fn line(what: &str, figures: [Option<String>; 3], goals: &[Goal]) {
    let [first, second, third] = figures.map(Option::unwrap_or_default);
    let goals: Vec<String> = goals.iter().map(Goal::to_string).collect();
    let line = format!("{what:<52} {first:>12} {second:>14} {third:>24}   {}", goals.join(", "));
    println!("{}", line.trim_end());
}

/// A sentence beside the figures.
pub(crate) fn note(text: &str) {
    println!("{text}");
}

/// A count with its thousands set off, such as `10,000`.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
