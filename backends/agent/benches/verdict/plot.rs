//! The plot: nanoseconds a packet against prefixes, both on logarithmic axes.
//!
//! In: costs by size. Out: `docs/figures/ebpf-verdict.svg`, with colours that can be read on light and on dark ground.

use crate::programs::Costs;
use crate::table::grouped;
use std::fmt::Write as _;
use std::path::Path;

const FILE: &str = "docs/figures/ebpf-verdict.svg";
const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 420.0;
/// Where the axes are: left, right, top, bottom.
const AREA: [f64; 4] = [64.0, 540.0, 44.0, 366.0];
/// Of text and axes.
const GREY: &str = "#7d8590";
/// Name and colour, from the slowest to the fastest, as they stand above one another.
const LINES: [(&str, &str); 6] = [
    ("Cilium's shape, two policies", "#d1495b"),
    ("Cilium's shape, one policy", "#e08a1e"),
    ("one trie", "#b08800"),
    ("verdict", "#2f81f7"),
    ("parse only", "#2da44e"),
    ("no-op", "#8c6bb1"),
];

/// Writes the file; a sentence that says so.
pub(crate) fn write(points: &[(usize, [Costs; 2])]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, svg(points)).unwrap();
    format!("plotted in {FILE}")
}

fn svg(points: &[(usize, [Costs; 2])]) -> String {
    let scale = Scale::over(points);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{GREY}\" role=\"img\">\n\
         <title>Processor time of one packet against the number of prefixes</title>"
    );
    axes(&mut out, &scale, points);
    for (place, (_, colour)) in LINES.iter().enumerate() {
        for (warmth, dashes) in ["none", "6 4"].iter().enumerate() {
            let of = |(size, costs): &(usize, [Costs; 2])| {
                let cost = costs[warmth].each()[LINES.len() - 1 - place];
                (scale.x(*size as f64), scale.y(cost))
            };
            curve(&mut out, &points.iter().map(of).collect::<Vec<_>>(), colour, dashes);
        }
    }
    legend(&mut out);
    out + "</svg>\n"
}

/// From figures to places, by their logarithms.
struct Scale {
    x: [f64; 2],
    y: [f64; 2],
}

impl Scale {
    fn over(points: &[(usize, [Costs; 2])]) -> Self {
        let costs = points.iter().flat_map(|(_, costs)| costs.iter().flat_map(Costs::each));
        let (least, most) = costs.fold((f64::MAX, 1.0_f64), |(least, most), n| (least.min(n), most.max(n)));
        let [first, last] = [points.first(), points.last()].map(|point| (point.unwrap().0 as f64).log10());
        Self { x: [first, last], y: [(least * 0.8).log10(), (most * 1.2).log10()] }
    }

    fn x(&self, prefixes: f64) -> f64 {
        let share = (prefixes.log10() - self.x[0]) / (self.x[1] - self.x[0]);
        AREA[0] + share * (AREA[1] - AREA[0])
    }

    fn y(&self, nanos: f64) -> f64 {
        let share = (nanos.log10() - self.y[0]) / (self.y[1] - self.y[0]);
        AREA[3] - share * (AREA[3] - AREA[2])
    }
}

fn axes(out: &mut String, scale: &Scale, points: &[(usize, [Costs; 2])]) {
    let [left, right, top, bottom] = AREA;
    let marks = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0];
    for mark in marks {
        let y = scale.y(mark);
        if (top..=bottom).contains(&y) {
            let _ = writeln!(
                out,
                "<path d=\"M{left} {y:.1}H{right}\" stroke=\"{GREY}\" stroke-opacity=\"0.25\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                left - 8.0,
                y + 4.5
            );
        }
    }
    for (size, _) in points {
        let x = scale.x(*size as f64);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {bottom}v5\" stroke=\"{GREY}\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 20.0,
            grouped(*size)
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{GREY}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">prefixes of IPv4</text>\n\
         <text x=\"{left}\" y=\"{:.1}\" text-anchor=\"middle\">ns a packet</text>",
        (left + right) / 2.0,
        bottom + 44.0,
        top - 16.0
    );
}

fn curve(out: &mut String, places: &[(f64, f64)], colour: &str, dashes: &str) {
    let written: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>",
        written.join(" ")
    );
    for (x, y) in places {
        let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
    }
}

fn legend(out: &mut String) {
    let x = AREA[1] + 24.0;
    let hot_and_cold = [("hot: 1,024 flows", GREY, "none"), ("cold: 65,536 flows", GREY, "6 4")];
    let lines = LINES.iter().map(|(name, colour)| (*name, *colour, "none")).chain(hot_and_cold);
    for (place, (name, colour, dashes)) in lines.enumerate() {
        // A gap between what is drawn and how.
        let y = AREA[2] + 12.0 + 22.0 * place as f64 + if place >= LINES.len() { 12.0 } else { 0.0 };
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {y:.1}h26\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\">{name}</text>",
            x + 32.0,
            y + 4.0
        );
    }
}
