//! The table: one line a figure, with what it is held against beside it.
//!
//! In: names, figures, goals. Out: lines on standard output, as they come. A goal that is missed is said and is no
//! failure: figures depend on the machine.

use std::fmt;

/// How a figure is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Figure {
    /// Seconds.
    Seconds(f64),
    /// Bytes of memory.
    Bytes(f64),
    /// A ratio.
    Times(f64),
    /// Nanoseconds.
    Nanos(f64),
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// The first at most the second.
    AtMost(Figure, Figure),
    /// The first at least the second.
    AtLeast(Figure, Figure),
    /// Nothing is asked of it.
    None(Figure),
}

impl Figure {
    fn number(self) -> f64 {
        let (Self::Seconds(n) | Self::Bytes(n) | Self::Times(n) | Self::Nanos(n)) = self;
        n
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(n) if *n < 1e-3 => write!(f, "{:.1} µs", n * 1e6),
            Self::Seconds(n) if *n < 1.0 => write!(f, "{:.1} ms", n * 1e3),
            Self::Seconds(n) => write!(f, "{n:.2} s"),
            Self::Bytes(n) => write!(f, "{:.2} MB", n / 1e6),
            Self::Times(n) => write!(f, "{n:.2}×"),
            Self::Nanos(n) if *n < 1e3 => write!(f, "{n:.0} ns"),
            Self::Nanos(n) => write!(f, "{:.2} µs", n / 1e3),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, is, goal, held) = match self {
            Self::AtMost(is, goal) => ("≤", is, goal, is.number() <= goal.number()),
            Self::AtLeast(is, goal) => ("≥", is, goal, is.number() >= goal.number()),
            Self::None(is) => return write!(f, "{is}"),
        };
        write!(f, "{is} ({sign} {goal} {})", if held { "held" } else { "MISSED" })
    }
}

/// Opens a part of the table.
pub(crate) fn heading(title: &str, columns: [&str; 7]) {
    let columns: Vec<String> = columns.iter().map(|column| column.to_string()).collect();
    println!("\n{}", row(title, &columns, ""));
}

/// One line: figures, then those that are held against something, with their names.
pub(crate) fn line(what: &str, figures: [String; 7], goals: &[(&str, Goal)]) {
    let goals: Vec<String> = goals.iter().map(|(name, goal)| format!("{goal} {name}").trim_end().to_owned()).collect();
    println!("{}", row(&format!("  {what}"), &figures, &goals.join(", ")));
}

/// One line of a name and one figure.
pub(crate) fn single(what: &str, goal: Goal) {
    println!("  {what:<60} {goal}");
}

/// A sentence beside the figures.
pub(crate) fn note(text: &str) {
    println!("  {text}");
}

fn row(name: &str, columns: &[String], end: &str) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("{column:>10}")).collect();
    format!("{name:<24} {}   {end}", columns.join(" ")).trim_end().to_owned()
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
